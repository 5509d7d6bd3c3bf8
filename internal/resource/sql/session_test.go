package sql_test

import (
	"context"
	databasesql "database/sql"
	"strings"
	"testing"
	"time"
)

// What drivers, health checks and scripts of identities send first is answered.
func TestAnswers(t *testing.T) {
	l := newLab(t, orders())
	db := l.open(l.tokenOf(admin, adminOID), "sales")
	for _, row := range []struct{ statement, answer string }{
		{"SELECT 1", "1"},
		{"select 1 as one;", "1"},
		{"SELECT 'a' + N'b' -- c\n", "ab"},
		{"SELECT 1 + 2", "3"},
		{"SELECT 1.50", "1.50"},
		{"SELECT @@TRANCOUNT", "0"},
		{"SELECT CASE WHEN 1 = 1 AND NOT 1 > 2 THEN 'yes' ELSE 'no' END", "yes"},
		{"SELECT CASE WHEN NULL = 1 THEN 'yes' ELSE 'no' END", "no"},
		{"SELECT SERVERPROPERTY('EngineEdition')", ""},
		{"SELECT SERVERPROPERTY('Edition')", "SQL Azure"},
		{"SELECT GETUTCDATE()", "2031-03-04T05:06:07Z"},
		{"SELECT HOST_NAME() + APP_NAME()", "*orders"},
		{"SELECT TOP 1 name FROM sys.database_principals WHERE type IN ('E', 'X') AND name <> 'dbo' ORDER BY name DESC", "web"},
		{"SELECT m.name FROM sys.database_role_members rm JOIN sys.database_principals r ON rm.role_principal_id = r.principal_id JOIN sys.database_principals AS m ON rm.member_principal_id = m.principal_id WHERE r.name = 'db_datareader'", "web"},
		{"IF NOT EXISTS (SELECT * FROM sys.database_principals WHERE name = N'WEB') SELECT 'none' ELSE SELECT 'there'", "there"},
		{"SELECT CONVERT(varchar(max), CONVERT(varbinary(16), CAST('aaaaaaaa-0000-4000-8000-000000000001' AS uniqueidentifier)), 1)", "0xAAAAAAAA000000408000000000000001"},
		{"DECLARE @a nvarchar(10) = N'x', @b int; SET @b = 3; SELECT @a + CAST(@b AS nvarchar(5))", "x3"},
		{"SET NOCOUNT ON; SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SELECT DB_NAME()", "sales"},
		{"BEGIN TRAN; IF @@TRANCOUNT > 0 COMMIT TRAN; SELECT @@TRANCOUNT", "0"},
		{"USE sales; SELECT SCHEMA_NAME()", "dbo"},
	} {
		var answer databasesql.NullString
		err := db.QueryRow(row.statement).Scan(&answer)
		found := answer.String
		if strings.HasPrefix(row.answer, "*") && strings.HasSuffix(found, row.answer[1:]) {
			found = row.answer
		}
		if err != nil || found != row.answer {
			t.Errorf("%s: expected %q, got %q, %v", row.statement, row.answer, answer.String, err)
		}
	}
	var text string
	var number int
	var raw []byte
	var at time.Time
	when := time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)
	must(t, db.QueryRow("SELECT @p1, @p2, @p3, @p4", "grüße", 7, []byte{1, 2}, when).Scan(&text, &number, &raw, &at))
	if text != "grüße" || number != 7 || string(raw) != "\x01\x02" || !at.Equal(when) {
		t.Error(text, number, raw, at)
	}
	_, err := db.Exec("SET @text = @text + N'!'; SELECT @number = @number + 35", databasesql.Named("text", databasesql.Out{Dest: &text, In: true}), databasesql.Named("number", databasesql.Out{Dest: &number, In: true}))
	if must(t, err); text != "grüße!" || number != 42 {
		t.Error(text, number)
	}
}

// The script of Aspire (microsoft/aspire#19390), which makes a user of the client id.
func TestAScriptThatMakesAUser(t *testing.T) {
	l := newLab(t, orders())
	_, err := l.open(l.tokenOf(admin, adminOID), "stock").Exec(`
DECLARE @name SYSNAME = 'reports';
DECLARE @id UNIQUEIDENTIFIER = '` + other + `';
-- Convert the guid to the right type
DECLARE @castId NVARCHAR(MAX) = CONVERT(VARCHAR(MAX), CONVERT (VARBINARY(16), @id), 1);
-- Construct command: CREATE USER [@name] WITH SID = @castId, TYPE = E;
DECLARE @cmd NVARCHAR(MAX) = N'CREATE USER [' + @name + '] WITH SID = ' + @castId + ', TYPE = E;'
EXEC (@cmd);
-- Assign roles to the new user
DECLARE @role1 NVARCHAR(MAX) = N'ALTER ROLE db_owner ADD MEMBER [' + @name + ']';
EXEC (@role1);`)
	must(t, err)
	var owner bool
	must(t, l.open(l.tokenOf(other, otherOID), "stock").QueryRow("SELECT IS_MEMBER('db_owner')").Scan(&owner))
	if !owner {
		t.Error("it is no owner")
	}
}

