package controlapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/roles"
)

func (s *Server) handleRoles() {
	s.Handle(http.MethodGet, "/v1/roles", s.roles)
	s.Handle(http.MethodPost, "/v1/roles/assign", s.changesRole(true, s.assignRole))
	s.Handle(http.MethodPost, "/v1/roles/remove", s.changesRole(false, s.removeRole))
}

// changesRole assigns a role, or takes it away, by change; on a cache it is a data access policy.
func (s *Server) changesRole(assign bool, change func(wantedRole, resource.Scope) (any, error)) Action {
	return withBody(func(_ *http.Request, c control.RoleChange) (any, error) {
		if cache, ok := s.cache(c); ok {
			return s.changePolicy(c, cache, assign)
		}
		wanted, on, err := s.wanted(c)
		if err != nil {
			return nil, err
		}
		return change(wanted, on)
	})
}

// roles answers with the assignments of ?identity= on ?scope=, above it and below it.
func (s *Server) roles(r *http.Request) (any, error) {
	q := r.URL.Query()
	var who holder
	var on []resource.Scope
	var err error
	tenant := ""
	if text := q.Get("scope"); text != "" {
		if on, err = s.scopes(text); err != nil {
			return nil, err
		}
		tenant = on[0].Tenant
	}
	if text := q.Get("identity"); text != "" {
		if who, err = s.holder(tenant, text); err != nil {
			return nil, err
		}
	}
	near := func(scope string) bool {
		return on == nil || slices.ContainsFunc(on, func(at resource.Scope) bool {
			return roles.Within(at.ID, scope) || roles.Within(scope, at.ID)
		})
	}
	set := s.lab.Roles()
	listed := control.Roles{Assignments: []control.RoleAssignment{}}
	for _, a := range set.Listed(func(a roles.Assignment) bool { return near(a.Scope) && (who == holder{} || who.has(a)) }) {
		listed.Assignments = append(listed.Assignments, s.roleAssignment(a))
	}
	for _, scope := range set.Opened() {
		if near(scope) {
			listed.Open = append(listed.Open, scope)
		}
	}
	s.policies(&listed, near, who)
	return listed, nil
}

func (s *Server) assignRole(wanted wantedRole, on resource.Scope) (any, error) {
	set := s.lab.Roles()
	if same := set.Assignments(wanted.same); len(same) > 0 { // for its client id, or its object id
		text := fmt.Sprintf("%s has the role %s on %s already", wanted.holder.name, wanted.role.Name, roles.Short(on.ID))
		if source := same[0].Source; source != "" {
			text += ", by " + source + " of wiemu.yaml"
		}
		return nil, &control.StatusError{Status: http.StatusConflict, Err: errors.New(text)}
	}
	made, err := set.Assign(roles.Assignment{Tenant: wanted.holder.tenant, ClientID: wanted.holder.clientID, Role: wanted.role.ID, Scope: on.ID})
	if err != nil {
		return nil, err
	}
	return s.roleChanged(made, on), nil
}

func (s *Server) removeRole(wanted wantedRole, on resource.Scope) (any, error) {
	set := s.lab.Roles()
	found := set.Assignments(wanted.same)
	if len(found) == 0 {
		return nil, &control.StatusError{Status: http.StatusNotFound, Err: fmt.Errorf("%s does not have the role %s on %s; it has %s", wanted.holder.name, wanted.role.Name, roles.Short(on.ID), s.held(wanted.holder)), Field: "role"}
	}
	var removed roles.Assignment
	var err error
	for _, a := range found { // of its client id, and of its object id
		if removed, _, err = set.Remove(a.ID); err != nil {
			return nil, err
		}
	}
	return s.roleChanged(removed, on), nil
}

