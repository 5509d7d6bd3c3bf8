package roles

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/tenants"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Config is what a set of roles works with. Only Clock is required.
type Config struct {
	Clock     clock.Clock
	Journal   *journals.Journal // of changes at run time
	Faults    *faults.Set
	Directory *tenants.Directory // names principals in texts
	// Delay is how long a change at run time is not seen, in lab time.
	Delay time.Duration
	// Subscriptions are those of the configuration by tenant, for the ids of resources that
	// have none. A tenant without one has one that is derived from its id.
	Subscriptions map[string]string
}

// Set holds definitions and assignments. It is safe for concurrent use.
type Set struct {
	config  Config
	builtin []*Definition // in the order of builtin.json

	mu          sync.RWMutex
	definitions map[string]*Definition   // by id
	assignments map[string]*Assignment   // by id; never modified
	held        map[string][]*Assignment // the same by holder
	open        map[string]*opening      // by scope in lower case
	started     time.Time                // when the configuration was complete; zero before
	keep        func(Change) error
	state       State
}

// opening is a resource that everybody may use as long as nothing restricts it.
type opening struct {
	tenant, note string
	told         atomic.Bool
}

// New returns a set with the built-in roles and no assignment.
func New(c Config) *Set {
	s := &Set{config: c, definitions: map[string]*Definition{}, assignments: map[string]*Assignment{}, held: map[string][]*Assignment{}, open: map[string]*opening{}}
	all := Builtin()
	for n := range all {
		s.builtin = append(s.builtin, &all[n])
		s.definitions[all[n].ID] = &all[n]
	}
	return s
}

// ResourceID is the id of a resource of a tenant, such as a vault of the type
// Microsoft.KeyVault/vaults, in the tenant's subscription and the resource group wiemu.
func (s *Set) ResourceID(tenant, kind, name string) string {
	return fmt.Sprintf("/subscriptions/%s/resourceGroups/wiemu/providers/%s/%s", cmp.Or(s.config.Subscriptions[tenant], tenants.SubscriptionID(tenant)), kind, name)
}

// Assignments returns those on scopes that accept lets pass, by their ids. If accept is
// nil, all do.
func (s *Set) Assignments(accept func(Assignment) bool) []Assignment {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []Assignment
	for _, id := range slices.Sorted(maps.Keys(s.assignments)) {
		if a := s.assignments[id]; a.Removed.IsZero() && (accept == nil || accept(*a)) {
			found = append(found, *a)
		}
	}
	return found
}

// Assignment returns one by its id.
func (s *Set) Assignment(id string) (Assignment, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a := s.assignments[strings.ToLower(id)]
	if a == nil || !a.Removed.IsZero() {
		return Assignment{}, false
	}
	return *a, true
}

// Held returns the assignments to a principal, by its object id or its client id, in no order.
func (s *Set) Held(tenant, objectID, clientID string) []Assignment {
	tenant = strings.ToLower(tenant)
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []Assignment
	for _, key := range []string{objectKey(tenant, strings.ToLower(objectID)), clientKey(tenant, strings.ToLower(clientID))} {
		for _, a := range s.held[key] {
			if a.Removed.IsZero() {
				found = append(found, *a)
			}
		}
	}
	return found
}

// Listed returns the assignments that accept lets pass, by scope and role: those that there
// are, seen or not, and those that were removed and are still seen.
func (s *Set) Listed(accept func(Assignment) bool) []Assignment {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []Assignment
	now := s.config.Clock.Now()
	for _, a := range s.assignments {
		if (a.Removed.IsZero() || a.effective(now, s.config.Delay)) && accept(*a) {
			found = append(found, *a)
		}
	}
	slices.SortFunc(found, func(a, b Assignment) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.Scope), strings.ToLower(b.Scope)), cmp.Compare(a.Role, b.Role), cmp.Compare(a.holder(), b.holder()), cmp.Compare(a.ID, b.ID))
	})
	return found
}

// Opened returns the scopes that everybody may use until a role is assigned there, in lower
// case and sorted.
func (s *Set) Opened() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.open))
}

// SeenFrom returns when the last change of an assignment is seen, in lab time; zero if it
// is seen now.
func (s *Set) SeenFrom(a Assignment) time.Time {
	changed := a.Made
	if !a.Removed.IsZero() {
		changed = a.Removed
	}
	if from := changed.Add(s.config.Delay); !changed.IsZero() && s.config.Clock.Now().Before(from) {
		return from
	}
	return time.Time{}
}

