package postgres_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/resource/postgres"
	"github.com/wiemu/wiemu/internal/resource/postgres/local"
)

// The whole of a session, with a PostgreSQL of this machine.
func TestSessions(t *testing.T) {
	needPostgreSQL(t)
	l := newLab(t, app())
	ctx := t.Context()

	conn, err := l.connect("Orders API", "orders", l.token(nil))
	if err != nil {
		t.Fatal(err)
	}
	if who, err := run(conn, "select current_user || ' of ' || current_database()"); err != nil || who != "Orders API of orders" {
		t.Fatalf("found %q, %v", who, err)
	}
	if e := l.last("log in as Orders API to orders by"); e.Outcome != journal.Granted || e.UTI == "" || e.Detail["role"] != "Orders API" || e.Detail["database"] != "orders" {
		t.Errorf("the journal has %+v", e)
	}

	t.Run("rights are PostgreSQL's", func(t *testing.T) {
		_, err := run(conn, "create table mine (n int)")
		var told *pgconn.PgError
		if server, _ := run(conn, "show server_version_num"); server >= "150000" && (!errors.As(err, &told) || told.Code != "42501") {
			t.Errorf("who is no administrator makes a table: %v", err)
		}
		if _, err := l.query("reports", "orders", l.token(tokentest.Claims{"appid": other, "oid": otherObject}), `create table orders (n int); insert into orders values (7); grant select on orders to "Orders API"`); err != nil {
			t.Errorf("an administrator: %v", err)
		}
		if n, err := run(conn, "select n from orders"); n != "7" || err != nil {
			t.Errorf("found %q, %v", n, err)
		}
		if rows, err := l.servers.Query(ctx, "orders", "orders", "select 1; select n, null from orders"); err != nil || fmt.Sprint(rows) != "[[7 ]]" {
			t.Errorf("the owner: %v, %v", rows, err)
		}
	})

	t.Run("parameters, and much of it", func(t *testing.T) {
		cfg := l.config("Orders API", "orders", l.token(nil))
		cfg.RuntimeParams = map[string]string{"application_name": "tests", "options": "-c statement_timeout=5s"}
		conn, err := pgconn.ConnectConfig(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(ctx) }()
		if what, err := run(conn, "select current_setting('application_name') || current_setting('statement_timeout')"); what != "tests5s" || err != nil {
			t.Errorf("found %q, %v", what, err)
		}
		if _, err := run(conn, "create temp table copied (t text)"); err != nil {
			t.Fatal(err)
		}
		line := strings.Repeat("x", 99) + "\n"
		if tag, err := conn.CopyFrom(ctx, strings.NewReader(strings.Repeat(line, 100_000)), "copy copied from stdin"); err != nil || tag.RowsAffected() != 100_000 {
			t.Errorf("copied in %v, %v", tag, err)
		}
		var out bytes.Buffer
		if _, err := conn.CopyTo(ctx, &out, "copy copied to stdout"); err != nil || out.Len() != 100*100_000 {
			t.Errorf("copied out %d bytes, %v", out.Len(), err)
		}
	})

	t.Run("what PostgreSQL refuses", func(t *testing.T) {
		_, err := l.connect("Orders API", "nope", l.token(nil))
		var told *pgconn.PgError
		if !errors.As(err, &told) || told.Code != "3D000" || told.Message != `database "nope" does not exist` {
			t.Errorf("found %v", err)
		}
		if e := l.last("log in as Orders API to nope"); e.Error != "3D000" || !strings.Contains(e.Meaning, "PostgreSQL itself") {
			t.Errorf("the journal has %+v", e)
		}
	})

	t.Run("cancelled", func(t *testing.T) {
		ended := make(chan struct{})
		var asks sync.WaitGroup
		asks.Go(func() {
			for {
				select {
				case <-ended:
					return
				case <-time.After(200 * time.Millisecond): // wall time: a query of PostgreSQL's
					_ = conn.CancelRequest(ctx) // nothing happens until the query runs
				}
			}
		})
		_, err := run(conn, "select pg_sleep(60)")
		close(ended)
		asks.Wait()
		var told *pgconn.PgError
		if !errors.As(err, &told) || told.Code != "57014" {
			t.Fatalf("found %v", err)
		}
		l.await("a cancel request of Orders API")
	})

	t.Run("it outlives its token, which a new one does not", func(t *testing.T) {
		token := l.token(nil)
		if err := l.clock.Advance(ctx, 25*time.Hour); err != nil {
			t.Fatal(err)
		}
		if one, err := run(conn, "select 1"); one != "1" || err != nil {
			t.Errorf("the session: %q, %v", one, err)
		}
		if _, err := l.connect("Orders API", "orders", token); err == nil || !strings.Contains(err.Error(), "The access token has expired") {
			t.Errorf("a new one: %v", err)
		}
	})

	if err := conn.Close(ctx); err != nil {
		t.Error(err)
	}
	l.await("the session of Orders API ended: the client closed it")
}

