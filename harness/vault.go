package harness

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
)

// Vault returns the key vault of that name. If it does not exist, it is created in the
// first tenant, without secrets, and open to all identities until [Vault.Access].
func (l *Lab) Vault(name string) *Vault {
	l.t.Helper()
	vaults := l.session.Emulator().Vaults()
	if _, ok := vaults.Vault(name); !ok {
		l.create(func(tenant string) error {
			return vaults.Put(keyvault.Vault{Name: name, Tenant: tenant, Access: []keyvault.Access{{ClientID: "*", Permissions: []string{"*"}}}})
		})
	}
	return &Vault{URL: "https://" + name + "." + l.session.Emulator().Cloud().Vault + "/", lab: l, name: name}
}

// Vault is a key vault as its owners see it, who need no token.
type Vault struct {
	URL  string // by which clients reach it
	lab  *Lab
	name string
}

// Set sets a secret's value. A value other than the latest makes a new version.
func (v *Vault) Set(secret, value string) {
	v.lab.t.Helper()
	v.update("secret "+secret+" is set", func(vault *keyvault.Vault) { vault.Secrets[secret] = value })
}

// Get returns the latest value of a secret.
func (v *Vault) Get(secret string) string {
	v.lab.t.Helper()
	vault, _ := v.lab.session.Emulator().Vaults().Vault(v.name)
	for name, value := range vault.Secrets {
		if strings.EqualFold(name, secret) {
			return value
		}
	}
	v.lab.t.Fatalf("vault %s: secret %q: expected one that is there and enabled: %q", v.name, secret, slices.Sorted(maps.Keys(vault.Secrets)))
	return ""
}

// Delete deletes a secret, which can be recovered.
func (v *Vault) Delete(secret string) {
	v.lab.t.Helper()
	v.Get(secret)
	v.update("secret "+secret+" is deleted", func(vault *keyvault.Vault) {
		maps.DeleteFunc(vault.Secrets, func(name, _ string) bool { return strings.EqualFold(name, secret) })
	})
}

// Access grants the given access and withdraws all other. Roles and permissions are those
// of a wiemu.yaml (Key Vault Secrets User, …, or get, list, set, …; see config.Access).
func (v *Vault) Access(access ...config.Access) {
	v.lab.t.Helper()
	granted := make([]keyvault.Access, 0, len(access))
	for _, a := range access {
		id := a.Identity
		if id != "*" {
			id = v.lab.Entra().Identity(id).ClientID
		}
		granted = append(granted, keyvault.Access{ClientID: id, Roles: a.Roles, Permissions: a.Permissions})
	}
	v.update(fmt.Sprintf("access is changed, for %d from now on", len(access)), func(vault *keyvault.Vault) { vault.Access = granted })
}

func (v *Vault) update(what string, change func(*keyvault.Vault)) {
	v.lab.t.Helper()
	err := v.lab.session.Emulator().Vaults().Update(v.name, func(vault *keyvault.Vault) error { change(vault); return nil })
	must(v.lab.t, err)
	v.lab.session.Journal().Record(journal.Event{Kind: journal.Directory, Outcome: journal.OK, Component: v.name, Summary: "vault " + v.name + ": " + what})
}
