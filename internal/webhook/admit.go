package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/cluster"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/kubename"
	"github.com/wiemu/wiemu/internal/workload"
)

type admission struct {
	*Server
	asked   *request
	pod     *pod
	account ServiceAccount
	event   journal.Event
}

// answer decides about a request, and journals changes and denials unless it is a dry run.
func (s *Server) answer(ctx context.Context, asked *request) (*response, error) {
	if !asked.isNewPod() {
		return allowed(asked), nil
	}
	p, err := parse(asked.Object)
	if err != nil {
		return denied(asked, err.Error()), nil
	}
	if p.labels[azwi.UseLabel] != "true" { // an API server does not send those
		return allowed(asked), nil
	}
	a := &admission{Server: s, asked: asked, pod: p, account: ServiceAccount{Namespace: asked.Namespace, Name: cmp.Or(p.serviceAccount, "default")}}
	if err := kubename.CheckAccount(a.account.Namespace, a.account.Name); err != nil { // they become paths
		return denied(asked, err.Error()), nil
	}
	name := a.account.Namespace + "/" + a.account.Name
	a.event = journal.Event{
		Kind: journal.Admission, Outcome: journal.Granted, Workload: name, Subject: azwi.SubjectPrefix + strings.Replace(name, "/", ":", 1),
		Detail: map[string]string{"pod": a.podName()},
	}
	m, err := a.mutate(ctx)
	if denial := (*Denial)(nil); errors.As(err, &denial) {
		a.refused(denial.Text, denial.Remedy)
		return denied(asked, denial.Text), nil
	}
	if err != nil {
		text := err.Error()
		if r := cluster.Refused(err); r != nil {
			text = r.Message // as azure-workload-identity says it
		}
		a.refused(text, a.remedy(err))
		return denied(asked, text), nil
	}
	answer, err := (&response{UID: asked.UID, Allowed: true, Warnings: m.Warnings}).withPatch(m.Patch)
	if err == nil {
		a.granted(m)
	}
	return answer, err
}

func (a *admission) podName() string { return cmp.Or(a.pod.name, a.pod.generateName+" (prefix)") }

// mutate changes the pod, and creates its identity's trust and the CA bundle's ConfigMap.
func (a *admission) mutate(ctx context.Context) (Mutation, error) {
	if a.pod.annotations[InjectAnnotation] == "false" {
		a.event.Summary = "left alone, as its annotation " + InjectAnnotation + " asks for"
		return Mutation{}, nil
	}
	if err := a.readAccount(ctx); err != nil {
		return Mutation{}, err
	}
	settings, err := a.settings(ctx)
	if err != nil {
		return Mutation{}, err
	}
	if settings.Identity != nil && !a.asked.DryRun {
		a.fail(&settings)
	}
	m, err := Mutate(a.asked.Object, a.account, settings)
	if err != nil {
		return m, err
	}
	a.event.ClientID, a.event.Tenant = m.ClientID, m.TenantID
	if a.asked.DryRun {
		return m, nil
	}
	if err := a.putTrust(ctx, a.account.Namespace); err != nil {
		return m, err
	}
	m.Warnings = append(m.Warnings, a.trust(ctx)...)
	return m, nil
}

// readAccount reads the pod's service account, twice if it may have been created just now.
func (a *admission) readAccount(ctx context.Context) error {
	var read struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	path := "/api/v1/namespaces/" + a.account.Namespace + "/serviceaccounts/" + a.account.Name
	err := a.config.Cluster.Get(ctx, path, &read)
	if cluster.IsNotFound(err) {
		err = a.config.Cluster.Get(ctx, path, &read)
	}
	a.account.Annotations = read.Metadata.Annotations
	return err
}

// fail drops the identity if a fault says so, as if the webhook had not been called.
func (a *admission) fail(s *Settings) {
	hit, ok := a.config.Emulator.Faults().Hit(faultkind.AtPodStart, faults.Subject{Workload: a.event.Workload, Client: a.account.Annotations[azwi.ClientIDAnnotation]})
	if !ok {
		return
	}
	s.Identity = nil
	a.event.Outcome = journal.Failed
	a.event.Summary = "made " + azwi.NotInjectedSummary
	a.event.Meaning = azwi.NotInjectedMeaning
	a.event.Remedy = azwi.NotInjectedRemedy
	hit.Note(&a.event)
}

