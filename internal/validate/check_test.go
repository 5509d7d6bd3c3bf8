package validate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/validate"
)

const (
	client     = "b96d264b-7053-4465-a4a7-32be5b0fec49"
	tenant     = "3aa4a235-b6e2-48d5-9195-7fcf05b459b0"
	oldCluster = "https://northeurope.oic.prod-aks.azure.com/3aa4a235-b6e2-48d5-9195-7fcf05b459b0/8f6c0b1e-1d2c-4b9e-9f53-0e1f5d3c7a10/"
	newCluster = "https://northeurope.oic.prod-aks.azure.com/3aa4a235-b6e2-48d5-9195-7fcf05b459b0/2b7d9c44-6a01-4f3b-8d55-c1a2e3f40b21/"
	audience   = "api://AzureADTokenExchange"
	apiSubject = "system:serviceaccount:shop:api"
)

// written puts files into a folder and returns it.
func written(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// credential is what az prints of a federated credential of an application.
func credential(name, issuer, subject, audience string) string {
	return fmt.Sprintf(`{"id": "x", "name": %q, "issuer": %q, "subject": %q, "audiences": [%q], "description": null}`, name, issuer, subject, audience)
}

func list(elements ...string) string { return "[" + strings.Join(elements, ",\n") + "]" }

// application is an export in which the client trusts the credentials.
func application(credentials ...string) map[string]string {
	return map[string]string{
		"apps.json":      list(`{"appId": "` + client + `", "id": "0b7e0a43-7a5d-4a19-9d0a-3d0f31b0a001", "displayName": "web"}`),
		client + ".json": list(credentials...),
	}
}

// api is the manifests of a workload; the annotations are those of its service
// account, besides the client id.
func api(annotations ...string) string {
	return `apiVersion: v1
kind: ServiceAccount
metadata:
  name: api
  namespace: shop
  annotations:
    azure.workload.identity/client-id: ` + client + "\n    " + strings.Join(annotations, "\n    ") + `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  template:
    metadata: {labels: {azure.workload.identity/use: "true"}}
    spec: {serviceAccountName: api}
`
}

// fromSecret is a labelled pod whose service account has no annotation.
func fromSecret(container string) string {
	return "kind: ServiceAccount\nmetadata: {name: api, namespace: shop}\n---\nkind: Secret\nmetadata: {name: ids, namespace: shop}\nstringData: {AZURE_CLIENT_ID: " + client + "}\n---\n" +
		"kind: Pod\nmetadata: {name: p, namespace: shop, labels: {azure.workload.identity/use: 'true'}}\nspec: {serviceAccountName: api, containers: [{name: c, " + container + "}]}\n"
}

func right() string { return credential("api", oldCluster, apiSubject, audience) }

func twenty() []string {
	var all []string
	for n := range 20 {
		all = append(all, credential(fmt.Sprintf("repository-%d", n), "https://token.actions.githubusercontent.com", fmt.Sprintf("repo:o/r:%d", n), audience))
	}
	return all
}

const identityID = "/subscriptions/11111111-2222-3333-4444-555555555555/resourcegroups/shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/api-id"

func TestWhatIsMissingOrWrongIsFound(t *testing.T) {
	for _, test := range []struct {
		name      string
		manifests string // "": api()
		directory map[string]string
		issuers   []string // nil: the old cluster
		want      []string // SEVERITY KIND CODE
		says      []string // in the report
	}{
		{"nothing", "", application(right()), nil, nil, []string{"✓ api trusts " + oldCluster, "0 errors, 0 warnings in 1 workload"}},
		{"no trust at all", "", application(), nil, []string{"error untrusted 70025"},
			[]string{"az ad app federated-credential create --id " + client, `"subject":"system:serviceaccount:shop:api"`}},
		{"the issuer's slash", "", application(credential("api", strings.TrimSuffix(oldCluster, "/"), apiSubject, audience)), nil, []string{"error issuer 700211"},
			[]string{"issuer differs (trailing slash)", "federated-credential update --id " + client + " --federated-credential-id api"}},
		{"the issuer's case", "", application(credential("api", strings.Replace(oldCluster, "prod-aks", "Prod-AKS", 1), apiSubject, audience)), nil, []string{"error issuer 700211"},
			[]string{"issuer differs (case)", "federated-credential update"}},
		{"the subject's case", "", application(credential("api", oldCluster, "system:serviceaccount:Shop:api", audience)), nil, []string{"error subject 7002138"},
			[]string{"subject differs (case)", "federated-credential update"}},
		{"another namespace", "", application(credential("api", oldCluster, "system:serviceaccount:shop-test:api", audience)), nil,
			[]string{"error subject 700213", "warning orphan"}, []string{"subject differs (namespace)", "federated-credential create", `"name":"shop_api"`}},
		{"another service account", "", application(credential("shop_api", oldCluster, "system:serviceaccount:shop:web", audience)), nil,
			[]string{"error subject 700213", "warning orphan"}, []string{"subject differs (service account)", `"name":"shop_api_`}},
		{"another audience", "", application(credential("api", oldCluster, apiSubject, "api://AzureADTokenExchangeChina")), nil, []string{"error audience 700212"},
			[]string{"audience differs", "federated-credential update", `"audiences":["api://AzureADTokenExchange"]`}},
		{"the new cluster of a migration", "", application(right()), []string{oldCluster, newCluster}, []string{"error second issuer 700211"},
			[]string{"✓ api trusts " + oldCluster, newCluster + ": on that cluster it gets no token", "federated-credential create"}},
		{"the old cluster, once it is gone", "", application(right(), credential("new", newCluster, apiSubject, audience)), []string{newCluster}, []string{"warning orphan"},
			[]string{"an issuer that --issuer does not name", "federated-credential delete --id " + client + " --federated-credential-id api"}},
		{"no room", "", application(twenty()...), nil, []string{"error issuer 700211", "error limit"}, []string{"has 20 federated credentials and needs 1 more"}},
		{"hardly room", "", application(append(twenty()[1:], right())...), nil, []string{"warning limit"}, nil},
		{"an unknown client", "", map[string]string{"apps.json": list(`{"appId": "b96d264b-7053-4465-a4a7-32be5b0fec48"}`)}, nil, []string{"error unknown client id 700016"},
			[]string{"did you mean b96d264b-7053-4465-a4a7-32be5b0fec48?"}},
		{"an object id", "", map[string]string{"apps.json": list(`{"appId": "0b7e0a43-7a5d-4a19-9d0a-3d0f31b0a001", "id": "` + client + `", "displayName": "web"}`)}, nil,
			[]string{"error unknown client id 700016"}, []string{"it is the object id of application web", "write its client id, 0b7e0a43-7a5d-4a19-9d0a-3d0f31b0a001"}},
		{"a disabled identity", "", map[string]string{client + ".json": list(right()), "sp.json": `{"appId": "` + client + `", "accountEnabled": false, "displayName": "web", "servicePrincipalType": "Application"}`}, nil,
			[]string{"error disabled 7000112"}, []string{"az ad sp update --id " + client + " --set accountEnabled=true"}},
		{"the wrong tenant", api("azure.workload.identity/tenant-id: 11111111-2222-3333-4444-555555555555"), map[string]string{
			client + ".json":  list(right()),
			"identities.json": list(`{"clientId": "` + client + `", "tenantId": "` + tenant + `", "name": "api-id", "id": "` + identityID + `"}`),
		}, nil, []string{"error tenant 700016"}, []string{"is of tenant " + tenant}},
		{"a managed identity", "", map[string]string{
			"identities.json": list(`{"clientId": "` + client + `", "tenantId": "` + tenant + `", "name": "api-id", "id": "` + identityID + `"}`),
			"trust.json":      `{"value": [{"id": "` + identityID + `/federatedIdentityCredentials/x", "name": "x", "properties": {"issuer": "` + newCluster + `", "subject": "system:serviceaccount:a:b", "audiences": ["` + audience + `"]}}]}`,
		}, nil, []string{"error issuer 700211", "warning orphan"}, []string{
			"az identity federated-credential create --subscription 11111111-2222-3333-4444-555555555555 \\\n    --resource-group shop --identity-name api-id",
			"--name x --yes"}},
		{"a managed identity, as az prints it", "", map[string]string{
			"identities.json": list(`{"clientId": "` + client + `", "tenantId": "` + tenant + `", "name": "api-id", "id": "` + identityID + `", "principalId": "0b7e0a43-7a5d-4a19-9d0a-3d0f31b0a001", "tags": {}}`),
			"trust.json": "[]\n" + list(`{"id": "`+identityID+`/federatedIdentityCredentials/api", "name": "api", "resourceGroup": "shop", "systemData": null, "type": "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials",
				"issuer": "`+oldCluster+`", "subject": "`+apiSubject+`", "audiences": ["`+audience+`"]}`),
		}, nil, nil, []string{"✓ api trusts"}},
		{"a managed identity, known by its service principal", "", map[string]string{
			client + ".json": "[]",
			"sp.json":        `{"appId": "` + client + `", "servicePrincipalType": "ManagedIdentity", "accountEnabled": true, "displayName": "api-id", "alternativeNames": ["isExplicit=True", "` + identityID + `"]}`,
		}, nil, []string{"error untrusted 70025"}, []string{"managed identity api-id has no federated credential", "--resource-group shop --identity-name api-id"}},
		{"a tenant by a domain that no file explains", api("azure.workload.identity/tenant-id: contoso.onmicrosoft.com"), map[string]string{
			client + ".json":  list(right()),
			"identities.json": list(`{"clientId": "` + client + `", "tenantId": "` + tenant + `", "name": "api-id", "id": "` + identityID + `"}`),
		}, nil, nil, nil},
		{"credentials that were not exported", "", map[string]string{"identities.json": list(`{"clientId": "` + client + `", "name": "api-id", "id": "` + identityID + `"}`)}, nil,
			[]string{"error not exported"}, []string{"az identity federated-credential list", "> " + client + ".json"}},
		{"Graph's applications with what they trust", "", map[string]string{"apps.json": `{"value": [{"appId": "` + client + `", "displayName": "web", "federatedIdentityCredentials": [` + right() + `]}]}`}, nil, nil, nil},
		{"a flexible credential", "", application(right(), `{"name": "all", "issuer": "`+oldCluster+`", "audiences": ["`+audience+`"], "claimsMatchingExpression": {"value": "claims['sub'] matches 'system:serviceaccount:shop:*'", "languageVersion": 1}}`), nil,
			[]string{"error flexible credential"}, []string{"--federated-credential-id all"}},
		{"a token that lives too shortly", api(`azure.workload.identity/service-account-token-expiration: "600"`), application(right()), nil, []string{"error expiration"}, []string{`found "600"`}},
		{"a token that lives long enough", api(`azure.workload.identity/service-account-token-expiration: "86400"`), application(right()), nil, nil, nil},
		{"no label", strings.Replace(api(), `labels: {azure.workload.identity/use: "true"}`, "name: x", 1), application(right()), nil, []string{"error label"}, []string{"spec.template.metadata.labels"}},
		{"a label that says no", strings.Replace(api(), `use: "true"`, `use: "yes"`, 1), application(right()), nil, []string{"error label"}, []string{`is "yes"`}},
		{"a pod that may not need the label", api() + "---\nkind: Pod\nmetadata: {name: tool, namespace: shop}\nspec: {serviceAccountName: api}\n", application(right()), nil, []string{"warning label"}, nil},
		{"no annotation", strings.Replace(api(), "client-id", "client-name", 1), application(right()), nil, []string{"error annotation"}, []string{"kubectl annotate serviceaccount api -n shop"}},
		{"a name for a client id", strings.Replace(api(), client, "web", 1), application(right()), nil, []string{"error annotation"}, []string{`found "web"`}},
		{"no service account", "kind: Pod\nmetadata: {name: p, labels: {azure.workload.identity/use: \"true\"}}\nspec: {containers: []}\n", application(right()), nil,
			[]string{"error service account"}, []string{"default/default is in none of the manifests"}},
		{"a token of its own", `
kind: List
items:
  - kind: CronJob
    metadata: {name: night, namespace: shop}
    spec:
      jobTemplate:
        spec:
          template:
            spec:
              serviceAccountName: api
              containers: [{name: c, env: [{name: AZURE_CLIENT_ID, value: ` + client + `}]}]
              volumes: [{name: t, projected: {sources: [{serviceAccountToken: {audience: api://AzureADTokenExchange/, expirationSeconds: 90000, path: token}}]}}]
`, application(right()), nil, []string{"error expiration", "error audience 700212"}, []string{"audience differs (trailing slash)", "ask for a token with audience api://AzureADTokenExchange"}},
		{"a client id of the pod's own", fromSecret("env: [{name: AZURE_CLIENT_ID, value: " + client + "}]"), application(right()), nil, nil, []string{"✓ api trusts"}},
		{"a client id out of a secret", fromSecret("env: [{name: AZURE_CLIENT_ID, valueFrom: {secretKeyRef: {name: ids, key: AZURE_CLIENT_ID}}}]"), application(right()), nil, nil, []string{"✓ api trusts"}},
		{"a client id out of all of a secret", fromSecret("envFrom: [{secretRef: {name: ids}}]"), application(), nil, []string{"error untrusted 70025"}, []string{"az ad app federated-credential create --id " + client}},
		{"a client id out of a secret that is not there", fromSecret("env: [{name: AZURE_CLIENT_ID, valueFrom: {secretKeyRef: {name: gone, key: id}}}]"), application(right()), nil, []string{"warning not in the files"},
			[]string{"AZURE_CLIENT_ID of container c, from key id of secret shop/gone, is in none of the files"}},
		{"perhaps a client id", fromSecret("envFrom: [{configMapRef: {name: gone}}]"), application(right()), nil, []string{"warning not in the files"}, []string{"which may come from config map shop/gone"}},
		{"no client id in the secret", fromSecret("envFrom: [{secretRef: {name: ids}, prefix: X}]"), application(right()), nil, []string{"error annotation"}, []string{"and no container has an AZURE_CLIENT_ID"}},
		{"two client ids", fromSecret("env: [{name: AZURE_CLIENT_ID, value: " + client + "}]}, {name: d, env: [{name: AZURE_CLIENT_ID, value: web}]"), application(right()), nil, []string{"error annotation"}, []string{"✓ api trusts", `AZURE_CLIENT_ID of container d: expected a client id`}},
		{"a sidecar that was meant to be off", strings.Replace(api(), "metadata: {labels", "metadata: {annotations: {azure.workload.identity/inject-proxy-sidecar: 'false'}, labels", 1), application(right()), nil,
			[]string{"warning proxy sidecar"}, []string{`is "false", and the webhook injects the proxy sidecar all the same`, "remove the annotation"}},
		{"a sidecar of a job", strings.Replace(strings.Replace(api(), "metadata: {labels", "metadata: {annotations: {azure.workload.identity/inject-proxy-sidecar: 'true'}, labels", 1), "kind: Deployment", "kind: Job", 1), application(right()), nil,
			[]string{"warning proxy sidecar"}, []string{"a Job is never complete", "before Kubernetes 1.32"}},
		{"a sidecar in the node's network", strings.Replace(strings.Replace(api(), "metadata: {labels", "metadata: {annotations: {azure.workload.identity/inject-proxy-sidecar: 'true'}, labels", 1), "spec: {serviceAccountName", "spec: {hostNetwork: true, serviceAccountName", 1), application(right()), nil,
			[]string{"error proxy sidecar"}, []string{"the webhook refuses them"}},
		{"two pods, one trust", api() + "---\nkind: Pod\nmetadata: {name: two, namespace: shop, labels: {azure.workload.identity/use: \"true\"}}\nspec: {serviceAccountName: api}\n", application(), nil,
			[]string{"error untrusted 70025", "error untrusted 70025"}, []string{"what mends Deployment api mends this, too"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			manifests := test.manifests
			if manifests == "" {
				manifests = api()
			}
			demand, err := validate.ReadDemand([]string{written(t, map[string]string{"m.yaml": manifests})}, validate.DemandOptions{})
			if err != nil {
				t.Fatal(err)
			}
			directory, err := validate.ReadDirectory([]string{written(t, test.directory)})
			if err != nil {
				t.Fatal(err)
			}
			issuers := test.issuers
			if issuers == nil {
				issuers = []string{oldCluster}
			}
			report, err := validate.Check(demand.Workloads, directory, validate.Options{Issuers: issuers})
			if err != nil {
				t.Fatal(err)
			}
			var page strings.Builder
			if err := report.Write(&page); err != nil {
				t.Fatal(err)
			}
			if got := kinds(report); !slices.Equal(got, test.want) {
				t.Errorf("found %q, want %q:\n%s", got, test.want, page.String())
			}
			for _, want := range test.says {
				if !strings.Contains(page.String(), want) {
					t.Errorf("the report does not say %q:\n%s", want, page.String())
				}
			}
		})
	}
}

// A wiemu.yaml says of itself which issuers there are, and where it lists no
// credentials a lab makes them.
func TestAConfigurationIsADirectory(t *testing.T) {
	dir := written(t, map[string]string{"wiemu.yaml": `
tenants: [{id: ` + tenant + `, domains: [contoso.example]}, {id: 11111111-2222-3333-4444-555555555555}]
issuers: [{name: old}, {name: new}]
identities:
  - name: listed
    clientId: ` + client + `
    disabled: true
    federatedCredentials: [{name: api, issuer: old, subject: "system:serviceaccount:shop:api"}]
  - {name: unlisted, clientId: 22222222-2222-3333-4444-555555555555}
workloads:
  - {namespace: shop, serviceAccount: api, clientId: ` + client + `, tenant: contoso.example}
  - {namespace: shop, serviceAccount: api, clientId: ` + client + `, issuer: new}
  - {namespace: shop, serviceAccount: web, clientId: 22222222-2222-3333-4444-555555555555}
  - {namespace: shop, serviceAccount: job, clientId: 33333333-2222-3333-4444-555555555555}
  - {namespace: shop, serviceAccount: vm, clientId: 33333333-2222-3333-4444-555555555555, managedIdentity: imds}
`})
	file := filepath.Join(dir, "wiemu.yaml")
	demand, err := validate.ReadDemand([]string{file}, validate.DemandOptions{})
	if err != nil {
		t.Fatal(err)
	}
	directory, err := validate.ReadDirectory([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	report, err := validate.Check(demand.Workloads, directory, validate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"error disabled 7000112", "error disabled 7000112", "error second issuer 700211", "warning not exported", "warning unknown client id"}
	if got := kinds(report); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	for _, v := range report.Workloads {
		for _, f := range v.Findings {
			if f.Command != "" {
				t.Errorf("%s: a command for real Azure, of a lab: %s", v.Name, f.Command)
			}
		}
	}
}

// kinds lists the findings as SEVERITY KIND CODE.
func kinds(r validate.Report) []string {
	var all []string
	add := func(findings []validate.Finding) {
		for _, f := range findings {
			one := fmt.Sprintf("%s %s", f.Severity, f.Kind)
			if f.Code != 0 {
				one += fmt.Sprintf(" %d", f.Code)
			}
			all = append(all, one)
		}
	}
	for _, v := range r.Workloads {
		add(v.Findings)
	}
	for _, i := range r.Identities {
		add(i.Findings)
	}
	return all
}
