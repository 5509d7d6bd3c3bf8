package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/inventory"
)

func TestWriteBeside(t *testing.T) {
	const certificate = "certificates/11111111-aaaa-4bbb-8ccc-222222222222.pem"
	written := inventory.Written{YAML: "kind: Wiemu\n", Files: map[string]string{certificate: "PEM"}}
	for name, row := range map[string]struct {
		there   map[string]string
		written inventory.Written
		refusal string            // part of the error; "" for none
		files   map[string]string // in the end
	}{
		"into a folder that is made":                            {nil, written, "", map[string]string{"made/wiemu.yaml": written.YAML, "made/" + certificate: "PEM"}},
		"with a certificate of an attempt that failed":          {map[string]string{"made/" + certificate: "PEM"}, written, "", map[string]string{"made/wiemu.yaml": written.YAML, "made/" + certificate: "PEM"}},
		"with another certificate of that name":                 {map[string]string{"made/" + certificate: "other"}, written, certificate + " is there already", map[string]string{"made/" + certificate: "other"}},
		"into a folder with a wiemu.yaml, without certificates": {map[string]string{"made/wiemu.yaml": "own"}, written, "wiemu.yaml is there already; choose another name", map[string]string{"made/wiemu.yaml": "own"}},
		"with a file elsewhere":                                 {nil, inventory.Written{YAML: written.YAML, Files: map[string]string{certificate: "PEM", "certificates/../../x.pem": "PEM"}}, `found "certificates/../../x.pem"; nothing was written`, map[string]string{}},
		"with a file of the root":                               {nil, inventory.Written{YAML: written.YAML, Files: map[string]string{"/x.pem": "PEM"}}, `found "/x.pem"`, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range row.there {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := writeBeside(filepath.Join(dir, "made", "wiemu.yaml"), row.written)
			if got := errorText(err); row.refusal == "" && got != "" || !strings.Contains(got, row.refusal) {
				t.Errorf("got %q, expected %q", got, row.refusal)
			}
			found := map[string]string{}
			if err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
				if err != nil || entry.IsDir() {
					return err
				}
				text, err := os.ReadFile(path)
				found[strings.TrimPrefix(filepath.ToSlash(path), filepath.ToSlash(dir)+"/")] = string(text)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(found, row.files) {
				t.Errorf("there is %v, expected %v", found, row.files)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
