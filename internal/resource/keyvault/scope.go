package keyvault

import (
	"fmt"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
)

// Scope implements resource.ScopedService. A part is secrets/NAME, keys/NAME or
// certificates/NAME, which need not exist yet.
func (s *Service) Scope(name, part string) (resource.Scope, error) {
	s.mu.RLock()
	v := s.vaults[strings.ToLower(name)]
	s.mu.RUnlock()
	if v == nil {
		return resource.Scope{}, fmt.Errorf("vault %q: expected the name of a vault that there is", name)
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	at := resource.Scope{Tenant: v.tenant, ID: v.id}
	if v.model {
		at.Note = fmt.Sprintf("vault %s is in the permission model of access policies, in which roles on it open nothing", v.name)
	}
	if part == "" {
		return at, nil
	}
	kind, object, err := resource.SplitPart(part, "secrets", "keys", "certificates")
	if err != nil {
		return resource.Scope{}, fmt.Errorf("vault %s: %w", v.name, err)
	}
	if !ValidSecretName(object) {
		return resource.Scope{}, fmt.Errorf("vault %s: %s: expected a name of letters, digits and hyphens, found %q", v.name, kind, object)
	}
	at.ID += "/" + kind + "/" + object
	return at, nil
}
