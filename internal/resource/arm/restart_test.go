package arm_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/keyring/keyringtest"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/resource/postgres"
	"github.com/wiemu/wiemu/internal/resource/postgres/local"
	"github.com/wiemu/wiemu/internal/resource/redis"
	"github.com/wiemu/wiemu/internal/resource/sql"
	"github.com/wiemu/wiemu/internal/roles"
)

// furnish makes one of each resource, and gives terraform access to it.
func (w *world) furnish() {
	w.t.Helper()
	w.withIdentity()
	object := w.object(terraform)
	w.do("PUT "+vaults+"/ledger"+v2023kv, vaultBody(rbac))
	w.do("PUT "+vaults+"/ledger"+assignments+nobody+v2022, `{"properties": {"roleDefinitionId": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7", "principalType": "ServicePrincipal", "principalId": "`+object+`"}}`)
	w.do("PUT "+vaults+"/policies"+v2023kv, vaultBody(`"accessPolicies": [{"tenantId": "`+tenantID+`", "objectId": "`+object+`", "permissions": {"secrets": ["set"]}}]`))
	w.do("PUT "+vaults+"/binned"+v2023kv, vaultBody(rbac))
	w.do("DELETE "+vaults+"/binned"+v2023kv, "")
	w.do("PUT "+accounts+"/ledger"+v2023st, accountBody)
	w.do("PUT "+accounts+"/ledger/blobServices/default/containers/inbox"+v2023st, `{}`)
	w.do("PUT "+accounts+"/ledger/queueServices/default/queues/work"+v2023st, `{}`)
	w.do("PUT "+accounts+"/gone"+v2023st, accountBody)
	w.do("DELETE "+accounts+"/gone"+v2023st, "")
	w.do("PUT "+accounts+"/ledger"+assignments+stranger+v2022, `{"properties": {"roleDefinitionId": "`+contributor+`", "principalType": "ServicePrincipal", "principalId": "`+object+`"}}`)
	w.do("PUT "+sqlServers+"/ledger"+v2023sql, `{"location": "westeurope", "properties": {"administrators": {"login": "terraform", "sid": "`+terraform+`", "azureADOnlyAuthentication": true}}}`)
	w.do("PUT "+sqlServers+"/ledger/databases/sales"+v2023sql, `{"location": "westeurope"}`)
	w.do("PUT "+redisCaches+"/ledger"+v2024redis, cacheBody)
	w.do("PUT "+redisCaches+"/ledger/accessPolicyAssignments/terraform"+v2024redis, `{"properties": {"accessPolicyName": "Data Owner", "objectId": "`+object+`", "objectIdAlias": "terraform"}}`)
}

