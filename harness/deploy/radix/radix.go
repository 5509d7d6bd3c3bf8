// Package radix makes of a radixconfig.yaml the Kubernetes objects that Radix
// makes of it, so that an application runs in any cluster under the names,
// service accounts and labels that it has there. It leaves out what belongs to
// Radix' own platform (builds, ingress, network policies, node pools, mounted
// storage), says so, and applies nothing; see package deploy. Who has an identity
// is decided by harness/workload.
//
// Source: equinor/radix-operator 1.126, pkg/apis/deployment and pkg/apis/batch.
package radix

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/wiemu/wiemu/emulator/yamlfile"
	"github.com/wiemu/wiemu/harness/workload"
)

// Options say what a radixconfig.yaml does not.
type Options struct {
	Environments []string          // that are deployed; none: every one
	Images       map[string]string // by component or job, instead of the image of the file; "": those that Radix would build
	Sample       string            // image of wiemu-workload, which stands in for those that have none
	Cluster      string            // RADIX_CLUSTERNAME; "": left out
}

// Manifests are an application in a cluster.
type Manifests struct {
	Application string
	Components  []string                     // and jobs, in the file's order
	Objects     []*unstructured.Unstructured // in the order in which they can be applied
	Trusted     []workload.Workload          // that have to be trusted, in every environment
	Remarks     []string                     // what is not as in Radix
}

// Read makes manifests of a file. What it passed over comes with them; what is
// wrong is an error of type [yamlfile.Problems].
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
					Found: fmt.Sprint(config.Environments), Fix: meant(e, config.Environments),
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

// union is all warnings, each once, in the order of lines.
func union(all yamlfile.Problems, more []yamlfile.Problem) yamlfile.Problems {
	for _, w := range more {
		if !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	all.Sort()
	return all
}

func meant(name string, known []string) string {
	if near := yamlfile.Nearest(name, known); near != "" {
		return "did you mean " + near + "?"
	}
	return ""
}

// CheckImages refuses an image for a component that no application has.
func CheckImages(images map[string]string, all ...*Manifests) error {
	var known []string
	for _, m := range all {
		known = append(known, m.Components...)
	}
	for component := range images {
		if component != "" && !slices.Contains(known, component) {
			return fmt.Errorf("image of %s: expected a component or job of the files (%v), found none of that name%s", component, known, prefixed("; ", meant(component, known)))
		}
	}
	return nil
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// builder collects what an application consists of.
type builder struct {
	file        string
	application string
	opts        Options
	made        *Manifests
}

// environment adds the objects of one environment: its namespace, then what
// components need, then the components.
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
		Name: w.ServiceAccount, Namespace: w.Namespace, Annotations: map[string]string{clientIDAnnotation: w.ClientID},
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

// dropEmpty takes out what Go's types write though nothing was said.
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

// remark notes, once, what is not as in Radix.
func (b *builder) remark(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(b.made.Remarks, text) {
		b.made.Remarks = append(b.made.Remarks, text)
	}
}

// kindOf is what the API calls the kind of an object that this package makes.
func kindOf(object runtime.Object) schema.GroupVersionKind {
	kinds, _, err := known.ObjectKinds(object)
	if err != nil {
		panic("radix: " + err.Error()) // known has what is made here
	}
	return kinds[0]
}
