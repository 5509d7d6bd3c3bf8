package postgres_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/resource/postgres"
	"github.com/wiemu/wiemu/internal/resource/postgres/local"
	"github.com/wiemu/wiemu/internal/tenants"
)

const (
	audience = "https://ossrdbms-aad.database.windows.net"
	host     = "orders.postgres.database.azure.com"

	other       = "aaaaaaaa-0000-4000-8000-000000000002" // another identity
	otherObject = "bbbbbbbb-0000-4000-8000-000000000002"
	nowhere     = "postgres://postgres:wrong@127.0.0.1:1/postgres" // port 1 answers nobody
)

// lab is servers with a listener, as the gateway has them.
type lab struct {
	t        testing.TB
	clock    *clock.Lab
	tokens   *tokentest.Service
	journal  *journals.Journal
	faults   *faults.Set
	people   *tenants.Directory
	servers  *postgres.Servers
	listener net.Listener
	roots    *x509.CertPool
	serving  sync.WaitGroup
	ca       *ca.Authority
	end      context.CancelFunc
}

func newLab(t testing.TB, servers ...postgres.Server) *lab {
	t.Helper()
	l := newLabInMemory(t, servers...)
	var err error
	if l.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	l.end = end
	l.serving.Go(func() {
		for {
			conn, err := l.listener.Accept()
			if err != nil {
				return
			}
			l.serving.Go(func() { l.serve(ctx, conn) })
		}
	})
	t.Cleanup(l.close)
	return l
}

// serve serves a client's connection as the gateway does.
func (l *lab) serve(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	l.servers.ServeStream(ctx, &hostmux.Connection{Conn: conn, Host: host, Port: postgres.Port, Certificate: l.ca.GetCertificate, Begin: l.clock.Begin})
}

// newLabInMemory makes one without a listener.
func newLabInMemory(t testing.TB, servers ...postgres.Server) *lab {
	t.Helper()
	clk := clock.Stopped(tokentest.Start())
	j, err := journals.New(clk, journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	people, err := tenants.New(directory.Tenant{ID: tokentest.Tenant, Principals: []directory.Principal{
		{Kind: directory.ManagedIdentity, ClientID: tokentest.ClientID, ObjectID: tokentest.ObjectID, DisplayName: "Orders API"},
		{Kind: directory.ManagedIdentity, ClientID: other, ObjectID: otherObject, DisplayName: "reports"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, clock: clk, tokens: tokentest.New(t, clk), journal: j, faults: faults.New(clk, j, 1), people: people}
	k := resource.Kit{
		Resource: postgres.Description(), Tokens: resource.NewValidator(clk, l.tokens.Source(), resource.Options{}),
		Clock: clk, Directory: people, Journal: j, Faults: l.faults,
	}
	if l.servers, err = postgres.New(k, servers); err != nil {
		t.Fatal(err)
	}
	if l.ca, err = ca.Open("", clk, ca.Options{Names: []string{".postgres.database.azure.com"}}); err != nil {
		t.Fatal(err)
	}
	l.roots = x509.NewCertPool()
	l.roots.AppendCertsFromPEM(l.ca.RootPEM())
	return l
}

// close ends the servers, which takes their connections with them.
func (l *lab) close() {
	_ = l.listener.Close()
	if err := l.servers.Close(); err != nil {
		l.t.Error(err)
	}
	l.end()
	l.serving.Wait()
}

// dial opens a connection that says nothing.
func (l *lab) dial() net.Conn {
	l.t.Helper()
	conn, err := net.Dial("tcp", l.listener.Addr().String())
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = conn.Close() }) // closed by some tests
	return conn
}

// config is how a client connects as a role, by the host's name.
func (l *lab) config(role, database, token string) *pgconn.Config {
	l.t.Helper()
	cfg, err := pgconn.ParseConfig("host=" + host + " user=placeholder sslmode=verify-full passfile=/nonexistent")
	if err != nil {
		l.t.Fatal(err)
	}
	cfg.User, cfg.Database, cfg.Password = role, database, token
	cfg.TLSConfig = &tls.Config{RootCAs: l.roots, ServerName: host, MinVersion: tls.VersionTLS12}
	cfg.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil }
	cfg.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", l.listener.Addr().String())
	}
	return cfg
}

func (l *lab) token(change tokentest.Claims) string {
	l.t.Helper()
	return l.tokens.Mint(l.t, audience, change)
}

func (l *lab) connect(role, database, token string) (*pgconn.PgConn, error) {
	return pgconn.ConnectConfig(context.Background(), l.config(role, database, token))
}

// query runs SQL as a role and returns the first value of its last statement.
func (l *lab) query(role, database, token, sql string) (string, error) {
	l.t.Helper()
	conn, err := l.connect(role, database, token)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.Background()) }() // nothing is lost
	return run(conn, sql)
}

func run(conn *pgconn.PgConn, sql string) (string, error) {
	results, err := conn.Exec(context.Background(), sql).ReadAll()
	if err != nil || len(results) == 0 {
		return "", err
	}
	if rows := results[len(results)-1].Rows; len(rows) > 0 && len(rows[0]) > 0 {
		return string(rows[0][0]), nil
	}
	return "", nil
}

// last is the last event of an access whose summary has a text.
func (l *lab) last(text string) (last journal.Event) {
	for _, e := range l.journal.Events() {
		if e.Kind == journal.Access && strings.Contains(e.Summary, text) {
			last = e
		}
	}
	return last
}

// await waits for an event of the tests' first identity.
func (l *lab) await(text string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // wall time: another goroutine records it
	defer cancel()
	if _, err := l.journal.Await(ctx, func(e journal.Event) bool {
		return e.Outcome == journal.OK && strings.Contains(e.Summary, text) && e.ClientID == tokentest.ClientID
	}); err != nil {
		l.t.Errorf("%s: %v; the last is %q", text, err, l.last("").Summary)
	}
}

func (l *lab) inject(text string) {
	l.t.Helper()
	l.faults.ClearAll()
	f, err := fault.Parse(text)
	if err == nil {
		_, err = l.faults.Inject(f)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// needPostgreSQL leaves a test out where there are no programs of PostgreSQL.
func needPostgreSQL(t testing.TB) {
	t.Helper()
	if _, err := local.Find(); err != nil {
		if os.Getenv("WIEMU_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// app is a server for two identities, one of which is its administrator.
func app() postgres.Server {
	return postgres.Server{Name: "orders", Tenant: tokentest.Tenant, Databases: []string{"orders"}, Access: postgres.AccessList{
		{Identity: tokentest.ClientID},
		{Identity: other, Administrator: true},
	}}
}
