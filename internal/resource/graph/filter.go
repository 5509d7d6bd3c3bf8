package graph

import (
	"errors"
	"fmt"
	"strings"
)

// comparison is one `property eq 'value'` of a $filter.
type comparison struct {
	property string
	value    string // "true" and "false" for booleans, "null" for null
}

// errOperator says that a filter may well be OData, but has more than is read here.
var errOperator = errors.New("expected comparisons by eq, joined by and")

// maxFilter is the longest $filter that is read, in bytes.
const maxFilter = 2000

// parseFilter reads comparisons by eq, joined by and: the part of OData's
// grammar that directory objects are found by. Source: OData 4.01 ABNF, which
// doubles a quote inside a string.
func parseFilter(text string) ([]comparison, error) {
	if len(text) > maxFilter {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", len(text), maxFilter)
	}
	p := &filterParser{text: text}
	var all []comparison
	for {
		c, err := p.comparison()
		if err != nil {
			return nil, err
		}
		all = append(all, c)
		spaced := p.blanks()
		if p.done() {
			return all, nil
		}
		if err := p.keyword("and", spaced); err != nil {
			return nil, err
		}
	}
}

type filterParser struct {
	text string
	at   int
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

func (p *filterParser) comparison() (c comparison, err error) {
	p.blanks()
	if c.property = p.word(); c.property == "" {
		return c, p.fail("a property")
	}
	if err = p.keyword("eq", p.blanks()); err != nil {
		return c, err
	}
	if !p.blanks() {
		return c, p.fail("a blank and a value")
	}
	c.value, err = p.literal()
	return c, err
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

// keyword reads this word, which must stand apart from what is before it.
func (p *filterParser) keyword(wanted string, spaced bool) error {
	start := p.at
	if spaced && strings.EqualFold(p.word(), wanted) {
		return nil
	}
	if p.done() {
		return p.fail("'" + wanted + "'")
	}
	p.at = start
	return errOperator
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
