package graph

import (
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/yamlfile"
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
