package fault

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Parse reads a fault in one word, as in --fault:
//
//	throttled,retry-after=3s,for.resource=entra,when.count=2
//
// What has no for. or when. before it is a parameter. What the values may be is
// checked when the fault is injected.
func Parse(text string) (Fault, error) {
	name, rest, more := strings.Cut(text, ",")
	f := Fault{Name: strings.TrimSpace(name)}
	if _, err := Named(f.Name); err != nil {
		return f, err
	}
	for more {
		var setting string
		setting, rest, more = strings.Cut(rest, ",")
		if err := f.Set(strings.TrimSpace(setting)); err != nil {
			return f, err
		}
	}
	return f, nil
}

// Set reads one NAME=VALUE: a parameter, for.FIELD or when.FIELD.
func (f *Fault) Set(setting string) error {
	name, value, ok := strings.Cut(setting, "=")
	if !ok {
		return &Mistake{Field: f.Name, Expected: "NAME=VALUE", Found: setting}
	}
	field, isFor := strings.CutPrefix(name, "for.")
	if isFor {
		return f.For.set(field, value)
	}
	if field, isWhen := strings.CutPrefix(name, "when."); isWhen {
		return f.When.set(field, value)
	}
	if f.Parameters == nil {
		f.Parameters = Settings{}
	}
	f.Parameters[name] = value
	return nil
}

func (s *Selector) set(field, value string) error {
	var known []string
	for _, f := range s.fields() {
		if f.name == field {
			*f.value = value
			return nil
		}
		known = append(known, f.name)
	}
	return &Mistake{Field: "for", Expected: "one of " + strings.Join(known, ", "), Found: field, Fix: yamlfile.DidYouMean(field, known)}
}

func (l *Limits) set(field, value string) (err error) {
	expected := "a whole number"
	switch field {
	case "nth":
		l.Nth, err = strconv.Atoi(value)
	case "every":
		l.Every, err = strconv.Atoi(value)
	case "count":
		l.Count, err = strconv.Atoi(value)
	case "after":
		expected, err = "a duration such as 90s, 10m or 25h", l.After.UnmarshalText([]byte(value))
	case "until":
		expected, err = "a duration such as 90s, 10m or 25h", l.Until.UnmarshalText([]byte(value))
	case "probability":
		expected = "a share above 0 up to 1, such as 0.022"
		l.Probability, err = strconv.ParseFloat(value, 64)
	case "seed":
		l.Seed, err = strconv.ParseUint(value, 10, 64)
	default:
		known := []string{"nth", "every", "count", "after", "until", "probability", "seed"}
		return &Mistake{Field: "when", Expected: "one of " + strings.Join(known, ", "), Found: field, Fix: yamlfile.DidYouMean(field, known)}
	}
	if err != nil {
		return &Mistake{Field: "when." + field, Expected: expected, Found: strconv.Quote(value)}
	}
	return nil
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

type selectorField struct {
	name  string
	value *string
}

func (s *Selector) fields() []selectorField {
	return []selectorField{
		{selectClient, &s.Client}, {selectIssuer, &s.Issuer}, {selectKid, &s.Kid}, {selectResource, &s.Resource}, {selectWorkload, &s.Workload},
	}
}

// String writes the fault as it is given on the command line.
func (f Fault) String() string {
	words := []string{f.Name}
	for _, name := range sortedKeys(f.Parameters) {
		words = append(words, name+"="+f.Parameters[name])
	}
	for _, s := range f.For.fields() {
		if *s.value != "" {
			words = append(words, "--for "+s.name+"="+*s.value)
		}
	}
	return strings.Join(append(words, f.When.words()...), " ")
}

func (l Limits) words() (words []string) {
	add := func(given bool, name string, value any) {
		if given {
			words = append(words, fmt.Sprintf("--%s %v", name, value))
		}
	}
	add(l.Nth > 1, "nth", l.Nth)
	add(l.Every > 1, "every", l.Every)
	add(l.Count > 0, "count", l.Count)
	add(l.After > 0, "after", l.After)
	add(l.Until > 0, "until", l.Until)
	add(l.Probability > 0, "probability", l.Probability)
	add(l.Probability > 0 && l.Seed != 0, "seed", l.Seed)
	return words
}
