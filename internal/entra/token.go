package entra

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // x5t is SHA-1 by definition: RFC 7517 §4.8
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/entra/aadsts"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/resource/graph"
	"github.com/wiemu/wiemu/internal/tenants"
)

func (x *exchange) issue(ctx context.Context) Token {
	lifetime := x.lifetime().Truncate(time.Second)
	t := Token{
		Resource:  x.resourceName(),
		NotBefore: x.now.Add(-tenants.BackDated).Truncate(time.Second),
		ExpiresAt: x.now.Add(lifetime).Truncate(time.Second),
		ExpiresIn: max(lifetime-time.Second, 0),
		UTI:       base64.RawURLEncoding.EncodeToString(littleEndian(x.request.TraceID)),
	}
	x.applyFaults(ctx, &t)
	header := headerV1
	if x.target.version == 2 {
		header = headerV2
	}
	signed, _, err := x.service.config.Keys.Sign(header, encoded(x.claims(t)))
	if err != nil {
		x.refusal, x.hint = aadsts.Unavailable(), "The emulator could not sign the token: "+err.Error()+"."
		return Token{}
	}
	t.AccessToken = signed
	x.service.config.Directory.Issued(x.tenant.ID, x.principal, t.UTI, x.now)
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
	if r := &x.request; bare && r.Version == 1 && r.host == nil && r.http.apiVersion == "1.0" {
		return "spn:" + x.target.asked
	}
	return x.target.asked
}

// headerV1 and headerV2 are Entra ID's headers, member for member in its order.
func headerV1(k keyring.Key) string {
	return `{"typ":"JWT","alg":"RS256","x5t":"` + k.ID + `","kid":"` + k.ID + `"}`
}

func headerV2(k keyring.Key) string { return `{"typ":"JWT","alg":"RS256","kid":"` + k.ID + `"}` }

// claims are the payload of a token, in the order of the real ones: version 1 says
// what a version 2 leaves out, and the other way round.
// Source: a token of version 1 recorded by azure-sdk-for-js (2021), decoded; the claim
// names of version 2 recorded in 2026-08.
type claims struct {
	Audience       string   `json:"aud"`
	Issuer         string   `json:"iss"`
	IssuedAt       int64    `json:"iat"`
	NotBefore      int64    `json:"nbf"`
	ExpiresAt      int64    `json:"exp"`
	AIO            string   `json:"aio"`
	AppDisplayName string   `json:"app_displayname,omitempty"`
	AppID          string   `json:"appid,omitempty"`
	AppIDACR       string   `json:"appidacr,omitempty"`
	AZP            string   `json:"azp,omitempty"`
	AZPACR         string   `json:"azpacr,omitempty"`
	IDP            string   `json:"idp,omitempty"`
	IDType         string   `json:"idtyp,omitempty"`
	ObjectID       string   `json:"oid,omitempty"`
	ResourceHint   string   `json:"rh"`
	Roles          []string `json:"roles,omitempty"`
	Subject        string   `json:"sub,omitempty"`
	RegionScope    string   `json:"tenant_region_scope,omitempty"`
	TenantID       string   `json:"tid"`
	UTI            string   `json:"uti"`
	Version        string   `json:"ver"`
	WIDs           []string `json:"wids,omitempty"`
	Capabilities   []string `json:"xms_cc,omitempty"`
	FTD            string   `json:"xms_ftd,omitempty"`
	HostResourceID string   `json:"xms_az_rid,omitempty"`
	MIResourceID   string   `json:"xms_mirid,omitempty"`
	SSM            string   `json:"xms_ssm,omitempty"`
}

