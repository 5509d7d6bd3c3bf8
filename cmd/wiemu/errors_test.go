package main

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/wiemu/wiemu/internal/entra/aadsts"
)

var update = flag.Bool("update", false, "write the generated pages")

// docs/errors.md says what the catalogue says.
func TestErrorPage(t *testing.T) {
	var page bytes.Buffer
	if err := printPage(&page, "errors", aadsts.Catalogue()); err != nil {
		t.Fatal(err)
	}
	isPage(t, "../../docs/errors.md", page.Bytes())
}

// isPage compares a generated page with the one in the repository, or writes it there.
func isPage(t *testing.T, file string, page []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.ReplaceAll(have, []byte("\r\n"), []byte("\n")), page) {
		t.Errorf("%s is not what the catalogue says; go test ./cmd/wiemu -run %s -update writes it", file, t.Name())
	}
}
