package graph

import (
	"strings"

	"github.com/wiemu/wiemu/internal/yamlfile"
)

// permissions are the application permissions of Microsoft Graph that programs ask for most, not
// all of them, with the ids of their app roles.
// Source: microsoft-graph-devx-content, permissions/permissions-descriptions.json (2026-08).
var permissions = [...]struct{ name, id string }{
	{"AppRoleAssignment.ReadWrite.All", "06b708a9-e830-4db3-a914-8e69da51d44f"},
	{"Application.Read.All", "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30"},
	{"Application.ReadWrite.All", "1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9"},
	{"Application.ReadWrite.OwnedBy", "18a4783c-866b-4cc7-a460-3d5e5662c884"},
	{"AuditLog.Read.All", "b0afded3-3588-46d8-8b3d-9842eff778da"},
	{"Calendars.Read", "798ee544-9d2d-430c-a058-570e29e34338"},
	{"Calendars.ReadWrite", "ef54d2bf-783f-4e0f-bca1-3210c0444d99"},
	{"ChannelMessage.Read.All", "7b2449af-6ccd-4f4d-9f78-e550c193f0d1"},
	{"Chat.Read.All", "6b7d71aa-70aa-4810-a8d9-5d9fb2830017"},
	{"Chat.ReadWrite.All", "294ce7c9-31ba-490a-ad7d-97a7d075e4ed"},
	{"Contacts.Read", "089fe4d0-434a-44c5-8827-41ba8a0b17f5"},
	{"Contacts.ReadWrite", "6918b873-d17a-4dc1-b314-35f528134491"},
	{"Device.Read.All", "7438b122-aefc-4978-80ed-43db9fcc7715"},
	{"Device.ReadWrite.All", "1138cb37-bd11-4084-a2b7-9f71582aeddb"},
	{"Directory.Read.All", "7ab1d382-f21e-4acd-a863-ba3e13f7da61"},
	{"Directory.ReadWrite.All", "19dbc75e-c2e2-444c-a770-ec69d8559fc7"},
	{"Domain.Read.All", "dbb9058a-0e50-45d7-ae91-66909b5d4664"},
	{"Domain.ReadWrite.All", "7e05723c-0bb0-42da-be95-ae9f08a6e53c"},
	{"Files.Read.All", "01d4889c-1287-42c6-ac1f-5d1e02578ef6"},
	{"Files.ReadWrite.All", "75359482-378d-4052-8f01-80520e7db3cd"},
	{"Group.Create", "bf7b1a76-6e77-406b-b258-bf5c7720e98f"},
	{"Group.Read.All", "5b567255-7703-4780-807c-7be8301ae99b"},
	{"Group.ReadWrite.All", "62a82d76-70ea-41e2-9197-370581804d09"},
	{"GroupMember.Read.All", "98830695-27a2-44f7-8c18-0c3ebc9698f6"},
	{"GroupMember.ReadWrite.All", "dbaae8cf-10b5-4b86-a4a1-f871c94c6695"},
	{"Mail.Read", "810c84a8-4a9e-49e6-bf7d-12d183f40d01"},
	{"Mail.ReadBasic", "6be147d2-ea4f-4b5a-a3fa-3eab6f3c140a"},
	{"Mail.ReadBasic.All", "693c5e45-0940-467d-9b8a-1022fb9d42ef"},
	{"Mail.ReadWrite", "e2a3a72e-5f79-4c64-b1b1-878b674786c9"},
	{"Mail.Send", "b633e1c5-b582-4048-a93e-9f11b44c7e96"},
	{"MailboxSettings.Read", "40f97065-369a-49f4-947c-6a255697ae91"},
	{"MailboxSettings.ReadWrite", "6931bccd-447a-43d1-b442-00a195474933"},
	{"Notes.Read.All", "3aeca27b-ee3a-4c2b-8ded-80376e2134a4"},
	{"Notes.ReadWrite.All", "0c458cef-11f3-48c2-a568-c66751c238c0"},
	{"Organization.Read.All", "498476ce-e0fe-48b0-b801-37ba7e2685c6"},
	{"Organization.ReadWrite.All", "292d869f-3427-49a8-9dab-8c70152b74e9"},
	{"People.Read.All", "b528084d-ad10-4598-8b93-929746b4d7d6"},
	{"Place.Read.All", "913b9306-0ce1-42b8-9137-6a7df690a760"},
	{"Policy.Read.All", "246dd0d5-5bd0-4def-940b-0421030a5b68"},
	{"Reports.Read.All", "230c1aed-a721-4c5d-9cb4-a90514e508ef"},
	{"RoleManagement.Read.All", "c7fbd983-d9aa-4fa7-84b8-17382c103bc4"},
	{"RoleManagement.Read.Directory", "483bed4a-2ad3-4361-a73b-c83ccdbdc53c"},
	{"RoleManagement.ReadWrite.Directory", "9e3f62cf-ca93-4989-b6ce-bf83c28f9fe8"},
	{"Sites.FullControl.All", "a82116e5-55eb-4c41-a434-62fe8a61c773"},
	{"Sites.Manage.All", "0c0bf378-bf22-4481-8f81-9e89a9b4960a"},
	{"Sites.Read.All", "332a536c-c7ef-4017-ab91-336970924f0d"},
	{"Sites.ReadWrite.All", "9492366f-7969-46a4-8d15-ed1a20078fff"},
	{"Sites.Selected", "883ea226-0bf2-4a8f-9f9d-92c9162a727d"},
	{"Tasks.Read.All", "f10e1f91-74ed-437f-a6fd-d6ae88e26c1f"},
	{"Tasks.ReadWrite.All", "44e666d1-d276-445b-a5fc-8815eeb81d55"},
	{"Team.ReadBasic.All", "2280dda6-0bfd-44ee-a2f4-cb867cfc4c1e"},
	{"TeamMember.Read.All", "660b7406-55f1-41ca-a0ed-0b035e182f3e"},
	{"User.Invite.All", "09850681-111b-4a89-9bed-3f2cae46d706"},
	{"User.Read.All", "df021288-bdef-4463-88db-98f22de89214"},
	{"User.ReadBasic.All", "97235f07-e226-4f63-ace3-39588e11d3a1"},
	{"User.ReadWrite.All", "741f803b-c850-494e-b5df-cde7c675a1ca"},
}

