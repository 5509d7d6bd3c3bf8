package fault

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// Where a call can go wrong. A room asks at its point; a kind of fault hits at
// one.
const (
	AtRotation     = "rotation"      // another key of a ring is about to sign
	AtNewKey       = "new key"       // a key ring is about to take a new key
	AtMint         = "mint"          // a cluster is about to sign a service-account token
	AtRenewal      = "renewal"       // a kubelet is about to renew the token in a file
	AtTokenFile    = "token file"    // a token file is about to be laid out
	AtPodStart     = "pod start"     // a workload's program is about to be told its environment
	AtArrival      = "arrival"       // a request of a client has arrived, at Entra ID or a resource
	AtRequest      = "request"       // and is about to be answered
	AtTrust        = "trust"         // Entra ID is about to look for the federated credential of an assertion
	AtToken        = "token"         // Entra ID is about to make an access token
	AtKeyLookup    = "keys"          // Entra ID looks for the key of an assertion
	AtDiscovery    = "discovery"     // an issuer's discovery document is fetched
	AtJWKS         = "jwks"          // an issuer's key set is fetched
	AtMinted       = "minted"        // a cluster has signed a service-account token
	AtEarlyRenewal = "early renewal" // a kubelet has fetched a token and looks when to renew it
	AtGranted      = "granted"       // Entra ID has signed an access token
)

// Kind is a sort of fault: what wiemu fault list tells about it.
type Kind struct {
	Name        string      `json:"name"`
	Summary     string      `json:"summary"`     // what happens, in one line
	Description string      `json:"description"` // what a client sees, and where it is known from
	Point       string      `json:"point"`       // where it hits
	Selects     []string    `json:"selects"`     // the fields of a Selector that are known there
	Parameters  []Parameter `json:"parameters,omitempty"`
	Example     string      `json:"example"` // after "wiemu fault inject "
}

// Parameter is one setting of a kind.
type Parameter struct {
	Name        string   `json:"name"`
	Type        Type     `json:"type"`
	Values      []string `json:"values,omitempty"` // that a Choice has
	Most        string   `json:"most,omitempty"`   // that a Duration may be; "": any
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
	return slices.Concat(keys(), files(), documents(), trusts(), tokens(), answers(), awkward())
}

// Named returns the kind with a name. The error suggests the nearest.
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
	return Kind{}, &Mistake{Field: "name", Expected: "the name of a fault, which wiemu fault list shows", Found: name, Fix: didYouMean(name, names)}
}

// Mistake is something about a fault that cannot be.
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

func didYouMean(name string, known []string) string {
	if near := yamlfile.Nearest(name, known); near != "" {
		return "did you mean " + near + "?"
	}
	return ""
}

func (k Kind) parameter(name string) (Parameter, bool) {
	i := slices.IndexFunc(k.Parameters, func(p Parameter) bool { return p.Name == name })
	if i < 0 {
		return Parameter{}, false
	}
	return k.Parameters[i], true
}

// Check returns the mistakes of a fault, all of them. Issuers are the names of
// those that wiemu knows; nil: any name will do.
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
			found = append(found, &Mistake{field, expected, name, didYouMean(name, known)})
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
			return &Mistake{Expected: "one of " + strings.Join(p.Values, ", "), Found: value, Fix: didYouMean(value, p.Values)}
		}
	}
	return nil
}

func (k Kind) checkSelector(s Selector, issuers []string) (found []*Mistake) {
	for _, f := range s.fields() {
		if f.value != "" && !slices.Contains(k.Selects, f.name) {
			found = append(found, &Mistake{Field: "for." + f.name, Expected: "one of " + strings.Join(k.Selects, ", "), Found: f.name, Fix: "where " + k.Name + " hits, nothing else is known"})
		}
	}
	if s.Issuer != "" && issuers != nil && !strings.Contains(s.Issuer, "://") && !slices.Contains(issuers, s.Issuer) {
		found = append(found, &Mistake{Field: "for.issuer", Expected: "an https URL or the name of an issuer: " + strings.Join(issuers, ", "), Found: s.Issuer, Fix: didYouMean(s.Issuer, issuers)})
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
