package sql_test

import (
	"context"
	databasesql "database/sql"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// dial opens a connection that says nothing of itself.
func (l *lab) dial() net.Conn {
	l.t.Helper()
	conn, err := l.hosts.DialContext(l.t.Context(), "tcp", host+":1433")
	must(l.t, err)
	l.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Of connections that say nothing the first ones end when there are too many, at once and not
// when their time is over; others log in meanwhile. newLab checks that none stays.
func TestAThousandSilentConnections(t *testing.T) {
	l := newLab(t, orders())
	var silent []net.Conn
	for range 1000 {
		silent = append(silent, l.dial())
	}
	db := l.open(l.token(), "sales")
	for range 10 {
		conn, err := db.Conn(t.Context())
		must(t, err)
		must(t, conn.PingContext(t.Context()))
	}
	for _, conn := range silent[:1000-128] {
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("expected the end, got %v", err)
		}
	}
	said := ""
	for _, e := range l.journal.Events() {
		if e.Error == "TDS" {
			said += e.Message + "; " + e.Meaning + "\n"
		}
	}
	if strings.Count(said, "more than 128 connections were without a login; wiemu ends connections that say nothing") != 1 {
		t.Errorf("expected one event, found %s", said)
	}
}

// Who has said something keeps its place; then it is the new ones that have to go.
func TestConnectionsThatStopWithinTheirLogin(t *testing.T) {
	l := newLab(t, orders())
	var stuck []net.Conn
	for range 128 {
		conn := l.dial()
		_, err := conn.Write([]byte{0x12, 1, 0, 26, 0, 0, 0, 0, 0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xFF, 0, 0, 0, 0, 0, 0, 1}) // PRELOGIN
		must(t, err)
		_, err = conn.Read(make([]byte, 1)) // its answer
		must(t, err)
		stuck = append(stuck, conn)
	}
	for range 3 {
		if _, err := l.dial().Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("expected the end, got %v", err)
		}
	}
	must(t, stuck[0].Close())
	for l.open(l.token(), "sales").Ping() != nil { // the place is free soon
	}
}

// Clients that are logged in stay as long as they like, are counted, and are not more than 300. All
// but three of them are only counted here, since a login takes time.
func TestSessionsAreCounted(t *testing.T) {
	l := newLab(t, orders())
	db := l.open(l.token(), "sales")
	var open []*databasesql.Conn
	l.servers.FillSessions(300 - 3)
	for range 3 {
		conn, err := db.Conn(t.Context())
		must(t, err)
		open = append(open, conn)
	}
	_, err := db.Conn(t.Context())
	if errs := refused(err); len(errs) != 1 || errs[0].Number != 10928 || !strings.Contains(errs[0].Message, "Resource ID: 2. The session limit for the database is 300 and has been reached.") {
		t.Errorf("got %v", err)
	}
	if e := l.last(); e.Error != "10928" || !strings.Contains(e.Remedy, "bound the pools") {
		t.Errorf("%+v", e)
	}
	must(t, l.clock.Advance(t.Context(), 9*time.Hour))
	for _, conn := range open {
		must(t, conn.PingContext(context.Background()))
	}
	must(t, open[0].Close())
	db.SetMaxIdleConns(0)
	must(t, db.Close())
	for l.open(l.token(), "sales").Ping() != nil { // the places are free soon
	}
}
