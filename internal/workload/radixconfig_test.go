package workload_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wiemu/wiemu/internal/workload"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

const (
	webID = "b96d264b-7053-4465-a4a7-32be5b0fec49"
	devID = "11111111-2222-3333-4444-555555555555"
)

// app is a configuration of an application with the environments dev and prod;
// what is given stands below spec, indented by two.
func app(spec string) []byte {
	return []byte(`apiVersion: radix.equinor.com/v1
kind: RadixApplication
metadata: {name: my-app}
spec:
  environments: [{name: dev}, {name: prod}]
` + spec)
}

// brief lists workloads as: component in environment: service account, client id.
func brief(all []workload.Workload) []string {
	var lines []string
	for _, w := range all {
		lines = append(lines, fmt.Sprintf("%s: %s/%s %s", w, w.Namespace, w.ServiceAccount, w.ClientID))
	}
	return lines
}

func read(t *testing.T, file string) (*workload.RadixConfig, []yamlfile.Problem) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	config, warnings, err := workload.ParseRadixConfig(file, data)
	if err != nil {
		t.Fatal(err)
	}
	return config, warnings
}

func TestTheDocumentationsFile(t *testing.T) {
	config, warnings := read(t, "testdata/my-radix-app.yaml")
	if len(warnings) > 0 {
		t.Fatal(warnings)
	}
	got, err := config.Find("web", "dev")
	if err != nil {
		t.Fatal(err)
	}
	want := workload.Workload{
		Application: "my-radix-app", Environment: "dev", Component: "web", Role: workload.Component,
		Namespace: "my-radix-app-dev", ServiceAccount: "web-sa", ClientID: webID,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("web in dev (-want +got):\n%s", diff)
	}
	if got := got.Subject(); got != "system:serviceaccount:my-radix-app-dev:web-sa" {
		t.Errorf("subject %s", got)
	}
	if got := got.CredentialName(); got != "my-radix-app_dev_web" {
		t.Errorf("credential name %s", got)
	}
}

