// Package yamlfile reads YAML that people write: strictly, and with every
// problem reported at once, each with its file, line, column, field, what was expected,
// what was found, and how to fix it. It does not know what the files
// mean; see emulator/config, scenarios and internal/workload.
//
// Go types describe a file with `yaml:"name"` struct tags, as they do for
// go.yaml.in/yaml/v3; `yaml:",inline"` puts the fields of a struct into the one
// around it, or those that a map reads ([FieldUnmarshaler]), `yaml:"-"` leaves a field out, and a field without a tag has its
// name in lower case, or with `names:"a b"` each of several names. A map of text with the tag `yamlfile:"scalars"` takes any scalar for
// text, and a list with `yamlfile:"notnull"` is refused when it is null. Supported are text, bool, integers, floats,
// [time.Duration] ("25h"), [time.Time] (RFC 3339), slices, maps with text keys,
// structs, pointers to them, any, [yaml.Node], types with
// [encoding.TextUnmarshaler], and types with [Unmarshaler], which read
// themselves.
//
// It is stricter than the YAML library: a field that the type does not have, a
// key given twice, a number where text is expected (an unquoted id that YAML
// takes for a number has lost digits already) and a second document are refused.
// A null value (`KEY:`) is a value that was not given.
//
// Files that belong to another program, which reads them with sigs.k8s.io/yaml, are
// read as that program reads them, by [ParseLoose] and [DecodeLoose]; where they are
// not as they should be, that is a warning.
package yamlfile

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/internal/truncate"
)

// Decode reads a file that holds one document into the value that into points
// to, usually a struct with its defaults filled in: what the file does not give
// stays as it is. file names the file in errors; the bytes are data.
//
// The error is of type [Problems]. What could be read has been stored even then.
func Decode(file string, data []byte, into any) error {
	node, err := Parse(file, data)
	if err != nil {
		return err
	}
	return DecodeNode(file, node, into).Err()
}

// DecodeNode is [Decode] for a node from [Parse], for a file whose type depends on
// its kind.
func DecodeNode(file string, node *yaml.Node, into any) Problems {
	return decode(Value{Node: node, file: file, report: new(Problems)}, into)
}

// DecodeTolerant is [DecodeNode] for files that others define and extend. A
// field that the type does not have is given to unknown, which may report it; a
// nil unknown warns of it.
func DecodeTolerant(file string, node *yaml.Node, into any, unknown func(Unknown)) Problems {
	if unknown == nil {
		unknown = Unknown.Warn
	}
	return decode(Value{Node: node, file: file, report: new(Problems), unknown: unknown}, into)
}

// UnknownField is what a problem has found where a field is refused that the type
// does not have.
const UnknownField = "an unknown field"

// Unknown is a field that a type does not have.
type Unknown struct {
	Name    string
	Key     Value      // the place of the name
	Content *yaml.Node // its value
	Meant   string     // the field of the type that is spelt similarly; "" if none is
	known   []string
}

// Warn reports the field as passed over.
func (u Unknown) Warn() { u.Key.Warn("", "an unknown field, passed over", u.fix()) }

// Refuse reports the field as wrong.
func (u Unknown) Refuse() {
	expected, fix := "no fields", u.fix()
	if len(u.known) > 0 {
		expected = "one of " + strings.Join(u.known, ", ")
	}
	fix = cmp.Or(fix, "remove it")
	u.Key.Refuse(expected, UnknownField, fix)
}

func (u Unknown) fix() string {
	if u.Meant == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %s?", u.Meant)
}

func decode(v Value, into any) Problems {
	v.fields = map[reflect.Type][]*field{}
	v.Decode(into)
	v.report.Sort()
	return *v.report
}

// An Unmarshaler reads itself from a value in a file, for forms that a Go type
// does not express, such as text that stands for a mapping. Problems are
// reported to the value. The method is on the pointer.
type Unmarshaler interface {
	UnmarshalYAMLFile(v Value)
}

// A FieldUnmarshaler is a map with the tag `yaml:",inline"` that reads fields which the
// struct around it does not have. The method is on the pointer, and returns false for a
// field that is unknown to it, too. YAMLFields are those that it knows, in a new slice.
type FieldUnmarshaler interface {
	UnmarshalYAMLField(name string, v Value) bool
	YAMLFields() []string
}

// A Refuser is the type of a blank field of a struct which says why the struct does not have
// a field of some name, such as one of Azure's that is not emulated; "" if it knows nothing of it.
type Refuser interface {
	WhyNot(field string) string
}

// A Value is a place in a file that is being decoded.
type Value struct {
	Node *yaml.Node

	field   string
	file    string
	report  *Problems
	unknown func(Unknown) // nil: refused
	loose   bool          // see DecodeLoose
	fields  map[reflect.Type][]*field
}

// Field is the path to the value, such as spec.components[0].identity.
func (v Value) Field() string { return v.field }

// At returns the value of a key of a mapping, at the node that the caller has found.
func (v Value) At(key string, node *yaml.Node) Value {
	v.Node, v.field = node, Join(v.field, key)
	return v
}

// Index is element i of a list.
func (v Value) Index(i int) Value {
	v.Node, v.field = v.Node.Content[i], fmt.Sprintf("%s[%d]", v.field, i)
	return v
}

// Decode stores the value in what into points to, and reports what does not fit.
// It reports whether all of it did; what is only warned of did.
func (v Value) Decode(into any) bool {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		panic(fmt.Sprintf("yamlfile: decoding into %T, which is no pointer to a value", into))
	}
	before := len(*v.report)
	v.into(target.Elem())
	return (*v.report)[before:].Err() == nil
}

// Refuse reports that the value is wrong. An empty found describes the node.
func (v Value) Refuse(expected, found, fix string) { v.problem(expected, found, fix, false) }

// Warn reports that the value was passed over.
func (v Value) Warn(expected, found, fix string) { v.problem(expected, found, fix, true) }

func (v Value) problem(expected, found, fix string, warning bool) {
	p := Problem{File: v.file, Field: v.field, Expected: expected, Found: cmp.Or(found, Describe(v.Node)), Fix: fix, Warning: warning}
	if v.Node != nil {
		p.Line, p.Column = v.Node.Line, v.Node.Column
	}
	*v.report = append(*v.report, p)
}

// Describe names what a node is, for the "found" of a problem: text "abc",
// number 5, a list.
func Describe(node *yaml.Node) string {
	if IsNull(node) {
		return "nothing"
	}
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	shown := truncate.Runes(node.Value, 60)
	switch node.ShortTag() {
	case "!!int", "!!float":
		return "number " + shown
	case "!!bool":
		return shown
	case "!!str", "!!timestamp", "!!merge":
	default:
		return "a value with the tag " + node.ShortTag()
	}
	return fmt.Sprintf("text %q", shown)
}

// Join is the path of a key below a path: Join("spec", "name") is spec.name. A
// key that could be mistaken for a path is put in brackets: env["a.b"].
func Join(field, key string) string {
	switch {
	case key == "" || strings.ContainsAny(key, ".[]\" ") || strings.ContainsFunc(key, isControl):
		return fmt.Sprintf("%s[%q]", field, key)
	case field == "":
		return key
	}
	return field + "." + key
}
