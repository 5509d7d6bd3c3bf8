package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Layout is where pods find their token: azure-workload-identity moved it.
type Layout string

// The layouts. The zero value is the newest.
const (
	Layout16 Layout = "1.6" // from v1.6.0 on: /var/run/secrets/azure/wi/token/azure-identity-token
	Layout15 Layout = "1.5" // v0.8 to v1.5.1: /var/run/secrets/azure/tokens/azure-identity-token
)

// TokenFile is AZURE_FEDERATED_TOKEN_FILE.
func (l Layout) TokenFile() string {
	if l == Layout15 {
		return l.mountPath() + "/" + tokenFile
	}
	return l.mountPath() + "/token/" + tokenFile
}

// The names of v1.5.1 and v1.6.0.
// Source: azure-workload-identity, pkg/webhook/consts.go.
const (
	tokenFile      = "azure-identity-token"
	reservedVolume = "azure-workload-identity-reserved-"
	maxVolumeName  = 63
	caFile         = "ca-cert/ca.crt" // below the mount path of v1.6.0
)

func (l Layout) mountPath() string {
	if l == Layout15 {
		return "/var/run/secrets/azure/tokens"
	}
	return "/var/run/secrets/azure/wi"
}

// tokenPath is the token's in its volume.
func (l Layout) tokenPath() string { return strings.TrimPrefix(l.TokenFile(), l.mountPath()+"/") }

// volume is the name of the token's volume. A pod that gets its name later, from
// a prefix, is known by that.
// Source: azure-workload-identity, pkg/webhook/webhook.go, buildVolumeName.
func (l Layout) volume(name, generateName string) string {
	if l == Layout15 {
		return tokenFile
	}
	if name == "" {
		name = generateName + " (prefix)"
	}
	sum := sha256.Sum256([]byte(name))
	return reservedVolume + hex.EncodeToString(sum[:])[:maxVolumeName-len(reservedVolume)]
}

// addVolume adds the projected volume of the token. v1.6.0 replaces a volume of
// its reserved name; before, one that projects to the same path was left alone.
// Source: azure-workload-identity, pkg/webhook/webhook.go, addProjectedVolume;
// v1.5.1: addProjectedServiceAccountTokenVolume.
func (m *mutation) addVolume(id Identity, volume string, expiration int64, binding *Binding) {
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

// projectsToken reports whether a volume has a projected token at the path of
// v1.5.1.
func (m *mutation) projectsToken() bool {
	for _, v := range m.volumes {
		projected, _ := v["projected"].(map[string]any)
		for _, source := range list(projected, "sources") {
			source, _ := source.(map[string]any)
			if token, _ := source["serviceAccountToken"].(map[string]any); token["path"] == tokenFile {
				return true
			}
		}
	}
	return false
}

// addMount mounts the token's volume in a container.
func (l Layout) addMount(c *container, volume string) {
	if l == Layout15 && has(c.mounts, volume) {
		return
	}
	c.mounts = set(c.mounts, object{"name": volume, "mountPath": l.mountPath(), "readOnly": true})
}
