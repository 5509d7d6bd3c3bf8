// Package keyvault answers as Azure Key Vault's data plane does for secrets: it
// sends clients to the token service, checks the token they come back with and
// what its owner may do, and keeps secrets with their versions and a bin for
// deleted ones. It serves neither keys nor certificates, nor the management of
// vaults.
package keyvault

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gorilla/mux"
	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/gateway/httppath"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/resource"
	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// Vault is a key vault of a tenant, as it is configured.
type Vault struct {
	Name    string            // 3 to 24 letters, digits and hyphens; the first label of its host
	Tenant  string            // GUID of the tenant whose tokens open it
	Access  []Access          // who may do what; nobody who is not named
	Secrets map[string]string // name → value
}

// Access lets one identity into a vault. Either id names it; "*" as either
// stands for every identity of the tenant.
type Access struct {
	ObjectID    string
	ClientID    string
	Permissions []string // of Permissions(); "*" for all
}

// Permissions returns what can be permitted in a vault, by the names of Key
// Vault's access policies.
func Permissions() []string { return []string{"get", "list", "set", "delete", "recover", "purge"} }

// Service serves vaults. It is safe for concurrent use.
type Service struct {
	clock     clock.Clock
	journal   *journal.Journal
	validator *resource.Validator
	router    *mux.Router

	mu     sync.RWMutex
	vaults map[string]*vault // by name in lower case
}

// New makes a service with the given vaults.
func New(vaults []Vault, v *resource.Validator, clk clock.Clock, j *journal.Journal) (*Service, error) {
	s := &Service{clock: clk, journal: j, validator: v, vaults: map[string]*vault{}}
	s.router = s.routes()
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
	if err := configured.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.ToLower(configured.Name)
	v := s.vaults[name]
	if v == nil {
		v = &vault{name: configured.Name, hide: s.journal.Secrets().Add, secrets: map[string]*secret{}, deleted: map[string]*secret{}}
		s.vaults[name] = v
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.configure(configured, s.clock.Now())
	return nil
}

// Vault returns a vault as it is now, with the latest value of each secret that
// is enabled. It shares nothing with the service.
func (s *Service) Vault(name string) (Vault, bool) {
	s.mu.RLock()
	v := s.vaults[strings.ToLower(name)]
	s.mu.RUnlock()
	if v == nil {
		return Vault{}, false
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.present(), true
}

// Names are those of the vaults that there are, in lower case and sorted.
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
	before, after := v.present(), v.present()
	if err := change(&after); err != nil {
		return fmt.Errorf("change vault %s: %w", v.name, err)
	}
	if after.Name != before.Name {
		return fmt.Errorf("change vault %s: name: expected the same as before, found %q", v.name, after.Name)
	}
	if err := after.check(); err != nil {
		return err
	}
	for secret := range before.Secrets {
		if _, stays := after.Secrets[secret]; !stays {
			v.bin(secret, s.clock.Now())
		}
	}
	v.configure(after, s.clock.Now())
	return nil
}

// Handler serves every vault; the first label of the request's host says which.
func (s *Service) Handler() http.Handler {
	return httppath.Fold(http.HandlerFunc(s.serve))
}

// serve takes a trailing slash off: clients write /secrets/NAME/ for the latest
// version (azsecrets 1.5.1, client.go).
func (s *Service) serve(w http.ResponseWriter, r *http.Request) {
	if trimmed := strings.TrimRight(r.URL.Path, "/"); trimmed != r.URL.Path && trimmed != "" {
		r = r.Clone(r.Context())
		r.URL.Path, r.URL.RawPath = trimmed, ""
	}
	s.router.ServeHTTP(w, r)
}

// find returns the vault that the request's host names.
func (s *Service) find(host string) (name string, v *vault) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	name = strings.TrimSuffix(host, "."+s.validator.Cloud().Vault)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return name, s.vaults[name]
}

// nearest is the vault whose name is most like one that is not there, "" if none is.
func (s *Service) nearest(name string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return yamlfile.Nearest(name, slices.Sorted(maps.Keys(s.vaults)))
}