// A database that a client has made already is there, and not made again.
func TestADatabaseThatAClientMade(t *testing.T) {
	needPostgreSQL(t)
	l := newLab(t, app())
	if _, err := l.query("reports", "postgres", l.token(tokentest.Claims{"appid": other, "oid": otherObject}), "create database stock"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.servers.Database(t.Context(), "orders", "stock"); err != nil {
			t.Fatal(err)
		}
	}
	if s, _ := l.servers.Server("orders"); !slices.Equal(s.Databases, []string{"orders", "stock"}) {
		t.Errorf("databases %q", s.Databases)
	}
	if err := l.servers.RemoveDatabase(t.Context(), "orders", "stock"); err != nil {
		t.Fatal(err)
	}
	if s, _ := l.servers.Server("orders"); !slices.Equal(s.Databases, []string{"orders"}) {
		t.Errorf("databases %q after one was removed", s.Databases)
	}
}

// Roles are made in SQL, and belong to the identity that is named, to the letter.
func TestPrincipals(t *testing.T) {
	needPostgreSQL(t)
	server := app()
	server.Access = postgres.AccessList{{Identity: other, Administrator: true}}
	l := newLab(t, server)
	administrator := l.token(tokentest.Claims{"appid": other, "oid": otherObject})
	if _, err := l.connect("Orders API", "postgres", l.token(nil)); err == nil || !strings.Contains(err.Error(), "28P01") {
		t.Fatalf("before there is a role: %v", err)
	}
	ask := func(sql string) (string, error) { return l.query("reports", "postgres", administrator, sql) }
	for _, row := range []struct{ sql, answer, problem string }{
		{"select * from pgaadauth_create_principal('" + tokentest.ClientID + "', false, false)", "", `Could not validate AAD user "` + tokentest.ClientID + `" because its name is not found in the tenant.`},
		{"select * from pgaadauth_create_principal('Orders API', false, false)", `Created role for "Orders API"`, ""},
		{"select * from pgaadauth_create_principal('Orders API', false, false)", "", `role "Orders API" already exists`},
		{"select * from pg_catalog.pgaadauth_create_principal_with_oid('by-id', '" + tokentest.ObjectID + "', 'service', true, false)", `Created role for "by-id"`, ""},
		{"select * from pgaadauth_create_principal_with_oid('others', '" + otherObject + "', 'robot', false, false)", "", "incorrect object type provided for principal"},
		{"select string_agg(rolename || ' ' || principaltype || ' ' || objectid || ' ' || tenantid || ' ' || ismfa || isadmin, ', ') from pgaadauth_list_principals(false)", "Orders API service " + tokentest.ObjectID + " " + tokentest.Tenant + " 00, by-id service " + tokentest.ObjectID + " " + tokentest.Tenant + " 01, reports service " + otherObject + " " + tokentest.Tenant + " 01", ""},
		{"select count(*) from pgaadauth_list_principals(true)", "2", ""},
	} {
		answer, err := ask(row.sql)
		if answer != row.answer || row.problem == "" && err != nil || row.problem != "" && (err == nil || !strings.Contains(err.Error(), row.problem)) {
			t.Errorf("%s: found %q, %v", row.sql, answer, err)
		}
	}
	for _, role := range []string{"Orders API", "by-id"} {
		if who, err := l.query(role, "postgres", l.token(nil), "select current_user"); who != role || err != nil {
			t.Errorf("%s: found %q, %v", role, who, err)
		}
		if _, err := l.connect(role, "postgres", administrator); err == nil || !strings.Contains(err.Error(), "oid mismatch") {
			t.Errorf("%s, as somebody else: %v", role, err)
		}
	}
	if _, err := l.query("Orders API", "postgres", l.token(nil), "select pgaadauth_create_principal('reports', true, false)"); err == nil || !strings.Contains(err.Error(), "42501") {
		t.Errorf("who is no administrator makes one: %v", err)
	}
	if _, err := ask(`drop role "Orders API"`); err != nil {
		t.Error(err)
	}
	if _, err := l.connect("Orders API", "postgres", l.token(nil)); err == nil || !strings.Contains(err.Error(), "28P01") {
		t.Errorf("after it is gone: %v", err)
	}
}

