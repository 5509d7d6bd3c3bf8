package entra

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/entra/aadsts"
	"github.com/wiemu/wiemu/internal/lazyregexp"
)

const (
	clientCredentials = "client_credentials"
	// Source: RFC 7523 §2.2.
	jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	emptyGUID = "00000000-0000-0000-0000-000000000000"
)

func checkMethod(_ context.Context, x *exchange) result {
	f := result{expected: http.MethodPost, presented: x.request.http.method}
	if f.presented != "" && f.presented != f.expected {
		f.refusal = aadsts.WrongMethod("POST, OPTIONS", f.presented)
	}
	return f
}

func checkForm(_ context.Context, x *exchange) result {
	a := &x.request.http
	return result{
		expected: "application/x-www-form-urlencoded or multipart/form-data", presented: clipped(a.contentType),
		note: a.problem, refusal: a.refusal,
	}
}

func checkGrant(_ context.Context, x *exchange) result {
	f := result{expected: clientCredentials, presented: x.request.GrantType}
	switch f.presented {
	case f.expected:
	case "":
		f.refusal = x.missingParameter("grant_type")
	default:
		f.refusal = aadsts.UnsupportedGrantType(f.presented)
	}
	return f
}

// missingParameter refuses a request without a parameter, and says why it is not there if
// the body or the address shows that.
func (x *exchange) missingParameter(name string) *aadsts.Error {
	a := &x.request.http
	switch {
	case a.json:
		return aadsts.ParameterInJSON(name, a.contentType)
	case slices.Contains(a.inURL, name):
		return aadsts.ParameterInURL(name)
	case a.encoding != "":
		return aadsts.ParameterCompressed(name, a.encoding)
	}
	return aadsts.MissingParameter(name)
}

func checkTenant(_ context.Context, x *exchange) result {
	asked := x.request.Tenant
	f := result{expected: "the id or a domain of a tenant", presented: asked}
	tenant, ok := x.service.config.Directory.Tenant(asked)
	switch {
	case ok:
		x.tenant = tenant
		f.expected = tenant.ID
	case isSharedTenant(asked):
		f.refusal = aadsts.NoTenant()
		if host, named := x.tenantOfScope(); named {
			f.presented = host
			f.note = "the host of the scope, since nothing else names a tenant"
			if x.tenant, ok = x.service.config.Directory.Tenant(host); ok && isDomain(host) {
				f.expected, f.refusal = x.tenant.ID, nil
			} else {
				f.refusal = aadsts.TenantFromScope(host)
			}
		}
	default:
		f.refusal = refuseTenant(asked)
	}
	return f
}

// checkCloud refuses clients that ask at a login host of another cloud. That it
// comes before the application is looked up, which that cloud does not know, is
// inferred.
func checkCloud(_ context.Context, x *exchange) result {
	in := x.service.config.Cloud
	return result{
		expected: "a login host of " + in.Name + ", such as " + in.Login, presented: x.request.Host,
		refusal: aadsts.CrossCloud(x.request.Host, in.Name, in.Login),
	}
}

// tenantOfScope is where Entra ID looks for the tenant of a client that presents
// itself in the Authorization header at a shared endpoint: the host of the
// scope's api:// address, even if that is an application's id.
// Source: MicrosoftDocs/azure-docs#100978 (2022). That a domain there is accepted
// is inferred.
func (x *exchange) tenantOfScope() (host string, named bool) {
	if !x.request.http.basic {
		return "", false
	}
	rest, ok := strings.CutPrefix(x.request.Scope, "api://")
	host, _, _ = strings.Cut(rest, "/")
	return host, ok && host != ""
}

// refuseTenant says what is wrong with a tenant that does not exist.
func refuseTenant(asked string) *aadsts.Error {
	switch _, isGUID := parseGUID(asked); {
	case asked == emptyGUID:
		return aadsts.EmptyTenant(asked)
	case isGUID || isDomain(asked):
		return aadsts.UnknownTenant(asked)
	default:
		return aadsts.InvalidTenant(asked)
	}
}

// isSharedTenant reports whether a tenant stands for many.
func isSharedTenant(tenant string) bool {
	return slices.Contains([]string{"common", "organizations", "consumers"}, strings.ToLower(tenant))
}

// label is what stands between the dots of a DNS name.
const label = `[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?`

var (
	labelForm  = lazyregexp.New(`^` + label + `$`)
	domainForm = lazyregexp.New(`^(` + label + `\.)+` + label + `$`)
)

