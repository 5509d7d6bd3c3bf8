package explain

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
)

// Mismatch is a field in which an event is not as expected.
type Mismatch struct {
	Field    string // as JSON has it, such as nearest.differences[subject].kind
	Expected string
	Found    string // if empty, the field is not set
}

// Mismatches returns the fields in which an event differs from an expected one. Fields that
// are zero in expected are not compared. Sentences (Summary, Message, Meaning, Remedy, a
// check's Note, a difference's Fix) need only contain the expected text. Lists need only
// contain the expected elements; checks are compared by Name, differences by Field.
func Mismatches(e, expected journal.Event) []Mismatch {
	var m mismatches
	m.compare("", reflect.ValueOf(expected), reflect.ValueOf(e))
	return m
}

// Match returns the events without [Mismatches].
func Match(all []journal.Event, expected journal.Event) []journal.Event {
	var found []journal.Event
	for _, e := range all {
		if len(Mismatches(e, expected)) == 0 {
			found = append(found, e)
		}
	}
	return found
}

// WriteMissing writes which event was expected that is not among all, and the events that
// come nearest with the fields in which they differ.
func WriteMissing(w io.Writer, expected journal.Event, all []journal.Event) error {
	p := &page{w: w}
	p.line("expected an event with")
	p.fields(Mismatches(journal.Event{}, expected), func(m Mismatch) string { return m.Expected })
	if len(all) == 0 {
		p.line("found none at all: nothing has happened in the lab")
		return p.err
	}
	type candidate struct {
		journal.Event
		differ []Mismatch
	}
	candidates := make([]candidate, len(all))
	for i, e := range all {
		candidates[i] = candidate{e, Mismatches(e, expected)}
	}
	slices.Reverse(candidates) // of those that are as near, the newest
	slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(distance(a.differ), distance(b.differ)) })
	p.line("found %d others; the nearest are", len(all))
	for _, c := range candidates[:min(len(candidates), nearestEvents)] {
		p.line("  event %s at %s: %s %s %s: %s", c.ID, c.Time.Format(time.DateTime), mark(c.Outcome), c.Kind, c.Outcome, c.Summary)
		p.fields(c.differ, func(m Mismatch) string {
			return fmt.Sprintf("expected %s, found %s", m.Expected, cmp.Or(m.Found, "nothing"))
		})
	}
	return p.err
}

const nearestEvents = 3

// distance is how far an event is from the expected one: an event of another kind
// has little to do with it.
func distance(differ []Mismatch) int {
	d := len(differ)
	for _, m := range differ {
		if m.Field == "kind" {
			d += 3
		}
	}
	return d
}

func (p *page) fields(all []Mismatch, text func(Mismatch) string) {
	width := 0
	for _, m := range all {
		width = max(width, len(m.Field))
	}
	for _, m := range all {
		p.line("      %-*s  %s", width, m.Field, text(m))
	}
}

type mismatches []Mismatch

// prose are the fields that need only contain what is expected.
var prose = []string{"summary", "message", "meaning", "remedy", "note", "fix"}

// named are the fields by which an element of a list is found.
var named = map[reflect.Type]string{reflect.TypeFor[journal.Check](): "Name", reflect.TypeFor[journal.Difference](): "Field"}

func (m *mismatches) compare(path string, expected, found reflect.Value) {
	if expected.IsZero() {
		return
	}
	if at, ok := expected.Interface().(time.Time); ok {
		if !at.Equal(found.Interface().(time.Time)) {
			m.add(path, expected, found)
		}
		return
	}
	switch expected.Kind() {
	case reflect.Pointer:
		if found.IsNil() {
			found = reflect.New(expected.Type().Elem())
		}
		m.compare(path, expected.Elem(), found.Elem())
	case reflect.Struct:
		for i := range expected.NumField() {
			name, _, _ := strings.Cut(expected.Type().Field(i).Tag.Get("json"), ",")
			m.compare(strings.TrimPrefix(path+"."+name, "."), expected.Field(i), found.Field(i))
		}
	case reflect.Map:
		for _, key := range slices.SortedFunc(slices.Values(expected.MapKeys()), func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) }) {
			value := found.MapIndex(key)
			if !value.IsValid() {
				value = reflect.Zero(expected.Type().Elem())
			}
			m.compare(path+"."+key.String(), expected.MapIndex(key), value)
		}
	case reflect.Slice:
		for i := range expected.Len() {
			m.element(path, expected.Index(i), found)
		}
	case reflect.String:
		field := path[strings.LastIndexByte(path, '.')+1:]
		if expected.String() == found.String() || slices.Contains(prose, field) && strings.Contains(found.String(), expected.String()) {
			return
		}
		m.add(path, expected, found)
	default:
		if !expected.Equal(found) {
			m.add(path, expected, found)
		}
	}
}

func (m *mismatches) element(path string, expected, list reflect.Value) {
	field, ok := named[expected.Type()]
	if !ok {
		for i := range list.Len() {
			if list.Index(i).Equal(expected) {
				return
			}
		}
		m.add(path, expected, list)
		return
	}
	name := expected.FieldByName(field).String()
	found := reflect.Zero(expected.Type())
	for i := range list.Len() {
		if list.Index(i).FieldByName(field).String() == name {
			found = list.Index(i)
		}
	}
	m.compare(path+"["+name+"]", expected, found)
}

func (m *mismatches) add(path string, expected, found reflect.Value) {
	*m = append(*m, Mismatch{path, text(expected), text(found)})
}

// text is a value as people read it; "" for one that is not set.
func text(v reflect.Value) string {
	switch {
	case v.IsZero():
		return ""
	case v.Type() == reflect.TypeFor[[]string]():
		return strings.Join(v.Interface().([]string), " and ")
	}
	if t, ok := v.Interface().(time.Time); ok {
		return t.Format(time.RFC3339)
	}
	return fmt.Sprint(v.Interface())
}
