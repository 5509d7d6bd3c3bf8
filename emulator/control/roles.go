package control

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// RoleChange names a role assignment to make or to remove.
type RoleChange struct {
	Tenant   string `json:"tenant,omitempty"` // id or domain; "": the scope's, else the first one that knows the identity
	Identity string `json:"identity"`         // client id or object id, the name of an application, a managed identity or a workload, or * for each of the tenant
	Role     string `json:"role"`             // name or id
	Scope    string `json:"scope"`            // a resource by name, NAME/containers/NAME and the like, or a resource id
}

// RoleAssignment is a role that an identity has on a scope and everything below it.
type RoleAssignment struct {
	ID       string    `json:"id"`
	Tenant   string    `json:"tenant"`
	Identity string    `json:"identity"` // name; * stands for every identity of the tenant
	ClientID string    `json:"clientId,omitempty"`
	ObjectID string    `json:"objectId,omitempty"`
	Role     string    `json:"role"` // name
	RoleID   string    `json:"roleId"`
	Scope    string    `json:"scope"`             // resource id
	Source   string    `json:"source,omitempty"`  // the field of wiemu.yaml that makes it; "" if it was made at run time
	Removed  bool      `json:"removed,omitempty"` // it counts until SeenFrom
	SeenFrom time.Time `json:"seenFrom,omitzero"` // when the last change of it is seen, in lab time; zero if it is
}

// RoleChanged is a role assignment that was made or removed.
type RoleChanged struct {
	RoleAssignment
	Summary string `json:"summary"` // of the change, as the journal has it
}

// Roles are the role assignments of a lab.
type Roles struct {
	Assignments []RoleAssignment `json:"assignments"`
	Open        []string         `json:"open,omitempty"` // resource ids, in lower case, of what everybody may use until a role is assigned there
}

// Roles asks for the role assignments of an identity, or of all if it is "", that count on a
// scope or somewhere below it; on all if that is "".
func (c *Client) Roles(ctx context.Context, identity, scope string) (Roles, error) {
	return ask[Roles](ctx, c, http.MethodGet, "/v1/roles?identity="+url.QueryEscape(identity)+"&scope="+url.QueryEscape(scope), nil)
}

// AssignRole gives an identity a role.
func (c *Client) AssignRole(ctx context.Context, change RoleChange) (RoleChanged, error) {
	return ask[RoleChanged](ctx, c, http.MethodPost, "/v1/roles/assign", change)
}

// RemoveRole takes a role away from an identity.
func (c *Client) RemoveRole(ctx context.Context, change RoleChange) (RoleChanged, error) {
	return ask[RoleChanged](ctx, c, http.MethodPost, "/v1/roles/remove", change)
}
