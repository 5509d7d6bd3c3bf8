package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/scenario/condition"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// start is when the lab clock starts.
var start = time.Date(2026, time.January, 5, 8, 0, 0, 0, time.UTC)

// sample is a report with one of everything.
func sample() Report {
	at := start.Add(time.Hour)
	r := Report{Started: at, Wall: Seconds(2345678 * time.Microsecond), Scenarios: []Outcome{
		{Name: "happy-path", File: "happy-path.yaml", Outcome: Passed, Expectations: 6, Wall: Seconds(321 * time.Millisecond)},
		{Name: "wrong-subject", File: "library/wrong-subject.yaml", Outcome: Failed, Expectations: 2, Simulated: Seconds(time.Hour), Wall: Seconds(1200 * time.Millisecond), Failures: []Failure{
			{
				File: "library/wrong-subject.yaml", Line: 41, Message: "expectation failed",
				Expression: "results.foreign.json.code == 700213 &&\n  results.foreign.exitCode == 0",
				Values:     []condition.Value{{Expression: "results.foreign.json.code", Value: "700211"}},
				Runs:       []RunOutput{{Step: "foreign", ExitCode: 1, Stdout: "{\"ok\":false,\"error\":\"<AADSTS700211>\"}\n", Stderr: "warning\x01: proxy\n"}, {Step: "app", ExitCode: -1, Running: true, Stdout: "{\"ok\":true}\n"}},
				Events: []journal.Event{
					{ID: "7", Time: at, Kind: journal.Discovery, Outcome: journal.OK, Summary: "the keys of https://local.oic.wiemu.test/ were fetched"},
					{ID: "8", Time: at, Kind: journal.Exchange, Outcome: journal.Denied, Code: 700211, Summary: "web was refused"},
				},
				Explanation: "✗ exchange denied with AADSTS700211: web was refused\n\nChecks, in the order they were made:\n  ✓ tenant\n",
			},
			{File: "library/wrong-subject.yaml", Line: 44, Message: "expectation cannot be evaluated: no such key: value", Expression: "results.foreign.json.value == ''"},
		}},
		{Name: "escape", File: "escape.yaml", Outcome: Failed, Failures: []Failure{
			{File: "escape.yaml", Message: "a program tried to reach example.com, which is not emulated; allow it with allowEscapes: true"},
		}},
		{Name: "now-and-then", Run: 1, JournalHash: "sha256:abcd", File: "now-and-then.yaml", Outcome: Passed, Expectations: 1, Wall: Seconds(10 * time.Millisecond)},
		{Name: "now-and-then", Run: 2, File: "now-and-then.yaml", Outcome: Failed, Expectations: 1, Wall: Seconds(10 * time.Millisecond), Failures: []Failure{
			{File: "now-and-then.yaml", Line: 9, Message: "expectation failed", Expression: "results.ask.stdout == '```'"},
		}},
		{Name: "never", File: "never.yaml", Outcome: Skipped},
		{Name: "happy-path", Backend: "kind", File: "happy-path.yaml", Outcome: Passed, Expectations: 6, Wall: Seconds(4321 * time.Millisecond)},
		{Name: "a-day", Backend: "kind", File: "a-day.yaml", Outcome: Unsupported, Reason: "time in a cluster is real"},
	}}
	for i := range r.Scenarios {
		o := &r.Scenarios[i]
		if o.Backend == "" {
			o.Backend = defaultBackend
		}
		r.Count(*o)
	}
	return r
}

func TestReports(t *testing.T) {
	for name, write := range map[string]func(Report, io.Writer) error{
		"report.txt": Report.WriteTable, "report.json": Report.WriteJSON, "report.xml": Report.WriteJUnit,
		"report.md": Report.WriteSummary, "report.annotations": annotate,
	} {
		var b bytes.Buffer
		if err := write(sample(), &b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		golden(t, "testdata/"+name, b.Bytes())
		if name == "report.json" && !json.Valid(b.Bytes()) {
			t.Errorf("%s is no JSON", name)
		}
		if name == "report.xml" {
			if err := xml.Unmarshal(b.Bytes(), new(junitSuites)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := write(sample(), fullDisk{}); err == nil {
			t.Errorf("%s: a failing writer went unnoticed", name)
		}
	}
}

// annotate writes the sample's annotations; one of its files is not in the repository.
func annotate(r Report, w io.Writer) error {
	return Annotations{W: w, Path: func(file string) string {
		if file == "escape.yaml" {
			return ""
		}
		return "some, where/" + file
	}}.Report(r)
}

func TestProblemsAreAnnotated(t *testing.T) {
	problems := yamlfile.Problems{{
		File: "typo.yaml", Line: 10, Column: 17, Field: "steps[1].expect[0]",
		Expected: "a named step before this one: read", Found: "results.raed", Fix: "did you mean read?",
	}}
	for _, test := range []struct {
		err  error
		want string
	}{
		{problems, "::error file=typo.yaml,line=10,col=17,title=not a scenario that can be run::steps[1].expect[0]: expected a named step before this one: read, found results.raed; did you mean read?\n"},
		{errors.New("something else"), ""},
	} {
		var b strings.Builder
		if err := (Annotations{W: &b, Path: func(file string) string { return file }}).Problems(test.err); err != nil || b.String() != test.want {
			t.Errorf("%v: %v\n%s", test.err, err, b.String())
		}
	}
	if err := (Annotations{W: fullDisk{}, Path: func(string) string { return "" }}).Problems(problems); err == nil {
		t.Error("a failing writer went unnoticed")
	}
}

func TestExitCode(t *testing.T) {
	if code := (Report{Passed: 3}).ExitCode(); code != 0 {
		t.Errorf("all passed: %d", code)
	}
	if code := sample().ExitCode(); code != 1 {
		t.Errorf("two failed: %d", code)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a committed file, or writes it with -update.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not up to date; go test ./internal/scenario/report -update writes it:\n%s", file, diff)
	}
}
