package arm_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/lab"
)

const templateHead = `"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0", "languageVersion": "2.0"`

// trustTemplate is what bicep build makes of an identity with a federated credential, and of a
// role on a vault in another resource group, which is in a module.
const trustTemplate = `{` + templateHead + `,
  "parameters": {"issuer": {"type": "string"}, "location": {"type": "string", "defaultValue": "[resourceGroup().location]"}},
  "resources": {
    "web": {"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "web", "location": "[parameters('location')]", "tags": {"team": "shop"}},
    "cluster": {"type": "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials", "apiVersion": "2023-01-31", "name": "[format('{0}/{1}', 'web', 'cluster')]",
      "properties": {"issuer": "[parameters('issuer')]", "subject": "system:serviceaccount:shop:web-sa", "audiences": ["api://AzureADTokenExchange"]}, "dependsOn": ["web"]},
    "access": {"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "access", "resourceGroup": "wiemu",
      "properties": {"expressionEvaluationOptions": {"scope": "inner"}, "mode": "Incremental", "parameters": {"principalId": {"value": "[reference('web').principalId]"}},
        "template": {` + templateHead + `, "parameters": {"principalId": {"type": "string"}},
          "resources": {
            "vault": {"existing": true, "type": "Microsoft.KeyVault/vaults", "apiVersion": "2023-07-01", "name": "orders"},
            "role": {"type": "Microsoft.Authorization/roleAssignments", "apiVersion": "2022-04-01", "scope": "[resourceId('Microsoft.KeyVault/vaults', 'orders')]",
              "name": "[guid(resourceId('Microsoft.KeyVault/vaults', 'orders'), parameters('principalId'))]",
              "properties": {"principalId": "[parameters('principalId')]", "principalType": "ServicePrincipal", "roleDefinitionId": "[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '` + secretsUser + `')]"}}},
          "outputs": {"principal": {"type": "string", "value": "[parameters('principalId')]"}}}}, "dependsOn": ["web"]}},
  "outputs": {"clientId": {"type": "string", "value": "[reference('web').clientId]"}, "principal": {"type": "string", "value": "[reference('access').outputs.principal.value]"}}}`

