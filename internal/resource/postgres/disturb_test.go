package postgres_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wiemu/wiemu/emulator/journal"
)

// A fault ends an open session: the client is told so, or finds the connection cut, an open
// transaction is rolled back, and the next connection is as good as before.
func TestASessionIsEnded(t *testing.T) {
	needPostgreSQL(t)
	l := newLab(t, app())
	ctx := context.Background()
	open := func() *pgconn.PgConn {
		t.Helper()
		conn, err := l.connect("Orders API", "orders", l.token(nil))
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	_ = open().Close(ctx) // which makes the role
	if _, err := l.servers.Query(ctx, "orders", "orders", `create table t (n int); grant all on t to "Orders API"`); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ by, code, text, journaled, ended string }{
		{"57P01", "57P01", "terminating connection due to administrator command", "57P01", "a fault ended it with 57P01"},
		{"reset", "", "", "ConnectionReset", "a fault cut the connection"},
	} {
		conn := open()
		if _, err := run(conn, "begin; insert into t values (1)"); err != nil {
			t.Fatal(err)
		}
		l.inject("postgres-session-ended,for.resource=postgres,when.count=1,by=" + row.by)
		_, err := run(conn, "commit")
		var told *pgconn.PgError
		switch {
		case row.code != "" && (!errors.As(err, &told) || told.Code != row.code || told.Message != row.text || told.Severity != "FATAL"):
			t.Errorf("%s: found %v", row.by, err)
		case row.code == "" && (err == nil || errors.As(err, &told) || errors.Is(err, io.EOF)):
			t.Errorf("%s: found %v", row.by, err)
		}
		if e := l.last("go on as Orders API in orders"); e.Error != row.journaled || e.Outcome != journal.Denied || e.Detail[journal.DetailFault] == "" || !strings.Contains(e.Remedy, "out of its pool") {
			t.Errorf("%s: the journal has %+v", row.by, e)
		}
		l.await("the session of Orders API ended: " + row.ended)
		again := open() // the fault was for one
		if n, err := run(again, "select count(*) from t"); n != "0" || err != nil {
			t.Errorf("%s: after a transaction that was rolled back: %q, %v", row.by, n, err)
		}
		_ = again.Close(ctx)
	}
}

// A fault does not come between the messages of an answer: what the client sends before it is
// the next to be hit after it.
func TestASessionIsEndedAfterItsAnswer(t *testing.T) {
	needPostgreSQL(t)
	l := newLab(t, app())
	conn, err := l.connect("Orders API", "orders", l.token(nil))
	if err != nil {
		t.Fatal(err)
	}
	l.inject("postgres-session-ended,for.resource=postgres,when.nth=2")
	if n, err := run(conn, "select sum(n) from generate_series(1, 100000) n"); n != "5000050000" || err != nil {
		t.Errorf("the first: %q, %v", n, err)
	}
	if _, err := run(conn, "select 1"); err == nil || !strings.Contains(err.Error(), "57P01") {
		t.Errorf("the second: %v", err)
	}
}

// A token that is looked at again ends the session only if it is not good any more, in the words
// of the login.
func TestATokenIsLookedAtAgain(t *testing.T) {
	needPostgreSQL(t)
	l := newLab(t, app())
	conn, err := l.connect("Orders API", "orders", l.token(nil))
	if err != nil {
		t.Fatal(err)
	}
	l.inject("postgres-session-ended,for.resource=postgres,by=token")
	if _, err := run(conn, "select 1"); err != nil {
		t.Errorf("while it is good: %v", err)
	}
	if e := l.last("go on as Orders API"); e.Outcome != journal.Granted || len(e.Checks) == 0 {
		t.Errorf("the journal has %+v", e)
	}
	if err := l.clock.Advance(t.Context(), 25*time.Hour); err != nil {
		t.Fatal(err)
	}
	_, err = run(conn, "select 1")
	var told *pgconn.PgError
	if !errors.As(err, &told) || told.Code != "28000" || told.Message != "The access token has expired. Acquire a new token and try again." {
		t.Errorf("found %v", err)
	}
	if e := l.last("go on as Orders API"); e.Outcome != journal.Denied || e.Error != "28000" || e.UTI == "" {
		t.Errorf("the journal has %+v", e)
	}
	l.await("the session of Orders API ended: a fault had its token looked at")
}
