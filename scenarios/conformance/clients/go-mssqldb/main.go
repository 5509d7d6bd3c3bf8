// Command go-mssqldb is a client of the conformance table: what go-mssqldb does with a
// database of Azure SQL, each operation once.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/azuread"

	"github.com/wiemu/wiemu/scenarios/conformance/clients/internal/round"
)

// program is a pool of connections, and how they are logged in.
type program struct {
	*sql.DB
	how string
}

func main() {
	p := &program{open(os.Args[1], "sales"), os.Args[1]}
	if len(os.Args) > 3 && os.Args[2] == "watch" {
		if len(os.Args) > 4 {
			p.SetConnMaxLifetime(round.Must(time.ParseDuration(os.Args[4])))
		}
		p.watch(os.Args[3])
	}
	round.Play([]round.Operation{
		{Name: "ping", Do: p.one}, {Name: "who", Do: p.who}, {Name: "parameters", Do: p.parameters}, {Name: "prepared", Do: p.prepared},
		{Name: "results", Do: p.results}, {Name: "users", Do: p.users}, {Name: "rollback", Do: p.rollback}, {Name: "commit", Do: p.commit},
		{Name: "cancel", Do: p.cancel}, {Name: "denied", Do: p.denied}, {Name: "nobody", Do: p.nobody},
	})
}

// open returns a pool for a database, by one of the ways to log in.
func open(how, database string) *sql.DB {
	dsn := "sqlserver://orders.database.windows.net?database=" + database
	switch how {
	case "token":
		credential := round.Must(azidentity.NewDefaultAzureCredential(nil))
		return sql.OpenDB(round.Must(mssql.NewAccessTokenConnector(dsn, func() (string, error) {
			token, err := credential.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{"https://database.windows.net/.default"}})
			return token.Token, err
		})))
	case "default":
		return round.Must(sql.Open(azuread.DriverName, dsn+"&fedauth="+azuread.ActiveDirectoryDefault))
	case "strict":
		return round.Must(sql.Open(azuread.DriverName, dsn+"&encrypt=strict&fedauth="+azuread.ActiveDirectoryWorkloadIdentity))
	}
	return round.Must(sql.Open(azuread.DriverName, dsn+"&fedauth="+azuread.ActiveDirectoryWorkloadIdentity))
}

// asks is a pool, a connection or a transaction.
type asks interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// number is what a query answers with.
func number(ctx context.Context, db asks, query string) (n int) {
	round.Check(db.QueryRowContext(ctx, query).Scan(&n))
	return n
}

func (p *program) one(ctx context.Context) { round.Equal(number(ctx, p, "SELECT 1"), 1) }

func (p *program) who(ctx context.Context) {
	var login, user, database string
	round.Check(p.QueryRowContext(ctx, "SELECT SUSER_SNAME(), USER_NAME(), DB_NAME()").Scan(&login, &user, &database))
	round.Equal(login+" "+user+" "+database, os.Getenv("AZURE_CLIENT_ID")+"@"+os.Getenv("AZURE_TENANT_ID")+" web sales")
}

func (p *program) parameters(ctx context.Context) {
	var text string
	var number int64
	var yes bool
	var raw []byte
	var at time.Time
	var nothing sql.NullString
	when := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	round.Check(p.QueryRowContext(ctx, "SELECT @text, @p2, @p3, @p4, @p5, @p6", sql.Named("text", "blå 🐟"), 1<<40, true, []byte{1, 2, 3}, when, nil).Scan(&text, &number, &yes, &raw, &at, &nothing))
	round.Equal(fmt.Sprint(text, number, yes, string(raw), at.Equal(when), nothing.Valid), fmt.Sprint("blå 🐟", 1<<40, true, "\x01\x02\x03", true, false))
	greeting := "hei"
	round.Must(p.ExecContext(ctx, "SET @number = @number + 1; SELECT @text = @text + N' verden'", sql.Named("number", sql.Out{Dest: &number, In: true}), sql.Named("text", sql.Out{Dest: &greeting, In: true})))
	round.Equal(fmt.Sprint(number, greeting), fmt.Sprint(1<<40+1, "hei verden"))
}

func (p *program) prepared(ctx context.Context) {
	statement := round.Must(p.PrepareContext(ctx, "SELECT @p1 + 1"))
	for n := range 3 {
		var next int
		round.Check(statement.QueryRowContext(ctx, n).Scan(&next))
		round.Equal(next, n+1)
	}
	round.Check(statement.Close())
}

