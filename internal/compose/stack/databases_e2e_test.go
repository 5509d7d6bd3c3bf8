//go:build e2e

package stack_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/resource/postgres/postgrestest"
	"github.com/wiemu/wiemu/internal/session"
)

// The program that make e2e-compose builds before.
const wiemu = "../../../bin/wiemu"

// Programs with the drivers of databases find their servers by the names that Azure gives them,
// log in with the identity's token, and are refused where the identity has no right, and told why.
func TestDatabases(t *testing.T) {
	e := open(t)
	project := prepareWith(t, e, "../testdata/databases/docker-compose.yml", nil, databases(t, postgrestest.InDocker(t)))
	up(t, e, project)
	var logs said
	if _, err := e.Follow(t.Context(), project, "wiemu", &logs); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`sql-1 | {"ok":true,"value":[["web",1]]}`,
		`redirected-1 | {"ok":true,"value":[["web"]]}`,
		`postgres-1 | {"ok":true,"value":[["web","orders"]]}`,
		`cache-1 | {"ok":true,"value":"OK"}`,
		`managed-1 | {"ok":true,"value":"OK"}`,
		`sql-refused-1 | {"ok":false,"error":"login error: Login failed for user '\u003ctoken-identified principal\u003e'.","reason":"18456"}`,
		`postgres-refused-1 | {"ok":false,"error":"Service principal oid mismatch for role `,
		`cache-refused-1 | {"ok":false,"error":"ERR WRONGPASS invalid username-password pair"`,
		`managed-refused-1 | {"ok":false,"error":"ERR WRONGPASS invalid username-password pair"`,
	} {
		if !strings.Contains(logs.String(), want) {
			t.Errorf("expected %s in\n%s", want, logs.String())
		}
	}
	events, err := controlOf(t, e, project).Events(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string][]string{ // by resource, what explain says of a refusal
		"Azure SQL":                     {"other is no user of database sales: no user there has the SID that its client id makes", "CREATE USER [other] FROM EXTERNAL PROVIDER"},
		"Azure Database for PostgreSQL": {`the role "web" belongs to another identity, web`, "✗ identity of the role"},
		"Azure Cache for Redis":         {"The identity is assigned no data access policy of the cache", "access: [{identity: other, policy: Data Contributor}]"},
	}
	for _, event := range events {
		if event.Kind != journal.Access || event.Outcome != journal.Denied || reasons[event.Resource] == nil {
			continue
		}
		out, err := exec.CommandContext(t.Context(), wiemu, "explain", event.ID, "--compose", project.Name).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, want := range reasons[event.Resource] {
			if !strings.Contains(string(out), want) {
				t.Errorf("wiemu explain of a refusal by %s: expected %q, found\n%s", event.Resource, want, out)
			}
		}
		delete(reasons, event.Resource)
	}
	for resource := range reasons {
		t.Errorf("the journal has no refusal by %s", resource)
	}
}

// An emulator that does not start, such as one without a PostgreSQL to start, is told with what it wrote.
func TestAnEmulatorThatEnds(t *testing.T) {
	e := open(t)
	files := databases(t, "")
	project := prepareWith(t, e, "../testdata/databases/docker-compose.yml", nil, files)
	err := e.Up(t.Context(), project)
	for _, want := range []string{"The emulator wrote: ", "PostgreSQL server orders: find PostgreSQL: initdb is neither on PATH nor in ", "url of the server in wiemu.yaml"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q, found %v", want, err)
		}
	}
	if left := leftBehind(t, e, project.Name); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// databases returns the configuration of testdata/databases with the url of its PostgreSQL server.
func databases(t *testing.T, url string) session.Files {
	t.Helper()
	text, err := os.ReadFile("../testdata/databases/wiemu.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "wiemu.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "${POSTGRES}", url)), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := session.ReadFiles(".", []string{file})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
