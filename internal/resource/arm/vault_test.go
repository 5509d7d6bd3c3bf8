package arm_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/internal/lab"
)

const (
	vaults  = "providers/Microsoft.KeyVault/vaults"
	v2023kv = "?api-version=2023-07-01"
)

// vaultBody is that of a vault with more properties, such as `"accessPolicies": []`.
func vaultBody(more string) string {
	return `{"location": "West Europe", "properties": {"tenantId": "` + tenantID + `", "sku": {"family": "A", "name": "standard"}, ` + more + `}}`
}

const rbac = `"enableRbacAuthorization": true`

// setSecret sets a secret of a vault as terraform and returns the status and the code.
func (w *world) setSecret(vault string) (int, string) {
	w.t.Helper()
	a := w.vaultAsk("PUT", vault, "password", `{"value": "hunter3"}`)
	return a.status, a.Code
}

// A vault is there at once, for who was given access, and gone when it is deleted.
func TestAVaultFromTheFirstToTheLast(t *testing.T) {
	w := newWorld(t, lab.Options{})
	clientID, principalID := w.withIdentity()
	w.do("PUT "+identities+"/web/federatedIdentityCredentials/aks"+v2024, trust(w.Issuers()[0].URL(), "system:serviceaccount:shop:web-sa"))
	one := vaults + "/Ledger"
	if status, _ := w.setSecret("ledger"); status != http.StatusNotFound {
		t.Errorf("before it was made: %d", status)
	}
	made := w.do("PUT "+one+v2023kv, vaultBody(rbac))
	if made.status != 200 || made.member(t, "properties", "vaultUri") != "https://ledger.vault.azure.net/" || made.member(t, "properties", "provisioningState") != "Succeeded" || made.member(t, "id") != group+"/"+one {
		t.Fatalf("%d %s", made.status, made.body)
	}
	if status, code := w.setSecret("ledger"); status != http.StatusForbidden || code != "Forbidden" {
		t.Errorf("who made it has its content without a role: %d %s", status, code)
	}
	officer := `{"properties": {"roleDefinitionId": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7", "principalType": "ServicePrincipal", "principalId": "` + w.object(terraform) + `"}}`
	w.do("PUT "+one+assignments+nobody+v2022, officer)
	if status, code := w.setSecret("ledger"); status != http.StatusOK {
		t.Fatalf("with the role: %d %s", status, code)
	}
	web := w.workload(clientID, "shop", "web-sa")
	if _, err := w.secret("ledger", "password", web); !refusedWith(err, "Forbidden") {
		t.Errorf("the workload has it without a role: %v", err)
	}
	w.do("PUT "+one+assignments+stranger+v2022, `{"properties": {"roleDefinitionId": "`+secretsUser+`", "principalId": "`+principalID+`"}}`)
	if got, err := w.secret("ledger", "password", web); err != nil || got != "hunter3" {
		t.Errorf("%q %v", got, err)
	}

	if again := w.do("PUT "+one+v2023kv, vaultBody(rbac)); again.status != 200 {
		t.Errorf("%d %s", again.status, again.body)
	}
	if got := w.do("DELETE "+one+v2023kv, ""); got.status != 200 || got.body != "" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.do("DELETE "+one+v2023kv, ""); got.status != 204 {
		t.Errorf("twice: %d %s", got.status, got.body)
	}
	if status, _ := w.setSecret("ledger"); status != http.StatusNotFound {
		t.Errorf("after it was deleted: %d", status)
	}
	if got := w.ask(w.terraform(), "PUT "+one+v2023kv, vaultBody(rbac)); got.status != 409 || got.Code != "ConflictError" {
		t.Errorf("made again: %d %s", got.status, got.body)
	}
	const bin = "/subscriptions/" + subscription + "/providers/Microsoft.KeyVault"
	if got := w.do("GET "+bin+"/deletedVaults"+v2023kv, ""); strings.Count(got.body, `"vaultId"`) != 1 {
		t.Errorf("%s", got.body)
	}
	w.do("PUT "+one+v2023kv, `{"location": "westeurope", "properties": {"createMode": "recover", "tenantId": "`+tenantID+`", "sku": {"family": "A", "name": "standard"}}}`)
	if _, err := w.secret("ledger", "password", web); !refusedWith(err, "Forbidden") {
		t.Errorf("recovered, its role assignments are back: %v", err)
	}
	w.do("PUT "+one+assignments+stranger+v2022, `{"properties": {"roleDefinitionId": "`+secretsUser+`", "principalId": "`+principalID+`"}}`)
	if got, err := w.secret("ledger", "password", web); err != nil || got != "hunter3" {
		t.Errorf("recovered: %q %v", got, err)
	}
	w.do("DELETE "+one+v2023kv, "")
	if got := w.do("POST "+bin+"/locations/westeurope/deletedVaults/ledger/purge"+v2023kv, ""); got.status != 202 {
		t.Errorf("%d %s", got.status, got.body)
	} else if done := w.do("GET "+strings.TrimPrefix(got.header.Get("Location"), "https://management.azure.com"), ""); done.status != 200 {
		t.Errorf("%d %s", done.status, done.body)
	}
	w.do("PUT "+one+v2023kv, vaultBody(rbac))
	w.do("PUT "+one+assignments+stranger+v2022, `{"properties": {"roleDefinitionId": "`+secretsUser+`", "principalId": "`+principalID+`"}}`)
	if _, err := w.secret("ledger", "password", web); !refusedWith(err, "SecretNotFound") {
		t.Errorf("purged and made again, it has the secrets of before: %v", err)
	}
}

