// Command pgx is a client of the conformance table: what pgx does with a server of Azure Database
// for PostgreSQL, each operation once.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/wiemu/wiemu/scenarios/conformance/clients/internal/round"
)

// server has no password: a token is put in its place when a connection is opened.
const server = "postgres://web@orders.postgres.database.azure.com/orders?sslmode=verify-full&pool_max_conns=5"

func main() {
	p := &program{credential: round.Must(azidentity.NewDefaultAzureCredential(nil))}
	config := round.Must(pgxpool.ParseConfig(server))
	config.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) (err error) {
		c.Password, err = p.token(ctx)
		return err
	}
	if len(os.Args) > 2 && os.Args[1] == "watch" {
		p.watch(config, os.Args[2], len(os.Args) > 3 && os.Args[3] == "once")
	}
	p.pool = round.Must(pgxpool.NewWithConfig(context.Background(), config))
	round.Play([]round.Operation{
		{Name: "login", Do: p.login}, {Name: "table", Do: p.table}, {Name: "prepared", Do: p.prepared}, {Name: "transaction", Do: p.transaction},
		{Name: "copy", Do: p.copy}, {Name: "batch", Do: p.batch}, {Name: "together", Do: p.together}, {Name: "notify", Do: p.notify},
		{Name: "cancel", Do: p.cancel}, {Name: "drop", Do: p.drop},
	})
}

type program struct {
	credential *azidentity.DefaultAzureCredential
	pool       *pgxpool.Pool
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
	round.Must(p.pool.Exec(ctx, sql, arguments...))
}

func (p *program) number(ctx context.Context, sql string, arguments ...any) (n int) {
	round.Check(p.pool.QueryRow(ctx, sql, arguments...).Scan(&n))
	return n
}

func (p *program) login(ctx context.Context) {
	var who string
	round.Check(p.pool.QueryRow(ctx, "select current_user || ' of ' || current_database()").Scan(&who))
	round.Want(who == "web of orders", who)
}

func (p *program) table(ctx context.Context) {
	p.exec(ctx, "create table pgx (n int primary key, t text)")
}

func (p *program) prepared(ctx context.Context) {
	for n := range 20 {
		found := p.number(ctx, "select $1::int + 1", n)
		round.Want(found == n+1, found)
	}
}

func (p *program) transaction(ctx context.Context) {
	tx := round.Must(p.pool.Begin(ctx))
	round.Must(tx.Exec(ctx, "insert into pgx values (1)"))
	round.Check(tx.Commit(ctx))
	tx = round.Must(p.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable}))
	round.Must(tx.Exec(ctx, "insert into pgx values (2)"))
	round.Check(tx.Rollback(ctx))
	_, err := p.pool.Exec(ctx, "insert into pgx values (1)")
	round.Want(code(err) == "23505", err)
	n := p.number(ctx, "select count(*) from pgx")
	round.Want(n == 1, n)
}

func (p *program) copy(ctx context.Context) {
	text := strings.Repeat("x", 99)
	n := round.Must(p.pool.CopyFrom(ctx, pgx.Identifier{"pgx"}, []string{"n", "t"}, pgx.CopyFromSlice(10_000, func(i int) ([]any, error) { return []any{i + 2, text}, nil })))
	round.Want(n == 10_000, n)
	one := round.Must(p.pool.Acquire(ctx))
	defer one.Release()
	var out bytes.Buffer
	round.Must(one.Conn().PgConn().CopyTo(ctx, &out, "copy pgx to stdout"))
	round.Want(out.Len() > 1_000_000, out.Len())
}

func (p *program) batch(ctx context.Context) {
	var batch pgx.Batch
	for n := range 30 {
		batch.Queue("select $1::int", n)
	}
	results := p.pool.SendBatch(ctx, &batch)
	for n := range 30 {
		var found int
		round.Check(results.QueryRow().Scan(&found))
		round.Want(found == n, found)
	}
	round.Check(results.Close())
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
		round.Check(<-failures)
	}
}

func (p *program) notify(ctx context.Context) {
	one := round.Must(p.pool.Acquire(ctx))
	defer one.Release()
	round.Must(one.Exec(ctx, "listen pgx"))
	p.exec(ctx, "notify pgx, 'hello'")
	heard := round.Must(one.Conn().WaitForNotification(ctx))
	round.Want(heard.Payload == "hello", heard)
	round.Must(one.Exec(ctx, "unlisten *"))
}

// cancel cancels a query once it runs: by a request, and by a context.
func (p *program) cancel(ctx context.Context) {
	one := round.Must(p.pool.Acquire(ctx))
	defer one.Release()
	conn := one.Conn().PgConn()
	failed := make(chan error, 1)
	go func() {
		_, err := one.Exec(ctx, "select pg_sleep(120)")
		failed <- err
	}()
	for p.number(ctx, "select count(*) from pg_stat_activity where pid = $1 and state = 'active' and query like 'select pg_sleep%'", conn.PID()) == 0 {
	}
	round.Check(conn.CancelRequest(ctx))
	err := <-failed
	round.Want(code(err) == "57014", err)
	short, stop := context.WithCancel(ctx)
	go func() {
		_, err := p.pool.Exec(short, "select pg_sleep(121)")
		failed <- err
	}()
	for p.number(ctx, "select count(*) from pg_stat_activity where state = 'active' and query like 'select pg_sleep(121%'") == 0 {
	}
	stop()
	err = <-failed
	round.Want(errors.Is(err, context.Canceled), err)
}

func (p *program) drop(ctx context.Context) {
	p.exec(ctx, "drop table pgx")
	p.pool.Close()
}

// watch asks again and again in the session of the start, logs in with a token of now, and with
// that of the start. If kept is set, it has a pool that goes on with the token of the start, a mistake.
func (p *program) watch(config *pgxpool.Config, seconds string, kept bool) {
	ctx := context.Background()
	old := round.Must(p.token(ctx))
	first := config.ConnConfig.Copy()
	first.Password = old
	session := round.Must(pgx.ConnectConfig(ctx, first))
	if kept {
		config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error { c.Password = old; return nil }
	}
	// A connection is used for two hours at most, as pools do.
	config.MaxConnLifetime, config.MaxConns, config.MinConns = 2*time.Hour, 1, 0
	pool := round.Must(pgxpool.NewWithConfig(ctx, config))
	round.Watch(seconds, func(ctx context.Context, line map[string]any) {
		var one int
		var who string
		err := session.QueryRow(ctx, "select 1").Scan(&one)
		if err == nil {
			line["session"] = one
			err = pool.QueryRow(ctx, "select current_user").Scan(&who)
		}
		line["secret"], line["old"] = who, "let in"
		if again, err := pgx.ConnectConfig(ctx, first); err != nil {
			line["old"] = err.Error()
		} else {
			_ = again.Close(ctx)
		}
		round.Check(err)
	})
}
