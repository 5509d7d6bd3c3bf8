package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/harness/webhook"
)

// Made is an object of manifests whose pods were changed.
type Made struct {
	Place     string              `json:"place"` // file:line
	Kind      string              `json:"kind"`
	Namespace string              `json:"namespace"`
	Name      string              `json:"name"`
	Skipped   string              `json:"skipped,omitempty"` // why its pods are none of the webhook's
	Denied    string              `json:"denied,omitempty"`  // why its pods may not be made
	Remedy    string              `json:"remedy,omitempty"`  // what to do about that
	Injected  []string            `json:"injected,omitempty"`
	Warnings  []string            `json:"warnings,omitempty"`
	Patch     []webhook.Operation `json:"patch,omitempty"`  // of the pod, or of its template
	Object    json.RawMessage     `json:"object,omitempty"` // as it is, if it was not changed

	plain string // Denied as a person would say it; "": as it is
}

// Mutate changes what makes pods as the webhook changes the pods: their service
// accounts have to be among the objects. The error says what is no pod.
func (o *Objects) Mutate(s webhook.Settings) ([]Made, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	var all []Made
	for _, p := range o.pods {
		made, err := o.mutate(p, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %s %s: %w", p.Place, p.Kind, p.Name, err)
		}
		all = append(all, made)
	}
	return all, nil
}

func (o *Objects) mutate(p *Pods, s webhook.Settings) (Made, error) {
	made := Made{Place: p.Place, Kind: p.Kind, Namespace: p.Namespace, Name: p.Name, Skipped: p.skipped()}
	object, template, err := p.decode()
	if err != nil {
		return made, err
	}
	a, there := o.Account(p)
	switch {
	case made.Skipped != "":
	case !there:
		name := p.Template.Spec.ServiceAccountName
		made.Denied = fmt.Sprintf("serviceaccounts %q not found", name)
		made.Remedy = "Add the manifest of service account " + p.Namespace + "/" + name + " to the files."
	default:
		var pod json.RawMessage
		if pod, err = o.inject(p, a, template, s, &made); err == nil && made.Denied == "" {
			clear(template)
			err = json.Unmarshal(pod, &template)
		}
	}
	if err != nil {
		return made, err
	}
	made.Object, err = encode(object)
	return made, err
}

// decode returns the object, and in it the template.
func (p *Pods) decode() (object, template map[string]any, err error) {
	if err := p.object.Decode(&object); err != nil {
		return nil, nil, err
	}
	template = object
	for _, step := range p.path {
		template, _ = template[step].(map[string]any)
	}
	return object, template, nil
}

// skipped is why the webhook leaves pods alone; "" if it does not.
func (p *Pods) skipped() string {
	switch value, labelled := p.Template.Metadata.Labels[webhook.UseLabel]; {
	case value == "true":
		return ""
	case labelled:
		return fmt.Sprintf("its pods have the label %s: %q, and only \"true\" counts", webhook.UseLabel, value)
	}
	return fmt.Sprintf("its pods lack the label %s: \"true\"", webhook.UseLabel)
}

// inject returns the pod that the webhook makes of a template, and writes down how it
// came to be.
func (o *Objects) inject(p *Pods, a Account, template map[string]any, s webhook.Settings, made *Made) (json.RawMessage, error) {
	data, err := encode(template)
	if err != nil {
		return nil, err
	}
	result, err := webhook.Mutate(data, webhook.ServiceAccount{Namespace: a.Namespace, Name: a.Name, Annotations: a.Annotations}, s)
	if denial := (*webhook.Denial)(nil); errors.As(err, &denial) {
		made.Denied, made.Remedy, made.plain = denial.Text, denial.Remedy, denial.Plain
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	made.Injected, made.Warnings, made.Patch = result.Injected, result.Warnings, result.Patch
	if result.HasIdentity {
		made.Warnings = append(made.Warnings, o.withoutClientID(p, a)...)
	}
	return result.Pod, nil
}

// withoutClientID tells of pods whose containers get their variables from config maps
// and secrets that the webhook cannot see, and of which the files show that none has
// a client id.
func (o *Objects) withoutClientID(p *Pods, a Account) []string {
	if a.Annotations[webhook.ClientIDAnnotation] != "" {
		return nil
	}
	var sources []string
	for _, c := range p.containers() {
		e := o.Environ(p, c)
		_, set, perhaps := e.Find(clientIDVariable)
		if set || perhaps != "" {
			return nil
		}
		for _, from := range c.EnvFrom {
			for kind, ref := range map[string]*valuesRef{"ConfigMap": from.ConfigMapRef, "Secret": from.SecretRef} {
				if ref != nil {
					sources = append(sources, called(kind, p.Namespace, ref.Name))
				}
			}
		}
	}
	if len(sources) == 0 {
		return nil // the webhook has told
	}
	slices.Sort(sources)
	return []string{fmt.Sprintf("%s is not set: service account %s has no annotation %s, and it is not in %s", clientIDVariable, a.Name, webhook.ClientIDAnnotation, strings.Join(slices.Compact(sources), ", "))}
}

// containers are those that the webhook gives variables.
func (p *Pods) containers() []Container {
	skipped := webhook.Skipped(p.Template.Metadata.Annotations)
	return slices.DeleteFunc(slices.Concat(p.Template.Spec.InitContainers, p.Template.Spec.Containers), func(c Container) bool {
		return slices.Contains(skipped, c.Name)
	})
}

// encode writes JSON as it is, without escapes for HTML.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
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
