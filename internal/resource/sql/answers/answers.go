// Package answers is the engine of Azure SQL servers that have no SQL Server behind them: it
// answers who is logged in, makes users and members of roles, and evaluates constants and
// parameters, which is what drivers, health checks and scripts of identities send first.
// It has no tables. Anything else is refused in SQL Server's form, or, as with a real one,
// because the user lacks the permission; nothing is answered otherwise than SQL Server would.
package answers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

// User is a contained user of a database.
type User struct {
	Name  string
	SID   [16]byte
	Group bool // of the directory
	Roles []string
}

// NewUser is what CREATE USER says.
type NewUser struct {
	Name     string
	ObjectID string   // of WITH OBJECT_ID; "" for none
	SID      [16]byte // of WITH SID, if Given
	Given    bool
	Group    bool // TYPE = X
}

// Database has users. Errors are *tds.Error.
type Database interface {
	Name() string
	// Users are those that there are now, by name.
	Users() []User
	Create(NewUser) error
	Drop(name string) error
	// SetMember adds a user to a role, or removes it.
	SetMember(role, user string, member bool) error
}

// Login is who is logged in where.
type Login struct {
	Name   string // CLIENTID@TENANT
	User   string // of the database; dbo for the administrator
	SID    [16]byte
	Server string
	App    string
	Host   string
	SPID   int64
	Strict bool // TDS 8.0
}

// DBO is the user that the server's administrator is, in every database.
const DBO = "dbo"

// Session answers a client.
type Session struct {
	database Database
	login    Login
	now      func() time.Time // the lab's

	open     int64          // @@TRANCOUNT
	lost     bool           // the last transaction was rolled back
	undo     []func() error // what the transaction has done, undone
	implicit bool           // SET IMPLICIT_TRANSACTIONS ON
	abort    bool           // SET XACT_ABORT ON
	rows     int64          // @@ROWCOUNT

	held, combined int // by the batch; see limits.go
}

// Reply is what answers are written to: a *tds.Reply.
type Reply interface {
	Columns([]tds.Column)
	Row([]any) error
	EndRows()
	Done()
	Message(*tds.Error)
}

// New returns a session.
func New(d Database, l Login, now func() time.Time) *Session {
	return &Session{database: d, login: l, now: now}
}

// Database is the name of the one that the session is in.
func (s *Session) Database() string { return s.database.Name() }

// InTransaction reports whether a transaction is open.
func (s *Session) InTransaction() bool { return s.open > 0 }

// RolledBack reports whether the last transaction that has ended was rolled back.
func (s *Session) RolledBack() bool { return s.lost }

// Reset makes the session as it was after the login.
func (s *Session) Reset() {
	_ = s.rollBack() // what others have done to the same users meanwhile stays
	s.implicit, s.abort, s.rows = false, false, 0
}

// Close rolls back what was not committed.
func (s *Session) Close() error { return s.rollBack() }

func (s *Session) rollBack() error {
	var failed error
	if s.open > 0 {
		for _, undo := range slices.Backward(s.undo) {
			failed = errors.Join(failed, undo())
		}
	}
	s.open, s.undo, s.lost = 0, nil, true
	return failed
}

// touch begins a transaction if statements do that by themselves, and forgets what was done
// outside of one.
func (s *Session) touch() {
	if s.open == 0 {
		s.undo = nil
		if s.implicit {
			s.open = 1
		}
	}
}

