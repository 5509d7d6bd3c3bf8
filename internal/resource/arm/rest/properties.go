package rest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Properties are those of a resource by name. What the provider does not know of is kept and
// shown as it was given, as far as it is JSON.
type Properties map[string]json.RawMessage

// UnmarshalJSON reads an object. Letter case does not tell names apart: of those that differ in it
// alone one is kept, the last in order, so that what is checked is what is shown.
func (p *Properties) UnmarshalJSON(data []byte) error {
	var read map[string]json.RawMessage
	if err := json.Unmarshal(data, &read); err != nil || read == nil {
		return err
	}
	*p = Properties{}
	p.Merge(read)
	return nil
}

// Merge replaces properties by others of the same names.
func (p Properties) Merge(others Properties) {
	for _, name := range slices.Sorted(maps.Keys(others)) {
		p.Drop(name)
		p[name] = others[name]
	}
}

// ReadProperties returns the properties of an item, which the caller may modify.
func (i *Item) ReadProperties() Properties {
	p := Properties{}
	if i.Properties != nil {
		_ = json.Unmarshal(i.Properties, &p) // they were made by raw, or checked when they were read
	}
	return p
}

// SetProperties replaces the properties of an item.
func (i *Item) SetProperties(p Properties) { i.Properties = p.raw() }

func (p Properties) raw() json.RawMessage {
	data, err := json.Marshal(p)
	if err != nil {
		panic(err) // each is JSON already
	}
	return data
}

// key is the name of a property as it is spelt there; letter case does not matter.
func (p Properties) key(name string) string {
	if _, ok := p[name]; ok {
		return name
	}
	for have := range p {
		if strings.EqualFold(have, name) {
			return have
		}
	}
	return name
}

// Read decodes a property into a value and reports whether it is there. It is not if it is null.
func (p Properties) Read(name string, into any) (ok bool, err error) {
	raw, ok := p[p.key(name)]
	if !ok || string(raw) == "null" {
		return false, nil
	}
	return true, json.Unmarshal(raw, into)
}

// Text is a property that is a text; "" if it is none.
func (p Properties) Text(name string) string {
	var text string
	if _, err := p.Read(name, &text); err != nil {
		return ""
	}
	return text
}

// Set gives a property a value, whatever the case of its letters was.
func (p Properties) Set(name string, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // of providers' own types, which JSON knows
	}
	delete(p, p.key(name))
	p[name] = data
}

// Default gives a property a value unless it has one.
func (p Properties) Default(name string, value any) {
	if raw, ok := p[p.key(name)]; !ok || string(raw) == "null" {
		p.Set(name, value)
	}
}

// DefaultFrom gives a property the value that it has among others, unless it is there, null included.
func (p Properties) DefaultFrom(others Properties, name string) {
	if _, ok := p[p.key(name)]; ok {
		return
	}
	if raw, ok := others[others.key(name)]; ok {
		p[name] = raw
	}
}

// Drop takes properties away, such as passwords, which are neither kept nor shown.
func (p Properties) Drop(names ...string) {
	for _, name := range names {
		for have := range p {
			if strings.EqualFold(have, name) {
				delete(p, have)
			}
		}
	}
}
