package webhook

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The bounds of a token's lifetime, in seconds. Kubernetes takes 600.
// Source: azure-workload-identity, pkg/webhook/consts.go.
const (
	minExpiration     = 3600
	maxExpiration     = 86400
	defaultExpiration = 3600
)

// Binding is what pods are told of their cluster's identity-binding proxy.
// azure-workload-identity calls it a custom token endpoint.
type Binding struct {
	Audience    string // api://AKSIdentityBinding
	ProxyURL    string // AZURE_KUBERNETES_TOKEN_PROXY
	SNIName     string // AZURE_KUBERNETES_SNI_NAME
	CAData      string // AZURE_KUBERNETES_CA_DATA, PEM; or:
	CAConfigMap string // has it as ca.crt, in the pod's namespace
}

// identity does what azure-workload-identity's webhook does, in its order, which
// decides what is refused first.
// Source: azure-workload-identity, pkg/webhook/webhook.go, podMutator.Handle.
func (m *mutation) identity(id Identity) error {
	if err := m.sidecar(id.Sidecar); err != nil {
		return err
	}
	expiration, err := m.expiration()
	if err != nil {
		return err
	}
	binding := m.binding(id)
	volume := id.Layout.volume(m.name, m.generateName)
	skipped := Skipped(m.annotations)
	var changed []*container
	for _, c := range slices.Concat(m.initContainers, m.containers) {
		if slices.Contains(skipped, c.name) {
			continue
		}
		m.variables(c, id, binding)
		id.Layout.addMount(c, volume)
		changed = append(changed, c)
	}
	m.addVolume(id, volume, expiration, binding)
	m.hasIdentity = true
	if len(changed) > 0 {
		m.tell("AZURE_* and the token at %s in %s", id.Layout.TokenFile(), names(changed))
	}
	if m.account.Annotations[ClientIDAnnotation] == "" && !slices.ContainsFunc(changed, (*container).mayHaveClientID) {
		m.warn("service account %s has no annotation %s: AZURE_CLIENT_ID is not set", m.account.Name, ClientIDAnnotation)
	}
	return nil
}

// mayHaveClientID reports whether a container brings AZURE_CLIENT_ID along, wherever
// it gets it from, or may get it from a config map or secret that is not known here.
func (c *container) mayHaveClientID() bool {
	const variable = "AZURE_CLIENT_ID"
	return has(c.env, variable) || slices.ContainsFunc(list(c.object, "envFrom"), func(source any) bool {
		from, ok := source.(map[string]any)
		prefix, _ := from["prefix"].(string)
		return ok && strings.HasPrefix(variable, prefix)
	})
}

// expiration is what the pod, else its service account, else nobody says.
func (m *mutation) expiration() (int64, error) {
	text := m.annotations[ExpirationAnnotation]
	if text == "" {
		text = m.account.Annotations[ExpirationAnnotation]
	}
	if text == "" {
		return defaultExpiration, nil
	}
	remedy := fmt.Sprintf("Write seconds between %d and %d into the annotation %s of the pod, or else of service account %s. A token that lives shorter, down to 600 s, takes a projected volume of the pod's own.", minExpiration, maxExpiration, ExpirationAnnotation, m.account.Name)
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, &Denial{Text: err.Error(), Remedy: remedy, Plain: fmt.Sprintf("the annotation %s is %q, which is no whole number", ExpirationAnnotation, text)}
	}
	if seconds < minExpiration || seconds > maxExpiration {
		return 0, &Denial{Text: fmt.Sprintf("token expiration %d not valid. Expected value to be between %d and %d", seconds, minExpiration, maxExpiration), Remedy: remedy}
	}
	return seconds, nil
}

// Skipped are the names of a pod's containers that get neither variables nor token.
func Skipped(annotations map[string]string) []string {
	text := annotations[SkipAnnotation]
	if text == "" {
		return nil
	}
	skipped := strings.Split(text, ";")
	for i := range skipped {
		skipped[i] = strings.TrimSpace(skipped[i])
	}
	return skipped
}

// binding is the cluster's, if the pod asks for it.
func (m *mutation) binding(id Identity) *Binding {
	if !strings.EqualFold(m.annotations[BindingAnnotation], "true") {
		return nil
	}
	if id.Binding == nil || id.Layout == Layout15 {
		m.warn("annotation %s is ignored: there is no identity-binding proxy for pods of this cluster", BindingAnnotation)
		return nil
	}
	return id.Binding
}

// variables appends those that have a value and whose name the container does not
// have yet, wherever its own comes from.
func (m *mutation) variables(c *container, id Identity, binding *Binding) {
	wanted := [][2]string{
		{"AZURE_CLIENT_ID", m.account.Annotations[ClientIDAnnotation]},
		{"AZURE_TENANT_ID", m.tenant()},
		{"AZURE_FEDERATED_TOKEN_FILE", id.Layout.TokenFile()},
		{"AZURE_AUTHORITY_HOST", id.AuthorityHost},
	}
	if binding != nil {
		wanted = append(
			wanted,
			[2]string{"AZURE_KUBERNETES_TOKEN_PROXY", binding.ProxyURL},
			[2]string{"AZURE_KUBERNETES_SNI_NAME", binding.SNIName},
			[2]string{"AZURE_KUBERNETES_CA_FILE", id.Layout.mountPath() + "/" + caFile},
			[2]string{"AZURE_KUBERNETES_CA_DATA", binding.CAData},
		)
	}
	for _, v := range wanted {
		if v[1] != "" && !has(c.env, v[0]) {
			c.env = append(c.env, object{"name": v[0], "value": v[1]})
		}
	}
}

// number is a number as decode keeps it.
func number(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }
