package authorization

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	"github.com/wiemu/wiemu/internal/roles"
)

type assignment = shown[assignmentProperties]

type assignmentProperties struct {
	RoleDefinitionID string  `json:"roleDefinitionId"`
	PrincipalID      string  `json:"principalId"`
	PrincipalType    string  `json:"principalType"`
	Scope            string  `json:"scope"`
	Condition        *string `json:"condition"`
	ConditionVersion *string `json:"conditionVersion"`
	CreatedOn        string  `json:"createdOn"`
	UpdatedOn        string  `json:"updatedOn"`
	CreatedBy        *string `json:"createdBy"`
	UpdatedBy        *string `json:"updatedBy"`
	Delegated        *string `json:"delegatedManagedIdentityResourceId"`
	Description      *string `json:"description"`
}

// always is the date of what has always been there: that which Azure shows for its older roles.
const always = "0001-01-01T08:00:00.0000000Z"

func date(t time.Time) string {
	if t.IsZero() {
		return always
	}
	return rest.Time(t)
}

// principal is who an assignment is to; wiemu.yaml assigns to client ids. It is nobody for one
// to everybody, which Azure does not have.
func (s *service) principal(a roles.Assignment) (objectID string, ok bool) {
	if a.PrincipalID != "" {
		return a.PrincipalID, true
	}
	p, ok := s.Kit.Directory.Principal(a.Tenant, a.ClientID)
	if !ok {
		return "", false
	}
	return p.ObjectID, true
}

// shown is an assignment as a client sees it that asks on a scope.
func (s *service) shown(a roles.Assignment, asked string) assignment {
	made := assignment{ID: below(a.Scope, assignmentType, a.ID), Type: assignmentType, Name: a.ID}
	objectID, _ := s.principal(a)
	made.Properties = assignmentProperties{
		RoleDefinitionID: definitionID(asked, a.Role), PrincipalID: objectID, PrincipalType: "ServicePrincipal", Scope: a.Scope,
		CreatedOn: date(a.Made), UpdatedOn: date(a.Made),
	}
	if !a.Changed.IsZero() {
		made.Properties.UpdatedOn = date(a.Changed)
	}
	if a.MadeBy != "" {
		made.Properties.CreatedBy, made.Properties.UpdatedBy = &a.MadeBy, &a.MadeBy
	}
	if a.Description != "" {
		made.Properties.Description = &a.Description
	}
	return made
}

// listAssignments lists those on a scope, above it and below it, as far as the filter lets them
// pass.
// Source: azure-docs, role-based-access-control/role-assignments-list-rest.md (the filters).
func (s *service) listAssignments(c *rest.Call) (rest.Reply, *resource.Failure) {
	scope, _ := scopeOf(c)
	if failed := known(c, scope); failed != nil {
		return rest.Reply{}, failed
	}
	atScope, principal, failed := filter(c)
	if failed != nil {
		return rest.Reply{}, failed
	}
	var all []assignment
	for _, a := range s.Kit.Roles.Assignments(func(a roles.Assignment) bool {
		return a.Tenant == c.Caller.Tenant && (roles.Within(scope, a.Scope) || !atScope && roles.Within(a.Scope, scope))
	}) {
		if objectID, ok := s.principal(a); ok && (principal == "" || strings.EqualFold(objectID, principal)) {
			all = append(all, s.shown(a, scope))
		}
	}
	return rest.PageOf(c, all)
}

// filter reads $filter: atScope(), principalId eq '…', assignedTo('…'), and two of them with and.
// The text of the refusal is inferred.
func filter(c *rest.Call) (atScope bool, principal string, failed *resource.Failure) {
	text := c.Query("$filter")
	if text == "" {
		return false, "", nil
	}
	for _, term := range strings.Split(text, " and ") {
		term = strings.TrimSpace(term)
		lower := strings.ToLower(term)
		switch quoted := strings.Split(term, "'"); {
		case lower == "atscope()":
			atScope = true
		case len(quoted) == 3 && (strings.HasPrefix(lower, "principalid eq '") || strings.HasPrefix(lower, "assignedto('")):
			principal = quoted[1]
		default:
			return false, "", rest.BadRequest("InvalidFilter", fmt.Sprintf("The filter '%s' is not supported. Supported filters are either 'atScope()' or 'principalId eq '{value}'' or 'assignedTo('{value}')'.", text), "Role assignments are filtered by these alone.")
		}
	}
	return atScope, principal, nil
}

