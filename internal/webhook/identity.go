package webhook

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/azwi"
)

// Binding describes a cluster's identity-binding proxy to pods.
// azure-workload-identity calls it a custom token endpoint.
type Binding struct {
	Audience    string // api://AKSIdentityBinding
	ProxyURL    string // AZURE_KUBERNETES_TOKEN_PROXY
	SNIName     string // AZURE_KUBERNETES_SNI_NAME
	CAData      string // AZURE_KUBERNETES_CA_DATA, PEM; or:
	CAConfigMap string // has it as ca.crt, in the pod's namespace
}

// identity does what azure-workload-identity's webhook does, in its order, which decides
// which error comes first.
// Source: azure-workload-identity, pkg/webhook/webhook.go, podMutator.Handle.
func (m *mutation) identity(id IdentitySettings) error {
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
	if m.account.Annotations[azwi.ClientIDAnnotation] == "" && !slices.ContainsFunc(changed, (*container).mayHaveClientID) {
		m.warn("service account %s has no annotation %s: AZURE_CLIENT_ID is not set", m.account.Name, azwi.ClientIDAnnotation)
	}
	return nil
}

// mayHaveClientID reports whether AZURE_CLIENT_ID is set, or may be by an unknown source.
func (c *container) mayHaveClientID() bool {
	const variable = "AZURE_CLIENT_ID"
	return has(c.env, variable) || slices.ContainsFunc(list(c.object, "envFrom"), func(source any) bool {
		from, ok := source.(map[string]any)
		prefix, _ := from["prefix"].(string)
		return ok && strings.HasPrefix(variable, prefix)
	})
}

// expiration returns the pod's expiration annotation, else its service account's, else the default.
func (m *mutation) expiration() (int64, error) {
	text := cmp.Or(m.annotations[azwi.ExpirationAnnotation], m.account.Annotations[azwi.ExpirationAnnotation])
	if text == "" {
		return azwi.DefaultExpiration, nil
	}
	remedy := fmt.Sprintf("Write seconds between %d and %d into the annotation %s of the pod, or else of service account %s. A token that lives shorter, down to 600 s, takes a projected volume of the pod's own.", azwi.MinExpiration, azwi.MaxExpiration, azwi.ExpirationAnnotation, m.account.Name)
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, &Denial{Text: err.Error(), Remedy: remedy, Plain: fmt.Sprintf("the annotation %s is %q, which is no whole number", azwi.ExpirationAnnotation, text)}
	}
	if seconds < azwi.MinExpiration || seconds > azwi.MaxExpiration {
		return 0, &Denial{Text: fmt.Sprintf("token expiration %d not valid. Expected value to be between %d and %d", seconds, azwi.MinExpiration, azwi.MaxExpiration), Remedy: remedy}
	}
	return seconds, nil
}

// Skipped returns the names of a pod's containers that get neither variables nor token.
func Skipped(annotations map[string]string) []string {
	text := annotations[azwi.SkipAnnotation]
	if text == "" {
		return nil
	}
	var skipped []string
	for name := range strings.SplitSeq(text, ";") {
		skipped = append(skipped, strings.TrimSpace(name))
	}
	return skipped
}

// binding returns the cluster's identity binding, if the pod asks for it.
func (m *mutation) binding(id IdentitySettings) *Binding {
	if !strings.EqualFold(m.annotations[azwi.BindingAnnotation], "true") {
		return nil
	}
	if id.Binding == nil || id.Layout == Layout15 {
		m.warn("annotation %s is ignored: there is no identity-binding proxy for pods of this cluster", azwi.BindingAnnotation)
		return nil
	}
	return id.Binding
}

