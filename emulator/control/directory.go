package control

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
)

// DirectoryChange asks for one change of what the directory says about an
// identity, as its owners would make it. It has exactly one of the fields below
// the first two.
type DirectoryChange struct {
	Tenant   string `json:"tenant,omitempty"` // id or domain; "": the first one that knows the identity
	Identity string `json:"identity"`         // client id, or the name of an application or managed identity

	FederatedCredential       *directory.FederatedCredential `json:"federatedCredential,omitempty"`       // changes the one with its name, or the only one; what is empty stays
	AddFederatedCredential    *directory.FederatedCredential `json:"addFederatedCredential,omitempty"`    // without an audience: Entra ID's
	RemoveFederatedCredential string                         `json:"removeFederatedCredential,omitempty"` // by its name
	Disabled                  *bool                          `json:"disabled,omitempty"`                  // whether it may not sign in
	Deleted                   bool                           `json:"deleted,omitempty"`                   // whether it is gone
}

// Changed is what a directory change was made to.
type Changed struct {
	Tenant   string `json:"tenant"`
	ClientID string `json:"clientId"`
	Summary  string `json:"summary"` // of the change, as the journal has it
}

// ChangeDirectory changes what the directory says about an identity.
func (c *Client) ChangeDirectory(ctx context.Context, change DirectoryChange) (Changed, error) {
	var changed Changed
	return changed, c.Do(ctx, http.MethodPost, "/v1/directory", change, &changed)
}

func (s *Server) changeDirectory(r *http.Request) (any, error) {
	var c DirectoryChange
	if err := Decode(r, &c); err != nil {
		return nil, err
	}
	p, tenant, err := s.identity(c.Tenant, c.Identity)
	if err != nil {
		return nil, err
	}
	summary, err := c.make(s.lab.Directory, tenant, p.ClientID)
	if err != nil {
		return nil, err
	}
	changed := Changed{Tenant: tenant, ClientID: p.ClientID, Summary: p.DisplayName + " " + summary}
	s.lab.Journal.Record(journal.Event{
		Kind: journal.Directory, Outcome: journal.OK, Tenant: tenant, ClientID: p.ClientID, Identity: p.DisplayName, Summary: changed.Summary,
	})
	return changed, nil
}

// identity finds who is called by a client id or name, in one tenant or in any.
func (s *Server) identity(tenant, name string) (*directory.Principal, string, error) {
	tenants := s.lab.Directory.Tenants()
	if tenant != "" {
		named, known := s.lab.Directory.Tenant(tenant)
		if !known {
			return nil, "", &StatusError{Status: http.StatusNotFound, Err: fmt.Errorf("tenant %q: expected the id or a domain of a tenant", tenant), Field: "tenant"}
		}
		tenants = []directory.Tenant{named}
	}
	for _, t := range tenants {
		for _, p := range s.lab.Directory.Principals(t.ID) {
			if p.DisplayName == name || strings.EqualFold(p.ClientID, name) {
				return p, t.ID, nil
			}
		}
	}
	return nil, "", &StatusError{Status: http.StatusNotFound, Err: fmt.Errorf("no tenant has an identity %q any more", name)}
}

// make makes the change, and says what it is.
func (c DirectoryChange) make(d *directory.Directory, tenant, clientID string) (summary string, err error) {
	var changes []func() error
	to := func(words string, f func(*directory.Principal) error) {
		summary = words
		changes = append(changes, func() error { return d.Update(tenant, clientID, f) })
	}
	if c.Deleted {
		summary = "is deleted"
		changes = append(changes, func() error { return d.Remove(tenant, clientID) })
	}
	if c.Disabled != nil {
		to(fmt.Sprintf("has disabled set to %v", *c.Disabled), func(p *directory.Principal) error { p.Disabled = *c.Disabled; return nil })
	}
	if c.FederatedCredential != nil {
		to("has a federated credential changed", c.changeCredential)
	}
	if added := c.AddFederatedCredential; added != nil {
		to("has federated credential "+added.Name+" added", func(p *directory.Principal) error {
			f := *added
			f.Audience = cmp.Or(f.Audience, directory.DefaultAudience)
			p.FederatedCredentials = append(p.FederatedCredentials, f)
			return nil
		})
	}
	if name := c.RemoveFederatedCredential; name != "" {
		to("has federated credential "+name+" removed", func(p *directory.Principal) error {
			i, err := credential(p, name)
			if err == nil {
				p.FederatedCredentials = slices.Delete(p.FederatedCredentials, i, i+1)
			}
			return err
		})
	}
	if len(changes) != 1 {
		return "", fmt.Errorf("expected exactly one of federatedCredential, addFederatedCredential, removeFederatedCredential, disabled and deleted, found %d", len(changes))
	}
	return summary, changes[0]()
}

func (c DirectoryChange) changeCredential(p *directory.Principal) error {
	i, err := credential(p, c.FederatedCredential.Name)
	if err != nil {
		return err
	}
	f, to := &p.FederatedCredentials[i], c.FederatedCredential
	f.Issuer, f.Subject, f.Audience = cmp.Or(to.Issuer, f.Issuer), cmp.Or(to.Subject, f.Subject), cmp.Or(to.Audience, f.Audience)
	return nil
}

// credential finds a federated credential by name, or the only one.
func credential(p *directory.Principal, name string) (int, error) {
	var names []string
	for i, f := range p.FederatedCredentials {
		if f.Name == name {
			return i, nil
		}
		names = append(names, f.Name)
	}
	if name == "" && len(names) == 1 {
		return 0, nil
	}
	if name == "" {
		return 0, fmt.Errorf("expected one federated credential, found %d (%s); say which by its name", len(names), strings.Join(names, ", "))
	}
	return 0, fmt.Errorf("federated credential: expected one of %s, found %q", strings.Join(names, ", "), name)
}
