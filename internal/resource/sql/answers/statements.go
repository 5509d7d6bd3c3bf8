package answers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

func (p *parser) statement() statement {
	defer p.nest()()
	s, at := p.session, p.at
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
		e := p.expression()
		require(e.of.IsText())
		return func(_ context.Context, out Reply) error {
			v, err := e.value(nil)
			if err != nil {
				return err
			}
			message, _ := v.(string) // NULL prints nothing
			out.Message(&tds.Error{State: 1, Message: message, Line: first.line})
			return nil
		}
	case first.is("USE"):
		name := p.name()
		return func(_ context.Context, out Reply) error {
			if strings.EqualFold(name, s.Database()) {
				out.Done()
				return nil
			}
			return tds.Errorf(40508, "USE statement is not supported to switch between databases. Use a new connection to connect to a different database.")
		}
	case first.is("BEGIN"):
		if p.accept("TRAN") || p.accept("TRANSACTION") {
			return p.transaction(tds.Begin)
		}
		return p.block()
	case first.is("COMMIT"):
		_ = p.accept("TRAN") || p.accept("TRANSACTION") || p.accept("WORK")
		return p.transaction(tds.Commit)
	case first.is("ROLLBACK"):
		_ = p.accept("TRAN") || p.accept("TRANSACTION") || p.accept("WORK")
		return p.transaction(tds.Rollback)
	case first.is("WAITFOR"):
		return p.waitFor()
	case first.is("EXEC"), first.is("EXECUTE"):
		return p.exec()
	}
	p.at = at
	return done(p.userStatement())
}

// done makes a statement of something that returns no rows.
func done(do func() error) statement {
	return func(_ context.Context, out Reply) error {
		if err := do(); err != nil {
			return err
		}
		out.Done()
		return nil
	}
}

func (p *parser) transaction(what tds.Transaction) statement {
	if t := p.next(); t.kind == identifier || t.kind == word && !begins(t) {
		p.take() // its name
	}
	return done(func() error { return p.session.Transaction(what, "") })
}

// begins reports whether a statement begins with the token, or a block ends.
func begins(t token) bool {
	return slices.ContainsFunc(strings.Fields("SELECT SET DECLARE IF ELSE END PRINT USE BEGIN COMMIT ROLLBACK SAVE WAITFOR EXEC EXECUTE CREATE DROP ALTER INSERT UPDATE DELETE MERGE WITH GRANT DENY REVOKE WHILE RETURN TRUNCATE THROW RAISERROR"), t.is)
}

// block reads to END.
func (p *parser) block() statement {
	var all []statement
	for p.skip(); !p.accept("END"); p.skip() {
		all = append(all, p.statement())
	}
	return inOrder(all)
}

// inOrder executes statements one after the other, until one fails.
func inOrder(all []statement) statement {
	return func(ctx context.Context, out Reply) error {
		for _, s := range all {
			if err := s(ctx, out); err != nil {
				return err
			}
		}
		return nil
	}
}

func (p *parser) ifStatement() statement {
	holds := p.condition()
	then := p.statement()
	p.skip()
	var other statement
	if p.accept("ELSE") {
		other = p.statement()
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
	}
}

// options are those of SET that change nothing that is answered here.
var options = strings.Fields("ANSI_DEFAULTS ANSI_NULLS ANSI_NULL_DFLT_ON ANSI_NULL_DFLT_OFF ANSI_PADDING ANSI_WARNINGS ARITHABORT ARITHIGNORE CONCAT_NULL_YIELDS_NULL CURSOR_CLOSE_ON_COMMIT DATEFIRST DATEFORMAT DEADLOCK_PRIORITY LANGUAGE LOCK_TIMEOUT NOCOUNT NUMERIC_ROUNDABORT QUOTED_IDENTIFIER ROWCOUNT TEXTSIZE")

