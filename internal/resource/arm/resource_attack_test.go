package arm_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/tenants"
)

// Who may do something in a group, or all in another tenant, gets no further by vaults, accounts,
// servers and caches.
func TestNobodyGetsFurtherByResources(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.furnish()
	theirs := "/subscriptions/" + tenants.SubscriptionID(otherTenant) + "/resourceGroups/wiemu"
	w.do("PUT "+inTenant+"/resourceGroups/other"+groups2022, `{"location": "westeurope"}`)
	w.do("PUT "+inTenant+"/resourceGroups/other/"+accounts+"/others"+v2023st, accountBody)
	polled := strings.TrimPrefix(w.do("PUT "+accounts+"/polled"+v2023st, accountBody).header.Get("Location"), "https://management.azure.com")
	w.assign(tenantID, nobody, "Reader", group)
	w.assign(tenantID, operator, "Contributor", group)
	w.assign(otherTenant, stranger, "Owner", "/")
	object := w.object(nobody)
	open := `{"properties": {"accessPolicies": [{"tenantId": "` + tenantID + `", "objectId": "` + object + `", "permissions": {"secrets": ["all"]}}]}}`
	strangerBody := strings.ReplaceAll(vaultBody(rbac), tenantID, otherTenant)
	other := inTenant + "/resourceGroups/other/"
	for _, row := range []struct {
		who, request, body string
		status             int
	}{
		// A reader reads, and gives itself nothing.
		{"nobody", "GET " + vaults + "/ledger" + v2023kv, "", 200},
		{"nobody", "PUT " + vaults + "/policies/accessPolicies/add" + v2023kv, open, 403},
		{"nobody", "PATCH " + vaults + "/policies" + v2023kv, open, 403},
		{"nobody", "PUT " + vaults + "/policies/ACCESSPOLICIES/ADD" + v2023kv, open, 403},
		{"nobody", "PUT " + vaults + "/mine/../policies/accessPolicies/add" + v2023kv, open, 403},
		{"nobody", "PUT " + vaults + "/policies%2FaccessPolicies%2Fadd" + v2023kv, vaultBody(rbac), 403},
		{"nobody", "POST " + accounts + "/ledger/listKeys" + v2023st, "", 403},
		{"nobody", "POST " + redisCaches + "/ledger/listKeys" + v2024redis, "", 403},
		{"nobody", "PUT " + sqlServers + "/ledger/administrators/ActiveDirectory" + v2023sql, `{"properties": {"login": "nobody", "sid": "` + nobody + `"}}`, 403},
		{"nobody", "DELETE " + vaults + "/ledger" + v2023kv, "", 403},
		{"nobody", "POST " + inTenant + "/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/binned/purge" + v2023kv, "", 403},
		{"nobody", "GET " + inTenant + "/providers/Microsoft.KeyVault/deletedVaults" + v2023kv, "", 403},
		// Contributor of a group has nothing in another one, and assigns no roles in its own.
		{"operator", "PUT " + vaults + "/new1" + v2023kv, vaultBody(rbac), 200},
		{"operator", "PUT " + other + vaults + "/new2" + v2023kv, vaultBody(rbac), 403},
		{"operator", "PUT " + group + "/../other/" + vaults + "/new2" + v2023kv, vaultBody(rbac), 403},
		{"operator", "PUT " + group + "%2F..%2Fother/" + vaults + "/new2" + v2023kv, vaultBody(rbac), 403},
		{"operator", "GET " + other + accounts + "/others" + v2023st, "", 403},
		{"operator", "PUT " + other + accounts + "/others/blobServices/default/containers/inbox" + v2023st, "{}", 403},
		{"operator", "PUT " + vaults + "/ledger" + assignments + nobody + v2022, `{"properties": {"roleDefinitionId": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "principalId": "` + object + `"}}`, 403},
		{"operator", "POST " + inTenant + "/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/binned/purge" + v2023kv, "", 403},
		// An operation is told to who may read what it is about.
		{"operator", "GET " + polled, "", 200},
		{"stranger", "GET " + polled, "", 401},
		{"stranger", "GET " + strings.Replace(polled, subscription, tenants.SubscriptionID(otherTenant), 1), "", 404},
		// Another tenant's Owner has its own subscription, and nothing of this one, by no name.
		{"stranger", "PUT " + theirs + "/" + vaults + "/foreign" + v2023kv, strangerBody, 200},
		{"stranger", "PUT " + theirs + "/" + vaults + "/ledger" + v2023kv, strangerBody, 409},
		{"stranger", "PUT " + theirs + "/" + vaults + "/orders" + v2023kv, strangerBody, 409},
		{"stranger", "PUT " + theirs + "/" + vaults + "/binned" + v2023kv, strangerBody, 409},
		{"stranger", "PUT " + theirs + "/" + vaults + "/binned" + v2023kv, strings.Replace(strangerBody, `"tenantId"`, `"createMode": "recover", "tenantId"`, 1), 404},
		{"stranger", "PUT " + theirs + "/" + vaults + "/foreign2" + v2023kv, vaultBody(rbac), 400},
		{"stranger", "PUT " + theirs + "/" + accounts + "/ledger" + v2023st, accountBody, 409},
		{"stranger", "PUT " + theirs + "/" + sqlServers + "/ledger" + v2023sql, `{"location": "westeurope", "properties": {"administratorLogin": "sa"}}`, 409},
		{"stranger", "PUT " + theirs + "/" + redisCaches + "/ledger" + v2024redis, cacheBody, 409},
		{"stranger", "POST " + strings.Replace(theirs, "/resourceGroups/wiemu", "", 1) + "/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/binned/purge" + v2023kv, "", 404},
		{"stranger", "GET " + vaults + "/ledger" + v2023kv, "", 401},
		{"stranger", "DELETE " + accounts + "/ledger" + v2023st, "", 401},
		{"stranger", "GET " + theirs + "/resources?api-version=2021-04-01", "", 200},
	} {
		ids := map[string][2]string{"nobody": {nobody, tenantID}, "operator": {operator, tenantID}, "stranger": {stranger, otherTenant}}
		got := w.ask(w.as(row.who, ids[row.who][0], ids[row.who][1]), row.request, row.body)
		if got.status != row.status {
			t.Errorf("%s: %s: %d %s, want %d", row.who, row.request, got.status, got.body, row.status)
		}
		if row.who == "stranger" && strings.Contains(got.body, subscription) && got.status < 400 {
			t.Errorf("%s: %s: it learns of another tenant: %s", row.who, row.request, got.body)
		}
	}
	w.unharmed()
}

