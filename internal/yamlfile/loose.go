package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// How sigs.k8s.io/yaml's Unmarshal reads a file: by YAML 1.1, as JSON, and never
// strictly. TestLooseIsWhatKubernetesReads and FuzzLoose compare with the library.

// ParseLoose is [Parse] for a file that its own program reads with sigs.k8s.io/yaml,
// such as a radixconfig.yaml: of a key that is given twice the last counts, a key need
// not be text, << gives way to what stands behind it alone, and what follows a second
// --- is not read. Each of these is a warning.
func ParseLoose(file string, data []byte) (*yaml.Node, Problems, error) {
	if len(data) > MaxBytes {
		_, err := Parse(file, data)
		return nil, nil, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil || len(document.Content) == 0 {
		top, err := Parse(file, data)
		return top, nil, err
	}
	r := resolver{file: file, loose: true, resolved: map[*yaml.Node]resolution{}}
	top, _ := r.resolve(document.Content[0], "", 0)
	if len(r.problems) > 0 {
		r.problems.Sort()
		return nil, nil, r.problems
	}
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.warn(&yaml.Node{Line: syntaxProblem(file, err).Line}, "", notRead, notReadFix)
	case len(second.Content) > 0 && !IsNull(second.Content[0]):
		r.warn(second.Content[0], "", notRead, notReadFix)
	}
	r.warnings.Sort()
	return top, r.warnings, nil
}

const (
	notRead    = "what follows --- is not read"
	notReadFix = "remove it, or put it into a file of its own"
)

// DecodeLoose is [DecodeTolerant] for a node from [ParseLoose]: where text is expected
// a number or a truth value is its text, yes and on are true, 1e3 is a whole number,
// and the case of field names does not count. Each of these is a warning.
func DecodeLoose(file string, node *yaml.Node, into any, unknown func(Unknown)) Problems {
	if unknown == nil {
		unknown = Unknown.Warn
	}
	return decode(Value{Node: node, file: file, report: new(Problems), unknown: unknown, loose: true}, into)
}

func (r *resolver) warn(node *yaml.Node, field, found, fix string) {
	r.warnings = append(r.warnings, Problem{File: r.file, Line: node.Line, Column: node.Column, Field: field, Found: found, Fix: fix, Warning: true})
}

// looseMapping resolves a mapping's pairs one after the other, each in the place of
// what an earlier one has given: so does yaml.v2, for << as for any other key.
func (r *resolver) looseMapping(node *yaml.Node, field string, depth int) int {
	m := looseMapping{at: map[string]int{}}
	size := 1
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, ok := r.key(node.Content[i], field)
		if !ok {
			continue
		}
		if key.ShortTag() == "!!merge" {
			path := Join(field, key.Value)
			value, n := r.resolve(node.Content[i+1], path, depth+1)
			size += n + 1
			merged := r.merged(value, path)
			for i := range merged { // what is merged first wins
				r.merge(&m, key, path, merged[len(merged)-1-i])
			}
			continue
		}
		name, ok := r.looseKey(key, field)
		if !ok {
			continue
		}
		path := Join(field, name.Value)
		value, n := r.resolve(node.Content[i+1], path, depth+1)
		size += n + 1
		if at, twice := m.at[name.Value]; twice && !m.merged[name.Value] {
			r.warn(key, path, fmt.Sprintf("the key is also on line %d; this one counts, because it is the last", m.content[at].Line), "remove one of the two")
		}
		m.set(name, value)
		delete(m.merged, name.Value)
	}
	node.Content = m.content
	return size
}

type looseMapping struct {
	content []*yaml.Node
	at      map[string]int  // where in content a key is
	merged  map[string]bool // keys that << has given
}

func (m *looseMapping) set(key, value *yaml.Node) {
	if at, known := m.at[key.Value]; known {
		m.content[at], m.content[at+1] = key, value
		return
	}
	m.at[key.Value] = len(m.content)
	m.content = append(m.content, key, value)
}

