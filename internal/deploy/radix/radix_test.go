package radix_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/wiemu/wiemu/internal/deploy/radix"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

var update = flag.Bool("update", false, "write the golden files")

// sample stands in for components without an image.
const sample = "sample:1"

func TestManifestsOfAFile(t *testing.T) {
	for _, test := range []struct {
		golden string
		opts   radix.Options
	}{
		{"shop-all.yaml", radix.Options{Sample: sample, Cluster: "here"}},
		{"shop-dev-built.yaml", radix.Options{Environments: []string{"dev"}, Images: map[string]string{"": "built:2", "web": "built-web:3"}}},
	} {
		t.Run(test.golden, func(t *testing.T) {
			made, warnings, err := radix.Read(filepath.Join("testdata", "shop.yaml"), test.opts)
			if err != nil || len(warnings) > 0 {
				t.Fatal(err, warnings)
			}
			golden(t, test.golden, made)
		})
	}
}

func golden(t *testing.T, name string, made *radix.Manifests) {
	t.Helper()
	var b bytes.Buffer
	for _, remark := range made.Remarks {
		b.WriteString("# " + remark + "\n")
	}
	for _, w := range made.Trusted {
		b.WriteString("# trusts " + w.ClientID + " " + w.Subject() + "\n")
	}
	for _, o := range made.Objects {
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("---\n" + string(text))
	}
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got), go test -update writes it:\n%s", file, diff)
	}
}

// app is a configuration with the environments dev and prod; what is given stands below spec.
func app(spec string) []byte {
	return []byte("apiVersion: radix.equinor.com/v1\nkind: RadixApplication\nmetadata: {name: my-app}\nspec:\n  environments: [{name: dev}, {name: prod}]\n" + spec)
}

func find(t *testing.T, made *radix.Manifests, kind, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	at := slices.IndexFunc(made.Objects, func(o *unstructured.Unstructured) bool {
		return o.GetKind() == kind && o.GetNamespace() == namespace && o.GetName() == name
	})
	if at < 0 {
		t.Fatalf("no %s %s/%s", kind, namespace, name)
	}
	return made.Objects[at]
}

func TestWhatAnEnvironmentSaysWins(t *testing.T) {
	for _, test := range []struct {
		name, component, path, dev, prod string
	}{
		{"an image", "image: a:1, environmentConfig: [{environment: prod, image: b:2}]", "image", "a:1", "b:2"},
		{"source instead of an image", "image: a:1, environmentConfig: [{environment: prod, src: .}]", "image", "a:1", "sample:1"},
		{"a tag", "image: 'a:{imageTagName}', imageTagName: x, environmentConfig: [{environment: prod, imageTagName: z}]", "image", "a:x", "a:z"},
		{"a tag that YAML 1.1 takes for true", "image: 'a:{imageTagName}', imageTagName: y, environmentConfig: [{environment: prod, imageTagName: 1.10}]", "image", "a:true", "a:1.1"},
		{"a command", "image: a, command: [one], environmentConfig: [{environment: prod, command: [two, three]}]", "command", "[one]", "[two three]"},
		{"no arguments", "image: a, args: [one], environmentConfig: [{environment: prod, args: []}]", "args", "[one]", "<nil>"},
		{"a user", "image: a, runAsUser: 7, environmentConfig: [{environment: prod, runAsUser: 8}]", "securityContext.runAsUser", "7", "8"},
		{"resources, all of them", "image: a, resources: {limits: {memory: 1Gi, cpu: 1}}, environmentConfig: [{environment: prod, resources: {limits: {memory: 2Gi}}}]", "resources.limits", "map[cpu:1 memory:1Gi]", "map[memory:2Gi]"},
		{"replicas", "image: a, replicas: 2, environmentConfig: [{environment: prod, replicas: 0}]", "replicas", "2", "0"},
		{"how few there may be", "image: a, horizontalScaling: {minReplicas: 3, maxReplicas: 9}, environmentConfig: [{environment: prod, horizontalScaling: {minReplicas: 4}}]", "replicas", "3", "4"},
		{"how many there may be", "image: a, replicas: 6, horizontalScaling: {maxReplicas: 5}, environmentConfig: [{environment: prod, horizontalScaling: {maxReplicas: 2}}]", "replicas", "5", "2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			made, _, err := radix.Parse("r.yaml", app("  components: [{name: web, "+test.component+"}]\n"), radix.Options{Sample: sample})
			if err != nil {
				t.Fatal(err)
			}
			for environment, want := range map[string]string{"dev": test.dev, "prod": test.prod} {
				d := find(t, made, "Deployment", "my-app-"+environment, "web")
				from := d.Object["spec"].(map[string]any)
				if test.path != "replicas" {
					containers, _, _ := unstructured.NestedSlice(from, "template", "spec", "containers")
					from = containers[0].(map[string]any)
				}
				got, _, _ := unstructured.NestedFieldNoCopy(from, strings.Split(test.path, ".")...)
				if text := sprint(got); text != want {
					t.Errorf("%s in %s: %s, want %s", test.path, environment, text, want)
				}
			}
		})
	}
}

