package manifest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/webhook"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Made is an object of manifests whose pods were changed.
type Made struct {
	Place     string              `json:"place"` // file:line
	Kind      string              `json:"kind"`
	Namespace string              `json:"namespace"`
	Name      string              `json:"name"`
	Skipped   string              `json:"skipped,omitempty"` // why the webhook ignores its pods
	Denied    string              `json:"denied,omitempty"`  // why its pods are denied
	Remedy    string              `json:"remedy,omitempty"`  // what to do about that
	Injected  []string            `json:"injected,omitempty"`
	Warnings  []string            `json:"warnings,omitempty"`
	Patch     []webhook.Operation `json:"patch,omitempty"`  // of the pod, or of its template
	Object    json.RawMessage     `json:"object,omitempty"` // as it is, if it was not changed

	plain string // Denied in plain words. If empty, Denied itself
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
	made.Object, err = webhook.Encode(object)
	return made, err
}

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

// skipped returns why the webhook ignores pods, or "".
func (p *Pods) skipped() string {
	switch value, labelled := p.Template.Metadata.Labels[azwi.UseLabel]; {
	case value == "true":
		return ""
	case labelled:
		return fmt.Sprintf("its pods have the label %s: %q, and only \"true\" counts", azwi.UseLabel, value)
	}
	return fmt.Sprintf("its pods lack the label %s: \"true\"", azwi.UseLabel)
}

