package answers

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

// parser reads a batch. Its methods return errUnsupported for what is not answered.
type parser struct {
	session   *Session
	sql       string
	tokens    []token
	at        int
	variables map[string]*variable
	sources   []source // whose columns names stand for
	depth     int      // of EXEC
	nesting   int      // of what is read
}

// maxNesting is how deep expressions and blocks may be nested.
const maxNesting = 100

func (p *parser) next() token { return p.tokens[p.at] }

func (p *parser) take() token {
	t := p.tokens[p.at]
	if t.kind != end {
		p.at++
	}
	return t
}

// accept takes the given keywords or symbols if they are next.
func (p *parser) accept(all ...string) bool {
	for n, s := range all {
		if p.at+n >= len(p.tokens) || !p.tokens[p.at+n].is(s) {
			return false
		}
	}
	p.at += len(all)
	return true
}

func (p *parser) expect(all ...string) error {
	if !p.accept(all...) {
		return errUnsupported
	}
	return nil
}

// skip goes over the ends of statements.
func (p *parser) skip() {
	for p.accept(";") {
	}
}

// statement is one that is ready to be executed.
type statement func(ctx context.Context, out Reply) error

func (p *parser) batch() ([]statement, error) {
	var all []statement
	for p.skip(); p.next().kind != end; p.skip() {
		first := p.next()
		s, err := p.statement()
		if err != nil {
			return nil, p.refuse(err, first)
		}
		all = append(all, s)
	}
	return all, nil
}

// refuse is the error of a statement that begins with a token: its own, or, if it is not
// answered, that the permission or the engine for it is missing.
func (p *parser) refuse(err error, first token) error {
	if !errors.Is(err, errUnsupported) {
		if e := (*tds.Error)(nil); errors.As(err, &e) && e.Line == 0 {
			e.Line = first.line
		}
		return err
	}
	what := strings.ToUpper(clip(first.text))
	if permission, object := p.object(); object != "" {
		if denied := p.session.permitted(permission, object); denied != nil {
			denied.Line = first.line
			return denied
		}
		what = permission
	}
	return &tds.Error{Number: 40510, State: 1, Class: 15, Line: first.line, Message: "Statement '" + what + "' is not supported in this version of SQL Server. " +
		"(wiemu answers who is logged in, statements about users and roles, and constants, but has no tables. To run \"" + p.quote(first) + "\", connect a SQL Server: engine.url of the server in sqlServers of wiemu.yaml.)"}
}

// quote is the beginning of a statement, without its literals: they may be secrets, and the
// journal has it.
func (p *parser) quote(first token) string {
	const enough = 200 // bytes, of which there are 50 characters
	var b strings.Builder
	for _, t := range p.tokens {
		if t.at < first.at || t.kind == end || b.Len() > enough {
			continue
		}
		if b.Len() > 0 && t.at > 0 && strings.ContainsAny(p.sql[t.at-1:t.at], " \t\r\n/") {
			b.WriteByte(' ')
		}
		switch t.kind {
		case text:
			b.WriteString("'…'")
		case binary:
			b.WriteString("0x…")
		case identifier:
			b.WriteString("[" + t.text + "]")
		default:
			b.WriteString(t.text)
		}
	}
	return clip(b.String())
}

// object is what the batch wants to do, and with which object of the database.
func (p *parser) object() (permission, name string) {
	for i, t := range p.tokens {
		switch {
		case t.is("INSERT"), t.is("UPDATE"), t.is("DELETE"), t.is("SELECT"):
			permission = strings.ToUpper(t.text)
		}
		follows := t.is("FROM") || t.is("INTO") || t.is("UPDATE") || t.is("INSERT") && !p.tokens[i+1].is("INTO") || t.is("DELETE") && !p.tokens[i+1].is("FROM")
		if permission == "" || !follows {
			continue
		}
		name := p.tokens[i+1]
		if name.kind != word && name.kind != identifier {
			continue
		}
		if i+3 < len(p.tokens) && p.tokens[i+2].is(".") {
			return permission, name.text + "." + p.tokens[i+3].text
		}
		return permission, name.text
	}
	return "", ""
}

