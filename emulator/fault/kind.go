package fault

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Kind is a kind of fault, as wiemu fault list describes it.
type Kind struct {
	Name        string      `json:"name"`
	Summary     string      `json:"summary"`     // what happens, in one line
	Description string      `json:"description"` // what a client sees, and the source
	Point       string      `json:"point"`       // where it hits, such as "request" or "token file"
	Selects     []string    `json:"selects"`     // the fields of a Selector that are known there
	Parameters  []Parameter `json:"parameters,omitempty"`
	Example     string      `json:"example"` // after "wiemu fault inject "
}

// Parameter is one setting of a kind.
type Parameter struct {
	Name        string   `json:"name"`
	Type        Type     `json:"type"`
	Values      []string `json:"values,omitempty"` // of a choice
	Most        string   `json:"most,omitempty"`   // the longest duration; if empty, any
	Default     string   `json:"default"`
	Description string   `json:"description"`
}

// Type is what a parameter's text stands for.
type Type string

// The types of parameters.
const (
	TypeDuration Type = "duration" // 90s, 10m, 25h; not negative
	TypeNumber   Type = "number"   // a whole number, not negative
	TypeChoice   Type = "choice"   // one of Values
	TypeText     Type = "text"     // anything
)

// The fields that selectors can have.
const (
	selectClient   = "client"
	selectIssuer   = "issuer"
	selectKid      = "kid"
	selectResource = "resource"
	selectWorkload = "workload"
)

// Kinds returns every kind of fault, in the order in which a token meets them.
// The slice is the caller's.
func Kinds() []Kind {
	return slices.Concat(keys(), files(), documents(), trusts(), tokens(), roles(), management(), answers(), rotations(), sql(), postgres(), redis())
}

// Named returns the kind with a name. Its error suggests the nearest name.
func Named(name string) (Kind, error) {
	kind, mistake := named(name)
	if mistake != nil {
		return kind, mistake
	}
	return kind, nil
}

func named(name string) (Kind, *Mistake) {
	kinds := Kinds()
	var names []string
	for _, k := range kinds {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return Kind{}, &Mistake{Field: "name", Expected: "the name of a fault, which wiemu fault list shows", Found: name, Fix: yamlfile.DidYouMean(name, names)}
}

// Mistake is a field of a fault that is wrong.
type Mistake struct {
	Field    string // such as parameters.retry-after
	Expected string
	Found    string
	Fix      string // may be empty
}

func (m *Mistake) Error() string {
	text := fmt.Sprintf("%s: expected %s, found %s", m.Field, m.Expected, cmp.Or(m.Found, "nothing"))
	if m.Fix != "" {
		text += "; " + m.Fix
	}
	return text
}

func (k Kind) parameter(name string) (Parameter, bool) {
	i := slices.IndexFunc(k.Parameters, func(p Parameter) bool { return p.Name == name })
	if i < 0 {
		return Parameter{}, false
	}
	return k.Parameters[i], true
}

// Check returns all mistakes of a fault. Issuers are the names that For.Issuer may have; if
// nil, it may have any.
func (f Fault) Check(issuers []string) []*Mistake {
	kind, mistake := named(f.Name)
	if mistake != nil {
		return []*Mistake{mistake}
	}
	return slices.Concat(kind.checkParameters(f.Parameters), kind.checkSelector(f.For, issuers), f.When.check())
}

func (k Kind) checkParameters(given map[string]string) (found []*Mistake) {
	var known []string
	for _, p := range k.Parameters {
		known = append(known, p.Name)
	}
	for _, name := range sortedKeys(given) {
		field := "parameters." + name
		p, ok := k.parameter(name)
		if !ok {
			expected := "a parameter of " + k.Name + ": " + strings.Join(known, ", ")
			if len(known) == 0 {
				expected = "no parameter, which " + k.Name + " does not have"
			}
			found = append(found, &Mistake{field, expected, name, yamlfile.DidYouMean(name, known)})
			continue
		}
		if m := p.check(given[name]); m != nil {
			m.Field = field
			found = append(found, m)
		}
	}
	return found
}

func (p Parameter) check(value string) *Mistake {
	switch p.Type {
	case TypeDuration:
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return &Mistake{Expected: "a duration such as 90s, 10m or 25h", Found: strconv.Quote(value)}
		}
		if most, err := time.ParseDuration(p.Most); err == nil && d > most {
			return &Mistake{Expected: "at most " + p.Most, Found: value}
		}
	case TypeNumber:
		if n, err := strconv.Atoi(value); err != nil || n < 0 {
			return &Mistake{Expected: "a whole number", Found: strconv.Quote(value)}
		}
	case TypeChoice:
		if !slices.Contains(p.Values, value) {
			return &Mistake{Expected: "one of " + strings.Join(p.Values, ", "), Found: value, Fix: yamlfile.DidYouMean(value, p.Values)}
		}
	}
	return nil
}

func (k Kind) checkSelector(s Selector, issuers []string) (found []*Mistake) {
	for _, f := range s.fields() {
		if *f.value != "" && !slices.Contains(k.Selects, f.name) {
			found = append(found, &Mistake{Field: "for." + f.name, Expected: "one of " + strings.Join(k.Selects, ", "), Found: f.name, Fix: "where " + k.Name + " hits, nothing else is known"})
		}
	}
	if s.Issuer != "" && issuers != nil && !strings.Contains(s.Issuer, "://") && !slices.Contains(issuers, s.Issuer) {
		found = append(found, &Mistake{Field: "for.issuer", Expected: "an https URL or the name of an issuer: " + strings.Join(issuers, ", "), Found: s.Issuer, Fix: yamlfile.DidYouMean(s.Issuer, issuers)})
	}
	return found
}

func (l Limits) check() (found []*Mistake) {
	for _, n := range []struct {
		field string
		value int
	}{{"nth", l.Nth}, {"every", l.Every}, {"count", l.Count}} {
		if n.value < 0 {
			found = append(found, &Mistake{Field: "when." + n.field, Expected: "a number of at least 1", Found: strconv.Itoa(n.value)})
		}
	}
	if l.Probability < 0 || l.Probability > 1 || l.Probability != l.Probability {
		found = append(found, &Mistake{Field: "when.probability", Expected: "a share above 0 up to 1, such as 0.022", Found: strconv.FormatFloat(l.Probability, 'g', -1, 64)})
	}
	if l.After < 0 {
		found = append(found, &Mistake{Field: "when.after", Expected: "a duration from the injection on", Found: l.After.String()})
	}
	if l.Until != 0 && l.Until <= l.After {
		found = append(found, &Mistake{Field: "when.until", Expected: "a duration longer than after, " + l.After.String(), Found: l.Until.String(), Fix: "both count from the injection"})
	}
	return found
}