func (p *parser) set() statement {
	nothing := func(_ context.Context, out Reply) error { out.Done(); return nil }
	if t := p.next(); t.kind == word && strings.HasPrefix(t.text, "@") && !strings.HasPrefix(t.text, "@@") {
		return p.assign(p.take())
	}
	if p.accept("TRANSACTION", "ISOLATION", "LEVEL") {
		p.take()
		if t := p.next(); t.is("COMMITTED") || t.is("UNCOMMITTED") || t.is("READ") {
			p.take()
		}
		return nothing
	}
	var names []string
	for {
		names = append(names, strings.ToUpper(p.name()))
		if !p.accept(",") {
			break
		}
	}
	_ = p.accept("-")
	value := p.take()
	require(value.kind != end && value.kind != symbol)
	on := value.is("ON")
	for name, option := range map[string]*bool{"IMPLICIT_TRANSACTIONS": &p.session.implicit, "XACT_ABORT": &p.session.abort} {
		if len(names) == 1 && names[0] == name {
			return func(_ context.Context, out Reply) error {
				*option = on
				out.Done()
				return nil
			}
		}
	}
	require(!slices.Contains(names, "ROWCOUNT") || value.text == "0")
	for _, name := range names {
		require(slices.Contains(options, name))
	}
	return nothing
}

func (p *parser) assign(name token) statement {
	v := p.variables[strings.ToLower(name.text)]
	if v == nil {
		panic(failure{undeclared(name)})
	}
	p.expect("=")
	return p.assigned(v)
}

func (p *parser) assigned(v *variable) statement {
	e := cast(p.expression(), v.of, 0)
	return func(_ context.Context, out Reply) error {
		value, err := e.value(nil)
		if err == nil {
			v.value, err = value, p.session.hold(value)
		}
		return err
	}
}

func undeclared(t token) error {
	return &tds.Error{Number: 137, State: 2, Class: 15, Line: t.line, Message: `Must declare the scalar variable "` + t.text + `".`}
}

func (p *parser) declare() statement {
	var all []statement
	for {
		name := p.take()
		require(name.kind == word && strings.HasPrefix(name.text, "@"))
		p.accept("AS")
		v := &variable{of: p.typeName()}
		key := strings.ToLower(name.text)
		if p.variables[key] != nil {
			panic(failure{&tds.Error{Number: 134, State: 1, Class: 15, Message: "The variable name '" + name.text + "' has already been declared. Variable names must be unique within a query batch or stored procedure."}})
		}
		if p.accept("=") {
			all = append(all, p.assigned(v))
		}
		p.variables[key] = v
		if !p.accept(",") {
			break
		}
	}
	return inOrder(all)
}

// exec reads EXEC (text), and the procedures that are about members of roles.
func (p *parser) exec() statement {
	if p.accept("(") {
		e := p.expression()
		p.expect(")")
		require(e.of.IsText())
		return func(ctx context.Context, out Reply) error {
			v, err := e.value(nil)
			if err != nil {
				return err
			}
			sql, _ := v.(string) // NULL executes nothing
			return p.session.execute(ctx, sql, map[string]*variable{}, out, p.depth+1)
		}
	}
	name := p.name()
	if p.accept(".") {
		name = p.name()
	}
	arguments := p.arguments()
	name = strings.ToLower(name)
	require((name == "sp_addrolemember" || name == "sp_droprolemember") && len(arguments) == 2)
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
	})
}

// arguments are those of a procedure, by position or with the names that sp_addrolemember has.
func (p *parser) arguments() []expression {
	var all []expression
	for t := p.next(); t.kind == text || t.kind == word && !begins(t) || t.kind == identifier; {
		if t.is("@rolename") || t.is("@membername") {
			p.take()
			p.expect("=")
		}
		if t := p.next(); t.kind == identifier || t.kind == word && !strings.HasPrefix(t.text, "@") { // a name stands for its text
			all = append(all, constant(tds.NVarChar(128), p.take().text))
		} else {
			all = append(all, p.primary())
		}
		if !p.accept(",") {
			break
		}
		t = p.next()
	}
	return all
}

// waitFor reads WAITFOR DELAY, which waits on the machine's clock.
func (p *parser) waitFor() statement {
	p.expect("DELAY")
	t := p.take()
	var h, m, s int
	n, err := fmt.Sscanf(t.text, "%d:%d:%d", &h, &m, &s)
	require(t.kind == text && err == nil && n == 3 && h >= 0 && h <= 23 && m >= 0 && m <= 59 && s >= 0 && s <= 59)
	return func(ctx context.Context, out Reply) error {
		timer := time.NewTimer(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		out.Done()
		return nil
	}
}
