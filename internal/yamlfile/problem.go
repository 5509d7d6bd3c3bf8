package yamlfile

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// A Problem is one error in a file, for the person who wrote it: where it is, what
// was expected there, what was found, and what to do.
type Problem struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"` // 1 is the first line; 0 when the problem has no place

	// Column is where in the line it begins, in characters; 1 is the first, 0 when
	// it is not known.
	Column int `json:"column,omitempty"`

	// Field is the path to the value, such as spec.components[0].identity.azure;
	// empty for the file as a whole.
	Field string `json:"field,omitempty"`

	Expected string `json:"expected,omitempty"`
	Found    string `json:"found,omitempty"`
	Fix      string `json:"fix,omitempty"`

	// Warning marks something that was passed over, not refused.
	Warning bool `json:"warning,omitempty"`
}

// Error gives the problem on one line:
//
//	wiemu.yaml:12:7: tenants[0].id: expected a UUID, found text "contoso"; write the tenant's id
func (p Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
			if p.Column > 0 {
				fmt.Fprintf(&b, ":%d", p.Column)
			}
		}
		b.WriteString(": ")
	}
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Field != "" {
		b.WriteString(p.Field)
		b.WriteString(": ")
	}
	switch {
	case p.Expected != "" && p.Found != "":
		fmt.Fprintf(&b, "expected %s, found %s", p.Expected, p.Found)
	case p.Expected != "":
		fmt.Fprintf(&b, "expected %s", p.Expected)
	default:
		b.WriteString(p.Found)
	}
	if p.Fix != "" {
		b.WriteString("; ")
		b.WriteString(p.Fix)
	}
	return visible(b.String())
}

// visible writes out the characters that move a terminal's cursor or change its colors.
func visible(text string) string {
	if !strings.ContainsFunc(text, isControl) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if isControl(r) && r != '\n' && r != '\t' {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func isControl(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

// Problems is everything that is wrong in a file, in the order of its lines.
type Problems []Problem

// Error gives one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns the problems that are not warnings as an error, or nil when there
// are none. Unlike p itself it is safe to return as an error value.
func (p Problems) Err() error {
	var refused Problems
	for _, problem := range p {
		if !problem.Warning {
			refused = append(refused, problem)
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return refused
}

// Warnings returns the problems that are warnings.
func (p Problems) Warnings() []Problem {
	var warnings []Problem
	for _, problem := range p {
		if problem.Warning {
			warnings = append(warnings, problem)
		}
	}
	return warnings
}

// Sort orders the problems by line and column, keeping the order of those at one place.
func (p Problems) Sort() {
	slices.SortStableFunc(p, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) })
}

// Get returns the value of a key of a mapping, or nil.
func Get(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// Text returns the text of a key of a mapping, or "".
func Text(node *yaml.Node, key string) string {
	if value := Get(node, key); value != nil {
		return value.Value
	}
	return ""
}

// At is the problem at the place of its field below a top node from [Parse].
// Where the file does not go all the way, that is the place of the last value that
// is there: a missing field is reported at the mapping that lacks it.
func (p Problem) At(top *yaml.Node) Problem {
	p.Line, p.Column = 0, 0
	if node := at(top, p.Field); node != nil {
		p.Line, p.Column = node.Line, node.Column
	}
	return p
}

// Line is the line of the value that a path such as tenants[0].name leads to, or
// as in [Problem.At] of the last one on the way. It is 0 for a nil node.
func Line(top *yaml.Node, field string) int {
	if node := at(top, field); node != nil {
		return node.Line
	}
	return 0
}

// at is the last value that is there on the way to a field.
func at(top *yaml.Node, field string) *yaml.Node {
	if top == nil {
		return nil
	}
	node := top
	for field != "" {
		var key string
		var i int
		key, i, field = cutStep(field)
		next := Get(node, key)
		if i >= 0 {
			next = nil
			if node.Kind == yaml.SequenceNode && i < len(node.Content) {
				next = node.Content[i]
			}
		}
		if next == nil {
			break
		}
		node = next
	}
	return node
}

// cutStep takes the first step off a path that [Join] made: a key, or the index
// of an element, which is -1 for a key.
func cutStep(field string) (key string, i int, rest string) {
	switch {
	case strings.HasPrefix(field, `["`):
		if quoted, err := strconv.QuotedPrefix(field[1:]); err == nil {
			key, _ = strconv.Unquote(quoted)
			rest = strings.TrimPrefix(field[1+len(quoted):], "]")
			return key, -1, strings.TrimPrefix(rest, ".")
		}
	case strings.HasPrefix(field, "["):
		digits, rest, _ := strings.Cut(field[1:], "]")
		if n, err := strconv.ParseUint(digits, 10, 31); err == nil {
			return "", int(n), strings.TrimPrefix(rest, ".")
		}
	}
	end := strings.IndexAny(field, ".[")
	if end <= 0 {
		return field, -1, ""
	}
	return field[:end], -1, strings.TrimPrefix(field[end:], ".")
}
