package sql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/sql/answers"
	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

// listener decides on the login of one connection.
type listener struct {
	servers    *Servers
	connection *hostmux.Connection
	decided    bool // there was a login, which the journal has

	heard   bool // it has said something; of clients
	entered bool // it is a session, or was one; of clients
}

// host is the one that the connection is for, as far as it is known before the login.
func (l *listener) host() string {
	c := l.connection
	if host := cmp.Or(c.Host, c.Only); host != "" {
		return host
	}
	for _, name := range l.servers.Names() { // any: it is about the certificate of a client that names nobody
		return name + "." + l.servers.kit.Cloud().SQL
	}
	return "unknown." + l.servers.kit.Cloud().SQL
}

// certificateName is the name in the certificate for a client that asks for a host, or as mssql-jdbc does
// for none: *.database.windows.net, as in Azure, where many clients have to be told that.
// Source: the connection strings for JDBC of Azure's portal, which end with
// hostNameInCertificate=*.database.windows.net (seen in many public repositories); mssql-jdbc,
// SQLServerCertificateUtils.validateServerName, compares that with the certificate's name.
func (l *listener) certificateName(asked string) string {
	domain := "." + l.servers.kit.Cloud().SQL
	if l.connection.Port == workerPort {
		domain = worker + domain
	}
	if below, ok := strings.CutSuffix(asked, domain); asked == "" || ok && !strings.Contains(below, ".") {
		return "*" + domain
	}
	return asked
}

// named returns the host that a login is for: what the program's connection was led by, else
// what LOGIN7 says, which may have a protocol or a port, else what TLS says.
func (l *listener) named(a tds.Attempt) string {
	domain := "." + l.servers.kit.Cloud().SQL
	inLogin := strings.ToLower(strings.TrimPrefix(a.Server, "tcp:"))
	if i := strings.IndexAny(inLogin, `,\:`); i >= 0 {
		inLogin = inLogin[:i]
	}
	for _, name := range []string{l.connection.Host, inLogin, strings.ToLower(a.SNI), l.connection.Only} {
		if strings.HasSuffix(name, domain) {
			return name
		}
	}
	return cmp.Or(inLogin, a.SNI, l.host())
}

// server returns the name of the one that a host is of, and whether it is the host to which
// a redirect leads.
func (l *listener) server(host string) (name string, arrived bool) {
	name, _ = strings.CutSuffix(host, "."+l.servers.kit.Cloud().SQL)
	return strings.CutSuffix(name, worker)
}

// Authority implements tds.Handler. Source: seen by the drivers' requests, of the public cloud.
func (l *listener) Authority(a tds.Attempt) (sts, spn string) {
	c := l.servers.kit.Cloud()
	login := c.Login
	if old := "login.windows.net"; slices.Contains(c.Aliases, old) {
		login = old
	}
	tenant := "common"
	name, _ := l.server(l.named(a))
	if s := l.servers.server(name); s != nil {
		tenant = s.tenant
	}
	return "https://" + login + "/" + tenant, "https://" + c.SQL + "/"
}

// attempt is a login on its way through the checks.
type attempt struct {
	*resource.Call
	tds.Attempt
	servers *Servers
	enter   func() bool // makes the connection a session

	name     string // of the server, as the host has it
	arrived  bool   // where a redirect leads
	server   *server
	database *database
	user     answers.User // of the database
	refused  *refusal
}

// Login implements tds.Handler.
func (l *listener) Login(ctx context.Context, made tds.Attempt) (tds.Session, error) {
	end := l.begin()
	defer end()
	l.decided = true
	host := l.named(made)
	call := &resource.Call{Host: host, Token: made.Token}
	if made.FedAuth == nil {
		call.Instead = "a password"
		if made.Integrated {
			call.Instead = "a Windows login"
		}
	}
	a := &attempt{Call: call, Attempt: made, servers: l.servers, enter: func() bool { return l.servers.clients.enter(l) }}
	a.name, a.arrived = l.server(host)
	a.server = l.servers.server(a.name)
	if failed := l.servers.kit.Login(ctx, l.connection, call, a); failed != nil {
		if a.refused == nil { // the connection was reset
			return nil, errors.New(failed.Message)
		}
		return nil, a.refused.Error
	}
	if a.server.redirect && !a.arrived || a.redirected() {
		return nil, &tds.Route{Host: a.server.name + worker + "." + l.servers.kit.Cloud().SQL, Port: workerPort}
	}
	s := newSession(l, a)
	if a.server.engine == nil {
		return s, nil
	}
	return s.pipe(ctx)
}