// unharmed reports what an attack must not have changed.
func (w *world) unharmed() {
	w.t.Helper()
	if got := w.do("GET "+vaults+"/policies"+v2023kv, ""); strings.Contains(got.body, w.object(nobody)) {
		w.t.Errorf("%s", got.body)
	}
	if got := w.do("GET "+inTenant+"/providers/Microsoft.KeyVault/deletedVaults"+v2023kv, ""); !strings.Contains(got.body, "/deletedVaults/binned") {
		w.t.Errorf("%s", got.body)
	}
	if got := w.vaultAsk("PUT", "ledger", "password", `{"value": "v"}`); got.status != 200 {
		w.t.Errorf("%d %s", got.status, got.body)
	}
}

// An access policy of a vault for a principal of another tenant, or for an application on behalf
// of somebody, lets nobody in.
func TestPoliciesOfOthers(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.withIdentity()
	object := w.object(terraform)
	for name, policy := range map[string]string{
		"another tenant":     `{"tenantId": "` + otherTenant + `", "objectId": "` + object + `", "permissions": {"secrets": ["set"]}}`,
		"a compound one":     `{"tenantId": "` + tenantID + `", "objectId": "` + object + `", "applicationId": "` + nobody + `", "permissions": {"secrets": ["set"]}}`,
		"the client id":      `{"tenantId": "` + tenantID + `", "objectId": "` + terraform + `", "permissions": {"secrets": ["set"]}}`,
		"another permission": `{"tenantId": "` + tenantID + `", "objectId": "` + object + `", "permissions": {"secrets": ["get", "list"], "keys": ["all"]}}`,
	} {
		w.do("PUT "+vaults+"/ledger"+v2023kv, vaultBody(`"accessPolicies": [`+policy+`]`))
		if got := w.vaultAsk("PUT", "ledger", "password", `{"value": "v"}`); got.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

// Contributor may not assign roles, and so does not change how a vault lets in whom: neither by
// PUT or PATCH nor by a template, and not by leaving the property out either.
func TestThePermissionModelIsNotContributors(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.furnish()
	w.do("PUT "+vaults+"/byroles"+v2023kv, vaultBody(rbac))
	w.do("PUT "+vaults+"/bypolicies"+v2023kv, vaultBody(`"accessPolicies": []`))
	w.assign(tenantID, operator, "Contributor", group)
	as := w.as("operator", operator, tenantID)
	open := `"accessPolicies": [{"tenantId": "` + tenantID + `", "objectId": "` + w.object(operator) + `", "permissions": {"secrets": ["all"]}}]`
	for _, row := range []struct {
		request, body string
		status        int
	}{
		{"PUT " + vaults + "/byroles" + v2023kv, vaultBody(open), 400},
		{"PUT " + vaults + "/byroles" + v2023kv, vaultBody(`"enableRbacAuthorization": false, ` + open), 400},
		{"PATCH " + vaults + "/byroles" + v2023kv, `{"properties": {"enableRbacAuthorization": false, ` + open + `}}`, 400},
		{"PATCH " + vaults + "/bypolicies" + v2023kv, `{"properties": {"ENABLERBACAUTHORIZATION": true}}`, 400},
		{"PATCH " + vaults + "/byroles" + v2023kv, `{"properties": {"enableRbacAuthorization": true, "enablerbacauthorization": false, ` + open + `}}`, 400},
		{"PATCH " + vaults + "/byroles" + v2023kv, `{"tags": {"by": "operator"}}`, 200},
		{"PUT " + vaults + "/bypolicies/accessPolicies/add" + v2023kv, `{"properties": {` + open + `}}`, 200}, // which Azure lets Contributor do
	} {
		got := w.ask(as, row.request, row.body)
		if got.status != row.status {
			t.Errorf("%s %s: %d %s, want %d", row.request, row.body, got.status, got.body, row.status)
		}
		if row.status == 400 && !strings.Contains(got.body, "InsufficientPermissions") {
			t.Errorf("%s: it is refused for another reason: %s", row.request, got.body)
		}
	}
	deployed := w.ask(as, "PUT "+group+"/providers/Microsoft.Resources/deployments/letmein?api-version=2024-03-01", `{"properties": {"mode": "Incremental", "template": {"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0", "resources": [
		{"type": "Microsoft.KeyVault/vaults", "apiVersion": "2023-07-01", "name": "byroles", "location": "westeurope", "properties": {"tenantId": "`+tenantID+`", "sku": {"family": "A", "name": "standard"}, `+open+`}}]}}}`)
	if deployed.status != http.StatusCreated {
		t.Errorf("the template: %d %s", deployed.status, deployed.body)
	}
	if got := w.do("GET "+vaults+"/byroles"+v2023kv, ""); !strings.Contains(got.body, `"enableRbacAuthorization":true`) || strings.Contains(got.body, w.object(operator)) {
		t.Errorf("the vault is another one now: %s", got.body)
	}
	if got := w.do("PATCH "+vaults+"/byroles"+v2023kv, `{"properties": {"EnableRBACAuthorization": false}}`); strings.Count(strings.ToLower(got.body), "enablerbacauthorization") != 1 || !strings.Contains(got.body, `"enableRbacAuthorization":false`) {
		t.Errorf("an owner, who writes the name in another way: %s", got.body)
	}
}

// A small template of templates of templates is compared no further than it would be deployed.
func TestWhatIfIsBounded(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.furnish()
	template := func(resources string) string {
		return `{"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0", "resources": [` + resources + `]}`
	}
	of := func(n int, inner string) string {
		return template(fmt.Sprintf(`{"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "[format('n{0}', copyIndex())]", "copy": {"name": "all", "count": %d}, "properties": {"mode": "Incremental", "expressionEvaluationOptions": {"scope": "inner"}, "template": %s}}`, n, inner))
	}
	for _, row := range []struct {
		template string
		status   int
	}{{of(2, of(3, template(""))), http.StatusAccepted}, {of(800, of(800, of(800, template("")))), http.StatusBadRequest}} {
		got := w.ask(w.as("terraform", terraform, tenantID), "POST "+group+"/providers/Microsoft.Resources/deployments/bounded/whatIf?api-version=2024-03-01", `{"properties": {"mode": "Incremental", "template": `+row.template+`}}`)
		if got.status != row.status || row.status != http.StatusAccepted && !strings.Contains(got.body, "5000 resources at most") {
			t.Errorf("%d %.500s", got.status, got.body)
		}
	}
}

// What is made, deleted and made again at the same time ends as if one came after the other: what
// Resource Manager has is what is served.
func TestResourcesAtOnce(t *testing.T) {
	w := newWorld(t, lab.Options{})
	who := w.terraform()
	w.withIdentity()
	at := inTenant + "/resourceGroups/fleeting"
	var all sync.WaitGroup
	try := func(allowed string, requests ...[2]string) {
		all.Go(func() {
			for n := range 15 * len(requests) {
				r := requests[n%len(requests)]
				if got := w.ask(who, r[0], r[1]); !strings.Contains(allowed, fmt.Sprint(got.status)) {
					t.Errorf("%s: %d %s", r[0], got.status, got.body)
				}
			}
		})
	}
	const purge = "POST " + inTenant + "/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/fleeting/purge" + v2023kv
	try("200 202 204 404 409", [2]string{"PUT " + vaults + "/fleeting" + v2023kv, vaultBody(rbac)}, [2]string{"DELETE " + vaults + "/fleeting" + v2023kv, ""}, [2]string{purge, ""})
	try("200 202 204 404 409", [2]string{"PUT " + at + "/" + vaults + "/fleeting" + v2023kv, vaultBody(rbac)}, [2]string{purge, ""})
	try("200 201 202 204 404 409", [2]string{"PUT " + accounts + "/fleeting" + v2023st, accountBody}, [2]string{"PUT " + accounts + "/fleeting/blobServices/default/containers/inbox" + v2023st, "{}"}, [2]string{"DELETE " + accounts + "/fleeting" + v2023st, ""})
	try("200 201 202 404 409", [2]string{"PUT " + at + "/" + accounts + "/fleeting" + v2023st, accountBody}, [2]string{"PUT " + at + "/" + accounts + "/fleeting/blobServices/default/containers/inbox" + v2023st, "{}"})
	try("201 202", [2]string{"PUT " + at + groups2022, `{"location": "westeurope"}`}, [2]string{"DELETE " + at + groups2022, ""})
	all.Wait()
	listed := w.do("GET "+inTenant+"/providers/Microsoft.Storage/storageAccounts"+v2023st, "")
	served := w.blob(who, "GET", "fleeting.blob.core.windows.net/?comp=list", "")
	if there := strings.Contains(listed.body, "/storageAccounts/fleeting"); there != (served.status == http.StatusForbidden) {
		t.Errorf("%s, and served: %d", listed.body, served.status)
	}
	listed = w.do("GET "+inTenant+"/providers/Microsoft.KeyVault/vaults"+v2023kv, "")
	if there := strings.Contains(listed.body, "/vaults/fleeting"); there != (w.vaultAsk("GET", "fleeting", "password", "").status != http.StatusNotFound) {
		t.Errorf("%s", listed.body)
	}
}

// FuzzResourceBodies sends any body to what makes resources: nothing fails within, and what was
// refused is not there.
func FuzzResourceBodies(f *testing.F) {
	w := newWorld(f, lab.Options{})
	w.withIdentity()
	w.do("PUT "+vaults+"/ledger"+v2023kv, vaultBody(rbac))
	w.do("PUT "+sqlServers+"/ledger"+v2023sql, `{"location": "westeurope", "properties": {"administratorLogin": "sa"}}`)
	w.do("PUT "+redisCaches+"/ledger"+v2024redis, cacheBody)
	who := w.terraform()
	paths := []string{
		vaults + "/fuzzed" + v2023kv, vaults + "/ledger/accessPolicies/add" + v2023kv, vaults + "/ledger/accessPolicies/remove" + v2023kv, accounts + "/fuzzed" + v2023st,
		sqlServers + "/fuzzed" + v2023sql, sqlServers + "/ledger/administrators/ActiveDirectory" + v2023sql, sqlServers + "/ledger/databases/sales" + v2023sql,
		redisCaches + "/fuzzed" + v2024redis, redisCaches + "/ledger/accessPolicies/p" + v2024redis, redisCaches + "/ledger/accessPolicyAssignments/a" + v2024redis, flexible + "/fuzzed" + v2024pg,
	}
	for n, body := range []string{
		vaultBody(rbac), vaultBody(`"accessPolicies": []`), `{"properties": {"accessPolicies": [{"tenantId": "` + tenantID + `", "objectId": "` + nobody + `", "permissions": {"secrets": ["get"]}}]}}`, accountBody, cacheBody,
		`{"location": "westeurope", "properties": {"administrators": {"login": "x", "sid": "` + nobody + `"}}}`, `{"properties": null}`, `{"properties": {"sku": null, "TENANTID": 1}}`, `{"sku": [], "kind": {}}`, `{"tags": null, "properties": {"": {}}}`,
	} {
		f.Add(uint8(n), false, body)
		f.Add(uint8(n), true, body)
	}
	f.Fuzz(func(t *testing.T, at uint8, patch bool, body string) {
		method := "PUT "
		if patch {
			method = "PATCH "
		}
		path := paths[int(at)%len(paths)]
		got := (&world{w.Lab, t}).ask(who, method+path, body)
		if got.status >= 500 {
			t.Errorf("%s%s: %d %s", method, path, got.status, got.body)
		}
		if got.status >= 400 && got.Code == "" {
			t.Errorf("%s%s: %d %s has no code", method, path, got.status, got.body)
		}
		if strings.Contains(path, "/fuzzed") {
			if there := (&world{w.Lab, t}).ask(who, "GET "+path, ""); got.status >= 400 && there.status != http.StatusNotFound {
				t.Errorf("%s%s was refused with %d, and is there: %d %s", method, path, got.status, there.status, there.body)
			}
			(&world{w.Lab, t}).ask(who, "DELETE "+path, "")
			(&world{w.Lab, t}).ask(who, "POST "+inTenant+"/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/fuzzed/purge"+v2023kv, "")
		}
	})
}
