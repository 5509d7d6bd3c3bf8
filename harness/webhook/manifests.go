package webhook

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// Manifests are Kubernetes objects out of files: those that make pods, and the
// service accounts of these.
type Manifests struct {
	namespace string // of objects that name none
	accounts  map[string]ServiceAccount
	objects   []manifest
}

// manifest is an object that makes pods.
type manifest struct {
	place, kind, namespace, name string
	root, template               map[string]any
}

// Made is an object of manifests whose pods were changed.
type Made struct {
	Place     string          `json:"place"` // file:line
	Kind      string          `json:"kind"`
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	Skipped   string          `json:"skipped,omitempty"` // why its pods are none of the webhook's
	Denied    string          `json:"denied,omitempty"`  // why its pods may not be made
	Remedy    string          `json:"remedy,omitempty"`  // what to do about that
	Injected  []string        `json:"injected,omitempty"`
	Warnings  []string        `json:"warnings,omitempty"`
	Patch     []Operation     `json:"patch,omitempty"`  // of the pod, or of its template
	Object    json.RawMessage `json:"object,omitempty"` // as it is, if it was not changed
}

// NewManifests is none yet. Namespace is that of objects which name none.
func NewManifests(namespace string) *Manifests {
	return &Manifests{namespace: cmp.Or(namespace, "default"), accounts: map[string]ServiceAccount{}}
}

// maxNesting bounds lists of lists.
const maxNesting = 8

// Add takes the objects of a file; data is its YAML or JSON. What has to do with
// no pod is passed over.
func (m *Manifests) Add(file string, data []byte) error {
	documents, err := yamlfile.ParseAll(file, data)
	if err != nil {
		return err
	}
	for _, document := range documents {
		if err := m.add(file, document, 0); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manifests) add(file string, node *yaml.Node, depth int) error {
	place := fmt.Sprintf("%s:%d", file, node.Line)
	kind := yamlfile.Get(node, "kind")
	if kind == nil {
		return fmt.Errorf("%s: kind: expected a Kubernetes object, found none; templates have to be rendered first: helm template, kustomize build", place)
	}
	if strings.HasSuffix(kind.Value, "List") {
		return m.addItems(file, node, depth)
	}
	var root map[string]any
	if err := node.Decode(&root); err != nil {
		return fmt.Errorf("%s: %w", place, err)
	}
	r := &reader{}
	meta := r.object(root, "", "metadata")
	o := manifest{place: place, kind: kind.Value, namespace: cmp.Or(r.text(meta, "metadata", "namespace"), m.namespace), name: r.text(meta, "metadata", "name"), root: root}
	switch o.kind {
	case "ServiceAccount":
		m.accounts[o.namespace+"/"+o.name] = ServiceAccount{Namespace: o.namespace, Name: o.name, Annotations: r.texts(meta, "metadata", "annotations")}
	case "Pod":
		o.template = root
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job":
		o.template = r.object(r.object(root, "", "spec"), "spec", "template")
	case "CronJob":
		job := r.object(r.object(r.object(root, "", "spec"), "spec", "jobTemplate"), "spec.jobTemplate", "spec")
		o.template = r.object(job, "spec.jobTemplate.spec", "template")
	}
	if o.template != nil {
		m.objects = append(m.objects, o)
	}
	if r.err != nil {
		return fmt.Errorf("%s: %w", place, r.err)
	}
	return nil
}

func (m *Manifests) addItems(file string, node *yaml.Node, depth int) error {
	items := yamlfile.Get(node, "items")
	if items == nil {
		return nil
	}
	if depth == maxNesting || items.Kind != yaml.SequenceNode {
		return fmt.Errorf("%s:%d: items: expected objects", file, items.Line)
	}
	for _, item := range items.Content {
		if err := m.add(file, item, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// Mutate changes what makes pods as the webhook changes the pods: their service
// accounts have to be among the manifests. The error says what is no pod.
func (m *Manifests) Mutate(s Settings) ([]Made, error) {
	var all []Made
	for _, o := range m.objects {
		made, err := m.mutate(o, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %s %s: %w", o.place, o.kind, o.name, err)
		}
		all = append(all, made)
	}
	return all, nil
}

func (m *Manifests) mutate(o manifest, s Settings) (made Made, err error) {
	made = Made{Place: o.place, Kind: o.kind, Namespace: o.namespace, Name: o.name}
	if made.Object, err = encode(o.root); err != nil {
		return made, err
	}
	data, err := encode(o.template)
	if err != nil {
		return made, err
	}
	p, err := parse(data)
	if err != nil {
		return made, err
	}
	if value, labelled := p.labels[UseLabel]; value != "true" {
		made.Skipped = fmt.Sprintf("its pods lack the label %s: \"true\"", UseLabel)
		if labelled {
			made.Skipped = fmt.Sprintf("its pods have the label %s: %q, and only \"true\" counts", UseLabel, value)
		}
		return made, nil
	}
	name := o.namespace + "/" + cmp.Or(p.serviceAccount, "default")
	account, known := m.accounts[name]
	if !known {
		made.Denied = fmt.Sprintf("serviceaccounts %q not found", cmp.Or(p.serviceAccount, "default"))
		made.Remedy = "Add the manifest of service account " + name + " to the files."
		return made, nil
	}
	result, err := Mutate(data, account, s)
	if denial, is := err.(*Denial); is { //nolint:errorlint // Mutate returns it as it is
		made.Denied, made.Remedy = denial.Text, denial.Remedy
		return made, nil
	}
	if err != nil {
		return made, err
	}
	made.Injected, made.Warnings, made.Patch = result.Injected, result.Warnings, result.Patch
	clear(o.template)
	if err := json.Unmarshal(result.Pod, &o.template); err != nil {
		return made, err
	}
	made.Object, err = encode(o.root)
	return made, err
}

// YAML is a JSON object as people write it.
func YAML(object json.RawMessage) ([]byte, error) {
	var node yaml.Node
	if err := yaml.Unmarshal(object, &node); err != nil {
		return nil, err
	}
	plain(&node)
	var b strings.Builder
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(&node); err != nil {
		return nil, err
	}
	return []byte(b.String()), e.Close()
}

// plain takes the braces and quotes of JSON away.
func plain(node *yaml.Node) {
	node.Style = 0
	for _, child := range node.Content {
		plain(child)
	}
}
