package control

import "time"

// Status is what a lab says of itself.
type Status struct {
	PID     int       `json:"pid"`
	Now     time.Time `json:"now"`    // lab time
	Runs    bool      `json:"runs"`   // whether lab time moves by itself
	Speed   float64   `json:"speed"`  // how many times as fast as the machine's clock; 0: it stands still
	Events  int       `json:"events"` // in the journal
	Joined  int       `json:"joined"` // programs that have been put on the lab clock, those that have ended included
	Gateway string    `json:"gateway"`
	Proxy   string    `json:"proxy"`
	Cluster string    `json:"cluster"`
	CA      string    `json:"ca"`     // PEM
	Tenant  string    `json:"tenant"` // the first

	Audience string `json:"audience"` // of service-account tokens that are exchanged

	Skews map[string]string `json:"skews,omitempty"` // by part, how far its clock is ahead of lab time: a Go duration

	Traffic Traffic        `json:"traffic"`
	Made    []MadeIdentity `json:"made,omitempty"` // at most the first hundred

	ConfigFile    string            `json:"configFile,omitempty"`    // the lab's wiemu.yaml
	Configuration map[string]string `json:"configuration,omitempty"` // a digest of what is configured, by section; nil: it is not known

	Issuers []IssuerStatus `json:"issuers"`
	Keys    []KeyStatus    `json:"keys"` // published ones, of every ring
}

// IssuerStatus is a hosted issuer.
type IssuerStatus struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// KeyStatus is a key of a ring: an issuer's by name, or entra's.
type KeyStatus struct {
	Ring  string `json:"ring"`
	ID    string `json:"kid"`
	Stage string `json:"stage"` // published, signing, retired or removed

	Unpublished bool `json:"unpublished,omitempty"` // it signs and is not in the JWKS: see fault.SignBeforePublish
}

// Traffic counts what programs have asked a lab for since it was started.
type Traffic struct {
	Requests    int64 `json:"requests"`    // at all endpoints but the control endpoint
	Connections int   `json:"connections"` // to the TLS listener; one without a request was given up, as by a client that does not trust the lab's CA
}

// Since is what has been asked for since an earlier time.
func (t Traffic) Since(earlier Traffic) Traffic {
	return Traffic{t.Requests - earlier.Requests, t.Connections - earlier.Connections}
}

// MadeIdentity is one that was made because a workload uses its client id and
// nothing describes it.
type MadeIdentity struct {
	Name          string `json:"name"`
	ClientID      string `json:"clientId"`
	Kind          string `json:"kind"`          // see directory.Kind
	TokenLifetime int    `json:"tokenLifetime"` // of its access tokens, in seconds
}
