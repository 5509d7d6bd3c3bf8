package graph

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/tenants"
)

// assignment is an app role that a service principal was given.
type assignment struct {
	id, role            string
	to, of              string // object ids of the service principals
	toName, ofName      string
	createdAt           time.Time
	principal, resource *directory.Principal
}

func assignmentEntity(a assignment) entity {
	return entity{
		{"id", a.id},
		{"deletedDateTime", nil},
		{"appRoleId", a.role},
		{"createdDateTime", date(a.createdAt)},
		{"principalDisplayName", a.toName},
		{"principalId", a.to},
		{"principalType", "ServicePrincipal"},
		{"resourceDisplayName", a.ofName},
		{"resourceId", a.of},
	}
}

// resourceBy is the service principal that app roles are of.
func (c *call) resourceBy(objectID string) *directory.Principal {
	if own := c.graphPrincipal(); own.ObjectID == objectID {
		return own
	}
	p, ok := c.kit.Directory.PrincipalByObjectID(c.Caller.Tenant, objectID)
	if !ok || p.NoServicePrincipal || c.hidden(servicePrincipalSince(p)) {
		return nil
	}
	return p
}

// given are the app roles that a service principal has: those that it was assigned, and the
// application permissions of Microsoft Graph that wiemu.yaml gives it.
func (c *call) given(p *directory.Principal) (all []assignment) {
	own := c.graphPrincipal()
	for _, name := range p.AppRoles {
		if id := permissionID(name); id != "" {
			all = append(all, assignment{id: tenants.StableID("app role assignment", p.ClientID, id), role: id, to: p.ObjectID, of: own.ObjectID, toName: p.DisplayName, ofName: own.DisplayName, principal: p, resource: own})
		}
	}
	for _, a := range graphOf(p).Assigned {
		if of := c.resourceBy(a.ResourceID); of != nil {
			all = append(all, assignment{a.ID, a.RoleID, p.ObjectID, a.ResourceID, p.DisplayName, of.DisplayName, a.CreatedAt, p, of})
		}
	}
	return all
}

// assigned are the assignments that the path is about: what the service principal was given, or
// what of its own app roles others were.
func (c *call) assigned(p *directory.Principal) (all []assignment) {
	if !c.assignedTo() {
		return c.given(p)
	}
	for _, other := range c.kit.Directory.Principals(c.Caller.Tenant) {
		if len(other.AppRoles) == 0 && len(graphOf(other).Assigned) == 0 {
			continue
		}
		for _, a := range c.given(other) {
			if a.of == p.ObjectID {
				all = append(all, a)
			}
		}
	}
	return all
}

func (c *call) assignedTo() bool {
	return strings.Contains(c.to.path, "/approleassignedto")
}

func (c *call) assignments(p *directory.Principal) (resource.Answer, *resource.Failure) {
	var all []entity
	for _, a := range c.assigned(p) {
		all = append(all, assignmentEntity(a))
	}
	return c.list(assignmentKind, c.assignmentContext(p), func(query) objects { return entities(all) })
}

func (c *call) assignmentContext(p *directory.Principal) string {
	name := "appRoleAssignments"
	if c.assignedTo() {
		name = "appRoleAssignedTo"
	}
	return "servicePrincipals('" + p.ObjectID + "')/" + name
}

// wantedAssignment finds the one that the path names. Ids count their case in Graph, where they
// are not GUIDs; here they are.
func (c *call) wantedAssignment(p *directory.Principal) (assignment, *resource.Failure) {
	id := c.Vars["assignment"]
	all := c.assigned(p)
	i := slices.IndexFunc(all, func(a assignment) bool { return a.id == id })
	if i < 0 {
		return assignment{}, notFound(id)
	}
	return all[i], nil
}

func (c *call) assignment(p *directory.Principal) (resource.Answer, *resource.Failure) {
	a, failed := c.wantedAssignment(p)
	if failed != nil {
		return resource.Answer{}, failed
	}
	return c.one(assignmentKind, c.assignmentContext(p), assignmentEntity(a))
}

// maxAssignments is how many app roles a service principal is given at most.
// Source: MicrosoftDocs/entra-docs, docs/includes/entra-service-limits-include.md. What Graph answers
// then is inferred from other limits.
const maxAssignments = 1500

