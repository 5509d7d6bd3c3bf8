package directory

import (
	"encoding/json"
	"time"
)

// GraphObject is what a principal has that clients of Microsoft Graph wrote: an app
// registration and its service principal, or the service principal of a managed identity.
type GraphObject struct {
	UniqueName string    `json:"uniqueName,omitempty"` // of the app registration; unique in its tenant
	AppRoles   []AppRole `json:"appRoles,omitempty"`   // that others can be given
	Owners     []string  `json:"owners,omitempty"`     // object ids of the service principals that own the app registration

	ServicePrincipalOwners    []string            `json:"servicePrincipalOwners,omitempty"`   // object ids of the service principals that own the service principal
	ServicePrincipalCreatedAt time.Time           `json:"servicePrincipalCreatedAt,omitzero"` // in lab time; if zero, it is as old as the principal
	Assigned                  []AppRoleAssignment `json:"appRoleAssignments,omitempty"`       // app roles that it was given

	Application      map[string]json.RawMessage `json:"application,omitempty"`      // other properties of the app registration, by name
	ServicePrincipal map[string]json.RawMessage `json:"servicePrincipal,omitempty"` // other properties of the service principal, by name

	Made int `json:"made,omitempty"` // how many objects with an id of their own were made of it, so that none has the id of one that was deleted
}

// AppRole is a permission that an application offers to others.
type AppRole struct {
	ID                 string   `json:"id"` // GUID
	Value              string   `json:"value,omitempty"`
	DisplayName        string   `json:"displayName"`
	Description        string   `json:"description"`
	AllowedMemberTypes []string `json:"allowedMemberTypes"` // User, Application
	Enabled            bool     `json:"isEnabled"`
}

// AppRoleAssignment gives a principal an app role: its value is in the roles claim of tokens for
// the resource.
type AppRoleAssignment struct {
	ID            string    `json:"id"`
	RoleID        string    `json:"appRoleId"`                // GUID; all zero for access without a role
	ResourceID    string    `json:"resourceId"`               // object id of the resource's service principal
	ResourceAppID string    `json:"resourceAppId"`            // its client id
	CreatedAt     time.Time `json:"createdDateTime,omitzero"` // in lab time
}
