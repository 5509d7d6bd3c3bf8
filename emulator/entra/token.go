package entra

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/entra/aadsts"
	"github.com/wiemu/wiemu/emulator/keyring"
)

// backDated is by how much iat and nbf lie in the past.
// Source: tokens decoded from recordings: exp - iat is expires_in + 301 s.
const backDated = 5 * time.Minute

// issue makes the access token that passing all checks has earned.
func (x *exchange) issue(ctx context.Context) Token {
	lifetime := x.lifetime().Truncate(time.Second)
	t := Token{
		Resource:  x.resourceName(),
		NotBefore: x.now.Add(-backDated).Truncate(time.Second),
		ExpiresAt: x.now.Add(lifetime).Truncate(time.Second),
		ExpiresIn: max(lifetime-time.Second, 0),
		UTI:       base64.RawURLEncoding.EncodeToString(littleEndian(x.request.TraceID)),
	}
	x.spoil(ctx, &t)
	header, claims := headerV1, x.claimsV1(t)
	if x.target.version == 2 {
		header, claims = headerV2, x.claimsV2(t)
	}
	signed, _, err := x.service.keys.Sign(header, claims)
	if err != nil {
		x.refusal, x.hint = aadsts.Unavailable(), "The emulator could not sign the token: "+err.Error()+"."
		return Token{}
	}
	t.AccessToken = signed
	return t
}

// evaluatedLifetime is that of a token which its resource evaluates continuously:
// it need not be short, since it can be taken back.
// Source: entra-docs, docs/identity/conditional-access/concept-continuous-access-evaluation-workload.md.
const evaluatedLifetime = 24 * time.Hour

// lifetime is that of the principal, or a day for a token that is evaluated
// continuously and whose principal has no lifetime of its own.
func (x *exchange) lifetime() time.Duration {
	if x.evaluated() && x.principal.TokenLifetime == 0 {
		return evaluatedLifetime
	}
	return x.principal.Lifetime()
}

// evaluated reports whether the token is evaluated continuously: the client said
// that it understands claims challenges. Graph alone does it, and for
// applications alone.
func (x *exchange) evaluated() bool {
	return x.target.graph && len(x.capabilities) > 0 && x.principal.Kind == directory.Application
}

// resourceName is the resource as a v1 reply and the aud of a v1 token name it:
// as the client did. To a bare GUID the v1 endpoint adds "spn:" if it was asked
// with api-version=1.0, which ADAL and go-autorest send and plain clients do not.
// Source: a maintainer of ADAL in AzureAD/azure-activedirectory-library-for-nodejs#128
// (2017); Azure/kubelogin#331 (2023); argoproj-labs/argocd-vault-plugin#621 (2024).
func (x *exchange) resourceName() string {
	_, bare := parseGUID(x.target.asked)
	if r := &x.request; bare && r.Version == 1 && r.host == nil && r.arrived.apiVersion == "1.0" {
		return "spn:" + x.target.asked
	}
	return x.target.asked
}

// headerV1 and headerV2 are Entra ID's headers, member for member in its order.
func headerV1(k keyring.Key) string {
	return `{"typ":"JWT","alg":"RS256","x5t":"` + k.ID + `","kid":"` + k.ID + `"}`
}

func headerV2(k keyring.Key) string { return `{"typ":"JWT","alg":"RS256","kid":"` + k.ID + `"}` }

// claimsV1 is the payload of a v1 token, in the order of the real ones.
// Source: a token recorded by azure-sdk-for-js (2021), decoded.
func (x *exchange) claimsV1(t Token) []byte {
	p, issuer := x.principal, x.service.cloud.IssuerV1(x.tenant.ID)
	c := newClaims()
	c.text("aud", x.resourceName())
	c.text("iss", issuer)
	c.times(t)
	c.text("aio", x.service.opaque())
	if x.target.graph {
		c.text("app_displayname", p.DisplayName)
	}
	c.text("appid", p.ClientID)
	c.text("appidacr", x.strength())
	c.text("idp", issuer)
	c.text("idtyp", "app")
	c.text("oid", p.ObjectID)
	c.text("rh", x.resourceHint())
	c.list("roles", x.roles())
	c.text("sub", p.ObjectID)
	if x.target.graph {
		c.text("tenant_region_scope", "WW")
	}
	c.text("tid", x.tenant.ID)
	c.text("uti", t.UTI)
	c.text("ver", "1.0")
	if x.target.graph {
		c.list("wids", []string{"0997a1d0-0d1d-4acb-b408-d5ca73121e90"}) // what every principal has that has no role
		if x.evaluated() {
			c.list("xms_cc", x.capabilities)
		}
		c.text("xms_ftd", x.service.opaque())
	}
	if x.request.host != nil {
		c.text("xms_az_rid", x.request.host.ResourceID)
	}
	c.text("xms_mirid", managedIdentityResource(p))
	if x.evaluated() {
		c.text("xms_ssm", "1") // seen in tests of Azure CLI and azure-identity, for users; for applications inferred
	}
	return c.end()
}