// Without access, each identity is an administrator by its name; from the first grant on, only
// who was granted something is let in.
func TestWhoMayLogIn(t *testing.T) {
	needPostgreSQL(t)
	l := newLab(t, postgres.Server{Name: "orders", Tenant: tokentest.Tenant})
	if _, err := l.query("Orders API", "postgres", l.token(nil), "create database mine"); err != nil {
		t.Error(err)
	}
	if _, err := l.connect("reports", "postgres", l.token(nil)); err == nil || !strings.Contains(err.Error(), "oid mismatch") {
		t.Errorf("as somebody else: %v", err)
	}
	role, err := l.servers.Grant("orders", tokentest.ClientID, "pg_read_all_data")
	if role != "Orders API" || err != nil {
		t.Errorf("found %q, %v", role, err)
	}
	if member, err := l.query(role, "postgres", l.token(nil), "select pg_has_role('pg_read_all_data', 'member')"); member != "t" || err != nil {
		t.Errorf("found %q, %v", member, err)
	}
	if _, err := l.connect("reports", "postgres", l.token(tokentest.Claims{"appid": other, "oid": otherObject})); err == nil || !strings.Contains(err.Error(), "28P01") {
		t.Errorf("who was granted nothing: %v", err)
	}
	if _, err := l.servers.Grant("orders", "nobody"); err == nil {
		t.Error("nobody was granted something")
	}
}

// An identity that is called as the superuser of the PostgreSQL behind does not become it, nor
// is the superuser's password changed.
func TestNobodyIsTheSuperuser(t *testing.T) {
	needPostgreSQL(t)
	server := app()
	server.Access = postgres.AccessList{{Identity: tokentest.ClientID, Role: "wiemu"}}
	l := newLab(t, server)
	_, err := l.connect("wiemu", "postgres", l.token(nil))
	var told *pgconn.PgError
	if !errors.As(err, &told) || told.Code != "28000" || told.Message != `role "wiemu" is not permitted to log in` {
		t.Errorf("found %v", err)
	}
	if rows, err := l.servers.Query(t.Context(), "orders", "postgres", "select rolpassword is null from pg_authid where rolname = 'wiemu'"); err != nil || fmt.Sprint(rows) != "[[t]]" {
		t.Errorf("its password: %v, %v", rows, err)
	}
}

