package postgres_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/resource/postgres"
)

// Each reason has the code and the text of the service, and the journal says what mends it.
func TestRefusals(t *testing.T) {
	needPostgreSQL(t) // which is not started, as nobody is let in
	l := newLab(t, app())
	for _, row := range []struct {
		name, role, token    string
		code, text, remedies string
	}{
		{"a token for Azure SQL", "Orders API", l.tokens.Mint(t, "https://database.windows.net/", nil), "28000", `The access token does not have a valid audience claim. Please acquire a new token for the resource "https://ossrdbms-aad.database.windows.net".`, "Ask for the scope https://ossrdbms-aad.database.windows.net/.default"},
		{"a token for the audience with a slash", "Orders API", l.tokens.Mint(t, audience+"/", nil), "28000", "The access token does not have a valid audience claim.", "Ask for the scope " + audience + "/.default"},
		{"an old token", "Orders API", l.token(tokentest.Claims{"exp": tokentest.Start().Unix() - 301}), "28000", "The access token has expired. Acquire a new token and try again.", "each time that the pool opens a connection"},
		{"a password", "Orders API", "secret", "28000", "The access token has invalid format.", "exactly as Entra ID gave it"},
		{"a token of another tenant", "Orders API", l.token(tokentest.Claims{"tid": other}), "28000", "An error occurred while validating the access token. Please acquire a new token and retry.", ""},
		{"the client id", tokentest.ClientID, l.token(nil), "28P01", `password authentication failed for user "` + tokentest.ClientID + `"`, `Log in as "Orders API": the role is called as the identity is`},
		{"upper and lower case", "orders api", l.token(nil), "28P01", `password authentication failed for user "orders api"`, `Log in as "Orders API", to the letter`},
		{"the single server's way", "Orders API@orders", l.token(nil), "28P01", `password authentication failed for user "Orders API@orders"`, "NAME@SERVER was the way of the single server"},
		{"no such role", "postgres", l.token(nil), "28P01", `password authentication failed for user "postgres"`, `add {identity: ` + tokentest.ClientID + `, role: "postgres"} to access of postgresServers[0]`},
		{"no such role, and no token", "postgres", "secret", "28P01", `password authentication failed for user "postgres"`, "add {identity: NAME"},
		{"another identity's role", "reports", l.token(nil), "28000", `Service principal oid mismatch for role "The oid in the security label [` + otherObject + `] does not match the appid [` + tokentest.ClientID + `] or oid [` + tokentest.ObjectID + `] in the token."`, `Log in as "Orders API", the role of this identity`},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := l.connect(row.role, "postgres", row.token)
			var told *pgconn.PgError
			if !errors.As(err, &told) || told.Code != row.code || !strings.HasPrefix(told.Message, row.text) || told.Severity != "FATAL" {
				t.Fatalf("found %v", err)
			}
			e := l.last("log in as " + row.role + " to postgres")
			if e.Outcome != journal.Denied || e.Error != row.code || e.Message != told.Message || e.Meaning == "" || !strings.Contains(e.Remedy, row.remedies) || e.Host != host {
				t.Errorf("the journal has %+v", e)
			}
		})
	}
}

// Where no PostgreSQL answers, clients are told what they try again for, and the journal says
// why, without the password of the URL.
func TestNoPostgreSQL(t *testing.T) {
	server := app()
	server.URL = nowhere
	l := newLab(t, server)
	_, err := l.connect("Orders API", "postgres", l.token(nil))
	var told *pgconn.PgError
	if !errors.As(err, &told) || told.Code != "57P03" || told.Message != "the database system is not accepting connections" {
		t.Fatalf("found %v", err)
	}
	e := l.last("log in")
	if !strings.Contains(e.Meaning, "127.0.0.1:1") || strings.Contains(e.Meaning, "wrong") || !strings.Contains(e.Remedy, "Start the PostgreSQL that url of the server names") {
		t.Errorf("the journal has %+v", e)
	}
}

// Faults hit logins with the codes that clients try again for.
func TestFaults(t *testing.T) {
	server := app()
	server.URL = nowhere
	l := newLab(t, server)
	for name, code := range map[string]string{"throttled": "53300", "server-error": "57P03"} {
		l.inject(name + ",for.resource=postgres")
		_, err := l.connect("Orders API", "postgres", l.token(nil))
		var told *pgconn.PgError
		if !errors.As(err, &told) || told.Code != code || told.Message == "the database system is not accepting connections" {
			t.Errorf("%s: found %v", name, err)
		}
	}
	l.inject("connection-reset,for.resource=postgres")
	var told *pgconn.PgError
	if _, err := l.connect("Orders API", "postgres", l.token(nil)); err == nil || errors.As(err, &told) {
		t.Errorf("reset: found %v", err)
	}
	if e := l.last("log in"); e.Error != "ConnectionReset" {
		t.Errorf("the journal has %+v", e)
	}
}

// Without TLS nobody gets in, and a server that does not exist is said so.
func TestWhoIsNotAsked(t *testing.T) {
	server := app()
	server.URL, server.Name = nowhere, "elsewhere"
	l := newLab(t, server)
	cfg := l.config("Orders API", "postgres", l.token(nil))
	if _, err := pgconn.ConnectConfig(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "there is no server "+host) {
		t.Errorf("found %v", err)
	}
	if e := l.last("log in"); !strings.Contains(e.Remedy, "elsewhere") {
		t.Errorf("the journal has %+v", e)
	}
	server.Name = "orders"
	if err := l.servers.Put(server); err != nil {
		t.Fatal(err)
	}
	cfg = l.config("Orders API", "postgres", l.token(nil))
	cfg.TLSConfig = nil
	_, err := pgconn.ConnectConfig(t.Context(), cfg)
	var told *pgconn.PgError
	if !errors.As(err, &told) || told.Code != "28000" || told.Message != `no pg_hba.conf entry for host "127.0.0.1", user "Orders API", database "postgres", no encryption` {
		t.Errorf("found %v", err)
	}
	if err := l.servers.Put(postgres.Server{Name: "Orders", Tenant: tokentest.Tenant}); err == nil || !strings.Contains(err.Error(), "expected 3 to 63") {
		t.Errorf("found %v", err)
	}
}
