package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/manifest"
)

// growing are variables each of which names the one before ten times.
func growing(n int) string {
	env := `{name: V0, value: 0123456789abcdef}`
	for i := 1; i <= n; i++ {
		env += fmt.Sprintf(", {name: V%d, value: %s}", i, strings.Repeat(fmt.Sprintf("$(V%d)", i-1), 10))
	}
	return env
}

func TestVariablesThatNoProgramCanHave(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	for _, test := range []struct{ name, manifests, want string }{
		{"that grow by naming one another", "kind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - name: web\n    env: [" + growing(11) + "]\n",
			"app.yaml:6:261: spec.containers[0].env[4]: expected at most 128 KiB, the limit of Linux, in variable V4 of container web, found more, with the variables that it names; name fewer, or shorten them"},
		{"of an init container of a template", "kind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: {initContainers: [{name: web, env: [" + growing(4) + "]}]}}}}}\n",
			"spec.jobTemplate.spec.template.spec.initContainers[0].env[4]: expected at most 128 KiB"},
		{"one of a config map", "kind: ConfigMap\nmetadata: {name: c}\ndata: {LONG: " + long + long + "}\n---\nkind: Pod\nspec: {containers: [{name: web, envFrom: [{configMapRef: {name: c}}]}]}\n",
			"app.yaml:6:42: spec.containers[0].envFrom: expected at most 128 KiB, the limit of Linux, in variable LONG of container web"},
		{"all together", "kind: Pod\nspec: {containers: [{name: web, env: [{name: A, value: " + long + "}" + strings.Repeat(", {name: A, value: $(A)}", 11) + "]}]}\n",
			"spec.containers[0].env[10]: expected at most 1 MiB of variables in the container, in variable A of container web"},
		{"all of all containers", "kind: ConfigMap\nmetadata: {name: c}\ndata: {A: " + long + "}\n---\nkind: Pod\nspec: {containers: [{name: web, envFrom: [{configMapRef: {name: c}}]}" + strings.Repeat(", {name: web, envFrom: [{configMapRef: {name: c}}]}", 700) + "]}\n",
			"expected at most 64 MiB of variables in all containers, found more"},
		{"with a zero character", "kind: Pod\nspec: {containers: [{name: web, env: [{name: A, value: \"a\\0b\"}]}]}\n",
			"app.yaml:2:39: spec.containers[0].env[0]: expected text, in variable A of container web, found text with a zero character"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := manifest.New("shop")
			if err := o.Add("app.yaml", []byte(test.manifests)); err != nil {
				t.Fatal(err)
			}
			if err := o.Check(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
	o := objects(t, pod("web-sa", "env: ["+growing(3)+"]"))
	if err := o.Check(); err != nil {
		t.Errorf("variables of 16 KB: %v", err)
	}
	if err := manifest.New("../x").Check(); err == nil || !strings.HasPrefix(err.Error(), `namespace "../x": expected a lowercase RFC 1123 label`) {
		t.Errorf("a namespace that is a path: %v", err)
	}
}

func TestNamesThatKubernetesRefuses(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{"kind: Pod\nmetadata: {name: a, namespace: ../../x}\n", `f:2:32: metadata.namespace: expected a lowercase RFC 1123 label: at most 63 lower case alphanumeric characters or '-', starting and ending with an alphanumeric character, found text "../../x"`},
		{"kind: ServiceAccount\nmetadata: {name: ../../../../tmp/evil}\n", `f:2:18: metadata.name: expected a lowercase RFC 1123 subdomain`},
		{"kind: ServiceAccount\nmetadata: {name: \"\"}\n", `f:2:18: metadata.name: expected a lowercase RFC 1123 subdomain`},
		{"kind: ConfigMap\nmetadata: {name: \"a\\e[31m\"}\n", `metadata.name: expected a lowercase RFC 1123 subdomain: at most 253 lower case alphanumeric characters, '-' or '.', starting and ending with an alphanumeric character, found text "a\x1b[31m"`},
		{"kind: Pod\nspec: {serviceAccountName: ../../../../tmp/evil}\n", `f:2:28: spec.serviceAccountName: expected a lowercase RFC 1123 subdomain`},
		{"kind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: {serviceAccountName: a/b}}}}}\n", `f:2:67: spec.jobTemplate.spec.template.spec.serviceAccountName: expected`},
		{"kind: Deployment\nmetadata: {name: '${NAME}'}\n", `found text "${NAME}"; templates have to be rendered first: helm template, kustomize build, envsubst`},
		{"kind: Pod\nspec: {containers: [{name: a.b}]}\n", `f:2:28: spec.containers[0].name: expected a lowercase RFC 1123 label`},
		{"kind: Pod\nspec: {initContainers: [{name: a, env: [{name: A}, {name: A=B, value: c}]}]}\n", `f:2:59: spec.initContainers[0].env[1].name: expected a variable's name: printable ASCII characters without =, found text "A=B"`},
		{"kind: Pod\nspec: {containers: [{name: a, env: [{name: \"\", value: c}]}]}\n", `f:2:44: spec.containers[0].env[0].name: expected a variable's name: printable ASCII characters without =, found text ""`},
		{"kind: Pod\nspec: {containers: [{name: a, env: [{value: c}]}]}\n", `f:2:37: spec.containers[0].env[0].name: expected a variable's name: printable ASCII characters without =, found nothing`},
		{"kind: Pod\nspec: {containers: [{name: a, env: [{name: A, valueFrom: {secretKeyRef: {name: \"\\e\", key: a/b}}}]}]}\n", `spec.containers[0].env[0].valueFrom.secretKeyRef.key: expected a key: at most 253 alphanumeric characters`},
		{"kind: Pod\nspec: {containers: [{name: a, env: [{name: A, valueFrom: {fieldRef: {fieldPath: \"\\e\"}}}]}]}\n", `spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: expected printable ASCII characters, found text "\x1b"`},
		{"kind: Pod\nspec: {containers: [{name: a, envFrom: [{prefix: \"A=\", configMapRef: {name: A}}]}]}\n", `spec.containers[0].envFrom[0].configMapRef.name: expected a lowercase RFC 1123 subdomain`},
		{"kind: Secret\nstringData: {\"\\e[2J\": b}\n", `f:2:14: stringData["\x1b[2J"]: expected a key: at most 253 alphanumeric characters, '-', '_' or '.', found "\x1b[2J"`},
		{"kind: List\nitems: [{kind: ServiceAccount, metadata: {name: A}}]\n", `f:2:49: metadata.name: expected a lowercase RFC 1123 subdomain`},
	} {
		o := manifest.New("")
		if err := o.Add("f", []byte(test.file)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %s", test.file, err, test.want)
		}
	}
	o := manifest.New("")
	if err := o.Add("f", []byte("kind: ServiceAccount\nmetadata: {name: a.b-c}\n---\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a, env: [{name: my.var-1, value: b}, {name: A, valueFrom: {secretKeyRef: {name: a.b, key: tls.crt}}}]}]}\n")); err != nil {
		t.Errorf("names that Kubernetes takes: %v", err)
	}
}
