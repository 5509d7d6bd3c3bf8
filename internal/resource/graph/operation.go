package graph

import (
	"net/http"
	"slices"
)

// The application permissions that Graph's reference names, the least first.
// Source: microsoft-graph-devx-content, permissions/new/permissions.json (2026-08), which
// microsoft-graph-docs-contrib's tables are made from.
var (
	readApplications  = grants{roles: []string{"Application.Read.All", ownedBy, readWriteAll, "Directory.Read.All", directoryWriter}}
	readCredentials   = grants{roles: []string{"Application.Read.All", ownedBy, readWriteAll}}
	readOrganization  = grants{roles: []string{"Organization.Read.All", "Directory.Read.All", "Organization.ReadWrite.All", directoryWriter}}
	readObjects       = grants{roles: []string{"Directory.Read.All", directoryWriter}}
	writeApplications = grants{roles: []string{ownedBy, readWriteAll}}
	writePrincipals   = grants{roles: []string{ownedBy, readWriteAll, directoryWriter}}
	writePasswords    = writePrincipals
	writeKeys         = grants{roles: []string{ownedBy, readWriteAll, directoryWriter}, own: true}

	// Application.ReadWrite.All alone is listed, too, but was seen not to suffice: 403 in
	// hashicorp/terraform-provider-azuread#1661 (2025-03).
	assignRoles   = grants{roles: []string{"AppRoleAssignment.ReadWrite.All"}, also: []string{"Application.Read.All", "Directory.Read.All", readWriteAll, directoryWriter, ownedBy}}
	unassignRoles = grants{roles: []string{"AppRoleAssignment.ReadWrite.All"}}
)

const (
	ownedBy         = "Application.ReadWrite.OwnedBy"
	readWriteAll    = "Application.ReadWrite.All"
	directoryWriter = "Directory.ReadWrite.All"
)

// keyed is the path of one of a collection: by id, or by a key in parentheses.
func keyed(at, variable string) string { return at + `{` + variable + `:/[^/(]+|\([^/]*\)}` }

// operations lists what is served.
func operations() []operation {
	return slices.Concat([]operation{
		{http.MethodGet, "/organization", "list organization", readOrganization, (*call).organizations},
		{http.MethodGet, "/organization/{id}", "get organization", readOrganization, (*call).organization},
		{http.MethodGet, "/me", "get me", grants{}, (*call).me},
		{http.MethodGet, "/me/{rest:.*}", "get me", grants{}, (*call).me},
		{http.MethodPost, "/me/{rest:.*}", "use me", grants{}, (*call).me},
		{http.MethodGet, "/directoryobjects/{id}", "get directory object", readObjects, (*call).directoryObject},
		{http.MethodPost, "/directoryobjects/getbyids", "get directory objects by ids", readObjects, (*call).directoryObjects},
		{http.MethodPost, "/$batch", "send a batch", grants{}, on((*call).body, (*call).batch)},
	}, applicationOperations(), servicePrincipalOperations(), deletedOperations())
}

func applicationOperations() []operation {
	const list = "/applications"
	one := keyed(list, "at")
	credentials := one + "/federatedidentitycredentials"
	credential := keyed(credentials, "credential")
	return slices.Concat([]operation{
		{http.MethodGet, list, "list applications", readApplications, (*call).applications},
		{http.MethodGet, list + "/$count", "count applications", readApplications, (*call).countApplications},
		{http.MethodPost, list, "create application", writeApplications, on((*call).body, (*call).createApplication)},
		{http.MethodGet, one, "get application", readApplications, on((*call).registered, (*call).application)},
		{http.MethodPatch, one, "update application", writeApplications, on((*call).body, (*call).patchApplication)},
		{http.MethodDelete, one, "delete application", writeApplications, alone(on((*call).target, (*call).deleteApplication))},

		{http.MethodGet, credentials, "list federated credentials", readCredentials, on((*call).registered, (*call).federatedCredentials)},
		{http.MethodPost, credentials, "create federated credential", writeApplications, (*call).createFederated},
		{http.MethodGet, credential, "get federated credential", readCredentials, on((*call).registered, (*call).federatedCredential)},
		{http.MethodPatch, credential, "update federated credential", writeApplications, (*call).patchFederated},
		{http.MethodDelete, credential, "delete federated credential", writeApplications, on((*call).target, (*call).deleteFederated)},
	}, ownedOperations(one, "application", writeApplications))
}

