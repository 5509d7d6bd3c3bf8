package answers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

// people is a database in memory.
type people struct{ users []User }

func (*people) Name() string    { return "sales" }
func (p *people) Users() []User { return append([]User(nil), p.users...) }

func (p *people) Create(u NewUser) error {
	p.users = append(p.users, User{Name: u.Name, SID: u.SID, Group: u.Group})
	return nil
}

func (p *people) Drop(name string) error {
	for n, u := range p.users {
		if strings.EqualFold(u.Name, name) {
			p.users = append(p.users[:n:n], p.users[n+1:]...)
			return nil
		}
	}
	return tds.Errorf(15151, "no %s", name)
}

func (p *people) SetMember(role, name string, member bool) error {
	for n, u := range p.users {
		if strings.EqualFold(u.Name, name) {
			p.users[n].Roles = nil
			if member {
				p.users[n].Roles = []string{role}
			}
		}
	}
	return nil
}

// written is an answer as text: rows with | between their values and a line each.
type written struct {
	t       testing.TB
	columns []tds.Column
	text    strings.Builder
}

func (w *written) Columns(c []tds.Column) { w.columns = c }
func (w *written) EndRows()               {}
func (w *written) Done()                  {}
func (w *written) Message(e *tds.Error)   { fmt.Fprintln(&w.text, e.Message) }

func (w *written) Row(values []any) error {
	for n, v := range values {
		if n > 0 {
			w.text.WriteByte('|')
		}
		of, ok := w.columns[n].Type, true
		switch v.(type) { // tds would refuse another one
		case string:
			ok = !of.IsInteger() && of != tds.Bit && of != tds.Float
		case int64:
			ok = of.IsInteger()
		case bool:
			ok = of == tds.Bit
		}
		if !ok {
			w.t.Errorf("a value %v of %T for a column of type %+v", v, v, of)
		}
		if v == nil {
			v = "NULL"
		}
		fmt.Fprint(&w.text, v)
	}
	w.text.WriteByte('\n')
	return nil
}

func newSession() (*Session, *people) {
	p := &people{users: []User{{Name: "web", Roles: []string{"db_datareader"}}, {Name: "reports"}}}
	return New(p, Login{Name: "id@tenant", User: DBO, App: "orders"}, func() time.Time { return time.Unix(0, 0) }), p
}

// run answers a batch: rows and messages, or the number of the error.
func run(t testing.TB, s *Session, sql string, params ...tds.Param) string {
	t.Helper()
	w := &written{t: t}
	err := s.Batch(t.Context(), sql, params, w)
	var e *tds.Error
	switch {
	case errors.As(err, &e):
		return fmt.Sprint(w.text.String(), e.Number)
	case err != nil:
		return err.Error()
	}
	return strings.TrimSuffix(w.text.String(), "\n")
}

// What is answered is what SQL Server answers; anything else is refused.
func TestBatches(t *testing.T) {
	for _, row := range []struct{ sql, answer string }{
		{"", ""},
		{";;", ""},
		{"SELECT 1, 'a', NULL, 0x0A", "1|a|NULL|[10]"},
		{"SELECT (1), ((2))", "1|2"},
		{"SELECT -1, .5, 1.", "-1|.5|1."},
		{"SELECT * 1", "40510"},
		{"SELECT *", "40510"},
		{"SELECT CASE WHEN (1) = 1 AND ((1 = 1) OR (2) IN (3)) THEN 'a' END", "a"},
		{"SELECT CASE WHEN NOT NOT NOT 1 = 1 THEN 'a' ELSE 'b' END", "b"},
		{"SELECT CASE WHEN (1) NOT IN (2, 3) THEN 'a' END", "a"},
		{"SELECT CASE WHEN ((NULL)) IS NULL THEN 'a' END", "a"},
		{"SELECT CASE WHEN (1 = 1 THEN 1 END", "40510"},
		{"SELECT CASE WHEN 1 = 1 THEN 1.5 ELSE 1.25 END", "40510"}, // of another scale
		{"DECLARE @a varchar(3) = NULL; SELECT ISNULL(@a, 'abcdef'), COALESCE(@a, 'abcdef')", "abc|abcdef"},
		{"SELECT TOP 1 name FROM sys.database_principals ORDER BY 1 DESC", "web"},
		{"DECLARE @n int = 2; SELECT TOP (@n) name FROM sys.database_principals ORDER BY name", "db_accessadmin\ndb_backupoperator"},
		{"DECLARE @n int; SELECT TOP (@n) name FROM sys.database_principals", "1060"},
		{"DECLARE @n int = -1; SELECT TOP (@n) name FROM sys.database_principals", "127"},
		{"SELECT name FROM sys.database_principals ORDER BY 2", "108"},
		{"SELECT TOP 2 name, default_schema_name FROM sys.database_principals WHERE name IN ('web', 'public') ORDER BY default_schema_name", "public|NULL\nweb|dbo"},
		{"SELECT name FROM sys.database_principals ORDER BY sid", "40510"},
		{"SET ROWCOUNT 1", "40510"},
		{"SET ROWCOUNT 0", ""},
		{"SELECT CAST('aaaaaaaa00004000800000000000000001' AS uniqueidentifier)", "8169"},
		{"SELECT QUOTENAME('a]b')", "[a]]b]"},
		{"PRINT 'a'; PRINT N'b'", "a\nb"},
		{"EXEC ('EXEC (''SELECT 1'')')", "1"},
		{"DECLARE @s varchar(max) = 'x'; EXEC (@s)", "40510"},
		{"SELECT [" + strings.Repeat("a", 129) + "]", "103"},
		{"SELECT @" + strings.Repeat("é", 128), "103"},
		{"SELECT @" + strings.Repeat("é", 127), "137"},
		{"SELECT 1" + strings.Repeat(", 1", 4096), "1056"},
	} {
		s, _ := newSession()
		if got := run(t, s, row.sql); got != row.answer {
			t.Errorf("%s: expected %q, got %q", clip(row.sql), row.answer, got)
		}
	}
}

