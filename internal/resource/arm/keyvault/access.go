package keyvault

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	vaults "github.com/wiemu/wiemu/internal/resource/keyvault"
)

// policy is an entry of accessPolicies.
type policy struct {
	TenantID      string      `json:"tenantId"`
	ObjectID      string      `json:"objectId"`
	ApplicationID string      `json:"applicationId,omitempty"`
	Permissions   permissions `json:"permissions"`
}

type permissions struct {
	Keys         []string `json:"keys,omitzero"`
	Secrets      []string `json:"secrets,omitzero"`
	Certificates []string `json:"certificates,omitzero"`
	Storage      []string `json:"storage,omitzero"`
}

// storagePermissions are those on managed storage accounts, which are not emulated.
// Source: azure-rest-api-specs, keyvault.json, Permissions.
var storagePermissions = strings.Fields("get list delete set update regeneratekey recover purge backup restore setsas listsas getsas deletesas")

// mayChangeModel refuses to change the permission model of a vault for a caller who may not assign
// roles on it: Contributor would let itself in by access policies.
// Source: Azure/bicep#13541 (2024-03), of a change to roles; that it is the same to access policies,
// and the status, one report (dotnetpower/elb-dashboard, 2026-05); which permission, and that a
// condition on the role is too little: learn.microsoft.com, key-vault/general/rbac-guide. A role
// with a condition does here.
func (s *service) mayChangeModel(c *rest.Call, was *rest.Item, rbac bool) *resource.Failure {
	if was == nil {
		return nil
	}
	before := false
	_, _ = was.ReadProperties().Read("enableRbacAuthorization", &before) // which make has written
	const action = "Microsoft.Authorization/roleAssignments/write"
	if before == rbac || c.May(action, was.ID) {
		return nil
	}
	id := strings.Replace(was.ID, "/resourceGroups/", "/resourcegroups/", 1)
	return rest.BadRequest("InsufficientPermissions", fmt.Sprintf("Caller is not allowed to change permission model. For more information on how to change the permissions model follow this link: https://go.microsoft.com/fwlink/?linkid=2155160. Details: oid=%s; action=%s; resource=%s; decision=NotAllowed; ", c.Caller.ObjectID, action, id),
		"Who changes from access policies to roles, or back, decides who may open the vault: this takes the right to assign roles on it.")
}

// defaultRBAC is the permission model of a vault whose body names none: roles since 2026-02-01.
// Source: learn.microsoft.com, key-vault/general/access-control-default.
func defaultRBAC(c *rest.Call) bool { return strings.ToLower(c.Query("api-version")) >= "2026-02-01" }

// readPolicies checks the access policies of a vault.
// Source: the text of wrong permissions: Azure/azure-libraries-for-net#361; that of an object id:
// alexander-kastil/az-204#142.
func readPolicies(p rest.Properties, required bool) ([]policy, *resource.Failure) {
	all := []policy{}
	ok, err := p.Read("accessPolicies", &all)
	switch {
	case err != nil:
		return nil, bad("An invalid value was provided for 'accessPolicies'.", err.Error())
	case !ok && required:
		return nil, bad("The parameter properties.accessPolicies is not specified.", "A vault in the permission model of access policies has a list of them, which may be empty.") // text inferred
	case len(all) > 1024:
		return nil, bad("An invalid value was provided for 'accessPolicies'.", fmt.Sprintf("A vault has 1024 access policies at most, found %d.", len(all)))
	}
	if all == nil {
		all = []policy{}
	}
	for n, one := range all {
		switch {
		case !rest.IsGUID(one.ObjectID):
			return nil, bad(fmt.Sprintf("Invalid value found at accessPolicies[%d].ObjectId: %s", n, one.ObjectID), "An access policy is for an object id, which is a GUID.")
		case uuid.Validate(one.TenantID) != nil:
			return nil, bad(fmt.Sprintf("Invalid value found at accessPolicies[%d].TenantId: %s", n, one.TenantID), "An access policy names a tenant by its id.")
		}
		for _, list := range []struct{ given, known []string }{
			{one.Permissions.Keys, vaults.KeyPermissions()}, {one.Permissions.Secrets, vaults.Permissions()},
			{one.Permissions.Certificates, vaults.CertificatePermissions()}, {one.Permissions.Storage, storagePermissions},
		} {
			for _, given := range list.given {
				if !strings.EqualFold(given, "all") && !slices.ContainsFunc(list.known, func(known string) bool { return strings.EqualFold(known, given) }) {
					return nil, bad("An invalid value was provided for 'accessPolicies'.", fmt.Sprintf("accessPolicies[%d].permissions: expected one of all, %s, found %q.", n, strings.Join(list.known, ", "), given))
				}
			}
		}
	}
	return all, nil
}