// What is not answered is an error, by the permission first, as with a real server.
func TestWhatIsNotAnswered(t *testing.T) {
	l := newLab(t, orders())
	reader, deployer := l.open(l.token(), "sales"), l.open(l.tokenOf(admin, adminOID), "sales")
	for _, row := range []struct {
		db        *databasesql.DB
		statement string
		number    int32
		text      string
	}{
		{reader, "SELECT * FROM dbo.orders", 40510, "connect a SQL Server: engine.url"},
		{reader, "INSERT INTO dbo.orders (id) VALUES (1)", 229, "The INSERT permission was denied on the object 'orders', database 'sales', schema 'dbo'."},
		{reader, "UPDATE [orders] SET id = 1", 229, "The UPDATE permission was denied on the object 'orders', database 'sales', schema 'dbo'."},
		{reader, "DELETE FROM orders", 229, "The DELETE permission was denied"},
		{deployer, "DELETE FROM orders", 40510, "Statement 'DELETE' is not supported"},
		{deployer, "CREATE TABLE t (id int)", 40510, "Statement 'CREATE' is not supported"},
		{deployer, "SELECT 1; SELECT LEN('a')", 40510, "Statement 'SELECT' is not supported"},
		{deployer, "SELECT 2147483647 + 1", 8115, "Arithmetic overflow error converting expression to data type int."},
		{deployer, "SELECT 'open", 105, "Unclosed quotation mark"},
		{deployer, "SELECT @nobody", 137, `Must declare the scalar variable "@nobody".`},
		{deployer, "USE stock", 40508, "USE statement is not supported"},
		{deployer, "COMMIT", 3902, "no corresponding BEGIN TRANSACTION"},
		{deployer, "SAVE TRAN a", 40510, "Statement 'SAVE'"},
		{deployer, "EXEC sp_who", 40510, ""},
	} {
		_, err := row.db.Exec(row.statement)
		if errs := refused(err); len(errs) == 0 || errs[0].Number != row.number || !strings.Contains(errs[0].Message, row.text) {
			t.Errorf("%s: expected %d %s, got %v", row.statement, row.number, row.text, err)
		}
	}
	if e := l.last(); e.Error != "40510" || !strings.Contains(e.Remedy, "engine: {url:") {
		t.Errorf("%+v", e)
	}
}

// The driver's transactions, its prepared statements, the pool's resets and a cancelled
// statement leave a connection that works.
func TestOneConnection(t *testing.T) {
	l := newLab(t, orders())
	db := l.open(l.tokenOf(admin, adminOID), "stock")
	db.SetMaxOpenConns(1)
	tx, err := db.Begin()
	must(t, err)
	_, err = tx.Exec("CREATE USER [web] FROM EXTERNAL PROVIDER")
	must(t, err)
	var open int
	must(t, tx.QueryRow("SELECT @@TRANCOUNT").Scan(&open))
	must(t, tx.Rollback())
	if open != 1 {
		t.Errorf("%d open", open)
	}
	if l.open(l.token(), "stock").Ping() == nil {
		t.Error("the user is there after the rollback")
	}
	tx, err = db.Begin()
	must(t, err)
	_, err = tx.Exec("CREATE USER [web] FROM EXTERNAL PROVIDER")
	must(t, err)
	must(t, tx.Commit())
	must(t, l.open(l.token(), "stock").Ping())

	prepared, err := db.Prepare("SELECT @p1")
	must(t, err)
	for n := range 3 {
		var found int
		if must(t, prepared.QueryRow(n).Scan(&found)); found != n {
			t.Error(found)
		}
	}
	must(t, prepared.Close())

	ctx, cancel := context.WithCancel(t.Context())
	began := make(chan struct{})
	go func() { <-began; cancel() }()
	conn, err := db.Conn(t.Context())
	must(t, err)
	close(began)
	if _, err := conn.ExecContext(ctx, "WAITFOR DELAY '00:00:20'"); err == nil {
		t.Error("it was not cancelled")
	}
	must(t, conn.Close())
	var one int
	must(t, db.QueryRow("SELECT 1").Scan(&one))
}

// A statement that waits does not hold the lab clock until it is over: what it waits for may
// happen at a later lab time.
func TestAStatementThatWaits(t *testing.T) {
	l := newLab(t, orders())
	conn, err := l.open(l.token(), "sales").Conn(t.Context())
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error)
	go func() {
		_, err := conn.ExecContext(ctx, "WAITFOR DELAY '00:01:00'")
		waited <- err
	}()
	began := time.Now()
	for time.Since(began) < 100*time.Millisecond { // the statement is on its way
		must(t, l.clock.Advance(t.Context(), time.Second))
	}
	must(t, l.clock.Advance(t.Context(), time.Hour))
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("the clock stood still for %v", took)
	}
	cancel()
	if <-waited == nil {
		t.Error("it was over before it was cancelled")
	}
	must(t, conn.Close())
}
