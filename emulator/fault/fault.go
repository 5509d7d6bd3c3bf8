// Package fault makes a lab go wrong on purpose: it knows which faults there are,
// keeps those that are injected, and decides for which call one hits. What a hit
// does happens in the room that asked (entra, a resource, a key ring, a token
// file); faults of the wire alone are done here, see Answers.
//
// A fault is data, and so is the state of a set of them: Active can be written
// down as JSON and restored elsewhere. Whether a call is hit depends on nothing
// but the calls before it, lab time and a seed, so the same calls with the same
// seed are hit again.
package fault

import (
	"fmt"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// Fault is one thing that goes wrong on purpose.
type Fault struct {
	// Name is that of a kind of fault; wiemu fault list shows them.
	Name string `yaml:"name" json:"name"`
	// Parameters say how bad it is. Which there are depends on the kind.
	Parameters Settings `yaml:"parameters,omitempty" json:"parameters,omitempty"`
	// For says who is hit. Left out: everybody.
	For Selector `yaml:"for,omitempty" json:"for,omitzero"`
	// When says which calls are hit. Left out: all of them.
	When Limits `yaml:"when,omitempty" json:"when,omitzero"`
}

// Settings are parameters by name, each the text of a value.
type Settings map[string]string

// UnmarshalYAMLFile takes numbers and truth values for text, too.
func (s *Settings) UnmarshalYAMLFile(v yamlfile.Value) {
	if v.Node.Kind != yaml.MappingNode {
		v.Refuse("a mapping of parameters, such as {retry-after: 3s}", "", "")
		return
	}
	*s = Settings{}
	for i := 0; i+1 < len(v.Node.Content); i += 2 {
		name, value := v.Node.Content[i].Value, v.Node.Content[i+1]
		if value.Kind != yaml.ScalarNode || value.ShortTag() == "!!null" {
			v.At(name, value).Refuse("a value such as 3s or 503", "", "")
			continue
		}
		(*s)[name] = value.Value
	}
}

// Selector says who is hit: what is given must be the same as the call's. Letter
// case does not count.
type Selector struct {
	// Client is a client id, or the name of an application or managed identity.
	Client string `yaml:"client,omitempty" json:"client,omitempty"`
	// Issuer is the URL of an issuer, or the name of one that wiemu knows.
	Issuer string `yaml:"issuer,omitempty" json:"issuer,omitempty"`
	// Kid is the id of the key that signed the assertion.
	Kid string `yaml:"kid,omitempty" json:"kid,omitempty"`
	// Resource is who answers (entra, keyvault, graph, arm, imds), its host, the resource that a token is for, or the name of a vault or an application.
	Resource string `yaml:"resource,omitempty" json:"resource,omitempty"`
	// Workload is NAMESPACE/SERVICE-ACCOUNT, or the name of a component or workload.
	Workload string `yaml:"workload,omitempty" json:"workload,omitempty"`
}

// Limits say which of the calls that the selector lets through are hit.
type Limits struct {
	// Nth is the first call that is hit; 3 lets two through. Left out: 1.
	Nth int `yaml:"nth,omitempty" json:"nth,omitempty" jsonschema:"minimum=1"`
	// Every hits only every so many calls from the first on. Left out: 1.
	Every int `yaml:"every,omitempty" json:"every,omitempty" jsonschema:"minimum=1"`
	// Count is how many calls are hit, after which the fault is spent. Left out: any number.
	Count int `yaml:"count,omitempty" json:"count,omitempty" jsonschema:"minimum=1"`
	// After is the lab time between the injection and the first hit.
	After Duration `yaml:"after,omitempty" json:"after,omitzero" jsonschema:"type=string,example=10m"`
	// Until is the lab time after the injection from which nothing is hit any more.
	Until Duration `yaml:"until,omitempty" json:"until,omitzero" jsonschema:"type=string,example=1h"`
	// Probability is the share of calls that are hit, above 0 up to 1. Left out: 1.
	Probability float64 `yaml:"probability,omitempty" json:"probability,omitempty" jsonschema:"maximum=1"`
	// Seed decides which calls a probability hits: the same seed hits the same calls. Left out: the lab's.
	Seed uint64 `yaml:"seed,omitempty" json:"seed,omitempty"`
}

// Duration is a time.Duration that is text in JSON and YAML: 10m.
type Duration time.Duration

// String is the text of time.Duration.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the duration as time.ParseDuration reads it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("expected a duration such as 90s, 10m or 25h, found %q", text)
	}
	*d = Duration(parsed)
	return nil
}

// Subject is what is known about a call at the place where it may be hit.
type Subject struct {
	Client     string // client id
	Issuer     string // URL
	IssuerName string // as wiemu.yaml calls it, where that is known
	Kid        string
	Part       string // who answers: entra, keyvault, graph, arm, imds
	Host       string // that was asked
	Resource   string // that a token is for
	Workload   string // namespace/service account
}

// Active is an injected fault and how far it has got.
type Active struct {
	ID    string    `json:"id"` // f1, f2, … in the order of injection
	Fault           //
	Since time.Time `json:"since"`          // lab time of the injection
	Calls int       `json:"calls"`          // that the selector let through
	Hits  int       `json:"hits"`           // of them
	Spent bool      `json:"spent,omitzero"` // it hits no more: Count is reached
	Chaos bool      `json:"chaos,omitzero"` // it is one of those that follow from a seed
}

// Hit is one call that goes wrong.
type Hit struct {
	ID   string // of the fault
	Kind Kind
	Call int // its ordinal among the calls that the selector let through

	parameters map[string]string
}

// Name is that of the fault's kind.
func (h Hit) Name() string { return h.Kind.Name }

// Text is the value of a parameter, or its default. It panics for a parameter
// that the kind does not document, which is a mistake of the caller.
func (h Hit) Text(parameter string) string {
	p, ok := h.Kind.parameter(parameter)
	if !ok {
		panic("fault: " + h.Kind.Name + " has no parameter " + parameter)
	}
	if v, given := h.parameters[parameter]; given {
		return v
	}
	return p.Default
}

// Duration is a parameter of that type.
func (h Hit) Duration(parameter string) time.Duration {
	d, _ := time.ParseDuration(h.Text(parameter)) // checked when it was injected
	return d
}

// Int is a parameter of type Number.
func (h Hit) Int(parameter string) int {
	n, _ := strconv.Atoi(h.Text(parameter)) // checked when it was injected
	return n
}
