package manifest_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wiemu/wiemu/internal/manifest"
	"github.com/wiemu/wiemu/internal/webhook"
)

const (
	id    = "b96d264b-7053-4465-a4a7-32be5b0fec49"
	other = "b96d264b-0000-4000-8000-000000000001"
)

// objects reads manifests; the service account shop/web-sa and the sources of
// variables are there already.
func objects(t *testing.T, manifests ...string) *manifest.Objects {
	t.Helper()
	o := manifest.New("shop")
	given := `
kind: ServiceAccount
metadata: {name: web-sa, annotations: {azure.workload.identity/client-id: ` + id + `}}
---
kind: ServiceAccount
metadata: {name: bare}
---
kind: ConfigMap
metadata: {name: settings}
data: {LEVEL: info, REGION: north}
---
kind: Secret
metadata: {name: ids}
data: {AZURE_CLIENT_ID: ` + "Yjk2ZDI2NGItMDAwMC00MDAwLTgwMDAtMDAwMDAwMDAwMDAx" + `, OLD: eA==}
stringData: {OLD: new}
---
` + strings.Join(manifests, "\n---\n")
	if err := o.Add("app.yaml", []byte(given)); err != nil {
		t.Fatal(err)
	}
	return o
}

// pod is a labelled pod with one container.
func pod(account, container string, annotations ...string) string {
	return fmt.Sprintf("kind: Pod\nmetadata: {name: web, labels: {app: web, azure.workload.identity/use: 'true'}, annotations: {%s}}\nspec: {serviceAccountName: %s, nodeName: n1, containers: [{name: web, %s}]}\n",
		strings.Join(annotations, ", "), account, container)
}