// Permission is the name of an application permission of Microsoft Graph, by the id of its app
// role; "" if none is known that has it.
func Permission(id string) string {
	for _, p := range permissions {
		if p.id == id {
			return p.name
		}
	}
	return ""
}

// permissionID is the id of the app role of an application permission; "" if none is known.
func permissionID(name string) string {
	for _, p := range permissions {
		if p.name == name {
			return p.id
		}
	}
	return ""
}

// MisspeltRole returns the application permission of Microsoft Graph that a role is
// probably meant to be; "" if it is one, or is like none. Roles of the tenant's own
// applications can have any name, so a role is not wrong because it is not Graph's.
func MisspeltRole(role string) string {
	if permissionID(role) != "" {
		return ""
	}
	parts := strings.Split(role, ".")
	// Part by part: User.Read.All is not a misspelt Group.Read.All, however short the parts are.
	for _, permission := range permissions {
		names := strings.Split(permission.name, ".")
		if len(names) != len(parts) {
			continue
		}
		alike := true
		for i, name := range names {
			alike = alike && yamlfile.Nearest(parts[i], []string{name}) != ""
		}
		if alike {
			return permission.name
		}
	}
	return ""
}

// segmentRoles are the first segments of the addresses that Microsoft Graph has, in
// lower case, with the application permissions that its reference names for listing
// them, the least first; nil: one is needed, and which is not known here.
// Source: the entity sets and singletons of https://graph.microsoft.com/v1.0/$metadata,
// from its reference; microsoft-graph-docs-contrib, api-reference/v1.0/api/user-list.md
// and group-list.md.
func segmentRoles() map[string][]string {
	segments := map[string][]string{
		"applications": readApplications.roles, "serviceprincipals": readApplications.roles, "organization": readOrganization.roles,
		"users":  {"User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"},
		"groups": {"GroupMember.Read.All", "Group.Read.All", "Directory.Read.All", "Group.ReadWrite.All", "Directory.ReadWrite.All"},
	}
	for _, name := range []string{
		"$batch", "admin", "agreementacceptances", "agreements", "appcatalogs", "applicationtemplates", "auditlogs",
		"authenticationmethodconfigurations", "authenticationmethodspolicy", "certificatebasedauthconfiguration", "chats",
		"communications", "compliance", "connections", "contacts", "contracts", "copilot", "datapolicyoperations",
		"deviceappmanagement", "devicemanagement", "devices", "directory", "directoryobjects", "directoryroles",
		"directoryroletemplates", "domaindnsrecords", "domains", "drive", "drives", "education", "employeeexperience", "external",
		"filteroperators", "functions", "grouplifecyclepolicies", "groupsettings", "groupsettingtemplates", "identity",
		"identitygovernance", "identityprotection", "identityproviders", "informationprotection", "invitations",
		"oauth2permissiongrants", "permissiongrants", "places", "planner", "policies", "print", "privacy", "reports",
		"rolemanagement", "schemaextensions", "scopedrolememberships", "search", "security", "shares", "sites", "solutions",
		"storage", "subscribedskus", "subscriptions", "teams", "teamstemplates", "teamwork", "tenantrelationships",
	} {
		segments[name] = nil
	}
	return segments
}
