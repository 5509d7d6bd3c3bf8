package yamlfile

import (
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

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
	fields := v.fields[target.Type()]
	if fields == nil {
		fields = fieldsOf(target.Type())
		v.fields[target.Type()] = fields
	}
	for _, p := range v.pairs() {
		at := slices.IndexFunc(fields, func(f *field) bool { return f.name == p.key.Value })
		if at < 0 && v.loose {
			if at = slices.IndexFunc(fields, func(f *field) bool { return strings.EqualFold(f.name, p.key.Value) }); at >= 0 {
				v.rename(p.key, fields[at].name)
			}
		}
		if at < 0 {
			more := further(target)
			if (more == nil || !more.UnmarshalYAMLField(p.key.Value, v.At(p.key.Value, p.value))) && !v.refusedField(target, p) {
				v.unknownField(p.key, p.value, fields, more)
			}
			continue
		}
		of := v.At(p.key.Value, p.value)
		switch {
		case fields[at].notNull && IsNull(p.value):
			of.Refuse("a list", "", "write [] for an empty one, or remove the field")
		case fields[at].scalars:
			of.scalars(target.FieldByIndex(fields[at].index))
		default:
			of.into(target.FieldByIndex(fields[at].index))
		}
	}
}

// refusedField refuses a field of which a blank field of the struct says why it is not there.
func (v Value) refusedField(target reflect.Value, p *pair) bool {
	for i := range target.NumField() {
		f := target.Type().Field(i)
		if f.Name != "_" || v.unknown != nil {
			continue
		}
		refuser, ok := reflect.Zero(f.Type).Interface().(Refuser)
		if !ok {
			continue
		}
		if why := refuser.WhyNot(p.key.Value); why != "" {
			v.At(p.key.Value, p.key).Refuse("no such field", p.key.Value, why)
			return true
		}
	}
	return false
}

// further is the inline map of a struct, which reads fields that the struct does not have; nil if
// it has none.
func further(target reflect.Value) FieldUnmarshaler {
	for i := range target.NumField() {
		if f := target.Type().Field(i); isInline(f) && f.Type.Kind() == reflect.Map {
			return target.Field(i).Addr().Interface().(FieldUnmarshaler)
		}
	}
	return nil
}

func isInline(f reflect.StructField) bool {
	_, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return slices.Contains(strings.Split(options, ","), "inline")
}

type pair struct{ key, value *yaml.Node }

// pairs are the keys of a mapping with their values. Loosely read they are sorted, as
// in the JSON that sigs.k8s.io/yaml makes of them: of two keys that are one field the
// last counts.
func (v Value) pairs() []*pair {
	made := make([]pair, len(v.Node.Content)/2)
	all := make([]*pair, len(made))
	for i := range made {
		made[i] = pair{v.Node.Content[2*i], v.Node.Content[2*i+1]}
		all[i] = &made[i]
	}
	if v.loose {
		slices.SortFunc(all, func(a, b *pair) int { return strings.Compare(a.key.Value, b.key.Value) })
	}
	return all
}

func mappingFix(node *yaml.Node) string {
	if node.Kind == yaml.SequenceNode {
		return "remove the - in front"
	}
	return `write "field: value" lines`
}

func (v Value) unknownField(key, content *yaml.Node, fields []*field, more FieldUnmarshaler) {
	u := Unknown{Name: key.Value, Key: v.At(key.Value, key), Content: content}
	if more != nil {
		u.known = more.YAMLFields()
	}
	for _, f := range fields {
		u.known = append(u.known, f.name)
	}
	slices.Sort(u.known)
	u.Meant = Nearest(key.Value, u.known)
	if v.unknown == nil {
		u.Refuse()
		return
	}
	v.unknown(u)
}

type field struct {
	name    string
	index   []int
	scalars bool // see Value.scalars
	notNull bool // null is refused
}

// fieldsOf lists the fields of a struct as they are called in a file.
func fieldsOf(t reflect.Type) []*field {
	var fields []*field
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "-" || isInline(f) && f.Type.Kind() == reflect.Map {
			continue
		}
		if isInline(f) {
			for _, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				fields = append(fields, inner)
			}
			continue
		}
		if !f.IsExported() {
			continue
		}
		if names := f.Tag.Get("names"); names != "" {
			for name := range strings.FieldsSeq(names) {
				fields = append(fields, &field{name: name, index: []int{i}})
			}
			continue
		}
		name = cmp.Or(name, strings.ToLower(f.Name))
		tag := f.Tag.Get("yamlfile")
		fields = append(fields, &field{name, []int{i}, tag == "scalars", tag == "notnull"})
	}
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

// scalars stores a mapping in a map of text, to which numbers and truth values are text, too.
func (v Value) scalars(target reflect.Value) {
	if IsNull(v.Node) {
		return
	}
	if v.Node.Kind != yaml.MappingNode {
		v.Refuse("a mapping of parameters, such as {retry-after: 3s}", "", "")
		return
	}
	values := reflect.MakeMap(target.Type())
	for _, p := range v.pairs() {
		if p.value.Kind != yaml.ScalarNode || p.value.ShortTag() == "!!null" {
			v.At(p.key.Value, p.value).Refuse("a value such as 3s or 503", "", "")
			continue
		}
		values.SetMapIndex(reflect.ValueOf(p.key.Value), reflect.ValueOf(p.value.Value))
	}
	target.Set(values)
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
