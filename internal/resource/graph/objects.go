package graph

import (
	"cmp"
	"crypto/sha1" // customKeyIdentifier is the thumbprint
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/directory"
)

// The kinds of object, with the properties that a directory can fill, in the
// order of Graph's answers.
// Source of applications and service principals: azure-cli, src/azure-cli/azure/cli/
// command_modules/role/tests/latest/recordings (test_app_scenario.yaml of 2022-06 and
// test_sp_credential.yaml of 2022-05).
var organizationKind = collection{kind: "microsoft.graph.organization", prototype: organizationEntity(directory.Tenant{}), filterable: []string{"id", "displayName"}}

var servicePrincipalKind = collection{
	kind: "microsoft.graph.servicePrincipal", prototype: servicePrincipalEntity("", &directory.Principal{}),
	filterable: []string{"id", "appId", "displayName", "accountEnabled", "servicePrincipalType"}, texts: []string{"displayName"}, lists: []string{"servicePrincipalNames", "alternativeNames", "tags"},
}

var applicationKind = collection{
	kind: "microsoft.graph.application", prototype: applicationEntity("", &directory.Principal{}),
	filterable: []string{"id", "appId", "displayName", "uniqueName"}, texts: []string{"displayName"}, lists: []string{"identifierUris", "tags"},
}

// Only these three can be filtered by (azwi: pkg/cloud/graph.go).
var federatedKind = collection{kind: "microsoft.graph.federatedIdentityCredential", prototype: federatedEntity(directory.FederatedCredential{}, true), filterable: []string{"id", "name", "subject"}, exact: true}

var assignmentKind = collection{kind: "microsoft.graph.appRoleAssignment", prototype: assignmentEntity(assignment{}), filterable: []string{"id", "principalId", "resourceId", "appRoleId"}}

var objectKind = collection{kind: "microsoft.graph.directoryObject", prototype: entity{{"id", ""}, {"deletedDateTime", nil}, {"displayName", ""}, {"appId", ""}}, filterable: []string{"id", "displayName", "appId"}}

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

// member is a property that clients write and nothing here depends on.
type member struct {
	name     string
	form     form
	fallback string // in JSON, what it is before it is written
	value    any    // fallback as a value of an entity
}

func newMember(name string, f form, fallback string) member {
	m := member{name, f, fallback, json.RawMessage(fallback)}
	if f == texts {
		m.value = []string{}
	}
	return m
}

// Values that most objects have. They are made once, since lists have thousands of objects.
var (
	noEntities   any = []entity{}
	noTexts      any = []string{}
	unverified   any = json.RawMessage(`{"displayName":null,"verifiedPublisherId":null,"addedDateTime":null}`)
	noStructures any = json.RawMessage("[]")
	audience         = newMember("signInAudience", anyText, `"AzureADMyOrg"`)
)

// form is what the value of a property is, apart from null.
type form int

const (
	anyText form = iota
	boolean
	texts
	structure
	structures
)

const info = `{"logoUrl":null,"marketingUrl":null,"privacyStatementUrl":null,"supportUrl":null,"termsOfServiceUrl":null}`

// The properties of applications that are stored, and that the token service goes by, too.
const (
	fallbackPublicClient = "isFallbackPublicClient"
	apiMember            = "api"
)

var applicationMembers = []member{
	newMember("applicationTemplateId", anyText, "null"),
	newMember("description", anyText, "null"),
	newMember("groupMembershipClaims", anyText, "null"),
	newMember("isDeviceOnlyAuthSupported", boolean, "null"),
	newMember(fallbackPublicClient, boolean, "null"),
	newMember("notes", anyText, "null"),
	newMember("serviceManagementReference", anyText, "null"),
	audience,
	newMember("tags", texts, "[]"),
	newMember("tokenEncryptionKeyId", anyText, "null"),
	newMember("samlMetadataUrl", anyText, "null"),
	newMember("defaultRedirectUri", anyText, "null"),
	newMember("optionalClaims", structure, "null"),
	newMember("servicePrincipalLockConfiguration", structure, "null"),
	newMember("addIns", structures, "[]"),
	newMember(apiMember, structure, `{"acceptMappedClaims":null,"knownClientApplications":[],"requestedAccessTokenVersion":null,"oauth2PermissionScopes":[],"preAuthorizedApplications":[]}`),
	newMember("info", structure, info),
	newMember("parentalControlSettings", structure, `{"countriesBlockedForMinors":[],"legalAgeGroupRule":"Allow"}`),
	newMember("publicClient", structure, `{"redirectUris":[]}`),
	newMember("requiredResourceAccess", structures, "[]"),
	newMember("web", structure, `{"homePageUrl":null,"logoutUrl":null,"redirectUris":[],"implicitGrantSettings":{"enableAccessTokenIssuance":false,"enableIdTokenIssuance":false}}`),
	newMember("spa", structure, `{"redirectUris":[]}`),
}