func TestVariablesOfAContainer(t *testing.T) {
	for _, test := range []struct{ name, container, want string }{
		{"of its own", "env: [{name: A, value: b}, {name: EMPTY}]", "A=b EMPTY="},
		{"a later one wins", "env: [{name: A, value: a}, {name: A, value: b}]", "A=b"},
		{"of a config map", "envFrom: [{configMapRef: {name: settings}}]", "LEVEL=info REGION=north"},
		{"with a prefix", "envFrom: [{prefix: X_, configMapRef: {name: settings}}]", "X_LEVEL=info X_REGION=north"},
		{"its own go before those of a config map", "env: [{name: LEVEL, value: warn}], envFrom: [{configMapRef: {name: settings}}]", "REGION=north LEVEL=warn"},
		{"one key of a config map", "env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: LEVEL}}}]", "A=info"},
		{"one key of a secret, whose stringData wins", "env: [{name: A, valueFrom: {secretKeyRef: {name: ids, key: OLD}}}]", "A=new"},
		{"a key that is missing", "env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: NONE}}}]", "missing: A: there is no key NONE of config map shop/settings"},
		{"a key that may be missing", "env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: NONE, optional: true}}}]", ""},
		{"a secret that is not there", "env: [{name: A, valueFrom: {secretKeyRef: {name: db, key: p}}}]", "A? (key p of secret shop/db)"},
		{"a config map that is not there", "envFrom: [{configMapRef: {name: more}}]", "others: config map shop/more"},
		{"what the pod knows of itself", "env: [{name: N, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, {name: S, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}, {name: L, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}, {name: A, valueFrom: {fieldRef: {fieldPath: spec.serviceAccountName}}}, {name: H, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]",
			"N=web S=shop L=web A=web-sa H=n1"},
		{"what it learns when it runs", "env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, {name: M, valueFrom: {resourceFieldRef: {resource: limits.memory}}}, {name: F, valueFrom: {fileKeyRef: {key: a}}}]",
			"IP? (field status.podIP) M? (resource limits.memory) F? (a source that wiemu does not know)"},
		{"that name others", "env: [{name: A, value: 'x-$(LEVEL)-$(NONE)-$$(LEVEL)-$(B)-$-$('}, {name: B, value: $(A)$(LEVEL)}], envFrom: [{configMapRef: {name: settings}}]",
			"LEVEL=info REGION=north A=x-info-$(NONE)-$(LEVEL)-$(B)-$-$( B=x-info-$(NONE)-$(LEVEL)-$(B)-$-$(info"},
		{"that name what is unknown", "env: [{name: P, valueFrom: {secretKeyRef: {name: db, key: p}}}, {name: URL, value: 'a:$(P)@b'}]",
			"P? (key p of secret shop/db) URL? (key p of secret shop/db)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := objects(t, pod("web-sa", test.container))
			p := o.Pods()[0]
			e := o.Environ(p, p.Template.Spec.Containers[0])
			var got []string
			for _, v := range e.Variables {
				if v.Unknown {
					got = append(got, fmt.Sprintf("%s? (%s)", v.Name, v.From))
				} else {
					got = append(got, v.Name+"="+v.Value)
				}
			}
			for _, m := range e.Missing {
				got = append(got, "missing: "+m)
			}
			for _, other := range e.Others() {
				got = append(got, "others: "+other)
			}
			if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Where a client id comes from, and whom nobody has to tell that it is missing.
// Source: azure-workload-identity#1555, external-secrets#3366.
func TestWhereAClientIDComesFrom(t *testing.T) {
	for _, test := range []struct{ name, account, container, ids, warned string }{
		{"the service account", "web-sa", "image: a", id, ""},
		{"the container", "bare", "env: [{name: AZURE_CLIENT_ID, value: " + other + "}]", other, ""},
		{"the container, although the account has one", "web-sa", "env: [{name: AZURE_CLIENT_ID, value: " + other + "}]", other, ""},
		{"a secret, by its key", "bare", "env: [{name: AZURE_CLIENT_ID, valueFrom: {secretKeyRef: {name: ids, key: AZURE_CLIENT_ID}}}]", other, ""},
		{"a secret, all of it", "bare", "envFrom: [{secretRef: {name: ids}}]", other, ""},
		{"the account goes before all of a secret", "web-sa", "envFrom: [{secretRef: {name: ids}}]", id, ""},
		{"a secret that is not there", "bare", "env: [{name: AZURE_CLIENT_ID, valueFrom: {secretKeyRef: {name: gone, key: id}}}]", "? AZURE_CLIENT_ID of container web, from key id of secret shop/gone", ""},
		{"perhaps a secret that is not there", "bare", "envFrom: [{secretRef: {name: gone}}]", "? AZURE_CLIENT_ID of container web, which may come from secret shop/gone", ""},
		{"not one under another prefix", "bare", "envFrom: [{prefix: DB_, secretRef: {name: gone}}]", "", "service account bare has no annotation"},
		{"not a config map without it", "bare", "envFrom: [{configMapRef: {name: settings}}]", "", "it is not in config map shop/settings"},
		{"nobody", "bare", "image: a", "", "service account bare has no annotation"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := objects(t, pod(test.account, test.container))
			var got []string
			for _, c := range o.ClientIDs(o.Pods()[0]) {
				if c.Unknown {
					got = append(got, "? "+c.From)
				} else {
					got = append(got, c.Value)
				}
			}
			if ids := strings.Join(got, " "); ids != test.ids {
				t.Errorf("client ids %s, want %s", ids, test.ids)
			}
			made, err := o.Mutate(webhook.Settings{Identity: &webhook.IdentitySettings{Audience: "a"}})
			if err != nil {
				t.Fatal(err)
			}
			if warned := strings.Join(made[0].Warnings, "\n"); (warned == "") != (test.warned == "") || !strings.Contains(warned, test.warned) {
				t.Errorf("warned %q, want %q", warned, test.warned)
			}
		})
	}
}

func TestTwoContainersWithTheirOwnClientIDs(t *testing.T) {
	o := objects(t, "kind: Pod\nmetadata: {name: two, labels: {azure.workload.identity/use: 'true'}}\nspec: {serviceAccountName: web-sa, containers: [{name: a}, {name: b, env: [{name: AZURE_CLIENT_ID, value: "+other+"}]}, {name: c}]}\n")
	ids := o.ClientIDs(o.Pods()[0])
	if len(ids) != 2 || ids[0].Value != id || ids[1].Value != other {
		t.Errorf("client ids %+v", ids)
	}
}

func TestWhatAContainerStartsWith(t *testing.T) {
	day := `azure.workload.identity/service-account-token-expiration: "86400"`
	for _, test := range []struct {
		name, manifest, container string
		want                      manifest.Started
	}{
		{"the webhook's token", pod("web-sa", "image: a"), "", manifest.Started{Container: "web", ClientID: id, Audience: "api://AzureADTokenExchange", Lifetime: time.Hour}},
		{"a token for a day", pod("web-sa", "image: a", day), "", manifest.Started{Container: "web", ClientID: id, Audience: "api://AzureADTokenExchange", Lifetime: 24 * time.Hour}},
		{"the proxy sidecar", pod("web-sa", "image: a", "azure.workload.identity/inject-proxy-sidecar: 'true'"), "", manifest.Started{Container: "web", ClientID: id, Audience: "api://AzureADTokenExchange", Lifetime: time.Hour, HasSidecar: true}},
		{"an identity binding", pod("web-sa", "image: a", "azure.workload.identity/use-identity-binding: 'True'"), "", manifest.Started{Container: "web", ClientID: id, Audience: "api://AKSIdentityBinding", Lifetime: time.Hour, HasBinding: true}},
		{"no label", strings.Replace(pod("web-sa", "image: a"), "use: 'true'", "use: 'yes'", 1), "", manifest.Started{Container: "web", NoToken: `its pods have the label azure.workload.identity/use: "yes", and only "true" counts`}},
		{"a container that is left out", pod("web-sa", "image: a", "azure.workload.identity/skip-containers: web"), "", manifest.Started{Container: "web", NoToken: "container web is one of azure.workload.identity/skip-containers"}},
		{"a tenant of its own", pod("web-sa", "env: [{name: AZURE_TENANT_ID, value: t}]"), "web", manifest.Started{Container: "web", ClientID: id, Tenant: "t", Audience: "api://AzureADTokenExchange", Lifetime: time.Hour}},
		{"a token without the webhook", "kind: StatefulSet\nmetadata: {name: s}\nspec: {template: {spec: {serviceAccountName: bare, containers: [{name: web, env: [{name: AZURE_CLIENT_ID, value: " + other + "}, {name: AZURE_FEDERATED_TOKEN_FILE, value: /tokens/t}]}], volumes: [{name: v, projected: {sources: [{serviceAccountToken: {audience: api://x, path: t, expirationSeconds: 900}}]}}]}}}\n", "",
			manifest.Started{Container: "web", ClientID: other, TokenFile: "/tokens/t", Audience: "api://x", Lifetime: 15 * time.Minute}},
		{"the container that is meant", "kind: Pod\nmetadata: {name: two, annotations: {kubectl.kubernetes.io/default-container: b}}\nspec: {serviceAccountName: bare, containers: [{name: a}, {name: b}], initContainers: [{name: c}]}\n", "",
			manifest.Started{Container: "b", NoToken: `its pods lack the label azure.workload.identity/use: "true"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := objects(t, test.manifest)
			got, err := o.Start(o.Pods()[0], test.container)
			if err != nil {
				t.Fatal(err)
			}
			got.Environ, got.Choices, got.Notes = manifest.Environ{}, nil, nil
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(manifest.Environ{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWhatCannotStart(t *testing.T) {
	for _, test := range []struct{ name, manifest, container, want string }{
		{"another container", pod("web-sa", "image: a"), "wep", `Pod shop/web (app.yaml:17): container "wep" (did you mean web?): expected one of web`},
		{"no container", "kind: Pod\nmetadata: {name: p}\nspec: {}\n", "", "expected containers, found none"},
		{"a token that lives too shortly", pod("web-sa", "image: a", `azure.workload.identity/service-account-token-expiration: "60"`), "", "the webhook refuses the pods: token expiration 60 not valid"},
	} {
		o := objects(t, test.manifest)
		if _, err := o.Start(o.Pods()[0], test.container); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
}

func TestFindingWhatMakesPods(t *testing.T) {
	o := objects(t, pod("web-sa", "image: a"), "kind: Deployment\nmetadata: {name: web}\n", "kind: Job\nmetadata: {name: night, namespace: other}\n", "kind: CronJob\nmetadata: {name: night}\n")
	for name, want := range map[string]string{
		"pod/shop/web": "Pod shop/web", "deploy/web": "Deployment shop/web", "Deployment/shop/web": "Deployment shop/web",
		"other/night": "Job other/night", "shop/night": "CronJob shop/night", "cronjobs/night": "CronJob shop/night",
		"web-sa": "ServiceAccount shop/web-sa", "shop/web-sa": "ServiceAccount shop/web-sa", "sa/shop/web-sa": "ServiceAccount shop/web-sa",
		"web":      `workload "web": several have that name, say which: pod/shop/web (app.yaml:17), deployment/shop/web (app.yaml:22)`,
		"shop/web": `workload "shop/web": several have that name, say which: pod/shop/web (app.yaml:17), deployment/shop/web (app.yaml:22)`,
		"shop/wep": `workload "shop/wep" (did you mean shop/web?): expected one of: shop/web (Pod), shop/web (Deployment), other/night (Job), shop/night (CronJob)`,
		"job/web":  `workload "job/web"`,
	} {
		p, err := o.Find(name)
		got := fmt.Sprint(err)
		if err == nil {
			got = p.String()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if _, err := manifest.New("").Find("web"); err == nil || !strings.Contains(err.Error(), "found none") {
		t.Errorf("in nothing: %v", err)
	}
}

func TestWhatAreKubernetesObjects(t *testing.T) {
	o := manifest.New("")
	for file, want := range map[string]string{
		"kind: Secret\nmetadata: {name: s}\ndata: {a: '%'}\n":            "f:3:11: data.a: expected base64",
		"kind: Deployment\nspec: {template: {spec: {containers: {}}}}\n": "f:2:38: spec.template.spec.containers: expected a list",
		"kind: Pod\nmetadata: {labels: {a: true}}\n":                     "f:2:24: metadata.labels.a: expected text, found true",
		"kind: List\nitems: [a]\n":                                       "f:2:9: items[0]: expected an object",
		"metadata: {}\n":                                                 "f:1:1: kind: expected a Kubernetes object, found none",
		"kind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{env: [{value: 1}]}]}}}}}\n": "spec.jobTemplate.spec.template.spec.containers[0].env[0].value: expected text, found number 1",
	} {
		if err := o.Add("f", []byte(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", file, err, want)
		}
	}
}

// The public file of a pod that brings its client id along.
func TestTheFileOfCaseB(t *testing.T) {
	data, err := os.ReadFile("testdata/client-id.yaml")
	if err != nil {
		t.Fatal(err)
	}
	o := manifest.New("")
	if err := o.Add("client-id.yaml", data); err != nil {
		t.Fatal(err)
	}
	made, err := o.Mutate(webhook.Settings{Identity: &webhook.IdentitySettings{Audience: "a", Tenant: "t", AuthorityHost: "https://login.microsoftonline.com/"}})
	if err != nil || len(made) != 2 {
		t.Fatal(made, err)
	}
	for i, p := range o.Pods() {
		if ids := o.ClientIDs(p); len(ids) != 1 || ids[0].Value != other {
			t.Errorf("%s asks as %+v", p, ids)
		}
		if len(made[i].Warnings) > 0 || made[i].Denied != "" || len(made[i].Patch) == 0 {
			t.Errorf("%s: %q %s, %d changes", p, made[i].Warnings, made[i].Denied, len(made[i].Patch))
		}
	}
}
