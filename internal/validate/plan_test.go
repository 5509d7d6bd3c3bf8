package validate

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/workload"
)

const (
	planIssuer = "https://northeurope.oic.prod-aks.azure.com/t/old/"
	planClient = "b96d264b-7053-4465-a4a7-32be5b0fec49"
	planID     = "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/web"
)

// terraformOutput is what terraform show -json prints, as far as it counts: the changes, and the
// configuration of the root module and of the module trust, which is called for each workload.
// Its form is that of plans in public repositories (azurerm 3).
func terraformOutput(changes ...string) string {
	return `{"format_version": "1.2", "terraform_version": "1.11.4", "resource_changes": [` + strings.Join(changes, ",") + `],
	"configuration": {"root_module": {
		"resources": [
			{"address": "azurerm_user_assigned_identity.web", "mode": "managed", "type": "azurerm_user_assigned_identity", "name": "web", "expressions": {}},
			{"address": "azurerm_federated_identity_credential.web", "mode": "managed", "type": "azurerm_federated_identity_credential", "name": "web", "expressions": {"parent_id": {"references": ["azurerm_user_assigned_identity.web.id", "azurerm_user_assigned_identity.web"]}}},
			{"address": "azurerm_role_assignment.web", "expressions": {"principal_id": {"references": ["azurerm_user_assigned_identity.web.client_id", "azurerm_user_assigned_identity.web"]}}},
			{"address": "azuread_application.web", "expressions": {}},
			{"address": "azuread_application_federated_identity_credential.web", "expressions": {"application_id": {"references": ["azuread_application.web.id", "azuread_application.web"]}}}],
		"module_calls": {
			"identity": {"source": "./identity", "module": {"outputs": {"id": {"expression": {"references": ["azurerm_user_assigned_identity.this.id", "azurerm_user_assigned_identity.this"]}}}, "resources": [{"address": "azurerm_user_assigned_identity.this", "expressions": {}}]}},
			"trust": {"source": "./trust", "expressions": {"identity_id": {"references": ["module.identity.id", "module.identity"]}}, "module": {"resources": [{"address": "azurerm_federated_identity_credential.this", "expressions": {"parent_id": {"references": ["var.identity_id"]}}}]}}}}}}`
}

func changed(address, kind, actions, after string) string {
	before := "null"
	if actions == "delete" {
		before, after = after, "null"
	}
	return fmt.Sprintf(`{"address": %q, "mode": "managed", "type": %q, "change": {"actions": [%q], "before": %s, "after": %s, "after_unknown": {"id": true}}}`, address, kind, actions, before, after)
}

// replaced is a change that deletes and creates, in the order of create_before_destroy.
func replaced(address, kind, before, after string) string {
	return fmt.Sprintf(`{"address": %q, "mode": "managed", "type": %q, "change": {"actions": ["create", "delete"], "before": %s, "after": %s, "after_unknown": {"id": true}}}`, address, kind, before, after)
}

// credentialOf are the values of a federated credential of an identity that exists.
func credentialOf(id string) string {
	return strings.Replace(credentialValues("system:serviceaccount:shop:web-sa"), "{", fmt.Sprintf(`{"parent_id": %q, `, id), 1)
}

const templateSchema = `"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0"`

// deploymentOf is a template in a template.
func deploymentOf(name, more string, resources ...string) string {
	return fmt.Sprintf(`{"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": %q, %s "properties": {"mode": "Incremental", "expressionEvaluationOptions": {"scope": "inner"}, "template": {%s, "resources": [%s]}}}`, name, more, templateSchema, strings.Join(resources, ","))
}

func templated(name, subject, more string) string {
	return fmt.Sprintf(`{"type": "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials", "apiVersion": "2023-01-31", "name": %q, %s "properties": {"issuer": %q, "subject": %q, "audiences": ["api://AzureADTokenExchange"]}}`, name, more, planIssuer, subject)
}