// find is the assignment that the request's path names.
func (s *service) find(c *rest.Call) (a roles.Assignment, scope string, ok bool) {
	scope, name := scopeOf(c)
	a, ok = s.Kit.Roles.Assignment(name)
	return a, scope, ok && a.Tenant == c.Caller.Tenant && strings.EqualFold(strings.Trim(a.Scope, "/"), strings.Trim(scope, "/"))
}

// getAssignment is in the words of hashicorp/terraform-provider-azurerm#12074 (2021); whether the
// id has hyphens there is not to be seen.
func (s *service) getAssignment(c *rest.Call) (rest.Reply, *resource.Failure) {
	a, scope, ok := s.find(c)
	if !ok {
		_, name := scopeOf(c)
		return rest.Reply{}, resource.Fail(http.StatusNotFound, "RoleAssignmentNotFound", fmt.Sprintf("The role assignment '%s' is not found.", name), "There is no such role assignment on the scope.", "")
	}
	return rest.Reply{Body: s.shown(a, scope)}, nil
}

// request is what a client wants an assignment to be.
type request struct {
	RoleDefinitionID string  `json:"roleDefinitionId"`
	PrincipalID      string  `json:"principalId"`
	PrincipalType    string  `json:"principalType"`
	Condition        *string `json:"condition"`
	Description      *string `json:"description"`
}

// putAssignment assigns a role, or changes the description of an assignment that there is.
// Source of the texts: many logs; how often each is seen stands beside the function that makes it.
// That the description can be changed, and what else an assignment is cannot: Azure/azure-cli#14552
// and #14958, hashicorp/terraform-provider-azurerm#32714.
func (s *service) putAssignment(c *rest.Call, asked request) (rest.Reply, *resource.Failure) {
	scope, name := scopeOf(c)
	if failed := known(c, scope); failed != nil {
		return rest.Reply{}, failed
	}
	wanted, failed := s.wanted(c, scope, name, asked)
	if failed != nil {
		return rest.Reply{}, failed
	}
	s.making.Lock()
	defer s.making.Unlock()
	status := http.StatusCreated
	if old, ok := s.Kit.Roles.Assignment(name); ok {
		status = http.StatusOK
		if objectID, _ := s.principal(old); old.Tenant != wanted.Tenant || !strings.EqualFold(old.Scope, wanted.Scope) || objectID != wanted.PrincipalID || old.Role != wanted.Role {
			// Azure/bicep and others: the text does not name the role, but a change of it is refused, too.
			return rest.Reply{}, rest.BadRequest("RoleAssignmentUpdateNotPermitted", "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
				fmt.Sprintf("A role assignment of this name exists: to %s on %s. Its name is made from something that does not change when the principal does, such as its name.", objectID, roles.Short(old.Scope)))
		}
		if wanted.Description != old.Description {
			if old.Source != "" { // else it would be there when wiemu.yaml does not have it any more
				return rest.Reply{}, rest.Locked(below(old.Scope, assignmentType, old.ID), "write")
			}
			changed, err := s.Kit.Roles.Describe(old.ID, wanted.Description)
			if err != nil {
				return rest.Reply{}, rest.NotStored(err)
			}
			old = changed
		}
		return rest.Reply{Status: status, Body: s.shown(old, scope)}, nil
	}
	if same, ok := s.same(wanted); ok {
		return rest.Reply{}, exists(same)
	}
	if failed := s.full(wanted); failed != nil {
		return rest.Reply{}, failed
	}
	made, err := s.Kit.Roles.Assign(wanted)
	switch {
	case errors.Is(err, roles.ErrExists):
		return rest.Reply{}, exists(made)
	case errors.Is(err, roles.ErrNotAssignable):
		return rest.Reply{}, unassignable(wanted.Role, err)
	case err != nil:
		return rest.Reply{}, rest.NotStored(err)
	}
	s.noteAbsent(c, asked)
	reply := s.shown(made, scope)
	reply.Properties.CreatedBy = nil // seen in recordings of the answer to PUT
	return rest.Reply{Status: status, Body: reply}, nil
}

