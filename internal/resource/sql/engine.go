package sql

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/sql/answers"
	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

// engine is a SQL Server behind a logical server. Each principal has a SQL login there, made
// by the engine's own, so that SUSER_SNAME() and USER_NAME() say what Azure SQL's say.
type engine struct {
	backend        tds.Backend
	user, password string

	preparing chan bool // holds one while logins are made

	mu        sync.Mutex              // not held while the engine is waited for
	passwords map[string]string       // of the logins that were made
	made      map[string]answers.User // those that were made of logins in databases, as they were then
}

// newEngine reads the URL of a SQL Server.
func newEngine(e Engine) (*engine, error) {
	u, err := url.Parse(e.URL)
	if err != nil {
		return nil, errors.New("engine.url: it is no URL")
	}
	password, ok := u.User.Password()
	switch {
	case u.Scheme != "sqlserver" || u.Hostname() == "" || u.Path != "" && u.Path != "/":
		return nil, fmt.Errorf("engine.url: expected sqlserver://USER:PASSWORD@HOST:PORT, found %s", resource.WithoutPassword(e.URL))
	case u.User.Username() == "" || !ok:
		return nil, errors.New("engine.url: expected the user and the password of a SQL login that may create logins and users, such as sa, found none")
	}
	port := cmp.Or(u.Port(), "1433")
	trust := false
	for name, values := range u.Query() {
		if !strings.EqualFold(name, "trustServerCertificate") {
			return nil, fmt.Errorf("engine.url: expected no parameter but trustServerCertificate, found %s", name)
		}
		trust = strings.EqualFold(values[0], "true")
	}
	config := &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12, InsecureSkipVerify: trust} // as the URL says
	return &engine{
		backend: tds.Backend{Address: net.JoinHostPort(u.Hostname(), port), TLS: config}, user: u.User.Username(), password: password,
		preparing: make(chan bool, 1), passwords: map[string]string{}, made: map[string]answers.User{},
	}, nil
}

// login is a user of a database with its login at the engine.
type login struct {
	name string // CLIENTID@TENANT
	user answers.User
}

// logins are those of the users of a database.
func (d *database) logins() []login {
	var all []login
	for _, u := range d.Users() {
		all = append(all, login{strings.ToLower(tds.FormatGUID(u.SID)) + "@" + d.tenant, u})
	}
	return all
}

// engineTimeout is how long the engine may take to let a login in, in wall time.
const engineTimeout = 30 * time.Second

// prepare makes logins and users at the engine, unless they are there as they are now. One
// caller at a time does; nobody waits for one that is done already.
func (e *engine) prepare(ctx context.Context, database string, logins []login) error {
	if len(e.missing(database, logins)) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	select {
	case e.preparing <- true:
		defer func() { <-e.preparing }()
	case <-ctx.Done():
		return fmt.Errorf("the SQL Server is slow to make logins: %w", ctx.Err())
	}
	missing := e.missing(database, logins)
	if len(missing) == 0 {
		return nil
	}
	admin, done, err := e.admin(ctx, database)
	if err != nil {
		return err
	}
	defer done()
	for _, l := range missing {
		password := e.passwordOf(l.name)
		made := password != ""
		if !made {
			password = "Aa1!" + rand.Text()
		}
		e.mu.Lock()
		before := e.made[of(database, l)]
		e.mu.Unlock()
		for _, sql := range statements(l, before, password, !made) {
			if err := admin.Exec(sql); err != nil {
				return fmt.Errorf("make the login %s: %w", l.name, err)
			}
		}
		e.mu.Lock()
		e.passwords[l.name], e.made[of(database, l)] = password, l.user
		e.mu.Unlock()
	}
	return nil
}

// missing are the logins that are not at the engine as they are now. What the engine was told
// of others in that database is forgotten, so that a user who comes back is made again.
func (e *engine) missing(database string, logins []login) (missing []login) {
	e.mu.Lock()
	defer e.mu.Unlock()
	there := map[string]bool{}
	for _, l := range logins {
		key := of(database, l)
		there[key] = true
		if known, ok := e.made[key]; !ok || fmt.Sprint(known) != fmt.Sprint(l.user) {
			missing = append(missing, l)
		}
	}
	for key := range e.made {
		if strings.HasPrefix(key, of(database, login{})) && !there[key] {
			delete(e.made, key)
		}
	}
	return missing
}

// of is the key of what was made of a login in a database.
func of(database string, l login) string { return strings.ToLower(database) + "\x00" + l.name }

// admin is a session of the engine's own login, which ends with done or the context.
func (e *engine) admin(ctx context.Context, database string) (admin *tds.Pipe, done func(), err error) {
	admin, err = e.backend.Login(ctx, tds.Attempt{Login: &tds.Login{App: "wiemu", Server: e.backend.Address}}, e.user, e.password, database)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = admin.Close() }) // the lab ends, or it takes too long
	return admin, func() { stop(); _ = admin.Close() }, nil
}

