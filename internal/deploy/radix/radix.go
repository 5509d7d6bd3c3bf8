// Package radix turns a radixconfig.yaml into the Kubernetes objects that Radix creates from it, so
// that an application runs in any cluster under the names, service accounts and labels that it has
// in Radix. It omits what belongs to Radix' own platform (builds, ingress, network policies, node
// pools, mounted storage), says so, and applies nothing; see package deploy. Who has an identity is
// decided by internal/workload.
//
// Source: equinor/radix-operator 1.126, pkg/apis/deployment and pkg/apis/batch.
package radix

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand" // names, not secrets
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/workload"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Options are what a radixconfig.yaml does not say.
type Options struct {
	Environments []string          // to deploy. If empty, all
	Images       map[string]string // by component or job, instead of the image of the file. The key "" is for those that Radix would build
	Sample       string            // image of wiemu-workload, which stands in for those that have none
	Cluster      string            // RADIX_CLUSTERNAME. If empty, it is not set
}

// Manifests are an application in a cluster.
type Manifests struct {
	Application string
	Components  []string                     // and jobs, in the file's order
	Objects     []*unstructured.Unstructured // in the order in which they can be applied
	Trusted     []workload.Workload          // that have to be trusted, in every environment
	Remarks     []string                     // what is not as in Radix
}

// Read returns the manifests of a file, with warnings about what it ignored. What is wrong
// with the file is an error of type [yamlfile.Problems].
func Read(file string, opts Options) (*Manifests, []yamlfile.Problem, error) {
	data, err := yamlfile.Read(file)
	if err != nil {
		return nil, nil, fmt.Errorf("read the Radix configuration: %w", err)
	}
	return Parse(file, data, opts)
}

// Parse is [Read] for the bytes of a file; name names it in messages.
func Parse(name string, data []byte, opts Options) (*Manifests, []yamlfile.Problem, error) {
	config, warnings, err := workload.ParseRadixConfig(name, data)
	if err != nil {
		return nil, warnings, err
	}
	file, more, err := parseFile(name, data)
	warnings = union(warnings, more)
	if err != nil {
		return nil, warnings, err
	}
	environments := config.Environments
	if len(opts.Environments) > 0 {
		environments = opts.Environments
		for _, e := range environments {
			if !slices.Contains(config.Environments, e) {
				return nil, warnings, yamlfile.Problems{{
					File: name, Field: "spec.environments", Expected: fmt.Sprintf("the environment %q that was asked for", e),
					Found: fmt.Sprint(config.Environments), Fix: yamlfile.DidYouMean(e, config.Environments),
				}}
			}
		}
	}
	b := &builder{file: name, application: config.Application, opts: opts, made: &Manifests{Application: config.Application, Trusted: config.Workloads()}}
	for _, p := range file.parts() {
		b.made.Components = append(b.made.Components, p.Name)
	}
	for _, environment := range environments {
		if err := b.environment(config, file, environment); err != nil {
			return nil, warnings, err
		}
	}
	return b.made, warnings, nil
}

// union returns all warnings, each once, in the order of lines.
func union(all yamlfile.Problems, more []yamlfile.Problem) yamlfile.Problems {
	for _, w := range more {
		if !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	all.Sort()
	return all
}

// CheckImages refuses an image for a component that no application has.
func CheckImages(images map[string]string, all ...*Manifests) error {
	var known []string
	for _, m := range all {
		known = append(known, m.Components...)
	}
	for component := range images {
		if component != "" && !slices.Contains(known, component) {
			return fmt.Errorf("image of %s: expected a component or job of the files (%v), found none of that name%s", component, known, strings.TrimSuffix("; "+yamlfile.DidYouMean(component, known), "; "))
		}
	}
	return nil
}

type builder struct {
	file        string
	application string
	opts        Options
	made        *Manifests
}

// environment adds an environment's namespace, service accounts and components.
func (b *builder) environment(config *workload.RadixConfig, file *applicationFile, environment string) error {
	namespace := b.application + "-" + environment
	b.add(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: labels(forApplication(b.application), forEnvironment(environment))}})
	for _, w := range config.Workloads() {
		if w.Environment == environment {
			b.serviceAccount(w)
		}
	}
	for _, w := range config.Deployed(environment) {
		p, _ := file.part(w.Component)
		if err := b.component(w, p, p.in(environment)); err != nil {
			return err
		}
	}
	return nil
}