// variables appends the variables that have a value and are not set already.
func (m *mutation) variables(c *container, id IdentitySettings, binding *Binding) {
	wanted := [][2]string{
		{"AZURE_CLIENT_ID", m.account.Annotations[azwi.ClientIDAnnotation]},
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

// number returns a number in the form of decode.
func number(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }

// Layout says where pods find their token; azure-workload-identity has moved it.
type Layout string

// The layouts. The zero value is the newest.
const (
	Layout16 Layout = "1.6" // from v1.6.0 on: /var/run/secrets/azure/wi/token/azure-identity-token
	Layout15 Layout = "1.5" // v0.8 to v1.5.1: /var/run/secrets/azure/tokens/azure-identity-token
)

// TokenFile returns the value of AZURE_FEDERATED_TOKEN_FILE.
func (l Layout) TokenFile() string {
	if l == Layout15 {
		return l.mountPath() + "/" + azwi.TokenFile
	}
	return l.mountPath() + "/token/" + azwi.TokenFile
}

// The names of v1.5.1 and v1.6.0.
// Source: azure-workload-identity, pkg/webhook/consts.go.
const (
	reservedVolume = "azure-workload-identity-reserved-"
	maxVolumeName  = 63
	caFile         = "ca-cert/ca.crt" // below the mount path of v1.6.0
)

func (l Layout) mountPath() string {
	if l == Layout15 {
		return azwi.TokenDir
	}
	return azwi.WIDir
}

func (l Layout) tokenPath() string { return strings.TrimPrefix(l.TokenFile(), l.mountPath()+"/") }

// volume returns the name of the token's volume. For a pod whose name is generated later, it
// is made of the prefix.
// Source: azure-workload-identity, pkg/webhook/webhook.go, buildVolumeName.
func (l Layout) volume(name, generateName string) string {
	if l == Layout15 {
		return azwi.TokenFile
	}
	name = cmp.Or(name, generateName+" (prefix)")
	sum := sha256.Sum256([]byte(name))
	return reservedVolume + hex.EncodeToString(sum[:])[:maxVolumeName-len(reservedVolume)]
}

// addVolume adds the projected volume of the token. v1.6.0 replaces a volume of
// its reserved name; before, one that projects to the same path was left alone.
// Source: azure-workload-identity, pkg/webhook/webhook.go, addProjectedVolume;
// v1.5.1: addProjectedServiceAccountTokenVolume.
func (m *mutation) addVolume(id IdentitySettings, volume string, expiration int64, binding *Binding) {
	if id.Layout == Layout15 && m.projectsToken() {
		return
	}
	audience, sources := id.Audience, []any{}
	if binding != nil {
		audience = binding.Audience
	}
	sources = append(sources, map[string]any{"serviceAccountToken": map[string]any{
		"path": id.Layout.tokenPath(), "expirationSeconds": number(expiration), "audience": audience,
	}})
	if binding != nil && binding.CAConfigMap != "" {
		sources = append(sources, map[string]any{"configMap": map[string]any{
			"name": binding.CAConfigMap, "optional": false, "items": []any{map[string]any{"key": "ca.crt", "path": caFile}},
		}})
	}
	m.volumes = set(m.volumes, object{"name": volume, "projected": map[string]any{"sources": sources}})
	m.tell("volume %s with a token for %s, %d s", volume, audience, expiration)
}

// projectsToken reports whether a volume has a projected token at the path of v1.5.1.
func (m *mutation) projectsToken() bool {
	for _, v := range m.volumes {
		projected, _ := v["projected"].(map[string]any)
		for _, source := range list(projected, "sources") {
			source, _ := source.(map[string]any)
			if token, _ := source["serviceAccountToken"].(map[string]any); token["path"] == azwi.TokenFile {
				return true
			}
		}
	}
	return false
}

func (l Layout) addMount(c *container, volume string) {
	if l == Layout15 && has(c.mounts, volume) {
		return
	}
	c.mounts = set(c.mounts, object{"name": volume, "mountPath": l.mountPath(), "readOnly": true})
}

// Sidecar is the proxy that pods may ask for: it stands in for Azure's metadata service and
// answers with tokens of the pod's identity.
type Sidecar struct {
	Image     string // If empty, pods that ask for the proxy are denied
	InitImage string
	Native    bool // as an init container that keeps running: from Kubernetes 1.32 on
}

// The sidecar's containers.
// Source: azure-workload-identity, pkg/webhook/consts.go.
const (
	sidecarContainer     = "azwi-proxy"
	sidecarInitContainer = "azwi-proxy-init"
	defaultSidecarPort   = 8000
	sidecarLogLevel      = "info"
)

// sidecar injects the proxy, if the pod asks for it: any value will do.
// Source: azure-workload-identity, pkg/webhook/webhook.go, Handle.
func (m *mutation) sidecar(s Sidecar) error {
	asked, ok := m.annotations[azwi.SidecarAnnotation]
	if !ok {
		return nil
	}
	if m.hostNetwork {
		return &Denial{Text: "hostNetwork is set to true, cannot inject proxy sidecar", Remedy: "The proxy takes over 169.254.169.254 in the pod's network, which would be the node's: leave hostNetwork or the annotation " + azwi.SidecarAnnotation + " out."}
	}
	port := int64(defaultSidecarPort)
	if text, given := m.annotations[azwi.PortAnnotation]; given {
		var err error
		if port, err = strconv.ParseInt(text, 10, 32); err != nil {
			return &Denial{Text: "failed to parse proxy sidecar port: " + err.Error(), Remedy: "Write a port into the annotation " + azwi.PortAnnotation + "."}
		}
	}
	if LooksOff(asked) {
		m.warn("annotation %s is %q, and the proxy sidecar is injected all the same: only that the annotation is there counts. Remove it", azwi.SidecarAnnotation, asked)
	}
	if s.Image == "" || s.InitImage == "" {
		remedy := ""
		if LooksOff(asked) {
			remedy = fmt.Sprintf("The annotation's value %q does not count, only that it is there: remove it. Or name", asked)
		}
		return &Denial{
			Text:   fmt.Sprintf("annotation %s: wiemu has no image of the proxy sidecar; bring azure-workload-identity's images proxy and proxy-init into the cluster and name them under webhook.sidecar in wiemu.yaml", azwi.SidecarAnnotation),
			Remedy: cmp.Or(remedy, "Name") + " the images as sidecar: {image: …, initImage: …} under webhook in wiemu.yaml; or leave the annotation out and use WorkloadIdentityCredential. A process has the sidecar without images: wiemu run --managed-identity sidecar.",
		}
	}
	m.injectSidecar(s, port)
	return nil
}

// LooksOff reports whether the value of the sidecar's annotation looks like no.
// azure-workload-identity ignores the value (issue 1210).
func LooksOff(value string) bool {
	return slices.Contains([]string{"false", "f", "0", "no", "n", "off", "disabled", "none"}, strings.ToLower(strings.TrimSpace(value)))
}

// Ends reports whether pods with a restart policy run to completion, as those of a Job.
func Ends(restartPolicy string) bool { return restartPolicy == "Never" || restartPolicy == "OnFailure" }

func (m *mutation) injectSidecar(s Sidecar, port int64) {
	is := func(name string) func(*container) bool { return func(c *container) bool { return c.name == name } }
	if !slices.ContainsFunc(m.initContainers, is(sidecarInitContainer)) {
		m.initContainers = append(m.initContainers, newContainer(sidecarInitContainer, s.InitImage, object{
			"securityContext": map[string]any{
				"capabilities": map[string]any{"add": []any{"NET_ADMIN"}, "drop": []any{"ALL"}},
				"privileged":   true, "runAsNonRoot": false, "runAsUser": number(0),
			},
		}))
		last := m.initContainers[len(m.initContainers)-1]
		last.env = []object{{"name": "PROXY_PORT", "value": strconv.FormatInt(port, 10)}}
	}
	into := &m.containers
	if s.Native {
		into = &m.initContainers
	}
	if slices.ContainsFunc(*into, is(sidecarContainer)) {
		return
	}
	flag := fmt.Sprintf("--proxy-port=%d", port)
	proxy := newContainer(sidecarContainer, s.Image, object{
		"args":  []any{flag, "--log-level=" + sidecarLogLevel},
		"ports": []any{map[string]any{"containerPort": number(port)}},
		"lifecycle": map[string]any{"postStart": map[string]any{"exec": map[string]any{
			"command": []any{"/proxy", flag, "--probe", "--log-level=" + sidecarLogLevel},
		}}},
		"securityContext": map[string]any{
			"allowPrivilegeEscalation": false, "capabilities": map[string]any{"drop": []any{"ALL"}},
			"privileged": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
		},
	})
	if s.Native {
		proxy.object["restartPolicy"] = "Always"
	} else if Ends(m.restartPolicy) {
		m.warn("the proxy sidecar goes on when the other containers have ended, so that the pod does not end, and a Job is never complete: before Kubernetes 1.%d it is no native sidecar. Leave the annotation %s out and use WorkloadIdentityCredential", NativeSidecars, azwi.SidecarAnnotation)
	}
	*into = slices.Insert(*into, 0, proxy)
	m.tell("the proxy sidecar on port %d", port)
}

func newContainer(name, image string, rest object) *container {
	rest["name"], rest["image"], rest["imagePullPolicy"] = name, image, "IfNotPresent"
	return &container{object: rest, name: name}
}
