// Package webhook changes pods as azure-workload-identity's mutating webhook
// does, and gives those that it changes the way to the emulated hosts: whom to
// trust, and where the names lead. [Mutate] is the whole of it as a function;
// [Server] answers a cluster's API server with it. Who is trusted in Azure is
// decided by whoever is given to the server, see harness.Lab.Admit.
package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/wiemu/wiemu/emulator/trust"
)

// What azure-workload-identity looks at.
// Source: azure-workload-identity, pkg/webhook/consts.go.
const (
	UseLabel             = "azure.workload.identity/use" // of a pod: "true"
	ClientIDAnnotation   = "azure.workload.identity/client-id"
	TenantIDAnnotation   = "azure.workload.identity/tenant-id"
	ExpirationAnnotation = "azure.workload.identity/service-account-token-expiration" // seconds, of a pod or of its service account
	SkipAnnotation       = "azure.workload.identity/skip-containers"                  // of a pod: names, separated by semicolons
	SidecarAnnotation    = "azure.workload.identity/inject-proxy-sidecar"             // of a pod: any value
	PortAnnotation       = "azure.workload.identity/proxy-sidecar-port"               // of a pod
	BindingAnnotation    = "azure.workload.identity/use-identity-binding"             // of a pod: AKS's, "true" in any case
)

// InjectAnnotation is our own: a pod where it is "false" is left as it is.
const InjectAnnotation = "dev.wiemu/inject"

// Settings say what pods are given. The zero value gives them nothing.
type Settings struct {
	Identity *Identity // what azure-workload-identity gives them. nil: another webhook does
	Way      *Way      // the way to the emulated hosts. nil: their own
}

// Identity is what azure-workload-identity's webhook is told when it starts.
type Identity struct {
	Layout        Layout
	Tenant        string // of pods whose service account names none
	AuthorityHost string // AZURE_AUTHORITY_HOST
	Audience      string // of the projected token
	Sidecar       Sidecar
	Binding       *Binding // nil: the annotation is not known, as where AKS's add-on is not
}

// Way is how pods come to the emulated hosts.
type Way struct {
	Address netip.Addr // of the gateway, on port 443
	Hosts   []string   // that lead there
	Bundle  trust.Bundle
}

// ServiceAccount is what a pod runs under.
type ServiceAccount struct {
	Namespace, Name string
	Annotations     map[string]string
}

// Mutation is what becomes of a pod.
type Mutation struct {
	Pod                 json.RawMessage // changed; fields that are not known here are kept
	Patch               []Operation     // the same as a JSON patch; empty: nothing changed
	Injected            []string        // what was put where, for people
	Warnings            []string        // what its owner should know, for kubectl to print
	HasIdentity, HasWay bool            // which of the settings it was given

	ClientID string // of the service account, for events
	TenantID string
}

// String says in a few words what a pod was given.
func (m Mutation) String() string {
	switch {
	case m.HasIdentity && m.HasWay:
		return "made with an identity and the way to the emulated hosts"
	case m.HasIdentity:
		return "made with an identity"
	case m.HasWay:
		return "made with the way to the emulated hosts"
	}
	return "made as it is"
}

// Denial is why a pod may not be made. Its text is azure-workload-identity's,
// where that would refuse the pod, too.
type Denial struct {
	Text   string
	Remedy string
	Plain  string // Text as a person would say it; "": as it is
}

func (d *Denial) Error() string { return d.Text }

// Mutate returns the pod as it is to be made. The error is a *Denial when the
// pod cannot be made like this, and another one when it is no pod. Doing it twice
// is doing it once. Whether the pod has the label is for the caller to know, as
// it is for an API server.
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
	result := Mutation{Patch: diff(nil, "", map[string]any(before), map[string]any(after)), Injected: m.injected, Warnings: m.warnings, HasIdentity: m.hasIdentity, HasWay: m.hasWay, ClientID: account.Annotations[ClientIDAnnotation], TenantID: m.tenant()}
	if result.Pod, err = encode(after); err != nil {
		return Mutation{}, fmt.Errorf("encode the pod: %w", err)
	}
	return result, nil
}

// mutation is a pod while it is changed.
type mutation struct {
	*pod
	account  ServiceAccount
	settings Settings

	injected, warnings  []string
	hasIdentity, hasWay bool
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
	if m.settings.Way != nil {
		m.way(*m.settings.Way)
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
	if tenant, named := m.account.Annotations[TenantIDAnnotation]; named {
		return tenant
	}
	if m.settings.Identity != nil {
		return m.settings.Identity.Tenant
	}
	return ""
}

// encode writes JSON as it is, without escapes for HTML.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// names joins the names of containers.
func names(containers []*container) string {
	var all []string
	for _, c := range containers {
		all = append(all, c.name)
	}
	return strings.Join(all, ", ")
}
