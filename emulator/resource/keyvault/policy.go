package keyvault

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/resource"
)

// check says what is wrong with a configured vault.
func (v Vault) check() error {
	if !ValidVaultName(v.Name) {
		return fmt.Errorf("vault %q: name: expected %s", v.Name, VaultNameRule)
	}
	if uuid.Validate(v.Tenant) != nil {
		return fmt.Errorf("vault %s: tenant: expected the id of a tenant (a GUID), found %q", v.Name, v.Tenant)
	}
	for i, a := range v.Access {
		if a.ObjectID == "" && a.ClientID == "" {
			return fmt.Errorf("vault %s: access[%d]: expected an object id, a client id or *, found neither", v.Name, i)
		}
		for _, p := range a.Permissions {
			if p != "*" && !slices.Contains(Permissions(), strings.ToLower(p)) {
				return fmt.Errorf("vault %s: access[%d]: permissions: expected *, %s, found %q", v.Name, i, strings.Join(Permissions(), ", "), p)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Secrets)) {
		if !ValidSecretName(name) {
			return fmt.Errorf("vault %s: secret %q: expected a name of %s", v.Name, name, SecretNameRule)
		}
		if len(v.Secrets[name]) > maxValue {
			return fmt.Errorf("vault %s: secret %s: expected a value of at most %d bytes, found %d", v.Name, name, maxValue, len(v.Secrets[name]))
		}
	}
	return nil
}

// What names are made of, for the text of errors.
const (
	VaultNameRule  = "3 to 24 letters, digits and single hyphens, beginning with a letter and not ending in a hyphen"
	SecretNameRule = "1 to 127 letters, digits and hyphens"
)

// ValidVaultName follows the naming rules of Microsoft.KeyVault/vaults.
func ValidVaultName(s string) bool {
	if len(s) < 3 || len(s) > 24 || strings.Contains(s, "--") || strings.HasSuffix(s, "-") || !isLetter(s[0]) {
		return false
	}
	return onlyNameBytes(s)
}

// ValidSecretName follows Key Vault's ^[0-9a-zA-Z-]{1,127}$.
func ValidSecretName(s string) bool { return len(s) >= 1 && len(s) <= 127 && onlyNameBytes(s) }

func onlyNameBytes(s string) bool {
	for i := range len(s) {
		if !isLetter(s[i]) && (s[i] < '0' || s[i] > '9') && s[i] != '-' {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// permitted returns the permissions of the caller, sorted as Permissions() is.
func permitted(access []Access, caller resource.Caller) []string {
	held := map[string]bool{}
	for _, a := range access {
		if !a.names(caller) {
			continue
		}
		for _, p := range a.Permissions {
			held[strings.ToLower(p)] = true
		}
	}
	all := Permissions()
	if held["*"] {
		return all
	}
	return slices.DeleteFunc(all, func(p string) bool { return !held[p] })
}

// openToAll reports whether everybody may do everything, as in a vault of which
// nobody said who may do what.
func openToAll(access []Access) bool {
	return slices.ContainsFunc(access, func(a Access) bool {
		return (a.ObjectID == "*" || a.ClientID == "*") && (slices.Contains(a.Permissions, "*") || len(a.Permissions) == len(Permissions()))
	})
}

func (a Access) names(caller resource.Caller) bool {
	return a.ObjectID == "*" || a.ClientID == "*" ||
		a.ObjectID != "" && strings.EqualFold(a.ObjectID, caller.ObjectID) ||
		a.ClientID != "" && strings.EqualFold(a.ClientID, caller.ClientID)
}
