// Package preflight compares the trust that workloads need with the trust that a
// directory has, before anything is deployed: what is missing or wrong, why, and
// the az command that mends it. It asks no network; the directory is a wiemu.yaml
// or what az exported of a real one.
//
//	demand, err := preflight.ReadDemand([]string{"radixconfig.yaml"}, preflight.DemandOptions{})
//	entra, err := preflight.ReadDirectory([]string{"azure/"})
//	report := preflight.Check(demand.Workloads, entra, preflight.Options{Issuers: issuers})
package preflight

import (
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness/workload"
)

// Workload is who will ask for a token.
type Workload struct {
	workload.Workload
	Tenant   string   // id or domain that it will ask; "": not said
	Issuers  []string // URLs of its cluster's issuers; empty: those of [Options]
	Audience string   // of its token; "": workload.Audience
	Place    string   // FILE or FILE:LINE

	// Findings are what its own files have wrong.
	Findings []Finding
}

// Severity says whether a finding stops a workload.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // the workload gets no token
	Warning Severity = "warning" // it works, or nobody can tell from here
)

// Kind says what a finding is about.
type Kind string

// The kinds of finding.
const (
	Untrusted      Kind = "untrusted"           // no federated credential at all
	SecondIssuer   Kind = "second issuer"       // one issuer of a migration is trusted, another is not
	Issuer         Kind = "issuer"              // no federated credential names the issuer
	Subject        Kind = "subject"             // namespace or service account
	Audience       Kind = "audience"            //
	Limit          Kind = "limit"               // 20 federated credentials for an identity
	UnknownClient  Kind = "unknown client id"   //
	WrongTenant    Kind = "tenant"              //
	Disabled       Kind = "disabled"            //
	NotExported    Kind = "not exported"        // the directory is silent about the identity's federated credentials
	Flexible       Kind = "flexible credential" // an expression, which Entra ID takes for no cluster's issuer
	Orphan         Kind = "orphan"              // trust that nobody uses
	Label          Kind = "label"               // the webhook passes the pod over
	Annotation     Kind = "annotation"          // of the service account
	ServiceAccount Kind = "service account"     //
	Expiration     Kind = "expiration"          // of the projected token
	NotInFiles     Kind = "not in the files"    // where the client id comes from
	ProxySidecar   Kind = "proxy sidecar"       //
)

// Finding is one thing that is missing or wrong.
type Finding struct {
	Severity Severity `json:"severity"`
	Kind     Kind     `json:"kind"`
	Code     int      `json:"code,omitempty"` // AADSTS, with which the workload would fail
	Text     string   `json:"text"`

	// Credential is the federated credential it is about, or the nearest one,
	// and Differences what of it is not as the workload's token will be.
	Credential  string               `json:"credential,omitempty"`
	Differences []journal.Difference `json:"differences,omitempty"`

	Fix     string `json:"fix,omitempty"`     // for a person
	Command string `json:"command,omitempty"` // for a POSIX shell
}

// Report is the result of a check, in the order of the workloads.
type Report struct {
	Workloads  []Verdict  `json:"workloads"`
	Identities []Identity `json:"identities"` // those with findings that are no single workload's
	Errors     int        `json:"errors"`
	Warnings   int        `json:"warnings"`
}

// Verdict is what was found about a workload.
type Verdict struct {
	Name           string    `json:"name"`
	Namespace      string    `json:"namespace"`
	ServiceAccount string    `json:"serviceAccount"`
	ClientID       string    `json:"clientId,omitempty"`
	Subject        string    `json:"subject"`
	Place          string    `json:"place,omitempty"`
	Trusted        []Trusted `json:"trusted"`
	Findings       []Finding `json:"findings"`
}

// Trusted is a federated credential that matches the workload's tokens.
type Trusted struct {
	Issuer     string `json:"issuer"`
	Credential string `json:"credential"`
}

// Identity is what was found about an application or managed identity.
type Identity struct {
	ClientID string    `json:"clientId"`
	Name     string    `json:"name,omitempty"`
	Findings []Finding `json:"findings"`
}
