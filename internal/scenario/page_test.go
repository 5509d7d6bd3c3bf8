package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/scenario/condition"
	"github.com/wiemu/wiemu/internal/scenario/report"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

const page = "../../docs/scenarios.md"

// block is a fenced text of a page.
type block struct {
	language, text string
	line           int // of its first line
}

func blocks(t *testing.T, file string) (all []block) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for i, line := range strings.Split(string(text), "\n") {
		language, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && !inside:
			all = append(all, block{language: language, line: i + 2})
			inside = true
		case fence:
			inside = false
		case inside:
			all[len(all)-1].text += line + "\n"
		}
	}
	return all
}

// frame makes a scenario of a part of one.
func frame(name, part string) string {
	if strings.Contains(part, "apiVersion:") {
		return part
	}
	head, steps, _ := strings.Cut(minimal, "steps:")
	head = strings.Replace(head, "name: minimal", "name: "+name, 1)
	if strings.Contains(part, "workloads:") {
		head, _, _ = strings.Cut(head, "workloads:")
	}
	if !strings.Contains(part, "steps:") {
		part += "steps:" + steps
	}
	return head + part
}

// What the page shows is so: every scenario and part of one on it is green.
func TestWhatThePageShowsIsGreen(t *testing.T) {
	program := client(t)
	temporary(t)
	var list []Scenario
	for _, b := range blocks(t, page) {
		if b.language != "yaml" {
			continue
		}
		if strings.HasPrefix(b.text, "# .") { // a file of another program
			if _, err := yamlfile.Parse(page, []byte(b.text)); err != nil {
				t.Errorf("line %d: %v", b.line, err)
			}
			continue
		}
		name := fmt.Sprintf("line-%d", b.line)
		s, err := Parse(name, []byte(frame(name, b.text)))
		if err != nil {
			t.Errorf("%s:%d: %v", page, b.line, err)
			continue
		}
		list = append(list, s)
	}
	if len(list) < 5 {
		t.Fatalf("only %d scenarios were found on the page", len(list))
	}
	for _, o := range Run(t.Context(), list, Options{Program: program, FailOnMissing: os.Getenv("WIEMU_REQUIRE") != ""}).Scenarios {
		if o.Outcome == report.Unsupported {
			t.Logf("%s was not run: %s", o.Name, o.Reason)
		} else if o.Outcome != report.Passed {
			t.Errorf("%s of %s: %s", o.Name, page, strings.Join(o.Texts(), "\n"))
		}
	}
}

// The page's tutorial goes as it says: the draft is green, its change red, with
// the output that is shown.
func TestThePagesTutorial(t *testing.T) {
	program := client(t)
	temporary(t)
	all := blocks(t, page)
	at := 0
	for all[at].language != "diff" {
		at++
	}
	text, err := Blank{File: "old-token.yaml"}.Text()
	if err != nil {
		t.Fatal(err)
	}
	draft := string(text)
	changed, unchanged := "", ""
	for line := range strings.Lines(all[at].text) {
		if line[0] != '+' {
			unchanged += line[min(1, len(line)-1):]
		}
		if line[0] != '-' {
			changed += line[min(1, len(line)-1):]
		}
	}
	if !strings.Contains(draft, unchanged) {
		t.Fatalf("the draft has no\n%s\nbut is\n%s", unchanged, draft)
	}
	s, err := Parse("old-token.yaml", []byte(strings.Replace(draft, unchanged, changed, 1)))
	if err != nil {
		t.Fatal(err)
	}
	ran := Run(t.Context(), []Scenario{s}, Options{Program: program})
	var table strings.Builder
	if err := ran.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	cost := regexp.MustCompile(` +\d+\.\d+s$`)
	for line := range strings.Lines(all[at+1].text) {
		line = strings.TrimRight(cost.ReplaceAllString(strings.TrimSuffix(line, "\n"), ""), "…")
		if !strings.HasPrefix(line, "$ ") && !strings.Contains(table.String(), line) {
			t.Errorf("the page shows\n%s\nbut this is printed:\n%s", line, &table)
		}
	}
	// What the page shows of check: the last block that shows a command before the file's parts.
	final := all[at+2].text
	_, err = Parse("old-token.yaml", []byte(strings.Replace(final, "stale.json.code", "stale.jsn.code", 1)))
	if err == nil || !strings.HasSuffix(all[at+3].text, "wiemu: "+err.Error()+"\n") {
		t.Errorf("the page shows\n%s\nbut check says\n%v", all[at+3].text, err)
	}
}

// Every step and every field that an expectation can name is on the page.
func TestThePageNamesEverything(t *testing.T) {
	data, err := os.ReadFile(filepath.FromSlash(page))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, v := range verbs() {
		if !regexp.MustCompile("(?m)^\\| `" + v.name + "` \\|").MatchString(text) {
			t.Errorf("the table of steps lacks %s", v.name)
		}
	}
	named := func(what, name string) {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("%s lacks `%s`", what, name)
		}
	}
	for _, of := range []reflect.Type{
		reflect.TypeFor[condition.Result](), reflect.TypeFor[condition.Workload](), reflect.TypeFor[condition.Clock](), reflect.TypeFor[condition.Token](),
		reflect.TypeFor[journal.Event](), reflect.TypeFor[journal.Check](), reflect.TypeFor[journal.Nearest](), reflect.TypeFor[journal.Difference](),
		reflect.TypeFor[report.Report](), reflect.TypeFor[report.Flaky](), reflect.TypeFor[report.Outcome](), reflect.TypeFor[report.Failure](), reflect.TypeFor[condition.Value](), reflect.TypeFor[report.RunOutput](),
	} {
		for i := range of.NumField() {
			if name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ","); name != "" && name != "-" {
				named(of.Name(), name)
			}
		}
	}
	for _, of := range []reflect.Type{reflect.TypeFor[Scenario](), reflect.TypeFor[RunStep](), reflect.TypeFor[SkewStep](), reflect.TypeFor[SetStep]()} {
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("yaml"), ",")
			if name != "" && !strings.Contains(text, name) {
				t.Errorf("%s lacks %s", of.Name(), name)
			}
		}
	}
	for _, name := range []string{"apiVersion", "kind", "flaky"} {
		named("a report", name)
	}
	for _, word := range condition.Kinds {
		named("the kinds of event", word)
	}
	for _, word := range condition.Outcomes {
		named("the outcomes", word)
	}
}
