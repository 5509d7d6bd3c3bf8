package postgres_test

import (
	"context"
	"testing"

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