// ownedOperations are about the credentials and owners that applications and service principals have.
func ownedOperations(one, noun string, write grants) []operation {
	return []operation{
		{http.MethodPost, one + "/addpassword", "add password to " + noun, writePasswords, (*call).addPassword},
		{http.MethodPost, one + "/removepassword", "remove password from " + noun, writePasswords, (*call).removePassword},
		{http.MethodPost, one + "/addkey", "add key to " + noun, writeKeys, (*call).addKey},
		{http.MethodPost, one + "/removekey", "remove key from " + noun, writeKeys, (*call).removeKey},

		{http.MethodGet, one + "/owners", "list owners of " + noun, readApplications, on((*call).listedOwners, (*call).owners)},
		{http.MethodGet, one + "/owners/$ref", "list owners of " + noun, readApplications, on((*call).listedOwners, (*call).ownerReferences)},
		{http.MethodPost, one + "/owners/$ref", "add owner to " + noun, write, (*call).addOwner},
		{http.MethodDelete, one + "/owners/{owner}/$ref", "remove owner from " + noun, write, on((*call).target, (*call).removeOwner)},
	}
}

func servicePrincipalOperations() []operation {
	const list = "/serviceprincipals"
	one := keyed(list, "at")
	all := slices.Concat([]operation{
		{http.MethodGet, list, "list service principals", readApplications, (*call).servicePrincipals},
		{http.MethodGet, list + "/$count", "count service principals", readApplications, (*call).countServicePrincipals},
		{http.MethodPost, list, "create service principal", writePrincipals, (*call).createServicePrincipal},
		{http.MethodGet, one, "get service principal", readApplications, on((*call).principal, (*call).servicePrincipal)},
		{http.MethodPatch, one, "update service principal", writePrincipals, on((*call).body, (*call).patchServicePrincipal)},
		{http.MethodDelete, one, "delete service principal", writePrincipals, on((*call).target, (*call).deleteServicePrincipal)},
	}, ownedOperations(one, "service principal", writePrincipals))
	for _, given := range []string{"/approleassignments", "/approleassignedto"} {
		all = append(all, []operation{
			{http.MethodGet, one + given, "list app role assignments", readApplications, on((*call).principal, (*call).assignments)},
			{http.MethodPost, one + given, "assign app role", assignRoles, (*call).assign},
			{http.MethodGet, one + given + "/{assignment}", "get app role assignment", readApplications, on((*call).principal, (*call).assignment)},
			{http.MethodDelete, one + given + "/{assignment}", "remove app role assignment", unassignRoles, on((*call).principal, (*call).unassign)},
		}...)
	}
	return all
}

// deletedOperations are about what was deleted in the last thirty days. The permissions are those
// of applications: deletedItems has the ones of the type.
func deletedOperations() []operation {
	const list, one = "/directory/deleteditems", "/directory/deleteditems/{id:[^/]*-[^/]*}"
	return []operation{
		{http.MethodGet, list + "/{type:(?:microsoft\\.graph\\.|graph\\.)?application}", "list deleted applications", readApplications, (*call).deletedApplications},
		{http.MethodGet, one, "get deleted item", readApplications, on((*call).wantedItem, (*call).deletedItem)},
		{http.MethodDelete, one, "delete item for good", writeApplications, alone(on((*call).writableItem, (*call).purge))},
		{http.MethodPost, one + "/restore", "restore deleted item", writeApplications, alone(on((*call).writableItem, (*call).restore))},
	}
}
