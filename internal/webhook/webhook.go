// Package webhook changes pods as azure-workload-identity's mutating webhook does, and leads
// the changed pods to the emulated hosts: it adds their names and their CA. [Mutate] does it
// as a function; [Server] does it for a cluster's API server. Which identity trusts a pod is
// decided by [Config.Admit].
package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/ca"
)

// InjectAnnotation is wiemu's own: a pod where it is "false" is not changed.
const InjectAnnotation = "dev.wiemu/inject"

// Settings say what is added to pods. The zero value adds nothing.
type Settings struct {
	Identity    *IdentitySettings // what azure-workload-identity adds. If nil, another webhook does
	HostRouting *HostRouting      // how they reach the emulated hosts. If nil, they reach the real ones
}

// IdentitySettings are the settings of azure-workload-identity's webhook.
type IdentitySettings struct {
	Layout        Layout
	Tenant        string // of pods whose service account names none
	AuthorityHost string // AZURE_AUTHORITY_HOST
	Audience      string // of the projected token
	Sidecar       Sidecar
	Binding       *Binding // If nil, the annotation has no effect, as without AKS's add-on
}

// HostRouting says how pods reach the emulated hosts.
type HostRouting struct {
	Address netip.Addr // of the gateway, on port 443
	Hosts   []string   // that lead there
	Bundle  ca.Bundle
}

// ServiceAccount is the service account of a pod.
type ServiceAccount struct {
	Namespace, Name string
	Annotations     map[string]string
}

// Mutation is the result of changing a pod.
type Mutation struct {
	Pod                         json.RawMessage // changed; unknown fields are preserved
	Patch                       []Operation     // the same as a JSON patch; empty if nothing changed
	Injected                    []string        // what was put where, for people
	Warnings                    []string        // what its owner should know, for kubectl to print
	HasIdentity, HasHostRouting bool            // which of the settings it got

	ClientID string // of the service account, for events
	TenantID string
}

// String returns a summary of what was added to a pod.
func (m Mutation) String() string {
	switch {
	case m.HasIdentity && m.HasHostRouting:
		return "made with an identity and the way to the emulated hosts"
	case m.HasIdentity:
		return "made with an identity"
	case m.HasHostRouting:
		return "made with the way to the emulated hosts"
	}
	return "made as it is"
}

// Denial is the reason why a pod is denied. Its text is azure-workload-identity's,
// where that would refuse the pod, too.
type Denial struct {
	Text   string
	Remedy string
	Plain  string // Text in plain words. If empty, Text itself
}

func (d *Denial) Error() string { return d.Text }

// Mutate returns the pod as it is to be made. The error is a *Denial when the pod cannot be made
// like this, and another one when it is no pod. Doing it twice is doing it once. Whether the pod
// has the label is for the caller to know, as it is for an API server.
func Mutate(pod []byte, account ServiceAccount, s Settings) (Mutation, error) {
	p, err := parse(pod)
	if err != nil {
		return Mutation{}, err
	}
	before, err := decode(pod)
	if err != nil {
		return Mutation{}, err
	}
	m := mutation{pod: p, account: account, settings: s}
	if err := m.run(); err != nil {
		return Mutation{}, err
	}
	after := p.render()
	result := Mutation{Patch: diff(nil, "", map[string]any(before), map[string]any(after)), Injected: m.injected, Warnings: m.warnings, HasIdentity: m.hasIdentity, HasHostRouting: m.hasHostRouting, ClientID: account.Annotations[azwi.ClientIDAnnotation], TenantID: m.tenant()}
	if result.Pod, err = Encode(after); err != nil {
		return Mutation{}, fmt.Errorf("encode the pod: %w", err)
	}
	return result, nil
}

type mutation struct {
	*pod
	account  ServiceAccount
	settings Settings

	injected, warnings          []string
	hasIdentity, hasHostRouting bool
}

func (m *mutation) run() error {
	switch value, asked := m.annotations[InjectAnnotation]; {
	case !asked || value == "true":
	case value == "false":
		return nil
	default:
		return &Denial{
			Text:   fmt.Sprintf("annotation %s: expected \"true\" or \"false\", found %q", InjectAnnotation, value),
			Remedy: "Write \"false\" and the pod is left as it is, or remove the annotation.",
		}
	}
	if m.settings.Identity != nil {
		if err := m.identity(*m.settings.Identity); err != nil {
			return err
		}
	}
	if m.settings.HostRouting != nil {
		m.routeHosts(*m.settings.HostRouting)
	}
	return nil
}

func (m *mutation) tell(format string, args ...any) {
	m.injected = append(m.injected, fmt.Sprintf(format, args...))
}

func (m *mutation) warn(format string, args ...any) {
	m.warnings = append(m.warnings, fmt.Sprintf(format, args...))
}

// tenant is the service account's, even an empty one, else the cluster's.
// Source: azure-workload-identity, pkg/webhook/webhook.go, getTenantID.
func (m *mutation) tenant() string {
	if tenant, named := m.account.Annotations[azwi.TenantIDAnnotation]; named {
		return tenant
	}
	if m.settings.Identity != nil {
		return m.settings.Identity.Tenant
	}
	return ""
}

// Encode writes JSON as it is, without escapes for HTML.
func Encode(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func names(containers []*container) string {
	var all []string
	for _, c := range containers {
		all = append(all, c.name)
	}
	return strings.Join(all, ", ")
}