// Transaction begins, commits, rolls back or saves one.
func (s *Session) Transaction(what tds.Transaction, _ string) error {
	switch what {
	case tds.Begin:
		if s.open == 0 {
			s.undo = nil
		}
		s.open++
	case tds.Commit:
		if s.open == 0 {
			return tds.Errorf(3902, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")
		}
		s.open--
		s.lost = false
	case tds.Rollback:
		if s.open == 0 {
			return tds.Errorf(3903, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.")
		}
		return s.rollBack()
	case tds.Save:
		return tds.Errorf(40510, "Statement 'SAVE TRANSACTION' is not supported in this version of SQL Server. (wiemu has no savepoints; connect a SQL Server for them: engine.url of the server in sqlServers of wiemu.yaml.)")
	}
	return nil
}

// maxDepth is how deep EXEC may execute texts within texts, as in SQL Server.
const maxDepth = 32

// Batch answers statements, all or, if one of them is not among those that are answered, none.
func (s *Session) Batch(ctx context.Context, sql string, params []tds.Param, out Reply) error {
	s.held, s.combined = 0, 0
	variables := map[string]*variable{}
	for _, p := range params {
		v := &variable{p.Type.Nullable(), p.Value}
		if p.Type.IsVariant() {
			v.of = tds.Type{} // what it has is not of that type
		}
		variables[strings.ToLower(p.Name)] = v
	}
	err := s.execute(ctx, sql, variables, out, 1)
	for i, p := range params {
		if p.Output {
			params[i].Value = variables[strings.ToLower(p.Name)].value
		}
	}
	return err
}

// variable is one that was declared, or a parameter.
type variable struct {
	of    tds.Type // the zero type if nothing can be done with it
	value any
}

func (s *Session) execute(ctx context.Context, sql string, variables map[string]*variable, out Reply, depth int) error {
	if depth > maxDepth {
		return tds.Errorf(217, "Maximum stored procedure, function, trigger, or view nesting level exceeded (limit %d).", maxDepth)
	}
	tokens, err := lex(sql)
	if err != nil {
		return err
	}
	p := &parser{session: s, sql: sql, tokens: tokens, variables: variables, depth: depth}
	statements, err := p.batch()
	if err != nil {
		return err
	}
	for _, execute := range statements {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := execute(ctx, out); err != nil {
			if s.abort {
				_ = s.rollBack() // what others have done to the same users meanwhile stays
			}
			return err
		}
	}
	return nil
}

// Users returns what a batch does, if it is of nothing but statements about users and
// members of roles, for servers whose engine is elsewhere. all is false if it has other
// statements, too; some is true if one of them creates or drops a user.
func Users(sql string, d Database, l Login) (do []func() error, all, some bool) {
	tokens, err := lex(sql)
	if err != nil {
		return nil, false, false
	}
	p := &parser{session: New(d, l, nil), sql: sql, tokens: tokens, variables: map[string]*variable{}}
	all = true
	for p.skip(); p.next().kind != end; p.skip() {
		at := p.at
		run, err := read(p.userStatement)
		if err != nil {
			all = false
			p.at = at + 1
			continue
		}
		do = append(do, run)
		some = some || tokens[at].is("CREATE") || tokens[at].is("DROP")
	}
	return do, all, some
}

// permitted returns SQL Server's refusal unless the user may do something with an object.
func (s *Session) permitted(permission, object string) *tds.Error {
	if permission == "" || object == "" {
		return nil
	}
	roles := s.roles()
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(roles, n) })
	}
	denied := permission == "SELECT" && has("db_denydatareader") || permission != "SELECT" && permission != "EXECUTE" && has("db_denydatawriter")
	allowed := has("db_owner") || permission == "SELECT" && has("db_datareader") || (permission == "INSERT" || permission == "UPDATE" || permission == "DELETE") && has("db_datawriter")
	if s.login.User == DBO || allowed && !denied {
		return nil
	}
	schema, name := "dbo", object
	if before, after, ok := strings.Cut(object, "."); ok {
		schema, name = before, after
	}
	return &tds.Error{Number: 229, State: 5, Class: 14, Message: fmt.Sprintf("The %s permission was denied on the object '%s', database '%s', schema '%s'.", permission, name, s.Database(), schema)}
}

// roles are those of the user now: others may have changed them since the login.
func (s *Session) roles() []string {
	if s.login.User == DBO {
		return []string{"db_owner", "public"}
	}
	roles := []string{"public"}
	for _, u := range s.database.Users() {
		if strings.EqualFold(u.Name, s.login.User) {
			roles = append(roles, u.Roles...)
		}
	}
	return roles
}

// owner reports whether the user may change users or roles.
func (s *Session) owner(or ...string) bool {
	roles := s.roles()
	return slices.ContainsFunc(append(or, "db_owner"), func(n string) bool { return slices.Contains(roles, n) })
}

// errUnsupported is the failure of the parser where it meets what is not answered.
var errUnsupported = errors.New("not answered")
