// Command go-mssqldb is a client of the conformance table: what go-mssqldb does with a
// database of Azure SQL, each operation once.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/azuread"
)

func main() {
	how := os.Args[1]
	db, err := open(how, "sales")
	exitOn("open", err)
	if len(os.Args) > 3 && os.Args[2] == "watch" {
		every, err := time.ParseDuration(os.Args[3] + "s")
		exitOn("watch", err)
		if len(os.Args) > 4 {
			lifetime, err := time.ParseDuration(os.Args[4])
			exitOn("watch", err)
			db.SetConnMaxLifetime(lifetime)
		}
		watch(db, every)
	}
	for _, operation := range []struct {
		name string
		do   func(context.Context, *sql.DB) error
	}{
		{"ping", one}, {"who", who}, {"parameters", parameters}, {"prepared", prepared}, {"results", results}, {"users", users}, {"rollback", rollback}, {"commit", commit}, {"cancel", cancel},
		{"denied", func(ctx context.Context, _ *sql.DB) error {
			return fails(ctx, how, "reports", "SELECT * FROM dbo.orders", 229, "The SELECT permission was denied on the object 'orders', database 'reports', schema 'dbo'.")
		}},
		{"nobody", func(ctx context.Context, _ *sql.DB) error {
			if err := fails(ctx, how, "stock", "SELECT 1", 18456, "login error: Login failed for user '<token-identified principal>'."); err != nil {
				return err
			}
			return fails(ctx, how, "none", "SELECT 1", 18456, "login error: Login failed for user '<token-identified principal>'.", 4060)
		}},
	} {
		exitOn(operation.name, operation.do(context.Background(), db))
		fmt.Println(operation.name, "ok")
	}
	fmt.Println("round done")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func exitOn(name string, err error) {
	if err != nil {
		fmt.Println(name, "failed", strings.Join(strings.Fields(err.Error()), " "))
		os.Exit(1)
	}
}

// open returns a pool for a database, by one of the ways to log in.
func open(how, database string) (*sql.DB, error) {
	dsn := "sqlserver://orders.database.windows.net?database=" + database
	switch how {
	case "token":
		credential, err := azidentity.NewDefaultAzureCredential(nil)
		if err != nil {
			return nil, err
		}
		connector, err := mssql.NewAccessTokenConnector(dsn, func() (string, error) {
			token, err := credential.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{"https://database.windows.net/.default"}})
			return token.Token, err
		})
		if err != nil {
			return nil, err
		}
		return sql.OpenDB(connector), nil
	case "default":
		return sql.Open(azuread.DriverName, dsn+"&fedauth="+azuread.ActiveDirectoryDefault)
	case "strict":
		return sql.Open(azuread.DriverName, dsn+"&encrypt=strict&fedauth="+azuread.ActiveDirectoryWorkloadIdentity)
	}
	return sql.Open(azuread.DriverName, dsn+"&fedauth="+azuread.ActiveDirectoryWorkloadIdentity)
}

func one(ctx context.Context, db *sql.DB) error {
	var one int
	err := db.QueryRowContext(ctx, "SELECT 1").Scan(&one)
	return want(err, one, 1)
}

func want[T comparable](err error, found, expected T) error {
	if err == nil && found != expected {
		err = fmt.Errorf("expected %v, found %v", expected, found)
	}
	return err
}

func who(ctx context.Context, db *sql.DB) error {
	var login, user, database string
	if err := db.QueryRowContext(ctx, "SELECT SUSER_SNAME(), USER_NAME(), DB_NAME()").Scan(&login, &user, &database); err != nil {
		return err
	}
	return want(nil, login+" "+user+" "+database, os.Getenv("AZURE_CLIENT_ID")+"@"+os.Getenv("AZURE_TENANT_ID")+" web sales")
}

func parameters(ctx context.Context, db *sql.DB) error {
	var text string
	var number int64
	var yes bool
	var raw []byte
	var at time.Time
	var nothing sql.NullString
	when := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := db.QueryRowContext(ctx, "SELECT @text, @p2, @p3, @p4, @p5, @p6", sql.Named("text", "blå 🐟"), 1<<40, true, []byte{1, 2, 3}, when, nil).Scan(&text, &number, &yes, &raw, &at, &nothing); err != nil {
		return err
	}
	if err := want(nil, fmt.Sprint(text, number, yes, string(raw), at.Equal(when), nothing.Valid), fmt.Sprint("blå 🐟", 1<<40, true, "\x01\x02\x03", true, false)); err != nil {
		return err
	}
	greeting := "hei"
	_, err := db.ExecContext(ctx, "SET @number = @number + 1; SELECT @text = @text + N' verden'", sql.Named("number", sql.Out{Dest: &number, In: true}), sql.Named("text", sql.Out{Dest: &greeting, In: true}))
	return want(err, fmt.Sprint(number, greeting), fmt.Sprint(1<<40+1, "hei verden"))
}

