package graph

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

type property struct {
	name  string
	value any
}

// entity is an object whose members keep their order.
type entity []property

// MarshalJSON implements json.Marshaler.
func (e entity) MarshalJSON() ([]byte, error) { return appendJSON(nil, e), nil }

// appendJSON writes what entities are made of: much faster than by reflection, of which lists
// of thousands of objects would consist.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case string:
		return appendText(b, v)
	case json.RawMessage:
		return append(b, v...)
	case entity:
		b = append(b, '{')
		for i, p := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendText(b, p.name), ':')
			b = appendJSON(b, p.value)
		}
		return append(b, '}')
	case []entity:
		return appendList(b, v)
	case []string:
		return appendList(b, v)
	}
	return append(b, encoded(v)...)
}

func appendList[T any](b []byte, all []T) []byte {
	b = append(b, '[')
	for i, v := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, v)
	}
	return append(b, ']')
}

func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return append(b, encoded(s)...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func encoded(v any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return []byte("null") // of what entities hold, nothing fails
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// set replaces the value of a member that is there.
func (e entity) set(name string, value any) {
	for i := range e {
		if e[i].name == name {
			e[i].value = value
		}
	}
}

// get returns a member, its name in any case.
func (e entity) get(name string) (property, bool) {
	i := slices.IndexFunc(e, func(p property) bool { return strings.EqualFold(p.name, name) })
	if i < 0 {
		return property{}, false
	}
	return e[i], true
}