// What a client defines in the schema public, wiemu does not call as the superuser.
func TestFunctionsOfClientsAreNotCalled(t *testing.T) {
	needPostgreSQL(t)
	server := app()
	server.Access = append(server.Access, postgres.Access{Identity: tokentest.ClientID, Role: "late"})
	l := newLab(t, server)
	if _, err := l.servers.Query(t.Context(), "orders", "postgres", "grant create on schema public to public"); err != nil {
		t.Fatal(err)
	}
	const trap = `create function public.format(text, text) returns text language plpgsql as $$ begin alter role "Orders API" superuser; return pg_catalog.format($1, $2); end $$;
		create function public.format(text, text, text) returns text language plpgsql as $$ begin alter role "Orders API" superuser; return pg_catalog.format($1, $2, $3); end $$`
	if _, err := l.query("Orders API", "postgres", l.token(nil), trap); err != nil {
		t.Fatal(err)
	}
	// Plans that were made before the trap do not go into it; those of a new connection would.
	if _, err := l.servers.Query(t.Context(), "orders", "postgres", "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'wiemu' and pid <> pg_backend_pid()"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.connect("late", "postgres", l.token(nil)); err == nil {
		t.Log("the superuser's connection was not in use")
	} else if _, err := l.connect("late", "postgres", l.token(nil)); err != nil {
		t.Fatal(err)
	}
	if rows, err := l.servers.Query(t.Context(), "orders", "postgres", "select rolsuper from pg_roles where rolname = 'Orders API'"); err != nil || fmt.Sprint(rows) != "[[f]]" {
		t.Errorf("is it a superuser? %v, %v", rows, err)
	}
}

// A client's transaction that holds the row of a role delays the logins as that role, and not for
// ever: they would hold the lab clock.
func TestATransactionHoldsARole(t *testing.T) {
	needPostgreSQL(t)
	t.Parallel() // it waits for a limit of wall time
	server := app()
	server.Access = append(server.Access, postgres.Access{Identity: tokentest.ClientID, Role: "late"})
	l := newLab(t, server)
	admin := l.token(tokentest.Claims{"appid": other, "oid": otherObject})
	holder, err := l.connect("reports", "postgres", admin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(holder, "begin; create role late"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.connect("late", "postgres", l.token(nil)); err == nil || !strings.Contains(err.Error(), "57P03") {
		t.Errorf("while it holds it: %v", err)
	}
	if _, err := l.connect("reports", "postgres", admin); err != nil {
		t.Errorf("another role: %v", err)
	}
	if _, err := run(holder, "rollback"); err != nil {
		t.Error(err)
	}
	if _, err := l.connect("late", "postgres", l.token(nil)); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// A lab that has ended starts no PostgreSQL, which nobody would end.
func TestNothingStartsAfterTheEnd(t *testing.T) {
	needPostgreSQL(t)
	l := newLab(t, app())
	if err := l.servers.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.servers.Query(t.Context(), "orders", "postgres", "select 1"); err == nil || !strings.Contains(err.Error(), "the lab has ended") {
		t.Errorf("found %v", err)
	}
}

// Labs that share a PostgreSQL have people of their own, of whom the other makes no roles.
func TestLabsShareAPostgreSQL(t *testing.T) {
	needPostgreSQL(t)
	own, err := local.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = own.Close() }()
	cfg, _ := pgconn.ParseConfig(own.ConnString()) // the next that is done fails if it is none
	server := app()
	server.URL = "postgres://wiemu:secret@/postgres?sslmode=disable&host=" + cfg.Host
	labs := map[string]*lab{"one": newLab(t, server), "two": newLab(t, server)}
	ask := func(in, sql string) (string, error) {
		return labs[in].query("reports", "postgres", labs[in].token(tokentest.Claims{"appid": other, "oid": otherObject}), sql)
	}
	for name, l := range labs {
		if err := l.people.Put(tokentest.Tenant, directory.Principal{Kind: directory.ManagedIdentity, ClientID: "cccccccc-0000-4000-8000-00000000000" + map[string]string{"one": "1", "two": "2"}[name], DisplayName: "only in " + name}); err != nil {
			t.Fatal(err)
		}
		if _, err := ask(name, "select 1"); err != nil { // both have told who there is
			t.Fatal(err)
		}
	}
	for _, name := range []string{"one", "two"} {
		another := map[string]string{"one": "two", "two": "one"}[name]
		if _, err := ask(name, "select pgaadauth_create_principal('only in "+another+"', false, false)"); err == nil || !strings.Contains(err.Error(), "its name is not found in the tenant") {
			t.Errorf("lab %s makes a role of the other's: %v", name, err)
		}
		if _, err := ask(name, "select pgaadauth_create_principal('only in "+name+"', false, false)"); err != nil {
			t.Errorf("lab %s: %v", name, err)
		}
	}
	if err := labs["one"].servers.Close(); err != nil {
		t.Fatal(err)
	}
	for range 1000 { // PostgreSQL ends a session some time after its connection
		rows, err := labs["two"].servers.Query(t.Context(), "orders", "postgres", "select count(distinct application_name) from pg_stat_activity where application_name like 'wiemu %'")
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(rows) == "[[1]]" {
			break
		}
		time.Sleep(10 * time.Millisecond) // wall time: a process
	}
	if err := labs["two"].people.Put(tokentest.Tenant, directory.Principal{Kind: directory.ManagedIdentity, ClientID: "cccccccc-0000-4000-8000-000000000003", DisplayName: "late"}); err != nil {
		t.Fatal(err)
	}
	if _, err := ask("two", "select 1"); err != nil {
		t.Fatal(err)
	}
	if rows, err := labs["two"].servers.Query(t.Context(), "orders", "postgres", "select count(distinct lab) from wiemu.people"); err != nil || fmt.Sprint(rows) != "[[1]]" {
		t.Errorf("people of a lab that has ended are still there: %v, %v", rows, err)
	}
}

// PostgreSQL cuts longer names, of roles that it makes between characters and of those that log
// in at the byte.
func TestLongNames(t *testing.T) {
	needPostgreSQL(t)
	l := newLab(t, postgres.Server{Name: "orders", Tenant: tokentest.Tenant})
	rename := func(name string) {
		t.Helper()
		if err := l.people.Update(tokentest.Tenant, tokentest.ClientID, func(p *directory.Principal) error { p.DisplayName = name; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	ascii, umlauts := strings.Repeat("o", 70), strings.Repeat("ö", 40) // of two bytes each
	for _, row := range []struct{ name, role, current, problem string }{
		{ascii, ascii, ascii[:63], ""},
		{ascii, ascii[:63], ascii[:63], ""},
		{ascii, strings.Repeat("x", 70), "", `password authentication failed for user "` + strings.Repeat("x", 63) + `"`},
		{umlauts, umlauts[:62], umlauts[:62], ""},
		{umlauts, umlauts, "", "password authentication failed for user"}, // half a character more than the role has
		{ascii, "", "", "no PostgreSQL user name specified in startup packet"},
	} {
		rename(row.name)
		cfg := l.config("placeholder", "postgres", l.token(nil))
		cfg.User = row.role
		conn, err := pgconn.ConnectConfig(t.Context(), cfg)
		if row.problem != "" {
			if err == nil || !strings.Contains(err.Error(), row.problem) {
				t.Errorf("%q as %q: %v", row.name, row.role, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q as %q: %v", row.name, row.role, err)
			continue
		}
		if who, err := run(conn, "select current_user"); who != row.current || err != nil {
			t.Errorf("%q as %q: %q, %v", row.name, row.role, who, err)
		}
		_ = conn.Close(t.Context())
	}
	if e := l.last("log in as " + umlauts[:62] + " to postgres"); e.Outcome != journal.Granted {
		t.Errorf("the journal has %+v", e)
	}
}

// A PostgreSQL that ends takes the sessions with it, which the journal says; the next login
// has it start again, with what it had stored. Another one is reached by its URL, with the
// superuser's password.
func TestPostgreSQLEnds(t *testing.T) {
	needPostgreSQL(t)
	own, err := local.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = own.Close() }()
	admin, err := pgconn.Connect(t.Context(), own.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close(context.Background()) }()
	cfg, _ := pgconn.ParseConfig(own.ConnString()) // it was just used
	server := app()
	server.URL = "postgres://wiemu:secret@/postgres?sslmode=disable&host=" + cfg.Host
	l := newLab(t, server)
	conn, err := l.connect("Orders API", "orders", l.token(nil))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := run(conn, "select pg_backend_pid()")
	if err == nil {
		_, err = run(admin, "select pg_terminate_backend("+pid+")")
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = run(conn, "select 1")
	var told *pgconn.PgError
	if !errors.As(err, &told) || told.Code != "57P01" {
		t.Errorf("found %v", err)
	}
	l.await("the session of Orders API ended: PostgreSQL closed it with 57P01, terminating connection due to administrator command")
	conn, err = l.connect("Orders API", "orders", l.token(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Close(); err != nil {
		t.Error(err)
	}
	if _, err := run(conn, "select 1"); err == nil {
		t.Error("a session outlived PostgreSQL")
	}
	if _, err := l.connect("Orders API", "orders", l.token(nil)); !errors.As(err, &told) || told.Code != "57P03" {
		t.Errorf("a login without PostgreSQL: %v", err)
	}
	if _, err := os.Stat(cfg.Host); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its data is still there: %v", err)
	}
}

// A login may take wiemu longer than it may take a client, who gets its answer all the same. One
// that does not take it loses its connection, and is told nothing after what it has lost: it would
// take that for a record with a bad MAC.
func TestALoginThatTakesLong(t *testing.T) {
	refused, greeted := app(), app()
	refused.URL = nowhere
	for _, row := range []struct {
		name   string
		server postgres.Server
		answer any // of the server
	}{
		{"one that is refused", refused, &pgproto3.ErrorResponse{}},
		{"one that is greeted", greeted, &pgproto3.AuthenticationOk{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.server.URL == "" {
				needPostgreSQL(t)
				own, err := local.Start(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = own.Close() }()
				cfg, _ := pgconn.ParseConfig(own.ConnString()) // it was just made
				row.server.URL = "postgres://wiemu:secret@/postgres?sslmode=disable&host=" + cfg.Host
			}
			synctest.Test(t, func(t *testing.T) {
				l := newLabInMemory(t, row.server)
				defer func() {
					if err := l.servers.Close(); err != nil {
						t.Error(err)
					}
				}()
				l.inject("slow,for.resource=postgres,latency=1m30s") // of the bubble's time
				conn, frontend := l.logIn(t)
				began := time.Now()
				answer, err := frontend.Receive()
				if err != nil || reflect.TypeOf(answer) != reflect.TypeOf(row.answer) {
					t.Errorf("found %T, %v", answer, err)
				}
				if took := time.Since(began); took < 90*time.Second {
					t.Errorf("it took %v", took)
				}
				_ = conn.Close()

				l.faults.ClearAll()
				conn, frontend = l.logIn(t)
				time.Sleep(62 * time.Second) // of the bubble's time
				if _, err := frontend.Receive(); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("found %v", err)
				}
				_ = conn.Close()
				synctest.Wait()
				if e := l.last("the session of Orders API ended: it could not be told that it is logged in: "); row.server.URL != nowhere && e.Outcome != journal.OK {
					t.Errorf("the journal has %q", l.last("").Summary)
				}
			})
		})
	}
}

// logIn logs in by hand, in memory, up to the answer.
func (l *lab) logIn(t *testing.T) (net.Conn, *pgproto3.Frontend) {
	t.Helper()
	client, served := net.Pipe()
	go l.serve(t.Context(), served)
	_, err := client.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}) // SSLRequest
	if err == nil {
		_, err = io.ReadFull(client, make([]byte, 1))
	}
	secured := tls.Client(client, l.config("", "", "").TLSConfig)
	frontend := pgproto3.NewFrontend(secured, secured)
	frontend.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "Orders API", "database": "orders"}})
	err = errors.Join(err, frontend.Flush())
	if err == nil {
		_, err = frontend.Receive() // AuthenticationCleartextPassword
	}
	frontend.Send(&pgproto3.PasswordMessage{Password: l.token(nil)})
	if err = errors.Join(err, frontend.Flush()); err != nil {
		t.Fatal(err)
	}
	return secured, frontend
}

// Connections that say nothing or stop in the middle cost a goroutine each, and end with the lab.
func TestSilentConnections(t *testing.T) {
	server := app()
	server.URL = nowhere
	l := newLab(t, server)
	for n := range 1000 {
		conn := l.dial()
		switch n % 3 {
		case 1:
			_, _ = conn.Write([]byte{0, 0, 0})
		case 2:
			_, _ = conn.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}) // SSLRequest
		}
	}
	if _, err := l.connect("Orders API", "postgres", l.token(nil)); err == nil || !strings.Contains(err.Error(), "57P03") {
		t.Errorf("another one: %v", err)
	}
	conn := l.dial()
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if said, _ := io.ReadAll(conn); len(said) != 0 {
		t.Errorf("HTTP is answered with %q", said)
	}
	if e := l.last("a start-up that is not PostgreSQL's"); !strings.Contains(e.Detail["found"], "1195725856 bytes") {
		t.Errorf("the journal has %+v", e)
	}
	if e := l.last("cancel"); e.Summary != "" {
		t.Errorf("the journal has %+v", e)
	}
	// Over TLS, too, which ends with its own end of the stream: libpq takes another for a failure.
	conn = l.dial()
	_, _ = conn.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}) // SSLRequest
	_, _ = io.ReadFull(conn, make([]byte, 1))
	secured := tls.Client(conn, l.config("", "", "").TLSConfig)
	_, _ = secured.Write([]byte{0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 2})
	if n, err := secured.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a cancellation over TLS ends with %d bytes, %v", n, err)
	}
	conn = l.dial()
	_, _ = conn.Write([]byte{0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 2})
	if said, _ := io.ReadAll(conn); len(said) != 0 || l.last("a cancel request for a session that there is not").Outcome != journal.Failed {
		t.Errorf("a cancellation of nothing is answered with %q", said)
	}
}
