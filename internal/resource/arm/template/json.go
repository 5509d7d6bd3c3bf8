package template

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep values and expressions may be nested. That of Azure is not documented;
// templates in templates in templates stay far below.
const maxDepth = 256

// ParseJSON reads JSON as Resource Manager does: comments, names without quotes, strings in
// single quotes or over several lines, and a comma behind the last element are taken, because
// az sends templates as they are in the file.
// Source: azure-cli, test_group_deployment_lite.yaml of its recordings (a comment, and the name
// template without quotes); azure-docs, templates/syntax.md, "Multi-line strings", "Comments".
// Single quotes are Newtonsoft.Json's, with which Resource Manager reads.
func ParseJSON(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("the text is not UTF-8")
	}
	p := &jsonParser{text: strings.TrimPrefix(string(data), "\ufeff"), line: 1}
	v, err := p.value(0)
	if err == nil {
		if err = p.space(); err == nil && p.at < len(p.text) {
			err = p.failed("expected the end of the text")
		}
	}
	return v, err
}

// ParseObject is ParseJSON of a text that has to be an object.
func ParseObject(data []byte) (*Object, error) {
	v, err := ParseJSON(data)
	if err != nil {
		return nil, err
	}
	o, ok := v.(*Object)
	if !ok {
		return nil, fmt.Errorf("expected a JSON object, found %s", typeName(v))
	}
	return o, nil
}

type jsonParser struct {
	text           string
	at             int
	line, lineFrom int // lineFrom is where the line begins
}

func (p *jsonParser) failed(what string) error {
	found := "the end of the text"
	if p.at < len(p.text) {
		r, _ := utf8.DecodeRuneInString(p.text[p.at:])
		found = strconv.QuoteRune(r)
	}
	return fmt.Errorf("%s, found %s, line %d, position %d", what, found, p.line, p.at-p.lineFrom+1)
}

// space passes over spaces and comments.
func (p *jsonParser) space() error {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '\n':
			p.at++
			p.line, p.lineFrom = p.line+1, p.at
		case c == ' ' || c == '\t' || c == '\r':
			p.at++
		case strings.HasPrefix(p.text[p.at:], "//"):
			for p.at < len(p.text) && p.text[p.at] != '\n' {
				p.at++
			}
		case strings.HasPrefix(p.text[p.at:], "/*"):
			end := strings.Index(p.text[p.at+2:], "*/")
			if end < 0 {
				return p.failed("expected a comment that ends")
			}
			p.skipTo(p.at + end + 4)
		default:
			return nil
		}
	}
	return nil
}

// skipTo counts the lines up to a place.
func (p *jsonParser) skipTo(at int) {
	for ; p.at < at; p.at++ {
		if p.text[p.at] == '\n' {
			p.line, p.lineFrom = p.line+1, p.at+1
		}
	}
}

func (p *jsonParser) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("the text is nested deeper than %d levels, line %d", maxDepth, p.line)
	}
	if err := p.space(); err != nil {
		return nil, err
	}
	if p.at >= len(p.text) {
		return nil, p.failed("expected a value")
	}
	switch c := p.text[p.at]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"' || c == '\'':
		return p.quoted(c)
	case c == '-' || '0' <= c && c <= '9':
		from := p.at
		for p.at < len(p.text) && strings.IndexByte("+-.eE0123456789", p.text[p.at]) >= 0 {
			p.at++
		}
		v, err := number(p.text[from:p.at])
		if err != nil {
			return nil, p.failed("expected a number")
		}
		return v, nil
	}
	for word, v := range map[string]any{"true": true, "false": false, "null": nil} {
		if strings.HasPrefix(p.text[p.at:], word) && !isWord(p.text, p.at+len(word)) {
			p.at += len(word)
			return v, nil
		}
	}
	return nil, p.failed("expected a value")
}

func isWord(text string, at int) bool {
	if at >= len(text) {
		return false
	}
	c := text[at]
	return c == '_' || c == '$' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func (p *jsonParser) object(depth int) (any, error) {
	made := NewObject()
	made.line, made.column = p.line, p.at-p.lineFrom+1
	p.at++
	for {
		if err := p.space(); err != nil {
			return nil, err
		}
		if p.at < len(p.text) && p.text[p.at] == '}' {
			p.at++
			return made, nil
		}
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		if err := p.expect(':'); err != nil {
			return nil, err
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		made.Set(name, v)
		if more, err := p.more('}'); err != nil || !more {
			return made, err
		}
	}
}

func (p *jsonParser) array(depth int) (any, error) {
	made := []any{}
	p.at++
	for {
		if err := p.space(); err != nil {
			return nil, err
		}
		if p.at < len(p.text) && p.text[p.at] == ']' {
			p.at++
			return made, nil
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		made = append(made, v)
		if more, err := p.more(']'); err != nil || !more {
			return made, err
		}
	}
}

// more reports whether a comma follows rather than the end.
func (p *jsonParser) more(end byte) (bool, error) {
	if err := p.space(); err != nil {
		return false, err
	}
	switch {
	case p.at < len(p.text) && p.text[p.at] == ',':
		p.at++
		return true, nil
	case p.at < len(p.text) && p.text[p.at] == end:
		p.at++
		return false, nil
	}
	return false, p.failed(fmt.Sprintf("expected ',' or '%c'", end))
}

func (p *jsonParser) expect(c byte) error {
	if err := p.space(); err != nil {
		return err
	}
	if p.at >= len(p.text) || p.text[p.at] != c {
		return p.failed(fmt.Sprintf("expected '%c'", c))
	}
	p.at++
	return nil
}

func (p *jsonParser) name() (string, error) {
	if p.at < len(p.text) && (p.text[p.at] == '"' || p.text[p.at] == '\'') {
		return p.quoted(p.text[p.at])
	}
	from := p.at
	for isWord(p.text, p.at) {
		p.at++
	}
	if p.at == from {
		return "", p.failed("expected the name of a member")
	}
	return p.text[from:p.at], nil
}

func (p *jsonParser) quoted(quote byte) (string, error) {
	p.at++
	var out strings.Builder
	for p.at < len(p.text) {
		c := p.text[p.at]
		switch c {
		case quote:
			p.at++
			return out.String(), nil
		case '\\':
			if err := p.escape(&out); err != nil {
				return "", err
			}
			continue
		case '\n':
			p.line, p.lineFrom = p.line+1, p.at+1
		}
		out.WriteByte(c)
		p.at++
	}
	return "", p.failed("expected a string that ends")
}

var escapes = map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', '"': '"', '\'': '\'', '\\': '\\', '/': '/'}

func (p *jsonParser) escape(out *strings.Builder) error {
	if p.at+1 >= len(p.text) {
		return p.failed("expected a string that ends")
	}
	if c, ok := escapes[p.text[p.at+1]]; ok {
		out.WriteByte(c)
		p.at += 2
		return nil
	}
	r, ok := p.unicode(p.at)
	if !ok {
		return p.failed("expected an escape of JSON")
	}
	p.at += 6
	if low, ok := p.unicode(p.at); ok && 0xd800 <= r && r < 0xdc00 && 0xdc00 <= low && low < 0xe000 {
		r = (r-0xd800)<<10 + (low - 0xdc00) + 0x10000
		p.at += 6
	}
	out.WriteRune(r) // half a pair is written as U+FFFD
	return nil
}

// unicode reads \uXXXX at a place.
func (p *jsonParser) unicode(at int) (rune, bool) {
	if at+6 > len(p.text) || p.text[at] != '\\' || p.text[at+1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(p.text[at+2:at+6], 16, 32)
	return rune(n), err == nil
}
