package authorization

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	"github.com/wiemu/wiemu/internal/roles"
)

// shown is a definition or an assignment, in the order of the provider's members.
type shown[P any] struct {
	Properties P      `json:"properties"`
	ID         string `json:"id"`
	Type       string `json:"type"`
	Name       string `json:"name"`
}

type definition = shown[definitionProperties]

type definitionProperties struct {
	RoleName         string       `json:"roleName"`
	Type             string       `json:"type"`
	Description      string       `json:"description"`
	AssignableScopes []string     `json:"assignableScopes"`
	Permissions      []permission `json:"permissions"`
	CreatedOn        string       `json:"createdOn"`
	UpdatedOn        string       `json:"updatedOn"`
	CreatedBy        *string      `json:"createdBy"`
	UpdatedBy        *string      `json:"updatedBy"`
}

type permission struct {
	Actions        []string `json:"actions"`
	NotActions     []string `json:"notActions"`
	DataActions    []string `json:"dataActions"`
	NotDataActions []string `json:"notDataActions"`
}

const (
	builtinRole = "BuiltInRole"
	customRole  = "CustomRole"
)

// shownDefinition is a role as a client sees it that asks on a scope.
func shownDefinition(d roles.Definition, asked string) definition {
	made := definition{ID: definitionID(asked, d.ID), Type: definitionType, Name: d.ID}
	made.Properties = definitionProperties{
		RoleName: d.Name, Type: customRole, Description: d.Description, AssignableScopes: slices.Clone(d.AssignableScopes), CreatedOn: date(d.CreatedAt), UpdatedOn: date(d.UpdatedAt),
	}
	if roles.IsBuiltin(d.ID) {
		made.Properties.Type = builtinRole
	}
	if len(made.Properties.AssignableScopes) == 0 {
		made.Properties.AssignableScopes = []string{"/"}
	}
	for _, p := range d.Permissions {
		made.Properties.Permissions = append(made.Properties.Permissions, permission{orEmpty(p.Actions), orEmpty(p.NotActions), orEmpty(p.DataActions), orEmpty(p.NotDataActions)})
	}
	return made
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// listDefinitions lists the roles that can be assigned on a scope, as far as the filter lets them pass.
// Source: azure-docs, role-based-access-control/role-definitions-list.md (the filters).
func (s *service) listDefinitions(c *rest.Call) (rest.Reply, *resource.Failure) {
	scope, _ := scopeOf(c)
	if failed := known(c, scope); failed != nil {
		return rest.Reply{}, failed
	}
	name, kind, failed := definitionFilter(c)
	if failed != nil {
		return rest.Reply{}, failed
	}
	var all []definition
	for _, d := range s.Kit.Roles.Definitions() {
		if !ofTenant(c, d) {
			continue
		}
		shown := shownDefinition(d, scope)
		near := slices.ContainsFunc(shown.Properties.AssignableScopes, func(at string) bool { return roles.Within(scope, at) || roles.Within(at, scope) })
		if near && (name == "" || strings.EqualFold(d.Name, name)) && (kind == "" || strings.EqualFold(shown.Properties.Type, kind)) {
			all = append(all, shown)
		}
	}
	return rest.PageOf(c, all)
}

// definitionFilter reads $filter: roleName eq '…', type eq '…', atScope() and atScopeAndBelow().
// The text of the refusal is inferred.
func definitionFilter(c *rest.Call) (name, kind string, failed *resource.Failure) {
	text := c.Query("$filter")
	if text == "" {
		return "", "", nil
	}
	for _, term := range strings.Split(text, " and ") {
		term = strings.TrimSpace(term)
		lower := strings.ToLower(term)
		_, value, _ := strings.Cut(term, "'")
		value = strings.ReplaceAll(strings.TrimSuffix(value, "'"), "''", "'")
		switch {
		case lower == "atscope()", lower == "atscopeandbelow()":
		case strings.HasPrefix(lower, "rolename eq '"):
			name = value
		case strings.HasPrefix(lower, "type eq '"):
			kind = value
		default:
			return "", "", rest.BadRequest("InvalidFilter", fmt.Sprintf("The filter '%s' is not supported.", text), "Role definitions are filtered by roleName eq '…', type eq '…', atScope() and atScopeAndBelow().")
		}
	}
	return name, kind, nil
}

// ofTenant reports whether a role is one of the caller's tenant. The assignable scopes of a
// custom role are of one tenant; one of wiemu.yaml that has none is in each.
func ofTenant(c *rest.Call, d roles.Definition) bool {
	return len(d.AssignableScopes) == 0 || slices.ContainsFunc(d.AssignableScopes, func(scope string) bool { return !c.Foreign(scope) })
}

// role is the one of the caller's tenant with an id.
func (s *service) role(c *rest.Call, id string) (roles.Definition, bool) {
	d, ok := s.Kit.Roles.Definition(id)
	return d, ok && rest.IsGUID(id) && ofTenant(c, d)
}

// getDefinition is in the words of Azure/terraform-azurerm-caf-enterprise-scale, its page of
// errors (404); the id without hyphens is that of Azure/bicep#3366.
func (s *service) getDefinition(c *rest.Call) (rest.Reply, *resource.Failure) {
	scope, name := scopeOf(c)
	d, ok := s.role(c, name)
	if !ok {
		return rest.Reply{}, resource.Fail(http.StatusNotFound, "RoleDefinitionDoesNotExist", fmt.Sprintf("The specified role definition with ID '%s' does not exist.", compact(name)), "There is no such role.", "")
	}
	return rest.Reply{Body: shownDefinition(d, scope)}, nil
}

// putDefinition makes a custom role or replaces it; both are answered with 201. One that is replaced
// keeps the time at which it was created: azurerm waits for up to an hour until it differs from that
// of the update (hashicorp/terraform-provider-azurerm, internal/services/authorization/
// role_definition_resource.go). That Azure shows both alike for some seconds is left out.
func (s *service) putDefinition(c *rest.Call, asked definitionProperties) (rest.Reply, *resource.Failure) {
	scope, name := scopeOf(c)
	now := s.Kit.Clock.Now()
	d := roles.Definition{ID: strings.ToLower(name), Name: asked.RoleName, Description: asked.Description, AssignableScopes: asked.AssignableScopes, CreatedAt: now, UpdatedAt: now}
	for _, p := range asked.Permissions {
		d.Permissions = append(d.Permissions, roles.Permission(p))
	}
	s.making.Lock()
	defer s.making.Unlock()
	if failed := s.checkDefinition(c, d); failed != nil {
		return rest.Reply{}, failed
	}
	if old, ok := s.Kit.Roles.Definition(d.ID); ok {
		d.CreatedAt = old.CreatedAt
	} else if len(s.Kit.Roles.Definitions())-len(roles.Builtin()) >= maxDefinitions {
		return rest.Reply{}, rest.BadRequest("RoleDefinitionLimitExceeded", "Role definition limit exceeded. No more role definitions can be created.", fmt.Sprintf("There are %d custom roles at most.", maxDefinitions))
	}
	if err := s.Kit.Roles.Define(d); err != nil {
		return rest.Reply{}, rest.NotStored(err)
	}
	return rest.Reply{Status: http.StatusCreated, Body: shownDefinition(d, scope)}, nil
}

// checkDefinition refuses what a custom role cannot be.
// Seen in many logs: RoleDefinitionWithSameNameExists and InvalidActionOrNotAction, which here
// is about the form of actions, since not all that there are in Azure are known; docs
// (role-based-access-control/custom-roles.md): that the role to write definitions is needed on
// each assignable scope. The other texts are inferred.
func (s *service) checkDefinition(c *rest.Call, d roles.Definition) *resource.Failure {
	switch {
	case !rest.IsGUID(d.ID):
		return rest.BadRequest("InvalidRoleDefinitionId", fmt.Sprintf("The role definition ID '%s' is not valid. The role definition ID must be a GUID.", d.ID), "The name of a role definition is a GUID.")
	case roles.IsBuiltin(d.ID):
		return resource.Fail(http.StatusForbidden, "RoleDefinitionUpdateNotPermitted", "A built-in role definition cannot be updated.", "This is one of Azure's own roles.", "Make a custom role with an id of its own.")
	case len(d.AssignableScopes) == 0:
		return rest.BadRequest("InvalidRoleDefinition", "The role definition must have at least one assignable scope.", "assignableScopes is empty.")
	}
	for _, other := range s.Kit.Roles.Definitions() {
		if other.ID != d.ID && strings.EqualFold(other.Name, d.Name) {
			return resource.Fail(http.StatusConflict, "RoleDefinitionWithSameNameExists", "A custom role with the same name already exists in this directory. Use a different name.", "Another role has the name "+other.Name+".", "")
		}
	}
	var failed *resource.Failure
	d.Check(nil, func(field, expected, found, _ string) {
		if failed != nil {
			return
		}
		meaning := fmt.Sprintf("properties%s: expected %s, found %q.", field, expected, found)
		if strings.Contains(strings.ToLower(field), "actions") {
			failed = rest.BadRequest("InvalidActionOrNotAction", fmt.Sprintf("'%s' does not match any of the actions supported by the providers.", found), meaning)
			return
		}
		failed = rest.BadRequest("InvalidRoleDefinition", fmt.Sprintf("The role definition has an invalid '%s'.", strings.TrimPrefix(field, ".")), meaning)
	})
	if failed != nil {
		return failed
	}
	if old, ok := s.Kit.Roles.Definition(d.ID); ok {
		if failed := everywhere(c, old, "write"); failed != nil {
			return failed
		}
	}
	return everywhere(c, d, "write")
}

// everywhere refuses a caller who may not do something to a custom role on each of its
// assignable scopes: it would change what others may do there.
// Source: azure-docs, role-based-access-control/custom-roles.md, "Who can create, delete,
// update, or view a custom role".
func everywhere(c *rest.Call, d roles.Definition, operation string) *resource.Failure {
	scopes := d.AssignableScopes
	if len(scopes) == 0 {
		scopes = []string{"/"}
	}
	for _, scope := range scopes {
		if failed := c.Authorize(definitionType+"/"+operation, below(scope, definitionType, d.ID)); failed != nil {
			return failed
		}
	}
	return nil
}

// deleteDefinition answers with what it was, or with 204.
// Source: azure-rest-api-specs, Microsoft.Authorization/stable/2022-04-01/examples/
// DeleteRoleDefinition.json, and Azure/azure-powershell#10854 (204); the text of
// RoleDefinitionHasAssignments is that of troubleshooting.md, its status is inferred.
func (s *service) deleteDefinition(c *rest.Call) (rest.Reply, *resource.Failure) {
	scope, name := scopeOf(c)
	s.making.Lock()
	defer s.making.Unlock()
	d, ok := s.role(c, name)
	switch {
	case !ok:
		return rest.Reply{Status: http.StatusNoContent}, nil
	case roles.IsBuiltin(d.ID):
		return rest.Reply{}, resource.Fail(http.StatusForbidden, "RoleDefinitionDeleteNotPermitted", "A built-in role definition cannot be deleted.", "This is one of Azure's own roles.", "")
	}
	if failed := everywhere(c, d, "delete"); failed != nil {
		return rest.Reply{}, failed
	}
	if assigned := s.Kit.Roles.Assignments(func(a roles.Assignment) bool { return a.Role == d.ID }); len(assigned) > 0 {
		return rest.Reply{}, rest.BadRequest("RoleDefinitionHasAssignments", "There are existing role assignments referencing role (code: RoleDefinitionHasAssignments).", fmt.Sprintf("It is assigned on %s.", roles.Short(assigned[0].Scope)))
	}
	if err := s.Kit.Roles.Undefine(d.ID); err != nil {
		return rest.Reply{}, rest.NotStored(err)
	}
	return rest.Reply{Body: shownDefinition(d, scope)}, nil
}

// maxDefinitions is how many custom roles there are; Azure counts them for each tenant, here all of the
// lab are counted.
// Source: azure-docs, role-based-access-control/troubleshoot-limits.md (2024), with code and text; the
// status is inferred.
const maxDefinitions = 5000
