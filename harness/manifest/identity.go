package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/yamlfile"
	"github.com/wiemu/wiemu/harness/webhook"
)

// ClientID is a client id with which containers of pods ask for tokens.
type ClientID struct {
	Value   string
	From    string // what gives it, for messages
	Unknown bool   // what gives it, or may give it, is in none of the files
}

// ClientIDs returns the client ids of pods, each once: a container's own
// AZURE_CLIENT_ID, wherever it gets it from, else that of the service account, which
// the webhook adds. None: nothing gives one. Source: azure-workload-identity,
// pkg/webhook/webhook.go, addEnvironmentVariables.
func (o *Objects) ClientIDs(p *Pods) []ClientID {
	var all []ClientID
	add := func(c ClientID) {
		if !slices.ContainsFunc(all, func(o ClientID) bool { return o.Value == c.Value && o.Unknown == c.Unknown }) {
			all = append(all, c)
		}
	}
	a, _ := o.Account(p)
	annotated := ClientID{Value: a.ClientID(), From: webhook.ClientIDAnnotation + " of service account " + a.Name + " (" + a.Place + ")"}
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

// Tenant is the tenant that pods ask, "" where they do not say.
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

// OwnToken is the token that pods project for Entra ID by themselves, without the
// webhook: they have one for an audience, and tell a container a client id.
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

// UsesIdentity reports whether pods get a token for Entra ID: by the webhook, or
// by themselves.
func (o *Objects) UsesIdentity(p *Pods) bool { return p.skipped() == "" || o.OwnToken(p) != nil }

// LackIdentity says, of files in which no pods have both a service account's token and
// a client id, what each lacks.
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

// lacks is what pods need for workload identity and do not have.
func (o *Objects) lacks(p *Pods) (all []string) {
	if !o.UsesIdentity(p) {
		all = append(all, p.skipped()+instead(p.Template.Metadata.Labels, webhook.UseLabel))
	}
	if len(o.ClientIDs(p)) > 0 {
		return all
	}
	a, known := o.Account(p)
	name := cmp.Or(p.Template.Spec.ServiceAccountName, "default")
	if !known {
		return append(all, fmt.Sprintf("its service account %s is in none of the files; add its manifest with -f", name))
	}
	return append(all, fmt.Sprintf("its service account %s (%s) lacks the annotation %s%s", name, a.Place, webhook.ClientIDAnnotation, instead(a.Annotations, webhook.ClientIDAnnotation)))
}

// instead names what was written where a name was meant.
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

// ClientID is what the webhook gives pods of the service account as AZURE_CLIENT_ID.
func (a Account) ClientID() string { return a.Annotations[webhook.ClientIDAnnotation] }

// Tenant is what the webhook gives them as AZURE_TENANT_ID; "": the cluster's.
func (a Account) Tenant() string { return a.Annotations[webhook.TenantIDAnnotation] }
