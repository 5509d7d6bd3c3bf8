package template

import (
	"fmt"
	"strconv"
	"strings"
)

// maxExpression is the longest expression, in characters.
// Source: azure-docs, azure-resource-manager/templates/best-practices.md, "Template limits".
const maxExpression = 24576

// node is a part of an expression.
type node interface{}

type (
	literal struct{ value any }
	call    struct {
		name string // as it is spelt, with its namespace if it has one
		args []node
	}
	property struct {
		of   node
		name string
	}
	element struct{ of, at node }
)

// expression is the text of an expression without its brackets. A string that begins with two
// brackets is a literal one.
// Source: azure-docs, azure-resource-manager/templates/template-expressions.md, "Escape characters".
func expression(s string) (text string, ok bool) {
	if !strings.HasPrefix(s, "[") || !strings.HasSuffix(s, "]") || strings.HasPrefix(s, "[[") || len(s) < 2 {
		return "", false
	}
	return s[1 : len(s)-1], true
}

// unescaped is a string that is no expression, as it is meant.
func unescaped(s string) string {
	if strings.HasPrefix(s, "[[") && strings.HasSuffix(s, "]") {
		return s[1:]
	}
	return s
}

// parse reads an expression without its brackets.
func parse(text string) (node, error) {
	if len(text) > maxExpression {
		return nil, failf("The language expression length limit exceeded. Limit: '%d' and actual: '%d'.", maxExpression, len(text)) // text inferred from that of other limits
	}
	p := &parser{text: text}
	n, err := p.expression(0)
	if err == nil {
		p.space()
		if p.at < len(p.text) {
			err = p.failed()
		}
	}
	return n, err
}

type parser struct {
	text string
	at   int
}

// failed is in the words of Azure/azure-api-management-devops-resource-kit#561 (2021); that of an
// expression that breaks off is inferred.
func (p *parser) failed() error {
	if p.at >= len(p.text) {
		return failf("The language expression '%s' is not valid: the expression is not complete.", shortened(p.text))
	}
	return failf("The language expression '%s' is not valid: the string character '%c' at position '%d' is not expected.", shortened(p.text), []rune(p.text[p.at:])[0], p.at)
}

// shortened is a text that is not too long for a message.
func shortened(text string) string {
	if r := []rune(text); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return text
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// is passes over a character if it follows.
func (p *parser) is(c byte) bool {
	p.space()
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) expression(depth int) (node, error) {
	if depth > maxDepth {
		return nil, failf("The language expression '%s' is nested deeper than %d levels.", shortened(p.text), maxDepth)
	}
	n, err := p.primary(depth)
	for steps := 0; err == nil; steps++ {
		if steps > maxDepth {
			return nil, failf("The language expression '%s' is nested deeper than %d levels.", shortened(p.text), maxDepth)
		}
		switch {
		case p.is('.'):
			p.space()
			name := p.word()
			if name == "" {
				return nil, p.failed()
			}
			n = property{n, name}
		case p.is('['):
			var at node
			if at, err = p.expression(depth + 1); err != nil {
				return nil, err
			}
			if !p.is(']') {
				return nil, p.failed()
			}
			n = element{n, at}
		default:
			return n, nil
		}
	}
	return n, err
}

func (p *parser) primary(depth int) (node, error) {
	p.space()
	if p.at >= len(p.text) {
		return nil, p.failed()
	}
	switch c := p.text[p.at]; {
	case c == '\'':
		return p.quoted()
	case c == '-' || '0' <= c && c <= '9':
		return p.integer()
	}
	name := p.word()
	if name == "" || '0' <= name[0] && name[0] <= '9' {
		return nil, p.failed()
	}
	for p.is('.') {
		part := p.word()
		if part == "" {
			return nil, p.failed()
		}
		name += "." + part
	}
	if !p.is('(') {
		return nil, p.failed()
	}
	made := call{name: name}
	if p.is(')') {
		return made, nil
	}
	for {
		arg, err := p.expression(depth + 1)
		if err != nil {
			return nil, err
		}
		made.args = append(made.args, arg)
		switch {
		case p.is(','):
		case p.is(')'):
			return made, nil
		default:
			return nil, p.failed()
		}
	}
}

// word is a name of letters, digits and underscores.
func (p *parser) word() string {
	from := p.at
	for isWord(p.text, p.at) && p.text[p.at] != '$' {
		p.at++
	}
	return p.text[from:p.at]
}

// quoted is a string in single quotes, in which two stand for one.
func (p *parser) quoted() (node, error) {
	p.at++
	var out strings.Builder
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		if c == '\'' {
			if p.at >= len(p.text) || p.text[p.at] != '\'' {
				return literal{out.String()}, nil
			}
			p.at++
		}
		out.WriteByte(c)
	}
	return nil, p.failed()
}

func (p *parser) integer() (node, error) {
	from := p.at
	p.at++
	for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
		p.at++
	}
	n, err := strconv.ParseInt(p.text[from:p.at], 10, 64)
	if err != nil {
		p.at = from
		return nil, p.failed()
	}
	return literal{n}, nil
}

// sourceOf is a part of an expression as text.
func sourceOf(n node) string {
	switch n := n.(type) {
	case literal:
		if text, ok := n.value.(string); ok {
			return "'" + strings.ReplaceAll(text, "'", "''") + "'"
		}
		return fmt.Sprint(n.value)
	case property:
		return sourceOf(n.of) + "." + n.name
	case element:
		return sourceOf(n.of) + "[" + sourceOf(n.at) + "]"
	case call:
		args := make([]string, len(n.args))
		for i, a := range n.args {
			args[i] = sourceOf(a)
		}
		return n.name + "(" + strings.Join(args, ", ") + ")"
	}
	return ""
}

// Error is why a template is not taken or an expression has no value.
type Error struct {
	Code    string // InvalidTemplate, unless something else is said
	Message string // in Resource Manager's words, as far as they are known
	Path    string // in the template, such as resources[0].name; "" if it is about all of it

	Unsupported bool // Azure takes it; it is not emulated
}

// Error implements error.
func (e *Error) Error() string {
	if e.Path == "" {
		return e.Message
	}
	return e.Path + ": " + e.Message
}

func failf(format string, args ...any) *Error {
	return &Error{Code: "InvalidTemplate", Message: fmt.Sprintf(format, args...)}
}

// unsupportedf refuses what Azure takes and this package does not.
func unsupportedf(format string, args ...any) *Error {
	return &Error{Code: "NotEmulated", Message: fmt.Sprintf(format, args...) + " is not emulated.", Unsupported: true}
}
