package sql

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/sql/answers"
)

// What is wrong with the URL of a SQL Server is told without its password.
func TestMistakesInTheURLOfAnEngine(t *testing.T) {
	for _, url := range []string{
		"sa:hunter2@localhost:1433", "sqlserver:sa:hunter2@localhost", "Server=localhost;User Id=sa;Password=hunter2", "hunter2@localhost", "mssql://sa:hunter2@localhost",
		"sqlserver://localhost?user+id=sa&password=hunter2", "sqlserver://sa@localhost/?password=hunter2", "sqlserver://sa:hunter2@localhost/sales", "sqlserver://sa:hunter2@localhost?encrypt=true", "sqlserver://sa:hunter2@local host",
	} {
		_, err := newEngine(Engine{URL: url})
		if err == nil || strings.Contains(err.Error()+resource.WithoutPassword(url), "hunter2") {
			t.Errorf("%s: %v, shown as %s", url, err, resource.WithoutPassword(url))
		}
	}
	if shown := resource.WithoutPassword("mssql://sa:hunter2@localhost:1433/"); shown != "mssql://sa:xxxxx@localhost:1433/" {
		t.Error(shown)
	}
}

// While logins are made at a SQL Server that hangs, nobody waits whose login is there, and
// nobody else longer than its own connection lives.
func TestAnEngineThatHangs(t *testing.T) {
	e, err := newEngine(Engine{URL: "sqlserver://sa:secret@localhost"})
	if err != nil {
		t.Fatal(err)
	}
	there := login{"web@tenant", answers.User{Name: "web", Roles: []string{"db_datareader"}}}
	e.passwords[there.name], e.made[of("sales", there)] = "password", there.user
	e.preparing <- true
	if err := e.prepare(t.Context(), "Sales", []login{there}); err != nil || e.passwordOf(there.name) != "password" {
		t.Errorf("who is there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.prepare(ctx, "sales", []login{there, {"reports@tenant", answers.User{Name: "reports"}}}); !errors.Is(err, context.Canceled) {
		t.Errorf("who is not: %v", err)
	}
	if before := there.user; len(statements(login{there.name, answers.User{Name: "web"}}, before, "password", false)) != 2 {
		t.Error("a role that was taken away stays")
	}
}
