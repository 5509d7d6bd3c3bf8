package deploy

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
)

func object(version, kind, namespace, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": version, "kind": kind}}
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}

func TestAJobIsReplacedAndTheRestIsChanged(t *testing.T) {
	before := object("batch/v1", "Job", "app-dev", "report")
	before.SetLabels(map[string]string{"run": "before"})
	kept := object("v1", "ConfigMap", "app-dev", "env-vars-web")
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		{Version: "v1", Resource: "configmaps"}: "ConfigMapList",
	}, before, kept, object("v1", "ConfigMap", "other", "env-vars-web"))
	client.PrependReactor("patch", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if patch := action.(clienttesting.PatchAction); patch.GetPatchType() != types.ApplyPatchType {
			t.Errorf("a patch of type %s", patch.GetPatchType())
		}
		return true, kept, nil // the fake applies to typed objects alone
	})
	c := &Cluster{Context: "here", dynamic: client, config: &rest.Config{}, poll: time.Millisecond}
	var told []string
	tell := func(object string) { told = append(told, object) }
	if err := c.Apply(t.Context(), []*unstructured.Unstructured{kept, object("batch/v1", "Job", "app-dev", "report")}, tell); err != nil {
		t.Fatal(err)
	}
	if want := []string{"ConfigMap app-dev/env-vars-web", "Job app-dev/report"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	var did []string
	for _, action := range client.Actions() {
		if verb := action.GetVerb(); verb != "get" {
			did = append(did, verb+" "+action.GetResource().Resource)
		}
	}
	if want := []string{"patch configmaps", "delete jobs", "patch jobs"}; !slices.Equal(did, want) {
		t.Errorf("did %v, want %v", did, want)
	}

	all, err := c.Named(t.Context(), schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, "env-vars-web")
	if err != nil || len(all) != 2 {
		t.Fatalf("of that name there are %d, %v", len(all), err)
	}
	told = nil
	for range 2 { // what is gone is not told
		if err := c.Delete(t.Context(), all, tell); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 2 {
		t.Errorf("deleted %v", told)
	}
	if _, err := c.resource(kept).Get(t.Context(), kept.GetName(), metav1.GetOptions{}); err == nil {
		t.Error("it is still there")
	}
}