// Configure replaces the assignments that a resource's part of wiemu.yaml makes, by the
// resource's id. Those that stay keep the time since when they are there.
func (s *Set) Configure(resource string, all []Assignment) error {
	resource = strings.ToLower(resource)
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := map[string]bool{}
	for n := range all {
		a := &all[n]
		if err := s.complete(a); err != nil {
			return err
		}
		if err := s.assignable(a); err != nil {
			return err
		}
		a.owner = resource
		wanted[a.ID] = true
		if old := s.assignments[a.ID]; old != nil && old.Removed.IsZero() || slices.Contains(s.state.Removed, a.ID) {
			continue
		}
		if !s.started.IsZero() {
			a.Made = s.config.Clock.Now()
		}
		s.put(a)
	}
	for id, old := range s.assignments {
		if !wanted[id] && old.owner == resource && old.Removed.IsZero() {
			removed := *old
			removed.Removed = s.config.Clock.Now()
			s.put(&removed)
		}
	}
	return nil
}

// Open says that everybody of a tenant may use a resource as long as no role is assigned on
// it or below it, and none was at run time. note says so, in a sentence without a full stop; it is told once.
func (s *Set) Open(tenant, scope, note string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.assignments {
		if a.Removed.IsZero() && Within(a.Scope, scope) {
			return
		}
	}
	key := strings.ToLower(scope)
	if slices.Contains(s.state.Closed, key) {
		return
	}
	if old := s.open[key]; old == nil || old.note != note {
		s.open[key] = &opening{tenant: strings.ToLower(tenant), note: note}
	}
}

// Restrict says that nobody may use a resource without a role.
func (s *Set) Restrict(scope string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, strings.ToLower(scope))
}

// complete checks an assignment and fills in its ids; s.mu is held.
func (s *Set) complete(a *Assignment) error {
	d := s.definition(a.Role)
	if d == nil {
		var names []string
		for _, known := range s.ordered() {
			names = append(names, known.Name)
		}
		return fmt.Errorf("role %q: expected the name or id of a role%s", a.Role, yamlfile.DidYouMeanAside(a.Role, names))
	}
	a.Role = d.ID
	a.Tenant, a.PrincipalID, a.ClientID = strings.ToLower(a.Tenant), strings.ToLower(a.PrincipalID), strings.ToLower(a.ClientID)
	if (a.PrincipalID == "") == (a.ClientID == "") {
		return fmt.Errorf("assignment of %s: expected an object id or a client id, found %q and %q", d.Name, a.PrincipalID, a.ClientID)
	}
	a.Scope = "/" + strings.Trim(a.Scope, "/")
	if !ValidScope(a.Scope) {
		return fmt.Errorf("assignment of %s: %w: expected a resource id such as /subscriptions/ID/resourceGroups/NAME, found %q", d.Name, ErrNotAssignable, a.Scope)
	}
	if a.ID = strings.ToLower(a.ID); a.ID == "" {
		a.ID = tenants.StableID("role assignment", a.Tenant, a.PrincipalID, a.ClientID, a.Role, strings.ToLower(a.Scope))
	}
	return nil
}

// Summary says in a sentence without a full stop what the last change of an assignment did,
// and from when on it is seen.
func (s *Set) Summary(a Assignment) string {
	role, _ := s.Definition(a.Role)
	has, end := "has", ""
	if !a.Removed.IsZero() {
		has, end = "does not have", " any more"
	}
	who := cmp.Or(a.PrincipalID, a.ClientID)
	if p := s.principal(a); p != nil {
		who = p.DisplayName
	}
	if who == Everyone {
		who = "every identity"
	}
	text := fmt.Sprintf("%s %s the role %s on %s%s", who, has, role.Name, Short(a.Scope), end)
	if a.closed != "" {
		text += "; until now it was open to everybody"
	}
	if from := s.SeenFrom(a); !from.IsZero() {
		text += "; that is seen from " + from.Format(time.RFC3339) + " on"
	}
	return text
}

func (s *Set) principal(a Assignment) *directory.Principal {
	if s.config.Directory == nil {
		return nil
	}
	if a.PrincipalID != "" {
		p, _ := s.config.Directory.PrincipalByObjectID(a.Tenant, a.PrincipalID)
		return p
	}
	p, _ := s.config.Directory.Principal(a.Tenant, a.ClientID)
	return p
}
