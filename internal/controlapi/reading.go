package controlapi

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/entra/aadsts"
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/inventory"
)

// handleReading adds what tells about the lab and changes nothing.
func (s *Server) handleReading() {
	s.Handle(http.MethodGet, "/v1/directory", s.identities)
	s.Handle(http.MethodGet, inventory.Path, func(*http.Request) (any, error) { return inventory.Of(s.lab) })
	s.Handle(http.MethodGet, "/v1/events/{id}", s.explain)
	s.Handle(http.MethodGet, "/v1/errors", func(*http.Request) (any, error) { return aadsts.Catalogue(), nil })
	s.Handle(http.MethodGet, "/v1/faults/kinds", func(*http.Request) (any, error) { return fault.Kinds(), nil })
	s.Handle(http.MethodGet, "/v1/resources", s.resources)
	s.Handle(http.MethodPost, "/v1/resources/secret", withBody(s.revealSecret))
	s.Handle(http.MethodPost, "/v1/tokens/inspect", withBody(s.inspect))
}

// Explained says why an event ended as it did.
type Explained struct {
	Event     journal.Event   `json:"event"`
	Diagnosis string          `json:"diagnosis,omitempty"` // of a refusal or failure, in one sentence
	Chain     []journal.Event `json:"chain"`               // the events about the same token, oldest first
}

func (s *Server) explain(r *http.Request) (any, error) {
	id := mux.Vars(r)["id"]
	all := s.lab.Journal().Events()
	i := slices.IndexFunc(all, func(e journal.Event) bool { return e.Matches(id) })
	if i < 0 {
		return nil, &control.StatusError{Status: http.StatusNotFound, Err: fmt.Errorf("event %q: expected the id of an event, or a trace id, correlation id, jti or uti, found none with it; the lab has kept the newest %d", id, len(all))}
	}
	return Explained{all[i], explain.Diagnosis(all[i], all), explain.Chain(all[i], all)}, nil
}

// Tenant is a tenant with who exists in it.
type Tenant struct {
	ID          string     `json:"id"`
	DisplayName string     `json:"displayName,omitempty"`
	Domains     []string   `json:"domains,omitempty"`
	Identities  []Identity `json:"identities"`
}

// Identity is an app registration or a managed identity, without what is secret.
type Identity struct {
	Kind       directory.Kind `json:"kind"`
	Name       string         `json:"name"`
	ClientID   string         `json:"clientId"`
	ObjectID   string         `json:"objectId"`
	ResourceID string         `json:"resourceId,omitempty"`
	Disabled   bool           `json:"disabled,omitempty"`

	FederatedCredentials []directory.FederatedCredential `json:"federatedCredentials"`
	Secrets              []Secret                        `json:"secrets,omitempty"`
	Certificates         []Certificate                   `json:"certificates,omitempty"`
}

// Secret is a client secret without its value.
type Secret struct {
	ID          string    `json:"id"`
	DisplayName string    `json:"displayName,omitempty"`
	Hint        string    `json:"hint"` // its first three characters
	Start       time.Time `json:"start,omitzero"`
	End         time.Time `json:"end,omitzero"`
}

// Certificate is what the portal shows of a certificate.
type Certificate struct {
	ID         string    `json:"id"`
	Subject    string    `json:"subject"`
	Thumbprint string    `json:"thumbprint"` // SHA-256, hexadecimal
	Start      time.Time `json:"start,omitzero"`
	End        time.Time `json:"end,omitzero"`
}

func (s *Server) identities(*http.Request) (any, error) {
	all := []Tenant{}
	for _, t := range s.lab.Directory().Tenants() {
		shown := Tenant{ID: t.ID, DisplayName: t.DisplayName, Domains: t.Domains, Identities: []Identity{}}
		for _, p := range s.lab.Directory().Principals(t.ID) {
			shown.Identities = append(shown.Identities, identityOf(p))
		}
		all = append(all, shown)
	}
	return all, nil
}

func identityOf(p *directory.Principal) Identity {
	i := Identity{
		Kind: p.Kind, Name: cmp.Or(p.DisplayName, p.ClientID), ClientID: p.ClientID, ObjectID: p.ObjectID, ResourceID: p.ResourceID, Disabled: p.Disabled,
		FederatedCredentials: append([]directory.FederatedCredential{}, p.FederatedCredentials...),
	}
	for _, secret := range p.Secrets {
		i.Secrets = append(i.Secrets, Secret{secret.ID, secret.DisplayName, hint(secret.Value), secret.Start, secret.End})
	}
	for _, c := range p.Certificates {
		sum := sha256.Sum256(c.DER)
		shown := Certificate{ID: c.ID, Thumbprint: strings.ToUpper(hex.EncodeToString(sum[:])), Start: c.Start, End: c.End}
		if parsed, err := x509.ParseCertificate(c.DER); err == nil {
			shown.Subject = parsed.Subject.String()
		}
		i.Certificates = append(i.Certificates, shown)
	}
	return i
}

// hint is what Microsoft Graph tells of a secret that exists: its first three characters. Of one
// so short that they would give it away it is nothing.
// Source: microsoft-graph-docs, resources/passwordcredential.md.
func hint(secret string) string {
	if len(secret) < 12 {
		return ""
	}
	return secret[:3]
}
