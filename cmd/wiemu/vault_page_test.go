package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/resources/keyvault.md leads from nothing to a running program: its wiemu.yaml and
// its commands, with the program that it names.
func TestKeyVaultPage(t *testing.T) {
	c := newCommand(t)
	programs := linkPrograms(t, workloads...)
	c.env = append(c.env, "PATH="+filepath.Dir(c.path)+string(os.PathListSeparator)+programs+string(os.PathListSeparator)+os.Getenv("PATH"))
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "resources", "keyvault.md"))
	if err != nil {
		t.Fatal(err)
	}
	var outputs []string
	for _, block := range regexp.MustCompile("(?s)```(yaml|sh|text)\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		switch block[1] {
		case "yaml":
			if err := os.WriteFile(filepath.Join(c.dir, "wiemu.yaml"), []byte(block[2]), 0o644); err != nil {
				t.Fatal(err)
			}
		case "sh":
			outputs = append(outputs, c.output("sh", "-c", strings.ReplaceAll(block[2], "./usevault", "usevault")))
		case "text":
			shown := strings.ReplaceAll(regexp.QuoteMeta(block[2]), "…", ".*")
			if last := outputs[len(outputs)-1]; !regexp.MustCompile(shown).MatchString(last) {
				t.Errorf("the page shows\n%s\nfound\n%s", block[2], last)
			}
		}
	}
	if len(outputs) != 1 {
		t.Fatalf("%d examples ran; want the one of the page", len(outputs))
	}
}
