// Package install has the objects that run the emulator in an existing cluster. There the cluster's
// own issuer signs, so that keys and issuer cannot be changed, and only labelled pods resolve the
// emulated hosts. Package deploy applies the objects. They are a kustomize base, too: base/.
package install

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	yamlv3 "go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/webhook"
)

// The names of the objects.
const (
	Namespace = "wiemu-system"
	Name      = "wiemu"         // of Deployment, Service, service account, configuration and webhook
	Control   = "wiemu-control" // the Secret with the control endpoint's token
	TokenKey  = "control-token" // the key in that Secret
	Issuer    = "cluster"       // the issuer's name in the configuration

	ControlPort = 9444 // of the pod's loopback

	// Image is the emulator's: make e2e-images builds it.
	Image = "wiemu:local"
)

// Options are what differs between clusters.
type Options struct {
	Issuer string            // URL, to the letter
	Image  string            // Defaults to Image
	Config config.Config     // tenants, identities, vaults and so on; its issuers come after the cluster's
	Token  string            // of the control endpoint. Defaults to a new one
	Volume resource.Quantity // of a volume that keeps the CA and the directory when the pod is replaced. If zero, none
}

//go:embed base
var base embed.FS

// Objects returns the objects in the order in which they can be applied.
func Objects(opts Options) ([]*unstructured.Unstructured, error) {
	objects, err := read()
	if err != nil {
		return nil, err
	}
	opts.Token = cmp.Or(opts.Token, rand.Text())
	opts.Image = cmp.Or(opts.Image, Image)
	for _, o := range objects {
		if err := opts.fill(o); err != nil {
			return nil, fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	if !opts.Volume.IsZero() {
		claim, err := opts.claim()
		if err != nil {
			return nil, err
		}
		objects = slices.Insert(objects, len(objects)-1, claim)
	}
	return objects, nil
}

func read() ([]*unstructured.Unstructured, error) {
	list, err := base.ReadFile("base/kustomization.yaml")
	if err != nil {
		return nil, err
	}
	var kustomization struct {
		Resources []string `yaml:"resources"`
	}
	if err := yamlv3.Unmarshal(list, &kustomization); err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, file := range kustomization.Resources {
		data, err := base.ReadFile(path.Join("base", file))
		if err != nil {
			return nil, err
		}
		decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
		for {
			o := &unstructured.Unstructured{}
			if err := decoder.Decode(o); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("base/%s: %w", file, err)
			}
			if len(o.Object) > 0 {
				objects = append(objects, o)
			}
		}
	}
	return objects, nil
}

func (opts Options) fill(o *unstructured.Unstructured) error {
	switch o.GetKind() {
	case "ConfigMap":
		text, _, err := unstructured.NestedString(o.Object, "data", "wiemu.yaml")
		if err != nil {
			return err
		}
		if text, err = opts.configuration(text); err != nil {
			return err
		}
		return unstructured.SetNestedField(o.Object, text, "data", "wiemu.yaml")
	case "Secret":
		return unstructured.SetNestedStringMap(o.Object, map[string]string{TokenKey: opts.Token}, "stringData")
	case "Deployment":
		return opts.deployment(o)
	}
	return nil
}

// elsewhere is where the emulator runs.
var elsewhere = lab.Elsewhere{Place: "the emulator's pod", Reached: "the name of a Service, such as postgres.shop.svc"}

// configuration returns the caller's wiemu.yaml with the issuer and the listeners of the base's.
func (opts Options) configuration(text string) (string, error) {
	inBase, err := config.Parse("wiemu.yaml", []byte(text))
	if err != nil {
		return "", err
	}
	c := opts.Config
	c.Listen = inBase.Listen
	c.Issuers = append(slices.Clone(inBase.Issuers), c.Issuers...)
	if opts.Issuer != "" {
		c.Issuers[0].URL = opts.Issuer
	}
	completed, err := c.Complete("wiemu.yaml")
	if err != nil {
		return "", err
	}
	if err := elsewhere.Check(completed, "wiemu.yaml"); err != nil {
		return "", err
	}
	data, err := yamlv3.Marshal(c)
	return string(data), err
}

func (opts Options) deployment(o *unstructured.Unstructured) error {
	containers, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	if err != nil {
		return err
	}
	containers[0].(map[string]any)["image"] = opts.Image
	if err := unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers"); err != nil {
		return err
	}
	if opts.Volume.IsZero() {
		return nil
	}
	volumes, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "volumes")
	if err != nil {
		return err
	}
	for i, v := range volumes {
		if v.(map[string]any)["name"] == "state" {
			volumes[i] = map[string]any{"name": "state", "persistentVolumeClaim": map[string]any{"claimName": Name}}
		}
	}
	return unstructured.SetNestedSlice(o.Object, volumes, "spec", "template", "spec", "volumes")
}

func (opts Options) claim() (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&corev1.PersistentVolumeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: Name, Labels: map[string]string{"app.kubernetes.io/name": Name}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: opts.Volume}},
		},
	})
	delete(content, "status")
	return &unstructured.Unstructured{Object: content}, err
}

// Registered returns the objects that the emulator itself creates once in a cluster.
func Registered() []*unstructured.Unstructured {
	registration := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration"}}
	registration.SetName(webhook.Configuration)
	return []*unstructured.Unstructured{registration}
}

// Trust returns the kind and the name of the object that the emulator creates in each
// namespace with labelled pods.
func Trust() (schema.GroupVersionKind, string) {
	return corev1.SchemeGroupVersion.WithKind("ConfigMap"), webhook.TrustConfigMap
}
