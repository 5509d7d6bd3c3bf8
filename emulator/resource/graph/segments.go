package graph

// segmentRoles are the first segments of the addresses that Microsoft Graph has, in
// lower case, with the application permissions that its reference names for listing
// them, the least first; nil: one is needed, and which is not known here.
// Source: the entity sets and singletons of https://graph.microsoft.com/v1.0/$metadata,
// from its reference; microsoft-graph-docs-contrib, api-reference/v1.0/api/user-list.md
// and group-list.md.
func segmentRoles() map[string][]string {
	applications, _, organization := readers()
	segments := map[string][]string{
		"applications": applications, "serviceprincipals": applications, "organization": organization,
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