// Access policies open what they say, as they are added, replaced and removed.
func TestAccessPolicies(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.withIdentity()
	one := vaults + "/ledger"
	list := func(permissions string) string {
		return `"accessPolicies": [{"tenantId": "` + tenantID + `", "objectId": "` + w.object(terraform) + `", "permissions": {` + permissions + `}}]`
	}
	w.do("PUT "+one+v2023kv, vaultBody(`"accessPolicies": []`))
	change := func(verb, permissions string) answer {
		return w.do("PUT "+one+"/accessPolicies/"+verb+v2023kv, `{"properties": {`+list(permissions)+`}}`)
	}
	for _, step := range []struct {
		verb, permissions string
		set, get          int
		shown             string
	}{
		{"", "", 403, 403, `"accessPolicies":[]`},
		{"add", `"secrets": ["Set"]`, 200, 403, `"secrets":["Set"]`},
		{"add", `"secrets": ["get"], "keys": ["list"]`, 200, 200, `"permissions":{"keys":["list"],"secrets":["Set","get"]}`},
		{"remove", `"secrets": ["set"]`, 403, 200, `"permissions":{"keys":["list"],"secrets":["get"]`},
		{"replace", `"secrets": ["set"]`, 200, 403, `"permissions":{"secrets":["set"]}`},
		{"remove", `"secrets": ["all", "set"]`, 403, 403, `"accessPolicies":[]`},
		{"add", `"secrets": ["all"]`, 200, 200, `"secrets":["all"]`},
	} {
		if step.verb != "" {
			change(step.verb, step.permissions)
		}
		if got := w.vaultAsk("PUT", "ledger", "password", `{"value": "v"}`); got.status != step.set {
			t.Errorf("%s %s: set: %d %s", step.verb, step.permissions, got.status, got.body)
		}
		if got := w.vaultAsk("GET", "ledger", "password", ""); got.status != step.get {
			t.Errorf("%s %s: get: %d %s", step.verb, step.permissions, got.status, got.body)
		}
		if got := w.do("GET "+one+v2023kv, ""); !strings.Contains(got.body, step.shown) {
			t.Errorf("%s %s: %s, want %s", step.verb, step.permissions, got.body, step.shown)
		}
	}
	w.do("PATCH "+one+v2023kv, `{"properties": {"enableRbacAuthorization": true}}`)
	if got := w.vaultAsk("GET", "ledger", "password", ""); got.status != 403 {
		t.Errorf("in the other permission model, policies open it: %d", got.status)
	}
}

