// Package manifest reads Kubernetes objects out of files, as far as workload identity
// is concerned: pods and what creates them, their service accounts, and the config maps
// and secrets of their variables. [Objects.Mutate] and [Objects.Start] return what package
// webhook makes of the pods; package validate reports what is wrong with them.
package manifest

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/internal/kubename"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Objects are Kubernetes objects out of any number of files.
type Objects struct {
	namespace string // of objects that name none
	accounts  map[string]Account
	values    map[string]map[string]string // of config maps and secrets, by KIND/NAMESPACE/NAME
	pods      []*Pods
}

// New returns an empty set. namespace is that of objects that name none, and defaults to default.
func New(namespace string) *Objects {
	return &Objects{namespace: cmp.Or(namespace, "default"), accounts: map[string]Account{}, values: map[string]map[string]string{}}
}

// Account is a service account.
type Account struct {
	Place           string // FILE:LINE
	Namespace, Name string
	Annotations     map[string]string
}

// Pods is a pod, or an object that creates pods.
type Pods struct {
	Place                 string // FILE:LINE
	Kind, Namespace, Name string
	OwnLabels             map[string]string // of the object that makes pods
	Template              Template          // of the pods

	file   string
	object *yaml.Node
	path   []string // where in the object the template is
}

// String names the object for messages: Deployment shop/web.
func (p *Pods) String() string { return p.Kind + " " + p.Namespace + "/" + p.Name }

// Template is a pod without its status.
type Template struct {
	Metadata Metadata `yaml:"metadata"`
	Spec     PodSpec  `yaml:"spec"`
}