// statements make a login, if it is new, and the user that it is, which was another one
// before. The administrator is dbo by being a sysadmin.
func statements(l login, before answers.User, password string, isNew bool) []string {
	var all []string
	if isNew {
		all = append(all, fmt.Sprintf("IF SUSER_ID(%s) IS NULL CREATE LOGIN %s WITH PASSWORD = %s, CHECK_POLICY = OFF ELSE ALTER LOGIN %[2]s WITH PASSWORD = %[3]s", quoteText(l.name), quoteName(l.name), quoteText(password)))
	}
	if l.user.Name == answers.DBO {
		return append(all, "ALTER SERVER ROLE sysadmin ADD MEMBER "+quoteName(l.name))
	}
	all = append(all, fmt.Sprintf("IF DATABASE_PRINCIPAL_ID(%s) IS NULL CREATE USER %s FOR LOGIN %s ELSE ALTER USER %[2]s WITH LOGIN = %[3]s", quoteText(l.user.Name), quoteName(l.user.Name), quoteName(l.name)))
	for _, role := range l.user.Roles {
		all = append(all, "ALTER ROLE "+quoteName(role)+" ADD MEMBER "+quoteName(l.user.Name))
	}
	for _, role := range before.Roles {
		if before.Name == l.user.Name && !slices.Contains(l.user.Roles, role) {
			all = append(all, "ALTER ROLE "+quoteName(role)+" DROP MEMBER "+quoteName(l.user.Name))
		}
	}
	return all
}

func quoteName(s string) string { return "[" + strings.ReplaceAll(s, "]", "]]") + "]" }
func quoteText(s string) string { return "N'" + strings.ReplaceAll(s, "'", "''") + "'" }

func (e *engine) passwordOf(login string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.passwords[login]
}

// drop removes users that are not there any more.
func (e *engine) drop(ctx context.Context, database string, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	admin, done, err := e.admin(ctx, database)
	if err != nil {
		return err
	}
	defer done()
	for _, name := range names {
		if err := admin.Exec("DROP USER IF EXISTS " + quoteName(name)); err != nil {
			return err
		}
	}
	return nil
}

// pipe logs the session in to the engine. Its failures are 40613 for the client, since what
// the engine says of its own logins would mislead, and the reason for the journal.
func (s *session) pipe(ctx context.Context) (tds.Session, error) {
	a, e := s.attempt, s.attempt.server.engine
	name := strings.ToLower(tds.FormatGUID(a.user.SID)) + "@" + a.server.tenant
	logins := a.database.logins()
	if a.user.Name == answers.DBO {
		logins = append(logins, login{name, a.user})
	}
	err := e.prepare(ctx, a.database.name, logins)
	var p *tds.Pipe
	if err == nil {
		p, err = e.backend.Login(ctx, a.Attempt, name, e.passwordOf(name), a.database.name)
	}
	if err != nil {
		failed := unavailable(a.database.name, a.server.name)
		s.record(s.ctx, "open a session", failed, "The SQL Server behind "+a.server.name+" did not let wiemu in: "+err.Error(), remedyOf(err, a.database.name))
		return nil, failed
	}
	p.Begin = s.piped
	p.Lost = func(err error) {
		s.record(s.ctx, "go on", transient(40197, a.database.name, a.server.name), "The connection to the SQL Server behind "+a.server.name+" ended: "+err.Error(), "Look at the SQL Server's log, and whether it still runs.")
	}
	return p, nil
}

// remedyOf says what to change if the engine does not let somebody in.
func remedyOf(err error, database string) string {
	var refused *tds.LoginRefused
	switch {
	case !errors.As(err, &refused):
		return "Start the SQL Server, and compare engine.url with its address; if its certificate is its own, add ?trustServerCertificate=true."
	case refused.Err.Number == 4060:
		return "Create the database there: CREATE DATABASE " + quoteName(database) + "."
	}
	return "Compare the user and the password of engine.url with those of the SQL Server."
}

// piped decides on a request before the engine sees it. CREATE USER … FROM EXTERNAL PROVIDER
// and the like cannot be executed there, so they are here, and then the engine is told.
func (s *session) piped(sql string) (end func(), answered bool, failed *tds.Error) {
	end = s.hold()
	if caught := hostmux.Catch(func() { answered, failed = s.decide(sql) }); caught != nil {
		end()
		panic(caught)
	}
	return end, answered, failed
}

func (s *session) decide(sql string) (answered bool, failed *tds.Error) {
	if e := s.ended(); e != nil {
		return false, e
	}
	if !strings.Contains(strings.ToUpper(sql), "USER") {
		return false, nil
	}
	a := s.attempt
	do, all, some := answers.Users(sql, &journaled{a.database, s}, answers.Login{User: a.user.Name})
	switch {
	case !some:
		return false, nil
	case !all:
		return true, tds.Errorf(40510, "Statement 'CREATE USER' is not supported in this version of SQL Server. (wiemu makes users of the directory itself; send CREATE USER, DROP USER and ALTER ROLE in a batch of their own.)")
	}
	before := a.database.Users()
	for _, change := range do {
		if err := change(); err != nil {
			return true, asError(err)
		}
	}
	var gone []string
	for _, u := range before {
		if !slices.ContainsFunc(a.database.Users(), func(now answers.User) bool { return now.Name == u.Name }) {
			gone = append(gone, u.Name)
		}
	}
	err := a.server.engine.prepare(s.ctx, a.database.name, a.database.logins())
	if err == nil && len(gone) > 0 {
		err = a.server.engine.drop(s.ctx, a.database.name, gone)
	}
	if err != nil {
		return true, asError(err)
	}
	return true, nil
}

func asError(err error) *tds.Error {
	if e := (*tds.Error)(nil); errors.As(err, &e) {
		return e
	}
	return tds.Errorf(50000, "%v", err)
}
