package scenarios

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
)

// set changes the directory as an administrator would.
func (st *stage) set(s *SetStep) error {
	tenant, clientID, err := st.identity(s.Identity)
	if err != nil {
		return err
	}
	d := st.lab.Emulator().Directory()
	summary := ""
	change := func(does string, f func(*directory.Principal) error) error {
		summary = does
		return d.Update(tenant, clientID, f)
	}
	switch {
	case s.Deleted:
		summary, err = "is deleted", d.Remove(tenant, clientID)
	case s.Disabled != nil:
		err = change(fmt.Sprintf("has disabled set to %v", *s.Disabled), func(p *directory.Principal) error {
			p.Disabled = *s.Disabled
			return nil
		})
	case s.FederatedCredential != nil:
		err = change("has a federated credential changed", func(p *directory.Principal) error {
			return st.changeCredential(p, s.FederatedCredential)
		})
	case s.AddFederatedCredential != nil:
		f := *s.AddFederatedCredential
		err = change("has federated credential "+f.Name+" added", func(p *directory.Principal) error {
			p.FederatedCredentials = append(p.FederatedCredentials, directory.FederatedCredential{
				Name: f.Name, Issuer: st.issuerURL(f.Issuer), Subject: f.Subject, Audience: cmp.Or(f.Audience, directory.DefaultAudience),
			})
			return nil
		})
	case s.RemoveFederatedCredential != "":
		err = change("has federated credential "+s.RemoveFederatedCredential+" removed", func(p *directory.Principal) error {
			i, err := credential(p, s.RemoveFederatedCredential)
			if err == nil {
				p.FederatedCredentials = slices.Delete(p.FederatedCredentials, i, i+1)
			}
			return err
		})
	}
	if err != nil {
		return err
	}
	st.lab.Journal().Record(journal.Event{
		Kind: journal.Directory, Outcome: journal.OK, Tenant: tenant, ClientID: clientID, Summary: s.Identity + " " + summary,
	})
	return nil
}

func (st *stage) changeCredential(p *directory.Principal, change *CredentialChange) error {
	i, err := credential(p, change.Name)
	if err != nil {
		return err
	}
	f := &p.FederatedCredentials[i]
	if change.Issuer != "" {
		f.Issuer = st.issuerURL(change.Issuer)
	}
	f.Subject, f.Audience = cmp.Or(change.Subject, f.Subject), cmp.Or(change.Audience, f.Audience)
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

// issuerURL resolves the name of an issuer; a URL stands for itself.
func (st *stage) issuerURL(name string) string {
	for _, i := range st.scenario.world.Issuers {
		if i.Name == name || name == "" {
			return i.URL
		}
	}
	return name
}

// identity finds who is called by the name of a workload, the name of an
// application or managed identity, or a client id.
func (st *stage) identity(name string) (tenant, clientID string, err error) {
	if w, ok := st.workloads[name]; ok {
		return w.Environment.TenantID, w.ClientID, nil
	}
	for _, t := range st.scenario.world.Tenants {
		for _, p := range st.lab.Emulator().Directory().Principals(t.ID) {
			if p.DisplayName == name || strings.EqualFold(p.ClientID, name) {
				return t.ID, p.ClientID, nil
			}
		}
	}
	return "", "", fmt.Errorf("no tenant has an identity %q any more", name)
}