// isDomain reports whether s has the form of a DNS name with a dot. A single
// word is refused as invalid, not as unknown (seen: "undefined").
func isDomain(s string) bool { return len(s) <= 253 && domainForm().MatchString(s) }

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// checkScope reads what resource is asked for; whether there is one is looked at
// last, when the client is known.
func checkScope(_ context.Context, x *exchange) result {
	if x.request.Version == 1 {
		f := result{expected: "resource=RESOURCE", presented: x.request.Resource}
		if x.target.asked = x.request.Resource; x.target.asked == "" {
			x.target.asked, f.note = defaultResource, "no resource was named, so it is Azure AD Graph"
		}
		return f
	}
	f := result{expected: "scope=RESOURCE/.default", presented: clipped(x.request.Scope)}
	if x.request.Resource != "" {
		f.presented, f.refusal = "resource="+clipped(x.request.Resource), aadsts.ResourceNotSupported()
		return f
	}
	if x.request.Scope == "" {
		f.refusal = x.missingParameter("scope")
		return f
	}
	x.target.asked, f.refusal = resourceOf(x.request.Scope)
	return f
}

// defaultResource is what the v1 endpoint gives a token for when none is named:
// Azure AD Graph.
// Source: IdentityModel/IdentityModel#74 (2017), jumbojett/OpenID-Connect-PHP#284
// (2022).
const defaultResource = "00000002-0000-0000-c000-000000000000"

// maxScope is the longest scope that is looked at, in bytes.
const maxScope = 4096

// resourceOf is what a v2 scope asks a token for: everything before the last
// slash of RESOURCE/.default, so that https://database.windows.net//.default
// asks for https://database.windows.net/ . OpenID scopes, which azidentity
// always sends along, ask for nothing without a user.
func resourceOf(scope string) (string, *aadsts.Error) {
	if scope == "" {
		return "", aadsts.MissingParameter("scope")
	}
	if len(scope) > maxScope {
		return "", aadsts.InvalidScope(scope)
	}
	var resource string
	var defaults, others int
	for s := range strings.FieldsSeq(scope) {
		asked, isDefault := strings.CutSuffix(s, "/.default")
		switch {
		case slices.Contains([]string{"openid", "offline_access", "profile", "email"}, s):
		case !isDefault || asked == "":
			others++
		case resource != "" && asked != resource:
			return "", aadsts.SeveralResources()
		default:
			resource = asked
			defaults++
		}
	}
	switch {
	case defaults == 0:
		return "", aadsts.NotDefaultScope(scope)
	case others > 0:
		return "", aadsts.InvalidScope(scope)
	}
	return resource, nil
}