// What a vault cannot be is refused in Azure's words.
func TestRefusedVaults(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.withIdentity()
	w.do("PUT "+vaults+"/guarded"+v2023kv, vaultBody(rbac+`, "enablePurgeProtection": true, "softDeleteRetentionInDays": 7`))
	w.do("PUT "+vaults+"/elsewhere"+v2023kv, vaultBody(rbac))
	w.do("DELETE "+vaults+"/elsewhere"+v2023kv, "")
	w.do("PUT "+inTenant+"/resourceGroups/other"+groups2022, `{"location": "westeurope"}`)
	policy := func(object, tenant, permission string) string {
		return vaultBody(`"accessPolicies": [{"objectId": "` + object + `", "tenantId": "` + tenant + `", "permissions": {"secrets": ["` + permission + `"]}}]`)
	}
	bin := inTenant + "/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/"
	for _, row := range []struct {
		request, body string
		status        int
		code, says    string
	}{
		{"PUT " + vaults + "/1ledger" + v2023kv, vaultBody(rbac), 400, "VaultNameNotValid", "'1ledger' is invalid"},
		{"PUT " + vaults + "/a--b" + v2023kv, vaultBody(rbac), 400, "VaultNameNotValid", ""},
		{"PUT " + vaults + "/ab" + v2023kv, vaultBody(rbac), 400, "VaultNameNotValid", ""},
		{"PUT " + vaults + "/a%2Fb" + v2023kv, vaultBody(rbac), 400, "VaultNameNotValid", ""},
		{"PUT " + vaults + "/orders" + v2023kv, vaultBody(rbac), 409, "VaultAlreadyExists", "The vault name 'orders' is already in use."},
		{"PUT " + inTenant + "/resourceGroups/other/" + vaults + "/guarded" + v2023kv, vaultBody(rbac), 409, "VaultAlreadyExists", ""},
		{"PUT " + inTenant + "/resourceGroups/other/" + vaults + "/elsewhere" + v2023kv, vaultBody(rbac), 409, "VaultAlreadyExists", ""},
		{"PUT " + inTenant + "/resourceGroups/wiemu/" + vaults + "/orders" + v2023kv, vaultBody(rbac), 409, "ScopeLocked", "cannot perform write operation"},
		{"DELETE " + inTenant + "/resourceGroups/wiemu/" + vaults + "/orders" + v2023kv, "", 409, "ScopeLocked", "cannot perform delete operation"},
		{"PUT " + vaults + "/ledger" + v2023kv, `{"properties": {}}`, 400, "LocationRequired", ""},
		{"PUT " + vaults + "/ledger" + v2023kv, `{"location": "mars", "properties": {}}`, 400, "LocationNotAvailableForResourceType", "Microsoft.KeyVault/vaults"},
		{"PUT " + vaults + "/ledger" + v2023kv, `{"location": "westeurope"}`, 400, "BadRequest", "properties.tenantId is not specified"},
		{"PUT " + vaults + "/ledger" + v2023kv, strings.Replace(vaultBody(rbac), tenantID, otherTenant, 1), 400, "BadRequest", "is not the tenant of the subscription"},
		{"PUT " + vaults + "/ledger" + v2023kv, strings.Replace(vaultBody(rbac), "standard", "gold", 1), 400, "BadRequest", "sku"},
		{"PUT " + vaults + "/ledger" + v2023kv, vaultBody(`"softDeleteRetentionInDays": 5, ` + rbac), 400, "BadRequest", "between 7 and 90"},
		{"PUT " + vaults + "/ledger" + v2023kv, vaultBody(`"enablePurgeProtection": "yes", ` + rbac), 400, "BadRequest", "enablePurgeProtection"},
		{"PUT " + vaults + "/ledger" + v2023kv, vaultBody(`"x": 1`), 400, "BadRequest", "properties.accessPolicies is not specified"},
		{"PUT " + vaults + "/ledger" + v2023kv, policy("web", tenantID, "get"), 400, "BadRequest", "Invalid value found at accessPolicies[0].ObjectId: web"},
		{"PUT " + vaults + "/ledger" + v2023kv, policy(nobody, "here", "get"), 400, "BadRequest", "Invalid value found at accessPolicies[0].TenantId: here"},
		{"PUT " + vaults + "/ledger" + v2023kv, policy(nobody, tenantID, " list"), 400, "BadRequest", "An invalid value was provided for 'accessPolicies'."},
		{"PUT " + vaults + "/guarded/accessPolicies/merge" + v2023kv, `{"properties": {"accessPolicies": []}}`, 400, "BadRequest", "'merge'"},
		{"PUT " + vaults + "/ledger/accessPolicies/add" + v2023kv, `{"properties": {"accessPolicies": []}}`, 404, "ResourceNotFound", "Microsoft.KeyVault/vaults/ledger"},
		{"PATCH " + vaults + "/guarded" + v2023kv, `{"properties": {"enablePurgeProtection": false}}`, 400, "BadRequest", "cannot be set to false"},
		{"PATCH " + vaults + "/guarded" + v2023kv, `{"properties": {"softDeleteRetentionInDays": 8}}`, 400, "BadRequest", "can't be modified"},
		{"PATCH " + vaults + "/ledger" + v2023kv, `{}`, 404, "ResourceNotFound", ""},
		{"GET " + vaults + "/ledger?api-version=2023-01-01", "", 404, "InvalidResourceType", ""},
		{"GET " + bin + "guarded" + v2023kv, "", 404, "DeletedVaultNotFound", ""},
		{"POST " + strings.Replace(bin, "westeurope", "westus", 1) + "elsewhere/purge" + v2023kv, "", 404, "DeletedVaultNotFound", ""},
	} {
		if got := w.ask(w.terraform(), row.request, row.body); got.status != row.status || got.Code != row.code || !strings.Contains(got.Message, row.says) {
			t.Errorf("%s %s: %d %s, want %d %s with %q", row.request, row.body, got.status, got.body, row.status, row.code, row.says)
		}
	}
	w.do("DELETE "+vaults+"/guarded"+v2023kv, "")
	if got := w.ask(w.terraform(), "POST "+bin+"guarded/purge"+v2023kv, ""); got.status != 405 || got.Code != "MethodNotAllowed" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if err := w.Clock().Advance(t.Context(), 7*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	w.do("PUT "+vaults+"/guarded"+v2023kv, vaultBody(rbac)) // its retention is over
}

// Names are told from those that are free.
func TestNamesOfVaults(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.withIdentity()
	w.do("PUT "+vaults+"/gone"+v2023kv, vaultBody(rbac))
	w.do("DELETE "+vaults+"/gone"+v2023kv, "")
	for name, want := range map[string]string{
		"orders": `"reason":"AlreadyExists"`, "GONE": `"reason":"AlreadyExists"`, "-a": `"reason":"AccountNameInvalid"`, "free": `{"nameAvailable":true}`,
	} {
		if got := w.do("POST "+inTenant+"/providers/Microsoft.KeyVault/checkNameAvailability"+v2023kv, `{"name": "`+name+`", "type": "Microsoft.KeyVault/vaults"}`); !strings.Contains(got.body, want) {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	listed := w.do("GET "+inTenant+"/resources?$filter=resourceType%20eq%20'Microsoft.KeyVault/vaults'&api-version=2021-04-01", "")
	named := w.do("GET "+inTenant+"/resources?$filter=resourceType%20eq%20'Microsoft.KeyVault/vaults'%20and%20name%20eq%20'ORDERS'&api-version=2015-11-01", "")
	if other := w.do("GET "+inTenant+"/resources?$filter=name%20eq%20'other'&api-version=2015-11-01", ""); strings.Count(named.body, `"id"`) != 1 || strings.Contains(other.body, `"id"`) {
		t.Errorf("by name: %s, %s", named.body, other.body)
	}
	if !strings.Contains(listed.body, "resourceGroups/wiemu/providers/Microsoft.KeyVault/vaults/orders") || strings.Contains(listed.body, "gone") {
		t.Errorf("%s", listed.body)
	}
}
