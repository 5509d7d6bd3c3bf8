package workload

import (
	"fmt"

	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// A deployment collects what runs in one environment.
type deployment struct {
	*reader
	application string
	environment string
	workloads   []Workload
	parts       []Workload // with an identity or without
	triggers    []Workload
}

func (d *deployment) namespace() string { return d.application + "-" + d.environment }

// part adds a component or job, with its OAuth2 proxy and triggers. What an
// environment says is merged over what the part says, field by field, and wins
// where it is not empty. Operator: pkg/apis/deployment/radixcommoncomponent.go.
func (d *deployment) part(p part) {
	over := p.in(d.environment)
	w := Workload{
		Application: d.application, Environment: d.environment, Component: p.name, Role: p.role,
		Namespace: d.namespace(), ServiceAccount: p.name + "-sa",
		ClientID: first(over.Identity.clientID(), p.base.Identity.clientID()),
	}
	w.KeyVaults = d.keyVaults(p, over, w.ClientID)
	d.volumeMounts(p, over, w.ClientID)
	if w.ClientID != "" {
		d.workloads = append(d.workloads, w)
	} else {
		w.ServiceAccount = NoIdentity
	}
	d.parts = append(d.parts, w)
	d.oauth(p, over)
	d.scaling(p, over)
}

func (i *identityFile) clientID() string {
	if i == nil {
		return ""
	}
	return i.ClientID
}

// first returns the first text that is not empty.
func first[T ~string](texts ...T) T {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// oauth adds the OAuth2 proxy of a component if it proves itself by workload
// identity. Operator: OAuth2.GetServiceAccountName.
func (d *deployment) oauth(p part, over level) {
	base, env := p.base.Authentication.OAuth2, over.Authentication.OAuth2
	if first(env.Credentials, base.Credentials) != azureWorkloadIdentity {
		return
	}
	field := p.base.field
	if env.ClientID != "" || base.ClientID == "" && env.Credentials != "" {
		field = over.field
	}
	written := first(env.ClientID, base.ClientID)
	id, err := ParseClientID(written)
	if err != nil {
		found := "nothing"
		if written != "" {
			found = fmt.Sprintf("text %q", written)
		}
		d.refuse(field+".authentication.oauth2.clientId", aClientID+", as credentials is azureWorkloadIdentity", found, whereClientID)
		return
	}
	d.workloads = append(d.workloads, Workload{
		Application: d.application, Environment: d.environment, Component: p.name + "-aux-oauth", Role: OAuth,
		Namespace: d.namespace(), ServiceAccount: p.name + "-aux-oauth-sa", ClientID: id,
	})
}

// scaling adds the triggers with an identity. An environment's triggers replace
// the component's. Operator: getRadixCommonComponentHorizontalScaling.
func (d *deployment) scaling(p part, over level) {
	triggers := p.base.HorizontalScaling.Triggers
	if len(over.HorizontalScaling.Triggers) > 0 || !yamlfile.IsNull(over.HorizontalScaling.Resources) {
		triggers = over.HorizontalScaling.Triggers
	}
	for _, t := range triggers {
		id := first(t.AzureServiceBus.Authentication.Identity.clientID(), t.AzureEventHub.Authentication.Identity.clientID())
		if id == "" {
			continue
		}
		d.triggers = append(d.triggers, Workload{
			Application: d.application, Environment: d.environment, Component: p.name + "/" + t.Name, Role: Trigger,
			Namespace: "keda", ServiceAccount: "keda-operator", ClientID: id,
		})
	}
}

// subPipeline adds the pipeline of an environment. Its service account is always
// there; it counts once it has an identity.
func (d *deployment) subPipeline(spec *specFile, environment int) {
	var id string
	if p := spec.Build.SubPipeline; p != nil {
		id = p.Identity.clientID()
	}
	if p := spec.Environments[environment].SubPipeline; p != nil && p.Identity != nil {
		id = first(p.Identity.ClientID, id)
		if p.Identity.None {
			id = ""
		}
	}
	if id == "" {
		return
	}
	d.workloads = append(d.workloads, Workload{
		Application: d.application, Environment: d.environment, Component: "subpipeline", Role: SubPipeline,
		Namespace: d.application + "-app", ServiceAccount: "subpipeline-" + d.environment + "-sa", ClientID: id,
	})
}
