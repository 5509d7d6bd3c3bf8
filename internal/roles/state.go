package roles

import (
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/journal"
)

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
