package entra

import (
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/resource/graph"
	"github.com/wiemu/wiemu/internal/resource/table"
)

// wellKnown is a resource of Microsoft's that every tenant knows.
type wellKnown struct {
	appID    string
	name     string
	uris     []string // identifiers, without a trailing slash
	suffixes []string // hosts below which every name is an identifier: one per account
	version  int      // of its tokens; 0 is v1
	graph    bool     // Microsoft Graph: its tokens say more
}

// tokenExchangeID is the id of the resource that federated credentials name.
const tokenExchangeID = "fb60f99c-7a34-4190-8149-302f77469936"

// emulated are the resources that wiemu has. Their tokens are v1.
func emulated(c cloud.Cloud) []wellKnown {
	var all []wellKnown
	for _, d := range table.Resources() {
		w := wellKnown{appID: d.AppID, name: d.Title, graph: d.Name == graph.Name}
		named := d.Audiences(c)
		if d.Aliases != nil {
			named = append(named, d.Aliases(c)...)
		}
		for _, name := range named {
			if strings.HasPrefix(name, ".") {
				w.suffixes = append(w.suffixes, name)
			} else {
				w.uris = append(w.uris, strings.TrimSuffix(name, "/"))
			}
		}
		all = append(all, w)
	}
	return all
}

// wellKnownResources: the ids are those of Azure's public cloud; AKS, Key Vault
// and Graph were seen in logs, the others are well-known. All but the token
// exchange have v1 tokens.
func wellKnownResources(c cloud.Cloud) []wellKnown {
	return append([]wellKnown{
		{appID: "6dae42f8-4368-4678-94ff-3960e28e3630", name: "Azure Kubernetes Service AAD Server"},
		{appID: tokenExchangeID, name: "AAD Token Exchange", uris: []string{c.TokenExchange}, version: 2},
		{appID: "00000002-0000-0000-c000-000000000000", name: "Azure Active Directory Graph", uris: []string{"https://" + c.AADGraph}},
		{appID: "80a10ef9-8168-493d-abf9-3297c4ef6e3c", name: "Azure Service Bus", uris: []string{"https://servicebus.azure.net"}, suffixes: []string{".servicebus.windows.net"}},
		{appID: "80369ed6-5f11-4dd9-bef3-692475845e77", name: "Azure Event Hubs", uris: []string{"https://eventhubs.azure.net"}},
		{appID: "a232010e-820c-4083-83bb-3ace5fc29d0b", name: "Azure Cosmos DB", uris: []string{"https://cosmos.azure.com"}, suffixes: []string{".documents.azure.com"}},
		{appID: "35ffadb3-7fc1-497e-b61b-381d28e744cc", name: "Azure App Configuration", uris: []string{"https://azconfig.io"}, suffixes: []string{".azconfig.io"}},
		{appID: "6a0ec4d3-30cb-4a83-91c0-ae56bc0e3d26", name: "Azure Container Registry", uris: []string{"https://containerregistry.azure.net"}},
		{appID: "7d312290-28c8-473c-a0ed-8e53749b6d6d", name: "Azure Cognitive Services", uris: []string{"https://cognitiveservices.azure.com"}},
		{appID: "880da380-985e-4198-81b9-e05b1cc53158", name: "Azure AI Search", uris: []string{"https://search.azure.com"}},
		{appID: "be14bf7e-8ab4-49b0-9dc6-a0eddd6fa73e", name: "Azure Monitor", uris: []string{"https://monitor.azure.com"}},
		{appID: "ca7f3f0b-7d91-482c-8e09-c5d840d0eac5", name: "Azure Log Analytics", uris: []string{"https://api.loganalytics.io"}},
		{appID: "499b84ac-1321-427f-aa17-267ca6975798", name: "Azure DevOps"},
	}, emulated(c)...) // which replace those with the same identifiers
}

// indexResources makes the table findable by identifier and by host suffix.
func indexResources(c cloud.Cloud) map[string]*wellKnown {
	index := map[string]*wellKnown{}
	for _, w := range wellKnownResources(c) {
		for _, key := range append(append([]string{w.appID}, w.uris...), w.suffixes...) {
			index[strings.ToLower(key)] = &w
		}
	}
	return index
}

// findResource finds the resource of Microsoft's that an identifier names, or nil.
func findResource(index map[string]*wellKnown, identifier string) *wellKnown {
	identifier = strings.ToLower(strings.TrimRight(identifier, "/"))
	if w, ok := index[identifier]; ok {
		return w
	}
	host, https := strings.CutPrefix(identifier, "https://")
	if account, suffix, found := strings.Cut(host, "."); https && found && labelForm().MatchString(account) {
		return index["."+suffix]
	}
	return nil
}

// MicrosoftResource returns the name of the resource of Microsoft's, known to
// every tenant, that an identifier URI names; "" if it names none.
func MicrosoftResource(uri string) string {
	if w := findResource(indexResources(cloud.Public()), uri); w != nil {
		return w.name
	}
	return ""
}

// Resource returns the name of the resource that an identifier names in a tenant.
func (s *Service) Resource(tenantID, identifier string) (name string, ok bool) {
	t, ok := s.resource(tenantID, identifier)
	return t.name, ok
}

type target struct {
	asked   string // as the client named it: the aud of a v1 token
	appID   string // the aud of a v2 token
	name    string
	version int // of its tokens: 1 or 2
	graph   bool

	assigned bool // only clients with an app role get a token
}

// resource finds who is meant by an identifier: an application of the tenant, or
// one of Microsoft's resources. Case and a trailing slash make no difference to
// who it is; the token's aud keeps both.
func (s *Service) resource(tenantID, asked string) (target, bool) {
	plain := strings.TrimRight(strings.TrimPrefix(asked, "spn:"), "/")
	for _, uri := range []string{asked, plain} {
		if p, ok := s.config.Directory.ResourceByURI(tenantID, uri); ok && p.Kind == directory.Application {
			return target{asked: asked, appID: p.ClientID, name: p.DisplayName, version: max(p.AccessTokenVersion, 1), assigned: p.AssignmentRequired}, true
		}
	}
	w := findResource(s.resources, plain)
	if w == nil {
		return target{}, false
	}
	return target{asked: asked, appID: w.appID, name: w.name, version: max(w.version, 1), graph: w.graph}, true
}
