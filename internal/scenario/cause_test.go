package scenario

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/scenario/report"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// A cause is an entry of library/testdata/causes.yaml.
type cause struct {
	Replace string `yaml:"replace"`
	By      string `yaml:"by"`
	Fails   string `yaml:"fails"`
}

// Each scenario of the library goes red when its cause is taken out, so none is
// green for another reason than it says.
func TestEachScenarioFailsWithoutItsCause(t *testing.T) {
	causes := readCauses(t)
	program := client(t)
	temporary(t)
	files, err := fs.Glob(library, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var list []Scenario
	for _, file := range files {
		name := strings.TrimSuffix(file, ".yaml")
		c, known := causes[name]
		if !known {
			t.Errorf("%s: expected an entry %s in library/testdata/causes.yaml", file, name)
			continue
		}
		list = append(list, without(t, file, c))
	}
	for name := range causes {
		if !slices.Contains(files, name+".yaml") {
			t.Errorf("causes.yaml: %s is no scenario of the library", name)
		}
	}
	for _, o := range Run(t.Context(), list, Options{Program: program, FailOnMissing: os.Getenv("WIEMU_REQUIRE") != ""}).Scenarios {
		if o.Outcome == report.Unsupported {
			t.Logf("%s was not run: %s", o.Name, o.Reason)
			continue
		}
		failed := ""
		for _, f := range o.Failures {
			failed += f.Text()
		}
		if says := causes[o.Name].Fails; !strings.Contains(failed, says) {
			t.Errorf("%s: expected %q to fail, got %s %s", o.Name, says, o.Outcome, failed)
		}
	}
}

func readCauses(t *testing.T) map[string]cause {
	t.Helper()
	file := filepath.Join(libraryDir, "testdata", "causes.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	node, err := yamlfile.Parse(file, data)
	if err != nil {
		t.Fatal(err)
	}
	var causes map[string]cause
	if err := yamlfile.DecodeNode(file, node, &causes).Err(); err != nil {
		t.Fatal(err)
	}
	return causes
}

// without is a scenario of the library without its cause.
func without(t *testing.T, file string, c cause) Scenario {
	t.Helper()
	data, err := fs.ReadFile(library, file)
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(data), c.Replace)
	if !found || c.Replace == "" || c.Replace == c.By || c.Fails == "" {
		t.Fatalf("%s: expected a cause that can be taken out and an expectation that fails then, found %+v", file, c)
	}
	s, err := Parse(file, []byte(before+c.By+after))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
