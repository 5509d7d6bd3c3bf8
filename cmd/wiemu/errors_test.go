package main

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/wiemu/wiemu/emulator/entra/aadsts"
)

// updating reports whether to write the generated pages. The flag is there already:
// the compose engine links gotest.tools, which has one.
func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// docs/errors.md says what the catalogue says.
func TestErrorPage(t *testing.T) {
	const file = "../../docs/errors.md"
	var page bytes.Buffer
	if err := printErrorPage(&page, aadsts.Catalogue()); err != nil {
		t.Fatal(err)
	}
	if updating() {
		if err := os.WriteFile(file, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.ReplaceAll(have, []byte("\r\n"), []byte("\n")), page.Bytes()) {
		t.Errorf("%s is not what the catalogue says; go test ./cmd/wiemu -run TestErrorPage -update writes it", file)
	}
}
