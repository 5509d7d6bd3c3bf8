package graph

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/directory"
)

// The kinds of object, with the properties that a directory can fill, in the
// order of Graph's answers.
var organizationKind = collection{kind: "microsoft.graph.organization", prototype: organizationEntity(directory.Tenant{}), filterable: []string{"id", "displayName"}}

var servicePrincipalKind = collection{kind: "microsoft.graph.servicePrincipal", prototype: servicePrincipalEntity("", &directory.Principal{}), filterable: []string{"id", "appId", "displayName", "accountEnabled", "servicePrincipalType"}}

var applicationKind = collection{kind: "microsoft.graph.application", prototype: applicationEntity(&directory.Principal{}), filterable: []string{"id", "appId", "displayName"}}

// Only these three can be filtered by (azwi: pkg/cloud/graph.go).
var federatedKind = collection{kind: "microsoft.graph.federatedIdentityCredential", prototype: federatedEntity(directory.FederatedCredential{}), filterable: []string{"id", "name", "subject"}, exact: true}

func organizationEntity(t directory.Tenant) entity {
	domains := []entity{}
	for i, name := range t.Domains {
		domains = append(domains, entity{
			{"capabilities", "Email, OfficeCommunicationsOnline"},
			{"isDefault", i == 0},
			{"isInitial", i == len(t.Domains)-1},
			{"name", name},
			{"type", "Managed"},
		})
	}
	return entity{
		{"id", t.ID},
		{"deletedDateTime", nil},
		{"displayName", t.DisplayName},
		{"tenantType", "AAD"},
		{"verifiedDomains", domains},
	}
}

func servicePrincipalEntity(tenant string, p *directory.Principal) entity {
	kind, alternative := "Application", []string{}
	if p.Kind == directory.ManagedIdentity {
		kind = "ManagedIdentity"
		alternative = append(alternative, "isExplicit=True")
		if p.ResourceID != "" {
			alternative = append(alternative, p.ResourceID)
		}
	}
	var owner any = tenant
	if p.Kind == directory.ManagedIdentity {
		owner = nil
	}
	return entity{
		{"id", p.ObjectID},
		{"deletedDateTime", nil},
		{"accountEnabled", !p.Disabled},
		{"alternativeNames", alternative},
		{"appDisplayName", p.DisplayName},
		{"appId", p.ClientID},
		{"appOwnerOrganizationId", owner},
		{"displayName", p.DisplayName},
		{"servicePrincipalNames", append([]string{p.ClientID}, p.IdentifierURIs...)},
		{"servicePrincipalType", kind},
		{"signInAudience", "AzureADMyOrg"},
		{"tags", []string{}},
		{"appRoles", []any{}},
		{"keyCredentials", []any{}},
		{"passwordCredentials", []any{}},
	}
}

func applicationEntity(p *directory.Principal) entity {
	var version any
	if p.AccessTokenVersion != 0 {
		version = p.AccessTokenVersion
	}
	uris := append([]string{}, p.IdentifierURIs...)
	return entity{
		{"id", p.ApplicationObjectID},
		{"deletedDateTime", nil},
		{"appId", p.ClientID},
		{"displayName", p.DisplayName},
		{"identifierUris", uris},
		{"signInAudience", "AzureADMyOrg"},
		{"api", entity{{"requestedAccessTokenVersion", version}}},
		{"appRoles", []any{}},
		{"keyCredentials", keyCredentials(p)},
		{"passwordCredentials", passwordCredentials(p)},
	}
}

func keyCredentials(p *directory.Principal) []entity {
	all := []entity{}
	for _, c := range p.Certificates {
		all = append(all, entity{
			{"endDateTime", date(c.End)},
			{"keyId", c.ID},
			{"startDateTime", date(c.Start)},
			{"type", "AsymmetricX509Cert"},
			{"usage", "Verify"},
			{"key", nil},
		})
	}
	return all
}

// passwordCredentials never contains a secret, as in Graph.
func passwordCredentials(p *directory.Principal) []entity {
	all := []entity{}
	for _, s := range p.Secrets {
		all = append(all, entity{
			{"displayName", s.DisplayName},
			{"endDateTime", date(s.End)},
			{"keyId", s.ID},
			{"secretText", nil},
			{"startDateTime", date(s.Start)},
		})
	}
	return all
}

func date(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}

func federatedEntity(c directory.FederatedCredential) entity {
	var description any
	if c.Description != "" {
		description = c.Description
	}
	return entity{
		{"id", c.ID},
		{"name", c.Name},
		{"issuer", c.Issuer},
		{"subject", c.Subject},
		{"description", description},
		{"audiences", []string{c.Audience}},
	}
}

type property struct {
	name  string
	value any
}

// entity is an object whose members keep their order.
type entity []property

func (e entity) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range e {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(p.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(p.value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// get returns a member, its name in any case.
func (e entity) get(name string) (property, bool) {
	i := slices.IndexFunc(e, func(p property) bool { return strings.EqualFold(p.name, name) })
	if i < 0 {
		return property{}, false
	}
	return e[i], true
}

// only returns the members with these names, in the entity's order.
func (e entity) only(names []string) entity {
	return slices.DeleteFunc(slices.Clone(e), func(p property) bool { return !slices.Contains(names, p.name) })
}

// equals compares a member with a literal of a $filter. GUIDs and names ignore
// case, as directory objects do; exact says that this one does not.
func (e entity) equals(c comparison, exact bool) bool {
	p, ok := e.get(c.property)
	if !ok {
		return false
	}
	switch v := p.value.(type) {
	case string:
		return v == c.value || !exact && strings.EqualFold(v, c.value)
	case bool:
		return c.value == map[bool]string{true: "true", false: "false"}[v]
	case nil:
		return c.value == "null"
	default:
		return false
	}
}
