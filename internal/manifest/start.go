package manifest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/webhook"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Started is what a container of pods has when it starts, as far as the files show, after the
// webhook has changed the pod.
type Started struct {
	Container string
	Choices   []string // all containers, if none was named

	NoToken    string        // why it has neither token file nor variables of the webhook. If empty, it has them
	ClientID   string        // AZURE_CLIENT_ID
	Tenant     string        // AZURE_TENANT_ID. Defaults to the cluster's
	TokenFile  string        // AZURE_FEDERATED_TOKEN_FILE of its own. Defaults to the webhook's
	Audience   string        // of its token
	Lifetime   time.Duration // of its token. If 0, the default
	HasSidecar bool          // the pod's proxy stands in for Azure's metadata service
	HasBinding bool          // it uses the cluster's identity-binding proxy

	Notes   []string // remarks for its owner
	Environ Environ  // what its manifest says, without what webhook and cluster add
}

// defaultContainer is the annotation that names the default container.
// Source: Kubernetes, Well-Known Labels, Annotations and Taints.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// Start returns what a container of pods starts with. The name defaults to that of the pods'
// annotation, as in kubectl, else to the first.
func (o *Objects) Start(p *Pods, container string) (Started, error) {
	s, err := o.start(p, container)
	if err != nil {
		return s, fmt.Errorf("%s (%s): %w", p, p.Place, err)
	}
	return s, nil
}

func (o *Objects) start(p *Pods, container string) (Started, error) {
	var s Started
	spec := p.Template.Spec
	all := slices.Concat(spec.Containers, spec.InitContainers)
	for _, c := range all {
		s.Choices = append(s.Choices, c.Name)
	}
	if s.Container = container; container == "" && len(spec.Containers) > 0 {
		s.Container = spec.Containers[0].Name
		if name := p.Template.Metadata.Annotations[defaultContainer]; slices.Contains(s.Choices, name) {
			s.Container = name
		}
	}
	if !slices.Contains(s.Choices, s.Container) {
		if len(all) > 0 || container != "" {
			return s, fmt.Errorf("container %q%s: expected one of %s", container, yamlfile.DidYouMeanAside(container, s.Choices), Some(s.Choices))
		}
		return s, errors.New("expected containers, found none")
	}
	template, err := o.injected(p, &s)
	if err != nil {
		return s, err
	}
	i := slices.IndexFunc(all, func(c Container) bool { return c.Name == s.Container })
	s.Environ = o.Environ(p, all[i])
	changed := slices.Concat(template.Spec.Containers, template.Spec.InitContainers)
	i = slices.IndexFunc(changed, func(c Container) bool { return c.Name == s.Container })
	s.ask(o.Environ(p, changed[i]), template)
	return s, nil
}

// injected returns the template as the webhook changes it.
func (o *Objects) injected(p *Pods, s *Started) (Template, error) {
	if s.NoToken = p.skipped(); s.NoToken != "" {
		if o.OwnToken(p) != nil {
			s.NoToken = ""
		}
		return p.Template, nil
	}
	_, template, err := p.decode()
	if err != nil {
		return Template{}, err
	}
	a, there := o.Account(p)
	var made Made
	pod, err := o.inject(p, a, template, webhook.Settings{Identity: &webhook.IdentitySettings{
		Audience: cloud.Public().TokenExchange, Sidecar: webhook.Sidecar{Image: "proxy", InitImage: "proxy-init", Native: true},
		Binding: &webhook.Binding{Audience: "api://AKSIdentityBinding"},
	}}, &made)
	if err == nil && made.Denied != "" {
		err = fmt.Errorf("the webhook refuses the pods: %s. %s", cmp.Or(made.plain, made.Denied), made.Remedy)
	}
	var changed Template
	if err == nil {
		changed, err = decodeTemplate(pod)
	}
	if err != nil {
		return Template{}, err
	}
	if s.Notes = made.Warnings; !there {
		s.Notes = []string{fmt.Sprintf("the service account %s/%s is in none of the files, so what it is annotated with is unknown; name its file with -f, too", p.Namespace, p.Template.Spec.ServiceAccountName)}
	}
	annotations := p.Template.Metadata.Annotations
	if slices.Contains(webhook.Skipped(annotations), s.Container) {
		s.NoToken = fmt.Sprintf("container %s is one of %s", s.Container, azwi.SkipAnnotation)
	}
	_, s.HasSidecar = annotations[azwi.SidecarAnnotation]
	s.HasBinding = strings.EqualFold(annotations[azwi.BindingAnnotation], "true")
	return changed, nil
}

