package graph_test

import (
	"testing"

	"github.com/wiemu/wiemu/internal/resource/graph"
)

func TestMisspeltRoles(t *testing.T) {
	for role, want := range map[string]string{
		"Organisation.Read.All":     "Organization.Read.All",
		"organization.read.all":     "Organization.Read.All", // Graph compares letter by letter
		"Aplication.ReadWrite.All":  "Application.ReadWrite.All",
		"Organization.Read.All":     "",
		"Mail.Read":                 "",
		"Group.Read.All":            "",
		"CallRecords.Read.All":      "", // Graph has it, though the list does not
		"Printer.Read.All":          "",
		"Orders.Approve":            "", // of an application of the tenant
		"":                          "",
		"User.Read":                 "",
		"EntitlementManagement.All": "",
	} {
		if got := graph.MisspeltRole(role); got != want {
			t.Errorf("%q: %q, want %q", role, got, want)
		}
	}
}
