package install

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/wiemu/wiemu/emulator/config"
)

func find(t *testing.T, objects []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	t.Helper()
	for _, o := range objects {
		if o.GetKind() == kind && o.GetName() == name {
			return o
		}
	}
	t.Fatalf("no %s %s", kind, name)
	return nil
}

func configuration(t *testing.T, objects []*unstructured.Unstructured) config.Config {
	t.Helper()
	text, _, _ := unstructured.NestedString(find(t, objects, "ConfigMap", Name).Object, "data", "wiemu.yaml")
	c, err := config.Parse("wiemu.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return c
}

func TestObjectsAreThoseOfTheBase(t *testing.T) {
	objects, err := Objects(Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range objects {
		if o.GetNamespace() != "" && o.GetNamespace() != Namespace {
			t.Errorf("%s %s is in namespace %s", o.GetKind(), o.GetName(), o.GetNamespace())
		}
		got = append(got, o.GetKind())
	}
	want := []string{"Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "ClusterRoleBinding", "Role", "RoleBinding", "ConfigMap", "Secret", "Service", "Deployment"}
	if !slices.Equal(got, want) {
		t.Errorf("objects %v, want %v", got, want)
	}
	files, err := filepath.Glob("base/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile("base/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := filepath.Base(file); name != "kustomization.yaml" && !strings.Contains(string(list), "- "+name+"\n") {
			t.Errorf("kustomization.yaml does not list %s", name)
		}
	}
}

func TestWhatDiffersFromClusterToCluster(t *testing.T) {
	const aks = "https://northeurope.oic.prod-aks.azure.com/3aa4a235-b6e2-48d5-9195-7fcf05b459b0/0a1b/"
	objects, err := Objects(Options{
		Issuer: aks, Image: "registry.example/wiemu:2", Token: "mine", Volume: resource.MustParse("50Mi"),
		Config: config.Config{
			Vaults:  []config.Vault{{Name: "shop", Secrets: map[string]string{"password": "x"}}},
			Issuers: []config.Issuer{{Name: "github", URL: "https://token.actions.githubusercontent.com", External: true}},
			Listen:  config.Listen{Gateway: "127.0.0.1:1"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := configuration(t, objects)
	if len(c.Issuers) != 2 || c.Issuers[0].Name != Issuer || c.Issuers[0].URL != aks || !c.Issuers[0].External || c.Issuers[1].Name != "github" {
		t.Errorf("issuers %+v", c.Issuers)
	}
	if c.Listen.Gateway != "0.0.0.0:8443" || c.Listen.Control != "127.0.0.1:9444" {
		t.Errorf("listeners %+v: they are the base's, whatever the caller's file says", c.Listen)
	}
	if len(c.Vaults) != 1 || c.Vaults[0].Secrets["password"] != "x" {
		t.Errorf("vaults %+v", c.Vaults)
	}
	d := find(t, objects, "Deployment", Name)
	containers, _, _ := unstructured.NestedSlice(d.Object, "spec", "template", "spec", "containers")
	if image := containers[0].(map[string]any)["image"]; image != "registry.example/wiemu:2" {
		t.Errorf("image %v", image)
	}
	volumes, _, _ := unstructured.NestedSlice(d.Object, "spec", "template", "spec", "volumes")
	if !slices.ContainsFunc(volumes, func(v any) bool {
		claim, _, _ := unstructured.NestedString(v.(map[string]any), "persistentVolumeClaim", "claimName")
		return claim == find(t, objects, "PersistentVolumeClaim", Name).GetName()
	}) {
		t.Errorf("volumes %v", volumes)
	}
	if token, _, _ := unstructured.NestedString(find(t, objects, "Secret", Control).Object, "stringData", TokenKey); token != "mine" {
		t.Errorf("token %q", token)
	}
}

func TestEachInstallationHasATokenOfItsOwn(t *testing.T) {
	token := func() string {
		objects, err := Objects(Options{})
		if err != nil {
			t.Fatal(err)
		}
		text, _, _ := unstructured.NestedString(find(t, objects, "Secret", Control).Object, "stringData", TokenKey)
		return text
	}
	if a, b := token(), token(); a == b || len(a) < 26 {
		t.Errorf("tokens %q and %q", a, b)
	}
}

func TestWhatThePodDoesNotReachIsRefused(t *testing.T) {
	c, err := config.Parse("wiemu.yaml", []byte("postgresServers: [{name: orders, url: 'postgres://u:p@127.0.0.1/postgres'}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Objects(Options{Config: c}); err == nil || !strings.Contains(err.Error(), "found postgres://u:xxxxx@127.0.0.1/postgres, which is the emulator's pod itself; write the name of a Service") {
		t.Error(err)
	}
}

func TestAnIssuerThatIsNoneIsRefused(t *testing.T) {
	if _, err := Objects(Options{Issuer: "cluster.local"}); err == nil || !strings.Contains(err.Error(), "issuers[0].url") {
		t.Errorf("%v", err)
	}
}
