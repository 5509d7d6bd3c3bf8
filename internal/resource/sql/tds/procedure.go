package tds

import (
	"cmp"
	"context"
	"strings"
)

// The procedures that drivers call by number (2.2.6.6).
const (
	procExecuteSQL = 10
	procPrepare    = 11
	procExecute    = 12
	procPrepExec   = 13
	procUnprepare  = 15
)

var procedures = map[string]int{
	"sp_executesql": procExecuteSQL, "sp_prepare": procPrepare, "sp_execute": procExecute, "sp_prepexec": procPrepExec, "sp_unprepare": procUnprepare,
}

// prepared is a statement with the names of its parameters.
type prepared struct {
	sql   string
	names []string
}

// call answers a remote procedure call.
func (c *conversation) call(ctx context.Context, p procedure, out *Reply) {
	number := cmp.Or(p.number, procedures[strings.TrimPrefix(strings.ToLower(p.name), "sys.")])
	text := func(i int) string {
		if i >= len(p.params) {
			return ""
		}
		s, _ := p.params[i].Value.(string) // else it is no statement, and answered as an empty one
		return s
	}
	handle := func() int64 {
		if len(p.params) == 0 {
			return 0
		}
		h, _ := p.params[0].Value.(int64) // 0 is no handle
		return h
	}
	out.procedure = true
	switch number {
	case procExecuteSQL: // @stmt, @params, …
		out.own = 2
		c.statements(ctx, text(0), named(after(p.params, 2), declared(text(1))), out)
	case procPrepare: // @handle OUTPUT, @params, @stmt
		out.prepared(p.params, c.prepare(text(2), declared(text(1))))
		out.finish()
	case procPrepExec: // @handle OUTPUT, @params, @stmt, …
		out.own = 3
		out.prepared(p.params, c.prepare(text(2), declared(text(1))))
		c.statements(ctx, text(2), named(after(p.params, 3), declared(text(1))), out)
	case procExecute: // @handle, …
		known, ok := c.prepared[handle()]
		if !ok {
			out.Fail(Errorf(8179, "Could not find prepared statement with handle %d.", handle()))
			out.finish()
			return
		}
		out.own = 1
		c.statements(ctx, known.sql, named(after(p.params, 1), known.names), out)
	case procUnprepare: // @handle
		c.preparedText -= len(c.prepared[handle()].sql)
		delete(c.prepared, handle())
		out.finish()
	case 0:
		c.statements(ctx, statement(p), p.params, out)
	default:
		out.Fail(Errorf(2812, "Could not find stored procedure number %d. wiemu has no cursors; connect a SQL Server (url:) for that.", number))
		out.finish()
	}
}

// statement is the call of a procedure as a statement.
func statement(p procedure) string {
	var b strings.Builder
	b.WriteString("EXEC " + p.name)
	for i, param := range p.params {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(" " + param.Name)
		if param.Name != "" {
			b.WriteString(" = " + param.Name)
		}
	}
	return b.String()
}

// maxPrepared is how many statements a session may have prepared, and maxPreparedText how many
// bytes they may have together; drivers have hundreds.
const (
	maxPrepared     = 10000
	maxPreparedText = 64 << 20
)

func (c *conversation) prepare(sql string, names []string) int64 {
	if c.prepared == nil || len(c.prepared) >= maxPrepared || c.preparedText+len(sql) > maxPreparedText {
		c.prepared, c.preparedText = map[int64]prepared{}, 0
	}
	c.handles++
	c.preparedText += len(sql)
	c.prepared[c.handles] = prepared{sql, names}
	return c.handles
}

func after(p []Param, n int) []Param { return p[min(n, len(p)):] }

// declared returns the names in a declaration such as "@a int, @b decimal(5,2) OUTPUT".
func declared(s string) []string {
	var names []string
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		case '@':
			if depth != 0 {
				continue
			}
			end := strings.IndexAny(s[i:], " \t\r\n,")
			if end < 0 {
				end = len(s) - i
			}
			names = append(names, s[i:i+end])
			i += end - 1
		}
	}
	return names
}

// named gives parameters that come by position the names that were declared.
func named(params []Param, names []string) []Param {
	all := append([]Param(nil), params...)
	for i := range all {
		if all[i].Name == "" && i < len(names) {
			all[i].Name = names[i]
		}
	}
	return all
}