func (w *world) deployments() *armresources.DeploymentsClient {
	w.t.Helper()
	made, err := armresources.NewDeploymentsClient(subscription, w.terraform(), w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

// group makes the resource group shop.
func (w *world) group() {
	w.t.Helper()
	w.do("PUT "+group+groups2022, `{"location": "westeurope"}`)
}

func (w *world) properties(template string, mode armresources.DeploymentMode) *armresources.DeploymentProperties {
	w.t.Helper()
	var made any
	if err := json.Unmarshal([]byte(template), &made); err != nil {
		w.t.Fatal(err)
	}
	p := &armresources.DeploymentProperties{Template: made, Mode: to.Ptr(mode)}
	if strings.Contains(template, `"issuer": {"type"`) {
		p.Parameters = map[string]any{"issuer": map[string]any{"value": w.Issuers()[0].URL()}}
	}
	return p
}

func (w *world) deploy(name, template string, mode armresources.DeploymentMode) (armresources.DeploymentExtended, error) {
	w.t.Helper()
	poller, err := w.deployments().BeginCreateOrUpdate(w.t.Context(), "shop", name, armresources.Deployment{Properties: w.properties(template, mode)}, nil)
	if err != nil {
		return armresources.DeploymentExtended{}, err
	}
	made, err := poller.PollUntilDone(w.t.Context(), nil)
	return made.DeploymentExtended, err
}

// A template makes identity, trust and role, and the workload then reads its secret. The second
// time, nothing changes.
func TestADeployment(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	var first string
	for n := range 2 {
		made, err := w.deploy("main", trustTemplate, armresources.DeploymentModeIncremental)
		if err != nil {
			t.Fatal(err)
		}
		outputs, _ := made.Properties.Outputs.(map[string]any)
		clientID, _ := outputs["clientId"].(map[string]any)["value"].(string)
		if *made.Properties.ProvisioningState != "Succeeded" || clientID == "" || n == 1 && clientID != first {
			t.Errorf("%s, %v", *made.Properties.ProvisioningState, outputs)
		}
		first = clientID
		if len(made.Properties.OutputResources) != 3 {
			t.Errorf("%d resources", len(made.Properties.OutputResources))
		}
		if got, err := w.read(clientID); err != nil || got != "hunter2" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	pager := w.deployments().NewListByResourceGroupPager("shop", nil)
	page, err := pager.NextPage(t.Context())
	if err != nil || len(page.Value) != 1 || *page.Value[0].Name != "main" {
		t.Errorf("%+v, %v", page, err)
	}
	exported, err := w.deployments().ExportTemplate(t.Context(), "shop", "main", nil)
	if err != nil || exported.Template == nil {
		t.Errorf("%+v, %v", exported, err)
	}
	a := w.ask(w.terraform(), "GET "+group+"/deployments/main/operations?api-version=2022-09-01", "")
	if n := strings.Count(a.body, `"provisioningState":"Succeeded"`); a.status != 200 || n != 4 {
		t.Errorf("%d operations: %s", n, a.body)
	}
}

// What-if is answered with 202, and with what it found where Location leads: for who may ask, and
// for a while.
func TestTheResultOfWhatIf(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	const what = "POST " + group + "/providers/Microsoft.Resources/deployments/main/whatIf?api-version=2022-09-01"
	const body = `{"properties": {"mode": "Incremental", "template": {` + templateHead + `, "resources": {"a": {"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "web", "location": "westeurope"}}}}}`
	a := w.ask(w.terraform(), what, body)
	at := a.header.Get("Location")
	if a.status != http.StatusAccepted || a.body != "" || a.header.Get("Retry-After") != "1" || !strings.HasPrefix(at, "https://management.azure.com/subscriptions/"+subscription+"/operationresults/WHATIF-") {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	const scope = "https://management.azure.com/.default"
	for range 2 {
		if got := w.request(w.terraform(), scope, "GET", at, ""); got.status != http.StatusOK || !strings.Contains(got.body, `"status":"Succeeded"`) || !strings.Contains(got.body, `"changeType":"Create"`) {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if got := w.request(w.as("nobody", nobody, tenantID), scope, "GET", at, ""); got.status != http.StatusForbidden || strings.Contains(got.body, "changeType") {
		t.Errorf("who may not ask what-if: %d %s", got.status, got.body)
	}
	for range 20 {
		w.ask(w.terraform(), what, body)
	}
	if got := w.request(w.terraform(), scope, "GET", at, ""); got.status != http.StatusNotFound || got.Code != "OperationNotFound" {
		t.Errorf("after twenty others: %d %s", got.status, got.body)
	}
}

// What-if says what a deployment would change, and changes nothing.
func TestWhatIf(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	ask := func(template string, mode armresources.DeploymentMode) map[string]string {
		t.Helper()
		p := w.properties(template, mode)
		poller, err := w.deployments().BeginWhatIf(t.Context(), "shop", "main", armresources.DeploymentWhatIf{Properties: &armresources.DeploymentWhatIfProperties{Template: p.Template, Parameters: p.Parameters, Mode: p.Mode}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for !poller.Done() { // without the pauses that Retry-After asks for
			if _, err := poller.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		result, err := poller.Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		made := map[string]string{}
		for _, c := range result.Properties.Changes {
			what := string(*c.ChangeType)
			for _, d := range c.Delta {
				what += " " + *d.Path + " " + string(*d.PropertyChangeType)
			}
			id := "/" + *c.ResourceID
			for _, kind := range []string{"roleAssignments", "federatedIdentityCredentials", "userAssignedIdentities"} {
				if strings.Contains(id, "/"+kind+"/") {
					id = kind
					break
				}
			}
			made[id] = what
		}
		return made
	}
	check := func(got map[string]string, want ...string) {
		t.Helper()
		for i := 0; i < len(want); i += 2 {
			if got[want[i]] != want[i+1] {
				t.Errorf("%s: %s, not %s", want[i], got[want[i]], want[i+1])
			}
		}
		if len(got) != len(want)/2 {
			t.Errorf("%v", got)
		}
	}
	check(ask(trustTemplate, "Incremental"), "userAssignedIdentities", "Create", "federatedIdentityCredentials", "Create", "roleAssignments", "Unsupported")
	if a := w.ask(w.terraform(), "GET "+identities+"/web"+v2024, ""); a.status != 404 {
		t.Errorf("what-if made the identity: %d", a.status)
	}
	if _, err := w.deploy("main", trustTemplate, "Incremental"); err != nil {
		t.Fatal(err)
	}
	check(ask(trustTemplate, "Incremental"), "userAssignedIdentities", "NoChange", "federatedIdentityCredentials", "NoChange", "roleAssignments", "NoChange")
	changed := strings.Replace(strings.Replace(trustTemplate, "shop:web-sa", "shop:other-sa", 1), `{"team": "shop"}`, `{"owner": "me"}`, 1)
	check(ask(changed, "Incremental"), "userAssignedIdentities", "Modify tags.owner Create tags.team Delete", "federatedIdentityCredentials", "Modify properties.subject Modify", "roleAssignments", "NoChange")
	const empty = `{` + templateHead + `, "resources": {}}`
	check(ask(empty, "Incremental"), "userAssignedIdentities", "Ignore")
	check(ask(empty, "Complete"), "userAssignedIdentities", "Delete")
	if _, err := w.deploy("empty", empty, "Complete"); err != nil {
		t.Fatal(err)
	}
	if a := w.ask(w.terraform(), "GET "+identities+"/web"+v2024, ""); a.status != 404 {
		t.Errorf("after a complete deployment without it: %d", a.status)
	}
}

// A deployment to a subscription makes the group that its module is deployed to.
func TestADeploymentToASubscription(t *testing.T) {
	w := newWorld(t, lab.Options{})
	const template = `{` + templateHead + `, "resources": {
		"shop": {"type": "Microsoft.Resources/resourceGroups", "apiVersion": "2022-09-01", "name": "shop", "location": "[deployment().location]"},
		"identity": {"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "identity", "resourceGroup": "shop", "dependsOn": ["shop"], "properties": {"expressionEvaluationOptions": {"scope": "inner"}, "mode": "Incremental",
			"template": {` + templateHead + `, "resources": {"web": {"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "web", "location": "[resourceGroup().location]"}}, "outputs": {"id": {"type": "string", "value": "[resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', 'web')]"}}}}}},
		"outputs": {"id": {"type": "string", "value": "[reference('identity').outputs.id.value]"}}}`
	poller, err := w.deployments().BeginCreateOrUpdateAtSubscriptionScope(t.Context(), "main", armresources.Deployment{Location: to.Ptr("westeurope"), Properties: w.properties(template, "Incremental")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	made, err := poller.PollUntilDone(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	outputs, _ := json.Marshal(made.Properties.Outputs)
	if want := group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/web"; !strings.Contains(string(outputs), want) {
		t.Errorf("%s lacks %s", outputs, want)
	}
	if a := w.ask(w.terraform(), "GET "+identities+"/web"+v2024, ""); a.status != 200 || a.member(t, "location") != "westeurope" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Two federated credentials that do not depend on one another are refused as in Azure once the
// fault makes writes long, and taken with a dependency.
func TestConcurrentCredentialsOfATemplate(t *testing.T) {
	const credential = `{"type": "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials", "apiVersion": "2023-01-31", "name": "web/NAME", "properties": {"issuer": "https://issuer.example/", "subject": "NAME", "audiences": ["a"]}, "dependsOn": [DEPENDS]}`
	template := func(depends string) string {
		one := func(name, depends string) string {
			return strings.NewReplacer("NAME", name, "DEPENDS", depends).Replace(credential)
		}
		return `{` + templateHead + `, "resources": {"web": {"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "web", "location": "westeurope"}, "one": ` + one("one", `"web"`) + `, "two": ` + one("two", depends) + `}}`
	}
	inModules := func() string {
		one := func(name string) string {
			inner := strings.NewReplacer("NAME", name, "DEPENDS", "").Replace(credential)
			return `{"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "` + name + `", "dependsOn": ["web"], "properties": {"mode": "Incremental", "template": {` + templateHead + `, "resources": {"` + name + `": ` + inner + `}}}}`
		}
		return `{` + templateHead + `, "resources": {"web": {"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "web", "location": "westeurope"}, "first": ` + one("one") + `, "second": ` + one("two") + `}}`
	}
	for name, row := range map[string]struct {
		template string
		fault    bool
		refused  bool
	}{
		"without the fault":   {template(`"web"`), false, false},
		"at the same time":    {template(`"web"`), true, true},
		"one after the other": {template(`"one"`), true, false},
		"in two modules":      {inModules(), true, true},
	} {
		w := newWorld(t, lab.Options{})
		w.group()
		if row.fault {
			if _, err := w.Faults().Inject(fault.Fault{Name: "concurrent-writes", Parameters: fault.Settings{"latency": "1h"}}); err != nil {
				t.Fatal(err)
			}
		}
		_, err := w.deploy("main", row.template, "Incremental")
		if refused := err != nil && strings.Contains(err.Error(), "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity"); refused != row.refused || err != nil && !refused {
			t.Errorf("%s: %v", name, err)
		}
		if one := w.ask(w.terraform(), "GET "+group+"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/web/federatedIdentityCredentials/one?api-version=2023-01-31", ""); one.status != 200 {
			t.Errorf("%s: the first of the template: %d", name, one.status)
		}
	}
}

// Resources that are made at the same time go on in the order of the template after a pause.
func TestConcurrentWritesOfATemplateHaveAnOrder(t *testing.T) {
	const count = 10
	var resources, want []string
	for n := range count {
		name := fmt.Sprintf("web%d", n)
		resources = append(resources,
			`"`+name+`": {"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "`+name+`", "location": "westeurope"}`,
			`"of`+name+`": {"type": "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials", "apiVersion": "2023-01-31", "name": "`+name+`/one", "properties": {"issuer": "https://issuer.example/", "subject": "`+name+`", "audiences": ["a"]}, "dependsOn": ["`+name+`"]}`)
		want = append(want, name)
	}
	w := newWorld(t, lab.Options{})
	w.group()
	w.inject("concurrent-writes,latency=1h")
	var got []string
	w.Journal().Watch(func(e journal.Event) {
		if e.Kind == journal.Directory && e.Subject != "" {
			got = append(got, e.Subject)
		}
	})
	if _, err := w.deploy("main", `{`+templateHead+`, "resources": {`+strings.Join(resources, ", ")+`}}`, "Incremental"); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("trusted in the order %v; want %v", got, want)
	}
}

// What is refused, and how.
func TestDeploymentsThatAreRefused(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	const at = group + "/providers/Microsoft.Resources/deployments/main"
	const v = "?api-version=2022-09-01"
	body := func(resources string) string {
		return `{"properties": {"mode": "Incremental", "template": {` + templateHead + `, "resources": ` + resources + `}}}`
	}
	const identity = `{"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "web", "location": "westeurope"}`
	for name, row := range map[string]struct {
		who, request, body string
		status             int
		code, text         string
	}{
		"a circle":                {"", "PUT " + at + v, body(`{"a": {"type": "A.B/c", "apiVersion": "2020-01-01", "name": "a", "dependsOn": ["a"]}}`), 400, "InvalidTemplate", "Circular dependency detected on resource: '" + group + "/providers/A.B/c/a'"},
		"another type":            {"", "PUT " + at + v, body(`{"a": ` + identity + `, "b": {"type": "Microsoft.Web/sites", "apiVersion": "2020-01-01", "name": "a"}}`), 400, "NotEmulated", "resources.b: The resource type 'Microsoft.Web/sites' is not emulated."},
		"no role for it":          {"operator", "PUT " + at + v, body(`{"a": {"type": "Microsoft.Authorization/roleAssignments", "apiVersion": "2022-04-01", "name": "` + nobody + `"}}`), 403, "InvalidTemplateDeployment", "Authorization failed for template resource '" + nobody + "' of type 'Microsoft.Authorization/roleAssignments'. The client '"},
		"no role at all":          {"nobody", "PUT " + at + v, body(`{}`), 403, "AuthorizationFailed", "'Microsoft.Resources/deployments/write' over scope '" + at},
		"no role to look":         {"nobody", "POST " + at + "/whatIf" + v, body(`{}`), 403, "AuthorizationFailed", "Microsoft.Resources/deployments/whatIf/action"},
		"no template":             {"", "PUT " + at + v, `{"properties": {"mode": "Incremental"}}`, 400, "InvalidTemplate", "Template is required"},
		"a link":                  {"", "PUT " + at + v, `{"properties": {"mode": "Incremental", "templateLink": {"uri": "https://x.example"}}}`, 400, "NotEmulated", "properties.templateLink: "},
		"no mode":                 {"", "PUT " + at + v, `{"properties": {}}`, 400, "InvalidDeployment", "The deployment mode '' is not valid"},
		"not JSON":                {"", "PUT " + at + v, `{"properties"`, 400, "InvalidRequestContent", "expected ':'"},
		"a name":                  {"", "PUT " + group + "/providers/Microsoft.Resources/deployments/a%20b" + v, body(`{}`), 400, "InvalidDeploymentName", "these invalid characters"},
		"a location":              {"", "PUT " + at + v, `{"location": "westeurope", "properties": {}}`, 400, "InvalidDeployment", "The 'location' property is not allowed for 'main'"},
		"none for a subscription": {"", "PUT /subscriptions/" + subscription + "/providers/Microsoft.Resources/deployments/main" + v, body(`{}`), 400, "InvalidDeployment", "The 'location' property must be specified for 'main'"},
		"no group":                {"", "PUT " + strings.Replace(at, "shop", "none", 1) + v, body(`{}`), 404, "ResourceGroupNotFound", "'none'"},
		"nothing there":           {"", "GET " + at + v, "", 404, "DeploymentNotFound", "Deployment 'main' could not be found."},
		"an old api-version":      {"", "GET " + at + "?api-version=2012-01-01", "", 404, "InvalidResourceType", "'deployments' could not be found in the namespace 'microsoft.resources'"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{w.Lab, t}
			who := w.terraform()
			switch row.who {
			case "operator":
				who = w.as("operator", operator, tenantID)
			case "nobody":
				who = w.as("nobody", nobody, tenantID)
			}
			a := w.ask(who, row.request, row.body)
			if a.status != row.status || a.Code != row.code || !strings.Contains(a.Message, row.text) {
				t.Errorf("%d %s: %s\nnot %d %s: %s", a.status, a.Code, a.Message, row.status, row.code, row.text)
			}
		})
	}
	// A resource that its provider refuses is an error of the deployment, which names it.
	made, err := w.deploy("main", `{`+templateHead+`, "resources": {"web": `+identity+`, "bad": {"type": "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials", "apiVersion": "2023-01-31", "name": "web/x1y", "dependsOn": ["web"]}, "after": {"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "after", "location": "westeurope", "dependsOn": ["bad"]}, "other": {"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "other", "location": "westeurope"}}}`, "Incremental")
	if err == nil || !strings.Contains(err.Error(), "DeploymentFailed") {
		t.Errorf("%+v, %v", made, err)
	}
	a := w.ask(w.terraform(), "GET "+at+v, "")
	for _, text := range []string{`"provisioningState":"Failed"`, `"code":"DeploymentFailed"`, `"message":"Federated Identity Credential from HTTP body has empty properties"`} {
		if !strings.Contains(a.body, text) {
			t.Errorf("%s lacks %s", a.body, text)
		}
	}
	for name, status := range map[string]int{"after": 404, "other": 200} {
		if a := w.ask(w.terraform(), "GET "+identities+"/"+name+v2024, ""); a.status != status {
			t.Errorf("%s: %d, not %d", name, a.status, status)
		}
	}
}

// A nested template whose expressions are the outer one's, as they are unless something else is
// said; and secrets, which no answer shows.
func TestNestedTemplatesAndSecrets(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	const template = `{` + templateHead + `, "parameters": {"password": {"type": "securestring", "defaultValue": "hunter3"}}, "variables": {"names": ["one", "two"]},
		"resources": {"n": {"copy": {"name": "n", "count": "[length(variables('names'))]"}, "type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "[format('n-{0}', variables('names')[copyIndex()])]", "properties": {"mode": "Incremental",
			"template": {"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0", "resources": [{"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "[variables('names')[copyIndex()]]", "location": "westeurope", "tags": {"n": "[string(copyIndex(1))]"}}]}}}},
		"outputs": {"password": {"type": "securestring", "value": "[parameters('password')]"}, "length": {"type": "int", "value": "[length(parameters('password'))]"}}}`
	made, err := w.deploy("main", template, "Incremental")
	if err != nil {
		t.Fatal(err)
	}
	shown, err := json.Marshal(made)
	if err != nil || strings.Contains(string(shown), "hunter3") || !strings.Contains(string(shown), `"length":{"type":"Int","value":7}`) {
		t.Errorf("%v: %s", err, shown)
	}
	for name, tag := range map[string]string{"one": "1", "two": "2"} {
		if a := w.ask(w.terraform(), "GET "+identities+"/"+name+v2024, ""); a.status != 200 || a.member(t, "tags", "n") != tag {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// Deployments count as one of Azure's providers, and go with their resource group.
func TestDeploymentsOfAGroupThatIsDeleted(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	if _, err := w.deploy("main", `{`+templateHead+`, "resources": {}}`, "Incremental"); err != nil {
		t.Fatal(err)
	}
	w.do("DELETE "+group+groups2022, "")
	w.group()
	if a := w.ask(w.terraform(), "GET "+group+"/providers/Microsoft.Resources/deployments/main?api-version=2022-09-01", ""); a.Code != "DeploymentNotFound" {
		t.Errorf("%d %s", a.status, a.body)
	}
}
