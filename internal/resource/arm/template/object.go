package template

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// Object is a JSON object that keeps the order of its members and whose names ignore case, as
// those of Resource Manager do.
type Object struct {
	names  []string
	values []any
	index  map[string]int // by name in lower case

	line, column int // where it began in the text that it was read from; 0 if it was made
}

// NewObject returns an object with members, given as name, value, name, value.
func NewObject(members ...any) *Object {
	o := &Object{index: map[string]int{}}
	for i := 0; i+1 < len(members); i += 2 {
		o.Set(members[i].(string), members[i+1])
	}
	return o
}

// Len is the number of members. A nil object has none.
func (o *Object) Len() int {
	if o == nil {
		return 0
	}
	return len(o.names)
}

// Names are those of the members, in order.
func (o *Object) Names() []string {
	if o == nil {
		return nil
	}
	return o.names
}

// Lookup returns a member, whatever the case of its name.
func (o *Object) Lookup(name string) (any, bool) {
	if o == nil {
		return nil, false
	}
	i, ok := o.index[strings.ToLower(name)]
	if !ok {
		return nil, false
	}
	return o.values[i], true
}

// Get returns a member, nil if there is none.
func (o *Object) Get(name string) any {
	v, _ := o.Lookup(name)
	return v
}

// Text returns a member that is a string, "" if it is none.
func (o *Object) Text(name string) string {
	s, _ := o.Get(name).(string)
	return s
}

// Object returns a member that is an object, nil if it is none.
func (o *Object) Object(name string) *Object {
	made, _ := o.Get(name).(*Object)
	return made
}

// List returns a member that is an array, nil if it is none.
func (o *Object) List(name string) []any {
	made, _ := o.Get(name).([]any)
	return made
}

// Set adds a member, or replaces it where it is.
func (o *Object) Set(name string, value any) {
	key := strings.ToLower(name)
	if i, ok := o.index[key]; ok {
		o.values[i] = value
		return
	}
	o.index[key] = len(o.names)
	o.names, o.values = append(o.names, name), append(o.values, value)
}

// without returns a copy of the object that lacks members.
func (o *Object) without(names ...string) *Object {
	made := NewObject()
	made.line, made.column = o.line, o.column
next:
	for i, name := range o.names {
		for _, lacking := range names {
			if strings.EqualFold(name, lacking) {
				continue next
			}
		}
		made.Set(name, o.values[i])
	}
	return made
}

// MarshalJSON implements json.Marshaler.
func (o *Object) MarshalJSON() ([]byte, error) { return appendJSON(nil, o) }

// appendJSON writes a value as JSON without spaces, and with <, > and & as they are.
func appendJSON(out []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case *Object:
		if v == nil {
			return append(out, "null"...), nil
		}
		out = append(out, '{')
		for i, name := range v.names {
			if i > 0 {
				out = append(out, ',')
			}
			if out, err = appendJSON(out, name); err != nil {
				return nil, err
			}
			if out, err = appendJSON(append(out, ':'), v.values[i]); err != nil {
				return nil, err
			}
		}
		return append(out, '}'), nil
	case []any:
		out = append(out, '[')
		for i := range v {
			if i > 0 {
				out = append(out, ',')
			}
			if out, err = appendJSON(out, v[i]); err != nil {
				return nil, err
			}
		}
		return append(out, ']'), nil
	case Unknown:
		return appendJSON(out, v.Expression)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return append(out, bytes.TrimSuffix(text.Bytes(), []byte("\n"))...), nil
}

func compactJSON(v any) (string, error) {
	text, err := appendJSON(nil, v)
	return string(text), err
}

// equal compares two values as the function equals does: to the letter, and objects by their
// members, whatever the order of these.
func equal(a, b any) bool {
	switch a := a.(type) {
	case *Object:
		b, ok := b.(*Object)
		if !ok || a.Len() != b.Len() {
			return false
		}
		for i, name := range a.names {
			other, ok := b.Lookup(name)
			if !ok || !equal(a.values[i], other) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case int64:
		if f, ok := b.(float64); ok {
			return float64(a) == f
		}
	case float64:
		if n, ok := b.(int64); ok {
			return a == float64(n)
		}
	}
	if _, ok := b.(*Object); ok {
		return false
	}
	if _, ok := b.([]any); ok {
		return false
	}
	return a == b
}

// Equal reports whether two values are the same, as the function equals does.
func Equal(a, b any) bool { return equal(a, b) }

// FromGo returns what encoding/json made, or anything that it can write, as a value of this
// package.
func FromGo(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	made, err := ParseJSON(data)
	if err != nil {
		return nil
	}
	return made
}

// typeName is what Resource Manager's texts call the type of a value.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "Null"
	case bool:
		return "Boolean"
	case string:
		return "String"
	case int64:
		return "Integer"
	case float64:
		return "Float"
	case []any:
		return "Array"
	case *Object:
		return "Object"
	case Unknown:
		return "Unknown"
	}
	return fmt.Sprintf("%T", v)
}

// number is an integer if a JSON number is one that fits, else a float.
func number(text string) (any, error) {
	if !strings.ContainsAny(text, ".eE") {
		var n int64
		if err := json.Unmarshal([]byte(text), &n); err == nil {
			return n, nil
		}
	}
	var f float64
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return nil, err
	}
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, fmt.Errorf("the number %s is too large", text)
	}
	return f, nil
}

// With returns a copy of the object with a member in front of the others.
func (o *Object) With(name string, value any) *Object {
	made := NewObject(name, value)
	for i, other := range o.Names() {
		made.Set(other, o.values[i])
	}
	return made
}
