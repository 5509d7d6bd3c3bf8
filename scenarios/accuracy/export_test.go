package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/inventory"
	"github.com/wiemu/wiemu/internal/lab"
)

// A lab that loads what another has exported answers everything in the table alike, once somebody
// who knows the secrets has written them into it.
func TestExportedDirectoryAnswersAlike(t *testing.T) {
	table, err := readTable("accuracy.yaml", builtIn, nil)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := newKeys()
	if err != nil {
		t.Fatal(err)
	}
	if err := table.certify(keys, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("setup of accuracy.yaml", []byte(table.fill(table.Setup)))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "wiemu.yaml")
	exported := export(t, table, keys, c, file)
	text := strings.NewReplacer(
		"secret 1 of "+table.Variables["app-name"], table.Variables["secret"], "secret 2 of "+table.Variables["app-name"], table.Variables["expired-secret"],
		"secret 1 of reader", table.Variables["secret"],
		"secret mysecret of vault mykeyvault", "hello", "secret mysecret of vault closed", "hello", "secret mysecret of vault policies", "hello",
	).Replace(exported)
	again, err := config.Parse(file, []byte(strings.ReplaceAll(text, "'"+inventory.NotExported, "'")))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	e, err := table.start(t.Context(), keys, again, lab.Options{StateDir: t.TempDir(), ConfigFile: file})
	if err != nil {
		t.Fatal(err)
	}
	asked, err := table.led(e)
	if err != nil {
		t.Fatal(err)
	}
	defer asked.close()
	results, err := table.ask(t.Context(), asked, keys, regexp.MustCompile(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if !r.Same {
			t.Errorf("%s:\n\t%s", r.Name, strings.Join(r.Differences, "\n\t"))
		}
	}
	if t.Failed() {
		t.Log(exported)
	}
}

// export starts a lab and writes what it has into a file, as wiemu directory export does.
func export(t *testing.T, table Table, keys Keys, c config.Config, file string) string {
	t.Helper()
	e, err := table.start(t.Context(), keys, c, lab.Options{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	state, err := inventory.Of(e.Lab)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(context.Background()); err != nil {
		t.Error(err)
	}
	sent, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{table.Variables["secret"], table.Variables["expired-secret"], "PRIVATE KEY"} {
		if strings.Contains(string(sent), secret) {
			t.Errorf("%q is in what a lab tells of itself", secret)
		}
	}
	var received inventory.State
	if err := json.Unmarshal(sent, &received); err != nil {
		t.Fatal(err)
	}
	written, err := inventory.Export(received, "Exported.")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range written.Files {
		at := filepath.Join(filepath.Dir(file), name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return written.YAML
}
