package yamlfile

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// into stores the value in a settable Go value.
func (v Value) into(target reflect.Value) {
	if IsNull(v.Node) {
		return
	}
	if target.Kind() == reflect.Pointer && target.Type() != reflect.TypeFor[*yaml.Node]() {
		if target.IsNil() {
			target.Set(reflect.New(target.Type().Elem()))
		}
		v.into(target.Elem())
		return
	}
	switch t := target.Addr().Interface().(type) {
	case Unmarshaler:
		t.UnmarshalYAMLFile(v)
		return
	case **yaml.Node:
		*t = v.Node
		return
	case *yaml.Node:
		*t = *v.Node
		return
	case *time.Duration:
		v.duration(t)
		return
	case *time.Time:
		v.time(t)
		return
	case *any:
		*t = v.plain()
		return
	case encoding.TextUnmarshaler:
		v.text(t)
		return
	}
	switch target.Kind() {
	case reflect.Struct:
		v.structure(target)
	case reflect.Map:
		v.mapping(target)
	case reflect.Slice:
		v.list(target)
	default:
		v.scalar(target)
	}
}

func (v Value) structure(target reflect.Value) {
	if v.Node.Kind != yaml.MappingNode {
		v.Refuse("a mapping", "", mappingFix(v.Node))
		return
	}
	fields := fieldsOf(target.Type())
	for _, p := range v.pairs() {
		at, known := slices.BinarySearchFunc(fields, p.key.Value, func(f field, name string) int {
			return strings.Compare(f.name, name)
		})
		if !known && v.loose {
			at = slices.IndexFunc(fields, func(f field) bool { return strings.EqualFold(f.name, p.key.Value) })
			if known = at >= 0; known {
				v.rename(p.key, fields[at].name)
			}
		}
		if !known {
			v.unknownField(p.key, p.value, fields)
			continue
		}
		v.At(p.key.Value, p.value).into(target.FieldByIndex(fields[at].index))
	}
}

type pair struct{ key, value *yaml.Node }

// pairs are the keys of a mapping with their values. Loosely read they are sorted, as
// in the JSON that sigs.k8s.io/yaml makes of them: of two keys that are one field the
// last counts.
func (v Value) pairs() []pair {
	all := make([]pair, 0, len(v.Node.Content)/2)
	for i := 0; i+1 < len(v.Node.Content); i += 2 {
		all = append(all, pair{v.Node.Content[i], v.Node.Content[i+1]})
	}
	if v.loose {
		slices.SortFunc(all, func(a, b pair) int { return strings.Compare(a.key.Value, b.key.Value) })
	}
	return all
}

func mappingFix(node *yaml.Node) string {
	if node.Kind == yaml.SequenceNode {
		return "remove the - in front"
	}
	return `write "field: value" lines`
}

// unknownField reports a key that no field of the type has.
func (v Value) unknownField(key, content *yaml.Node, fields []field) {
	u := Unknown{Name: key.Value, Key: v.At(key.Value, key), Content: content, known: make([]string, len(fields))}
	for i, f := range fields {
		u.known[i] = f.name
	}
	u.Meant = Nearest(key.Value, u.known)
	if v.unknown == nil {
		u.Refuse()
		return
	}
	v.unknown(u)
}

type field struct {
	name  string
	index []int
}

// fieldsOf lists the fields of a struct as they are called in a file, sorted.
// It works from the type each time: files are small and read once.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "-" {
			continue
		}
		if slices.Contains(strings.Split(options, ","), "inline") {
			for _, inner := range fieldsOf(f.Type) {
				fields = append(fields, field{inner.name, append([]int{i}, inner.index...)})
			}
			continue
		}
		if !f.IsExported() {
			continue
		}
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		fields = append(fields, field{name, []int{i}})
	}
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return fields
}

func (v Value) mapping(target reflect.Value) {
	if v.Node.Kind != yaml.MappingNode {
		v.Refuse("a mapping", "", mappingFix(v.Node))
		return
	}
	t := target.Type()
	if t.Key().Kind() != reflect.String {
		panic(fmt.Sprintf("yamlfile: decoding into %s, whose keys are not text", t))
	}
	if target.IsNil() {
		target.Set(reflect.MakeMapWithSize(t, len(v.Node.Content)/2))
	}
	for i := 0; i+1 < len(v.Node.Content); i += 2 {
		key := v.Node.Content[i].Value
		element := reflect.New(t.Elem()).Elem()
		v.At(key, v.Node.Content[i+1]).into(element)
		target.SetMapIndex(reflect.ValueOf(key).Convert(t.Key()), element)
	}
}

func (v Value) list(target reflect.Value) {
	if v.Node.Kind != yaml.SequenceNode {
		v.Refuse("a list", "", `put "- " in front, even of a single element`)
		return
	}
	elements := reflect.MakeSlice(target.Type(), len(v.Node.Content), len(v.Node.Content))
	for i := range v.Node.Content {
		v.Index(i).into(elements.Index(i))
	}
	target.Set(elements)
}

// plain is the value as map[string]any, []any and scalars.
func (v Value) plain() any {
	switch v.Node.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(v.Node.Content); i += 2 {
			key := v.Node.Content[i].Value
			m[key] = v.At(key, v.Node.Content[i+1]).plain()
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(v.Node.Content))
		for i := range list {
			list[i] = v.Index(i).plain()
		}
		return list
	}
	if v.loose && resolves(v.Node) {
		var scalar any
		if err := unmarshalLoose(v.Node, &scalar); err != nil {
			v.Refuse("a plain value", "", "quote it")
		}
		return scalar
	}
	if v.Node.ShortTag() == "!!timestamp" { // as in YAML 1.2's core schema, a date is text
		return v.Node.Value
	}
	var scalar any
	if err := v.Node.Decode(&scalar); err != nil {
		v.Refuse("a plain value", "", "quote it")
	}
	return scalar
}
