// Package keyvault answers as Azure Key Vault's data plane does: it sends clients to the
// token service, checks the token they come back with and what its owner may do, and
// keeps secrets, keys and certificates with their versions and a bin for deleted ones.
// Keys encrypt and sign with real cryptography; certificates are signed by themselves or
// imported. Vaults are managed through Resource Manager: see package arm/keyvault.
package keyvault

import (
	"crypto/cipher"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Vault is a key vault of a tenant, as it is configured.
type Vault struct {
	Name    string            // 3 to 24 letters, digits and hyphens; the first label of its host
	Tenant  string            // GUID of the tenant whose tokens open it
	Access  []Access          // what each identity may do; those not named may do nothing
	Secrets map[string]string // name → value

	ID       string // resource id. If empty, it is in the resource group wiemu
	Policies bool   // it is in the permission model of access policies, also if Access has none

	Keys         map[string]Key         // made once, when the vault is; what clients do to them stays
	Certificates map[string]Certificate // the same
}

// Vaults are those of a configuration.
type Vaults []Vault

// Names are those of the vaults in lower case, sorted.
func (v Vaults) Names() []string {
	names := make([]string, len(v))
	for i := range v {
		names[i] = strings.ToLower(v[i].Name)
	}
	slices.Sort(names)
	return names
}

// Name is that of the resource in the table.
const Name = "keyvault"

// Description is Key Vault in the table of resources.
func Description() resource.Description {
	return resource.Description{
		Name: Name, Title: "Azure Key Vault", AppID: "cfa8b339-82a2-471a-a3c9-0fc0be7a4093", Chaos: true,
		Audiences: func(c cloud.Cloud) []string { return []string{"https://" + c.Vault} },
		Aliases: func(c cloud.Cloud) []string {
			return []string{"https://managedhsm" + strings.TrimPrefix(c.Vault, "vault"), "." + c.Vault}
		},
		Hosts: func(c cloud.Cloud) []string { return []string{"." + c.Vault} },
		New: func(k resource.Kit, settings any) (resource.Service, error) {
			vaults, _ := settings.(Vaults)
			return New(k, vaults)
		},
	}
}

// Service serves vaults. It is safe for concurrent use.
type Service struct {
	kit   resource.Kit
	blobs cipher.AEAD // encrypts backups

	mu     sync.RWMutex
	vaults map[string]*vault // by name in lower case
	bin    map[string]*vault // deleted ones, the same; no name is in both
}

// New makes a service with the given vaults.
func New(k resource.Kit, vaults []Vault) (*Service, error) {
	if k.Roles == nil {
		k.Roles = roles.New(roles.Config{Clock: k.Clock, Journal: k.Journal, Faults: k.Faults})
	}
	s := &Service{kit: k, blobs: newBlobCipher(), vaults: map[string]*vault{}, bin: map[string]*vault{}}
	for _, configured := range vaults {
		if _, exists := s.vaults[strings.ToLower(configured.Name)]; exists {
			return nil, fmt.Errorf("vault %s: expected a name of its own, found it twice", configured.Name)
		}
		if err := s.Put(configured); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Put adds a vault, or changes the one with the same name: it gets the tenant
// and the access of configured, and a new version of each secret whose value is
// another one than before. Other secrets stay.
func (s *Service) Put(configured Vault) error {
	if err := configured.check(s.kit.Roles); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.ToLower(configured.Name)
	v := s.vaults[name]
	if v == nil {
		v = newVault(configured.Name, s.kit.Roles, s.kit.Journal.Secrets().Add)
		s.vaults[name] = v
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.configure(configured, s.kit.Clock.Now()); err != nil {
		return err
	}
	v.addConfigured(configured, s, s.kit.Clock.Now())
	return nil
}

// AddMissing adds to a vault the secrets, keys and certificates of given that it has never had,
// deleted ones included. Nothing else changes. The vault has to exist.
func (s *Service) AddMissing(given Vault) error {
	if err := given.check(s.kit.Roles); err != nil {
		return err
	}
	s.mu.RLock()
	v := s.vaults[strings.ToLower(given.Name)]
	s.mu.RUnlock()
	if v == nil {
		return fmt.Errorf("vault %q: expected the name of a vault that there is", given.Name)
	}
	now := s.kit.Clock.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(given.Secrets)) {
		if !v.secrets.had(name) {
			v.addSecret(name, &version{value: given.Secrets[name], properties: properties{enabled: true, created: now, updated: now}})
		}
	}
	v.addConfigured(given, s, now)
	return nil
}

// Vault returns a copy of a vault as it is now, with the latest value of each secret
// that is enabled.
func (s *Service) Vault(name string) (Vault, bool) {
	s.mu.RLock()
	v := s.vaults[strings.ToLower(name)]
	s.mu.RUnlock()
	if v == nil {
		return Vault{}, false
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.snapshot(), true
}

// Names returns the names of the vaults in lower case, sorted.
func (s *Service) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.vaults))
}

// Update lets change modify what Vault returns and makes the vault so: a secret
// with another value gets a new version, and one that was taken out is deleted.
// Nothing changes when it or change returns an error; the name must stay.
func (s *Service) Update(name string, change func(*Vault) error) error {
	s.mu.RLock()
	v := s.vaults[strings.ToLower(name)]
	s.mu.RUnlock()
	if v == nil {
		return fmt.Errorf("vault %q: expected the name of a vault that there is", name)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	before, after := v.snapshot(), v.snapshot()
	if err := change(&after); err != nil {
		return fmt.Errorf("change vault %s: %w", v.name, err)
	}
	if after.Name != before.Name {
		return fmt.Errorf("change vault %s: name: expected the same as before, found %q", v.name, after.Name)
	}
	if err := after.check(s.kit.Roles); err != nil {
		return err
	}
	for secret := range before.Secrets {
		if _, stays := after.Secrets[secret]; !stays {
			v.secrets.bin(secret, s.kit.Clock.Now())
		}
	}
	return v.configure(after, s.kit.Clock.Now())
}

// Handler serves every vault; the first label of the request's host says which. It takes
// a trailing slash off: clients write /secrets/NAME/ for the latest version (azsecrets
// 1.5.1, client.go).
func (s *Service) Handler() http.Handler {
	var routes []resource.Route
	for _, op := range operations() {
		routes = append(routes, resource.Route{Methods: []string{op.method}, Path: op.path, Begin: s.begin(op)})
	}
	next := s.kit.Handler(routes, s.begin(operation{serve: (*call).unknown}))
	return httppath.Fold(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if trimmed := strings.TrimRight(r.URL.Path, "/"); trimmed != r.URL.Path && trimmed != "" {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = trimmed, ""
		}
		next.ServeHTTP(w, r)
	}))
}