const templatedIdentity = `{"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "web"}`

// nestedTemplates have a federated credential each, of the same identity. second says on what the
// second depends.
func nestedTemplates(second string) string {
	return fmt.Sprintf(`{%s, "resources": [%s]}`, templateSchema, strings.Join([]string{
		templatedIdentity,
		deploymentOf("first", "", deploymentOf("inner", "", templated("web/cluster", "system:serviceaccount:shop:web-sa", ""))),
		deploymentOf("second", second, templated("web/second", "repo:a/b:ref:refs/heads/main", "")),
	}, ","))
}

// between has a script that depends on a federated credential. second says on what another depends.
func between(second string) string {
	return fmt.Sprintf(`{%s, "resources": [%s]}`, templateSchema, strings.Join([]string{
		templatedIdentity,
		templated("web/cluster", "system:serviceaccount:shop:web-sa", ""),
		`{"type": "Microsoft.Resources/deploymentScripts", "apiVersion": "2023-08-01", "name": "script", "dependsOn": ["web/cluster"], "properties": {}}`,
		templated("web/second", "repo:a/b:ref:refs/heads/main", second),
	}, ","))
}

func credentialValues(subject string) string {
	return fmt.Sprintf(`{"name": "cluster", "audience": ["api://AzureADTokenExchange"], "issuer": %q, "subject": %q, "resource_group_name": "shop"}`, planIssuer, subject)
}

const armTemplate = `{"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0",
	"parameters": {"issuer": {"type": "string"}},
	"resources": [
	{"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "web", "location": "[resourceGroup().location]"},
	{"type": "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials", "apiVersion": "2023-01-31", "name": "web/cluster", "properties": {"issuer": "[parameters('issuer')]", "subject": "system:serviceaccount:shop:web-sa", "audiences": ["api://AzureADTokenExchange"]}, "dependsOn": ["[resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', 'web')]"]}MORE]}`

