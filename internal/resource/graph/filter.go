package graph

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// clause is a part of a $filter: a comparison of a property, or a combination of clauses.
type clause struct {
	operator string   // and, or, not, eq, ne, startswith, endswith, any
	parts    []clause // of and, or and not; of any the one that an element must pass, without a property

	property string
	values   []string // one of them is compared with; "true", "false" and "null" for these
}

// errOperator says that a filter may well be OData, but has more than is read here.
var errOperator = errors.New("expected comparisons by eq, ne, in, startswith, endswith and any, joined by and, or and not")

// maxFilter is the longest $filter that is read, in bytes; maxDepth how deep its parentheses go.
const (
	maxFilter = 2000
	maxDepth  = 20
)

// parseFilter reads the part of OData's grammar that directory objects are found by.
// Source: OData 4.01 ABNF, which doubles a quote inside a string; that a clause of a list
// names its element, as in servicePrincipalNames/any(c:c eq 'x').
func parseFilter(text string) (clause, error) {
	if len(text) > maxFilter {
		return clause{}, fmt.Errorf("it has %d bytes, at most %d are read", len(text), maxFilter)
	}
	p := &filterParser{text: text}
	c, err := p.joined("or")
	if err == nil && !p.done() {
		err = p.fail("the end")
	}
	return c, err
}

type filterParser struct {
	text    string
	at      int
	depth   int
	element string // the name of a list's element, within any
}

func (p *filterParser) done() bool { return p.at >= len(p.text) }

// blanks passes over blanks and reports whether there were any.
func (p *filterParser) blanks() bool {
	start := p.at
	for !p.done() && p.text[p.at] == ' ' {
		p.at++
	}
	return p.at > start
}

func (p *filterParser) fail(expected string) error {
	return fmt.Errorf("Syntax error at position %d in '%s': expected %s", p.at, p.text, expected) //nolint:staticcheck // Graph's own words
}

// joined reads clauses that or joins, or, which binds closer, and.
func (p *filterParser) joined(by string) (clause, error) {
	next := p.negated
	if by == "or" {
		next = func() (clause, error) { return p.joined("and") }
	}
	all := clause{operator: by}
	for {
		c, err := next()
		if err != nil {
			return c, err
		}
		all.parts = append(all.parts, c)
		start := p.at
		spaced := p.blanks()
		if p.done() || p.text[p.at] == ')' {
			break
		}
		if word := p.word(); !spaced || !strings.EqualFold(word, by) {
			if by == "or" || !strings.EqualFold(word, "or") {
				p.at = start
				return c, p.unexpected()
			}
			p.at = start
			break
		}
	}
	if len(all.parts) == 1 {
		return all.parts[0], nil
	}
	return all, nil
}

// unexpected is about what stands where a clause has ended.
func (p *filterParser) unexpected() error {
	if p.blanks() && !p.done() && isWordByte(p.text[p.at]) {
		return errOperator
	}
	return p.fail("'and' or 'or'")
}

func (p *filterParser) negated() (clause, error) {
	p.blanks()
	if p.depth++; p.depth > maxDepth {
		return clause{}, p.fail("fewer parentheses")
	}
	defer func() { p.depth-- }()
	if start := p.at; strings.EqualFold(p.word(), "not") && (p.blanks() || !p.done() && p.text[p.at] == '(') {
		c, err := p.negated()
		return clause{operator: "not", parts: []clause{c}}, err
	} else {
		p.at = start
	}
	if p.symbol('(') {
		c, err := p.joined("or")
		return c, p.closed(err)
	}
	return p.comparison()
}

// symbol passes over blanks and this byte, and reports whether it was there.
func (p *filterParser) symbol(wanted byte) bool {
	start := p.at
	p.blanks()
	if !p.done() && p.text[p.at] == wanted {
		p.at++
		return true
	}
	p.at = start
	return false
}

func (p *filterParser) comparison() (c clause, err error) {
	name := p.word()
	switch {
	case name == "": // as subject says
	case p.symbol('('):
		return p.function(name)
	case p.symbol('/'):
		return p.list(name)
	}
	if c.property, err = p.subject(name); err != nil {
		return c, err
	}
	start := p.at
	if !p.blanks() {
		return c, p.operatorMissing()
	}
	switch operator := strings.ToLower(p.word()); operator {
	case "eq", "ne":
		c.operator = operator
		if !p.blanks() {
			return c, p.fail("a blank and a value")
		}
		value, err := p.literal()
		c.values = []string{value}
		return c, err
	case "in":
		c.operator = "eq"
		p.blanks()
		return c, p.literals(&c)
	default:
		p.at = start
		return c, p.operatorMissing()
	}
}

// subject is the property that is compared; "" for the element of a list.
func (p *filterParser) subject(name string) (string, error) {
	switch {
	case name == "":
		return "", p.fail("a property")
	case p.element == "":
		return name, nil
	case name != p.element:
		return "", p.fail("'" + p.element + "'")
	}
	return "", nil
}

func (p *filterParser) operatorMissing() error {
	p.blanks()
	if p.done() {
		return p.fail("'eq'")
	}
	return errOperator
}