// requirePostResponse is known to beta alone.
// Source: microsoftgraph/msgraph-metadata#273, by hashicorp/terraform-provider-azuread.
var requirePostResponse = newMember("oauth2RequirePostResponse", boolean, "false")

var servicePrincipalMembers = []member{
	newMember("alternativeNames", texts, "[]"),
	newMember("description", anyText, "null"),
	newMember("homepage", anyText, "null"),
	newMember("loginUrl", anyText, "null"),
	newMember("logoutUrl", anyText, "null"),
	newMember("notes", anyText, "null"),
	newMember("notificationEmailAddresses", texts, "[]"),
	newMember("preferredSingleSignOnMode", anyText, "null"),
	newMember("replyUrls", texts, "[]"),
	newMember("tags", texts, "[]"),
	newMember("tokenEncryptionKeyId", anyText, "null"),
	newMember("samlSingleSignOnSettings", structure, "null"),
	newMember("addIns", structures, "[]"),
	newMember("info", structure, info),
}

// memberValue is a property as it was written, or its fallback.
func memberValue(written map[string]json.RawMessage, m member) any {
	if value, ok := written[m.name]; ok {
		if m.form == texts {
			var list []string
			if json.Unmarshal(value, &list) == nil && list != nil {
				return list // so that any can filter by it
			}
		}
		return value
	}
	return m.value
}

// graphOf is what Graph was told of a principal.
func graphOf(p *directory.Principal) *directory.GraphObject {
	if p.Graph != nil {
		return p.Graph
	}
	return &none
}

var none directory.GraphObject // never changed

func servicePrincipalEntity(tenant string, p *directory.Principal) entity {
	kind, owner := "Application", any(tenant)
	g := graphOf(p)
	names := append([]string{p.ClientID}, p.IdentifierURIs...)
	if p.Kind == directory.ManagedIdentity {
		kind, owner = "ManagedIdentity", nil
	}
	e := entity{
		{"id", p.ObjectID},
		{"deletedDateTime", nil},
		{"accountEnabled", !p.Disabled},
		{"appDisplayName", p.DisplayName},
		{"appDescription", nil},
		{"appId", p.ClientID},
		{"applicationTemplateId", nil},
		{"appOwnerOrganizationId", owner},
		{"appRoleAssignmentRequired", p.AssignmentRequired},
		{"createdDateTime", date(servicePrincipalSince(p))},
		{"disabledByMicrosoftStatus", nil},
		{"displayName", p.DisplayName},
		{"servicePrincipalNames", names},
		{"servicePrincipalType", kind},
		{"signInAudience", memberValue(g.Application, audience)},
		{"verifiedPublisher", unverified},
		{"appRoles", appRoleEntities(g.AppRoles)},
		{"keyCredentials", keyCredentials(p, true, false)},
		{"oauth2PermissionScopes", noStructures},
		{"passwordCredentials", passwordCredentials(p, true)},
		{"resourceSpecificApplicationPermissions", noStructures},
	}
	for _, m := range servicePrincipalMembers {
		value := memberValue(g.ServicePrincipal, m)
		if m.name == "alternativeNames" && p.Kind == directory.ManagedIdentity {
			value = managedIdentityNames(p)
		}
		e = append(e, property{m.name, value})
	}
	return e
}

// servicePrincipalSince is when the service principal was made; zero if it has always been there.
func servicePrincipalSince(p *directory.Principal) time.Time {
	if at := graphOf(p).ServicePrincipalCreatedAt; !at.IsZero() {
		return at
	}
	return p.CreatedAt
}

func managedIdentityNames(p *directory.Principal) []string {
	names := []string{"isExplicit=True"}
	if p.ResourceID != "" {
		names = append(names, p.ResourceID)
	}
	return names
}

func applicationEntity(domain string, p *directory.Principal) entity {
	g := graphOf(p)
	uris := noTexts
	if len(p.IdentifierURIs) > 0 {
		uris = p.IdentifierURIs
	}
	e := make(entity, 0, 16+len(applicationMembers))
	e = append(e,
		property{"id", p.ApplicationObjectID},
		property{"deletedDateTime", nil},
		property{"appId", p.ClientID},
		property{"disabledByMicrosoftStatus", nil},
		property{"createdDateTime", date(p.CreatedAt)},
		property{"displayName", p.DisplayName},
		property{"identifierUris", uris},
		property{"publisherDomain", textOrNull(domain)},
		property{"uniqueName", textOrNull(g.UniqueName)},
		property{"certification", nil},
		property{"appRoles", appRoleEntities(g.AppRoles)},
		property{"keyCredentials", keyCredentials(p, false, false)},
		property{"passwordCredentials", passwordCredentials(p, false)},
		property{"verifiedPublisher", unverified},
	)
	for _, m := range applicationMembers {
		e = append(e, property{m.name, effective(p, m, memberValue(g.Application, m))})
	}
	return e
}

