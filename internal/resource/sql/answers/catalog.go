package answers

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

// view is a catalog view of users and roles.
type view struct {
	columns []tds.Column
	rows    func(*Session) []row
}

// views are those that can be asked. Source: learn.microsoft.com, sys-database-principals-transact-sql,
// sys-database-role-members-transact-sql.
var views = map[string]view{
	"database_principals": {
		columns: []tds.Column{
			{Name: "name", Type: tds.NVarChar(128)}, {Name: "principal_id", Type: tds.Int}, {Name: "type", Type: tds.VarChar(1)}, {Name: "type_desc", Type: tds.NVarChar(60), Nullable: true},
			{Name: "default_schema_name", Type: tds.NVarChar(128), Nullable: true}, {Name: "sid", Type: tds.VarBinary(85), Nullable: true}, {Name: "is_fixed_role", Type: tds.Bit},
			{Name: "authentication_type", Type: tds.Int}, {Name: "authentication_type_desc", Type: tds.NVarChar(60), Nullable: true},
		},
		rows: (*Session).principals,
	},
	"database_role_members": {
		columns: []tds.Column{{Name: "role_principal_id", Type: tds.Int}, {Name: "member_principal_id", Type: tds.Int}},
		rows:    (*Session).members,
	},
}

// firstUser is the id of the first user that was made, firstRole that of db_owner.
const firstUser, firstRole = 5, 16384

func (s *Session) principals() []row {
	all := []row{
		{"name": "public", "principal_id": int64(0), "type": "R", "type_desc": "DATABASE_ROLE", "is_fixed_role": false, "authentication_type": int64(0), "authentication_type_desc": "NONE"},
		{"name": DBO, "principal_id": int64(1), "type": "E", "type_desc": "EXTERNAL_USER", "default_schema_name": "dbo", "is_fixed_role": false, "authentication_type": int64(4), "authentication_type_desc": "EXTERNAL"},
	}
	for n, u := range s.database.Users() {
		r := row{"name": u.Name, "principal_id": int64(firstUser + n), "type": "E", "type_desc": "EXTERNAL_USER", "default_schema_name": "dbo", "sid": u.SID[:], "is_fixed_role": false, "authentication_type": int64(4), "authentication_type_desc": "EXTERNAL"}
		if u.Group {
			r["type"], r["type_desc"], r["default_schema_name"] = "X", "EXTERNAL_GROUP", nil
		}
		all = append(all, r)
	}
	for n, name := range FixedRoles() {
		all = append(all, row{"name": name, "principal_id": int64(firstRole + n), "type": "R", "type_desc": "DATABASE_ROLE", "is_fixed_role": true, "authentication_type": int64(0), "authentication_type_desc": "NONE"})
	}
	return all
}

func (s *Session) members() []row {
	var all []row
	for n, u := range s.database.Users() {
		for k, role := range FixedRoles() {
			if slices.Contains(u.Roles, role) {
				all = append(all, row{"role_principal_id": int64(firstRole + k), "member_principal_id": int64(firstUser + n)})
			}
		}
	}
	return all
}

// query is a SELECT.
type query struct {
	session *Session
	columns []expression
	from    []source
	where   condition
	order   []expression
	down    []bool
	top     *expression // of TOP; nil for all rows
	into    []*variable // of SELECT @a = …
}

// source is a view with the name that its columns have in the query.
type source struct {
	view view
	name string
	on   condition // with the sources before it; nil for the first
}

func (p *parser) selectStatement() statement {
	q := p.query()
	return func(_ context.Context, out Reply) error { return q.answer(out) }
}

// query reads what follows SELECT.
func (p *parser) query() *query {
	q := &query{session: p.session}
	if p.accept("TOP") {
		parenthesis := p.accept("(")
		e := p.primary()
		require(e.of.IsInteger())
		q.top = &e
		require(!parenthesis || p.accept(")"))
	}
	list := p.at // the columns are read once it is known what they are from
	p.skipColumns()
	if p.accept("FROM") {
		p.from(q)
	}
	after := p.at
	p.at = list
	defer p.scope(q.from)()
	p.columns(q)
	p.at = after
	if p.accept("WHERE") {
		q.where = p.condition()
	}
	if p.accept("ORDER", "BY") {
		p.orderBy(q)
	}
	t := p.next()
	require(t.kind == end || t.is(";") || t.is(")") || begins(t))
	return q
}

