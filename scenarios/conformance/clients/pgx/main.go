// Command pgx is a client of the conformance table: what pgx does with a server of Azure Database
// for PostgreSQL, each operation once.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// server has no password: a token is put in its place when a connection is opened.
const server = "postgres://web@orders.postgres.database.azure.com/orders?sslmode=verify-full&pool_max_conns=5"

func main() {
	p := &program{credential: must(azidentity.NewDefaultAzureCredential(nil))}
	config := must(pgxpool.ParseConfig(server))
	config.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) (err error) {
		c.Password, err = p.token(ctx)
		return err
	}
	if len(os.Args) > 2 && os.Args[1] == "watch" {
		p.watch(config, must(time.ParseDuration(os.Args[2]+"s")), len(os.Args) > 3 && os.Args[3] == "once")
	}
	p.pool = must(pgxpool.NewWithConfig(context.Background(), config))
	for _, operation := range []struct {
		name string
		do   func(context.Context)
	}{
		{"login", p.login}, {"table", p.table}, {"prepared", p.prepared}, {"transaction", p.transaction}, {"copy", p.copy},
		{"batch", p.batch}, {"together", p.together}, {"notify", p.notify}, {"cancel", p.cancel}, {"drop", p.drop},
	} {
		run(operation.name, operation.do)
	}
	p.pool.Close()
	fmt.Println("round done")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// run does one operation; the first that fails ends the program.
func run(name string, do func(context.Context)) {
	defer func() {
		if failure := recover(); failure != nil {
			fmt.Println(name, "failed", strings.Join(strings.Fields(fmt.Sprint(failure)), " "))
			os.Exit(1)
		}
	}()
	do(context.Background())
	fmt.Println(name, "ok")
}

type program struct {
	credential *azidentity.DefaultAzureCredential
	pool       *pgxpool.Pool
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](v T, err error) T { check(err); return v }

func want(ok bool, found ...any) {
	if !ok {
		panic(fmt.Sprint(append([]any{"not as expected: "}, found...)...))
	}
}

// code is the SQLSTATE of a call that has to fail.
func code(err error) string {
	if told := (*pgconn.PgError)(nil); errors.As(err, &told) {
		return told.Code
	}
	return fmt.Sprint(err)
}

func (p *program) token(ctx context.Context) (string, error) {
	token, err := p.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://ossrdbms-aad.database.windows.net/.default"}})
	return token.Token, err
}

func (p *program) exec(ctx context.Context, sql string, arguments ...any) {
	must(p.pool.Exec(ctx, sql, arguments...))
}

func (p *program) number(ctx context.Context, sql string, arguments ...any) (n int) {
	check(p.pool.QueryRow(ctx, sql, arguments...).Scan(&n))
	return n
}

func (p *program) login(ctx context.Context) {
	var who string
	check(p.pool.QueryRow(ctx, "select current_user || ' of ' || current_database()").Scan(&who))
	want(who == "web of orders", who)
}

func (p *program) table(ctx context.Context) {
	p.exec(ctx, "create table pgx (n int primary key, t text)")
}

func (p *program) prepared(ctx context.Context) {
	for n := range 20 {
		found := p.number(ctx, "select $1::int + 1", n)
		want(found == n+1, found)
	}
}

func (p *program) transaction(ctx context.Context) {
	tx := must(p.pool.Begin(ctx))
	must(tx.Exec(ctx, "insert into pgx values (1)"))
	check(tx.Commit(ctx))
	tx = must(p.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable}))
	must(tx.Exec(ctx, "insert into pgx values (2)"))
	check(tx.Rollback(ctx))
	_, err := p.pool.Exec(ctx, "insert into pgx values (1)")
	want(code(err) == "23505", err)
	n := p.number(ctx, "select count(*) from pgx")
	want(n == 1, n)
}