// Metadata is what objects have in common.
type Metadata struct {
	Name        string            `yaml:"name"`
	Namespace   string            `yaml:"namespace"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// PodSpec is a pod's spec, some of it.
type PodSpec struct {
	ServiceAccountName string      `yaml:"serviceAccountName"`
	NodeName           string      `yaml:"nodeName"`
	RestartPolicy      string      `yaml:"restartPolicy"`
	HostNetwork        bool        `yaml:"hostNetwork"`
	InitContainers     []Container `yaml:"initContainers"`
	Containers         []Container `yaml:"containers"`
	Volumes            []Volume    `yaml:"volumes"`
}

// Volume is a volume, as far as it projects service-account tokens.
type Volume struct {
	Name      string `yaml:"name"`
	Projected struct {
		Sources []struct {
			ServiceAccountToken *ProjectedToken `yaml:"serviceAccountToken"`
		} `yaml:"sources"`
	} `yaml:"projected"`
}

// ProjectedToken is a service-account token of a volume.
type ProjectedToken struct {
	Audience          string `yaml:"audience"`
	ExpirationSeconds *int64 `yaml:"expirationSeconds"`
	Path              string `yaml:"path"`
}

// Pods returns the pods and the objects that create them, in the order of the files.
func (o *Objects) Pods() []*Pods { return slices.Clone(o.pods) }

// Account returns the service account of pods.
func (o *Objects) Account(p *Pods) (Account, bool) {
	a, known := o.accounts[p.Namespace+"/"+p.Template.Spec.ServiceAccountName]
	return a, known
}

// Add adds the objects of a file; data is its YAML or JSON.
func (o *Objects) Add(file string, data []byte) error {
	documents, err := yamlfile.ParseAll(file, data)
	if err != nil {
		return err
	}
	return o.AddDocuments(file, documents)
}

// AddDocuments adds the objects of a file. Those that concern no pods are ignored.
func (o *Objects) AddDocuments(file string, documents []*yaml.Node) error {
	var problems yamlfile.Problems
	for _, document := range documents {
		problems = append(problems, o.add(file, document, 0)...)
	}
	problems.Sort()
	return problems.Err()
}

// Are reports whether the documents of a file are Kubernetes objects, and not one
// of this project's or Radix' configurations.
func Are(documents []*yaml.Node) bool {
	return slices.ContainsFunc(documents, func(d *yaml.Node) bool {
		version, _, _ := strings.Cut(yamlfile.Text(d, "apiVersion"), "/")
		kind := yamlfile.Text(d, "kind")
		return known(kind) || kind != "" && version != "" && version != "wiemu.dev" && version != "radix.equinor.com"
	})
}

func known(kind string) bool {
	return kind == "List" || kind == "ServiceAccount" || isValues(kind) || templatePath(kind) != nil
}

// templatePath returns the path of the pods' template in an object of a kind, or nil if it
// creates none.
func templatePath(kind string) []string {
	switch kind {
	case "Pod":
		return []string{}
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job":
		return []string{"spec", "template"}
	case "CronJob":
		return []string{"spec", "jobTemplate", "spec", "template"}
	}
	return nil
}

func isValues(kind string) bool { return kind == "ConfigMap" || kind == "Secret" }

const maxNesting = 8

func (o *Objects) add(file string, node *yaml.Node, depth int) yamlfile.Problems {
	decode := func(of *yaml.Node, into any) yamlfile.Problems {
		return yamlfile.DecodeTolerant(file, of, into, func(yamlfile.Unknown) {})
	}
	refuse := func(field, expected, found, fix string) yamlfile.Problems {
		return yamlfile.Problems{{File: file, Line: node.Line, Column: node.Column, Field: field, Expected: expected, Found: found, Fix: fix}}
	}
	kind, place := yamlfile.Text(node, "kind"), fmt.Sprintf("%s:%d", file, node.Line)
	path := templatePath(kind)
	switch {
	case kind == "":
		return refuse("kind", "a Kubernetes object", "none", "templates have to be rendered first: helm template, kustomize build")
	case strings.HasSuffix(kind, "List"):
		return o.addItems(file, node, depth)
	case kind != "ServiceAccount" && path == nil && !isValues(kind):
		return nil
	}
	var object struct {
		Metadata Metadata `yaml:"metadata"`
	}
	problems := append(decode(node, &object), checkNames(file, node, kind, path)...)
	name, namespace := object.Metadata.Name, cmp.Or(object.Metadata.Namespace, o.namespace)
	switch {
	case isValues(kind):
		values, more := readValues(file, node, kind)
		o.values[kind+"/"+namespace+"/"+name] = values
		return append(problems, more...)
	case path == nil:
		o.accounts[namespace+"/"+name] = Account{place, namespace, name, object.Metadata.Annotations}
		return problems
	}
	p := &Pods{file: file, Place: place, Kind: kind, Namespace: namespace, Name: name, OwnLabels: object.Metadata.Labels, object: node, path: path}
	for _, problem := range decode(node, &at{path, &p.Template}) {
		if !slices.Contains(problems, problem) { // a pod's metadata are its template's
			problems = append(problems, problem)
		}
	}
	p.Template.Spec.ServiceAccountName = cmp.Or(p.Template.Spec.ServiceAccountName, "default")
	o.pods = append(o.pods, p)
	return problems
}

// readValues returns the values of a config map or secret that variables can have.
func readValues(file string, node *yaml.Node, kind string) (map[string]string, yamlfile.Problems) {
	var object struct {
		Data       map[string]string `yaml:"data"`
		StringData map[string]string `yaml:"stringData"`
	}
	problems := yamlfile.DecodeTolerant(file, node, &object, func(yamlfile.Unknown) {})
	if kind == "ConfigMap" {
		return object.Data, problems
	}
	values := map[string]string{}
	for key, value := range object.Data {
		decoded, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			problems = append(problems, yamlfile.Problem{
				File: file, Field: yamlfile.Join("data", key), Expected: "base64", Found: "something else", Fix: "write the value below stringData, or encode it",
			}.At(node))
		}
		values[key] = string(decoded)
	}
	maps.Copy(values, object.StringData) // it wins
	return values, problems
}

type at struct {
	path []string
	into *Template
}

// UnmarshalYAMLFile goes one step of the path.
func (t *at) UnmarshalYAMLFile(v yamlfile.Value) {
	if len(t.path) == 0 {
		v.Decode(t.into)
		return
	}
	if v.Node.Kind != yaml.MappingNode {
		v.Refuse("a mapping", "", "")
		return
	}
	if next := yamlfile.Get(v.Node, t.path[0]); !yamlfile.IsNull(next) {
		v.At(t.path[0], next).Decode(&at{t.path[1:], t.into})
	}
}

func (o *Objects) addItems(file string, node *yaml.Node, depth int) (problems yamlfile.Problems) {
	items := yamlfile.Get(node, "items")
	if yamlfile.IsNull(items) {
		return nil
	}
	if depth == maxNesting || items.Kind != yaml.SequenceNode {
		return yamlfile.Problems{{File: file, Line: items.Line, Column: items.Column, Field: "items", Expected: "objects", Found: yamlfile.Describe(items)}}
	}
	for i, item := range items.Content {
		if item.Kind != yaml.MappingNode {
			problems = append(problems, yamlfile.Problem{File: file, Line: item.Line, Column: item.Column, Field: fmt.Sprintf("items[%d]", i), Expected: "an object", Found: yamlfile.Describe(item)})
			continue
		}
		problems = append(problems, o.add(file, item, depth+1)...)
	}
	return problems
}

// Check refuses containers with variables that no program can have, such as those that
// are too long. It needs all files: variables come from config maps, and name others,
// so that they grow beyond what is written.
func (o *Objects) Check() error {
	if !kubename.IsLabel(o.namespace) {
		return fmt.Errorf("namespace %q: expected %s", o.namespace, kubename.LabelRule)
	}
	var problems yamlfile.Problems
	all := 0
	for _, p := range o.pods {
		for _, list := range []struct {
			name       string
			containers []Container
		}{{"initContainers", p.Template.Spec.InitContainers}, {"containers", p.Template.Spec.Containers}} {
			for i, c := range list.containers {
				field := fmt.Sprintf("spec.%s[%d]", list.name, i)
				e := o.Environ(p, c)
				if e.refused != nil {
					problems = append(problems, p.refused(field, c, *e.refused))
				}
				if all += e.size; all > maxAllVariables {
					return append(problems, p.problem(field, "at most 64 MiB of variables in all containers", "more", "name fewer files"))
				}
			}
		}
	}
	return problems.Err()
}

func (p *Pods) refused(field string, c Container, r refused) yamlfile.Problem {
	if r.index >= 0 {
		field += fmt.Sprintf(".env[%d]", r.index)
	} else {
		field += ".envFrom"
	}
	return p.problem(field, fmt.Sprintf("%s, in variable %s of container %s", r.expected, r.name, c.Name), r.found, r.fix)
}

func (p *Pods) problem(field, expected, found, fix string) yamlfile.Problem {
	field = strings.Join(append(slices.Clone(p.path), field), ".")
	return yamlfile.Problem{File: p.file, Field: field, Expected: expected, Found: found, Fix: fix}.At(p.object)
}
