package roles

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
)

// Request is what somebody wants to do.
type Request struct {
	Tenant, ObjectID, ClientID string // of the principal
	Scope                      string // resource id of what is used
	// Needs are the actions, one of these lists is enough, and of it all are needed.
	Needs [][]Action
	// About is what faults know of the request.
	About faults.Subject
}

// Decision is whether a request may be made, and why.
type Decision struct {
	Allowed bool
	By      Assignment // that permitted it; zero if the resource is open to everybody
	Note    string     // what is to be told of it, once; usually ""

	request   Request
	held      []named // roles that the principal has on the scope
	pending   []named // roles that would permit it and are not seen yet
	elsewhere []named // roles that would permit it on another scope
	mistaken  []named // roles that would permit it, for an object id that is the principal's client id
	least     *Definition
	open      bool
	delay     time.Duration // with which it was decided
}

type named struct {
	*Assignment
	role *Definition
}

func (n named) String() string { return n.role.Name + " on " + Short(n.Scope) }

// Allowed decides about a request.
func (s *Set) Allowed(ctx context.Context, r Request) Decision {
	d := s.Decide(r)
	if !d.Allowed || d.open || !s.config.Faults.Any() {
		return d
	}
	late := d
	if _, hit := s.config.Faults.HitCall(ctx, faultkind.AssignmentDelayed, r.About, func(h faults.Hit) bool {
		late = s.decide(r, max(s.config.Delay, h.Duration("delay")), s.started)
		return !late.Allowed
	}); !hit { // such as one that has hit as often as it may
		return d
	}
	return late
}

// Decide is [Set.Allowed] for an explanation: no fault hits it.
func (s *Set) Decide(r Request) Decision { return s.decide(r, s.config.Delay, time.Time{}) }

// decide decides as if changes took delay until they are seen; assignments that have always
// been there count as made at since, if that is not zero.
func (s *Set) decide(r Request, delay time.Duration, since time.Time) Decision {
	r.Tenant, r.ObjectID, r.ClientID = strings.ToLower(r.Tenant), strings.ToLower(r.ObjectID), strings.ToLower(r.ClientID)
	d := Decision{request: r, delay: delay}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for scope := range above(r.Scope) {
		if o := s.open[scope]; o != nil && o.tenant == r.Tenant {
			d.Allowed, d.open = true, true
			if !o.told.Swap(true) {
				d.Note = o.note
			}
			return d
		}
	}
	now := s.config.Clock.Now()
	for _, key := range []string{objectKey(r.Tenant, r.ObjectID), clientKey(r.Tenant, r.ClientID), clientKey(r.Tenant, Everyone)} {
		for _, a := range s.held[key] {
			if a.Made.IsZero() && !since.IsZero() {
				dated := *a
				dated.Made, a = since, &dated
			}
			n := named{a, s.definitions[a.Role]}
			switch {
			case n.role == nil:
			case !Within(r.Scope, a.Scope):
				if a.Removed.IsZero() && permits(r.Needs, n.role) {
					d.elsewhere = append(d.elsewhere, n)
				}
			case a.effective(now, delay):
				d.held = append(d.held, n)
			case a.Removed.IsZero() && permits(r.Needs, n.role):
				d.pending = append(d.pending, n)
			}
		}
	}
	if by := permitting(r.Needs, d.held); by != nil {
		d.Allowed, d.By = true, *by
		return d
	}
	for _, a := range s.held[objectKey(r.Tenant, r.ClientID)] {
		if n := (named{a, s.definitions[a.Role]}); a.Removed.IsZero() && n.role != nil && Within(r.Scope, a.Scope) && permits(r.Needs, n.role) {
			d.mistaken = append(d.mistaken, n)
		}
	}
	for _, role := range s.ordered() {
		if permits(r.Needs, role) {
			d.least = role
			break
		}
	}
	return d
}

// permits reports whether one role is enough.
func permits(needs [][]Action, role *Definition) bool {
	return slices.ContainsFunc(needs, func(all []Action) bool {
		return !slices.ContainsFunc(all, func(a Action) bool { return !role.Permits(a) })
	})
}