func TestPlans(t *testing.T) {
	const identity, credential = "azurerm_user_assigned_identity", "azurerm_federated_identity_credential"
	exists := changed("azurerm_user_assigned_identity.web", identity, "no-op", fmt.Sprintf(`{"name": "web", "id": %q, "client_id": %q, "principal_id": "p"}`, planID, planClient))
	isNew := changed("azurerm_user_assigned_identity.web", identity, "create", `{"name": "web", "location": "westeurope"}`)
	template := func(more string) string { return strings.Replace(armTemplate, "MORE", more, 1) }
	for name, row := range map[string]struct {
		plan, parameters string
		want             []string // SEVERITY KIND: part of the text, or ✓ for trust
	}{
		"trusted by what exists": {terraformOutput(exists, changed("azurerm_federated_identity_credential.web", credential, "create", credentialValues("system:serviceaccount:shop:web-sa"))), "", []string{"✓ cluster"}},
		"a slip, mended in the code": {terraformOutput(exists, changed("azurerm_federated_identity_credential.web", credential, "create", credentialValues("system:serviceaccount:shop:Web-sa"))), "",
			[]string{"error subject: no federated credential of managed identity web trusts | in azurerm_federated_identity_credential.web, write issuer"}},
		"trusted by what is made": {terraformOutput(isNew, changed("azurerm_federated_identity_credential.web", credential, "create", credentialValues("system:serviceaccount:shop:web-sa"))), "",
			[]string{"✓ cluster", "warning known after apply: managed identity web is made by the plan (azurerm_user_assigned_identity.web)"}},
		"nearly trusted by what is made": {terraformOutput(isNew, changed("azurerm_federated_identity_credential.web", credential, "create", credentialValues("system:serviceaccount:shop:web"))), "",
			[]string{"error subject: managed identity web, which the plan makes, would not trust it | mend it in azurerm_federated_identity_credential.web", "warning known after apply"}},
		"through modules": {terraformOutput(changed("module.identity.azurerm_user_assigned_identity.this", identity, "no-op", fmt.Sprintf(`{"name": "web", "id": %q, "client_id": %q}`, planID, planClient)),
			changed(`module.trust["a.b"].azurerm_federated_identity_credential.this[0]`, credential, "create", credentialValues("system:serviceaccount:shop:web-sa"))), "", []string{"✓ cluster"}},
		"an application": {terraformOutput(changed("azuread_application.web", "azuread_application", "no-op", fmt.Sprintf(`{"display_name": "web", "client_id": %q, "object_id": "o", "id": "/applications/o"}`, planClient)),
			changed("azuread_application_federated_identity_credential.web", "azuread_application_federated_identity_credential", "update", fmt.Sprintf(`{"application_id": "/applications/o", "display_name": "cluster", "audiences": ["api://AzureADTokenExchange"], "issuer": %q, "subject": "system:serviceaccount:shop:web-sa"}`, planIssuer))), "", []string{"✓ cluster"}},
		"deleted with its trust": {terraformOutput(changed("azurerm_user_assigned_identity.web", identity, "delete", fmt.Sprintf(`{"name": "web", "id": %q, "client_id": %q}`, planID, planClient))), "",
			[]string{"error deleted: the plan deletes managed identity web"}},
		"an issuer that is made, too": {terraformOutput(exists, changed("azurerm_federated_identity_credential.web", credential, "create", `{"name": "cluster", "audience": ["api://AzureADTokenExchange"], "subject": "system:serviceaccount:shop:web-sa"}`)), "",
			[]string{"warning known after apply: is not known in full before it is made (issuer)"}},
		"a role for a client id": {terraformOutput(exists, changed("azurerm_federated_identity_credential.web", credential, "create", credentialValues("system:serviceaccount:shop:web-sa")), changed("azurerm_role_assignment.web", "azurerm_role_assignment", "create", `{"scope": "s"}`)), "",
			[]string{"✓ cluster", "error role assignment: nobody gets the role"}},
		"a role for a client id that is known": {terraformOutput(exists, changed("azurerm_federated_identity_credential.web", credential, "create", credentialValues("system:serviceaccount:shop:web-sa")), changed("azurerm_role_assignment.web", "azurerm_role_assignment", "create", fmt.Sprintf(`{"principal_id": %q}`, planClient))), "",
			[]string{"✓ cluster", "error role assignment: it is the client id of managed identity web"}},

		"what-if": {fmt.Sprintf(`{"status": "Succeeded", "changes": [{"resourceId": %q, "changeType": "NoChange", "before": {"properties": {"clientId": %q}}, "after": {"properties": {"clientId": %q}}},
			{"resourceId": %q, "changeType": "Create", "after": {"properties": {"issuer": %q, "subject": "system:serviceaccount:shop:web-sa", "audiences": ["api://AzureADTokenExchange"]}}}]}`, planID, planClient, planClient, planID+"/federatedIdentityCredentials/cluster", planIssuer), "", []string{"✓ cluster"}},
		"what-if, which would take it away": {fmt.Sprintf(`{"properties": {"changes": [{"resourceId": %q, "changeType": "Ignore", "before": {"properties": {"clientId": %q}}},
			{"resourceId": %q, "changeType": "Modify", "before": {"properties": {"issuer": %q, "subject": "system:serviceaccount:shop:web-sa", "audiences": ["api://AzureADTokenExchange"]}}, "after": {"properties": {"subject": "system:serviceaccount:shop:other-sa"}}}]}}`, planID, planClient, planID+"/federatedIdentityCredentials/cluster", planIssuer), "",
			[]string{"error subject: no federated credential of managed identity web trusts", "warning orphan: shop:other-sa"}},

		"replaced, so that its client id goes": {terraformOutput(replaced("azurerm_user_assigned_identity.web", identity, fmt.Sprintf(`{"name": "web", "id": %q, "client_id": %q}`, planID, planClient), `{"name": "web"}`),
			replaced("azurerm_federated_identity_credential.web", credential, credentialOf(planID), credentialValues("system:serviceaccount:shop:web-sa"))), "",
			[]string{"error deleted: the plan deletes managed identity web"}},

		"templates in a template, one after the other":       {nestedTemplates(`"dependsOn": ["first"],`), "", []string{"✓ cluster", "warning known after apply"}},
		"templates in a template, at the same time":          {nestedTemplates(""), "", []string{"✓ cluster", "warning known after apply", "error concurrent writes: at the same time as plan.json: resources[1].resources[0].resources[0]"}},
		"a template with another resource between the two":   {between(`"dependsOn": ["script"],`), "", []string{"✓ cluster", "warning known after apply"}},
		"a template with another resource before the second": {between(""), "", []string{"✓ cluster", "warning known after apply", "error concurrent writes"}},

		"a template":                        {template(""), fmt.Sprintf(`{"parameters": {"issuer": {"value": %q}}}`, planIssuer), []string{"✓ cluster", "warning known after apply: managed identity web is made by the plan (plan.json: resources[0])"}},
		"a template without its parameters": {template(""), "", []string{"warning known after apply: plan.json: resources[1] is not known in full before it is made (issuer)", "warning known after apply"}},
		"a template that writes at the same time": {template(`, {"type": "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials", "apiVersion": "2023-01-31", "name": "web/second", "properties": {"issuer": "https://other.example/", "subject": "repo:a/b:ref:refs/heads/main", "audiences": ["api://AzureADTokenExchange"]}, "dependsOn": ["[resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', 'web')]"]}`), fmt.Sprintf(`{"issuer": {"value": %q}}`, planIssuer),
			[]string{"✓ cluster", "warning known after apply", "error concurrent writes: ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity"}},
		"a template with a role for a client id": {template(`, {"type": "Microsoft.Authorization/roleAssignments", "apiVersion": "2022-04-01", "name": "[guid('a')]", "properties": {"principalId": "[reference(resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', 'web')).clientId]"}}`), fmt.Sprintf(`{"issuer": {"value": %q}}`, planIssuer),
			[]string{"✓ cluster", "warning known after apply", "error role assignment: nobody gets the role"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			parameters := ""
			for file, text := range map[string]string{"plan.json": row.plan, "parameters.json": row.parameters} {
				if text == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if file == "parameters.json" {
					parameters = file
				}
			}
			plan, err := ReadPlan([]string{"plan.json"}, parameters)
			if err != nil {
				t.Fatal(err)
			}
			d := &Directory{}
			d.Apply(plan)
			w := Workload{Spec: workload.Spec{Workload: workload.Workload{Component: "web", Namespace: "shop", ServiceAccount: "web-sa", ClientID: planClient}}}
			report, err := Check([]Workload{w}, d, Options{Issuers: []string{planIssuer}})
			if err != nil {
				t.Fatal(err)
			}
			checkReport(t, report, row.want)
		})
	}
}

