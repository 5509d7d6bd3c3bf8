package answers

import (
	"context"
	"errors"
	"strings"

	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

// parser reads a batch. Its methods panic with a failure for what is not answered.
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

// failure is what the methods of a parser panic with where they cannot go on. As in text/template/parse,
// it ends the reading of a statement; see read.
type failure struct{ error }

// notAnswered ends the reading of what is not answered.
var notAnswered = failure{errUnsupported}

// read returns what is read, or the error of the failure that ended it.
func read[T any](what func() T) (found T, err error) {
	defer func() {
		switch f := recover().(type) {
		case nil:
		case failure:
			err = f.error
		default:
			panic(f)
		}
	}()
	return what(), nil
}

// require ends the reading of what is not answered, unless ok.
func require(ok bool) {
	if !ok {
		panic(notAnswered)
	}
}

func (p *parser) expect(all ...string) { require(p.accept(all...)) }

// nest counts one level more of what is read, until leave is called.
func (p *parser) nest() (leave func()) {
	p.nesting++
	require(p.nesting <= maxNesting)
	return func() { p.nesting-- }
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
		s, err := read(p.statement)
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
func (p *parser) name() string {
	t := p.take()
	if t.kind == identifier || t.kind == word && !strings.HasPrefix(t.text, "@") {
		return t.text
	}
	panic(notAnswered)
}
