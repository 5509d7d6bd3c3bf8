package sql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/resource/sql/answers"
	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

// revalidation is after how long Azure SQL looks at the token of an open session again.
// Source: dotnet/SqlClient#635 ("re-validates credentials after 10 hours (as of now)").
const revalidation = 10 * time.Hour

// session is a client that is logged in.
type session struct {
	*answers.Session
	listener *listener
	attempt  *attempt
	ctx      context.Context // of the login's program, for the journal
	again    time.Time       // when the token is looked at next, in lab time
}

func newSession(l *listener, a *attempt) *session {
	k := l.servers.kit
	login := answers.Login{
		Name: a.Caller.ClientID + "@" + a.Caller.Tenant, User: a.user.Name, SID: a.user.SID, Server: a.server.name,
		App: a.App, Host: a.Attempt.Host, SPID: int64(a.SPID), Strict: a.Strict,
	}
	s := &session{listener: l, attempt: a, ctx: a.Context(), again: k.Clock.Now().Add(revalidation)}
	s.Session = answers.New(&journaled{a.database, s}, login, k.Clock.Now)
	return s
}

// Begin implements tds.Conversation.
func (s *session) Begin() (end func(), ended *tds.Error) {
	return s.hold(), s.ended()
}

// longestHold is how long a request holds the lab clock, in wall time: it may wait for a lock
// that another client gives back at a later lab time.
const longestHold = time.Second

// hold holds the lab clock until end is called, or for longestHold.
func (s *session) hold() (end func()) {
	over := s.listener.begin()
	late := time.AfterFunc(longestHold, over)
	return func() {
		late.Stop()
		over()
	}
}

// ended is why the session is over: its token was looked at again and has expired, or a fault.
func (s *session) ended() *tds.Error {
	a, k := s.attempt, s.listener.servers.kit
	now := k.Clock.Now()
	if k.Faults.Any() {
		ctx := k.Faults.WithTrail(s.ctx)
		if h, hit := k.Hit(ctx, a.Call, faultkind.SQLSessionEnded, nil); hit {
			e, meaning, remedy := tokenEnded(), "A fault had the server look at the session's token before its ten hours were over.", "A program has to take a connection that fails out of its pool and open another one."
			if h.Int("number") != int(e.Number) {
				e, meaning = transient(h.Int("number"), a.database.name, a.server.name), "A fault failed the database over to another node, which ends its sessions."
			}
			s.record(ctx, "go on", e, meaning, remedy)
			return e
		}
	}
	if now.Before(s.again) {
		return nil
	}
	s.again = now.Add(revalidation)
	if now.Before(a.Caller.ExpiresAt) {
		return nil
	}
	e := tokenEnded()
	s.record(s.ctx, "go on", e, fmt.Sprintf("The session is older than ten hours, so that the server looked at its token again, which expired at %s. A session cannot be given a new token.", a.Caller.ExpiresAt.Format(time.RFC3339)),
		"Have the pool close connections before they are ten hours old (SetConnMaxLifetime, maxLifetime, Connection Lifetime), and open another one when a connection fails with 18456.")
	return e
}

// Batch implements tds.Conversation. What fails is written into the journal.
func (s *session) Batch(ctx context.Context, sql string, params []tds.Param, out *tds.Reply) error {
	err := s.Session.Batch(ctx, sql, params, out)
	if e := (*tds.Error)(nil); errors.As(err, &e) {
		meaning, remedy := s.explain(e)
		if e.Number == 105 { // it quotes what may be a secret
			e = &tds.Error{Number: 105, State: e.State, Class: e.Class, Message: "Unclosed quotation mark after a character string."}
		}
		s.record(s.ctx, "execute a batch", e, meaning, remedy)
	}
	return err
}

// explain says what the error of a batch means, if it is about who the user is.
func (s *session) explain(e *tds.Error) (meaning, remedy string) {
	a := s.attempt
	switch e.Number {
	case 229, 262, 15247, 15151:
		return fmt.Sprintf("The login worked, and the user %s of database %s has the roles %v, which do not permit this.", a.user.Name, a.database.name, a.roles()),
			fmt.Sprintf("Add a role, such as db_datareader or db_datawriter, to roles: of the user in %s.databases (%s); in Azure: ALTER ROLE db_datareader ADD MEMBER [%s].", a.server.source, a.database.name, a.user.Name)
	case 33130:
		return "The directory has no application or managed identity with that display name, or object id.", "Use the display name of the app registration or the managed identity, as the directory has it, or WITH OBJECT_ID."
	case 40510:
		return "The engine without tables does not execute this.", "Connect a SQL Server: engine: {url: sqlserver://USER:PASSWORD@HOST:PORT} of the server in sqlServers."
	}
	return "", ""
}

// roles are those that the user has now.
func (a *attempt) roles() []string {
	if u, ok := a.database.known(a.user.SID); ok {
		return u.Roles
	}
	return a.user.Roles
}

// record writes what a session did into the journal. failed is nil if it worked.
func (s *session) record(ctx context.Context, what string, failed *tds.Error, meaning, remedy string) {
	a, k := s.attempt, s.listener.servers.kit
	e := journal.Event{
		Kind: journal.Access, Outcome: journal.Granted, Component: Name, Resource: k.Resource.Title, Host: a.Host,
		Tenant: a.Caller.Tenant, ClientID: a.Caller.ClientID, ObjectID: a.Caller.ObjectID, Identity: a.Caller.Name, UTI: a.Caller.UTI,
		Detail:  map[string]string{"server": a.server.name, "database": a.database.name, "user": a.user.Name},
		Summary: fmt.Sprintf("%s: %s in database %s of %s by %s", k.Resource.Title, what, a.database.name, a.server.name, a.user.Name),
	}
	if failed != nil {
		e.Outcome, e.Error, e.Message, e.Meaning, e.Remedy = journal.Denied, strconv.Itoa(int(failed.Number)), failed.Message, meaning, remedy
		e.Summary += fmt.Sprintf(": refused with %d: %s", failed.Number, failed.Message)
	}
	faults.Note(ctx, &e)
	k.Journal.Record(e)
}

// journaled is a database whose changes are written into the journal.
type journaled struct {
	*database
	by *session
}

func (d *journaled) note(what string, err error) error {
	if err == nil {
		d.by.record(d.by.ctx, what, nil, "", "")
	}
	return err
}

// Create implements answers.Database.
func (d *journaled) Create(u answers.NewUser) error {
	return d.note("create user "+u.Name, d.database.Create(u))
}

// Drop implements answers.Database.
func (d *journaled) Drop(name string) error { return d.note("drop user "+name, d.database.Drop(name)) }

// SetMember implements answers.Database.
func (d *journaled) SetMember(role, user string, member bool) error {
	what := "add " + user + " to role " + role
	if !member {
		what = "remove " + user + " from role " + role
	}
	return d.note(what, d.database.SetMember(role, user, member))
}
