package roles

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/tenants"
	"github.com/wiemu/wiemu/internal/yamlfile"
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

// State is what changed at run time: what has to be stored to have it again.
type State struct {
	Assignments []Assignment `json:"assignments,omitempty"` // that were made
	Removed     []string     `json:"removed,omitempty"`     // ids of assignments of wiemu.yaml that were taken away
	Definitions []Definition `json:"definitions,omitempty"` // custom roles
	Closed      []string     `json:"closed,omitempty"`      // scopes in lower case that were open until a role was assigned
}

// Change is one change of a State; each field that is set is one.
type Change struct {
	Assigned   *Assignment `json:"assigned,omitempty"`   // that was made; one with its id is replaced
	Closed     []string    `json:"closed,omitempty"`     // scopes in lower case
	Unassigned string      `json:"unassigned,omitempty"` // id of an assignment that was taken away
	Removed    bool        `json:"removed,omitempty"`    // Unassigned is one of wiemu.yaml
	Defined    *Definition `json:"defined,omitempty"`    // custom role
	Undefined  string      `json:"undefined,omitempty"`  // id of a custom role
}

// Apply makes a change. It modifies what the state's slices hold.
func (s *State) Apply(c Change) {
	if a := c.Assigned; a != nil {
		s.Assignments = append(slices.DeleteFunc(s.Assignments, func(o Assignment) bool { return o.ID == a.ID }), *a)
		s.Removed = slices.DeleteFunc(s.Removed, func(id string) bool { return id == a.ID })
	}
	s.Closed = append(s.Closed, c.Closed...)
	if id := c.Unassigned; id != "" {
		s.Assignments = slices.DeleteFunc(s.Assignments, func(o Assignment) bool { return o.ID == id })
		if c.Removed && !slices.Contains(s.Removed, id) {
			s.Removed = append(s.Removed, id)
		}
	}
	if d := c.Defined; d != nil {
		s.Definitions = append(slices.DeleteFunc(s.Definitions, func(o Definition) bool { return o.ID == d.ID }), *d)
	}
	if id := c.Undefined; id != "" {
		s.Definitions = slices.DeleteFunc(s.Definitions, func(o Definition) bool { return o.ID == id })
	}
}

// Clone returns a copy of which Apply does not change the original.
func (s State) Clone() State {
	return State{slices.Clone(s.Assignments), slices.Clone(s.Removed), slices.Clone(s.Definitions), slices.Clone(s.Closed)}
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

// Start says that the configuration is complete: what changes from now on was not always
// so. state is what changed in an earlier run, and keep is called with each change before it
// takes effect; both may be nil.
func (s *Set) Start(state *State, keep func(Change) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started, s.keep = s.config.Clock.Now(), keep
	if state == nil {
		return nil
	}
	s.state = state.Clone()
	for n := range s.state.Definitions {
		d := s.state.Definitions[n] // a copy: State.Apply moves what is in the slice
		switch {
		case uuid.Validate(d.ID) != nil || IsBuiltin(d.ID):
			return fmt.Errorf("definitions[%d].id: expected the GUID of a custom role, found %q", n, d.ID)
		case d.Name == "":
			return fmt.Errorf("definitions[%d].name: expected the name of the role, found none", n)
		}
		s.definitions[d.ID] = &d
	}
	for n := range s.state.Assignments {
		a := s.state.Assignments[n]
		if s.definition(a.Role) == nil && uuid.Validate(a.Role) == nil {
			continue // a custom role that wiemu.yaml does not define any more
		}
		if err := s.complete(&a); err != nil {
			return fmt.Errorf("assignments[%d]: %w", n, err)
		}
		a.configured = s.assignments[a.ID] != nil
		s.put(&a)
	}
	for _, scope := range s.state.Closed {
		delete(s.open, scope)
	}
	for _, id := range s.state.Removed {
		if a := s.assignments[id]; a != nil {
			removed := *a
			removed.Removed = s.started.Add(-s.config.Delay)
			s.put(&removed)
		}
	}
	return nil
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

// above are a scope and those that it is in, in lower case.
func above(scope string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for scope = strings.ToLower(scope); scope != "" && yield(scope); {
			scope = scope[:strings.LastIndexByte(scope, '/')]
		}
	}
}

// store keeps a change that is to survive a restart; s.mu is held.
func (s *Set) store(c Change) error {
	if s.started.IsZero() {
		return nil
	}
	if s.keep != nil {
		if err := s.keep(c); err != nil {
			return fmt.Errorf("keep role assignments: %w", err)
		}
	}
	s.state.Apply(c)
	return nil
}

func (s *Set) record(a Assignment) {
	if s.config.Journal == nil {
		return
	}
	role, _ := s.Definition(a.Role)
	e := journal.Event{
		Kind: journal.Directory, Outcome: journal.OK, Tenant: a.Tenant, ClientID: a.ClientID, ObjectID: a.PrincipalID,
		Detail: map[string]string{"role": role.Name, "scope": a.Scope}, Summary: s.Summary(a),
	}
	if p := s.principal(a); p != nil {
		e.ClientID, e.ObjectID, e.Identity = p.ClientID, p.ObjectID, p.DisplayName
	}
	s.config.Journal.Record(e)
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

// ValidScope reports whether a text can be the id of something that roles are assigned on:
// of a subscription, a resource group, a resource, a management group, or / for everything.
func ValidScope(scope string) bool {
	return scope == "/" || strings.HasPrefix(scope, "/") && (Within(scope, "/subscriptions") || Within(scope, "/providers"))
}

// Within reports whether a scope is another one or below it. Letter case does not matter.
func Within(scope, above string) bool {
	scope, above = strings.Trim(scope, "/"), strings.Trim(above, "/")
	return above == "" || len(scope) >= len(above) && strings.EqualFold(scope[:len(above)], above) && (len(scope) == len(above) || scope[len(above)] == '/')
}

// Short is a scope without the subscription and resource group that a resource is in.
func Short(scope string) string {
	lower := httppath.Lower(scope)
	if _, resource, ok := cutFold(scope, lower, "/providers/"); ok && strings.HasPrefix(lower, "/subscriptions/") {
		return resource
	}
	if before, group, ok := cutFold(scope, lower, "/resourcegroups/"); ok {
		return "resource group " + group + " of " + strings.TrimPrefix(before[1:], "subscriptions/")
	}
	if id, ok := strings.CutPrefix(lower, "/subscriptions/"); ok {
		return "subscription " + id
	}
	return scope
}

func cutFold(text, lower, separator string) (before, after string, ok bool) {
	i := strings.Index(lower, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}