// name takes a name, quoted or not.
func (p *parser) name() (string, error) {
	t := p.take()
	if t.kind == identifier || t.kind == word && !strings.HasPrefix(t.text, "@") {
		return t.text, nil
	}
	return "", errUnsupported
}

func (p *parser) statement() (statement, error) {
	if p.nesting++; p.nesting > maxNesting {
		return nil, errUnsupported
	}
	defer func() { p.nesting-- }()
	s := p.session
	switch first := p.take(); {
	case first.is("SELECT"):
		return p.selectStatement()
	case first.is("SET"):
		return p.set()
	case first.is("DECLARE"):
		return p.declare()
	case first.is("IF"):
		return p.ifStatement()
	case first.is("PRINT"):
		e, err := p.expression()
		if err != nil || !e.of.IsText() {
			return nil, unsupported(err)
		}
		return func(_ context.Context, out Reply) error {
			v, err := e.value(nil)
			if err != nil {
				return err
			}
			message, _ := v.(string) // NULL prints nothing
			out.Message(&tds.Error{State: 1, Message: message, Line: first.line})
			return nil
		}, nil
	case first.is("USE"):
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		return func(_ context.Context, out Reply) error {
			if strings.EqualFold(name, s.Database()) {
				out.Done()
				return nil
			}
			return tds.Errorf(40508, "USE statement is not supported to switch between databases. Use a new connection to connect to a different database.")
		}, nil
	case first.is("BEGIN"):
		if p.accept("TRAN") || p.accept("TRANSACTION") {
			return p.transaction(tds.Begin), nil
		}
		return p.block()
	case first.is("COMMIT"):
		_ = p.accept("TRAN") || p.accept("TRANSACTION") || p.accept("WORK")
		return p.transaction(tds.Commit), nil
	case first.is("ROLLBACK"):
		_ = p.accept("TRAN") || p.accept("TRANSACTION") || p.accept("WORK")
		return p.transaction(tds.Rollback), nil
	case first.is("WAITFOR"):
		return p.waitFor()
	case first.is("EXEC"), first.is("EXECUTE"):
		return p.exec()
	case first.is("CREATE") && p.accept("USER"):
		return done(p.createUser())
	case first.is("DROP") && p.accept("USER"):
		return done(p.dropUser())
	case first.is("ALTER") && p.accept("ROLE"):
		return done(p.alterRole())
	}
	return nil, errUnsupported
}

// done makes a statement of something that returns no rows.
func done(do func() error, err error) (statement, error) {
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, out Reply) error {
		if err := do(); err != nil {
			return err
		}
		out.Done()
		return nil
	}, nil
}

// unsupported is err, or errUnsupported if there is none.
func unsupported(err error) error {
	if err != nil {
		return err
	}
	return errUnsupported
}

func (p *parser) transaction(what tds.Transaction) statement {
	if t := p.next(); t.kind == identifier || t.kind == word && !begins(t) {
		p.take() // its name
	}
	return func(_ context.Context, out Reply) error {
		if err := p.session.Transaction(what, ""); err != nil {
			return err
		}
		out.Done()
		return nil
	}
}

// begins reports whether a statement begins with the token, or a block ends.
func begins(t token) bool {
	for _, s := range strings.Fields("SELECT SET DECLARE IF ELSE END PRINT USE BEGIN COMMIT ROLLBACK SAVE WAITFOR EXEC EXECUTE CREATE DROP ALTER INSERT UPDATE DELETE MERGE WITH GRANT DENY REVOKE WHILE RETURN TRUNCATE THROW RAISERROR") {
		if t.is(s) {
			return true
		}
	}
	return false
}

