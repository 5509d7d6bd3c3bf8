package roles

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Definition returns a role by its name or id.
func (s *Set) Definition(nameOrID string) (Definition, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d := s.definition(nameOrID)
	if d == nil {
		return Definition{}, false
	}
	return *d, true
}

func (s *Set) definition(nameOrID string) *Definition {
	if d := s.definitions[strings.ToLower(nameOrID)]; d != nil {
		return d
	}
	for _, d := range s.definitions {
		if strings.EqualFold(d.Name, nameOrID) {
			return d
		}
	}
	return nil
}

// Definitions returns all roles: the built-in ones, then custom ones by name.
func (s *Set) Definitions() []Definition {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []Definition
	for _, d := range s.ordered() {
		all = append(all, *d)
	}
	return all
}

// ordered are the definitions, the built-in ones first; s.mu is held.
func (s *Set) ordered() []*Definition {
	own := slices.DeleteFunc(slices.Collect(maps.Values(s.definitions)), func(d *Definition) bool { return slices.Contains(s.builtin, d) })
	slices.SortFunc(own, func(a, b *Definition) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return append(slices.Clone(s.builtin), own...)
}

// Define makes or changes a custom role.
func (s *Set) Define(d Definition) error {
	d.ID = strings.ToLower(d.ID)
	if uuid.Validate(d.ID) != nil {
		return fmt.Errorf("custom role %q: id: expected a GUID, found %q", d.Name, d.ID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.definitions[d.ID]; old != nil && slices.Contains(s.builtin, old) {
		return fmt.Errorf("custom role %q: id: expected one of its own, found that of the built-in role %s", d.Name, old.Name)
	}
	if err := s.store(Change{Defined: &d}); err != nil {
		return err
	}
	s.definitions[d.ID] = &d
	return nil
}

// Undefine takes a custom role away. It must not be assigned any more.
func (s *Set) Undefine(id string) error {
	id = strings.ToLower(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.definitions[id]
	if d == nil || slices.Contains(s.builtin, d) {
		return fmt.Errorf("role %q: expected the id of a custom role", id)
	}
	for _, a := range s.assignments {
		if a.Role == id && a.Removed.IsZero() {
			return fmt.Errorf("role %s: expected one that nobody has, found it assigned on %s", d.Name, a.Scope)
		}
	}
	if err := s.store(Change{Undefined: id}); err != nil {
		return err
	}
	delete(s.definitions, id)
	return nil
}