// inject returns the pod that the webhook makes of a template, and records what it did.
func (o *Objects) inject(p *Pods, a Account, template map[string]any, s webhook.Settings, made *Made) (json.RawMessage, error) {
	data, err := webhook.Encode(template)
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

// withoutClientID warns of pods whose containers get their variables from config maps and
// secrets, which the webhook does not read, if the files show that none has a client id.
func (o *Objects) withoutClientID(p *Pods, a Account) []string {
	if a.Annotations[azwi.ClientIDAnnotation] != "" {
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
		return nil // the webhook has reported it
	}
	slices.Sort(sources)
	return []string{fmt.Sprintf("%s is not set: service account %s has no annotation %s, and it is not in %s", clientIDVariable, a.Name, azwi.ClientIDAnnotation, strings.Join(slices.Compact(sources), ", "))}
}

// containers returns those to which the webhook adds variables.
func (p *Pods) containers() []Container {
	skipped := webhook.Skipped(p.Template.Metadata.Annotations)
	return slices.DeleteFunc(slices.Concat(p.Template.Spec.InitContainers, p.Template.Spec.Containers), func(c Container) bool {
		return slices.Contains(skipped, c.Name)
	})
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

// ClientID is a client id with which containers of pods ask for tokens.
type ClientID struct {
	Value   string
	From    string // its source, for messages
	Unknown bool   // its source, or a possible source, is in none of the files
}

// ClientIDs returns the client ids of pods, each once: a container's own AZURE_CLIENT_ID from
// any source, else that of the service account, which the webhook adds. Source: azure-workload-identity,
// pkg/webhook/webhook.go, addEnvironmentVariables.
func (o *Objects) ClientIDs(p *Pods) []ClientID {
	var all []ClientID
	add := func(c ClientID) {
		if !slices.ContainsFunc(all, func(o ClientID) bool { return o.Value == c.Value && o.Unknown == c.Unknown }) {
			all = append(all, c)
		}
	}
	a, _ := o.Account(p)
	annotated := ClientID{Value: a.ClientID(), From: azwi.ClientIDAnnotation + " of service account " + a.Name + " (" + a.Place + ")"}
	containers := p.containers()
	if len(containers) == 0 && annotated.Value != "" {
		add(annotated)
	}
	for _, c := range containers {
		v, set, perhaps := o.Environ(p, c).Find(clientIDVariable)
		switch {
		case set && (annotated.Value == "" || c.names(clientIDVariable)):
			from := clientIDVariable + " of container " + c.Name
			if v.From != "" {
				from += ", from " + v.From
			}
			add(ClientID{v.Value, from, v.Unknown})
		case annotated.Value != "": // the webhook adds it to env, which goes before envFrom
			add(annotated)
		case perhaps != "":
			add(ClientID{"", clientIDVariable + " of container " + c.Name + ", which may come from " + perhaps, true})
		}
	}
	return all
}

// Tenant returns the tenant of pods, or "" if they name none.
func (o *Objects) Tenant(p *Pods) string {
	a, _ := o.Account(p)
	for _, c := range p.containers() {
		v, set, _ := o.Environ(p, c).Find(tenantVariable)
		if set && v.Value != "" && (a.Tenant() == "" || c.names(tenantVariable)) {
			return v.Value
		}
	}
	return a.Tenant()
}

// names reports whether a container's env has a variable.
func (c Container) names(variable string) bool {
	return slices.ContainsFunc(c.Env, func(e Env) bool { return e.Name == variable })
}

// OwnToken returns the token that pods project for Entra ID themselves, without the webhook:
// they have one for an audience, and a container has a client id.
func (o *Objects) OwnToken(p *Pods) *ProjectedToken {
	if !slices.ContainsFunc(p.Template.Spec.Containers, func(c Container) bool {
		_, set, _ := o.Environ(p, c).Find(clientIDVariable)
		return set
	}) {
		return nil
	}
	for _, v := range p.Template.Spec.Volumes {
		for _, s := range v.Projected.Sources {
			if s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience != "" {
				return s.ServiceAccountToken
			}
		}
	}
	return nil
}

// UsesIdentity reports whether pods get a token for Entra ID: by the webhook, or by themselves.
func (o *Objects) UsesIdentity(p *Pods) bool { return p.skipped() == "" || o.OwnToken(p) != nil }

// LackIdentity returns the error for files in which no pods have both a service-account token
// and a client id: it says what each lacks.
func (o *Objects) LackIdentity() error {
	var all []error
	for _, p := range o.pods {
		all = append(all, fmt.Errorf("%s: %s uses no workload identity: %s", p.Place, p, strings.Join(o.lacks(p), "; ")))
	}
	if len(all) == 0 {
		return errors.New("the Kubernetes manifests have nothing that makes pods; add the file of a Deployment, StatefulSet, DaemonSet, Job, CronJob or Pod with -f")
	}
	return errors.Join(all...)
}

// lacks returns what pods need for workload identity and do not have.
func (o *Objects) lacks(p *Pods) (all []string) {
	if !o.UsesIdentity(p) {
		all = append(all, p.skipped()+instead(p.Template.Metadata.Labels, azwi.UseLabel))
	}
	if len(o.ClientIDs(p)) > 0 {
		return all
	}
	a, known := o.Account(p)
	name := cmp.Or(p.Template.Spec.ServiceAccountName, "default")
	if !known {
		return append(all, fmt.Sprintf("its service account %s is in none of the files; add its manifest with -f", name))
	}
	return append(all, fmt.Sprintf("its service account %s (%s) lacks the annotation %s%s", name, a.Place, azwi.ClientIDAnnotation, instead(a.Annotations, azwi.ClientIDAnnotation)))
}

// instead returns what was written in place of a name.
func instead(has map[string]string, meant string) string {
	if _, there := has[meant]; there {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(has)) {
		if yamlfile.Nearest(name, []string{meant}) != "" {
			return fmt.Sprintf(" (did you mean it by %s?)", name)
		}
	}
	return ""
}

const (
	clientIDVariable  = "AZURE_CLIENT_ID"
	tenantVariable    = "AZURE_TENANT_ID"
	tokenFileVariable = "AZURE_FEDERATED_TOKEN_FILE"
)

// ClientID returns what the webhook sets as AZURE_CLIENT_ID in pods of the service account.
func (a Account) ClientID() string { return a.Annotations[azwi.ClientIDAnnotation] }

// Tenant returns what the webhook sets as AZURE_TENANT_ID. If empty, the cluster's tenant.
func (a Account) Tenant() string { return a.Annotations[azwi.TenantIDAnnotation] }