func (p *program) copy(ctx context.Context) {
	text := strings.Repeat("x", 99)
	n := must(p.pool.CopyFrom(ctx, pgx.Identifier{"pgx"}, []string{"n", "t"}, pgx.CopyFromSlice(10_000, func(i int) ([]any, error) { return []any{i + 2, text}, nil })))
	want(n == 10_000, n)
	one := must(p.pool.Acquire(ctx))
	defer one.Release()
	var out bytes.Buffer
	must(one.Conn().PgConn().CopyTo(ctx, &out, "copy pgx to stdout"))
	want(out.Len() > 1_000_000, out.Len())
}

func (p *program) batch(ctx context.Context) {
	var batch pgx.Batch
	for n := range 30 {
		batch.Queue("select $1::int", n)
	}
	results := p.pool.SendBatch(ctx, &batch)
	for n := range 30 {
		var found int
		check(results.QueryRow().Scan(&found))
		want(found == n, found)
	}
	check(results.Close())
}

// together asks from more goroutines than the pool has connections.
func (p *program) together(ctx context.Context) {
	failures := make(chan error, 20)
	for n := range 20 {
		go func() {
			var found int
			err := p.pool.QueryRow(ctx, "select $1::int + 1", n).Scan(&found)
			if err == nil && found != n+1 {
				err = fmt.Errorf("found %d", found)
			}
			failures <- err
		}()
	}
	for range 20 {
		check(<-failures)
	}
}

func (p *program) notify(ctx context.Context) {
	one := must(p.pool.Acquire(ctx))
	defer one.Release()
	must(one.Exec(ctx, "listen pgx"))
	p.exec(ctx, "notify pgx, 'hello'")
	heard := must(one.Conn().WaitForNotification(ctx))
	want(heard.Payload == "hello", heard)
	must(one.Exec(ctx, "unlisten *"))
}

// cancel cancels a query once it runs: by a request, and by a context.
func (p *program) cancel(ctx context.Context) {
	one := must(p.pool.Acquire(ctx))
	defer one.Release()
	conn := one.Conn().PgConn()
	failed := make(chan error, 1)
	go func() {
		_, err := one.Exec(ctx, "select pg_sleep(120)")
		failed <- err
	}()
	for p.number(ctx, "select count(*) from pg_stat_activity where pid = $1 and state = 'active' and query like 'select pg_sleep%'", conn.PID()) == 0 {
	}
	check(conn.CancelRequest(ctx))
	err := <-failed
	want(code(err) == "57014", err)
	short, stop := context.WithCancel(ctx)
	go func() {
		_, err := p.pool.Exec(short, "select pg_sleep(121)")
		failed <- err
	}()
	for p.number(ctx, "select count(*) from pg_stat_activity where state = 'active' and query like 'select pg_sleep(121%'") == 0 {
	}
	stop()
	err = <-failed
	want(errors.Is(err, context.Canceled), err)
}

func (p *program) drop(ctx context.Context) { p.exec(ctx, "drop table pgx") }

// watch asks again and again in the session of the start, logs in with a token of now, and with
// that of the start. If kept is set, it has a pool that goes on with the token of the start, a mistake.
func (p *program) watch(config *pgxpool.Config, every time.Duration, kept bool) {
	ctx := context.Background()
	old := must(p.token(ctx))
	first := config.ConnConfig.Copy()
	first.Password = old
	session := must(pgx.ConnectConfig(ctx, first))
	if kept {
		config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error { c.Password = old; return nil }
	}
	// A connection is used for two hours at most, as pools do.
	config.MaxConnLifetime, config.MaxConns, config.MinConns = 2*time.Hour, 1, 0
	pool := must(pgxpool.NewWithConfig(ctx, config))
	for {
		said := map[string]any{"ok": true}
		var one int
		var who string
		err := session.QueryRow(ctx, "select 1").Scan(&one)
		if err == nil {
			said["session"] = one
			err = pool.QueryRow(ctx, "select current_user").Scan(&who)
		}
		said["secret"] = who
		if err != nil {
			said["ok"], said["error"] = false, err.Error()
		}
		if again, err := pgx.ConnectConfig(ctx, first); err != nil {
			said["old"] = err.Error()
		} else {
			said["old"] = "let in"
			_ = again.Close(ctx)
		}
		fmt.Println(string(must(json.Marshal(said))))
		time.Sleep(every)
	}
}
