package aadsts

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// The codes that the pages promise are codes that wiemu gives. docs/errors.md, which
// is written from the catalogue, also has the others and says why.
func TestPagesNameCodesThatAreGiven(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) < 10 {
		t.Fatalf("found %d pages: %v", len(pages), err)
	}
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		switch filepath.Base(page) {
		case "errors.md", "accuracy.md", "library.md": // library.md quotes what people reported
			continue
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`AADSTS(\d+)`).FindAllSubmatch(text, -1) {
			code, _ := strconv.Atoi(string(found[1]))
			if e, known := Lookup(code); !known || e.NotEmitted != "" {
				t.Errorf("%s: AADSTS%d: known %v, never given: %s", filepath.Base(page), code, known, e.NotEmitted)
			}
		}
	}
}
