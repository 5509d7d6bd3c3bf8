package keyvault

import (
	"cmp"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/roles"
)

// Access is what one identity may do in a vault. Either id names it; "*" as either stands
// for every identity of the tenant.
//
// A vault has one permission model. With Roles it is Azure role-based access control, and
// access policies are not looked at; with permissions it is the other way round. A vault
// without access is in the first, which lets nobody in.
type Access struct {
	ObjectID     string   `json:"objectId,omitempty"`
	ClientID     string   `json:"clientId,omitempty"`
	Roles        []string `json:"roles,omitempty"`        // names or ids
	Permissions  []string `json:"permissions,omitempty"`  // on secrets; "*" for all, on keys and certificates, too
	Keys         []string `json:"keys,omitempty"`         // permissions on keys; "*" for all
	Certificates []string `json:"certificates,omitempty"` // permissions on certificates; "*" for all
	Source       string   `json:"source,omitempty"`       // field of wiemu.yaml; "" for none
}

// Permissions returns what an access policy can permit for secrets.
// Source of these and the next two: azure-rest-api-specs, keyvault.json of
// Microsoft.KeyVault, Permissions.
func Permissions() []string {
	return []string{"get", "list", "set", "delete", "recover", "backup", "restore", "purge"}
}

// KeyPermissions returns what an access policy can permit for keys.
func KeyPermissions() []string {
	return []string{
		"get", "list", "update", "create", "import", "delete", "recover", "backup", "restore", "purge",
		"encrypt", "decrypt", "wrapKey", "unwrapKey", "sign", "verify", "release", "rotate", "getrotationpolicy", "setrotationpolicy",
	}
}

// CertificatePermissions returns what an access policy can permit for certificates.
func CertificatePermissions() []string {
	return []string{
		"get", "list", "update", "create", "import", "delete", "recover", "backup", "restore", "purge",
		"managecontacts", "manageissuers", "getissuers", "listissuers", "setissuers", "deleteissuers",
	}
}

// policies reports whether the vault is in the model of access policies.
func policies(access []Access) bool {
	return !openToAll(access) && slices.ContainsFunc(access, func(a Access) bool { return len(a.Permissions)+len(a.Keys)+len(a.Certificates) > 0 })
}

// openToAll reports whether every identity may do everything, which is the default of a
// vault without access: in wiemu.yaml.
func openToAll(access []Access) bool {
	return slices.ContainsFunc(access, func(a Access) bool {
		return (a.ObjectID == "*" || a.ClientID == "*") && slices.Contains(a.Permissions, "*")
	})
}

func (a Access) names(caller resource.Caller) bool {
	return a.ObjectID == "*" || a.ClientID == "*" ||
		a.ObjectID != "" && strings.EqualFold(a.ObjectID, caller.ObjectID) ||
		a.ClientID != "" && strings.EqualFold(a.ClientID, caller.ClientID)
}

func (v Vault) checkAccess(known *roles.Set) error {
	for i, a := range v.Access {
		at := fmt.Sprintf("vault %s: access[%d]", v.Name, i)
		if a.ObjectID == "" && a.ClientID == "" {
			return fmt.Errorf("%s: expected an object id, a client id or *, found neither", at)
		}
		if len(a.Roles) > 0 && (v.Policies || policies(v.Access)) {
			return fmt.Errorf("%s: roles: expected none beside the permissions of another entry, found %q: a vault has one permission model", at, a.Roles)
		}
		for _, list := range []struct {
			field        string
			given, known []string
		}{
			{"permissions", a.Permissions, Permissions()}, {"keys", a.Keys, KeyPermissions()}, {"certificates", a.Certificates, CertificatePermissions()},
		} {
			for _, p := range list.given {
				if p != "*" && !containsFold(list.known, p) {
					return fmt.Errorf("%s: %s: expected *, %s, found %q", at, list.field, strings.Join(list.known, ", "), p)
				}
			}
		}
		for _, role := range a.Roles {
			if expected, fix := known.CheckName(role); expected != "" {
				return fmt.Errorf("%s: roles: expected %s, found %q; %s", at, expected, role, fix)
			}
		}
	}
	return nil
}

func containsFold(list []string, one string) bool {
	return slices.ContainsFunc(list, func(other string) bool { return strings.EqualFold(one, other) })
}

func cloneAccess(access []Access) []Access {
	access = slices.Clone(access)
	for i := range access {
		a := &access[i]
		a.Roles, a.Permissions, a.Keys, a.Certificates = slices.Clone(a.Roles), slices.Clone(a.Permissions), slices.Clone(a.Keys), slices.Clone(a.Certificates)
	}
	return access
}

// configureAccess changes who may do what, unless it is the same as before: roles that
// were assigned since then stay. v.mu is held.
func (v *vault) configureAccess(c Vault) error {
	tenant := strings.ToLower(c.Tenant)
	id := c.ID
	if id == "" && v.tenant == tenant {
		id = v.id
	}
	id = cmp.Or(id, v.roles.ResourceID(tenant, "Microsoft.KeyVault/vaults", v.name))
	model := c.Policies || policies(c.Access)
	if v.id == id && v.tenant == tenant && v.model == model && reflect.DeepEqual(v.access, c.Access) {
		return nil
	}
	var assigned []roles.Assignment
	for _, a := range c.Access {
		for _, role := range a.Roles {
			one := roles.Assignment{Tenant: tenant, PrincipalID: a.ObjectID, ClientID: a.ClientID, Role: role, Scope: id, Source: cmp.Or(a.Source, "access")}
			if a.ObjectID == roles.Everyone {
				one.PrincipalID, one.ClientID = "", roles.Everyone
			}
			assigned = append(assigned, one)
		}
	}
	if err := v.roles.Configure(id, assigned); err != nil {
		return fmt.Errorf("vault %s: %w", v.name, err)
	}
	if openToAll(c.Access) {
		v.roles.Open(tenant, id, fmt.Sprintf("vault %s has no access: in wiemu.yaml, so every identity of its tenant may do everything there; a real vault lets nobody in whom no role assignment or access policy names", v.name))
	} else {
		v.roles.Restrict(id)
	}
	v.id, v.tenant, v.access, v.model = id, tenant, cloneAccess(c.Access), model
	return nil
}