// every replaces the permission all by all that it stood for, which was without purge.
// Source: azure-rest-api-specs, keyvault.json of 2016-10-01, Permissions ("all").
func every(given, known []string) []string {
	if !slices.ContainsFunc(given, func(p string) bool { return strings.EqualFold(p, "all") }) {
		return given
	}
	return slices.DeleteFunc(slices.Clone(known), func(p string) bool { return p == "purge" })
}

// changePolicies adds, replaces or removes access policies: add joins the permissions of an object
// id with those that it has, replace puts others in their place, remove takes them away.
// Source: azure-rest-api-specs, keyvault.json, Vaults_UpdateAccessPolicy and its example
// updateAccessPoliciesAdd.json.
func (s *service) changePolicies(c *rest.Call, asked rest.Properties) (rest.Reply, *resource.Failure) {
	verb := strings.ToLower(c.Vars["operation"])
	if !slices.Contains([]string{"add", "replace", "remove"}, verb) {
		return rest.Reply{}, bad(fmt.Sprintf("The access policy operation '%s' is invalid.", c.Name("operation")), "Access policies are changed by add, replace and remove.") // text inferred
	}
	given, failed := readPolicies(asked, true)
	if failed != nil {
		return rest.Reply{}, failed
	}
	var now []policy
	i, failed := c.Change(s.kind, func(p rest.Properties) *resource.Failure {
		had, failed := readPolicies(p, false)
		now = changed(had, given, verb)
		p.Set("accessPolicies", now)
		return failed
	})
	if failed != nil {
		return rest.Reply{}, failed
	}
	return rest.Reply{Body: struct {
		ID         string `json:"id"`
		Type       string `json:"type"`
		Properties any    `json:"properties"`
	}{i.ID + "/accessPolicies/", namespace + "/vaults/accessPolicies", map[string][]policy{"accessPolicies": now}}}, nil
}

// changed are the access policies of a vault after a change of those that are given.
func changed(all, given []policy, verb string) []policy {
	all = slices.Clone(all)
	for _, one := range given {
		n := slices.IndexFunc(all, func(o policy) bool {
			return strings.EqualFold(o.ObjectID, one.ObjectID) && strings.EqualFold(o.TenantID, one.TenantID) && strings.EqualFold(o.ApplicationID, one.ApplicationID)
		})
		switch {
		case n < 0 && verb != "remove":
			all = append(all, one)
		case n < 0:
		case verb == "replace":
			all[n] = one
		case verb == "add":
			all[n].Permissions = all[n].Permissions.combine(one.Permissions, joined)
		default:
			all[n].Permissions = all[n].Permissions.combine(one.Permissions, without)
			if left := all[n].Permissions; len(left.Keys)+len(left.Secrets)+len(left.Certificates)+len(left.Storage) == 0 {
				all = slices.Delete(all, n, n+1)
			}
		}
	}
	return all
}

func (p permissions) combine(o permissions, by func(a, b []string) []string) permissions {
	return permissions{by(p.Keys, o.Keys), by(p.Secrets, o.Secrets), by(p.Certificates, o.Certificates), by(p.Storage, o.Storage)}
}

func joined(a, b []string) []string {
	a = slices.Clone(a)
	for _, one := range b {
		if !slices.ContainsFunc(a, func(o string) bool { return strings.EqualFold(o, one) }) {
			a = append(a, one)
		}
	}
	return a
}

func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(one string) bool {
		return slices.ContainsFunc(b, func(o string) bool { return strings.EqualFold(o, one) })
	})
}
