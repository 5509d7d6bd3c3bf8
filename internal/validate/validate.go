// Package validate compares the trust that workloads need with the trust that a
// directory has, before anything is deployed: what is missing or wrong, why, and
// the az command that fixes it. It makes no network requests; the directory is a
// wiemu.yaml, or what az printed of a real one.
//
//	demand, err := validate.ReadDemand([]string{"radixconfig.yaml"}, validate.DemandOptions{})
//	entra, err := validate.ReadDirectory([]string{"azure/"})
//	report := validate.Check(demand.Workloads, entra, validate.Options{Issuers: issuers})
package validate

import (
	"fmt"
	"io"
	"strings"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/workload"
)

// Workload is a workload that will ask for a token, with what its own files have wrong.
type Workload struct {
	workload.Spec
	Issuers []string // URLs of its cluster's issuers. If empty, those of [Options]
	Place   string   // FILE or FILE:LINE

	// Findings are what its own files have wrong.
	Findings []Finding
}

// Severity says whether a finding stops a workload.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // the workload gets no token
	Warning Severity = "warning" // it works, or the files do not show whether it does
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
	NotExported    Kind = "not exported"        // the files lack the identity's federated credentials
	Flexible       Kind = "flexible credential" // an expression, which Entra ID does not allow for issuers of clusters
	Orphan         Kind = "orphan"              // a federated credential that no workload uses
	Label          Kind = "label"               // the webhook ignores the pod
	Annotation     Kind = "annotation"          // of the service account
	ServiceAccount Kind = "service account"     //
	Expiration     Kind = "expiration"          // of the projected token
	NotInFiles     Kind = "not in the files"    // where the client id comes from
	ProxySidecar   Kind = "proxy sidecar"       //

	// Of a plan.
	KnownAfterApply Kind = "known after apply" // it cannot be checked before it is made
	Deleted         Kind = "deleted"           // the plan deletes the identity
	RoleAssignment  Kind = "role assignment"   // to what is no principal
	Concurrent      Kind = "concurrent writes" // of federated credentials, which Azure refuses
)

// Finding is one thing that is missing or wrong.
type Finding struct {
	Severity Severity `json:"severity"`
	Kind     Kind     `json:"kind"`
	Code     int      `json:"code,omitempty"` // AADSTS, with which the workload would fail
	Text     string   `json:"text"`

	// Credential is the federated credential that the finding is about, or the nearest one.
	// Differences are its fields that do not match the workload's token.
	Credential  string               `json:"credential,omitempty"`
	Differences []journal.Difference `json:"differences,omitempty"`

	Fix     string `json:"fix,omitempty"`     // for a person
	Command string `json:"command,omitempty"` // for a POSIX shell
}

// Report is the result of a check, in the order of the workloads.
type Report struct {
	Workloads  []Verdict  `json:"workloads"`
	Identities []Identity `json:"identities"`       // those with findings that concern no single workload
	Trusts     []Trust    `json:"trusts,omitempty"` // that a plan would make or delete
	Errors     int        `json:"errors"`
	Warnings   int        `json:"warnings"`
}

// Verdict is the result for a workload.
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

// Identity is the result for an application or managed identity.
type Identity struct {
	ClientID string    `json:"clientId"`
	Name     string    `json:"name,omitempty"`
	Findings []Finding `json:"findings"`
}

// Write writes the report as text.
func (r Report) Write(w io.Writer) error {
	var b strings.Builder
	for _, t := range r.Trusts {
		mark := map[string]string{"make": "+", "delete": "-"}[t.Change]
		fmt.Fprintf(&b, "%s %s trusts %s of %s  (%s)\n", mark, t.Identity, t.Subject, t.Issuer, t.Place)
	}
	if len(r.Trusts) > 0 {
		b.WriteString("\n")
	}
	for _, v := range r.Workloads {
		fmt.Fprintf(&b, "%s  %s/%s", v.Name, v.Namespace, v.ServiceAccount)
		if v.ClientID != "" {
			fmt.Fprintf(&b, "  client id %s", v.ClientID)
		}
		if v.Place != "" {
			fmt.Fprintf(&b, "  (%s)", v.Place)
		}
		b.WriteString("\n")
		for _, t := range v.Trusted {
			fmt.Fprintf(&b, "  ✓ %s trusts %s\n", t.Credential, t.Issuer)
		}
		writeFindings(&b, v.Findings)
		b.WriteString("\n")
	}
	for _, i := range r.Identities {
		name := i.Name
		if i.ClientID != "" {
			name = strings.TrimSpace("client id " + i.ClientID + "  " + i.Name)
		}
		fmt.Fprintf(&b, "%s\n", name)
		writeFindings(&b, i.Findings)
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%s, %s in %s\n", counted(r.Errors, "error"), counted(r.Warnings, "warning"), counted(len(r.Workloads), "workload"))
	_, err := io.WriteString(w, b.String())
	return err
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func writeFindings(b *strings.Builder, findings []Finding) {
	for _, f := range findings {
		mark, code := "✗", ""
		if f.Severity == Warning {
			mark = "!"
		}
		if f.Code != 0 {
			code = fmt.Sprintf(" (AADSTS%d)", f.Code)
		}
		fmt.Fprintf(b, "  %s %s: %s%s\n", mark, f.Kind, f.Text, code)
		if len(f.Differences) > 0 {
			fmt.Fprintf(b, "      nearest    %s\n", f.Credential)
		}
		for _, d := range f.Differences {
			fmt.Fprintf(b, "      %s differs (%s)\n        directory  %s\n        token      %s\n        why        %s\n", d.Field, d.Kind, d.Expected, d.Presented, d.Fix)
		}
		if f.Fix != "" {
			fmt.Fprintf(b, "      fix        %s\n", f.Fix)
		}
		if f.Command != "" {
			fmt.Fprintf(b, "\n%s\n\n", indented(f.Command))
		}
	}
}

// indented indents a command so that all its lines can be pasted.
func indented(command string) string { return "  " + strings.ReplaceAll(command, "\n", "\n  ") }