// assign gives a service principal an app role.
// Seen: "Permission being assigned already exists on the object" and "Permission being assigned
// was not found on application" in scripts on GitHub that look for them (the first as
// Request_BadRequest; EntitlementGrant entry already exists is what Bicep's extension says,
// microsoftgraph/msgraph-bicep-types#161), "Not a valid reference update." in
// microsoftgraph/microsoft-graph-docs-contrib#1407 (2023-02) and terraform-provider-azuread.
func (c *call) assign() (resource.Answer, *resource.Failure) {
	var to, of, role guid
	if _, failed := c.taken("principalId", &to, "resourceId", &of, "appRoleId", &role); failed != nil {
		return resource.Answer{}, failed
	}
	p, failed := c.principal()
	if failed != nil {
		return resource.Answer{}, failed
	}
	if named := map[bool]guid{true: of, false: to}[c.assignedTo()]; string(named) != p.ObjectID {
		return resource.Answer{}, badRequest("Not a valid reference update.", "The body is about another service principal than the path.", "principalId of appRoleAssignments, and resourceId of appRoleAssignedTo, is the service principal of the path.")
	}
	client, ok := c.kit.Directory.PrincipalByObjectID(c.Caller.Tenant, string(to))
	if !ok || client.NoServicePrincipal || c.hidden(servicePrincipalSince(client)) {
		return resource.Answer{}, notFound(string(to))
	}
	resourceOf := c.resourceBy(string(of))
	if resourceOf == nil {
		return resource.Answer{}, notFound(string(of))
	}
	value, failed := roleOf(resourceOf, string(role))
	if failed != nil {
		return resource.Answer{}, failed
	}
	made := directory.AppRoleAssignment{RoleID: string(role), ResourceID: resourceOf.ObjectID, ResourceAppID: resourceOf.ClientID, CreatedAt: c.kit.Clock.Now()}
	changed, failed := c.update(client, func(p *directory.Principal) *resource.Failure {
		if slices.ContainsFunc(c.given(p), func(a assignment) bool { return a.of == made.ResourceID && a.role == made.RoleID }) {
			return badRequest("Permission being assigned already exists on the object", "It has this app role already.", "")
		}
		if n := len(p.Graph.Assigned) + 1; n > maxAssignments {
			return tooMany(n, "app role assignments", maxAssignments)
		}
		made.ID = next(p, "app role assignment")
		p.Graph.Assigned = append(p.Graph.Assigned, made)
		return nil
	})
	if failed != nil {
		return resource.Answer{}, failed
	}
	c.record(changed, "is given %s of %s: it is in the roles of tokens from now on", value, resourceOf.DisplayName)
	a := assignment{made.ID, made.RoleID, changed.ObjectID, made.ResourceID, changed.DisplayName, resourceOf.DisplayName, made.CreatedAt, changed, resourceOf}
	return c.created(c.assignmentContext(p), "directoryObjects/"+changed.ObjectID+"/Microsoft.DirectoryServices.ServicePrincipal/"+made.ID, assignmentEntity(a)), nil
}

// roleOf is the value of an app role of a resource, to be told. The all-zero id stands for access
// without a role, if the resource has none.
// Source: microsoft-graph-docs-contrib, api-reference/v1.0/resources/approleassignment.md.
func roleOf(p *directory.Principal, id string) (string, *resource.Failure) {
	roles := graphOf(p).AppRoles
	if id == uuid.Nil.String() && len(roles) == 0 {
		return "access without a role", nil
	}
	i := slices.IndexFunc(roles, func(r directory.AppRole) bool {
		return r.ID == id && r.Enabled && slices.Contains(r.AllowedMemberTypes, "Application")
	})
	if i < 0 {
		return "", badRequest("Permission being assigned was not found on application", p.DisplayName+" has no enabled app role for applications with the id "+id+".", "Look for the id in appRoles of the resource's service principal. The id of a delegated permission, a scope, is another one.")
	}
	return roles[i].Value, nil
}

func (c *call) unassign(p *directory.Principal) (resource.Answer, *resource.Failure) {
	a, failed := c.wantedAssignment(p)
	if failed != nil {
		return resource.Answer{}, failed
	}
	return c.changed(a.principal, func(p *directory.Principal) *resource.Failure {
		p.Graph.Assigned = slices.DeleteFunc(p.Graph.Assigned, func(one directory.AppRoleAssignment) bool { return one.ID == a.id })
		p.AppRoles = slices.DeleteFunc(p.AppRoles, func(name string) bool {
			return a.resource.ClientID == c.kit.Resource.AppID && permissionID(name) == a.role
		})
		return nil
	}, "has an app role of %s taken away: it is not in the roles of new tokens any more", a.ofName)
}

// forget takes what others were given of a resource whose service principal goes.
func (c *call) forget(clientID string) {
	for _, p := range c.kit.Directory.Principals(c.Caller.Tenant) {
		if !slices.ContainsFunc(graphOf(p).Assigned, func(a directory.AppRoleAssignment) bool { return a.ResourceAppID == clientID }) {
			continue
		}
		_, _ = c.update(p, func(p *directory.Principal) *resource.Failure { // gone meanwhile
			p.Graph.Assigned = slices.DeleteFunc(p.Graph.Assigned, func(a directory.AppRoleAssignment) bool { return a.ResourceAppID == clientID })
			return nil
		})
	}
}