// block reads to END.
func (p *parser) block() (statement, error) {
	var all []statement
	for p.skip(); !p.accept("END"); p.skip() {
		s, err := p.statement()
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return func(ctx context.Context, out Reply) error {
		for _, s := range all {
			if err := s(ctx, out); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func (p *parser) ifStatement() (statement, error) {
	holds, err := p.condition()
	if err != nil {
		return nil, err
	}
	then, err := p.statement()
	if err != nil {
		return nil, err
	}
	p.skip()
	var other statement
	if p.accept("ELSE") {
		if other, err = p.statement(); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, out Reply) error {
		yes, err := holds(nil)
		switch {
		case err != nil:
			return err
		case yes == isTrue:
			return then(ctx, out)
		case other != nil:
			return other(ctx, out)
		}
		return nil
	}, nil
}

// options are those of SET that change nothing that is answered here.
var options = strings.Fields("ANSI_DEFAULTS ANSI_NULLS ANSI_NULL_DFLT_ON ANSI_NULL_DFLT_OFF ANSI_PADDING ANSI_WARNINGS ARITHABORT ARITHIGNORE CONCAT_NULL_YIELDS_NULL CURSOR_CLOSE_ON_COMMIT DATEFIRST DATEFORMAT DEADLOCK_PRIORITY LANGUAGE LOCK_TIMEOUT NOCOUNT NUMERIC_ROUNDABORT QUOTED_IDENTIFIER ROWCOUNT TEXTSIZE")

func (p *parser) set() (statement, error) {
	nothing := func(_ context.Context, out Reply) error { out.Done(); return nil }
	if t := p.next(); t.kind == word && strings.HasPrefix(t.text, "@") && !strings.HasPrefix(t.text, "@@") {
		return p.assign(p.take())
	}
	if p.accept("TRANSACTION", "ISOLATION", "LEVEL") {
		p.take()
		if t := p.next(); t.is("COMMITTED") || t.is("UNCOMMITTED") || t.is("READ") {
			p.take()
		}
		return nothing, nil
	}
	var names []string
	for {
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		names = append(names, strings.ToUpper(name))
		if !p.accept(",") {
			break
		}
	}
	_ = p.accept("-")
	value := p.take()
	if value.kind == end || value.kind == symbol {
		return nil, errUnsupported
	}
	on := value.is("ON")
	for name, option := range map[string]*bool{"IMPLICIT_TRANSACTIONS": &p.session.implicit, "XACT_ABORT": &p.session.abort} {
		if len(names) == 1 && names[0] == name {
			return func(_ context.Context, out Reply) error {
				*option = on
				out.Done()
				return nil
			}, nil
		}
	}
	if slices.Contains(names, "ROWCOUNT") && value.text != "0" {
		return nil, errUnsupported
	}
	for _, name := range names {
		known := false
		for _, option := range options {
			known = known || option == name
		}
		if !known {
			return nil, errUnsupported
		}
	}
	return nothing, nil
}

func (p *parser) assign(name token) (statement, error) {
	v := p.variables[strings.ToLower(name.text)]
	if v == nil {
		return nil, undeclared(name)
	}
	if err := p.expect("="); err != nil {
		return nil, err
	}
	return p.assigned(v)
}

func (p *parser) assigned(v *variable) (statement, error) {
	e, err := p.expression()
	if err != nil {
		return nil, err
	}
	e, err = cast(e, v.of, 0)
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, out Reply) error {
		value, err := e.value(nil)
		if err == nil {
			v.value, err = value, p.session.hold(value)
		}
		return err
	}, nil
}

func undeclared(t token) error {
	return &tds.Error{Number: 137, State: 2, Class: 15, Line: t.line, Message: `Must declare the scalar variable "` + t.text + `".`}
}

func (p *parser) declare() (statement, error) {
	var all []statement
	for {
		name := p.take()
		if name.kind != word || !strings.HasPrefix(name.text, "@") {
			return nil, errUnsupported
		}
		p.accept("AS")
		of, err := p.typeName()
		if err != nil {
			return nil, err
		}
		v := &variable{of: of}
		key := strings.ToLower(name.text)
		if p.variables[key] != nil {
			return nil, &tds.Error{Number: 134, State: 1, Class: 15, Message: "The variable name '" + name.text + "' has already been declared. Variable names must be unique within a query batch or stored procedure."}
		}
		if p.accept("=") {
			s, err := p.assigned(v)
			if err != nil {
				return nil, err
			}
			all = append(all, s)
		}
		p.variables[key] = v
		if !p.accept(",") {
			break
		}
	}
	return func(ctx context.Context, out Reply) error {
		for _, s := range all {
			if err := s(ctx, out); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// exec reads EXEC (text), and the procedures that are about members of roles.
func (p *parser) exec() (statement, error) {
	if p.accept("(") {
		e, err := p.expression()
		if err == nil {
			err = p.expect(")")
		}
		if err != nil || !e.of.IsText() {
			return nil, unsupported(err)
		}
		return func(ctx context.Context, out Reply) error {
			v, err := e.value(nil)
			if err != nil {
				return err
			}
			sql, _ := v.(string) // NULL executes nothing
			return p.session.execute(ctx, sql, map[string]*variable{}, out, p.depth+1)
		}, nil
	}
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	if p.accept(".") {
		if name, err = p.name(); err != nil {
			return nil, err
		}
	}
	arguments, err := p.arguments()
	if err != nil {
		return nil, err
	}
	name = strings.ToLower(name)
	if name != "sp_addrolemember" && name != "sp_droprolemember" || len(arguments) != 2 {
		return nil, errUnsupported
	}
	return done(func() error {
		var names [2]string
		for n, e := range arguments {
			v, err := e.value(nil)
			if err != nil {
				return err
			}
			names[n], _ = v.(string) // else no role or user has that name
		}
		return p.session.setMember(names[0], names[1], name == "sp_addrolemember")
	}, nil)
}

// arguments are those of a procedure, by position or with the names that sp_addrolemember has.
func (p *parser) arguments() ([]expression, error) {
	var all []expression
	for t := p.next(); t.kind == text || t.kind == word && !begins(t) || t.kind == identifier; {
		if t.is("@rolename") || t.is("@membername") {
			p.take()
			if err := p.expect("="); err != nil {
				return nil, err
			}
		}
		if t := p.next(); t.kind == identifier || t.kind == word && !strings.HasPrefix(t.text, "@") { // a name stands for its text
			all = append(all, constant(tds.NVarChar(128), p.take().text))
		} else {
			e, err := p.primary()
			if err != nil {
				return nil, err
			}
			all = append(all, e)
		}
		if !p.accept(",") {
			break
		}
		t = p.next()
	}
	return all, nil
}

// createUser reads what follows CREATE USER. Source: learn.microsoft.com, sql/t-sql/statements/create-user-transact-sql.
func (p *parser) createUser() (func() error, error) {
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	u := NewUser{Name: name}
	external := p.accept("FROM", "EXTERNAL", "PROVIDER")
	if p.accept("WITH") {
		for {
			switch {
			case p.accept("OBJECT_ID", "=") && external:
				if t := p.take(); t.kind == text {
					u.ObjectID = t.text
				} else {
					return nil, errUnsupported
				}
			case p.accept("SID", "=") && !external:
				t := p.take()
				raw, err := hex.DecodeString(t.text)
				if t.kind != binary || err != nil {
					return nil, errUnsupported
				}
				if len(raw) != 16 {
					return nil, tds.Errorf(15419, "Supplied parameter sid should be binary(16).")
				}
				u.SID, u.Given = [16]byte(raw), true
			case p.accept("TYPE", "="):
				t := p.take()
				if !t.is("E") && !t.is("X") {
					return nil, errUnsupported
				}
				u.Group = t.is("X")
			case p.accept("DEFAULT_SCHEMA", "="):
				if _, err := p.name(); err != nil {
					return nil, err
				}
			default:
				return nil, errUnsupported
			}
			if !p.accept(",") {
				break
			}
		}
	}
	if external == u.Given { // neither: a user of a SQL login; both is none of the forms
		return nil, errUnsupported
	}
	return func() error {
		if !p.session.owner("db_accessadmin") {
			return tds.Errorf(15247, "User does not have permission to perform this action.")
		}
		return p.session.create(u)
	}, nil
}

func (p *parser) dropUser() (func() error, error) {
	maybe := p.accept("IF", "EXISTS")
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	return func() error {
		if maybe && !p.session.hasUser(name) {
			return nil
		}
		if !p.session.owner("db_accessadmin") || !p.session.hasUser(name) {
			return tds.Errorf(15151, "Cannot drop the user '%s', because it does not exist or you do not have permission.", name)
		}
		return p.session.drop(name)
	}, nil
}

func (p *parser) alterRole() (func() error, error) {
	role, err := p.name()
	if err != nil {
		return nil, err
	}
	add := p.accept("ADD", "MEMBER")
	if !add && !p.accept("DROP", "MEMBER") {
		return nil, errUnsupported
	}
	user, err := p.name()
	if err != nil {
		return nil, err
	}
	return func() error { return p.session.setMember(role, user, add) }, nil
}

func (s *Session) hasUser(name string) bool {
	return s.user(name) != nil
}

// user is the one of a name; nil if there is none.
func (s *Session) user(name string) *User {
	for _, u := range s.database.Users() {
		if strings.EqualFold(u.Name, name) {
			return &u
		}
	}
	return nil
}

func (s *Session) create(u NewUser) error {
	s.touch()
	if err := s.database.Create(u); err != nil {
		return err
	}
	s.undo = append(s.undo, func() error { return s.database.Drop(u.Name) })
	return nil
}

func (s *Session) drop(name string) error {
	s.touch()
	was := s.user(name)
	if err := s.database.Drop(name); err != nil || was == nil { // another session may make it in between
		return err
	}
	s.undo = append(s.undo, func() error {
		err := s.database.Create(NewUser{Name: was.Name, SID: was.SID, Given: true, Group: was.Group})
		for _, role := range was.Roles {
			err = errors.Join(err, s.database.SetMember(role, was.Name, true))
		}
		return err
	})
	return nil
}

func (s *Session) setMember(role, user string, member bool) error {
	known, ok := fixedRole(role)
	if !ok || !s.owner() {
		return tds.Errorf(15151, "Cannot alter the role '%s', because it does not exist or you do not have permission.", role)
	}
	is := s.user(user)
	if is == nil {
		verb := "add"
		if !member {
			verb = "drop"
		}
		return tds.Errorf(15151, "Cannot %s the principal '%s', because it does not exist or you do not have permission.", verb, user)
	}
	s.touch()
	before := slices.Contains(is.Roles, known)
	if err := s.database.SetMember(known, user, member); err != nil {
		return err
	}
	s.undo = append(s.undo, func() error { return s.database.SetMember(known, user, before) })
	return nil
}

// FixedRoles are the roles that every database has, besides public.
// Source: learn.microsoft.com, sql/relational-databases/security/authentication-access/database-level-roles.
func FixedRoles() []string {
	return []string{"db_accessadmin", "db_backupoperator", "db_datareader", "db_datawriter", "db_ddladmin", "db_denydatareader", "db_denydatawriter", "db_owner", "db_securityadmin"}
}

// fixedRole returns a role by its name in any case.
func fixedRole(name string) (string, bool) {
	for _, r := range FixedRoles() {
		if strings.EqualFold(r, name) {
			return r, true
		}
	}
	return "", false
}
