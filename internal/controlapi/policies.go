package controlapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/redis"
	"github.com/wiemu/wiemu/internal/roles"
)

// cache returns the cache on which a change assigns a data access policy, in place of an Azure role:
// caches have those. ok is false if it is about a role. A name that something else has, too, is
// the cache's if the role is one of its policies.
func (s *Server) cache(c control.RoleChange) (name string, ok bool) {
	name, exact, ok := s.lab.Redis().Find(c.Scope)
	if !ok || exact {
		return name, ok
	}
	_, err := s.lab.Scope(c.Scope)
	_, known := s.policy(name, c.Role)
	return name, err != nil || known
}

// policy returns the data access policy of a cache by its name in any case, as roles are found.
func (s *Server) policy(cache, name string) (string, bool) {
	names := s.lab.Redis().Policies(cache)
	at := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
	if at < 0 {
		return "", false
	}
	return names[at], true
}

// changePolicy assigns a data access policy, or removes it.
func (s *Server) changePolicy(c control.RoleChange, cache string, assign bool) (any, error) {
	caches := s.lab.Redis()
	tenant, id := caches.Scope(cache)
	who, err := s.holder(tenant, c.Identity)
	if err != nil {
		return nil, err
	}
	policy, ok := s.policy(cache, c.Role)
	if !ok {
		return nil, &control.StatusError{Status: http.StatusNotFound, Field: "role", Err: fmt.Errorf("role %q: expected a data access policy of the cache %s: %s; what is in a cache is not opened by Azure roles", c.Role, cache, strings.Join(caches.Policies(cache), ", "))}
	}
	has := func(a redis.Assignment) bool { return a.ClientID == who.clientID && a.Policy == policy }
	before, open := caches.Assignments(cache)
	at := slices.IndexFunc(before, has)
	switch {
	case assign && at >= 0:
		text := fmt.Errorf("%s has the data access policy %s on %s already", who.name, policy, roles.Short(id))
		if source := before[at].Source; source != "" {
			text = fmt.Errorf("%w, by %s of wiemu.yaml", text, source)
		}
		return nil, &control.StatusError{Status: http.StatusConflict, Err: text}
	case !assign && at < 0:
		return nil, &control.StatusError{Status: http.StatusNotFound, Field: "role", Err: fmt.Errorf("%s does not have the data access policy %s on %s; it has %s", who.name, policy, roles.Short(id), heldPolicies(before, who, open))}
	case assign:
		err = caches.Grant(cache, who.clientID, policy)
	default:
		err = caches.Remove(cache, who.clientID, policy)
	}
	if err != nil {
		return nil, err
	}
	made := redis.Assignment{Tenant: tenant, ClientID: who.clientID, Policy: policy, Scope: id}
	summary := fmt.Sprintf("%s has the data access policy %s on %s", who.name, policy, roles.Short(id))
	switch {
	case !assign:
		made = before[at]
		summary = fmt.Sprintf("%s does not have the data access policy %s on %s any more; a connection keeps it until it logs in again", who.name, policy, roles.Short(id))
	case open:
		summary += "; until now it was open to everybody"
	}
	s.lab.Journal().Record(journal.Event{
		Kind: journal.Directory, Outcome: journal.OK, Tenant: tenant, ClientID: who.clientID, ObjectID: who.objectID, Identity: who.name,
		Detail: map[string]string{"policy": policy, "scope": id}, Summary: summary,
	})
	changed := control.RoleChanged{RoleAssignment: s.policyAssignment(made, who), Summary: summary}
	changed.Removed = !assign
	return changed, nil
}

func heldPolicies(all []redis.Assignment, who holder, open bool) string {
	var names []string
	for _, a := range all {
		if a.ClientID == who.clientID {
			names = append(names, a.Policy)
		}
	}
	switch {
	case len(names) > 0:
		return strings.Join(names, ", ")
	case open:
		return "none, but the cache is open to everybody until a policy is assigned"
	}
	return "none"
}

func (s *Server) policyAssignment(a redis.Assignment, who holder) control.RoleAssignment {
	out := control.RoleAssignment{Tenant: a.Tenant, Identity: who.name, ClientID: who.clientID, ObjectID: who.objectID, Role: a.Policy, Scope: a.Scope, Source: a.Source}
	if a.ClientID == roles.Everyone {
		out.Identity, out.ClientID = roles.Everyone, ""
	}
	return out
}

// policies adds the data access policies of caches to what is listed.
func (s *Server) policies(listed *control.Roles, near func(scope string) bool, who holder) {
	caches := s.lab.Redis()
	for _, name := range caches.Names() {
		tenant, id := caches.Scope(name)
		if !near(id) {
			continue
		}
		all, open := caches.Assignments(name)
		if open {
			listed.Open = append(listed.Open, strings.ToLower(id))
		}
		for _, a := range all {
			if who != (holder{}) && (a.ClientID != who.clientID || !strings.EqualFold(tenant, who.tenant)) {
				continue
			}
			of := holder{clientID: a.ClientID, name: a.ClientID}
			if p, ok := s.lab.Directory().Principal(tenant, a.ClientID); ok {
				of = holderOf(tenant, p)
			}
			listed.Assignments = append(listed.Assignments, s.policyAssignment(a, of))
		}
	}
}

// scopes are what a text names: where roles are assigned, and where policies are.
func (s *Server) scopes(text string) ([]resource.Scope, error) {
	var all []resource.Scope
	name, exact, ok := s.lab.Redis().Find(text)
	if ok {
		tenant, id := s.lab.Redis().Scope(name)
		all = append(all, resource.Scope{Tenant: tenant, ID: id})
	}
	if exact {
		return all, nil
	}
	on, err := s.scope(text)
	if err == nil {
		all = append(all, on)
	}
	if len(all) == 0 {
		return nil, err
	}
	return all, nil
}
