package yamlfile

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A Problem is one thing that is wrong in a file, told to the person who wrote
// it: where it is, what should stand there, what stands there, and what to do.
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