// same is the assignment of the same role on the same scope to the same principal, whether it is
// to its object id or, in wiemu.yaml, to its client id.
func (s *service) same(wanted roles.Assignment) (roles.Assignment, bool) {
	clientID := ""
	if p, ok := s.Kit.Directory.PrincipalByObjectID(wanted.Tenant, wanted.PrincipalID); ok {
		clientID = p.ClientID
	}
	for _, a := range s.Kit.Roles.Held(wanted.Tenant, wanted.PrincipalID, clientID) {
		if a.Role == wanted.Role && strings.EqualFold(a.Scope, wanted.Scope) {
			return a, true
		}
	}
	return roles.Assignment{}, false
}

// exists is in the words of logs since 2025, which name the other assignment; before, the second
// sentence was missing.
func exists(other roles.Assignment) *resource.Failure {
	return resource.Fail(http.StatusConflict, "RoleAssignmentExists", fmt.Sprintf("The role assignment already exists. The ID of the conflicting role assignment is %s.", compact(other.ID)),
		"The principal has the role on the scope already, by an assignment of another name.", "Import it, delete it first, or give the assignment a name that is made of scope, principal and role.")
}

// unassignable is how Azure refuses a role that it does not know there.
// Source: Azure/bicep#3366 (2021), which does not show the status: that is inferred, and so is that
// a role whose assignable scopes do not have the scope is refused like one that there is not.
func unassignable(role string, err error) *resource.Failure {
	return rest.BadRequest("RoleDefinitionDoesNotExist", fmt.Sprintf("The specified role definition with ID '%s' does not exist.", compact(role)), err.Error()+".")
}

// wanted checks what a client asks for.
func (s *service) wanted(c *rest.Call, scope, name string, r request) (roles.Assignment, *resource.Failure) {
	none := roles.Assignment{}
	if !rest.IsGUID(name) { // seen in many logs
		return none, rest.BadRequest("InvalidRoleAssignmentId", fmt.Sprintf("The role assignment ID '%s' is not valid. The role assignment ID must be a GUID.", name), "The name of a role assignment is a GUID.")
	}
	if r.Condition != nil && *r.Condition != "" {
		return none, rest.BadRequest("ConditionNotEmulated", "Role assignments with a condition are not emulated.", "This text is wiemu's own: Azure takes conditions (ABAC), which are not emulated. An assignment without its condition would permit more.")
	}
	if !rest.IsGUID(r.PrincipalID) { // seen in many logs
		return none, rest.BadRequest("InvalidPrincipalId", "A valid principal ID must be provided for role assignment.", "The principal is named by its object id, a GUID.")
	}
	id := r.RoleDefinitionID[strings.LastIndexByte(r.RoleDefinitionID, '/')+1:]
	role, ok := s.role(c, id)
	if !ok {
		return none, unassignable(id, fmt.Errorf("there is no role %q", id))
	}
	if failed := s.checkPrincipal(c, r); failed != nil {
		return none, failed
	}
	made := roles.Assignment{ID: name, Tenant: c.Caller.Tenant, PrincipalID: strings.ToLower(r.PrincipalID), Role: role.ID, Scope: scope, MadeBy: c.Caller.ObjectID}
	if r.Description != nil {
		made.Description = *r.Description
	}
	return made, nil
}