// decodeTemplate reads a pod that the webhook has made.
func decodeTemplate(pod json.RawMessage) (t Template, err error) {
	node, err := yamlfile.ParseUpTo(len(pod)+1, "pod", pod)
	if err != nil {
		return t, err
	}
	return t, yamlfile.DecodeTolerant("pod", node, &t, func(yamlfile.Unknown) {}).Err()
}

// ask reads the client id, tenant and token with which a container asks Entra ID.
func (s *Started) ask(e Environ, t Template) {
	id, _, _ := e.Find(clientIDVariable)
	tenant, _, _ := e.Find(tenantVariable)
	s.ClientID, s.Tenant = id.Value, tenant.Value
	file, has, _ := e.Find(tokenFileVariable)
	if !has || s.NoToken != "" {
		return
	}
	if own, set, _ := s.Environ.Find(tokenFileVariable); set {
		s.TokenFile = own.Value
	}
	for _, v := range t.Spec.Volumes {
		for _, source := range v.Projected.Sources {
			token := source.ServiceAccountToken
			if token == nil || token.Audience == "" || !strings.HasSuffix(file.Value, "/"+token.Path) {
				continue
			}
			s.Audience = token.Audience
			if token.ExpirationSeconds != nil {
				s.Lifetime = time.Duration(*token.ExpirationSeconds) * time.Second
			}
		}
	}
}

// Some returns a list of at most ten names for a message.
func Some(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// Find returns the pods of a name: NAMESPACE/NAME or NAME of an object that makes
// pods, with KIND/ in front where several have the name; else of a service account,
// the pods of which no file describes. The error lists the names.
func (o *Objects) Find(name string) (*Pods, error) {
	parts := strings.Split(name, "/")
	kind := ""
	if len(parts) > 1 && kindOf(parts[0]) != "" && (len(parts) == 3 || o.accounts[name].Name == "") {
		kind, parts = kindOf(parts[0]), parts[1:]
	}
	matches := func(of, namespace, named string) bool {
		return (kind == "" || kind == of) && parts[len(parts)-1] == named && (len(parts) == 1 || len(parts) == 2 && parts[0] == namespace)
	}
	var found []*Pods
	for _, p := range o.pods {
		if matches(p.Kind, p.Namespace, p.Name) {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		for _, key := range slices.Sorted(maps.Keys(o.accounts)) {
			if a := o.accounts[key]; matches("ServiceAccount", a.Namespace, a.Name) {
				found = append(found, a.pods())
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, o.notFound(name)
	}
	var all []string
	for _, p := range found {
		all = append(all, strings.ToLower(p.Kind)+"/"+p.Namespace+"/"+p.Name+" ("+p.Place+")")
	}
	return nil, fmt.Errorf("workload %q: several have that name, say which: %s", name, Some(all))
}

func (a Account) pods() *Pods {
	p := &Pods{Place: a.Place, Kind: "ServiceAccount", Namespace: a.Namespace, Name: a.Name}
	p.Template.Spec.ServiceAccountName = a.Name
	return p
}

func kindOf(word string) string {
	for _, kind := range []string{"Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob", "ServiceAccount"} {
		if lower := strings.ToLower(word); lower == strings.ToLower(kind) || lower == strings.ToLower(kind)+"s" {
			return kind
		}
	}
	return map[string]string{"po": "Pod", "deploy": "Deployment", "sts": "StatefulSet", "ds": "DaemonSet", "rs": "ReplicaSet", "cj": "CronJob", "sa": "ServiceAccount"}[strings.ToLower(word)]
}

// notFound returns the error that lists the names, the nearest first.
func (o *Objects) notFound(name string) error {
	var known []string
	for _, p := range o.pods {
		known = append(known, p.Namespace+"/"+p.Name)
	}
	accounts := slices.Sorted(maps.Keys(o.accounts))
	meant := yamlfile.DidYouMeanAside(name, append(slices.Clone(known), accounts...))
	for i, p := range o.pods {
		known[i] += " (" + p.Kind + ")"
	}
	if len(known) == 0 {
		known = accounts
	}
	if len(known) == 0 {
		return fmt.Errorf("workload %q: expected an object that makes pods in the files, found none", name)
	}
	return fmt.Errorf("workload %q%s: expected one of: %s", name, meant, Some(slices.Compact(known)))
}
