package postgres_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wiemu/wiemu/internal/resource/postgres/local"
)

// What the way through wiemu costs: a login, a query, and 50 MB, each beside PostgreSQL itself.
func BenchmarkPostgreSQL(b *testing.B) {
	needPostgreSQL(b)
	own, err := local.Start(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = own.Close() })
	cfg, _ := pgconn.ParseConfig(own.ConnString()) // it answers
	server := app()
	server.URL = "postgres://wiemu:secret@/postgres?sslmode=disable&host=" + cfg.Host
	l := newLab(b, server)
	token := l.token(nil)
	for name, connect := range map[string]func() (*pgconn.PgConn, error){
		"through wiemu": func() (*pgconn.PgConn, error) { return l.connect("Orders API", "orders", token) },
		"directly":      func() (*pgconn.PgConn, error) { return pgconn.Connect(context.Background(), own.ConnString()) },
	} {
		b.Run("login "+name, func(b *testing.B) {
			for b.Loop() {
				conn, err := connect()
				if err != nil {
					b.Fatal(err)
				}
				_ = conn.Close(context.Background())
			}
		})
		conn, err := connect()
		if err != nil {
			b.Fatal(err)
		}
		for what, sql := range map[string]string{"select 1 ": "select 1", "50 MB ": "select repeat('x', 50*1000*1000)"} {
			b.Run(what+name, func(b *testing.B) {
				for b.Loop() {
					if _, err := run(conn, sql); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		_ = conn.Close(context.Background())
	}
}

// What goes through wiemu, by TLS, in one run, as a share of what PostgreSQL itself sends or takes:
// each is measured right after the other, so that what else the machine does slows both. PostgreSQL
// itself is reached by its socket, without TLS. A client of Azure has TLS in any case; to compare with
// that, set WIEMU_BENCH_POSTGRES to the URL of a local PostgreSQL with ssl=on (?sslmode=require).
func BenchmarkBandwidth(b *testing.B) {
	needPostgreSQL(b)
	own, err := local.Start(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = own.Close() })
	cfg, _ := pgconn.ParseConfig(own.ConnString()) // it answers
	server := app()
	server.URL = "postgres://wiemu:secret@/postgres?sslmode=disable&host=" + cfg.Host
	l := newLab(b, server)
	through, err := l.connect("Orders API", "orders", l.token(nil))
	if err != nil {
		b.Fatal(err)
	}
	directly, err := pgconn.Connect(context.Background(), own.ConnString())
	if err != nil {
		b.Fatal(err)
	}
	conns := []*pgconn.PgConn{through, directly}
	if url := os.Getenv("WIEMU_BENCH_POSTGRES"); url != "" {
		secured, err := pgconn.Connect(context.Background(), url)
		if err != nil {
			b.Fatal(err)
		}
		conns = append(conns, secured)
	}
	line := bytes.Repeat(append(bytes.Repeat([]byte("x"), 999), '\n'), 50_000)
	for _, conn := range conns {
		if _, err := run(conn, "create temp table copied (t text)"); err != nil {
			b.Fatal(err)
		}
	}
	for name, move := range map[string]func(*pgconn.PgConn) error{
		"rows": func(conn *pgconn.PgConn) error {
			return conn.Exec(context.Background(), "select repeat('x', 999) from generate_series(1, 50000)").Close()
		},
		"copy out": func(conn *pgconn.PgConn) error {
			_, err := conn.CopyTo(context.Background(), io.Discard, "copy (select repeat('x', 999) from generate_series(1, 50000)) to stdout")
			return err
		},
		"copy in": func(conn *pgconn.PgConn) error {
			_, err := conn.CopyFrom(context.Background(), bytes.NewReader(line), "copy copied from stdin")
			return err
		},
	} {
		b.Run("50 MB, "+name, func(b *testing.B) {
			took := make([]time.Duration, len(conns))
			for b.Loop() {
				for n, conn := range conns {
					began := time.Now()
					if err := move(conn); err != nil {
						b.Fatal(err)
					}
					took[n] += time.Since(began)
				}
			}
			for n, metric := range []string{"%ofPostgreSQL's", "%ofTLS's"}[:len(conns)-1] {
				b.ReportMetric(100*float64(took[n+1])/float64(took[0]), metric)
			}
		})
	}
}

// How long it takes until a PostgreSQL of this machine answers.
func BenchmarkStart(b *testing.B) {
	needPostgreSQL(b)
	for b.Loop() {
		own, err := local.Start(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := own.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
