// Package docs_test compiles the Go of the pages: README.md, CONTRIBUTING.md and
// docs. A block is a file, declarations, or statements of a function; variables that
// statements have from elsewhere are named by a comment above the block, which
// nobody sees who reads the page:
//
//	<!-- go: t *testing.T, lab *harness.Lab -->
//
// Above a table the comment lets the code in the last column of each row be
// compiled, as the statements of a function of its own.
package docs_test

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// packages are the import paths of what the pages name without importing it.
var packages = map[string]string{
	"azsecrets":      "github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets",
	"azure":          "github.com/wiemu/wiemu/harness/azure",
	"containers":     "github.com/wiemu/wiemu/harness/containers",
	"context":        "context",
	"directory":      "github.com/wiemu/wiemu/emulator/directory",
	"exec":           "os/exec",
	"harness":        "github.com/wiemu/wiemu/harness",
	"journal":        "github.com/wiemu/wiemu/emulator/journal",
	"os":             "os",
	"scenarios":      "github.com/wiemu/wiemu/scenarios",
	"synctest":       "testing/synctest",
	"testcontainers": "github.com/testcontainers/testcontainers-go",
	"testing":        "testing",
	"time":           "time",
}

// A snippet is Go on a page.
type snippet struct {
	page string
	line int
	code string
	from string // variables from elsewhere, as the parameters of a function
}

var (
	from  = regexp.MustCompile(`^\s*<!-- go: (.*) -->\s*$`)
	fence = regexp.MustCompile("^\\s*```(.*)$")
	span  = regexp.MustCompile("`([^`]+)`")
	name  = regexp.MustCompile(`^[A-Z]\w*(\(\))?$`)
)

// snippets finds the Go of a page.
func snippets(page, text string) (all []snippet) {
	var open *snippet
	inside, fromElsewhere, table := false, "", ""
	for n, line := range strings.Split(text, "\n") {
		switch block := fence.FindStringSubmatch(line); {
		case block != nil && !inside:
			if inside = true; block[1] == "go" {
				open = &snippet{page: page, line: n + 2, from: fromElsewhere}
			}
			fromElsewhere = ""
		case block != nil:
			if inside = false; open != nil {
				all, open = append(all, *open), nil
			}
		case open != nil:
			open.code += line + "\n"
		case inside:
		case from.MatchString(line):
			fromElsewhere = from.FindStringSubmatch(line)[1]
		case strings.HasPrefix(line, "|"):
			if table == "" {
				table = fromElsewhere
			}
			if code := row(line); table != "" && code != "" {
				all = append(all, snippet{page, n + 1, code, table})
			}
		default:
			table = ""
			if strings.TrimSpace(line) != "" {
				fromElsewhere = ""
			}
		}
	}
	return all
}

// row is the code of a row's last column: statements, and the names of what the one
// before them has, such as `lab.Clock()`: `Advance`, `Set`.
func row(line string) string {
	cells := strings.Split(strings.Trim(line, "| "), " | ")
	var code []string
	before := ""
	for _, s := range span.FindAllStringSubmatch(cells[len(cells)-1], -1) {
		switch text := s[1]; {
		case before != "" && name.MatchString(text):
			code = append(code, "_ = "+before+"."+text)
		case strings.ContainsAny(text, "(="):
			code, before = append(code, text), text
		}
	}
	return strings.Join(code, "; ") // one line, as on the page
}

// file completes a snippet to a file with the lines of the page.
func (s snippet) file(fset *token.FileSet) (*ast.File, error) {
	position := fmt.Sprintf("//line %s:%d\n", s.page, s.line)
	parse := func(text string) (*ast.File, error) {
		return parser.ParseFile(fset, s.page, text, parser.SkipObjectResolution)
	}
	for _, way := range []string{position + s.code, "package page\n" + s.imports() + position + s.code} {
		if f, err := parse(way); err == nil {
			return f, nil
		}
	}
	return parse("package page\n" + s.imports() + "func _(" + s.from + ") {\n" + position + strings.TrimRight(s.code, "\n") + "\n}\n")
}

// imports are those of the packages that the snippet names.
func (s snippet) imports() string {
	var b strings.Builder
	for name, path := range packages {
		if regexp.MustCompile(`\b` + name + `\.`).MatchString(s.code + s.from) {
			fmt.Fprintf(&b, "import %s %q\n", name, path)
		}
	}
	return b.String()
}

// exported opens what the compiler has written of packages and of all that they
// import: one run of go list, which compiles what is not in its cache.
func exported(t *testing.T, paths []string) func(path string) (io.ReadCloser, error) {
	t.Helper()
	list := exec.Command("go", append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"}, paths...)...)
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		files[path] = file
	}
	return func(path string) (io.ReadCloser, error) { return os.Open(files[path]) }
}

func TestGoOfThePagesCompiles(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []snippet
	for _, page := range append(pages, "../README.md", "../CONTRIBUTING.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, snippets(page, string(text))...)
	}
	for _, wrong := range check(t, all) {
		t.Error(wrong)
	}
	if len(all) < 10 {
		t.Errorf("the pages have %d pieces of Go: this test looks for the wrong thing", len(all))
	}
}

// check compiles snippets and returns what is wrong.
func check(t *testing.T, all []snippet) (wrong []error) {
	t.Helper()
	fset, imported := token.NewFileSet(), []string{}
	var files []*ast.File
	for _, s := range all {
		f, err := s.file(fset)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		files = append(files, f)
		for _, i := range f.Imports {
			imported = append(imported, strings.Trim(i.Path.Value, `"`))
		}
	}
	slices.Sort(imported)
	config := types.Config{
		Importer: importer.ForCompiler(fset, "gc", exported(t, slices.Compact(imported))),
		Error: func(err error) {
			if e := (types.Error{}); !errors.As(err, &e) || !e.Soft { // soft: a variable that the page goes on with is not used
				wrong = append(wrong, err)
			}
		},
	}
	for _, f := range files {
		_, _ = config.Check("page", fset, []*ast.File{f}, nil) // Error has what is wrong
	}
	return wrong
}

// What this finds, and where it says that it is.
func TestWhatDoesNotCompileIsFound(t *testing.T) {
	const page = "```go\nlab := harness.As(t)\nlab.Workload(\"a/b\")\n```\n" +
		"<!-- go: t *testing.T -->\n```go\nlab := harness.New(t)\nlab.Wrkload(\"a/b\")\n```\n" +
		"<!-- go: lab *harness.Lab -->\n\n| | |\n|---|---|\n| time | `lab.Clock()`: `Advance`, `Retreat` |\n\n" +
		"```go\nfunc one() int { return harness.New }\n```\n```go\nx := \n```\n```text\nnot Go\n```\n"
	var got []string
	for _, err := range check(t, snippets("page.md", page)) {
		got = append(got, err.Error())
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{
		"page.md:2:", "undefined: t", "page.md:3:", "lab.Workload undefined", "page.md:8:", "lab.Wrkload undefined", "page.md:14:", "Retreat", "page.md:17:", "page.md:21:",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("expected %q in\n%s", want, text)
		}
	}
	if len(got) != 6 {
		t.Errorf("%d errors, want 6:\n%s", len(got), text)
	}
}
