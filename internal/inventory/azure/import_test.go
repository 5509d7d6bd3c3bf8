package azure_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/inventory"
	"github.com/wiemu/wiemu/internal/inventory/azure"
)

const (
	home        = "3aa4a235-b6e2-48d5-9195-7fcf05b459b0"
	other       = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
	webClientID = "b96d264b-7053-4465-a4a7-32be5b0fec49"
	webObjectID = "41c5c42c-868a-5155-83e3-42b177d2a12e"
	webID       = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/web"
)

// imported imports files by their name and text.
func imported(t *testing.T, tenant string, files map[string]string) (inventory.Written, config.Config) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	written, err := azure.Import([]string{dir}, tenant)
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("wiemu.yaml", []byte(written.YAML))
	if err != nil {
		t.Fatal(err)
	}
	return written, c
}

// One file says of which tenant an identity is, another does not.
func TestTenantOfAnIdentityInTwoFiles(t *testing.T) {
	written, c := imported(t, home, map[string]string{
		"a.json": fmt.Sprintf(`[{"clientId": %q, "principalId": %q, "tenantId": %q, "id": %q, "name": "web"}]`, webClientID, webObjectID, other, webID),
		"b.json": fmt.Sprintf(`[{"clientId": %q, "principalId": %q}]`, webClientID, webObjectID),
		"c.json": `[{"appId": "11111111-aaaa-4bbb-8ccc-222222222222", "displayName": "daemon", "id": "21111111-aaaa-4bbb-8ccc-222222222222"}]`,
	})
	if len(c.Identities) != 1 || c.Identities[0].Tenant != other || c.Identities[0].ResourceID != webID {
		t.Errorf("the identities are %+v, expected %s in tenant %s", c.Identities, webID, other)
	}
	if len(c.Applications) != 1 || c.Applications[0].Tenant != home || c.Tenants[0].ID != home {
		t.Errorf("the applications are %+v, expected one in the first tenant, %s, in\n%s", c.Applications, home, written.YAML)
	}
	if len(c.Subscriptions) != 1 || c.Subscriptions[0].ID != "0b1f6471-1bf0-4dda-aec3-cb9272f09590" {
		t.Errorf("the subscriptions are %+v", c.Subscriptions)
	}
}

// az prints an assignment once for the scope and once with --all, in letters of another case.
func TestAssignmentInTwoFiles(t *testing.T) {
	assignment := fmt.Sprintf(`[{"principalId": %q, "principalType": "ServicePrincipal", "roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7", "scope": "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590"}]`, webObjectID)
	_, c := imported(t, "", map[string]string{
		"a.json": fmt.Sprintf(`[{"clientId": %q, "principalId": %q, "tenantId": %q, "id": %q, "name": "web"}]`, webClientID, webObjectID, home, webID),
		"b.json": assignment,
		"c.json": strings.NewReplacer(webObjectID, strings.ToUpper(webObjectID), "/subscriptions/", "/Subscriptions/").Replace(assignment),
	})
	if a := c.Roles.Assignments; len(a) != 1 || a[0].Identity != webClientID {
		t.Errorf("the assignments are %+v, expected one of %s", a, webClientID)
	}
}

// Applications of one name are told apart.
func TestApplicationsOfOneName(t *testing.T) {
	var all []string
	for n := range 3 {
		all = append(all, fmt.Sprintf(`{"appId": "%d1111111-aaaa-4bbb-8ccc-222222222222", "displayName": "daemon", "id": "%[1]d2222222-aaaa-4bbb-8ccc-222222222222"}`, n+1))
	}
	written, c := imported(t, home, map[string]string{"a.json": "[" + strings.Join(all, ",") + "]"})
	for n, want := range []string{"daemon", "daemon (21111111-aaaa-4bbb-8ccc-222222222222)", "daemon (31111111-aaaa-4bbb-8ccc-222222222222)"} {
		if got := c.Applications[n].Name; got != want {
			t.Errorf("application %d is named %q, expected %q", n, got, want)
		}
	}
	if got := strings.Count(strings.Join(written.Left, "\n"), "its name daemon, which another has, too"); got != 2 {
		t.Errorf("%d names are said to be taken, expected 2", got)
	}
}