// skipColumns goes to the end of the list of columns.
func (p *parser) skipColumns() {
	depth := 0
	for {
		t := p.next()
		switch {
		case t.is("("), t.is("CASE"):
			depth++
		case t.is(")"), t.is("END"):
			if depth == 0 {
				return
			}
			depth--
		case depth == 0 && (t.kind == end || t.is("FROM") || t.is(";") || t.is("WHERE") || t.is("ORDER") || begins(t)):
			return
		case t.kind == end:
			panic(notAnswered)
		}
		p.take()
	}
}

func (p *parser) from(q *query) {
	for {
		schema := p.name()
		p.expect(".")
		name := p.name()
		v, ok := views[strings.ToLower(name)]
		require(ok && strings.EqualFold(schema, "sys"))
		s := source{view: v, name: strings.ToLower(name)}
		as := p.accept("AS")
		if t := p.next(); as || t.kind == identifier || t.kind == word && !begins(t) && !clause(t) {
			name = p.name()
			s.name = strings.ToLower(name)
		}
		if len(q.from) > 0 {
			p.expect("ON")
			undo := p.scope(append(q.from[:len(q.from):len(q.from)], s))
			s.on = p.condition()
			undo()
		}
		if q.from = append(q.from, s); len(q.from) > maxSources {
			panic(failure{tds.Errorf(106, "Too many table names in the query. The maximum allowable is %d.", maxSources)})
		}
		if !p.accept("JOIN") && !p.accept("INNER", "JOIN") {
			return
		}
	}
}

// clause reports whether a part of a query begins with the token.
func clause(t token) bool {
	return slices.ContainsFunc(strings.Fields("WHERE ORDER GROUP HAVING ON JOIN INNER LEFT RIGHT FULL CROSS OUTER UNION EXCEPT INTERSECT FOR OPTION OFFSET WITH"), t.is)
}

// columns reads the list of columns.
func (p *parser) columns(q *query) {
	for {
		if len(q.from) > 0 && p.accept("*") {
			for _, s := range q.from {
				for _, c := range s.view.columns {
					q.columns = append(q.columns, columnOf(s, c))
				}
			}
		} else {
			p.column(q)
		}
		if len(q.columns) > maxColumns {
			panic(failure{tds.Errorf(1056, "The number of elements in the select list exceeds the maximum allowed number of %d elements.", maxColumns)})
		}
		if !p.accept(",") {
			break
		}
	}
	t := p.next()
	require(t.kind == end || t.is("FROM") || t.is("WHERE") || t.is("ORDER") || t.is(";") || t.is(")") || begins(t))
	require(len(q.into) == 0 || len(q.into) == len(q.columns))
}

// column reads one column: [name =] expression [[AS] name], or @variable = expression.
func (p *parser) column(q *query) {
	var name string
	var into *variable
	if t := p.next(); p.at+1 < len(p.tokens) && p.tokens[p.at+1].is("=") && (t.kind == word || t.kind == identifier) {
		if strings.HasPrefix(t.text, "@") {
			if into = p.variables[strings.ToLower(t.text)]; into == nil {
				panic(failure{undeclared(t)})
			}
		}
		name = t.text
		p.take()
		p.take()
	}
	e := p.expression()
	as := p.accept("AS")
	if t := p.next(); as && t.kind == text || t.kind == identifier || t.kind == word && (as || !begins(t) && !clause(t) && !t.is("FROM")) {
		name = p.take().text
	}
	if into != nil {
		e = cast(e, into.of, 0)
		q.into = append(q.into, into)
	} else if name != "" {
		e.name = name
	}
	q.columns = append(q.columns, e)
}

// scope lets names stand for columns of sources, until undo is called.
func (p *parser) scope(sources []source) (undo func()) {
	before := p.sources
	p.sources = sources
	return func() { p.sources = before }
}

// reference reads the name of a column, with or without that of its source. first was taken.
func (p *parser) reference(first string) expression {
	of, name := "", first
	if p.accept(".") {
		name = p.name()
		of = strings.ToLower(first)
	}
	for _, s := range p.sources {
		if of != "" && of != s.name {
			continue
		}
		for _, c := range s.view.columns {
			if strings.EqualFold(c.Name, name) {
				return columnOf(s, c)
			}
		}
	}
	panic(notAnswered)
}