// permitting returns the assignment that permits the first action of a list that the roles
// together permit; nil if they permit none.
func permitting(needs [][]Action, held []named) *Assignment {
	for _, all := range needs {
		var by *Assignment
		missing := false
		for _, a := range all {
			i := slices.IndexFunc(held, func(n named) bool { return n.role.Permits(a) })
			if i < 0 {
				missing = true
				break
			}
			by = cmp.Or(by, held[i].Assignment)
		}
		if by != nil && !missing {
			return by
		}
	}
	return nil
}

// Expected is what was looked for, for the check of a journal.
func (d Decision) Expected() string {
	return fmt.Sprintf("a role with %s on %s", d.needed(), Short(d.request.Scope))
}

// needed are the actions in words.
func (d Decision) needed() string {
	var lists []string
	for _, all := range d.request.Needs {
		var names []string
		for _, a := range all {
			kind := "the action "
			if a.Data {
				kind = "the data action "
			}
			names = append(names, kind+a.Name)
		}
		lists = append(lists, strings.Join(names, " and "))
	}
	return strings.Join(lists, ", or ")
}

// Presented is what the principal has, for the check of a journal.
func (d Decision) Presented() string {
	switch {
	case d.open:
		return "open to everybody"
	case d.Allowed:
		for _, n := range d.held {
			if n.ID == d.By.ID {
				return n.String() + d.By.origin()
			}
		}
	}
	var all []string
	for _, n := range d.held {
		all = append(all, n.String())
	}
	for _, n := range d.pending {
		all = append(all, n.String()+", not seen yet")
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, "; ")
}

func (a Assignment) origin() string {
	if a.Source == "" {
		return ""
	}
	return ", " + a.Source + " of wiemu.yaml"
}

// Meaning is why the request is refused.
func (d Decision) Meaning() string {
	why := fmt.Sprintf("The token is good, but its identity has no role with %s on %s.", d.needed(), Short(d.request.Scope))
	switch {
	case len(d.pending) > 0:
		n := d.pending[0]
		return fmt.Sprintf("The token is good, and the role %s is assigned, but not seen yet: it was at %s and is seen from %s on. It takes minutes until every server knows of a role assignment.",
			n, n.Made.Format(time.RFC3339), n.Made.Add(d.delay).Format(time.RFC3339))
	case len(d.mistaken) > 0:
		return fmt.Sprintf("%s %s is assigned to %s, which is the identity's client id: a role assignment names the object id of the service principal.", why, d.mistaken[0], d.request.ClientID)
	case len(d.elsewhere) > 0:
		return fmt.Sprintf("%s It has %s, which is not above that.", why, d.elsewhere[0])
	}
	var managing []string
	for _, n := range d.held {
		if !n.role.opensData() && !slices.Contains(managing, n.role.Name) {
			managing = append(managing, n.role.Name)
		}
	}
	if len(managing) > 0 && d.needsData() {
		return fmt.Sprintf("%s It has %s, which is for managing the resource: a role without data actions opens none of the data, not even Owner and Contributor.", why, strings.Join(managing, " and "))
	}
	return why
}

func (d Decision) needsData() bool {
	return slices.ContainsFunc(slices.Concat(d.request.Needs...), func(a Action) bool { return a.Data })
}

// Remedy says which role to assign on which scope, in words of the resource. entry returns
// what to add to which list of wiemu.yaml to assign a role.
func (d Decision) Remedy(scope string, entry func(role string) string) string {
	switch {
	case len(d.pending) > 0:
		return "Try again later, with growing pauses, or assign the role before the program starts."
	case d.least == nil:
		return fmt.Sprintf("No role known here has %s.", d.needed())
	}
	return fmt.Sprintf("Assign the role %s on %s, the least one that is enough. In wiemu.yaml, add to %s", d.least.Name, scope, entry(d.least.Name))
}

// HasBelow reports whether the principal has a role on something below a scope that is of
// use for the request: on what it is about, or elsewhere and enough there.
func (d Decision) HasBelow(scope string) bool {
	return slices.ContainsFunc(slices.Concat(d.held, d.pending, d.elsewhere), func(n named) bool {
		return Within(n.Scope, scope) && !Within(scope, n.Scope)
	})
}

// Role is the name of the least role that would permit a refused request; "" if none does.
func (d Decision) Role() string {
	if d.least == nil {
		return ""
	}
	return d.least.Name
}