// find returns the vault that the request's host names, and the name.
func (s *Service) find(host string) (name string, v *vault) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	name = strings.TrimSuffix(host, "."+s.kit.Cloud().Vault)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return name, s.vaults[name]
}

// nearest returns the vault whose name is most like that of one that does not exist, ""
// if none is.
func (s *Service) nearest(name string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return yamlfile.Nearest(name, slices.Sorted(maps.Keys(s.vaults)))
}

func (v Vault) check(known *roles.Set) error {
	if !ValidVaultName(v.Name) {
		return fmt.Errorf("vault %q: name: expected %s", v.Name, VaultNameRule)
	}
	if uuid.Validate(v.Tenant) != nil {
		return fmt.Errorf("vault %s: tenant: expected the id of a tenant (a GUID), found %q", v.Name, v.Tenant)
	}
	if err := v.checkAccess(known); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(v.Secrets)) {
		if !ValidSecretName(name) {
			return fmt.Errorf("vault %s: secret %q: expected a name of %s", v.Name, name, SecretNameRule)
		}
		if len(v.Secrets[name]) > maxValue {
			return fmt.Errorf("vault %s: secret %s: expected a value of at most %d bytes, found %d", v.Name, name, maxValue, len(v.Secrets[name]))
		}
	}
	return v.checkObjects()
}

// What names are made of, for the text of errors.
const (
	VaultNameRule  = "3 to 24 letters, digits and single hyphens, beginning with a letter and not ending in a hyphen"
	SecretNameRule = "1 to 127 letters, digits and hyphens"
)

var (
	vaultName  = lazyregexp.New(`^[A-Za-z][0-9A-Za-z-]+[0-9A-Za-z]$`)
	secretName = lazyregexp.New(`^[0-9A-Za-z-]+$`)
)

// ValidVaultName follows the naming rules of Microsoft.KeyVault/vaults.
func ValidVaultName(s string) bool {
	return len(s) <= 24 && vaultName().MatchString(s) && !strings.Contains(s, "--")
}

// ValidSecretName follows Key Vault's ^[0-9a-zA-Z-]{1,127}$.
func ValidSecretName(s string) bool { return len(s) <= 127 && secretName().MatchString(s) }
