package keyvault

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
)

// What Resource Manager does with vaults.

// Serve adds a vault, or changes who may do what in the one that there is. One that was retired is
// served again, with what it holds.
func (s *Service) Serve(v Vault) error {
	if err := v.check(s.kit.Roles); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.ToLower(v.Name)
	at := cmp.Or(s.vaults[name], s.bin[name])
	if at == nil {
		at = newVault(v.Name, s.kit.Roles, s.kit.Journal.Secrets().Add)
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.id != "" && !strings.EqualFold(at.id, v.ID) {
		return fmt.Errorf("vault %s: %w: expected one that no other vault has, found that of %s", v.Name, resource.ErrNameTaken, at.id)
	}
	if err := at.configureAccess(v); err != nil {
		return err
	}
	delete(s.bin, name)
	s.vaults[name] = at
	return nil
}

// Retire has a vault be served no more. What it holds is there when it is served again, unless it
// is purged.
func (s *Service) Retire(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = strings.ToLower(name)
	if v := s.vaults[name]; v != nil {
		delete(s.vaults, name)
		s.bin[name] = v
	}
}

// Purge forgets a vault that was retired.
func (s *Service) Purge(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.bin, strings.ToLower(name))
}

// Vaults are those that are served, sorted by name, without what they hold.
func (s *Service) Vaults() (all []Vault) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(s.vaults)) {
		v := s.vaults[name]
		v.mu.RLock()
		all = append(all, Vault{Name: v.name, Tenant: v.tenant, ID: v.id, Policies: v.model, Access: cloneAccess(v.access)})
		v.mu.RUnlock()
	}
	return all
}
