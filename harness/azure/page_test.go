package azure_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// goBlocks are the Go texts of a page, without indentation.
func goBlocks(t *testing.T, page string) (blocks []string) {
	t.Helper()
	for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(text(t, page), -1) {
		blocks = append(blocks, dedent(block[1]))
	}
	if len(blocks) == 0 {
		t.Errorf("%s has no Go block: this test looks for the wrong thing", page)
	}
	return blocks
}

func text(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// dedent takes the indentation and the alignment of comments away, which are others where
// a text stands deeper.
func dedent(text string) string {
	text = regexp.MustCompile(`(?m)^\t+`).ReplaceAllString(text, "")
	return regexp.MustCompile(` +// `).ReplaceAllString(text, " // ")
}

// What the pages show is what the tests here run, to the letter.
func TestGoOfThePagesIsTested(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	tested := ""
	for _, file := range files {
		tested += dedent(text(t, file))
	}
	for _, page := range []string{"../../docs/go-tests.md"} {
		for _, block := range goBlocks(t, page) {
			if !strings.Contains(tested, block) {
				t.Errorf("%s: no test of this directory has\n%s", page, block)
			}
		}
	}
}

func TestWhatAFailureSaysIsWhatThePageShows(t *testing.T) {
	_, block, _ := strings.Cut(text(t, "../../docs/go-tests.md"), "```text\n")
	block, _, _ = strings.Cut(block, "```")
	commented := "// " + strings.ReplaceAll(strings.TrimSpace(block), "\n", "\n// ")
	if block == "" || !strings.Contains(dedent(text(t, "../example_test.go")), dedent(commented)) {
		t.Errorf("no example of package harness has the output\n%s", block)
	}
}

func TestTheFirstTestOfThePageIsAnExample(t *testing.T) {
	block := goBlocks(t, "../../docs/go-tests.md")[0]
	if n := strings.Count(block, "\n"); n > 30 {
		t.Errorf("it has %d lines, want 30 at most", n)
	}
	_, body, _ := strings.Cut(block, "{\n")
	body = body[:strings.LastIndexByte(body, '}')]
	if !strings.Contains(dedent(text(t, "example_test.go")), body) {
		t.Errorf("example_test.go does not have\n%s", body)
	}
}
