package workload

import (
	"slices"
	"strings"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Where identity is concerned reading is strict: an identity that Radix would
// silently drop shows only when the application asks for a token.

// identityFile is identity: {azure: {clientId: UUID}}.
type identityFile struct {
	ClientID string // canonical; "" if none is given
	None     bool   // clientId is given as "", which takes an inherited one away
}

// UnmarshalYAMLFile reads the mapping.
func (i *identityFile) UnmarshalYAMLFile(v yamlfile.Value) {
	if v.Node.Kind != yaml.MappingNode {
		v.Refuse("a mapping, azure: {clientId: UUID}", "", "")
		return
	}
	var plain struct {
		Azure *azureFile `yaml:"azure"`
	}
	understood := v.Decode(&plain)
	switch {
	case plain.Azure != nil:
		i.ClientID, i.None = string(plain.Azure.ClientID), plain.Azure.None
	case understood:
		v.Warn("azure.clientId", "an identity without it, which is none", "add it, or remove identity")
	}
}

type azureFile struct {
	ClientID clientID `yaml:"clientId"`
	None     bool     `yaml:"-"`
}

// UnmarshalYAMLFile reads the mapping, in which clientId is required.
func (a *azureFile) UnmarshalYAMLFile(v yamlfile.Value) {
	if v.Node.Kind != yaml.MappingNode {
		v.Refuse("a mapping, clientId: UUID", "", "")
		return
	}
	type plain azureFile
	understood := v.Decode((*plain)(a))
	node := yamlfile.Get(v.Node, "clientId")
	switch {
	case yamlfile.IsNull(node):
		if understood {
			v.At("clientId", v.Node).Refuse(aClientID, "nothing", whereClientID)
		}
	case node.Value == "" && strings.HasPrefix(v.Field(), "spec.environments["):
		// Operator: pipeline-runner/internal/subpipeline/envvars.go deletes
		// AZURE_CLIENT_ID for an environment that says "".
		a.None = true
	case node.Value == "" && node.Kind == yaml.ScalarNode:
		v.At("clientId", node).Refuse(aClientID, "", whereClientID)
	}
}

const (
	aClientID     = "a client id (a UUID)"
	whereClientID = "the Azure portal shows it as Client ID of the managed identity or Application (client) ID of the app registration"
)

const writeIdentity = "write identity: {azure: {clientId: UUID}} below a component, a job, one of their environmentConfig entries, or a subPipeline"

// clientID is a UUID in canonical form.
type clientID string

// UnmarshalYAMLFile refuses text that is no UUID, except "", which the mapping checks.
func (c *clientID) UnmarshalYAMLFile(v yamlfile.Value) {
	var text string
	if !v.Decode(&text) || text == "" {
		return
	}
	id, err := ParseClientID(text)
	if err != nil {
		v.Refuse(aClientID, "", whereClientID)
		id = text // there is an identity, so it is not reported as missing
	}
	if id == uuid.Nil.String() {
		v.Warn("the client id of an identity", "the all-zero UUID, which Entra ID refuses (AADSTS700038)", whereClientID)
	}
	*c = clientID(id)
}

// credentialsFile says how an OAuth2 proxy authenticates.
type credentialsFile string

const azureWorkloadIdentity credentialsFile = "azureWorkloadIdentity"

// UnmarshalYAMLFile refuses values that Radix does not know.
func (c *credentialsFile) UnmarshalYAMLFile(v yamlfile.Value) {
	var text string
	if !v.Decode(&text) {
		return
	}
	known := []string{"secret", string(azureWorkloadIdentity)}
	if text != "" && !slices.Contains(known, text) {
		v.Refuse("secret or azureWorkloadIdentity", "", yamlfile.DidYouMean(text, known))
		return
	}
	*c = credentialsFile(text)
}

// identityFields are about identity: a misspelling of them is never taken for a newer field.
var identityFields = []string{"identity", "azure", "clientId", "useAzureIdentity", "credentials", "subPipeline"}

// unknownField warns of unknown fields, and refuses a misspelt or misplaced identity.
func unknownField(u yamlfile.Unknown) {
	switch {
	case slices.Contains(identityFields, u.Meant):
		u.Refuse()
	case isAny(u.Name, "identity", "azure", "clientId", "useAzureIdentity"):
		u.Key.Refuse("identity where Radix looks for it", u.Name+" here, where Radix does not see it",
			writeIdentity)
	case u.Meant != "" && holdsIdentity(u.Content):
		u.Refuse()
	case holdsIdentity(u.Content):
		u.Key.Warn("", "an unknown field that holds an identity, passed over", "")
	default:
		u.Warn()
	}
}

func isAny(name string, words ...string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.EqualFold(name, word) })
}

// holdsIdentity reports whether something below a node looks like an identity.
func holdsIdentity(node *yaml.Node) bool {
	for i, child := range node.Content {
		isKey := node.Kind == yaml.MappingNode && i%2 == 0
		if isKey && yamlfile.Nearest(child.Value, []string{"identity", "clientId", "useAzureIdentity"}) != "" {
			return true
		}
		if !isKey && holdsIdentity(child) {
			return true
		}
	}
	return false
}
