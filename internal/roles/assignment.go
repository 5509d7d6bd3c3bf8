package roles

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Everyone as a client id stands for each identity of the tenant.
const Everyone = "*"

// Assignment gives a role to a principal on a scope and everything below it.
type Assignment struct {
	ID          string `json:"id"` // GUID; if empty, it is derived from the other fields
	Tenant      string `json:"tenant"`
	PrincipalID string `json:"principalId,omitempty"` // object id, as in Azure
	ClientID    string `json:"clientId,omitempty"`    // instead of PrincipalID, for identities that wiemu.yaml names; or Everyone
	Role        string `json:"role"`                  // id of the definition
	Scope       string `json:"scope"`                 // resource id; / is everything
	Source      string `json:"source,omitempty"`      // the field of wiemu.yaml that made it; "" if it was made at run time

	Description string `json:"description,omitempty"` // for people
	MadeBy      string `json:"madeBy,omitempty"`      // object id; "" if nobody is known

	Made    time.Time `json:"made,omitzero"`    // in lab time; zero if it has always been there
	Changed time.Time `json:"changed,omitzero"` // when its description was last changed; zero if it never was
	Removed time.Time `json:"removed,omitzero"` // zero if it is there

	owner  string // whose Configure made it: its scope in lower case
	closed string // scope that was open to everybody until it was made; "" for none

	// configured says of one that was made at run time that wiemu.yaml makes it, too: it was
	// removed before.
	configured bool
}

// ErrExists says that a principal has the role on the scope already.
var ErrExists = errors.New("the role assignment already exists")

// ErrNotAssignable says that a role cannot be assigned on a scope.
var ErrNotAssignable = errors.New("scope")

// Assign gives a role, by name or id, to a principal. A resource that was open to everybody
// is not any more when a role is assigned on it or below it. The assignment is returned
// with its id; if there is one like it, with ErrExists.
func (s *Set) Assign(a Assignment) (Assignment, error) {
	a, err := s.assign(a)
	if err == nil && !a.Made.IsZero() {
		s.record(a)
	}
	return a, err
}

func (s *Set) assign(a Assignment) (Assignment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.complete(&a); err != nil {
		return Assignment{}, err
	}
	if err := s.assignable(&a); err != nil {
		return Assignment{}, err
	}
	for _, other := range s.held[a.holder()] {
		if other.same(a) && other.Removed.IsZero() {
			return *other, ErrExists
		}
	}
	a.Made, a.Removed = time.Time{}, time.Time{}
	if s.started.IsZero() {
		s.put(&a)
		return a, nil
	}
	a.Made = s.config.Clock.Now()
	a.configured = slices.Contains(s.state.Removed, a.ID)
	change := Change{}
	for scope := range above(a.Scope) {
		if s.open[scope] != nil {
			change.Closed, a.closed = append(change.Closed, scope), scope
		}
	}
	change.Assigned = &a
	if err := s.store(change); err != nil {
		return Assignment{}, err
	}
	s.put(&a)
	return a, nil
}

// Describe gives an assignment that there is another description, and returns it as it is since.
// Who has the role, and since when, stays.
func (s *Set) Describe(id, description string) (Assignment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.assignments[strings.ToLower(id)]
	if old == nil || !old.Removed.IsZero() {
		return Assignment{}, fmt.Errorf("role assignment %q: expected one that there is", id)
	}
	changed := *old
	changed.Description, changed.Changed = description, s.config.Clock.Now()
	if err := s.store(Change{Assigned: &changed}); err != nil {
		return *old, err
	}
	s.put(&changed)
	return changed, nil
}

// Remove takes an assignment away by its id and returns it as it is since. It reports
// whether there was one.
func (s *Set) Remove(id string) (Assignment, bool, error) {
	removed, err := s.remove(strings.ToLower(id))
	if removed == nil || err != nil {
		return Assignment{}, removed != nil, err
	}
	s.record(*removed)
	return *removed, true, nil
}

func (s *Set) remove(id string) (*Assignment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.assignments[id]
	if old == nil || !old.Removed.IsZero() {
		return nil, nil
	}
	if err := s.store(Change{Unassigned: old.ID, Removed: old.Source != "" || old.configured}); err != nil {
		return old, err
	}
	removed := *old
	removed.Removed = s.config.Clock.Now()
	s.put(&removed)
	return &removed, nil
}

// assignable refuses a complete assignment where the role cannot be assigned. One that was
// made stays when the role's assignable scopes become others; s.mu is held.
func (s *Set) assignable(a *Assignment) error { return s.definition(a.Role).assignable(a.Scope) }

// put indexes an assignment in place of the one with its id, forgets those whose removal
// everybody has seen, and closes what was open; s.mu is held.
func (s *Set) put(a *Assignment) {
	if old := s.assignments[a.ID]; old != nil {
		s.held[old.holder()] = slices.DeleteFunc(s.held[old.holder()], func(o *Assignment) bool { return o == old })
	}
	now := s.config.Clock.Now()
	s.held[a.holder()] = append(slices.DeleteFunc(s.held[a.holder()], func(o *Assignment) bool {
		gone := !o.Removed.IsZero() && !o.effective(now, s.config.Delay)
		if gone {
			delete(s.assignments, o.ID)
		}
		return gone
	}), a)
	s.assignments[a.ID] = a
	if a.Removed.IsZero() {
		for scope := range above(a.Scope) {
			delete(s.open, scope)
		}
	}
}

func (a Assignment) same(b Assignment) bool {
	return a.Role == b.Role && strings.EqualFold(a.Scope, b.Scope) && a.PrincipalID == b.PrincipalID && a.ClientID == b.ClientID && a.Tenant == b.Tenant
}

// holder is the key of who has the role.
func (a Assignment) holder() string {
	if a.PrincipalID != "" {
		return objectKey(a.Tenant, a.PrincipalID)
	}
	return clientKey(a.Tenant, a.ClientID)
}

func objectKey(tenant, id string) string { return tenant + " object " + id }
func clientKey(tenant, id string) string { return tenant + " client " + id }

// effective reports whether the assignment counts at a time, if changes take delay until
// they are seen.
func (a *Assignment) effective(now time.Time, delay time.Duration) bool {
	return (a.Made.IsZero() || !now.Before(a.Made.Add(delay))) && (a.Removed.IsZero() || now.Before(a.Removed.Add(delay)))
}
