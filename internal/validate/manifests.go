package validate

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/manifest"
	"github.com/wiemu/wiemu/internal/webhook"
	"github.com/wiemu/wiemu/internal/workload"
)

// pod is a pod, or the template of an object that creates pods.
type pod struct {
	*manifest.Pods
	objects             *manifest.Objects
	labels, annotations map[string]string // of the pods
}

// workloads returns the pods that use workload identity, or were meant to: one for each
// client id of theirs.
func workloads(objects *manifest.Objects) []Workload {
	injectedAccounts := map[string]bool{} // NAMESPACE/NAME of those some of whose pods have the label
	for _, p := range objects.Pods() {
		if p.Template.Metadata.Labels[azwi.UseLabel] == "true" {
			injectedAccounts[p.Namespace+"/"+p.Template.Spec.ServiceAccountName] = true
		}
	}
	var all []Workload
	for _, made := range objects.Pods() {
		p := pod{made, objects, made.Template.Metadata.Labels, made.Template.Metadata.Annotations}
		a, exists := objects.Account(p.Pods)
		injected, token := p.labels[azwi.UseLabel] == "true", objects.OwnToken(p.Pods)
		_, annotated := a.Annotations[azwi.ClientIDAnnotation]
		_, labelled := p.labels[azwi.UseLabel]
		if !injected && !labelled && token == nil && !annotated && p.OwnLabels[azwi.UseLabel] == "" {
			continue
		}
		w := Workload{Place: p.Place}
		w.Tenant = objects.Tenant(p.Pods)
		w.Component, w.Namespace, w.ServiceAccount = p.Kind+" "+p.Name, p.Namespace, p.Template.Spec.ServiceAccountName
		switch {
		case injected:
			w.Findings = append(w.Findings, p.checkExpiration(a)...)
			w.Findings = append(w.Findings, p.checkSidecar()...)
		case token != nil:
			w.Audience = token.Audience
			w.Findings = append(w.Findings, checkToken(token)...)
		default:
			f := p.missingLabel(labelled)
			if !labelled && injectedAccounts[p.Namespace+"/"+p.Template.Spec.ServiceAccountName] {
				f.Severity = Warning // it may have nothing to do with Azure
			}
			w.Findings = append(w.Findings, f)
		}
		all = append(all, w.identified(p, a, exists)...)
	}
	return all
}

// identified returns the workload for each of its client ids. Findings about the pods are
// those of the first.
func (w Workload) identified(p pod, a manifest.Account, exists bool) []Workload {
	ids := p.objects.ClientIDs(p.Pods)
	account := w.Namespace + "/" + w.ServiceAccount
	annotate := fmt.Sprintf("kubectl annotate serviceaccount %s -n %s %s=CLIENT_ID", w.ServiceAccount, w.Namespace, azwi.ClientIDAnnotation)
	switch {
	case len(ids) == 0 && !exists:
		w.Findings = append(w.Findings, Finding{
			Severity: Error, Kind: ServiceAccount, Text: "the service account " + account + " is in none of the manifests, so its client id is unknown",
			Fix: "add its manifest to the files, with the annotation " + azwi.ClientIDAnnotation + "; if it is there under another name, mend serviceAccountName or the namespace",
		})
		return []Workload{w}
	case len(ids) == 0:
		w.Findings = append(w.Findings, Finding{
			Severity: Error, Kind: Annotation, Text: "the service account " + account + " (" + a.Place + ") has no annotation " + azwi.ClientIDAnnotation + ", and no container has an AZURE_CLIENT_ID",
			Fix: "add the annotation, and restart the pods: " + annotate,
		})
		return []Workload{w}
	}
	all := make([]Workload, len(ids))
	for i, id := range ids {
		all[i] = w
		if i > 0 {
			all[i].Findings = nil
		}
		all[i].ask(id, annotate)
	}
	return all
}

func (w *Workload) ask(id manifest.ClientID, annotate string) {
	if id.Unknown {
		w.Findings = append(w.Findings, Finding{
			Severity: Warning, Kind: NotInFiles, Text: id.From + ", is in none of the files: what it asks with is unknown, and was not checked",
			Fix: "add the manifest of where it comes from; or let the webhook set it: " + annotate,
		})
		return
	}
	parsed, err := workload.ParseClientID(id.Value)
	if err != nil {
		w.Findings = append(w.Findings, Finding{Severity: Error, Kind: Annotation, Text: id.From + ": " + err.Error(), Fix: "write the client id (Application ID), no name and no object id"})
		return
	}
	w.ClientID = parsed
}