// held are the roles of an identity in words.
func (s *Server) held(who holder) string {
	var all []string
	for _, a := range s.lab.Roles().Assignments(who.has) {
		role, _ := s.lab.Roles().Definition(a.Role)
		all = append(all, role.Name+" on "+roles.Short(a.Scope))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

type wantedRole struct {
	holder holder
	role   roles.Definition
	scope  string
}

func (w wantedRole) same(a roles.Assignment) bool {
	return w.holder.has(a) && a.Role == w.role.ID && strings.EqualFold(a.Scope, w.scope)
}

func (s *Server) wanted(c control.RoleChange) (wantedRole, resource.Scope, error) {
	on, err := s.scope(c.Scope)
	if err != nil {
		return wantedRole{}, on, err
	}
	who, err := s.holder(cmp.Or(c.Tenant, on.Tenant), c.Identity)
	if err != nil {
		return wantedRole{}, on, err
	}
	if on.Tenant != "" && who.tenant != on.Tenant {
		return wantedRole{}, on, &control.StatusError{Status: http.StatusBadRequest, Err: fmt.Errorf("%s is in tenant %s: expected one of the tenant %s, which %s is in", who.name, who.tenant, on.Tenant, roles.Short(on.ID)), Field: "tenant"}
	}
	role, ok := s.lab.Roles().Definition(c.Role)
	if !ok {
		expected, fix := s.lab.Roles().CheckName(c.Role)
		return wantedRole{}, on, &control.StatusError{Status: http.StatusNotFound, Err: fmt.Errorf("role %q: expected %s; %s", c.Role, expected, fix), Field: "role"}
	}
	return wantedRole{who, role, on.ID}, on, nil
}

func (s *Server) scope(text string) (resource.Scope, error) {
	on, err := s.lab.Scope(text)
	if err != nil {
		err = &control.StatusError{Status: http.StatusNotFound, Err: err, Field: "scope"}
	}
	return on, err
}

// holder is an identity that has roles; the zero value is nobody.
type holder struct{ tenant, clientID, objectID, name string }

func (h holder) has(a roles.Assignment) bool {
	return a.Tenant == h.tenant && (a.ClientID != "" && a.ClientID == h.clientID || a.PrincipalID != "" && a.PrincipalID == h.objectID)
}

// holder finds who is called by a name, a client id or an object id, or each of the tenant.
func (s *Server) holder(tenant, name string) (holder, error) {
	if name == roles.Everyone {
		tenant = cmp.Or(tenant, s.lab.Config().Tenants[0].ID)
		t, known := s.lab.Directory().Tenant(tenant)
		if !known {
			return holder{}, unknownTenant(tenant)
		}
		return holder{strings.ToLower(t.ID), roles.Everyone, "", "every identity"}, nil
	}
	for _, t := range s.lab.Directory().Tenants() {
		if p, ok := s.lab.Directory().PrincipalByObjectID(t.ID, strings.ToLower(name)); ok && (tenant == "" || strings.EqualFold(tenant, t.ID) || slices.Contains(t.Domains, tenant)) {
			return holderOf(t.ID, p), nil
		}
	}
	p, in, err := s.identity(tenant, name)
	if err != nil {
		return holder{}, err
	}
	return holderOf(in, p), nil
}

func holderOf(tenant string, p *directory.Principal) holder {
	return holder{strings.ToLower(tenant), strings.ToLower(p.ClientID), strings.ToLower(p.ObjectID), p.DisplayName}
}

func (s *Server) roleChanged(a roles.Assignment, on resource.Scope) control.RoleChanged {
	changed := control.RoleChanged{RoleAssignment: s.roleAssignment(a), Summary: s.lab.Roles().Summary(a)}
	if on.Note != "" {
		changed.Summary += "; " + on.Note
	}
	return changed
}

func (s *Server) roleAssignment(a roles.Assignment) control.RoleAssignment {
	role, _ := s.lab.Roles().Definition(a.Role)
	out := control.RoleAssignment{
		ID: a.ID, Tenant: a.Tenant, Identity: a.ClientID, ClientID: a.ClientID, ObjectID: a.PrincipalID,
		Role: role.Name, RoleID: a.Role, Scope: a.Scope, Source: a.Source, Removed: !a.Removed.IsZero(), SeenFrom: s.lab.Roles().SeenFrom(a),
	}
	find := func() (*directory.Principal, bool) { return s.lab.Directory().Principal(a.Tenant, a.ClientID) }
	if a.PrincipalID != "" {
		out.Identity = a.PrincipalID
		find = func() (*directory.Principal, bool) {
			return s.lab.Directory().PrincipalByObjectID(a.Tenant, a.PrincipalID)
		}
	}
	if p, ok := find(); ok {
		out.Identity, out.ClientID, out.ObjectID = p.DisplayName, p.ClientID, p.ObjectID
	}
	if out.ClientID == roles.Everyone {
		out.ClientID = ""
	}
	return out
}
