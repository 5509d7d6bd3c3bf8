package graph

import (
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/yamlfile"
)

// applicationPermissions are the application permissions of Microsoft Graph that
// programs ask for most: not all of them.
// Source: Microsoft Graph's permissions reference.
func applicationPermissions() []string {
	return strings.Fields(`
		AppRoleAssignment.ReadWrite.All Application.Read.All Application.ReadWrite.All Application.ReadWrite.OwnedBy
		AuditLog.Read.All Calendars.Read Calendars.ReadWrite ChannelMessage.Read.All Chat.Read.All Chat.ReadWrite.All
		Contacts.Read Contacts.ReadWrite Device.Read.All Device.ReadWrite.All Directory.Read.All Directory.ReadWrite.All
		Domain.Read.All Domain.ReadWrite.All Files.Read.All Files.ReadWrite.All Group.Create Group.Read.All
		Group.ReadWrite.All GroupMember.Read.All GroupMember.ReadWrite.All Mail.Read Mail.ReadBasic Mail.ReadBasic.All
		Mail.ReadWrite Mail.Send MailboxSettings.Read MailboxSettings.ReadWrite Notes.Read.All Notes.ReadWrite.All
		Organization.Read.All Organization.ReadWrite.All People.Read.All Place.Read.All Policy.Read.All Reports.Read.All
		RoleManagement.Read.All RoleManagement.Read.Directory RoleManagement.ReadWrite.Directory Sites.FullControl.All
		Sites.Manage.All Sites.Read.All Sites.ReadWrite.All Sites.Selected Tasks.Read.All Tasks.ReadWrite.All
		Team.ReadBasic.All TeamMember.Read.All User.Invite.All User.Read.All User.ReadBasic.All User.ReadWrite.All`)
}

// MisspeltRole returns the application permission of Microsoft Graph that a role is
// probably meant to be; "" if it is one, or is like none. Roles of the tenant's own
// applications can have any name, so a role is not wrong because it is not Graph's.
func MisspeltRole(role string) string {
	known := applicationPermissions()
	if slices.Contains(known, role) {
		return ""
	}
	parts := strings.Split(role, ".")
	// Part by part: User.Read.All is not a misspelt Group.Read.All, however short the parts are.
	for _, permission := range known {
		names := strings.Split(permission, ".")
		if len(names) != len(parts) {
			continue
		}
		alike := true
		for i, name := range names {
			alike = alike && yamlfile.Nearest(parts[i], []string{name}) != ""
		}
		if alike {
			return permission
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
