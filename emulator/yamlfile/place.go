package yamlfile

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

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
