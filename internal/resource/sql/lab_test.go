package sql_test

import (
	"context"
	"crypto/x509"
	databasesql "database/sql"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"

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
	"github.com/wiemu/wiemu/internal/resource/sql"
	"github.com/wiemu/wiemu/internal/tenants"
)

const (
	host     = "orders.database.windows.net"
	another  = "22222222-2222-4222-8222-222222222222" // a tenant
	other    = "aaaaaaaa-0000-4000-8000-000000000002" // another identity, and its object id
	otherOID = "bbbbbbbb-0000-4000-8000-000000000002"
	admin    = "aaaaaaaa-0000-4000-8000-000000000003"
	adminOID = "bbbbbbbb-0000-4000-8000-000000000003"
)

// lab is servers as a lab has them, reached by a socket.
type lab struct {
	t       testing.TB
	clock   *clock.Lab
	tokens  *tokentest.Service
	journal *journals.Journal
	faults  *faults.Set
	servers *sql.Servers
	trust   *ca.Authority
	hosts   dialer
}

// orders is a server with two databases, of which web reads one.
func orders() sql.Server {
	return sql.Server{Name: "orders", Tenant: tokentest.Tenant, Administrator: admin, Databases: []sql.Database{
		{Name: "sales", Users: []sql.User{{Identity: tokentest.ClientID, Roles: []string{"db_datareader"}}, {Identity: other, SID: "objectId"}}},
		{Name: "stock"},
	}}
}

func newLab(t testing.TB, servers ...sql.Server) *lab {
	t.Helper()
	clk := clock.Stopped(tokentest.Start())
	j, err := journals.New(clk, journals.Options{})
	must(t, err)
	people, err := tenants.New(
		directory.Tenant{ID: tokentest.Tenant, Principals: []directory.Principal{
			{Kind: directory.ManagedIdentity, ClientID: tokentest.ClientID, ObjectID: tokentest.ObjectID, DisplayName: "web"},
			{Kind: directory.ManagedIdentity, ClientID: other, ObjectID: otherOID, DisplayName: "reports"},
			{Kind: directory.Application, ClientID: admin, ObjectID: adminOID, DisplayName: "deployer"},
		}},
		directory.Tenant{ID: another},
	)
	must(t, err)
	l := &lab{t: t, clock: clk, tokens: tokentest.New(t, clk), journal: j, faults: faults.New(clk, j, 1)}
	made, err := sql.Description().Open(resource.Kit{
		Tokens: resource.NewValidator(clk, l.tokens.Source(), resource.Options{}), Clock: clk, Directory: people, Journal: j, Faults: l.faults,
	}, (*sql.Settings)(&servers))
	must(t, err)
	l.servers = made.(*sql.Servers)
	l.trust, err = ca.Open("", clk, ca.Options{Names: []string{".database.windows.net"}})
	must(t, err)
	l.hosts = dialer{host: l.listen(host, 1433)}
	return l
}

// listen serves connections that are led by a host's name.
func (l *lab) listen(host string, port uint16) (address string) {
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	must(l.t, err)
	var open sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	open.Go(func() {
		for {
			conn, err := listening.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				l.servers.ServeStream(ctx, &hostmux.Connection{Conn: conn, Host: host, Port: port, Certificate: l.trust.GetCertificate, Begin: l.clock.Begin})
			})
		}
	})
	l.t.Cleanup(func() {
		cancel()
		_ = listening.Close()
		open.Wait() // no goroutine stays
	})
	return listening.Addr().String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// token is one of the first identity.
func (l *lab) token() string { return l.tokens.Mint(l.t, "https://database.windows.net/", nil) }

func (l *lab) tokenOf(clientID, objectID string) string {
	return l.tokens.Mint(l.t, "https://database.windows.net/", tokentest.Claims{"appid": clientID, "oid": objectID})
}

// dialer leads connections by their host, as wiemu run does.
type dialer map[string]string

func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	to, ok := d[name]
	if !ok {
		return nil, errors.New(name + " leads nowhere")
	}
	return (&net.Dialer{}).DialContext(ctx, network, to)
}

func (d dialer) HostName() string { return host }

// open returns a pool whose connections have a token.
func (l *lab) open(token, database string, options ...string) *databasesql.DB {
	l.t.Helper()
	dsn := "sqlserver://" + host + ":1433?app+name=orders&database=" + database + "&" + strings.Join(options, "&")
	config, err := msdsn.Parse(dsn)
	must(l.t, err)
	if config.TLSConfig != nil {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(l.trust.RootPEM())
		config.TLSConfig.RootCAs = roots
	}
	connector, err := mssql.NewSecurityTokenConnector(config, func(context.Context) (string, error) { return token, nil })
	must(l.t, err)
	connector.Dialer = l.hosts
	db := databasesql.OpenDB(connector)
	l.t.Cleanup(func() { _ = db.Close() })
	return db
}

// refused are the errors of a login or a batch, first to last; they are nil if it works.
func refused(err error) []mssql.Error {
	var e mssql.Error
	if err == nil || !errors.As(err, &e) {
		return nil
	}
	if len(e.All) == 0 {
		return []mssql.Error{e}
	}
	return e.All
}

func (l *lab) inject(text string) {
	l.t.Helper()
	f, err := fault.Parse(text)
	if err == nil {
		_, err = l.faults.Inject(f)
	}
	must(l.t, err)
}

// last is the last event of an access.
func (l *lab) last() (last journal.Event) {
	for _, e := range l.journal.Events() {
		if e.Kind == journal.Access {
			last = e
		}
	}
	return last
}