// checkSidecar checks the annotation for the proxy sidecar, whose value the webhook ignores.
// Source: azure-workload-identity, pkg/webhook/webhook.go, Handle; issues 1210 and 773.
func (p *pod) checkSidecar() (found []Finding) {
	value, asked := p.annotations[azwi.SidecarAnnotation]
	if !asked {
		return nil
	}
	const remove = "remove the annotation " + azwi.SidecarAnnotation
	if webhook.LooksOff(value) {
		found = append(found, Finding{
			Severity: Warning, Kind: ProxySidecar, Text: fmt.Sprintf("%s is %q, and the webhook injects the proxy sidecar all the same: only that the annotation is there counts", azwi.SidecarAnnotation, value), Fix: remove,
		})
	}
	if p.Template.Spec.HostNetwork {
		found = append(found, Finding{
			Severity: Error, Kind: ProxySidecar, Text: "the pods have hostNetwork and " + azwi.SidecarAnnotation + ": the webhook refuses them", Fix: remove + ", or hostNetwork",
		})
	}
	if strings.HasSuffix(p.Kind, "Job") || webhook.Ends(p.Template.Spec.RestartPolicy) {
		found = append(found, Finding{
			Severity: Warning, Kind: ProxySidecar, Text: fmt.Sprintf("the proxy sidecar goes on when the other containers have ended: before Kubernetes 1.%d, where it is no native sidecar, the pods do not end, and a Job is never complete", webhook.NativeSidecars),
			Fix: remove + " and use WorkloadIdentityCredential, or run it on a newer cluster",
		})
	}
	return found
}

func (p *pod) missingLabel(labelled bool) Finding {
	f := Finding{Severity: Error, Kind: Label, Fix: fmt.Sprintf("add the label %s: \"true\" to the pods (%s)", azwi.UseLabel, p.labelsField())}
	switch {
	case labelled:
		f.Text = fmt.Sprintf("the label %s is %q: the webhook injects nothing unless it is \"true\"", azwi.UseLabel, p.labels[azwi.UseLabel])
	case p.Kind != "Pod" && p.OwnLabels[azwi.UseLabel] != "":
		f.Text = fmt.Sprintf("the label %s is on the %s, not on its pods: the webhook injects nothing", azwi.UseLabel, p.Kind)
	default:
		f.Text = fmt.Sprintf("the pods have no label %s, although their service account has a client id: the webhook injects neither token file nor variables", azwi.UseLabel)
	}
	return f
}

func (p *pod) labelsField() string {
	switch p.Kind {
	case "Pod":
		return "metadata.labels"
	case "CronJob":
		return "spec.jobTemplate.spec.template.metadata.labels"
	}
	return "spec.template.metadata.labels"
}

// checkExpiration checks the annotation of the pod or else that of the service account.
// Source: azure-workload-identity, pkg/webhook/webhook.go, getServiceAccountTokenExpiration.
func (p *pod) checkExpiration(a manifest.Account) []Finding {
	value, set := p.annotations[azwi.ExpirationAnnotation]
	where := "pods of " + p.Kind + " " + p.Name
	if !set {
		if value, set = a.Annotations[azwi.ExpirationAnnotation]; !set {
			return nil
		}
		where = "service account (" + a.Place + ")"
	}
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= azwi.MinExpiration && seconds <= azwi.MaxExpiration {
		return nil
	}
	return []Finding{{
		Severity: Error, Kind: Expiration, Text: fmt.Sprintf("%s of the %s: expected seconds between %d and %d, found %q: the webhook refuses the pods", azwi.ExpirationAnnotation, where, azwi.MinExpiration, azwi.MaxExpiration, value),
		Fix: fmt.Sprintf("write %s: %q, or leave it out", azwi.ExpirationAnnotation, "3600"),
	}}
}

// checkToken checks the lifetime of a projected token: it lives at least 10 minutes in Kubernetes (pkg/apis/core/validation),
// and Entra ID takes none that lives longer than 25 hours (AADSTS70023).
func checkToken(t *manifest.ProjectedToken) []Finding {
	const shortest, longest = 600, azwi.MaxExpiration
	if t.ExpirationSeconds == nil || *t.ExpirationSeconds >= shortest && *t.ExpirationSeconds <= longest {
		return nil
	}
	return []Finding{{
		Severity: Error, Kind: Expiration, Text: fmt.Sprintf("expirationSeconds of the projected token: expected %d to %d, found %d", shortest, longest, *t.ExpirationSeconds),
		Fix: "write expirationSeconds: 3600",
	}}
}
