package controlapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

func (s *Server) changeDirectory(_ *http.Request, c control.DirectoryChange) (any, error) {
	p, tenant, err := s.identity(c.Tenant, c.Identity)
	if err != nil {
		return nil, err
	}
	summary, err := s.change(c, tenant, p.ClientID)
	if err != nil {
		return nil, err
	}
	changed := control.Changed{Tenant: tenant, ClientID: p.ClientID, Summary: p.DisplayName + " " + summary}
	s.lab.Journal().Record(journal.Event{
		Kind: journal.Directory, Outcome: journal.OK, Tenant: tenant, ClientID: p.ClientID, Identity: p.DisplayName, Summary: changed.Summary,
	})
	return changed, nil
}

// identity finds who is called by a client id or name, in one tenant or in any.
func (s *Server) identity(tenant, name string) (*directory.Principal, string, error) {
	tenants := s.lab.Directory().Tenants()
	if tenant != "" {
		named, known := s.lab.Directory().Tenant(tenant)
		if !known {
			return nil, "", unknownTenant(tenant)
		}
		tenants = []directory.Tenant{named}
	}
	used := map[string]*directory.Principal{} // by workloads of this name, by tenant
	for _, t := range tenants {
		for _, p := range s.lab.Directory().Principals(t.ID) {
			if p.DisplayName == name || strings.EqualFold(p.ClientID, name) {
				return p, t.ID, nil
			}
			if slices.Contains(s.lab.ClientNames(p.ClientID), name) {
				used[t.ID+" "+p.ClientID] = p
			}
		}
	}
	for key, p := range used {
		if tenant, _, _ := strings.Cut(key, " "); len(used) == 1 {
			return p, tenant, nil
		}
	}
	if len(used) > 1 {
		return nil, "", &control.StatusError{Status: http.StatusConflict, Err: fmt.Errorf("identity %q: expected the name of one, found a name of workloads with %d identities; write the client id", name, len(used))}
	}
	return nil, "", &control.StatusError{Status: http.StatusNotFound, Err: fmt.Errorf("no tenant has an identity %q any more%s", name, yamlfile.DidYouMeanAside(name, s.lab.KnownClients()))}
}

func unknownTenant(tenant string) error {
	return &control.StatusError{Status: http.StatusNotFound, Err: fmt.Errorf("tenant %q: expected the id or a domain of a tenant", tenant), Field: "tenant"}
}

func (s *Server) change(c control.DirectoryChange, tenant, clientID string) (summary string, err error) {
	d := s.lab.Directory()
	var changes []func() error
	to := func(words string, f func(*directory.Principal) error) {
		summary = words
		changes = append(changes, func() error { return d.Update(tenant, clientID, f) })
	}
	if c.Deleted {
		summary = "is deleted"
		changes = append(changes, func() error { return d.Remove(tenant, clientID) })
	}
	if c.Revoked {
		summary = s.revocation(c.Everywhere, tenant, clientID)
		changes = append(changes, func() error { return d.Revoke(tenant, clientID, s.lab.Clock().Now(), c.Everywhere) })
	}
	if c.Disabled != nil {
		to(fmt.Sprintf("has disabled set to %v", *c.Disabled), func(p *directory.Principal) error { p.Disabled = *c.Disabled; return nil })
	}
	if c.FederatedCredential != nil {
		to("has a federated credential changed", func(p *directory.Principal) error { return changeCredential(p, c.FederatedCredential) })
	}
	if added := c.AddFederatedCredential; added != nil {
		to("has federated credential "+added.Name+" added", func(p *directory.Principal) error {
			f := *added
			f.Audience = cmp.Or(f.Audience, s.lab.Cloud().TokenExchange)
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
		return "", fmt.Errorf("expected exactly one of federatedCredential, addFederatedCredential, removeFederatedCredential, disabled, deleted and revoked, found %d", len(changes))
	}
	if c.Everywhere && !c.Revoked {
		return "", errors.New("everywhere: expected revoked beside it")
	}
	return summary, changes[0]()
}

// revocation tells what a revocation does.
// Source: entra-docs, concept-continuous-access-evaluation-workload.md (Microsoft Graph
// evaluates the access of applications; managed identities are not supported).
func (s *Server) revocation(everywhere bool, tenant, clientID string) string {
	const revoked = "has its sessions revoked"
	p, _ := s.lab.Directory().Principal(tenant, clientID)
	switch {
	case everywhere:
		return revoked + ": every resource refuses the access tokens that were given out until now"
	case p != nil && p.Kind == directory.ManagedIdentity:
		return revoked + ", which changes nothing: no resource evaluates the access of managed identities continuously, so their tokens are good until they expire"
	default:
		return revoked + ": Microsoft Graph refuses the access tokens that were given out until now, if the client understands claims challenges"
	}
}

func changeCredential(p *directory.Principal, to *directory.FederatedCredential) error {
	i, err := credential(p, to.Name)
	if err != nil {
		return err
	}
	f := &p.FederatedCredentials[i]
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