func (r *resolver) merge(m *looseMapping, at *yaml.Node, field string, other *yaml.Node) {
	if m.merged == nil {
		m.merged = map[string]bool{}
	}
	for i := 0; i+1 < len(other.Content); i += 2 {
		name := other.Content[i].Value
		if before, known := m.at[name]; known && !m.merged[name] {
			r.warn(at, field, fmt.Sprintf("it replaces %s of line %d, which stands before it", name, m.content[before].Line), "put << first")
		}
		m.set(other.Content[i], other.Content[i+1])
		m.merged[name] = true
	}
}

// looseKey is the key as text, which it becomes in JSON.
func (r *resolver) looseKey(key *yaml.Node, field string) (*yaml.Node, bool) {
	if !resolves(key) {
		if IsNull(key) {
			r.problem(key, field, "a key that is text", "null", fmt.Sprintf("put it in quotes: %q", key.Value))
			return nil, false
		}
		return key, true
	}
	text, err := looseKeyText(key)
	if err != nil {
		r.problem(key, field, "a key that is text", Describe(key), fmt.Sprintf("put it in quotes: %q", key.Value))
		return nil, false
	}
	r.warn(key, Join(field, text), fmt.Sprintf("the key %s is read as the text %q", key.Value, text), quotes(key.Value, text))
	copied := *key // the node may be anchored, for another use
	copied.Value, copied.Tag, copied.Style = text, "!!str", yaml.DoubleQuotedStyle
	return &copied, true
}

// rename gives a field the name that its type has for it, so that it is found in
// the tree under that name.
func (v Value) rename(key *yaml.Node, name string) {
	v.At(name, key).Warn("", fmt.Sprintf("%s is read as %s, since the case of letters does not count", key.Value, name), "write "+name)
	key.Value = name
}

// looseScalar stores a scalar that YAML 1.1 takes for something else than text.
func (v Value) looseScalar(target reflect.Value) {
	read := reflect.New(target.Type())
	strictly, strict := reflect.New(target.Type()).Elem(), v
	strict.loose, strict.report = false, new(Problems)
	strict.scalar(strictly)
	switch err := unmarshalLoose(v.Node, read.Interface()); {
	case err != nil && len(*strict.report) > 0:
		*v.report = append(*v.report, *strict.report...)
		return
	case err != nil:
		v.Refuse("a value that JSON has", "", "")
		return
	}
	target.Set(read.Elem())
	text, isText := read.Elem().Interface(), target.Kind() == reflect.String
	switch {
	case len(*strict.report) == 0 && strictly.Equal(read.Elem()):
	case isText:
		v.Warn("", fmt.Sprintf("%s is read as the text %q", unquoted(v.Node), text), quotes(v.Node.Value, read.Elem().String()))
	default:
		v.Warn("", fmt.Sprintf("%s is read as %v", unquoted(v.Node), text), fmt.Sprintf("write %v", text))
	}
}

func unquoted(node *yaml.Node) string {
	if node.ShortTag() == "!!str" {
		return node.Value
	}
	return Describe(node)
}

// quotes is how a scalar stays what it looks like.
func quotes(written, read string) string {
	if written == read {
		return fmt.Sprintf("put it in quotes: %q", written)
	}
	return fmt.Sprintf("put it in quotes if that is not meant: %q", written)
}

// resolves reports whether YAML 1.1 takes a scalar for something else than text and
// null, or may do so.
func resolves(node *yaml.Node) bool {
	if node.Kind != yaml.ScalarNode || strings.Contains(node.Value, "\n") {
		return false
	}
	switch node.ShortTag() {
	case "!!null", "!!timestamp":
		return false
	case "!!str":
		return node.Style == 0 && isTruthWord(node.Value)
	}
	return true
}

// isTruthWord reports whether a word is true or false in YAML 1.1 and text in 1.2.
// Source: go.yaml.in/yaml/v2, resolve.go.
func isTruthWord(word string) bool {
	lower := strings.ToLower(word)
	switch lower {
	case "y", "n", "yes", "no", "on", "off":
		return word == lower || word == strings.ToUpper(word) || word == strings.ToUpper(word[:1])+lower[1:]
	}
	return false
}