// serviceAccount adds the account of whatever has an identity. A sub-pipeline's
// carries no client id: Radix hands that to the pipeline as a parameter.
func (b *builder) serviceAccount(w workload.Workload) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
		Name: w.ServiceAccount, Namespace: w.Namespace, Annotations: map[string]string{azwi.ClientIDAnnotation: w.ClientID},
	}}
	switch w.Role {
	case workload.OAuth:
		component := w.Component[:len(w.Component)-len("-aux-oauth")]
		account.Labels = map[string]string{"radix-aux-component": component, "radix-aux-component-type": "oauth", "is-service-account-for-oauth-proxy": "true"}
		b.remark("%s: its service account and trust are made, the OAuth2 proxy itself is not run: it logs users in, which wiemu does not do", w)
	case workload.SubPipeline:
		b.add(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.Namespace, Labels: forApplication(b.application)}})
		account.Labels, account.Annotations = map[string]string{"radix-env": w.Environment, "is-service-account-for-subpipeline": "true"}, nil
		b.remark("%s: its service account and trust are made, the Tekton pipeline itself is not run", w)
	default:
		account.Labels = labels(forComponent(w.Component), map[string]string{"is-service-account-for-component": "true"})
	}
	b.add(account)
}

// add appends an object as the API server takes it, unless it is there.
func (b *builder) add(object runtime.Object) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		panic("radix: " + err.Error()) // Kubernetes' own types convert
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(kindOf(object))
	dropEmpty(u)
	if !slices.ContainsFunc(b.made.Objects, func(o *unstructured.Unstructured) bool {
		return o.GroupVersionKind() == u.GroupVersionKind() && o.GetNamespace() == u.GetNamespace() && o.GetName() == u.GetName()
	}) {
		b.made.Objects = append(b.made.Objects, u)
	}
}

// dropEmpty removes empty fields that Go's types write anyway.
func dropEmpty(u *unstructured.Unstructured) {
	for _, path := range [][]string{{"status"}, {"spec", "strategy"}, {"spec"}} {
		if value, ok, _ := unstructured.NestedMap(u.Object, path...); ok && len(value) == 0 {
			unstructured.RemoveNestedField(u.Object, path...)
		}
	}
	for _, path := range [][]string{{"status"}, {"metadata", "creationTimestamp"}, {"spec", "template", "metadata", "creationTimestamp"}} {
		unstructured.RemoveNestedField(u.Object, path...)
	}
	containers, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
	for _, c := range containers {
		if c, ok := c.(map[string]any); ok {
			if r, ok := c["resources"].(map[string]any); ok && len(r) == 0 {
				delete(c, "resources")
			}
		}
	}
	if len(containers) > 0 {
		_ = unstructured.SetNestedSlice(u.Object, containers, "spec", "template", "spec", "containers") // the path was there
	}
}

// remark adds, once, a remark about what differs from Radix.
func (b *builder) remark(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(b.made.Remarks, text) {
		b.made.Remarks = append(b.made.Remarks, text)
	}
}

func kindOf(object runtime.Object) schema.GroupVersionKind {
	kinds, _, err := known.ObjectKinds(object)
	if err != nil {
		panic("radix: " + err.Error()) // known has what is made here
	}
	return kinds[0]
}

// known has the kinds that this package makes.
var known = func() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic("radix: " + err.Error()) // Kubernetes' own types register
		}
	}
	return scheme
}()

// Radix' labels. Source: radix-operator, pkg/apis/kube/kube.go and pkg/apis/utils/labels/labels.go.

func forApplication(name string) map[string]string { return map[string]string{"radix-app": name} }
func forEnvironment(name string) map[string]string { return map[string]string{"radix-env": name} }
func forComponent(name string) map[string]string   { return map[string]string{"radix-component": name} }

func labels(sets ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, set := range sets {
		maps.Copy(all, set)
	}
	return all
}

// variablesName is the ConfigMap with a component's variables. Source:
// radix-operator, pkg/apis/kube/environment_variables.go.
func variablesName(component string) string { return "env-vars-" + component }

const secretLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890"

// secretName is the Secret with a component's secrets: its name, with letters
// that follow from it. Source: radix-operator, pkg/apis/utils/secrets.go
// (GetComponentSecretName) and random.go, of which this is the arithmetic.
func secretName(component string) string {
	const bits, perNumber, length = 6, 63 / 6, 8
	hash := fnv.New64a()
	hash.Write([]byte(component))
	source := rand.NewSource(int64(hash.Sum64()))
	letters := make([]byte, length)
	for i, number, left := length-1, source.Int63(), perNumber; i >= 0; left-- {
		if left == 0 {
			number, left = source.Int63(), perNumber
		}
		if at := int(number & (1<<bits - 1)); at < len(secretLetters) {
			letters[i] = secretLetters[at]
			i--
		}
		number >>= bits
	}
	return strings.ToLower(component + "-" + string(letters))
}

// digest changes with a value: pods are replaced when their variables change.
func digest(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		panic("radix: " + err.Error()) // maps of text marshal
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