// claimsV2 is the payload of a v2 token.
// Source: the claim names recorded in 2026-08.
func (x *exchange) claimsV2(t Token) []byte {
	p := x.principal
	c := newClaims()
	c.text("aud", x.target.appID)
	c.text("iss", x.service.cloud.IssuerV2(x.tenant.ID))
	c.times(t)
	c.text("aio", x.service.opaque())
	c.text("azp", p.ClientID)
	c.text("azpacr", x.strength())
	c.text("oid", p.ObjectID)
	c.text("rh", x.resourceHint())
	c.list("roles", x.roles())
	c.text("sub", p.ObjectID)
	c.text("tid", x.tenant.ID)
	c.text("uti", t.UTI)
	c.text("ver", "2.0")
	c.text("xms_ftd", x.service.opaque())
	c.text("xms_mirid", managedIdentityResource(p))
	return c.end()
}

// strength is how the client authenticated itself: 1 a secret, 2 a certificate
// or an assertion, as Azure's hosts present for managed identities.
func (x *exchange) strength() string {
	if x.request.Assertion == "" && x.request.host == nil {
		return "1"
	}
	return "2"
}

// roles are the application permissions that the token carries: those for Graph
// and for applications of the tenant; Azure's own resources use role assignments.
func (x *exchange) roles() []string {
	if _, azure := x.service.resources[x.target.appID]; azure && !x.target.graph {
		return nil
	}
	return x.principal.AppRoles
}

// managedIdentityResource is the Azure resource id as tokens spell it, with
// "resourcegroups" in lower case; "" for an application.
func managedIdentityResource(p *directory.Principal) string {
	if p.Kind != directory.ManagedIdentity {
		return ""
	}
	return strings.Replace(p.ResourceID, "/resourceGroups/", "/resourcegroups/", 1)
}

// resourceHint is the rh claim: a version, then tenant and resource, opaque to
// everybody else.
func (x *exchange) resourceHint() string {
	raw := make([]byte, 0, 35)
	raw = append(raw, 1, 26, 0) // as the recorded tokens begin
	tenant, _ := uuid.Parse(x.tenant.ID)
	resource, _ := uuid.Parse(x.target.appID)
	raw = append(raw, littleEndian(tenant)...)
	raw = append(raw, littleEndian(resource)...)
	return "1." + base64.RawURLEncoding.EncodeToString(raw) + "AAA."
}

// littleEndian is a GUID's bytes in the order of .NET's Guid.ToByteArray.
func littleEndian(id uuid.UUID) []byte {
	return []byte{id[3], id[2], id[1], id[0], id[5], id[4], id[7], id[6], id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15]}
}

// opaque is a claim that means something to Entra ID alone.
func (s *Service) opaque() string {
	var raw [30]byte
	s.read(raw[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// newGUID is a random GUID.
func (s *Service) newGUID() uuid.UUID {
	var id uuid.UUID
	s.read(id[:])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // version 4: RFC 9562 §5.4
	return id
}

// newTraceID is a random GUID that ends as Entra ID's request ids do, in a small
// number and 00.
func (s *Service) newTraceID() uuid.UUID {
	id := s.newGUID()
	id[14], id[15] = id[14]&0x7f, 0
	return id
}

func (s *Service) read(into []byte) {
	if _, err := io.ReadFull(s.random, into); err != nil {
		panic("entra: the source of randomness failed: " + err.Error()) // as crypto/rand does
	}
}

// claims writes a JSON object member by member, because the order of claims is
// part of what Entra ID answers and a map has none.
type claims struct{ b []byte }

func newClaims() *claims { return &claims{b: append(make([]byte, 0, 1024), '{')} }

func (c *claims) name(name string) {
	if len(c.b) > 1 {
		c.b = append(c.b, ',')
	}
	c.b = append(c.b, '"')
	c.b = append(c.b, name...)
	c.b = append(c.b, '"', ':')
}

// text writes a claim; an empty one is left out.
func (c *claims) text(name, value string) {
	if value != "" {
		c.name(name)
		c.b = appendJSON(c.b, value)
	}
}

// list writes a claim that is a list; an empty one is left out.
func (c *claims) list(name string, values []string) {
	if len(values) == 0 {
		return
	}
	c.name(name)
	for i, v := range values {
		c.b = append(c.b, "[,"[min(i, 1)])
		c.b = appendJSON(c.b, v)
	}
	c.b = append(c.b, ']')
}

// times writes iat, nbf and exp.
func (c *claims) times(t Token) {
	for _, claim := range []struct {
		name string
		at   time.Time
	}{{"iat", t.NotBefore}, {"nbf", t.NotBefore}, {"exp", t.ExpiresAt}} {
		c.name(claim.name)
		c.b = strconv.AppendInt(c.b, claim.at.Unix(), 10)
	}
}

func (c *claims) end() []byte { return append(c.b, '}') }

// appendJSON writes a JSON string. Nearly all are plain ASCII and need no
// encoder.
func appendJSON(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			quoted, _ := json.Marshal(s) // strings always marshal
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