func TestWhoRunsWithAnIdentity(t *testing.T) {
	web, dev := "{azure: {clientId: "+webID+"}}", "{azure: {clientId: "+devID+"}}"
	for _, test := range []struct {
		name, spec string
		want       []string
	}{
		{"a component's identity holds in every environment",
			"  components: [{name: web, identity: " + web + "}]",
			[]string{"web in dev: my-app-dev/web-sa " + webID, "web in prod: my-app-prod/web-sa " + webID}},
		{"an environment's identity wins over the component's",
			"  components: [{name: web, identity: " + web + ", environmentConfig: [{environment: dev, identity: " + dev + "}]}]",
			[]string{"web in dev: my-app-dev/web-sa " + devID, "web in prod: my-app-prod/web-sa " + webID}},
		{"an environment's empty identity takes nothing away",
			"  components: [{name: web, identity: " + web + ", environmentConfig: [{environment: dev, identity: {azure: }}]}]",
			[]string{"web in dev: my-app-dev/web-sa " + webID, "web in prod: my-app-prod/web-sa " + webID}},
		{"an identity may be given for one environment alone",
			"  components: [{name: web, environmentConfig: [{environment: prod, identity: " + dev + "}]}]",
			[]string{"web in prod: my-app-prod/web-sa " + devID}},
		{"a component without identity is none of ours",
			"  components: [{name: web, variables: {A: b}}]", nil},
		{"a disabled component does not run",
			"  components: [{name: web, enabled: false, identity: " + web + "}]", nil},
		{"a component may be disabled for one environment",
			"  components: [{name: web, identity: " + web + ", environmentConfig: [{environment: dev, enabled: false}]}]",
			[]string{"web in prod: my-app-prod/web-sa " + webID}},
		{"a component may be enabled for one environment alone",
			"  components: [{name: web, enabled: false, identity: " + web + ", environmentConfig: [{environment: dev, enabled: true}]}]",
			[]string{"web in dev: my-app-dev/web-sa " + webID}},
		{"a job's replicas run under an account of the same form",
			"  jobs: [{name: compute, schedulerPort: 8080, identity: " + web + ", environmentConfig: [{environment: prod, enabled: false}]}]",
			[]string{"compute in dev: my-app-dev/compute-sa " + webID}},
		{"an OAuth2 proxy with workload identity has an account of its own",
			"  components: [{name: web, authentication: {oauth2: {clientId: " + webID + ", credentials: azureWorkloadIdentity}}}]",
			[]string{"web-aux-oauth in dev: my-app-dev/web-aux-oauth-sa " + webID, "web-aux-oauth in prod: my-app-prod/web-aux-oauth-sa " + webID}},
		{"an OAuth2 proxy with a secret has none",
			"  components: [{name: web, authentication: {oauth2: {clientId: 12}}}]", nil},
		{"an OAuth2 proxy's settings are merged per environment",
			"  components: [{name: web, authentication: {oauth2: {clientId: 12cf}}, environmentConfig: [{environment: dev, authentication: {oauth2: {credentials: azureWorkloadIdentity, clientId: " + devID + "}}}]}]",
			[]string{"web-aux-oauth in dev: my-app-dev/web-aux-oauth-sa " + devID}},
		{"the build's sub-pipeline identity holds in every environment",
			"  build: {subPipeline: {identity: " + web + "}}",
			[]string{"subpipeline in dev: my-app-app/subpipeline-dev-sa " + webID, "subpipeline in prod: my-app-app/subpipeline-prod-sa " + webID}},
		{"a client id is written in lower case with dashes",
			"  components: [{name: web, identity: {azure: {clientId: 11111111-2222-BBBB-cccc-555555555555}}, environmentConfig: [{environment: dev, identity: {azure: {clientId: B96D264B70534465A4A732BE5B0FEC49}}}]}]",
			[]string{"web in dev: my-app-dev/web-sa " + webID, "web in prod: my-app-prod/web-sa 11111111-2222-bbbb-cccc-555555555555"}},
		{"an anchor may hold the identity",
			"  components:\n  - name: web\n    identity: &id " + web + "\n  - {name: api, identity: *id, environmentConfig: [{environment: prod, enabled: false}]}",
			[]string{"web in dev: my-app-dev/web-sa " + webID, "api in dev: my-app-dev/api-sa " + webID, "web in prod: my-app-prod/web-sa " + webID}},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, _, err := workload.ParseRadixConfig("radixconfig.yaml", app(test.spec))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, brief(config.Workloads())); diff != "" {
				t.Errorf("workloads (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnEnvironmentsSubPipelineWinsOverTheBuilds(t *testing.T) {
	const file = `apiVersion: radix.equinor.com/v1
kind: RadixApplication
metadata: {name: my-app}
spec:
  build: {subPipeline: {identity: {azure: {clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}}}}
  environments:
  - name: dev
    subPipeline: {identity: {azure: {clientId: 11111111-2222-3333-4444-555555555555}}}
  - name: prod
    subPipeline: {variables: {A: b}}
  - name: qa
    subPipeline: {identity: {azure: {clientId: ""}}}
`
	config, _, err := workload.ParseRadixConfig("radixconfig.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"subpipeline in dev: my-app-app/subpipeline-dev-sa " + devID,
		"subpipeline in prod: my-app-app/subpipeline-prod-sa " + webID,
	}
	if diff := cmp.Diff(want, brief(config.Workloads())); diff != "" {
		t.Errorf("workloads (-want +got):\n%s", diff)
	}
}

func TestTriggersAreKEDAs(t *testing.T) {
	config, _, err := workload.ParseRadixConfig("radixconfig.yaml", app(`
  components:
  - name: web
    horizontalScaling:
      maxReplicas: 4
      triggers:
      - name: orders
        azureServiceBus: {namespace: bus123, queueName: q, authentication: {identity: {azure: {clientId: `+webID+`}}}}
      - {name: cpu, cpu: {value: 80}}
    environmentConfig:
    - environment: prod
      horizontalScaling:
        triggers:
        - name: hub
          azureEventHub: {authentication: {identity: {azure: {clientId: `+devID+`}}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"web/orders in dev: keda/keda-operator " + webID, "web/hub in prod: keda/keda-operator " + devID}
	if diff := cmp.Diff(want, brief(config.Triggers())); diff != "" {
		t.Errorf("triggers (-want +got):\n%s", diff)
	}
	if len(config.Workloads()) > 0 {
		t.Errorf("triggers are no workloads: %v", config.Workloads())
	}
}

func TestKeyVaultsAreMergedPerEnvironment(t *testing.T) {
	config, warnings, err := workload.ParseRadixConfig("radixconfig.yaml", app(`
  components:
  - name: web
    identity: {azure: {clientId: `+webID+`}}
    secretRefs:
      azureKeyVaults:
      - {name: shared, useAzureIdentity: true, items: [{name: a, envVar: A}, {name: b, envVar: B, type: cert}]}
      - {name: plain, items: [{name: p, envVar: P}]}
    environmentConfig:
    - environment: prod
      secretRefs:
        azureKeyVaults:
        - {name: shared, items: [{name: a2, envVar: A}]}
        - {name: plain, useAzureIdentity: true, items: []}
        - {name: own, useAzureIdentity: true, items: [{name: o, envVar: O}]}
`))
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	item := func(name, envVar string) workload.KeyVaultItem {
		return workload.KeyVaultItem{Name: name, EnvVar: envVar, Type: "secret"}
	}
	b := workload.KeyVaultItem{Name: "b", EnvVar: "B", Type: "cert"}
	for environment, want := range map[string][]workload.KeyVault{
		"dev": {{Name: "shared", Items: []workload.KeyVaultItem{item("a", "A"), b}}},
		"prod": {
			{Name: "shared", Items: []workload.KeyVaultItem{item("a2", "A"), b}},
			{Name: "plain", Items: []workload.KeyVaultItem{item("p", "P")}},
			{Name: "own", Items: []workload.KeyVaultItem{item("o", "O")}},
		},
	} {
		w, err := config.Find("web", environment)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, w.KeyVaults); diff != "" {
			t.Errorf("vaults in %s (-want +got):\n%s", environment, diff)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	for _, test := range []struct{ name, spec, want string }{
		{"identity misspelt on a component", "  components: [{name: web, idenity: {azure: {clientId: " + webID + "}}}]",
			"radixconfig.yaml:6:28: spec.components[0].idenity: expected one of"},
		{"identity misspelt on a job", "  jobs: [{name: web, Idenity: {azure: {clientId: " + webID + "}}}]", "did you mean identity?"},
		{"identity misspelt in an environment", "  components: [{name: web, environmentConfig: [{environment: dev, identiy: {azure: }}]}]", "did you mean identity?"},
		{"identity misspelt in a sub-pipeline", "  build: {subPipeline: {indentity: }}", "did you mean identity?"},
		{"identity misspelt in a trigger", "  components: [{name: web, horizontalScaling: {triggers: [{name: a, azureEventHub: {authentication: {identities: {}}}}]}}]", "did you mean identity?"},
		{"azure misspelt", "  components: [{name: web, identity: {azur: {clientId: " + webID + "}}}]", "spec.components[0].identity.azur: expected one of azure, found an unknown field; did you mean azure?"},
		{"clientId misspelt", "  components: [{name: web, identity: {azure: {clientIDs: " + webID + "}}}]", "did you mean clientId?"},
		{"useAzureIdentity misspelt", "  components: [{name: web, secretRefs: {azureKeyVaults: [{name: v, useAzureIdenity: true}]}}]", "did you mean useAzureIdentity?"},
		{"environmentConfig misspelt around an identity", "  components: [{name: web, enviromentConfig: [{environment: dev, identity: {azure: {clientId: " + webID + "}}}]}]", "did you mean environmentConfig?"},
		{"azure left out", "  components: [{name: web, identity: {clientId: " + webID + "}}]", "spec.components[0].identity.clientId: expected identity where Radix looks for it"},
		{"identity left out", "  components: [{name: web, azure: {clientId: " + webID + "}}]", "spec.components[0].azure: expected identity where Radix looks for it"},
		{"identity on the environment", "  identity: {azure: {clientId: " + webID + "}}", "spec.identity: expected identity where Radix looks for it"},
		{"a client id that is no UUID", "  components:\n  - name: web\n    identity:\n      azure:\n        clientId: my-app\n",
			`radixconfig.yaml:10:19: spec.components[0].identity.azure.clientId: expected a client id (a UUID), found text "my-app"; the Azure portal shows it`},
		{"a client id that YAML takes for a number", "  components: [{name: web, identity: {azure: {clientId: 12345678901234567890123456789012}}}]", "expected a client id (a UUID), found number 12345678901234567890123456789012"},
		{"a client id with a space", "  components: [{name: web, identity: {azure: {clientId: \" " + webID + "\"}}}]", "expected a client id (a UUID), found text"},
		{"no client id", "  components: [{name: web, identity: {azure: {}}}]", "identity.azure.clientId: expected a client id (a UUID), found nothing"},
		{"an empty client id", "  components: [{name: web, identity: {azure: {clientId: ''}}}]", "identity.azure.clientId: expected a client id (a UUID), found text \"\""},
		{"an identity that is text", "  components: [{name: web, identity: " + webID + "}]", "expected a mapping, azure: {clientId: UUID}"},
		{"an OAuth2 proxy without client id", "  components: [{name: web, authentication: {oauth2: {credentials: azureWorkloadIdentity}}}]", "spec.components[0].authentication.oauth2.clientId: expected a client id (a UUID), as credentials is azureWorkloadIdentity, found nothing"},
		{"an OAuth2 proxy with another id", "  components: [{name: web, environmentConfig: [{environment: dev, authentication: {oauth2: {clientId: 12cf, credentials: azureWorkloadIdentity}}}]}]", `spec.components[0].environmentConfig[0].authentication.oauth2.clientId: expected a client id (a UUID), as credentials is azureWorkloadIdentity, found text "12cf"`},
		{"credentials misspelt", "  components: [{name: web, authentication: {oauth2: {credentials: azureworkloadIdentiy}}}]", "did you mean azureWorkloadIdentity?"},
		{"a vault without identity", "  components: [{name: web, secretRefs: {azureKeyVaults: [{name: v, useAzureIdentity: true, items: [{name: a}]}]}}]", "missing Azure identity for Azure Key vault with useAzureIdentity enabled"},
		{"a vault without identity in one environment", "  components: [{name: web, environmentConfig: [{environment: dev, identity: {azure: {clientId: " + webID + "}}}], secretRefs: {azureKeyVaults: [{name: v, useAzureIdentity: true, items: [{name: a}]}]}}]", "expected an Azure identity of web in prod"},
		{"a blob container without identity", "  jobs: [{name: web, volumeMounts: [{name: v, path: /v, blobFuse2: {useAzureIdentity: true, subscriptionId: a, resourceGroup: b, storageAccount: c}}]}]", "missing component Azure identity"},
		{"a blob container without account", "  jobs: [{name: web, identity: {azure: {clientId: " + webID + "}}, volumeMounts: [{name: v, path: /v, blobFuse2: {useAzureIdentity: true, subscriptionId: a, resourceGroup: b}}]}]", "missing storage account"},
		{"an environment that is not there", "  components: [{name: web, environmentConfig: [{environment: prd}]}]", `expected one of spec.environments, found text "prd"; did you mean prod?`},
		{"an environment twice", "  components: [{name: web, environmentConfig: [{environment: dev}, {environment: dev}]}]", "expected every environment once"},
		{"a name twice", "  components: [{name: web}]\n  jobs: [{name: web}]", "spec.jobs[0].name: expected a name of its own"},
		{"a name that makes no service account", "  components: [{name: Web_1}]", "expected the name of the component (lower-case letters, digits and -)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := workload.ParseRadixConfig("radixconfig.yaml", app(test.spec))
			var problems yamlfile.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("error %v", err)
			}
			if len(problems) != 1 || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestWhatIsPassedOverWithAWarning(t *testing.T) {
	config, warnings, err := workload.ParseRadixConfig("radixconfig.yaml", app(`
  newFeature: {a: 1}
  components:
  - name: web
    identity:
    replica: 2
    newer: {auth: {identity: {azure: {clientId: x}}}}
    environmentConfig:
  - name: api
    identity: {}
  - name: zero
    identity: {azure: {clientId: 00000000-0000-0000-0000-000000000000}}
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range warnings {
		got = append(got, w.Error())
	}
	want := []string{
		"radixconfig.yaml:7:3: warning: spec.newFeature: an unknown field, passed over",
		"radixconfig.yaml:11:5: warning: spec.components[0].replica: an unknown field, passed over; did you mean replicas?",
		"radixconfig.yaml:12:5: warning: spec.components[0].newer: an unknown field that holds an identity, passed over",
		"radixconfig.yaml:15:15: warning: spec.components[1].identity: expected azure.clientId, found an identity without it, which is none; add it, or remove identity",
		"radixconfig.yaml:17:34: warning: spec.components[2].identity.azure.clientId: expected the client id of an identity, found the all-zero UUID, which Entra ID refuses (AADSTS700038); the Azure portal shows it as Client ID of the managed identity or Application (client) ID of the app registration",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if got := brief(config.Workloads()); len(got) != 2 || !strings.HasPrefix(got[0], "zero in dev") {
		t.Errorf("workloads %v", got)
	}
}

func TestFilesThatAreNoRadixConfiguration(t *testing.T) {
	for name, test := range map[string]struct{ file, want string }{
		"another kind":      {"kind: Deployment\n", `f:1:7: kind: expected RadixApplication, found text "Deployment"`},
		"no kind":           {"apiVersion: radix.equinor.com/v1\nmetadata: {name: a}\n", "f:1:1: kind: expected RadixApplication, found nothing; write kind: RadixApplication"},
		"an empty file":     {"", "f:1:1: kind: expected RadixApplication, found nothing"},
		"a list":            {"- a\n", "f:1:1: kind: expected RadixApplication, found nothing"},
		"another version":   {"kind: RadixApplication\napiVersion: v2\nmetadata: {name: a}\nspec: {environments: [{name: dev}]}\n", `f:2:13: apiVersion: expected radix.equinor.com/v1, found text "v2"`},
		"no environments":   {"kind: RadixApplication\napiVersion: radix.equinor.com/v1\nmetadata: {name: a}\nspec: {}\n", "spec.environments: expected the application's environments, found none"},
		"broken syntax":     {"kind: RadixApplication\n  x: [", "f:2: expected YAML"},
		"the reserved name": {"kind: RadixApplication\napiVersion: radix.equinor.com/v1\nmetadata: {name: a}\nspec: {environments: [{name: app}]}\n", "found app, which Radix reserves"},
	} {
		if _, _, err := workload.ParseRadixConfig("f", []byte(test.file)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
	for file, want := range map[string]bool{
		"apiVersion: radix.equinor.com/v1\nmetadata: {name: a}\n":                   true,
		"metadata: {name: a}\nspec: {environments: [{name: dev}]}\n":                true,
		"apiVersion: apps/v1\nmetadata: {name: a}\nspec: {components: [{name: a}]}": false,
		"metadata: {name: a}\nspec: {containers: [{name: a}]}\n":                    false,
		"tenants: []\n": false,
	} {
		if got := workload.IsRadixConfig([]byte(file)); got != want {
			t.Errorf("%q is a radixconfig.yaml without its kind: %t, want %t", file, got, want)
		}
	}
}

func TestFindSaysWhatThereIs(t *testing.T) {
	config, _, err := workload.ParseRadixConfig("radixconfig.yaml", app(`
  components:
  - {name: web, identity: {azure: {clientId: `+webID+`}}, environmentConfig: [{environment: prod, enabled: false}]}
  - {name: api}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ component, environment, want string }{
		{"web", "deb", `radixconfig.yaml: no environment "deb" (did you mean dev?): expected one of dev, prod`},
		{"web", "", `radixconfig.yaml: no environment "": expected one of dev, prod`},
		{"wbe", "dev", `radixconfig.yaml: no component or job "wbe" (did you mean web?); in dev, with an identity there are web`},
		{"api", "dev", "radixconfig.yaml: component api has no identity in dev: add identity.azure.clientId to it; with an identity there are web"},
		{"web", "prod", "radixconfig.yaml: component web is not enabled in prod; no workload of prod has an identity"},
	} {
		if _, err := config.Find(test.component, test.environment); err == nil || err.Error() != test.want {
			t.Errorf("Find(%q, %q):\ngot  %v\nwant %s", test.component, test.environment, err, test.want)
		}
	}
}

func ExampleParseRadixConfig() {
	const file = `
apiVersion: radix.equinor.com/v1
kind: RadixApplication
metadata:
  name: my-radix-app
spec:
  environments:
    - name: dev
  components:
    - name: web
      identity:
        azure:
          clientId: B96D264B-7053-4465-A4A7-32BE5B0FEC49
`
	config, _, err := workload.ParseRadixConfig("radixconfig.yaml", []byte(file))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, w := range config.Workloads() {
		fmt.Println(w.Subject(), w.ClientID)
	}
	// Output: system:serviceaccount:my-radix-app-dev:web-sa b96d264b-7053-4465-a4a7-32be5b0fec49
}

// FuzzParseRadixConfig: whatever the file, the answer is a configuration whose
// workloads are well formed, or problems; never a panic.
func FuzzParseRadixConfig(f *testing.F) {
	f.Add(app("  components: [{name: web, identity: {azure: {clientId: " + webID + "}}, environmentConfig: [{environment: dev, enabled: false}]}]"))
	f.Add(app("  jobs:\n  - &a {name: b, <<: [*a], secretRefs: {azureKeyVaults: [{name: v, useAzureIdentity: true}]}}"))
	f.Add(app("  build: {subPipeline: {identity: {azure: {clientId: ''}}}}\n  components:\n  - horizontalScaling: {triggers: [{azureEventHub: {authentication: }}]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		config, _, err := workload.ParseRadixConfig("f", data)
		if err != nil {
			return
		}
		for _, w := range append(config.Workloads(), config.Triggers()...) {
			if id, err := workload.ParseClientID(w.ClientID); err != nil || id != w.ClientID || w.Namespace == "" || w.ServiceAccount == "" {
				t.Fatalf("workload %+v", w)
			}
		}
	})
}

func TestWhatIsDeployedHasAnIdentityOrNot(t *testing.T) {
	config, _, err := workload.ParseRadixConfig("r.yaml", app("  components: [{name: web, identity: {azure: {clientId: "+webID+"}}}, {name: api}, {name: off, enabled: false}]\n  jobs: [{name: nightly}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"web in dev: my-app-dev/web-sa " + webID, "api in dev: my-app-dev/default ", "nightly in dev: my-app-dev/default "}
	if diff := cmp.Diff(want, brief(config.Deployed("dev"))); diff != "" {
		t.Errorf("deployed (-want +got):\n%s", diff)
	}
}