func TestWhatIsRefused(t *testing.T) {
	for _, test := range []struct {
		name, spec string
		opts       radix.Options
		want       []string
	}{
		{"an environment that there is not", "  components: [{name: web, image: a}]", radix.Options{Environments: []string{"prd"}}, []string{`the environment "prd"`, "[dev prod]", "did you mean prod?"}},
		{"nothing to run", "  components: [{name: web, src: .}]", radix.Options{}, []string{"web in dev", "expected an image", "name it"}},
		{"a tag that is missing", "  components: [{name: web, image: 'a:{imageTagName}'}]", radix.Options{}, []string{"web.imageTagName", "a tag for a:{imageTagName} in dev"}},
		{"an amount that is none", "  components: [{name: web, image: a, resources: {limits: {memory: lots}}}]", radix.Options{}, []string{"spec.components[0].resources.limits.memory", "128Mi", `"lots"`}},
		{"a probe that is none", "  components: [{name: web, image: a, healthChecks: {livenessProbe: {httpGet: {port: [1]}}}}]", radix.Options{}, []string{"healthChecks.livenessProbe", "a probe"}},
		{"an identity that is none", "  components: [{name: web, image: a, identity: {azure: {clientId: x}}}]", radix.Options{}, []string{"clientId", "a UUID"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := radix.Parse("r.yaml", app(test.spec+"\n"), test.opts)
			if err == nil {
				t.Fatal("nobody objects")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nsays nothing of %q", err, want)
				}
			}
		})
	}
}

func TestAnImageForNobodyIsRefused(t *testing.T) {
	made, _, err := radix.Parse("r.yaml", app("  components: [{name: web, image: a}]\n  jobs: [{name: report, image: b}]\n"), radix.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := radix.CheckImages(map[string]string{"web": "b", "report": "c", "": "d"}, made); err != nil {
		t.Error(err)
	}
	if err := radix.CheckImages(map[string]string{"wep": "b"}, made); err == nil || !strings.Contains(err.Error(), "image of wep") || !strings.Contains(err.Error(), "did you mean web?") {
		t.Errorf("%v", err)
	}
}

func TestPodsAreReplacedWhenAVariableChanges(t *testing.T) {
	annotation := func(level string) string {
		made, _, err := radix.Parse("r.yaml", app("  components: [{name: web, image: a, variables: {LEVEL: "+level+"}}]\n"), radix.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, _, _ := unstructured.NestedString(find(t, made, "Deployment", "my-app-dev", "web").Object, "spec", "template", "metadata", "annotations", "wiemu.dev/variables")
		return got
	}
	if a, b := annotation("info"), annotation("warn"); a == b || a == "" || a != annotation("info") {
		t.Errorf("annotations %q and %q", a, b)
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range []string{"testdata/shop.yaml", "../../workload/testdata/my-radix-app.yaml"} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		made, _, err := radix.Parse("r.yaml", data, radix.Options{Sample: sample})
		if err != nil {
			var problems yamlfile.Problems
			if !errors.As(err, &problems) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		for _, o := range made.Objects {
			if _, err := o.MarshalJSON(); err != nil || o.GetName() == "" {
				t.Errorf("%s %q: %v", o.GetKind(), o.GetName(), err)
			}
		}
	})
}

func sprint(value any) string { return strings.TrimSpace(fmt.Sprint(value)) }