// literals reads ('a','b').
func (p *filterParser) literals(c *clause) error {
	if !p.symbol('(') {
		return p.fail("'('")
	}
	for {
		p.blanks()
		value, err := p.literal()
		if err != nil {
			return err
		}
		c.values = append(c.values, value)
		if p.symbol(')') {
			return nil
		}
		if !p.symbol(',') {
			return p.fail("',' or ')'")
		}
	}
}

// function reads the rest of startswith(displayName,'x').
func (p *filterParser) function(name string) (c clause, err error) {
	c.operator = strings.ToLower(name)
	if c.operator != "startswith" && c.operator != "endswith" {
		return c, errOperator
	}
	p.blanks()
	if c.property, err = p.subject(p.word()); err != nil {
		return c, err
	}
	if !p.symbol(',') {
		return c, p.fail("','")
	}
	p.blanks()
	value, err := p.literal()
	c.values = []string{value}
	return c, p.closed(err)
}

// list reads the rest of identifierUris/any(u:u eq 'x').
func (p *filterParser) list(property string) (c clause, err error) {
	c = clause{operator: "any", property: property}
	if p.element != "" || !strings.EqualFold(p.word(), "any") {
		return c, errOperator
	}
	if !p.symbol('(') {
		return c, p.fail("'('")
	}
	p.blanks()
	p.element = p.word()
	defer func() { p.element = "" }()
	if p.element == "" || !p.symbol(':') {
		return c, p.fail("a name and ':'")
	}
	part, err := p.joined("or")
	c.parts = []clause{part}
	return c, p.closed(err)
}

// closed reads the parenthesis that ends what was read, unless that failed.
func (p *filterParser) closed(err error) error {
	if err == nil && !p.symbol(')') {
		return p.fail("')'")
	}
	return err
}

func (p *filterParser) word() string {
	start := p.at
	for !p.done() && isWordByte(p.text[p.at]) {
		p.at++
	}
	return p.text[start:p.at]
}

func isWordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// literal reads a string in quotes, true, false, null or a bare GUID.
func (p *filterParser) literal() (string, error) {
	if p.done() || p.text[p.at] != '\'' {
		return p.bare()
	}
	p.at++
	var b strings.Builder
	for !p.done() {
		c := p.text[p.at]
		p.at++
		if c != '\'' {
			b.WriteByte(c)
			continue
		}
		if p.done() || p.text[p.at] != '\'' {
			return b.String(), nil
		}
		b.WriteByte('\'')
		p.at++
	}
	return "", p.fail("a closing quote")
}

func (p *filterParser) bare() (string, error) {
	start := p.at
	for !p.done() && (isWordByte(p.text[p.at]) || p.text[p.at] == '-') {
		p.at++
	}
	switch found := p.text[start:p.at]; {
	case found == "true", found == "false", found == "null", len(found) == 36 && strings.Count(found, "-") == 4:
		return found, nil
	default:
		p.at = start
		return "", p.fail("a value in single quotes")
	}
}

// comparisons are those of a clause, of lists the lists' own.
func (c *clause) comparisons(yield func(*clause) bool) bool {
	if c.operator == "any" || len(c.parts) == 0 {
		return yield(c)
	}
	for i := range c.parts {
		if !c.parts[i].comparisons(yield) {
			return false
		}
	}
	return true
}

// advanced reports whether the clause needs the header ConsistencyLevel and $count.
// Source: microsoft-graph-docs-contrib, concepts/aad-advanced-queries.md.
func (c *clause) advanced() bool {
	return c.operator == "ne" || c.operator == "not" || c.operator == "endswith" || slices.ContainsFunc(c.parts, func(part clause) bool { return part.advanced() })
}

// by is the value that a property has to have for the clause to hold, if there is but one.
func (c *clause) by(property string) (value string, ok bool) {
	switch {
	case c.operator == "eq" && c.property == property && len(c.values) == 1:
		return c.values[0], true
	case c.operator == "and":
		for i := range c.parts {
			if value, ok = c.parts[i].by(property); ok {
				return value, true
			}
		}
	}
	return "", false
}

// matches reports whether an object passes; get returns its properties. GUIDs and names ignore
// case, as directory objects do; exact says that these do not.
func (c *clause) matches(get func(property string) any, exact bool) bool {
	switch c.operator {
	case "and":
		return !slices.ContainsFunc(c.parts, func(part clause) bool { return !part.matches(get, exact) })
	case "or":
		return slices.ContainsFunc(c.parts, func(part clause) bool { return part.matches(get, exact) })
	case "not":
		return !c.parts[0].matches(get, exact)
	case "any":
		list, _ := get(c.property).([]string)
		return slices.ContainsFunc(list, func(element string) bool {
			return c.parts[0].matches(func(string) any { return element }, exact)
		})
	}
	found := slices.ContainsFunc(c.values, func(value string) bool { return compared(get(c.property), c.operator, value, exact) })
	return found != (c.operator == "ne")
}

func compared(value any, operator, with string, exact bool) bool {
	switch v := value.(type) {
	case string:
		if !exact {
			v, with = strings.ToLower(v), strings.ToLower(with)
		}
		switch operator {
		case "startswith":
			return strings.HasPrefix(v, with)
		case "endswith":
			return strings.HasSuffix(v, with)
		}
		return v == with
	case bool:
		return with == map[bool]string{true: "true", false: "false"}[v]
	case nil:
		return with == "null"
	}
	return false
}