func columnOf(s source, c tds.Column) expression {
	key := s.name + "." + c.Name
	return expression{of: c.Type, name: c.Name, value: func(r row) (any, error) { return r[key], nil }}
}

func (p *parser) orderBy(q *query) {
	for {
		t, at := p.next(), p.at
		e := p.expression()
		if t.kind == number && p.at == at+1 { // the number of a column
			n, err := strconv.Atoi(t.text)
			if err != nil || n < 1 || n > len(q.columns) {
				panic(failure{&tds.Error{Number: 108, State: 1, Class: 16, Line: t.line, Message: "The ORDER BY position number " + clip(t.text) + " is out of range of the number of items in the select list."}})
			}
			e = q.columns[n-1]
		}
		require(e.of.IsText() || e.of.IsInteger())
		q.order = append(q.order, e)
		down := p.accept("DESC")
		if !down {
			p.accept("ASC")
		}
		q.down = append(q.down, down)
		if !p.accept(",") {
			return
		}
	}
}

// rows are the combinations of the sources' rows for which the conditions hold, in order.
func (q *query) rows() ([]row, error) {
	all := []row{{}}
	for _, s := range q.from {
		var joined []row
		of := s.view.rows(q.session)
		for _, before := range all {
			for _, r := range of {
				if err := q.session.combine(1 + len(before) + len(r)); err != nil {
					return nil, err
				}
				both := row{}
				for k, v := range before {
					both[k] = v
				}
				for k, v := range r {
					both[s.name+"."+k] = v
				}
				holds, err := isTrue, error(nil)
				if s.on != nil {
					holds, err = s.on(both)
				}
				if err != nil {
					return nil, err
				}
				if holds == isTrue {
					joined = append(joined, both)
				}
			}
		}
		all = joined
	}
	var found []row
	for _, r := range all {
		holds, err := isTrue, error(nil)
		if q.where != nil {
			holds, err = q.where(r)
		}
		if err != nil {
			return nil, err
		}
		if holds == isTrue {
			found = append(found, r)
		}
	}
	if err := q.sort(found); err != nil {
		return nil, err
	}
	if q.top == nil {
		return found, nil
	}
	v, err := q.top.value(nil)
	if err != nil {
		return nil, err
	}
	n, ok := v.(int64)
	switch {
	case !ok:
		return nil, tds.Errorf(1060, "The number of rows provided for a TOP or FETCH clauses row count parameter must be an integer.")
	case n < 0:
		return nil, tds.Errorf(127, "A TOP N or FETCH rowcount value may not be negative.")
	}
	return found[:min(int64(len(found)), n)], nil
}

func (q *query) sort(rows []row) (failed error) {
	slices.SortStableFunc(rows, func(a, b row) int {
		for n, e := range q.order {
			x, err := e.value(a)
			if err != nil {
				failed = err
			}
			y, err := e.value(b)
			if err != nil {
				failed = err
			}
			order := 0
			switch x := x.(type) {
			case nil: // it comes first
				if y != nil {
					order = -1
				}
			case int64:
				order = 1
				if m, ok := y.(int64); ok {
					order = cmp.Compare(x, m)
				}
			case string:
				order = 1
				if t, ok := y.(string); ok {
					order = strings.Compare(strings.ToLower(x), strings.ToLower(t))
				}
			}
			if q.down[n] {
				order = -order
			}
			if order != 0 {
				return order
			}
		}
		return 0
	})
	return failed
}

func (q *query) answer(out Reply) error {
	if len(q.from) > 0 {
		q.session.touch()
	}
	rows, err := q.rows()
	if err != nil {
		return err
	}
	q.session.rows = int64(len(rows))
	if len(q.into) > 0 {
		for _, r := range rows {
			for n, e := range q.columns {
				if q.into[n].value, err = e.value(r); err != nil {
					return err
				}
				if err := q.session.hold(q.into[n].value); err != nil {
					return err
				}
			}
		}
		return nil
	}
	columns := make([]tds.Column, len(q.columns))
	for n, e := range q.columns {
		columns[n] = tds.Column{Name: e.name, Type: e.of, Nullable: true}
	}
	out.Columns(columns)
	values := make([]any, len(columns))
	for _, r := range rows {
		for n, e := range q.columns {
			if values[n], err = e.value(r); err != nil {
				return err
			}
		}
		if err := out.Row(values); err != nil {
			return err
		}
	}
	out.EndRows()
	return nil
}