// What a plan does to a directory that has the identities.
func TestPlansOfWhatExists(t *testing.T) {
	const identity, credential, application = "azurerm_user_assigned_identity", "azurerm_federated_identity_credential", "azuread_application_federated_identity_credential"
	const objectID = "0fc1f1f0-6c0e-4b86-8c5a-0b2f4d1f9c11"
	exists := fmt.Sprintf(`{"name": "web", "id": %q, "client_id": %q}`, planID, planClient)
	forgotten := func(address, kind, before string) string {
		return fmt.Sprintf(`{"address": %q, "mode": "managed", "type": %q, "change": {"actions": ["forget"], "before": %s, "after": null, "after_unknown": {}}}`, address, kind, before)
	}
	other := strings.NewReplacer(`"cluster"`, `"other"`, "web-sa", "other-sa").Replace(credentialOf(planID))
	ofApplication := func(owner string) string {
		return changed("azuread_application_federated_identity_credential.a", application, "create", strings.NewReplacer("{", owner, `"audience"`, `"audiences"`).Replace(credentialValues("system:serviceaccount:shop:app-sa")))
	}
	for name, row := range map[string]struct {
		plan    string
		holders []string // in the end, with their federated credentials
	}{
		"a federated credential is replaced": {terraformOutput(changed("azurerm_user_assigned_identity.web", identity, "no-op", exists), replaced("azurerm_federated_identity_credential.web", credential, credentialOf(planID), other)),
			[]string{"web: other", "app: "}},
		"a federated credential is left to somebody else": {terraformOutput(forgotten("azurerm_federated_identity_credential.web", credential, credentialOf(planID))),
			[]string{"web: cluster", "app: "}},
		"an identity is left to somebody else": {terraformOutput(forgotten("azurerm_user_assigned_identity.web", identity, exists)),
			[]string{"web: cluster", "app: "}},
		"an identity is deleted with its trust": {terraformOutput(changed("azurerm_federated_identity_credential.web", credential, "delete", credentialOf(planID)), changed("azurerm_user_assigned_identity.web", identity, "delete", exists)),
			[]string{"app: "}},
		"an identity is replaced, and what it was is deleted last": {terraformOutput(changed("azurerm_user_assigned_identity.web", identity, "create", `{"name": "web"}`), changed("azurerm_federated_identity_credential.web", credential, "create", credentialValues("s")), changed("azurerm_user_assigned_identity.web", identity, "delete", exists)),
			[]string{"app: ", "web: cluster"}},
		"an application of elsewhere":                          {terraformOutput(ofApplication(`{"application_id": "/applications/` + objectID + `", `)), []string{"web: cluster", "app: cluster"}},
		"an application of elsewhere, as in azuread 2":         {terraformOutput(ofApplication(`{"application_object_id": "` + objectID + `", `)), []string{"web: cluster", "app: cluster"}},
		"an application that no file has is one that is named": {terraformOutput(ofApplication(`{"application_id": "/applications/1fc1f1f0-6c0e-4b86-8c5a-0b2f4d1f9c11", `)), []string{"web: cluster", "app: ", "/applications/1fc1f1f0-6c0e-4b86-8c5a-0b2f4d1f9c11: cluster"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &Plan{}
			if err := p.read("plan.json", []byte(row.plan), ""); err != nil {
				t.Fatal(err)
			}
			d := &Directory{Holders: []*Holder{
				{Name: "web", ClientID: planClient, ResourceID: planID, Known: true, Credentials: []directory.FederatedCredential{{Name: "cluster", Issuer: planIssuer, Subject: "system:serviceaccount:shop:web-sa", Audience: "api://AzureADTokenExchange"}}},
				{Name: "app", ClientID: "c96d264b-7053-4465-a4a7-32be5b0fec49", ObjectIDs: []string{objectID}, Known: true},
			}}
			d.Apply(p)
			var got []string
			for _, h := range d.Holders {
				var names []string
				for _, c := range h.Credentials {
					names = append(names, c.Name)
				}
				if len(h.unsettled) > 0 {
					t.Errorf("of %s it is not known what it trusts: %v", h.Name, h.unsettled[0].unknown)
				}
				got = append(got, h.Name+": "+strings.Join(names, ", "))
			}
			if !slices.Equal(got, row.holders) {
				t.Errorf("got\n%q, want\n%q", got, row.holders)
			}
		})
	}
}

