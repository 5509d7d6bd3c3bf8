package harness

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/tenants"
)

// Entra returns the lab's Entra ID.
func (l *Lab) Entra() *Entra { return &Entra{l} }

// Entra changes the directory as its owners would; changes take effect at the next token
// request. An identity is named by its client id, or by the name of the app registration
// or managed identity.
type Entra struct{ lab *Lab }

// Keys returns the keys that sign access tokens.
func (e *Entra) Keys() Keys {
	e.lab.t.Helper()
	ring, err := e.lab.session.Emulator().KeyRing(entraRing)
	must(e.lab.t, err)
	return Keys{e.lab.t, ring}
}

const entraRing = "entra"

// Add creates an app registration or a managed identity in the first tenant, or replaces
// the one with the same client id.
func (e *Entra) Add(p directory.Principal) {
	e.lab.t.Helper()
	emulator := e.lab.session.Emulator()
	tenant, err := emulator.Tenant("")
	if err == nil {
		err = emulator.Directory().Put(tenant, p)
	}
	if err != nil {
		e.lab.t.Fatalf("add %s: %v", cmp.Or(p.DisplayName, p.ClientID), err)
	}
	emulator.Journal().Record(journal.Event{
		Kind: journal.Directory, Outcome: journal.OK, Tenant: tenant, ClientID: p.ClientID, Identity: p.DisplayName,
		Summary: fmt.Sprintf("%s is there, with %d federated credentials", cmp.Or(p.DisplayName, p.ClientID), len(p.FederatedCredentials)),
	})
}

// Identity returns an identity with its federated credentials.
func (e *Entra) Identity(identity string) directory.Principal {
	e.lab.t.Helper()
	d := e.lab.session.Emulator().Directory()
	var known []string
	for _, t := range d.Tenants() {
		for _, p := range d.Principals(t.ID) {
			if p.DisplayName == identity || strings.EqualFold(p.ClientID, identity) {
				return *p
			}
			known = append(known, p.DisplayName)
		}
	}
	e.lab.t.Fatalf("identity %q: expected a client id or one of %q", identity, known)
	return directory.Principal{}
}

// Trust adds a federated credential. Its Issuer defaults to that of [Lab.Issuer], its
// Audience to Entra ID's, and its Name to one made from the subject.
func (e *Entra) Trust(identity string, c directory.FederatedCredential) {
	e.lab.t.Helper()
	if c.Issuer == "" {
		c.Issuer = e.lab.Issuer().URL
	}
	c.Name = cmp.Or(c.Name, tenants.CredentialName(c.Trusted()))
	c.Audience = cmp.Or(c.Audience, e.lab.session.Emulator().Cloud().TokenExchange)
	e.change(identity, control.DirectoryChange{AddFederatedCredential: &c})
}

// Change sets those of issuer, subject and audience of a federated credential that are not empty
// in to. If to.Name is empty, it is the identity's only one.
func (e *Entra) Change(identity string, to directory.FederatedCredential) {
	e.lab.t.Helper()
	e.change(identity, control.DirectoryChange{FederatedCredential: &to})
}

// Distrust removes a federated credential. If credential is empty, it is the identity's only one.
func (e *Entra) Distrust(identity, credential string) {
	e.lab.t.Helper()
	if credential == "" {
		var names []string
		for _, c := range e.Identity(identity).FederatedCredentials {
			names = append(names, c.Name)
		}
		if len(names) != 1 {
			e.lab.t.Fatalf("distrust a federated credential of %s: expected the name of one of %q", identity, names)
		}
		credential = names[0]
	}
	e.change(identity, control.DirectoryChange{RemoveFederatedCredential: credential})
}

// Disable refuses the identity's token requests until [Entra.Enable].
func (e *Entra) Disable(identity string) {
	e.lab.t.Helper()
	e.change(identity, control.DirectoryChange{Disabled: new(true)})
}

// Enable undoes [Entra.Disable].
func (e *Entra) Enable(identity string) {
	e.lab.t.Helper()
	e.change(identity, control.DirectoryChange{Disabled: new(false)})
}

// Remove deletes an identity.
func (e *Entra) Remove(identity string) {
	e.lab.t.Helper()
	e.change(identity, control.DirectoryChange{Deleted: true})
}

// Revoke revokes the access tokens that an identity has been given until now. As in Entra ID, only
// Microsoft Graph evaluates that, and only for clients that understand claims challenges. The fault
// sessions-revoked does it at every resource.
func (e *Entra) Revoke(identity string) {
	e.lab.t.Helper()
	e.change(identity, control.DirectoryChange{Revoked: true})
}

func (e *Entra) change(identity string, c control.DirectoryChange) {
	e.lab.t.Helper()
	c.Identity = identity
	if _, err := e.lab.session.Emulator().ControlClient().ChangeDirectory(e.lab.t.Context(), c); err != nil {
		e.lab.t.Fatalf("change %s in the directory: %v", identity, err)
	}
}