// begin holds the lab clock until end is called.
func (l *listener) begin() (end func()) {
	if l.connection.Begin == nil {
		return func() {}
	}
	return l.connection.Begin()
}

func (a *attempt) refuse(r *refusal) *resource.Failure {
	a.refused = r
	return r.failure()
}

// hit reports whether a fault of a kind hits the login.
func (a *attempt) hit(kind string) (faults.Hit, bool) {
	return a.servers.kit.Hit(a.Context(), a.Call, kind, nil)
}

// redirected reports whether a fault sends a client that has logged in elsewhere.
func (a *attempt) redirected() bool {
	if a.arrived {
		return false
	}
	_, hit := a.hit(faultkind.SQLRedirect)
	return hit
}

// Demand implements resource.Access: what is refused whatever the token.
func (a *attempt) Demand() (*resource.Want, *resource.Failure) {
	if a.server == nil {
		return nil, a.refuse(a.servers.noServer(a.name))
	}
	if a.FedAuth == nil {
		return nil, a.refuse(noToken(a.User, a.Integrated))
	}
	return a.servers.kit.Want(a.server.tenant), nil
}

// Allow implements resource.Access.
func (a *attempt) Allow(refused *resource.Refusal) *resource.Failure {
	if _, hit := a.hit(faultkind.NetworkRules); hit {
		return a.refuse(a.server.blocked(a.Remote))
	}
	if h, hit := a.hit(faultkind.SQLError); hit {
		return a.refuse(&refusal{transient(h.Int("number"), a.wanted(), a.server.name), "A fault took the place of the server's answer.", "A robust client connects again, with growing pauses."})
	}
	if refused != nil {
		return a.refuse(tokenRefused(refused, a.wanted(), a.server.name))
	}
	if a.database = a.server.database(a.wanted()); a.database == nil {
		a.Check("database", strings.Join(a.server.names(), ", "), a.wanted(), false)
		return a.refuse(a.server.noDatabase(a.wanted()))
	}
	if r := a.recognise(); r != nil {
		return a.refuse(r)
	}
	if !a.enter() {
		a.Check("sessions", fmt.Sprintf("%d at most", maxSessions), "one more", false)
		return a.refuse(tooManySessions())
	}
	return nil
}

// wanted is the database that the login is for.
func (a *attempt) wanted() string { return cmp.Or(a.Database, master) }

// recognise finds the user that the caller is. Applications and managed identities are known
// by their client id. Source: MicrosoftDocs/sql-docs#2323, microsoft/aspire#19390.
func (a *attempt) recognise() *refusal {
	sid := sidOf(a.Caller.ClientID)
	if a.Caller.Delegated {
		sid = sidOf(a.Caller.ObjectID)
	}
	presented := fmt.Sprintf("0x%X, of client id %s", sid, a.Caller.ClientID)
	if !a.Caller.Delegated && strings.EqualFold(a.Caller.ClientID, a.server.administrator()) && a.Caller.ClientID != "" { // a user who signed in to that application is somebody else
		a.user = answers.User{Name: answers.DBO, SID: sid, Roles: []string{"db_owner"}}
		a.Check("user of database "+a.database.name, "the server's administrator", presented, true)
		return nil
	}
	user, ok := a.database.known(sid)
	expected := "a user with the SID that the client id makes"
	if ok {
		expected = fmt.Sprintf("user %s, SID 0x%X", user.Name, user.SID)
	}
	if a.Check("user of database "+a.database.name, expected, presented, ok) {
		a.user = user
		return nil
	}
	return a.nobody()
}