// effective is the value of a property of an application, given what was written: the token service
// goes by the principal, which wiemu.yaml and the control API change, too.
func effective(p *directory.Principal, m member, written any) any {
	switch raw, _ := written.(json.RawMessage); {
	case m.name == fallbackPublicClient && p.PublicClient:
		return true
	case m.name == fallbackPublicClient && string(raw) == "true":
		return false
	case m.name == apiMember && string(raw) != "null":
		return withTokenVersion(raw, m.fallback, p.AccessTokenVersion)
	case m.name == apiMember && p.AccessTokenVersion != 0:
		return withTokenVersion(json.RawMessage(m.fallback), m.fallback, p.AccessTokenVersion)
	}
	return written
}

// withTokenVersion is the property api with the version of access tokens; 0 is null.
func withTokenVersion(api json.RawMessage, fallback string, version int) json.RawMessage {
	const name, none = `"requestedAccessTokenVersion":`, `"requestedAccessTokenVersion":null`
	if string(api) != fallback {
		number := "null"
		if version != 0 {
			number = strconv.Itoa(version)
		}
		return merged(api, json.RawMessage("{"+name+number+"}"))
	}
	if version == 0 {
		return api
	}
	return json.RawMessage(strings.Replace(fallback, none, name+strconv.Itoa(version), 1))
}

// textOrNull is a text, or null if it is empty.
func textOrNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func appRoleEntities(all []directory.AppRole) any {
	if len(all) == 0 {
		return noEntities
	}
	entities := make([]entity, len(all))
	for i, r := range all {
		entities[i] = entity{
			{"allowedMemberTypes", append([]string{}, r.AllowedMemberTypes...)},
			{"description", r.Description},
			{"displayName", r.DisplayName},
			{"id", r.ID},
			{"isEnabled", r.Enabled},
			{"origin", "Application"},
			{"value", textOrNull(r.Value)},
		}
	}
	return entities
}

// keyCredentials are the certificates, with themselves only if they are asked for by $select.
func keyCredentials(p *directory.Principal, ofServicePrincipal, shown bool) any {
	if len(p.Certificates) == 0 {
		return noEntities
	}
	all := []entity{}
	for _, c := range p.Certificates {
		if c.OfServicePrincipal == ofServicePrincipal {
			all = append(all, keyCredential(c, shown))
		}
	}
	return all
}

func keyCredential(c directory.Certificate, shown bool) entity {
	var key any
	if shown {
		key = encodedKey(c.DER)
	}
	thumbprint := sha1.Sum(c.DER)
	return entity{
		{"customKeyIdentifier", strings.ToUpper(hex.EncodeToString(thumbprint[:]))},
		{"displayName", cmp.Or(c.DisplayName, subject(c.DER))},
		{"endDateTime", date(c.End)},
		{"key", key},
		{"keyId", c.ID},
		{"startDateTime", date(c.Start)},
		{"type", "AsymmetricX509Cert"},
		{"usage", "Verify"},
	}
}

// subject is that of a certificate, as Graph names a key credential without a name.
func subject(der []byte) string {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return ""
	}
	return certificate.Subject.String()
}

// passwordCredentials never contains a secret, as in Graph.
func passwordCredentials(p *directory.Principal, ofServicePrincipal bool) any {
	if len(p.Secrets) == 0 {
		return noEntities
	}
	all := []entity{}
	for _, s := range p.Secrets {
		if s.OfServicePrincipal == ofServicePrincipal {
			all = append(all, passwordCredential(s, nil))
		}
	}
	return all
}

func passwordCredential(s directory.Secret, text any) entity {
	return entity{
		{"customKeyIdentifier", nil},
		{"displayName", textOrNull(s.DisplayName)},
		{"endDateTime", date(s.End)},
		{"hint", s.Value[:min(3, len(s.Value))]},
		{"keyId", s.ID},
		{"secretText", text},
		{"startDateTime", date(s.Start)},
	}
}

func date(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}

// federatedEntity is a federated credential as v1.0 shows it, or as beta does, which knows of
// flexible ones.
func federatedEntity(c directory.FederatedCredential, beta bool) entity {
	var subject, expression any
	if c.ClaimsMatching == "" {
		subject = c.Subject
	} else {
		expression = entity{{"value", c.ClaimsMatching}, {"languageVersion", 1}}
	}
	e := entity{
		{"id", c.ID},
		{"name", c.Name},
		{"issuer", c.Issuer},
		{"subject", subject},
		{"description", textOrNull(c.Description)},
		{"audiences", []string{c.Audience}},
	}
	if beta {
		e = append(e, property{"claimsMatchingExpression", expression})
	}
	return e
}