// checkReport compares what a report has with lines.
func checkReport(t *testing.T, report Report, want []string) {
	t.Helper()
	var got []string
	v := report.Workloads[0]
	for _, trusted := range v.Trusted {
		got = append(got, "✓ "+trusted.Credential)
	}
	findings := v.Findings
	for _, i := range report.Identities {
		findings = append(findings, i.Findings...)
	}
	for _, f := range findings {
		got = append(got, fmt.Sprintf("%s %s: %s | %s", f.Severity, f.Kind, f.Text, f.Fix))
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("lacks %s", want[i])
		case i >= len(want):
			t.Errorf("has %s", got[i])
		default:
			kind, text, _ := strings.Cut(want[i], ": ")
			text, fix, _ := strings.Cut(text, " | ")
			if !strings.HasPrefix(got[i], kind) || !strings.Contains(got[i], text) || !strings.Contains(got[i], fix) {
				t.Errorf("%s\nis not %s", got[i], want[i])
			}
		}
	}
	if t.Failed() {
		t.Log(strings.Join(got, "\n"))
	}
}

func TestPlansThatCannotBeRead(t *testing.T) {
	for text, want := range map[string]string{
		"PK\x03\x04":                          "plan.json: expected the JSON of terraform show -json",
		`{"a": 1}`:                            "found the members a",
		`{"planned_values": {}}`:              "resource_changes: expected the changes of a plan, found a state",
		`{"resource_changes": []}`:            "expected identities, federated credentials or role assignments, found none",
		`{"status": "Failed", "changes": []}`: "status: expected Succeeded, found Failed",
		`{"changes": [{"resourceId": "` + planID + `", "changeType": "Create"}]}`:                                                                                                 "changes[0].after: expected the resource as it would be",
		`{"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "resources": [{"type": "A.B/c", "apiVersion": "1", "name": "[nope()]"}]}`: "resources[0].name: expected a template that is valid, found Deployment template validation failed: 'The template resource '[nope()]'",
		inTenant(`"scope": "/",`): "resources[0].resources[0].scope: expected a template that is valid, found A deployment to another scope than a subscription or a resource group",
		inTenant(`"scope": "/providers/Microsoft.Management/managementGroups/m",`):                                                                                       "resources[0].resources[0].scope: expected a template that is valid",
		fmt.Sprintf(`{%s, "resources": [%s]}`, templateSchema, deploymentOf("a", "", deploymentOf("b", "", `{"type": "A.B/c", "apiVersion": "1", "name": "[nope()]"}`))): "resources[0].resources[0].resources[0].name: expected a template",
		fmt.Sprintf(`{%s, "resources": [{"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "a", "properties": {}}]}`, templateSchema):       "resources[0]: expected a template that is valid, found A deployment without",
	} {
		file := filepath.Join(t.TempDir(), "plan.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadPlan([]string{file}, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n%v\nlacks %s", text, err, want)
		}
	}
}

