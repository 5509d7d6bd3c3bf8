package harness

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/resource/keyvault"
)

// Vault is the key vault of that name. One that is not there is made: without
// secrets, in the first tenant, and open to all its identities until Access says
// otherwise.
func (l *TestLab) Vault(name string) *Vault {
	l.t.Helper()
	vaults := l.lab.emulator.Vaults()
	if _, ok := vaults.Vault(name); !ok {
		tenant, err := l.lab.emulator.Tenant("")
		if err == nil {
			err = vaults.Put(keyvault.Vault{Name: name, Tenant: tenant, Access: []keyvault.Access{{ClientID: "*", Permissions: []string{"*"}}}})
		}
		if err != nil {
			l.t.Fatalf("%v", err)
		}
	}
	return &Vault{lab: l, name: name}
}

// Vault is a key vault as its owners see it, who need no token.
type Vault struct {
	lab  *TestLab
	name string
}

// URL is what clients call the vault.
func (v *Vault) URL() string {
	return "https://" + v.name + "." + v.lab.lab.emulator.Cloud().Vault + "/"
}

// Set gives a secret a value: a new version, if it is another one than before.
func (v *Vault) Set(secret, value string) {
	v.lab.t.Helper()
	v.update("secret "+secret+" is set", func(vault *keyvault.Vault) { vault.Secrets[secret] = value })
}

// Get is the latest value of a secret.
func (v *Vault) Get(secret string) string {
	v.lab.t.Helper()
	vault, _ := v.lab.lab.emulator.Vaults().Vault(v.name)
	for name, value := range vault.Secrets {
		if strings.EqualFold(name, secret) {
			return value
		}
	}
	v.lab.t.Fatalf("vault %s: secret %q: expected one that is there and enabled: %q", v.name, secret, slices.Sorted(maps.Keys(vault.Secrets)))
	return ""
}

// Delete deletes a secret, which goes to the bin.
func (v *Vault) Delete(secret string) {
	v.lab.t.Helper()
	v.Get(secret)
	v.update("secret "+secret+" is deleted", func(vault *keyvault.Vault) {
		maps.DeleteFunc(vault.Secrets, func(name, _ string) bool { return strings.EqualFold(name, secret) })
	})
}

// Access lets the given identities in, and nobody else.
func (v *Vault) Access(access ...keyvault.Access) {
	v.lab.t.Helper()
	v.update(fmt.Sprintf("access is changed, for %d from now on", len(access)), func(vault *keyvault.Vault) { vault.Access = access })
}

func (v *Vault) update(what string, change func(*keyvault.Vault)) {
	v.lab.t.Helper()
	err := v.lab.lab.emulator.Vaults().Update(v.name, func(vault *keyvault.Vault) error { change(vault); return nil })
	if err != nil {
		v.lab.t.Fatalf("%v", err)
	}
	v.lab.lab.Journal().Record(journal.Event{Kind: journal.Directory, Outcome: journal.OK, Part: v.name, Summary: "vault " + v.name + ": " + what})
}