// What costs a client a few bytes does not cost wiemu its memory, its stack, or minutes.
func TestBatchesThatExhaust(t *testing.T) {
	repeat := strings.Repeat
	for _, row := range []struct{ name, sql, answer string }{
		{"a text that doubles", "DECLARE @a varchar(max) = 'x'; " + repeat("SET @a = @a + @a; ", 60), "701"},
		{"many long texts", "DECLARE @a varchar(max) = 'x'; " + repeat("SET @a = @a + @a; ", 24) + repeat("SET @a = @a + ''; ", 100), "701"},
		{"a long sum", "SELECT 1" + repeat("+1", 20_000), "20001"},
		{"a longer one", "SELECT 1" + repeat("+1", 1_000_000), "701"},
		{"a condition with many words", "SELECT CASE WHEN " + repeat("NOT ", 50_000) + "1 = 1 THEN 1 END", "1"},
		{"many ANDs", "SELECT CASE WHEN 1 = 1" + repeat(" AND 1 = 1", 20_000) + " THEN 1 END", "1"},
		{"parentheses", "SELECT " + repeat("(", 100_000) + "1" + repeat(")", 100_000), "40510"},
		{"conditions in parentheses", "IF " + repeat("(", 50_000) + "1 = 1", "40510"},
		{"CASE within CASE", "SELECT " + repeat("CASE WHEN (", 30) + "1" + repeat(") = 1 THEN 1 END", 30), "1"},
		{"joins", "SELECT 1 FROM sys.database_principals a" + repeat(" JOIN sys.database_principals b ON 1 = 1", 20), "701"},
		{"more of them", "SELECT 1 FROM sys.database_principals a" + repeat(" JOIN sys.database_principals b ON 1 = 2", 300), "106"},
		{"blocks", repeat("BEGIN ", 100_000), "40510"},
		{"nothing", repeat(";", 1<<20), "701"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, _ := newSession()
			began := time.Now()
			if got := run(t, s, row.sql); got != row.answer {
				t.Errorf("expected %q, got %q", row.answer, clip(got))
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// A parameter of sql_variant has a value of any type: nothing is done with it.
func TestVariants(t *testing.T) {
	s, _ := newSession()
	variant := tds.Param{Name: "@p", Type: tds.Type{ID: 0x62}, Value: int64(7)}
	for _, sql := range []string{"SELECT @p", "SELECT @p + 'a'", "SELECT QUOTENAME(@p)", "IF @p = 'a' SELECT 1", "EXEC (@p)", "SET @p = 'a'", "PRINT @p"} {
		if got := run(t, s, sql, variant); got != "40510" {
			t.Errorf("%s: %s", sql, got)
		}
	}
}

// With XACT_ABORT a batch that fails takes its transaction back; without, it stays open.
func TestXactAbort(t *testing.T) {
	const change = "BEGIN TRAN; DROP USER [web]; DROP USER [nobody]"
	s, p := newSession()
	if got := run(t, s, change); got != "15151" || !s.InTransaction() || len(p.users) != 1 {
		t.Errorf("without it: %s, %+v", got, p.users)
	}
	if got := run(t, s, "ROLLBACK; SET XACT_ABORT ON; "+change); got != "15151" || s.InTransaction() || !s.RolledBack() || len(p.users) != 2 {
		t.Errorf("with it: %s, %+v", got, p.users)
	}
	s.Reset()
	if run(t, s, change); !s.InTransaction() {
		t.Error("a reset has not switched it off")
	}
}

// vanishing is a database that another session changes all the time.
type vanishing struct {
	people
	asked int
}

func (v *vanishing) Users() []User {
	if v.asked++; v.asked%2 == 0 {
		return nil
	}
	return v.people.Users()
}

// Another session may drop a user between two looks at it.
func TestAUserThatVanishes(t *testing.T) {
	for _, sql := range []string{"ALTER ROLE db_owner ADD MEMBER [web]", "DROP USER [web]", "DROP USER IF EXISTS [web]", "BEGIN TRAN; DROP USER [web]; ROLLBACK"} {
		for asked := range 2 {
			v := &vanishing{people: people{users: []User{{Name: "web"}}}, asked: asked}
			s := New(v, Login{User: DBO}, time.Now)
			_ = run(t, s, sql) // with an error, or not
			_ = s.Close()
		}
	}
}

// A refusal says what the statement is, without the literals, which may be secrets.
func TestRefusalsWithoutSecrets(t *testing.T) {
	s, _ := newSession()
	for _, sql := range []string{"CREATE LOGIN x WITH PASSWORD = 'hunter2'", "INSERT t VALUES (N'hunter2', 0xhunter2)"} {
		err := s.Batch(t.Context(), sql, nil, &written{t: t})
		if err == nil || strings.Contains(err.Error(), "hunter2") && !strings.Contains(sql, "0x") || !strings.Contains(err.Error(), clip(sql)[:6]) {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func FuzzBatch(f *testing.F) {
	for _, sql := range []string{
		"SELECT 1 + @p, 'a' + N'b' -- c", "DECLARE @a nvarchar(10) = N'x', @b int; SET @b = 3; SELECT @a + CAST(@b AS nvarchar(5))",
		"IF NOT EXISTS (SELECT TOP 1 * FROM sys.database_principals WHERE name = N'WEB') SELECT 'none' ELSE BEGIN SELECT 'there' END",
		"SELECT m.name FROM sys.database_role_members rm JOIN sys.database_principals r ON rm.role_principal_id = r.principal_id ORDER BY 1 DESC",
		"BEGIN TRAN; CREATE USER [x] WITH SID = 0x0102030405060708090A0B0C0D0E0F10, TYPE = E; ALTER ROLE db_owner ADD MEMBER x; ROLLBACK",
		"SELECT CONVERT(varchar(max), CONVERT(varbinary(16), CAST('aaaaaaaa-0000-4000-8000-000000000001' AS uniqueidentifier)), 1)",
		"SELECT CASE WHEN (@p) IN (1, 2) THEN ISNULL(@s, 'x') ELSE QUOTENAME('y') END; EXEC ('SELECT 1'); EXEC sp_addrolemember 'db_owner', 'web'",
		"SET XACT_ABORT ON; SET IMPLICIT_TRANSACTIONS ON; PRINT 'a'; USE sales; DROP USER IF EXISTS web",
	} {
		f.Add(sql, int64(7), "text")
	}
	f.Fuzz(func(t *testing.T, sql string, n int64, text string) {
		if strings.Contains(strings.ToUpper(sql), "WAITFOR") {
			return // it would
		}
		s, p := newSession()
		params := []tds.Param{{Name: "@p", Type: tds.BigInt, Value: n}, {Name: "@s", Type: tds.NVarChar(0), Value: text}, {Name: "@g", Type: tds.GUID}, {Name: "@b", Type: tds.Bit, Value: n > 0}}
		if err := s.Batch(t.Context(), sql, params, &written{t: t}); err != nil && !errors.Is(err, context.Canceled) {
			if e := (*tds.Error)(nil); !errors.As(err, &e) {
				t.Errorf("an error that is none of SQL Server: %v", err)
			}
		}
		_ = s.Close()
		_, _, _ = Users(sql, p, Login{User: DBO})
	})
}