func prepared(ctx context.Context, db *sql.DB) error {
	statement, err := db.PrepareContext(ctx, "SELECT @p1 + 1")
	if err != nil {
		return err
	}
	for n := range 3 {
		var next int
		if err := want(statement.QueryRowContext(ctx, n).Scan(&next), next, n+1); err != nil {
			return err
		}
	}
	return statement.Close()
}

// results are two of one batch.
func results(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, "SELECT 1 AS n; SELECT 2 AS n")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // it was read to its end
	var all []int
	for more := true; more; more = rows.NextResultSet() {
		for rows.Next() {
			var n int
			if err := rows.Scan(&n); err != nil {
				return err
			}
			all = append(all, n)
		}
	}
	return want(rows.Err(), fmt.Sprint(all), "[1 2]")
}

const (
	create = "CREATE USER [reporting] FROM EXTERNAL PROVIDER; ALTER ROLE db_datareader ADD MEMBER [reporting];"
	drop   = "ALTER ROLE db_datareader DROP MEMBER [reporting]; DROP USER [reporting];"
	count  = "SELECT CASE WHEN EXISTS (SELECT 1 FROM sys.database_role_members AS rm JOIN sys.database_principals AS m ON rm.member_principal_id = m.principal_id WHERE m.name = 'reporting') THEN 1 ELSE 0 END"
)

// asks is a pool, a connection or a transaction.
type asks interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// counts checks whether a user is called reporting and has a role, 1 or 0.
func counts(ctx context.Context, db asks, expected int) error {
	var n int
	err := db.QueryRowContext(ctx, count).Scan(&n)
	return want(err, n, expected)
}

func users(ctx context.Context, db *sql.DB) error {
	if err := counts(ctx, db, 0); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, create); err != nil {
		return err
	}
	if err := counts(ctx, db, 1); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, drop); err != nil {
		return err
	}
	return counts(ctx, db, 0)
}

func rollback(ctx context.Context, db *sql.DB) error { return ends(ctx, db, (*sql.Tx).Rollback, 0) }

func commit(ctx context.Context, db *sql.DB) error {
	if err := ends(ctx, db, (*sql.Tx).Commit, 1); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, drop)
	return err
}

// ends makes a user in a transaction, ends it, and checks whether the user is there.
func ends(ctx context.Context, db *sql.DB, end func(*sql.Tx) error, expected int) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, create); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := counts(ctx, tx, 1); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := end(tx); err != nil {
		return err
	}
	return counts(ctx, db, expected)
}

// cancel takes a statement back and goes on with its connection.
func cancel(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // there is nothing to lose
	var before, after int
	if err := conn.QueryRowContext(ctx, "SELECT @@SPID").Scan(&before); err != nil {
		return err
	}
	limited, stop := context.WithCancel(ctx)
	defer time.AfterFunc(200*time.Millisecond, stop).Stop()
	if _, err := conn.ExecContext(limited, "WAITFOR DELAY '00:01:00'"); err == nil {
		return errors.New("it was not cancelled")
	}
	err = conn.QueryRowContext(ctx, "SELECT @@SPID").Scan(&after)
	return want(err, after, before)
}

// fails checks the error of a statement in a database, which others may precede.
func fails(ctx context.Context, how, database, statement string, number int32, text string, before ...int32) error {
	db, err := open(how, database)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // there is nothing to lose
	_, err = db.ExecContext(ctx, statement)
	var refused mssql.Error
	if !errors.As(err, &refused) || refused.Number != number || refused.Message != text {
		return fmt.Errorf("%s: expected %d %s, found %w", database, number, text, err)
	}
	for n, number := range before {
		if n >= len(refused.All) || refused.All[n].Number != number {
			return fmt.Errorf("%s: expected %d first, found %v", database, number, refused.All)
		}
	}
	return nil
}

// watch asks who it is every so often.
func watch(db *sql.DB, every time.Duration) {
	lines := json.NewEncoder(os.Stdout)
	for {
		var user string
		var session int
		err := db.QueryRow("SELECT USER_NAME(), @@SPID").Scan(&user, &session)
		line := map[string]any{"ok": err == nil, "user": user, "session": session}
		if err != nil {
			line["error"] = err.Error()
			var refused mssql.Error // within "SQL Server had internal error"
			if errors.As(err, &refused) {
				line["number"] = refused.Number
			}
		}
		exitOn("watch", lines.Encode(line))
		time.Sleep(every)
	}
}