// checkPrincipal refuses a principal that there is not, unless the client says of which type it
// is: then Azure believes it, for the sake of one that was created a moment ago.
// Source: Azure-Samples/azure-search-openai-demo#9 and many others (PrincipalNotFound, with the
// id without hyphens), azd's logs (UnmatchedPrincipalType, with its spelling); that an unknown
// principal is taken with a type: azure-docs, role-based-access-control/troubleshooting.md,
// "Symptom - Assigning a role to a new principal sometimes fails".
func (s *service) checkPrincipal(c *rest.Call, r request) *resource.Failure {
	p, ok := s.Kit.Directory.PrincipalByObjectID(c.Caller.Tenant, r.PrincipalID)
	late := ""
	if ok && r.PrincipalType == "" && !p.CreatedAt.IsZero() {
		age := s.Kit.Clock.Now().Sub(p.CreatedAt)
		h, hit := s.Kit.Hit(c.Context(), c.Call, faultkind.PrincipalNotReplicated, func(h faults.Hit) bool { return age < h.Duration("delay") })
		if hit {
			ok, late = false, fmt.Sprintf("%s was made %s ago, and is not found for %s.", p.DisplayName, age.Round(time.Second), h.Duration("delay"))
		}
	}
	switch {
	case ok && r.PrincipalType != "" && !strings.EqualFold(r.PrincipalType, "ServicePrincipal"):
		return rest.BadRequest("UnmatchedPrincipalType", fmt.Sprintf("The PrincipalId '%s' has type 'ServicePrincipal' , which is different from specified PrinciaplType '%s'.", compact(r.PrincipalID), r.PrincipalType), "Applications and managed identities are service principals.")
	case ok || r.PrincipalType != "":
		return nil
	}
	if late != "" {
		return principalNotFound(c, r, late, "Set principalType to ServicePrincipal, or try again later.")
	}
	meaning := "The tenant has no service principal with this object id."
	if p, ok = s.Kit.Directory.Principal(c.Caller.Tenant, r.PrincipalID); ok {
		meaning += fmt.Sprintf(" It is the client id of %s, whose object id is %s.", p.DisplayName, p.ObjectID)
	} else if p, ok = s.Kit.Directory.ApplicationByObjectID(c.Caller.Tenant, r.PrincipalID); ok {
		meaning += fmt.Sprintf(" It is the object id of the app registration %s; that of its service principal is %s.", p.DisplayName, p.ObjectID)
	}
	return principalNotFound(c, r, meaning, "Name the object id of the service principal (principalId of a managed identity).")
}

// noteAbsent notes that an assignment to a group or user grants nobody anything here: in Azure it
// does, to the members of the group.
func (s *service) noteAbsent(c *rest.Call, r request) {
	instead := ""
	switch strings.ToLower(r.PrincipalType) {
	case "group", "foreigngroup":
		instead = "members of groups are not emulated, so the role on it grants nobody anything: assign it to the service principal of each member"
	case "user":
		instead = "users are not emulated, so the role on it grants nobody anything: assign it to the service principal of a workload"
	default:
		return
	}
	c.Note(fmt.Sprintf("the principal %s, of type %s, is not in the directory: %s", r.PrincipalID, r.PrincipalType, instead))
}

func principalNotFound(c *rest.Call, r request, meaning, remedy string) *resource.Failure {
	return resource.Fail(http.StatusBadRequest, "PrincipalNotFound", fmt.Sprintf("Principal %s does not exist in the directory %s. Check that you have the correct principal ID. If you are creating this principal and then immediately assigning a role, this error might be related to a replication delay. "+
		"In this case, set the role assignment principalType property to a value, such as ServicePrincipal, User, or Group.  See https://aka.ms/docs-principaltype", compact(r.PrincipalID), c.Caller.Tenant), meaning, remedy)
}

// deleteAssignment answers with what it was, or with 204.
// Source: azure-rest-api-specs, Microsoft.Authorization/stable/2022-04-01/examples/RoleAssignments_Delete.json.
func (s *service) deleteAssignment(c *rest.Call) (rest.Reply, *resource.Failure) {
	s.making.Lock()
	defer s.making.Unlock()
	a, scope, ok := s.find(c)
	if !ok {
		return rest.Reply{Status: http.StatusNoContent}, nil
	}
	shown := s.shown(a, scope)
	if _, _, err := s.Kit.Roles.Remove(a.ID); err != nil {
		return rest.Reply{}, rest.NotStored(err)
	}
	return rest.Reply{Body: shown}, nil
}

// maxAssignments is how many role assignments a subscription has, with those of its resource groups
// and resources.
// Source: azure-docs, role-based-access-control/troubleshoot-limits.md (2024), with code and text; the
// status is inferred.
const maxAssignments = 4000

// full refuses a role assignment of a subscription that has as many as it may.
func (s *service) full(wanted roles.Assignment) *resource.Failure {
	segments := strings.SplitN(wanted.Scope, "/", 4)
	if len(segments) < 3 || !strings.EqualFold(segments[1], "subscriptions") {
		return nil
	}
	subscription := strings.Join(segments[:3], "/")
	if len(s.Kit.Roles.Assignments(func(a roles.Assignment) bool { return roles.Within(a.Scope, subscription) })) < maxAssignments {
		return nil
	}
	return rest.BadRequest("RoleAssignmentLimitExceeded", "No more role assignments can be created.", fmt.Sprintf("A subscription has %d role assignments at most, with those of its resource groups and resources.", maxAssignments))
}