// permission refuses a caller who may not do the operation.
func (c *call) permission() *resource.Failure {
	if c.op.permission == "" {
		return nil
	}
	return c.authorize(c.op)
}

// authorize refuses a caller who has not, as the vault's permission model wants it, the
// permission for an operation by an access policy, or a role with its data action.
func (c *call) authorize(op operation) *resource.Failure {
	if c.model {
		return c.byPolicy(op)
	}
	d := c.service.kit.Authorize(c.Request.Context(), c.Call, c.scope(op), []roles.Action{roles.Data(op.dataAction())})
	if d.Allowed {
		return nil
	}
	return c.forbiddenByRole(op, d)
}

// scope is the resource id of what an operation is about.
func (c *call) scope(op operation) string {
	if c.name == "" {
		return c.vaultID
	}
	return c.vaultID + "/" + op.kind + "/" + c.name
}

// byPolicy decides by access policies. Letter case does not matter.
func (c *call) byPolicy(op operation) *resource.Failure {
	known := map[string][]string{"secrets": Permissions(), "keys": KeyPermissions(), "certificates": CertificatePermissions()}[op.kind]
	held := map[string]bool{}
	for _, a := range c.access {
		if !a.names(c.Caller) {
			continue
		}
		list := map[string][]string{"secrets": a.Permissions, "keys": a.Keys, "certificates": a.Certificates}[op.kind]
		for _, p := range known {
			held[p] = held[p] || slices.Contains(a.Permissions, "*") || slices.Contains(list, "*") || containsFold(list, p)
		}
	}
	all := slices.DeleteFunc(known, func(p string) bool { return !held[p] })
	if c.Check("permission", op.permission, cmp.Or(strings.Join(all, ", "), "none"), held[op.permission]) {
		return nil
	}
	return c.forbiddenByPolicy(op)
}

// forbiddenByPolicy refuses a caller without the permission of an access policy.
// Seen: turbot/steampipe-plugin-azure#127 (2021-05, with the innererror AccessDenied);
// since August 2021 that is ForbiddenByPolicy
// (SparebankenVest/azure-key-vault-to-kubernetes#232).
func (c *call) forbiddenByPolicy(op operation) *resource.Failure {
	f := &resource.Failure{
		Status: http.StatusForbidden, Code: "Forbidden", Inner: "ForbiddenByPolicy",
		Message: fmt.Sprintf("The user, group or application 'appid=%s;oid=%s;iss=%s' does not have %s %s permission on key vault '%s;location=%s'. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125287",
			c.Caller.ClientID, c.Caller.ObjectID, c.Caller.Issuer, op.kind, op.permission, c.vault.name, region),
		Meaning: fmt.Sprintf("The token is good, but no access policy of vault %s gives its identity the permission %s for %s.", c.vault.name, op.permission, op.kind),
	}
	list, field := "access", "permissions"
	if op.kind != "secrets" {
		list, field = "accessPolicies", op.kind
	}
	f.Remedy = fmt.Sprintf("Give the identity with client id %s the permission %s for %s in an access policy of the vault. In wiemu.yaml, add to %s of vault %s: - {identity: %[1]s, %[6]s: [%[2]s]}", c.Caller.ClientID, op.permission, op.kind, list, c.vault.name, field)
	d := c.service.kit.Roles.Decide(roles.Request{
		Tenant: c.Caller.Tenant, ObjectID: c.Caller.ObjectID, ClientID: c.Caller.ClientID, Scope: c.scope(op),
		Needs: [][]roles.Action{{roles.Data(op.dataAction())}},
	})
	if d.Allowed {
		f.Meaning += fmt.Sprintf(" It has the role %s, but the vault is in the permission model of access policies, where roles do not count.", d.Presented())
	}
	return f
}

// forbiddenByRole refuses a caller without a role.
// Seen: azure container apps' troubleshooting page, piyushsachdeva/Terraform_AKS#2 (2024)
// and many others, with DeniedWithNoValidRBAC; others of 2024 have DecisionReason: null
// (hashicorp/terraform-provider-azurerm#27817). The words of the resource id in lower case
// are as there.
func (c *call) forbiddenByRole(op operation, d roles.Decision) *resource.Failure {
	target := strings.NewReplacer("/resourceGroups/", "/resourcegroups/", "/Microsoft.KeyVault/", "/microsoft.keyvault/").Replace(c.scope(op))
	return &resource.Failure{
		Status: http.StatusForbidden, Code: "Forbidden", Inner: "ForbiddenByRbac",
		Message: fmt.Sprintf("Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were changed recently, please observe propagation time.\r\nCaller: appid=%s;oid=%s;iss=%s\r\nAction: '%s'\r\nResource: '%s'\r\nAssignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: 'DeniedWithNoValidRBAC' \r\nVault: %s;location=%s\r\n",
			c.Caller.ClientID, c.Caller.ObjectID, c.Caller.Issuer, op.dataAction(), target, c.vault.name, region),
		Meaning: d.Meaning(),
		Remedy: d.Remedy("vault "+c.vault.name+" ("+c.vaultID+")", func(role string) string {
			return fmt.Sprintf("access of vault %s: - {identity: %s, roles: [%s]}", c.vault.name, c.Caller.ClientID, role)
		}),
	}
}
