package scenario

import (
	"github.com/wiemu/wiemu/internal/scenario/report"
	"io/fs"
	"runtime"
	"strings"
	"testing"
)

// A draft is a scenario that passes before anybody has changed it.
func TestDraftsAreGreen(t *testing.T) {
	program := client(t)
	temporary(t)
	for name, d := range map[string]Blank{
		"with the client of wiemu": {File: "dir/my-case.yaml"},
		"of another workload":      {File: "other.yaml", Namespace: "app-dev", ServiceAccount: "api", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49"},
		"with a program":           {File: "own.yaml", Command: []string{program, "secret", "get", "mykeyvault", "mysecret"}},
		"with arguments that YAML would take for something else": {
			File: "shell.yaml", Command: []string{"sh", "-c", `test "$1" = true && test "$2" = "a: 'b' \ #1" && exec ` + program + " secret get mykeyvault mysecret", "sh", "true", `a: 'b' \ #1`},
		},
		"of a program that goes on running":       {File: "a-day.yaml", Start: true},
		"of one's own that goes on, for a server": {File: "server.yaml", Start: true, Command: []string{program, "watch", "--every", "10m", "secret", "get", "mykeyvault", "mysecret"}},
	} {
		if d.Start && runtime.GOOS != "linux" {
			continue // it lives on the lab clock
		}
		text, err := d.Text()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s, err := Parse(d.File, text)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
			continue
		}
		if o := Run(t.Context(), []Scenario{s}, Options{Program: program}).Scenarios[0]; o.Outcome != report.Passed {
			t.Errorf("%s: %s\n%s", name, strings.Join(o.Texts(), ""), text)
		}
	}
}

func TestDraftsThatCannotBe(t *testing.T) {
	for want, d := range map[string]Blank{
		`expected lower-case letters, digits and hyphens, such as wrong-subject, found "My Case"`: {File: "My Case.yaml"},
		"workloads[0].clientId: expected a GUID":                                                  {File: "a.yaml", ClientID: "web"},
		"workloads[0].namespace":                                                                  {File: "a.yaml", Namespace: "Shop"},
	} {
		if text, err := d.Text(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q, got %v\n%s", want, err, text)
		}
	}
}

func TestEveryCaseOfTheLibraryCanBeCopied(t *testing.T) {
	files, err := fs.Glob(library, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := fs.ReadFile(library, file)
		if err != nil {
			t.Fatal(err)
		}
		copied, err := Copy(text, "mine/another-name.yaml")
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if s, err := Parse("another-name.yaml", copied); err != nil || s.Metadata.Name != "another-name" {
			t.Errorf("%s: %v, called %s", file, err, s.Metadata.Name)
		}
	}
	if _, err := Copy([]byte("kind: Scenario\n"), "a.yaml"); err == nil {
		t.Error("a file without a name was copied")
	}
	if _, err := Copy([]byte(minimal), "A.yaml"); err == nil {
		t.Error("a name that is none was taken")
	}
}
