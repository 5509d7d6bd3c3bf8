package preflight

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/yamlfile"
	"github.com/wiemu/wiemu/harness/workload"
)

// What azure-workload-identity's webhook looks at.
// Source: azure-workload-identity, pkg/webhook/consts.go.
const (
	useLabel             = "azure.workload.identity/use"
	clientIDAnnotation   = "azure.workload.identity/client-id"
	tenantIDAnnotation   = "azure.workload.identity/tenant-id"
	expirationAnnotation = "azure.workload.identity/service-account-token-expiration"

	minExpiration = 3600  // seconds
	maxExpiration = 86400 // seconds
)

// manifests are the service accounts and pods of Kubernetes objects, from any
// number of files.
type manifests struct {
	namespace string // of objects that name none
	accounts  map[string]account
	pods      []pod
}

// account is a service account.
type account struct {
	place       string
	annotations map[string]string
}

// pod is a pod, or what makes pods.
type pod struct {
	place, kind, name, namespace string
	ownLabels                    map[string]string // of the object that makes pods
	labels, annotations          map[string]string // of the pods
	spec                         podSpec
}

type metadata struct {
	Name        string            `yaml:"name"`
	Namespace   string            `yaml:"namespace"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

type podSpec struct {
	ServiceAccountName string      `yaml:"serviceAccountName"`
	Containers         []container `yaml:"containers"`
	Volumes            []volume    `yaml:"volumes"`
}

type container struct {
	Env []struct {
		Name  string `yaml:"name"`
		Value string `yaml:"value"`
	} `yaml:"env"`
}

type volume struct {
	Projected struct {
		Sources []struct {
			ServiceAccountToken *projectedToken `yaml:"serviceAccountToken"`
		} `yaml:"sources"`
	} `yaml:"projected"`
}

type projectedToken struct {
	Audience          string `yaml:"audience"`
	ExpirationSeconds *int64 `yaml:"expirationSeconds"`
}

type podTemplate struct {
	Metadata metadata `yaml:"metadata"`
	Spec     podSpec  `yaml:"spec"`
}

// The objects that matter, by where they have their pods.
type (
	accountObject struct {
		Metadata metadata `yaml:"metadata"`
	}
	templateObject struct {
		Metadata metadata `yaml:"metadata"`
		Spec     struct {
			Template podTemplate `yaml:"template"`
		} `yaml:"spec"`
	}
	cronObject struct {
		Metadata metadata `yaml:"metadata"`
		Spec     struct {
			JobTemplate struct {
				Spec struct {
					Template podTemplate `yaml:"template"`
				} `yaml:"spec"`
			} `yaml:"jobTemplate"`
		} `yaml:"spec"`
	}
	listObject struct {
		Items []*yaml.Node `yaml:"items"`
	}
)

// maxNesting bounds lists of lists.
const maxNesting = 8

// object takes a Kubernetes object. What has to do with no pod is passed over.
func (m *manifests) object(file string, node *yaml.Node, depth int) yamlfile.Problems {
	decode := func(into any) yamlfile.Problems {
		return yamlfile.DecodeTolerant(file, node, into, func(yamlfile.Unknown) {})
	}
	place := fmt.Sprintf("%s:%d", file, node.Line)
	kind := text(node, "kind")
	var problems yamlfile.Problems
	switch kind {
	case "":
		return yamlfile.Problems{{
			File: file, Line: node.Line, Column: node.Column, Field: "kind", Expected: "a Kubernetes object, a radixconfig.yaml or a wiemu.yaml", Found: "no kind",
			Fix: "templates have to be rendered first: helm template, kustomize build",
		}}
	case "List", "ServiceAccountList", "PodList", "DeploymentList", "StatefulSetList", "DaemonSetList", "ReplicaSetList", "JobList", "CronJobList":
		var list listObject
		problems = decode(&list)
		if depth == maxNesting {
			return yamlfile.Problems{{File: file, Line: node.Line, Column: node.Column, Field: "items", Expected: "objects", Found: fmt.Sprintf("lists in lists, %d deep", depth)}}
		}
		for i, item := range list.Items {
			if item == nil {
				problems = append(problems, yamlfile.Problem{File: file, Line: node.Line, Column: node.Column, Field: fmt.Sprintf("items[%d]", i), Expected: "an object", Found: "nothing"})
				continue
			}
			problems = append(problems, m.object(file, item, depth+1)...)
		}
	case "ServiceAccount":
		var o accountObject
		problems = decode(&o)
		m.accounts[cmp.Or(o.Metadata.Namespace, m.namespace)+"/"+o.Metadata.Name] = account{place, o.Metadata.Annotations}
	case "Pod":
		var o podTemplate
		problems = decode(&o)
		m.pod(place, kind, o.Metadata, o)
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job":
		var o templateObject
		problems = decode(&o)
		m.pod(place, kind, o.Metadata, o.Spec.Template)
	case "CronJob":
		var o cronObject
		problems = decode(&o)
		m.pod(place, kind, o.Metadata, o.Spec.JobTemplate.Spec.Template)
	}
	return problems
}

func (m *manifests) pod(place, kind string, of metadata, t podTemplate) {
	if t.Spec.ServiceAccountName == "" {
		t.Spec.ServiceAccountName = "default"
	}
	m.pods = append(m.pods, pod{
		place: place, kind: kind, name: of.Name, namespace: cmp.Or(of.Namespace, m.namespace),
		ownLabels: of.Labels, labels: t.Metadata.Labels, annotations: t.Metadata.Annotations, spec: t.Spec,
	})
}

// workloads are the pods that use workload identity, or were meant to.
func (m *manifests) workloads() []Workload {
	var all []Workload
	for i := range m.pods {
		p := &m.pods[i]
		a, exists := m.accounts[p.namespace+"/"+p.spec.ServiceAccountName]
		injected, token := p.labels[useLabel] == "true", p.projected()
		_, annotated := a.annotations[clientIDAnnotation]
		_, labelled := p.labels[useLabel]
		if !injected && !labelled && token == nil && !annotated && p.ownLabels[useLabel] == "" {
			continue
		}
		w := Workload{Place: p.place}
		w.Component, w.Namespace, w.ServiceAccount = p.kind+" "+p.name, p.namespace, p.spec.ServiceAccountName
		w.Tenant = cmp.Or(p.env("AZURE_TENANT_ID"), a.annotations[tenantIDAnnotation])
		switch {
		case injected:
			w.Findings = append(w.Findings, p.checkExpiration(a)...)
		case token != nil:
			w.Audience = token.Audience
			w.Findings = append(w.Findings, token.check()...)
		default:
			f := p.missingLabel(labelled)
			if !labelled && m.othersInjected(p) {
				f.Severity = Warning // it may have nothing to do with Azure
			}
			w.Findings = append(w.Findings, f)
		}
		w.identify(p, a, exists)
		all = append(all, w)
	}
	return all
}

// othersInjected reports whether pods of the same service account have the label.
func (m *manifests) othersInjected(p *pod) bool {
	return slices.ContainsFunc(m.pods, func(o pod) bool {
		return o.namespace == p.namespace && o.spec.ServiceAccountName == p.spec.ServiceAccountName && o.labels[useLabel] == "true"
	})
}

// identify finds out the client id. The webhook leaves variables that a container
// has alone. Source: azure-workload-identity, pkg/webhook/webhook.go, addEnvironmentVariables.
func (w *Workload) identify(p *pod, a account, exists bool) {
	id, from := p.env("AZURE_CLIENT_ID"), "AZURE_CLIENT_ID of "+p.kind+" "+p.name
	if id == "" {
		id, from = a.annotations[clientIDAnnotation], clientIDAnnotation+" of service account "+w.ServiceAccount+" ("+a.place+")"
	}
	account := w.Namespace + "/" + w.ServiceAccount
	annotate := fmt.Sprintf("kubectl annotate serviceaccount %s -n %s %s=CLIENT_ID", w.ServiceAccount, w.Namespace, clientIDAnnotation)
	switch {
	case id == "" && !exists:
		w.Findings = append(w.Findings, Finding{
			Severity: Error, Kind: ServiceAccount, Text: "the service account " + account + " is in none of the manifests, so its client id is unknown",
			Fix: "add its manifest to the files, with the annotation " + clientIDAnnotation + "; if it is there under another name, mend serviceAccountName or the namespace",
		})
	case id == "":
		w.Findings = append(w.Findings, Finding{
			Severity: Error, Kind: Annotation, Text: "the service account " + account + " (" + a.place + ") has no annotation " + clientIDAnnotation,
			Fix: "add the annotation, and restart the pods: " + annotate,
		})
	default:
		parsed, err := workload.ParseClientID(id)
		if err != nil {
			w.Findings = append(w.Findings, Finding{Severity: Error, Kind: Annotation, Text: from + ": " + err.Error(), Fix: "write the client id (Application ID), no name and no object id"})
			return
		}
		w.ClientID = parsed
	}
}

// missingLabel is why the webhook passes a pod over.
func (p *pod) missingLabel(labelled bool) Finding {
	f := Finding{Severity: Error, Kind: Label, Fix: fmt.Sprintf("add the label %s: \"true\" to the pods (%s)", useLabel, p.labelsField())}
	switch {
	case labelled:
		f.Text = fmt.Sprintf("the label %s is %q: the webhook injects nothing unless it is \"true\"", useLabel, p.labels[useLabel])
	case p.kind != "Pod" && p.ownLabels[useLabel] != "":
		f.Text = fmt.Sprintf("the label %s is on the %s, not on its pods: the webhook injects nothing", useLabel, p.kind)
	default:
		f.Text = fmt.Sprintf("the pods have no label %s, although their service account has a client id: the webhook injects neither token file nor variables", useLabel)
	}
	return f
}

func (p *pod) labelsField() string {
	switch p.kind {
	case "Pod":
		return "metadata.labels"
	case "CronJob":
		return "spec.jobTemplate.spec.template.metadata.labels"
	}
	return "spec.template.metadata.labels"
}

// checkExpiration: the pod's annotation goes before the service account's.
// Source: azure-workload-identity, pkg/webhook/webhook.go, getServiceAccountTokenExpiration.
func (p *pod) checkExpiration(a account) []Finding {
	value, set := p.annotations[expirationAnnotation]
	where := "pods of " + p.kind + " " + p.name
	if !set {
		if value, set = a.annotations[expirationAnnotation]; !set {
			return nil
		}
		where = "service account (" + a.place + ")"
	}
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= minExpiration && seconds <= maxExpiration {
		return nil
	}
	return []Finding{{
		Severity: Error, Kind: Expiration, Text: fmt.Sprintf("%s of the %s: expected seconds between %d and %d, found %q: the webhook refuses the pods", expirationAnnotation, where, minExpiration, maxExpiration, value),
		Fix: fmt.Sprintf("write %s: %q, or leave it out", expirationAnnotation, "3600"),
	}}
}

// env is the value of a variable of the first container that has it.
func (p *pod) env(name string) string {
	for _, c := range p.spec.Containers {
		for _, v := range c.Env {
			if v.Name == name && v.Value != "" {
				return v.Value
			}
		}
	}
	return ""
}

// projected is the token that a pod projects for Entra ID by itself, without the
// webhook: it has one for an audience and tells its containers a client id.
func (p *pod) projected() *projectedToken {
	if p.env("AZURE_CLIENT_ID") == "" {
		return nil
	}
	for _, v := range p.spec.Volumes {
		for _, s := range v.Projected.Sources {
			if s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience != "" {
				return s.ServiceAccountToken
			}
		}
	}
	return nil
}

// check: a token lives at least 10 minutes in Kubernetes (pkg/apis/core/validation),
// and Entra ID takes none that lives longer than 25 hours (AADSTS70023).
func (t *projectedToken) check() []Finding {
	const shortest, longest = 600, maxExpiration
	if t.ExpirationSeconds == nil || *t.ExpirationSeconds >= shortest && *t.ExpirationSeconds <= longest {
		return nil
	}
	return []Finding{{
		Severity: Error, Kind: Expiration, Text: fmt.Sprintf("expirationSeconds of the projected token: expected %d to %d, found %d", shortest, longest, *t.ExpirationSeconds),
		Fix: "write expirationSeconds: 3600",
	}}
}