// checkClaimsRequest looks at the claims parameter, by which clients say that
// they understand continuous access evaluation. That a malformed one is refused,
// and how, is inferred.
func checkClaimsRequest(_ context.Context, x *exchange) result {
	f := result{expected: "a claims request, JSON", presented: clipped(x.request.Claims)}
	var asked struct {
		AccessToken struct {
			Capabilities struct {
				Values []string `json:"values"`
			} `json:"xms_cc"`
		} `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(x.request.Claims), &asked); err != nil {
		f.note, f.refusal = err.Error(), aadsts.MalformedRequest()
	}
	for _, c := range asked.AccessToken.Capabilities.Values {
		if strings.EqualFold(c, "cp1") { // the one capability that Entra ID knows, in the client's spelling
			x.capabilities = []string{c}
		}
	}
	return f
}

func checkClientID(_ context.Context, x *exchange) result {
	f := result{expected: "a GUID", presented: clipped(x.request.ClientID)}
	switch x.request.ClientID {
	case "":
		f.refusal = x.missingParameter("client_id")
	case emptyGUID:
		f.refusal = aadsts.EmptyClientID(x.request.ClientID)
	}
	return f
}

func checkApplication(_ context.Context, x *exchange) result {
	f := result{expected: "an application or managed identity of tenant " + x.tenant.ID, presented: clipped(x.request.ClientID)}
	principal, ok := x.service.config.Directory.Principal(x.tenant.ID, x.request.ClientID)
	if ok {
		x.principal, f.note = principal, kindNote(principal)
		if principal.NoServicePrincipal {
			f.note += ", without a service principal"
			f.refusal = aadsts.NoServicePrincipal(principal.ClientID, x.tenant.ID)
		}
		return f
	}
	f.refusal = aadsts.UnknownApplication(x.request.ClientID, x.tenant.DisplayName)
	if _, isGUID := parseGUID(x.request.ClientID); !isGUID {
		f.refusal = aadsts.ClientIDNoGUID(x.request.ClientID, x.tenant.DisplayName)
	}
	if elsewhere, p, ok := x.service.config.Directory.PrincipalElsewhere(x.request.ClientID); ok {
		f.note = fmt.Sprintf("tenant %s has it (%s)", elsewhere, p.DisplayName)
		x.hint = fmt.Sprintf("Set AZURE_TENANT_ID to %s, where the application is.", elsewhere)
	}
	return f
}

func kindNote(p *directory.Principal) string {
	if p.Kind == directory.ManagedIdentity {
		return "managed identity " + p.DisplayName
	}
	return "app registration " + p.DisplayName
}

func checkEnabled(_ context.Context, x *exchange) result {
	if x.principal.Disabled {
		return result{expected: "enabled", presented: "disabled", refusal: aadsts.DisabledApplication(x.principal.ClientID, x.principal.DisplayName)}
	}
	return result{expected: "enabled", presented: "enabled"}
}

func checkCredential(_ context.Context, x *exchange) result {
	f := result{expected: "client_assertion or client_secret"}
	hasSecret, hasAssertion := x.request.ClientSecret != "", x.request.Assertion != ""
	switch {
	case x.request.host != nil:
		f.expected, f.presented = "a managed identity assigned to the host", x.request.host.Service
		f.note = "Azure itself vouches for it"
	case hasSecret && hasAssertion:
		f.presented, f.refusal = "both", aadsts.SeveralClientCredentials()
	case hasAssertion:
		f.presented = "client_assertion"
	case hasSecret:
		f.presented = "client_secret"
	default:
		f.presented, f.refusal = "neither", aadsts.MissingClientCredential()
		for _, name := range []string{"client_secret", "client_assertion"} {
			if slices.Contains(x.request.http.inURL, name) {
				f.note = name + " stands in the URL, where it is not looked for"
				x.hint = name + " stands in the URL: move it into the body, and replace it, since URLs are in logs."
			}
		}
	}
	return f
}

func checkConfidential(_ context.Context, x *exchange) result {
	if x.principal.PublicClient {
		return result{expected: "a confidential client", presented: "a public client", refusal: aadsts.PublicClient()}
	}
	return result{expected: "a confidential client", presented: "a confidential client"}
}

// checkRegion refuses applications at a regional endpoint, which serves managed
// identities and Microsoft's own services. That it takes the federated assertion
// of a managed identity is inferred from the text of 100007.
func checkRegion(_ context.Context, x *exchange) result {
	f := result{expected: "a managed identity", presented: kindNote(x.principal)}
	if x.principal.Kind != directory.ManagedIdentity {
		f.refusal = aadsts.RegionalOnly()
	}
	return f
}

func checkAssertionType(_ context.Context, x *exchange) result {
	f := result{expected: jwtBearer, presented: x.request.AssertionType}
	switch x.request.AssertionType {
	case jwtBearer:
	case "":
		f.refusal = x.missingParameter("client_assertion_type")
	default:
		f.refusal = aadsts.WrongAssertionType(x.request.AssertionType)
	}
	return f
}

func checkResource(_ context.Context, x *exchange) result {
	f := result{expected: "a resource that tenant " + x.tenant.ID + " knows", presented: x.target.asked}
	if x.target.asked == "" {
		return f
	}
	target, ok := x.service.resource(x.tenant.ID, x.target.asked)
	if !ok {
		f.refusal = aadsts.UnknownResource(x.target.asked, x.tenant.ID)
		return f
	}
	x.target, f.note = target, target.name
	return f
}

// checkAssigned looks whether the token would carry an app role, if the resource
// demands one.
func checkAssigned(_ context.Context, x *exchange) result {
	if !x.target.assigned {
		return result{expected: "anybody", presented: x.principal.DisplayName}
	}
	f := result{expected: "an app role of " + x.target.name, presented: strings.Join(x.roles(), " ")}
	switch {
	case f.presented != "":
	case x.assignedTo():
		f.presented = "access without a role"
	default:
		f.presented = "none"
		f.refusal = aadsts.NotAssigned(x.principal.ClientID, x.principal.DisplayName, x.target.appID, x.target.name)
	}
	return f
}
