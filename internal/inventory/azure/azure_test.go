package azure_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/inventory/azure"
)

const (
	tenant       = "3aa4a235-b6e2-48d5-9195-7fcf05b459b0"
	appID        = "11111111-aaaa-4bbb-8ccc-222222222222"
	clientID     = "b96d264b-7053-4465-a4a7-32be5b0fec49"
	objectID     = "41c5c42c-868a-5155-83e3-42b177d2a12e"
	subscription = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590"
	reader       = subscription + "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
	identityID   = subscription + "/resourcegroups/shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/web"
)

// What az prints is taken over, or named: each property that has a value and is dropped by one
// line, with how many objects have it.
func TestWhatIsTakenOverAndWhatIsNamed(t *testing.T) {
	const (
		identity = `{"clientId": "` + clientID + `", "id": "` + identityID + `", "name": "web", "principalId": "` + objectID + `", "resourceGroup": "shop", "systemData": {"createdBy": "somebody"}, "tenantId": "` + tenant + `", "type": "Microsoft.ManagedIdentity/userAssignedIdentities"`
		app      = `{"appId": "` + appID + `", "displayName": "daemon", "id": "21111111-aaaa-4bbb-8ccc-222222222222", "createdDateTime": "2024-01-01T00:00:00Z"`
		sp       = `{"appId": "` + appID + `", "displayName": "daemon", "id": "61111111-aaaa-4bbb-8ccc-222222222222", "servicePrincipalType": "Application", "accountEnabled": true`
		vault    = `{"id": "` + subscription + `/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/shopvault", "name": "shopvault", "type": "microsoft.keyvault/vaults", "tenantId": "` + tenant + `"`
		account  = `{"id": "` + subscription + `/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/shopdata", "name": "shopdata", "type": "microsoft.storage/storageaccounts", "tenantId": "` + tenant + `"`
		role     = `{"id": "` + subscription + `/providers/Microsoft.Authorization/roleAssignments/91111111-aaaa-4bbb-8ccc-222222222222", "principalId": "` + objectID + `", "principalType": "ServicePrincipal", "roleDefinitionId": "` + reader + `", "scope": "` + subscription + `", "type": "Microsoft.Authorization/roleAssignments", "createdOn": "2024-01-01T00:00:00Z"`
		custom   = `{"id": "` + subscription + `/providers/Microsoft.Authorization/roleDefinitions/d1111111-aaaa-4bbb-8ccc-222222222222", "roleName": "Secret Lister", "roleType": "CustomRole", "assignableScopes": ["` + subscription + `"], "permissions": [{"actions": ["*/read"], "dataActions": [], "notActions": [], "notDataActions": []}]`
		trust    = `{"id": "` + identityID + `/federatedIdentityCredentials/cluster", "issuer": "https://cluster.example.com/", "name": "cluster", "subject": "system:serviceaccount:shop:web-sa", "audiences": ["api://AzureADTokenExchange"], "type": "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"`
	)
	known := identity + "}, " + trust + "}" // an identity of which all is taken over
	for name, row := range map[string]struct {
		objects string
		yaml    string   // is in the file
		left    []string // of the lines about properties, all
	}{
		"an identity as it is":            {known, "objectId: " + objectID, nil},
		"its tags and region":             {identity + `, "tags": {"team": "shop"}, "location": "westeurope"}, ` + trust + "}", "name: web", []string{"location, which wiemu.yaml does not have (managed identities: 1)", "tags, which wiemu.yaml does not have (managed identities: 1)"}},
		"what says nothing":               {identity + `, "tags": {}, "isolationScope": "", "location": null}, ` + trust + "}", "name: web", nil},
		"the description of a credential": {identity + "}, " + trust + `, "description": "from the portal"}`, "subject: system:serviceaccount:shop:web-sa", []string{"description, which wiemu.yaml does not have (federated credentials: 1)"}},
		"an application": {
			known + ", " + app + `, "identifierUris": ["api://daemon"], "api": {"requestedAccessTokenVersion": 2, "oauth2PermissionScopes": [{"value": "read"}], "knownClientApplications": []}, "web": {"redirectUris": ["https://shop.example/"], "implicitGrantSettings": {"enableIdTokenIssuance": false}}, "spa": {"redirectUris": []}}`,
			"api://daemon", []string{"api.oauth2PermissionScopes, which wiemu.yaml does not have (applications: 1)", "web, which wiemu.yaml does not have (applications: 1)"},
		},
		"a service principal": {
			known + ", " + app + "}, " + sp + `, "tags": ["WindowsAzureActiveDirectoryIntegratedApp"], "appRoleAssignmentRequired": true}`,
			"objectId: 61111111-aaaa-4bbb-8ccc-222222222222", []string{"tags, which wiemu.yaml does not have (service principals: 1)"},
		},
		"that of another tenant, of which nothing is told but that it is left out": {
			known + ", " + strings.ReplaceAll(sp, appID, "71111111-aaaa-4bbb-8ccc-222222222222") + `, "tags": ["x"]}`, "name: web", nil,
		},
		"a vault, below properties and beside": {
			known + ", " + vault + `, "location": "westeurope", "properties": {"enableRbacAuthorization": true, "accessPolicies": [], "softDeleteRetentionInDays": 90, "enablePurgeProtection": null, "vaultUri": "https://shopvault.vault.azure.net/"}}`,
			"name: shopvault", []string{"location, which wiemu.yaml does not have (vaults: 1)", "softDeleteRetentionInDays, which wiemu.yaml does not have (vaults: 1)"},
		},
		"a vault that two files have counts once": {
			known + ", " + vault + `, "properties": {"enableRbacAuthorization": true}}, ` + vault + `, "tags": {"a": "b"}, "properties": {"enableRbacAuthorization": true}}`,
			"name: shopvault", []string{"tags, which wiemu.yaml does not have (vaults: 1)"},
		},
		"of several kinds": {
			identity + `, "tags": {"team": "shop"}}, ` + trust + "}, " + vault + `, "tags": {"team": "shop"}, "enableRbacAuthorization": true}, ` + account + `, "tags": {"team": "shop"}, "sku": {"name": "Standard_LRS"}}`,
			"name: shopdata", []string{"sku, which wiemu.yaml does not have (storage accounts: 1)", "tags, which wiemu.yaml does not have (managed identities: 1, storage accounts: 1, vaults: 1)"},
		},
		"a role assignment": {known + ", " + role + `, "description": "for reports"}`, "scope: " + subscription, []string{"description, which wiemu.yaml does not have (role assignments: 1)"}},
		"one that is left out anyway": {
			known + ", " + strings.ReplaceAll(role, `"ServicePrincipal"`, `"User"`) + `, "description": "for reports"}`, "name: web", nil,
		},
		"a custom role": {known + ", " + custom + `, "description": "lists", "extra": 1}`, "Secret Lister", []string{"extra, which wiemu.yaml does not have (custom roles: 1)"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "exported.json")
			if err := os.WriteFile(file, []byte("["+row.objects+"]"), 0o600); err != nil {
				t.Fatal(err)
			}
			written, err := azure.Import([]string{file}, tenant)
			if err != nil {
				t.Fatal(err)
			}
			var left []string
			for _, line := range written.Left {
				if property, ok := strings.CutPrefix(line, "the property "); ok {
					left = append(left, property)
				}
			}
			if !slices.Equal(left, row.left) {
				t.Errorf("dropped are %q; want %q", left, row.left)
			}
			if !strings.Contains(written.YAML, row.yaml) {
				t.Errorf("the file has no %q:\n%s", row.yaml, written.YAML)
			}
		})
	}
}
