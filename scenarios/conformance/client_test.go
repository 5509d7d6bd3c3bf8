package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// write makes a directory with files from a map of path to content.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const goodProgram = "name: psql\nprograms:\n  - {name: psql, with: federated, package: psql, version: psql --version, run: bash psql.sh, operations: 2, modes: [isolate]}\n"

const good = "name: curl\npackage: curl\nneeds: [curl]\nversion: curl --version\nrun: bash client.sh\nmodes: [proxy]\nrefusal: AADSTS700213\n"

func TestBadClientFiles(t *testing.T) {
	for name, row := range map[string]struct{ file, want string }{
		"empty":                {"", "name: expected text, found nothing; give the row of the table a name"},
		"unknown field":        {good + "instal: true\n", `client.yaml:8:1: instal: expected one of`},
		"misspelt field":       {good + "instal: true\n", "did you mean install?"},
		"unknown mode":         {strings.Replace(good, "[proxy]", "[proxy, sandbox]", 1), `client.yaml:6:16: modes[1]: expected transparent, proxy, isolate or lockstep, found text "sandbox"`},
		"lockstep in nothing":  {strings.Replace(good, "[proxy]", "[proxy, lockstep]", 1), "client.yaml: lockstep: expected scenarios for a client that has the mode lockstep"},
		"no mode":              {strings.Replace(good, "[proxy]", "[]", 1), "client.yaml:6: modes: expected transparent, proxy, isolate, lockstep, found none"},
		"no proxy and proxy":   {good + "without-proxy: true\n", "client.yaml:6: modes: expected transparent and isolate, found proxy"},
		"half a credential":    {good + "credentials: [{name: ClientSecretCredential}]\n", "credentials[0]: expected name and run"},
		"no refusal":           {strings.Replace(good, "AADSTS700213", "", 1), "client.yaml:7: refusal: expected text, found nothing"},
		"no such file":         {good + "with: [../go.mod]\n", "client.yaml:8: with: expected files relative to client.yaml, found ../go.mod, which is missing"},
		"syntax":               {good + "note: [\n", "client.yaml:"},
		"a program on nothing": {goodProgram, "programs[0].storage: expected memory, azurite or both, or else settings"},
		"a program on both":    {strings.Replace(goodProgram, "run:", "storage: [memory], settings: postgres.yaml, run:", 1), "programs[0].storage: expected memory, azurite or both, or else settings"},
		"a list":               {"- name: curl\n", "expected a mapping"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readClients(write(t, map[string]string{"curl/client.yaml": row.file}))
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v\nwant it to say %s", err, row.want)
			}
		})
	}
}

func TestClientsAreToldApart(t *testing.T) {
	_, err := readClients(write(t, map[string]string{"a/client.yaml": good, "b/client.yaml": good}))
	if err == nil || !strings.Contains(err.Error(), `b/client.yaml: name: expected a name of its own, or another credential, found "curl", which is that of`) {
		t.Errorf("two clients of one name: %v", err)
	}
	if _, err := readClients(t.TempDir()); err == nil || !strings.Contains(err.Error(), "found none") {
		t.Errorf("no clients: %v", err)
	}
	clients := []Client{{Name: "azure-identity (Python)", Dir: "/clients/python"}, {Name: "curl", Dir: "/clients/curl"}}
	for expression, want := range map[string]int{"Python": 1, "^python$": 1, ".": 2, "java": 0} {
		if got := chosen(clients, regexp.MustCompile(expression)); len(got) != want {
			t.Errorf("-run %s chose %d clients, want %d", expression, len(got), want)
		}
	}
}

// Every client of the repository is in the table, with each of its credentials.
func TestClientsOfTheRepository(t *testing.T) {
	clients, err := readClients("clients")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "conformance.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		rows := []string{}
		if c.Refusal != "" {
			rows = append(rows, c.Federated)
		}
		for _, credential := range c.Credentials {
			rows = append(rows, credential.Name)
		}
		for _, row := range rows {
			if !strings.Contains(string(page), "\n| "+c.Name+" | "+row+" |") {
				t.Errorf("%s, %s: not in the table of docs/conformance.md; make conformance-table writes it", c.Name, row)
			}
		}
	}
}

// What docs/trust-as-code.md shows of az is what a client runs.
func TestTheLinesOfTrustAsCodeRun(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "trust-as-code.md"))
	if err != nil {
		t.Fatal(err)
	}
	var scripts []byte
	for _, name := range []string{"trust.sh", "apps.sh"} {
		script, err := os.ReadFile(filepath.Join("clients", "azure-cli", name))
		if err != nil {
			t.Fatal(err)
		}
		scripts = append(scripts, script...)
	}
	lines := 0
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "az ") && !strings.HasPrefix(line, "PRINCIPAL_ID=") || strings.HasPrefix(line, "az login ") {
			continue // whose login is as two identities in the script
		}
		if strings.Contains(line, " > azure/") {
			continue // of a real tenant
		}
		lines++
		if !strings.Contains(string(scripts), line) {
			t.Errorf("%s: not in clients/azure-cli/trust.sh or apps.sh", line)
		}
	}
	if lines < 5 {
		t.Errorf("the page has %d lines of az", lines)
	}
}