func (x *exchange) claims(t Token) claims {
	p, cloud := x.principal, x.service.config.Cloud
	c := claims{
		IssuedAt: t.NotBefore.Unix(), NotBefore: t.NotBefore.Unix(), ExpiresAt: t.ExpiresAt.Unix(), AIO: x.service.opaque(),
		ObjectID: p.ObjectID, ResourceHint: x.resourceHint(), Roles: x.roles(), Subject: p.ObjectID,
		TenantID: x.tenant.ID, UTI: t.UTI, MIResourceID: managedIdentityResource(p),
	}
	if x.target.version == 2 {
		c.Version, c.Audience, c.Issuer = "2.0", x.target.appID, cloud.IssuerV2(x.tenant.ID)
		c.AZP, c.AZPACR, c.FTD = p.ClientID, x.clientAuthMethod(), x.service.opaque()
		return c
	}
	c.Version, c.Audience, c.Issuer = "1.0", x.resourceName(), cloud.IssuerV1(x.tenant.ID)
	c.AppID, c.AppIDACR, c.IDP, c.IDType = p.ClientID, x.clientAuthMethod(), c.Issuer, "app"
	if x.target.graph {
		c.AppDisplayName, c.RegionScope, c.FTD = p.DisplayName, cloud.RegionScope, x.service.opaque()
		c.WIDs = []string{"0997a1d0-0d1d-4acb-b408-d5ca73121e90"} // what every principal has that has no role
	}
	if x.evaluated() {
		c.Capabilities = x.capabilities
		c.SSM = "1" // seen in tests of Azure CLI and azure-identity, for users; for applications inferred
	}
	if x.request.host != nil {
		c.HostResourceID = x.request.host.ResourceID
	}
	return c
}

// clientAuthMethod returns how the client authenticated itself: 1 for a secret, 2 a certificate
// or an assertion, as Azure's hosts present for managed identities.
func (x *exchange) clientAuthMethod() string {
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
	if x.principal.Graph == nil || len(x.principal.Graph.Assigned) == 0 {
		return x.principal.AppRoles
	}
	roles := slices.Clone(x.principal.AppRoles)
	for _, a := range x.principal.Graph.Assigned {
		if a.ResourceAppID != x.target.appID {
			continue
		}
		if value := x.roleValue(a.RoleID); value != "" && !slices.Contains(roles, value) {
			roles = append(roles, value)
		}
	}
	return roles
}

// roleValue is the value of an app role of the token's resource; "" if it has no such role, or the
// role is disabled or has no value.
func (x *exchange) roleValue(id string) string {
	if x.target.graph {
		return graph.Permission(id)
	}
	p, ok := x.service.config.Directory.Principal(x.tenant.ID, x.target.appID)
	if !ok || p.Graph == nil {
		return ""
	}
	for _, r := range p.Graph.AppRoles {
		if r.ID == id && r.Enabled {
			return r.Value
		}
	}
	return ""
}

// assignedTo reports whether the principal was given access to the token's resource, with a role
// or without one.
func (x *exchange) assignedTo() bool {
	return x.principal.Graph != nil && slices.ContainsFunc(x.principal.Graph.Assigned, func(a directory.AppRoleAssignment) bool { return a.ResourceAppID == x.target.appID })
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
func (x *exchange) resourceHint() string { return resourceHint(x.tenant.ID, x.target.appID) }

func resourceHint(tenantID, resourceID string) string {
	raw := make([]byte, 0, 35)
	raw = append(raw, 1, 26, 0) // as the recorded tokens begin
	tenant, _ := uuid.Parse(tenantID)
	resource, _ := uuid.Parse(resourceID)
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
	if _, err := io.ReadFull(s.config.Random, into); err != nil {
		panic("entra: the source of randomness failed: " + err.Error()) // as crypto/rand does
	}
}

// KeyID is what Entra ID calls a signing key: the base64url SHA-1 of a
// self-signed certificate, both x5t and kid. One key always gets the same
// certificate, so a lab that starts again with its keys publishes the same JWKS.
// It is the Identify of the service's key ring.
func KeyID(key crypto.Signer) (id string, certificate []byte, err error) {
	public, ok := key.Public().(*rsa.PublicKey)
	if !ok {
		return "", nil, fmt.Errorf("make the certificate of a signing key: Entra ID signs with RSA keys, this is a %T", key)
	}
	fingerprint := sha256.Sum256(x509.MarshalPKCS1PublicKey(public))
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(fingerprint[:16]),
		Subject:      pkix.Name{CommonName: "accounts.accesscontrol.windows.net"}, // as the real ones
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),                 // good at any lab time
		NotAfter:     time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature,

		SignatureAlgorithm: x509.SHA256WithRSA, // PKCS #1 v1.5, which uses no randomness
	}
	certificate, err = x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		return "", nil, fmt.Errorf("make the certificate of a signing key: %w", err)
	}
	hash := sha1.Sum(certificate)
	return thumbprint(hash[:]), certificate, nil
}
