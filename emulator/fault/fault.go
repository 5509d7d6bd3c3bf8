// Package fault describes what can go wrong in a lab on purpose: a [Fault] names one of
// the [Kinds], which calls it is for and when it hits them. It is data: it can be written
// as one word, such as throttled,retry-after=3s,for.client=web,when.count=2 (see [Parse] and its
// example), in wiemu.yaml and as JSON.
//
// Whether a call is hit depends on nothing but the calls before it, lab time and a seed,
// so the same calls with the same seed are hit again.
package fault

import (
	"fmt"
	"time"
)

// Fault is one thing that goes wrong on purpose.
type Fault struct {
	// Name is that of a kind of fault; wiemu fault list shows them.
	Name string `yaml:"name" json:"name"`
	// Parameters are the settings of the kind, by name.
	Parameters Settings `yaml:"parameters,omitempty" json:"parameters,omitempty" yamlfile:"scalars"`
	// For says which calls it can hit. Default: all of them.
	For Selector `yaml:"for,omitempty" json:"for,omitzero"`
	// When says which of those calls it hits. Default: all of them.
	When Limits `yaml:"when,omitempty" json:"when,omitzero"`
}

// Settings are the values of parameters as text, by the name of the parameter.
type Settings map[string]string

// Selector selects calls: every field that is not empty must be the same as the call's,
// ignoring case.
type Selector struct {
	// Client is a client id, or the name of an application or managed identity.
	Client string `yaml:"client,omitempty" json:"client,omitempty"`
	// Issuer is the URL of an issuer, or the name of one that wiemu knows.
	Issuer string `yaml:"issuer,omitempty" json:"issuer,omitempty"`
	// Kid is the id of the key that signed the assertion.
	Kid string `yaml:"kid,omitempty" json:"kid,omitempty"`
	// Resource is who answers (entra, keyvault, graph, arm, storage, sql, redis, postgres, imds), its host, the resource that a token is for, or the name of a vault, a storage account, a SQL server, a cache, a PostgreSQL server or an application.
	Resource string `yaml:"resource,omitempty" json:"resource,omitempty"`
	// Workload is NAMESPACE/SERVICE-ACCOUNT, or the name of a component or workload.
	Workload string `yaml:"workload,omitempty" json:"workload,omitempty"`
}

// Limits say which of the selected calls are hit.
type Limits struct {
	// Nth is the first call that is hit; 3 lets two through. Default: 1.
	Nth int `yaml:"nth,omitempty" json:"nth,omitempty" jsonschema:"minimum=1"`
	// Every hits only every so many calls from the first on. Default: 1.
	Every int `yaml:"every,omitempty" json:"every,omitempty" jsonschema:"minimum=1"`
	// Count is how many calls are hit, after which the fault is spent. Default: any number.
	Count int `yaml:"count,omitempty" json:"count,omitempty" jsonschema:"minimum=1"`
	// After is the lab time between the injection and the first hit.
	After Duration `yaml:"after,omitempty" json:"after,omitzero" jsonschema:"type=string,example=10m"`
	// Until is the lab time after the injection from which nothing is hit any more.
	Until Duration `yaml:"until,omitempty" json:"until,omitzero" jsonschema:"type=string,example=1h"`
	// Probability is the share of calls that are hit, above 0 up to 1. Default: 1.
	Probability float64 `yaml:"probability,omitempty" json:"probability,omitempty" jsonschema:"maximum=1"`
	// Seed decides which calls a probability hits: the same seed hits the same calls. Default: the lab's.
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

// Active is an injected fault with its counts.
type Active struct {
	ID    string    `json:"id"` // f1, f2, … in the order of injection
	Fault           // what was injected
	Since time.Time `json:"since"`          // lab time of the injection
	Calls int       `json:"calls"`          // how many calls were selected
	Hits  int       `json:"hits"`           // how many of them were hit
	Spent bool      `json:"spent,omitzero"` // it hits no more: Count is reached
	Chaos bool      `json:"chaos,omitzero"` // it was injected by a seed of chaos
}

// MissReason says of a fault that has hit nothing why that is.
func (a Active) MissReason() string {
	why := "there was no call that it is for"
	switch {
	case a.Calls == 1:
		why = "there was 1 call that it is for, which it let through"
	case a.Calls > 1:
		why = fmt.Sprintf("there were %d calls that it is for, all of which it let through", a.Calls)
	}
	return fmt.Sprintf("fault %s hit nothing: %s; %s", a.ID, a.Fault, why)
}