// inTenant is a template in a template that is deployed elsewhere.
func inTenant(scope string) string {
	return fmt.Sprintf(`{%s, "resources": [%s]}`, templateSchema, deploymentOf("outer", "", deploymentOf("x", scope, templatedIdentity)))
}

// FuzzPlan looks for plans that panic, or that do not end.
func FuzzPlan(f *testing.F) {
	f.Add(terraformOutput(changed("module.a[\"x.y\"].azurerm_federated_identity_credential.this[0]", "azurerm_federated_identity_credential", "create", credentialValues("s"))))
	f.Add(`{"changes": [{"resourceId": "` + planID + `", "changeType": "Delete", "before": {}}]}`)
	f.Add(strings.Replace(armTemplate, "MORE", "", 1))
	f.Add(inTenant(`"scope": "/",`))
	f.Add(nestedTemplates(`"dependsOn": ["first"],`))
	f.Fuzz(func(_ *testing.T, text string) {
		p := &Plan{}
		if p.read("plan.json", []byte(text), "") != nil {
			return
		}
		d := &Directory{}
		d.Apply(p)
		w := Workload{Spec: workload.Spec{Workload: workload.Workload{Component: "web", Namespace: "shop", ServiceAccount: "web-sa", ClientID: planClient}}}
		_, _ = Check([]Workload{w}, d, Options{Issuers: []string{planIssuer}}) // it may be refused
	})
}
