package harness

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
)

// Entra is the lab's Entra ID: who there is, and whom they trust.
func (l *TestLab) Entra() *Entra { return &Entra{l} }

// Entra changes the directory as its owners would; a change is in force at the next
// token request. An identity is a client id, or the name of an application or
// managed identity; a credential is the name of a federated one, "" the only one of
// its identity.
type Entra struct{ lab *TestLab }

// Keys are those that sign access tokens.
func (e *Entra) Keys() Keys {
	e.lab.t.Helper()
	ring, err := e.lab.lab.emulator.KeyRing(entraRing)
	if err != nil {
		e.lab.t.Fatalf("%v", err)
	}
	return Keys{e.lab.t, ring}
}

const entraRing = "entra"

// Add makes an application or a managed identity in the first tenant, or replaces
// the one with the same client id.
func (e *Entra) Add(p directory.Principal) {
	e.lab.t.Helper()
	emulator := e.lab.lab.emulator
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

// Identity is what the directory says of somebody.
func (e *Entra) Identity(identity string) directory.Principal {
	e.lab.t.Helper()
	d := e.lab.lab.emulator.Directory()
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

// Trust adds a federated credential. What is left out is the first issuer, Entra ID's
// audience, and a name made of the subject.
func (e *Entra) Trust(identity string, c directory.FederatedCredential) {
	e.lab.t.Helper()
	if c.Issuer == "" {
		c.Issuer = e.lab.Issuer().URL()
	}
	c.Name = cmp.Or(c.Name, directory.CredentialName(c.Trusted()))
	c.Audience = cmp.Or(c.Audience, e.lab.lab.emulator.Cloud().TokenExchange)
	e.change(identity, control.DirectoryChange{AddFederatedCredential: &c})
}

// Change changes the federated credential that to.Name names: to the issuer, subject and
// audience of to that are not empty.
func (e *Entra) Change(identity string, to directory.FederatedCredential) {
	e.lab.t.Helper()
	e.change(identity, control.DirectoryChange{FederatedCredential: &to})
}

// Distrust removes a federated credential.
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

// Disable lets an identity get no token any more; Enable lets it again.
func (e *Entra) Disable(identity string) {
	e.lab.t.Helper()
	e.change(identity, control.DirectoryChange{Disabled: new(true)})
}

// Enable undoes Disable.
func (e *Entra) Enable(identity string) {
	e.lab.t.Helper()
	e.change(identity, control.DirectoryChange{Disabled: new(false)})
}

// Remove deletes an identity.
func (e *Entra) Remove(identity string) {
	e.lab.t.Helper()
	e.change(identity, control.DirectoryChange{Deleted: true})
}

func (e *Entra) change(identity string, c control.DirectoryChange) {
	e.lab.t.Helper()
	c.Identity = identity
	if _, err := e.lab.lab.emulator.Steering().ChangeDirectory(e.lab.t.Context(), c); err != nil {
		e.lab.t.Fatalf("change %s in the directory: %v", identity, err)
	}
}