// trust establishes the trust in the pod's service account, as Config.Admit decides. Its
// failure is no reason to deny the pod: in Azure, Entra ID denies the exchange later.
func (a *admission) trust(ctx context.Context) (warnings []string) {
	text := a.account.Annotations[azwi.ClientIDAnnotation]
	if text == "" {
		return nil
	}
	id, err := workload.ParseClientID(text)
	if err == nil {
		var made bool
		made, err = a.config.Admit(ctx, workload.Spec{
			Workload:     workload.Workload{Namespace: a.account.Namespace, ServiceAccount: a.account.Name, ClientID: id},
			TokenOptions: workload.TokenOptions{Tenant: a.account.Annotations[azwi.TenantIDAnnotation], Issuer: a.config.Emulator.Config().Webhook.Issuer},
		})
		if err == nil {
			a.tellTrust(id, made)
			return nil
		}
	}
	a.event.Detail["trust"] = "none"
	return []string{fmt.Sprintf("Entra ID will refuse service account %s: annotation %s: %v", a.account.Name, azwi.ClientIDAnnotation, err)}
}

// tellTrust journals whether the identity trusts the pod's service account.
func (a *admission) tellTrust(clientID string, made bool) {
	if made {
		a.event.Detail["trust"] = "made"
		a.event.Message = fmt.Sprintf("Nobody knew the client id %s: it is now a managed identity that trusts %s.", clientID, a.event.Subject)
		return
	}
	tenant, err := a.config.Emulator.Tenant(a.event.Tenant)
	if err != nil {
		return // Admit has reported it
	}
	p, ok := a.config.Emulator.Directory().Principal(tenant, clientID)
	if ok && slices.ContainsFunc(p.FederatedCredentials, func(f directory.FederatedCredential) bool { return f.Subject == a.event.Subject }) {
		a.event.Detail["trust"] = "there"
		a.event.Message = fmt.Sprintf("%s trusts %s already.", p.DisplayName, a.event.Subject)
		return
	}
	a.event.Detail["trust"] = "none"
	a.event.Message = fmt.Sprintf("Client id %s is there, and its owners decide whom it trusts: none of its federated credentials is for %s, so Entra ID will refuse the pod with AADSTS700213.", clientID, a.event.Subject)
}

// granted journals what a pod was given, unless it had everything before.
func (a *admission) granted(m Mutation) {
	e := &a.event
	if a.asked.DryRun || len(m.Patch) == 0 && len(m.Warnings) == 0 && e.Summary == "" {
		return
	}
	lines := m.Injected
	if a.aside.Load() {
		lines = append(lines, "azure-workload-identity's own webhook is installed and gives the identity")
	}
	if e.Message != "" {
		lines = append(lines, e.Message)
	}
	for _, w := range m.Warnings {
		lines = append(lines, "warning: "+w)
	}
	e.Message = strings.Join(lines, "\n")
	e.Summary = fmt.Sprintf("pod %s of %s is %s", a.podName(), e.Workload, cmp.Or(e.Summary, m.String()))
	a.config.Emulator.Journal().Record(*e)
}

func (a *admission) refused(text, remedy string) {
	if a.asked.DryRun {
		return
	}
	e := a.event
	e.Outcome, e.Message, e.Remedy = journal.Denied, text, remedy
	e.Summary = fmt.Sprintf("pod %s of %s may not be made: %s", a.podName(), e.Workload, text)
	e.Meaning = "The webhook refused it, and whoever makes the pod is told: kubectl, or the events of the ReplicaSet or Job (kubectl describe)."
	a.config.Emulator.Journal().Record(e)
}

// remedy returns what to do if an API server refuses what the webhook needs.
func (a *admission) remedy(err error) string {
	switch r := cluster.Refused(err); {
	case r == nil:
		return "Ask again in a moment; if that does not help, look at the log of wiemu-server."
	case cluster.IsNotFound(err):
		return fmt.Sprintf("Make the service account before the pod: kubectl create serviceaccount %s -n %s", a.account.Name, a.account.Namespace)
	default:
		return fmt.Sprintf("Let wiemu-server do this in the cluster: %s %s.", r.Method, r.Path)
	}
}