// nobody refuses somebody who is no user of the database. Azure SQL gives no reason; the
// journal does.
func (a *attempt) nobody() *refusal {
	d, who := a.database, cmp.Or(a.Caller.Name, a.Caller.ClientID)
	r := &refusal{Error: loginFailed("")}
	at := cmp.Or(a.server.source, "sqlServers")
	entry := fmt.Sprintf("users: [{identity: %s, roles: [db_datareader]}] to %s.databases (%s) in wiemu.yaml; in Azure: CREATE USER [%s] FROM EXTERNAL PROVIDER in that database", who, at, d.name, who)
	if wrong, ok := d.known(sidOf(a.Caller.ObjectID)); ok {
		r.meaning = fmt.Sprintf("The user %s of database %s has a SID made of the object id (%s). Azure SQL recognises applications and managed identities by their client id, so nobody can be that user.", wrong.Name, d.name, a.Caller.ObjectID)
		r.remedy = fmt.Sprintf("Make the SID of the client id %s: CREATE USER [%s] WITH SID = 0x%X, TYPE = E. In wiemu.yaml remove sid: objectId from the user in %s.databases (%s).", a.Caller.ClientID, wrong.Name, sidOf(a.Caller.ClientID), at, d.name)
		return r
	}
	var others []string
	for _, name := range a.server.names() {
		if u, ok := a.server.database(name).known(sidOf(a.Caller.ClientID)); ok && name != d.name {
			others = append(others, name)
			who = u.Name
		}
	}
	switch {
	case len(others) > 0 && a.Database == "":
		r.meaning = fmt.Sprintf("The login named no database, so it was for master, where %s is no user. It is one of %s.", who, strings.Join(others, ", "))
		r.remedy = "Name the database in the connection string: database=" + others[0] + " (Initial Catalog)."
	case len(others) > 0:
		r.meaning = fmt.Sprintf("%s is no user of database %s. It is one of %s; a contained user is one of the database that it was created in, and of no other.", who, d.name, strings.Join(others, ", "))
		r.remedy = "Add " + entry + "."
	default:
		r.meaning = fmt.Sprintf("%s is no user of database %s: no user there has the SID that its client id makes.", who, d.name)
		r.remedy = "Add " + entry + "."
	}
	return r
}

// Interrupt implements resource.Access: 40501 of throttling, 40613 of an outage.
func (a *attempt) Interrupt(status int, _ time.Duration) *resource.Failure {
	number, name := 40613, a.name
	if status == 429 {
		number = 40501
	}
	return a.refuse(&refusal{transient(number, a.wanted(), name), "A fault took the place of the server's answer.", "A robust client connects again, with growing pauses."})
}

// Describe implements resource.Access.
func (a *attempt) Describe(e *journal.Event) string {
	e.Detail["server"], e.Detail["database"], e.Detail["driver"] = a.name, a.wanted(), strings.TrimSpace(a.Library+" "+a.App)
	e.Detail["protocol"] = "TDS 7.4"
	if a.Strict {
		e.Detail["protocol"] = "TDS 8.0"
	}
	if f := a.FedAuth; f != nil {
		e.Detail["authentication"] = "security token"
		if f.Library == tds.LibraryADAL {
			e.Detail["authentication"] = "ADAL workflow " + strconv.Itoa(int(f.Workflow))
		}
	}
	if a.user.Name != "" {
		e.Detail["user"] = a.user.Name
	}
	return "log in to database " + a.wanted() + " of " + a.name
}

// journal records why a connection ended without a login. A client that goes away is none.
func (l *listener) journal(err error) {
	if err == nil || l.decided || errors.Is(err, net.ErrClosed) {
		return
	}
	remedy := "Look at what the program says: an error of TLS means that it does not trust wiemu's CA, or that the name in the connection string is not the certificate's."
	meaning := "The client did not speak TDS as far as its login, did not trust the certificate, or went away."
	if errors.Is(err, errCrowded) {
		meaning, remedy = "wiemu ends connections that say nothing when there are so many, and new ones if all have said something, so that others are answered.", "Look for what opens connections to a database and does not log in, such as a health check that never closes them."
	}
	l.servers.kit.Journal.Record(journal.Event{
		Kind: journal.Access, Outcome: journal.Failed, Component: Name, Resource: l.servers.kit.Resource.Title, Host: l.host(), Error: "TDS",
		Message: err.Error(), Summary: fmt.Sprintf("%s: a connection ended before its login: %v", l.servers.kit.Resource.Title, err),
		Meaning: meaning, Remedy: remedy,
	})
}