// furnished reports what of it there is not.
func (w *world) furnished() {
	w.t.Helper()
	s := w.streams()
	for vault, status := range map[string]int{"ledger": 200, "policies": 200, "binned": 404} {
		if got := w.vaultAsk("PUT", vault, "password", `{"value": "v"}`); got.status != status {
			w.t.Errorf("vault %s: %d %s", vault, got.status, got.body)
		}
	}
	if got := w.do("GET "+inTenant+"/providers/Microsoft.KeyVault/deletedVaults"+v2023kv, ""); strings.Count(got.body, "/deletedVaults/binned") != 1 {
		w.t.Errorf("%s", got.body)
	}
	if got := w.blob(w.terraform(), "PUT", "ledger.blob.core.windows.net/inbox/one", "hello"); got.status != 201 {
		w.t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.do("GET "+accounts+"/ledger/queueServices/default/queues"+v2023st, ""); strings.Count(got.body, `"name":"work"`) != 1 {
		w.t.Errorf("%s", got.body)
	}
	if got := w.ask(w.terraform(), "GET "+accounts+"/gone"+v2023st, ""); got.status != 404 {
		w.t.Errorf("%d %s", got.status, got.body)
	}
	if err := s.logInSQL(w.terraform(), "ledger", "sales"); err != nil {
		w.t.Error(err)
	}
	if got := s.redis(w.terraform(), w.object(terraform), "ledger.redis.cache.windows.net:6380", "SET", "a", "1"); got != "OK" {
		w.t.Error(got)
	}
	if got := w.do("GET ?api-version=2021-04-01", ""); got.status != 200 {
		w.t.Errorf("%d", got.status)
	}
	if got := w.do("GET resources?api-version=2021-04-01", ""); strings.Count(got.body, `"id"`) != 8 { // the identity, two vaults, account, server with master and sales, cache
		w.t.Errorf("%s", got.body)
	}
}

// What was made is there after a restart, whether the process ended in order or was killed.
func TestResourcesSurviveARestart(t *testing.T) {
	dir, killed := t.TempDir(), t.TempDir()
	w := newWorld(t, lab.Options{StateDir: dir, Keep: true})
	w.furnish()
	w.furnished()
	if err := os.CopyFS(killed+"/state", os.DirFS(dir)); err != nil { // what a killed process leaves behind
		t.Fatal(err)
	}
	for _, name := range []string{"arm.log", "roles.log", "directory.log"} {
		if info, err := os.Stat(killed + "/state/" + name); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w = newWorld(t, lab.Options{StateDir: dir, Keep: true})
		w.furnished()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w = newWorld(t, lab.Options{StateDir: killed + "/state", Keep: true})
	w.furnished()
	w.do("DELETE "+groups2022, "")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, lab.Options{StateDir: killed + "/state", Keep: true})
	if got := w.vaultAsk("GET", "ledger", "password", ""); got.status != 404 {
		t.Errorf("after its group was deleted: %d", got.status)
	}
	if got := w.do("GET "+inTenant+"/providers/Microsoft.Storage/storageAccounts"+v2023st, ""); got.body != `{"value":[]}` {
		t.Errorf("%s", got.body)
	}
}

// What cannot be served any more, since wiemu.yaml has changed, does not keep a lab from starting.
func TestWhatIsNotServedAnyMore(t *testing.T) {
	dir := t.TempDir()
	c := configuration()
	c.Resources = map[string]any{"sqlServers": &sql.Settings{{Name: "orders", Tenant: tenantID}}}
	start := func(c config.Config) *world {
		t.Helper()
		l, err := lab.New(t.Context(), c, lab.Options{Keys: keyringtest.Keys(t), StateDir: dir, Keep: true, Clock: clock.Stopped(time.Date(2031, 3, 4, 5, 6, 7, 0, time.UTC))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return &world{l, t}
	}
	w := start(c)
	configured := w.Roles().ResourceID(tenantID, "Microsoft.Sql/servers", "orders")
	w.do("PUT "+configured+"/databases/sales"+v2023sql, `{"location": "westeurope"}`)
	w.withIdentity()
	w.do("PUT "+vaults+"/ledger"+v2023kv, vaultBody(rbac))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = start(configuration())
	told := map[string]bool{}
	for _, e := range w.Journal().Events() {
		if e.Outcome == journal.Failed {
			what, _, _ := strings.Cut(e.Summary, ",")
			told[what] = true
		}
	}
	for _, want := range []string{"Microsoft.Sql/servers/databases orders/sales is kept"} {
		if !told[want] {
			t.Errorf("not told: %s; found %v", want, told)
		}
	}
	if len(told) != 1 {
		t.Errorf("told: %v", told)
	}
	if got := w.vaultAsk("GET", "ledger", "password", ""); got.status != 403 {
		t.Errorf("the vault, which is served: %d %s", got.status, got.body)
	}
}

// A vault that cannot be recovered, since another has its name by now, stays in the bin.
func TestAVaultThatCannotBeRecovered(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, lab.Options{StateDir: dir, Keep: true})
	w.withIdentity()
	w.do("PUT "+vaults+"/ledger"+v2023kv, vaultBody(rbac))
	w.do("DELETE "+vaults+"/ledger"+v2023kv, "")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	c := configuration()
	c.Vaults = append(c.Vaults, config.Vault{Name: "ledger"})
	l, err := lab.New(t.Context(), c, lab.Options{Keys: keyringtest.Keys(t), StateDir: dir, Keep: true, Clock: clock.Stopped(time.Date(2031, 3, 4, 5, 6, 7, 0, time.UTC))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w = &world{l, t}
	if got := w.ask(w.terraform(), "PUT "+vaults+"/ledger"+v2023kv, `{"location": "westeurope", "properties": {"createMode": "recover", "tenantId": "`+tenantID+`", "sku": {"family": "A", "name": "standard"}}}`); got.status < 400 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.do("GET "+inTenant+"/providers/Microsoft.KeyVault/deletedVaults"+v2023kv, ""); strings.Count(got.body, "/deletedVaults/ledger") != 1 {
		t.Errorf("%s", got.body)
	}
}

// What wiemu.yaml makes is not changed here: a resource group with something of it is not deleted, and
// who may use its databases and caches stands there.
func TestResourcesOfTheConfigurationAreLocked(t *testing.T) {
	c := configuration()
	c.Resources = map[string]any{"postgresServers": &postgres.Settings{{Name: "orders", Tenant: tenantID}}, "redis": &redis.Settings{{Name: "orders", Tenant: tenantID}}}
	l, err := lab.New(t.Context(), c, lab.Options{Keys: keyringtest.Keys(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w := &world{l, t}
	at := func(kind string) string { return w.Roles().ResourceID(tenantID, kind, "orders") }
	vault := at("Microsoft.KeyVault/vaults")
	object := w.object(terraform)
	for request, body := range map[string]string{
		"DELETE " + vault[:strings.Index(vault, "/providers/")] + "?api-version=2022-09-01": "",

		"PUT " + at("Microsoft.DBforPostgreSQL/flexibleServers") + "/administrators/" + object + "?api-version=2024-08-01": `{"properties": {"principalName": "terraform", "principalType": "ServicePrincipal"}}`,
		"PUT " + at("Microsoft.Cache/redis") + "/accessPolicies/app" + v2024redis:                                          `{"properties": {"permissions": "+@read ~*"}}`,
		"PUT " + at("Microsoft.Cache/redis") + "/accessPolicyAssignments/one" + v2024redis:                                 `{"properties": {"accessPolicyName": "Data Owner", "objectId": "` + object + `", "objectIdAlias": "terraform"}}`,
	} {
		if got := w.ask(w.terraform(), request, body); got.status != 409 || got.Code != "ScopeLocked" {
			t.Errorf("%s: %d %s", request, got.status, got.body)
		}
	}
}

// Letter case does not tell names apart: neither of a policy that is assigned, nor of a property.
func TestNamesInAnotherCase(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.withIdentity()
	w.do("PUT "+redisCaches+"/ledger"+v2024redis, cacheBody)
	w.do("PUT "+redisCaches+"/ledger/accessPolicies/App"+v2024redis, `{"properties": {"permissions": "+@all ~*"}}`)
	object := w.object(terraform)
	w.do("PUT "+redisCaches+"/ledger/accessPolicyAssignments/one"+v2024redis, `{"properties": {"accessPolicyName": "app", "objectId": "`+object+`", "objectIdAlias": "terraform"}}`)
	if got := w.streams().redis(w.terraform(), object, "ledger.redis.cache.windows.net:6380", "SET", "a", "1"); got != "OK" {
		t.Error(got)
	}
	server := func(login string) string {
		return `{"location": "westeurope", "properties": {"Administrators": {"login": "` + login + `", "sid": "` + terraform + `", "azureADOnlyAuthentication": true}}}`
	}
	w.do("PUT "+sqlServers+"/ledger"+v2023sql, server("before"))
	w.do("PUT "+sqlServers+"/ledger"+v2023sql, server("after"))
	if got := w.do("GET "+sqlServers+"/ledger"+v2023sql, ""); !strings.Contains(got.body, `"login":"after"`) || strings.Contains(got.body, "before") {
		t.Errorf("%s", got.body)
	}
}

// A process that is killed while it writes loses what it had not acknowledged, and nothing else.
func TestATornChange(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, lab.Options{StateDir: dir + "/lab", Keep: true})
	w.withIdentity()
	w.do("PUT "+identities+"/more"+v2024, `{"location": "westeurope"}`)
	if err := os.CopyFS(dir+"/torn", os.DirFS(dir+"/lab")); err != nil {
		t.Fatal(err)
	}
	path := dir + "/torn/directory.log"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data[:len(data)-7], 0o600); err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, lab.Options{StateDir: dir + "/torn", Keep: true})
	if got := w.do("GET "+identities+v2024, ""); strings.Count(got.body, `"clientId"`) != 1 || !strings.Contains(got.body, `"name":"web"`) {
		t.Errorf("%s", got.body)
	}
	if got := w.do("PUT "+identities+"/more"+v2024, `{"location": "westeurope"}`); got.status != 201 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// Who was made and has the name of one of wiemu.yaml is told, and nothing is taken over.
func TestTheSameNameInBoth(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, lab.Options{StateDir: dir, Keep: true})
	w.furnish()
	_, missing := local.Find()
	if missing == nil {
		w.do("PUT "+flexible+"/ledger"+v2024pg, pgBody)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for what, given := range map[string]func(*config.Config){
		"vaults/ledger": func(c *config.Config) {
			c.Vaults = append(c.Vaults, c.Vaults[0])
			c.Vaults[1].Name = "ledger"
		},
		"servers/ledger": func(c *config.Config) {
			c.Resources = map[string]any{"sqlServers": &sql.Settings{{Name: "ledger", Tenant: tenantID, Administrator: operator}}}
		},
		"flexibleServers/ledger": func(c *config.Config) {
			c.Resources = map[string]any{"postgresServers": &postgres.Settings{{Name: "ledger", Tenant: tenantID, Access: postgres.AccessList{{Identity: operator}}}}}
		},
	} {
		if what == "flexibleServers/ledger" && missing != nil {
			continue
		}
		c := configuration()
		given(&c)
		l, err := lab.New(t.Context(), c, lab.Options{Keys: keyringtest.Keys(t), StateDir: dir, Keep: true})
		if err == nil {
			_ = l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "arm.json") || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, fmt.Sprint(err))
		}
	}
}

// The description of a role that wiemu.yaml gives is not changed: a role that was would outlive it.
func TestTheDescriptionOfARoleOfTheConfiguration(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	all := w.Roles().Assignments(func(a roles.Assignment) bool { return strings.EqualFold(a.Scope, group) })
	if len(all) != 1 || all[0].Source == "" {
		t.Fatalf("%+v", all)
	}
	put := func(description string) answer {
		return w.ask(w.terraform(), "PUT "+group+assignments+all[0].ID+v2022, `{"properties": {"principalId": "`+w.object(operator)+`", "principalType": "ServicePrincipal", "roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/`+all[0].Role+`"`+description+`}}`)
	}
	if got := put(""); got.status != 200 {
		t.Errorf("as it is: %d %s", got.status, got.body)
	}
	if got := put(`, "description": "for the shop"`); got.status != 409 || got.Code != "ScopeLocked" {
		t.Errorf("with a description: %d %s", got.status, got.body)
	}
}

// A template makes a vault, an account and a server in one go, with a role on the vault, and reads
// back what they are.
func TestATemplateMakesResources(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.withIdentity()
	template := `{"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0", "resources": [
		{"type": "Microsoft.KeyVault/vaults", "apiVersion": "2023-07-01", "name": "ledger", "location": "westeurope", "properties": {"tenantId": "[subscription().tenantId]", "sku": {"family": "A", "name": "standard"}, "enableRbacAuthorization": true}},
		{"type": "Microsoft.Storage/storageAccounts", "apiVersion": "2023-05-01", "name": "ledger", "location": "westeurope", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}},
		{"type": "Microsoft.Storage/storageAccounts/blobServices/containers", "apiVersion": "2023-05-01", "name": "ledger/default/inbox", "properties": {}, "dependsOn": ["[resourceId('Microsoft.Storage/storageAccounts', 'ledger')]"]},
		{"type": "Microsoft.Sql/servers", "apiVersion": "2023-08-01", "name": "ledger", "location": "westeurope", "properties": {"administrators": {"login": "terraform", "sid": "` + terraform + `", "azureADOnlyAuthentication": true}}},
		{"type": "Microsoft.Authorization/roleAssignments", "apiVersion": "2022-04-01", "name": "` + nobody + `", "scope": "[resourceId('Microsoft.KeyVault/vaults', 'ledger')]", "dependsOn": ["[resourceId('Microsoft.KeyVault/vaults', 'ledger')]"],
			"properties": {"roleDefinitionId": "[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7')]", "principalId": "` + w.object(terraform) + `", "principalType": "ServicePrincipal"}}
	], "outputs": {"uri": {"type": "string", "value": "[reference('Microsoft.KeyVault/vaults/ledger', '2023-07-01').vaultUri]"}, "blob": {"type": "string", "value": "[reference('Microsoft.Storage/storageAccounts/ledger', '2023-05-01').primaryEndpoints.blob]"}}}`
	w.do("PUT providers/Microsoft.Resources/deployments/ledger?api-version=2022-09-01", `{"properties": {"mode": "Incremental", "template": `+template+`}}`)
	done := w.do("GET providers/Microsoft.Resources/deployments/ledger?api-version=2022-09-01", "")
	if got := done.member(t, "properties", "outputs", "uri", "value"); got != "https://ledger.vault.azure.net/" {
		t.Fatalf("%s", done.body)
	}
	if got := done.member(t, "properties", "outputs", "blob", "value"); got != "https://ledger.blob.core.windows.net/" {
		t.Errorf("%s", done.body)
	}
	if got := w.vaultAsk("PUT", "ledger", "password", `{"value": "v"}`); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.do("GET "+accounts+"/ledger/blobServices/default/containers/inbox"+v2023st, ""); got.member(t, "name") != "inbox" {
		t.Errorf("%s", got.body)
	}
	if err := w.streams().logInSQL(w.terraform(), "ledger", "master"); err != nil {
		t.Error(err)
	}
}
