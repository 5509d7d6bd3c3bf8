package graph

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// property is one member of an object.
type property struct {
	name  string
	value any
}

// entity is an object whose members keep their order.
type entity []property

// MarshalJSON writes the members in order.
func (e entity) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range e {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(p.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(p.value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// get returns a member, its name in any case.
func (e entity) get(name string) (property, bool) {
	i := slices.IndexFunc(e, func(p property) bool { return strings.EqualFold(p.name, name) })
	if i < 0 {
		return property{}, false
	}
	return e[i], true
}

// only returns the members with these names, in the entity's order.
func (e entity) only(names []string) entity {
	return slices.DeleteFunc(slices.Clone(e), func(p property) bool { return !slices.Contains(names, p.name) })
}

// equals compares a member with a literal of a $filter. GUIDs and names ignore
// case, as directory objects do; exact says that this one does not.
func (e entity) equals(c comparison, exact bool) bool {
	p, ok := e.get(c.property)
	if !ok {
		return false
	}
	switch v := p.value.(type) {
	case string:
		return v == c.value || !exact && strings.EqualFold(v, c.value)
	case bool:
		return c.value == map[bool]string{true: "true", false: "false"}[v]
	case nil:
		return c.value == "null"
	default:
		return false
	}
}