// results are two of one batch.
func (p *program) results(ctx context.Context) {
	rows := round.Must(p.QueryContext(ctx, "SELECT 1 AS n; SELECT 2 AS n"))
	defer func() { _ = rows.Close() }() // it was read to its end
	var all []int
	for more := true; more; more = rows.NextResultSet() {
		for rows.Next() {
			var n int
			round.Check(rows.Scan(&n))
			all = append(all, n)
		}
	}
	round.Check(rows.Err())
	round.Want(slices.Equal(all, []int{1, 2}), all)
}

const (
	create = "CREATE USER [reporting] FROM EXTERNAL PROVIDER; ALTER ROLE db_datareader ADD MEMBER [reporting];"
	drop   = "ALTER ROLE db_datareader DROP MEMBER [reporting]; DROP USER [reporting];"

	// count checks whether a user is called reporting and has a role, 1 or 0.
	count = "SELECT CASE WHEN EXISTS (SELECT 1 FROM sys.database_role_members AS rm JOIN sys.database_principals AS m ON rm.member_principal_id = m.principal_id WHERE m.name = 'reporting') THEN 1 ELSE 0 END"
)

func (p *program) users(ctx context.Context) {
	round.Equal(number(ctx, p, count), 0)
	round.Must(p.ExecContext(ctx, create))
	round.Equal(number(ctx, p, count), 1)
	round.Must(p.ExecContext(ctx, drop))
	round.Equal(number(ctx, p, count), 0)
}

func (p *program) rollback(ctx context.Context) { p.ends(ctx, (*sql.Tx).Rollback, 0) }

func (p *program) commit(ctx context.Context) {
	p.ends(ctx, (*sql.Tx).Commit, 1)
	round.Must(p.ExecContext(ctx, drop))
}

// ends makes a user in a transaction, ends it, and checks whether the user is there.
func (p *program) ends(ctx context.Context, end func(*sql.Tx) error, expected int) {
	tx := round.Must(p.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable}))
	round.Must(tx.ExecContext(ctx, create))
	round.Equal(number(ctx, tx, count), 1)
	round.Check(end(tx))
	round.Equal(number(ctx, p, count), expected)
}

// cancel takes a statement back and goes on with its connection.
func (p *program) cancel(ctx context.Context) {
	conn := round.Must(p.Conn(ctx))
	defer func() { _ = conn.Close() }() // there is nothing to lose
	before := number(ctx, conn, "SELECT @@SPID")
	limited, stop := context.WithCancel(ctx)
	defer time.AfterFunc(200*time.Millisecond, stop).Stop()
	_, err := conn.ExecContext(limited, "WAITFOR DELAY '00:01:00'")
	round.Want(err != nil, "it was not cancelled")
	round.Equal(number(ctx, conn, "SELECT @@SPID"), before)
}

func (p *program) denied(ctx context.Context) {
	p.fails(ctx, "reports", "SELECT * FROM dbo.orders", 229, "The SELECT permission was denied on the object 'orders', database 'reports', schema 'dbo'.")
}

func (p *program) nobody(ctx context.Context) {
	p.fails(ctx, "stock", "SELECT 1", 18456, "login error: Login failed for user '<token-identified principal>'.")
	p.fails(ctx, "none", "SELECT 1", 18456, "login error: Login failed for user '<token-identified principal>'.", 4060)
}

// fails checks the error of a statement in a database, which others may precede.
func (p *program) fails(ctx context.Context, database, statement string, number int32, text string, before ...int32) {
	db := open(p.how, database)
	defer func() { _ = db.Close() }() // there is nothing to lose
	_, err := db.ExecContext(ctx, statement)
	refused, ok := errors.AsType[mssql.Error](err)
	round.Want(ok && refused.Number == number && refused.Message == text, database, ": ", err)
	for n, number := range before {
		round.Want(n < len(refused.All) && refused.All[n].Number == number, database, ": ", refused.All)
	}
}

// watch asks who it is every so often.
func (p *program) watch(seconds string) {
	round.Watch(seconds, func(ctx context.Context, line map[string]any) {
		var user string
		var session int
		err := p.QueryRowContext(ctx, "SELECT USER_NAME(), @@SPID").Scan(&user, &session)
		line["user"], line["session"] = user, session
		if refused, ok := errors.AsType[mssql.Error](err); ok { // within "SQL Server had internal error"
			line["number"] = refused.Number
		}
		round.Check(err)
	})
}
