package directory

import (
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// maxTokenLifetime is the longest that a token lifetime policy or a managed
// identity gives.
const maxTokenLifetime = 24 * time.Hour

// complete puts ids into their usual spelling and fills in what was left out.
// Derived ids depend on nothing but the tenant and the client id, so that two
// labs from one configuration agree.
func (p *Principal) complete(tenantID string) {
	p.ClientID = canonical(p.ClientID)
	p.ObjectID = idOr(p.ObjectID, tenantID, p.ClientID, "service principal")
	if p.Kind == Application {
		p.ApplicationObjectID = idOr(p.ApplicationObjectID, tenantID, p.ClientID, "application")
	}
	if p.DisplayName == "" {
		p.DisplayName = p.ClientID
	}
	for i := range p.FederatedCredentials {
		c := &p.FederatedCredentials[i]
		c.ID = idOr(c.ID, tenantID, p.ClientID, "federated credential", c.Name)
	}
	for i := range p.Secrets {
		p.Secrets[i].ID = idOr(p.Secrets[i].ID, tenantID, p.ClientID, "secret", strconv.Itoa(i))
	}
	for i := range p.Certificates {
		c := &p.Certificates[i]
		c.ID = idOr(c.ID, tenantID, p.ClientID, "certificate", strconv.Itoa(i))
		if certificate, err := x509.ParseCertificate(c.DER); err == nil {
			if c.Start.IsZero() {
				c.Start = certificate.NotBefore
			}
			if c.End.IsZero() {
				c.End = certificate.NotAfter
			}
		}
	}
}

// idOr returns id in its usual spelling, or one derived from the parts.
func idOr(id string, parts ...string) string {
	if id != "" {
		return canonical(id)
	}
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(strings.Join(parts, "\x00"))).String()
}

// canonical is how Entra spells a GUID or a domain.
func canonical(s string) string { return strings.ToLower(s) }

// check lists everything that is wrong with the principal by itself.
func (p *Principal) check(tenantID string) error {
	found := &problems{tenant: tenantID, principal: p.ClientID}
	if p.DisplayName != p.ClientID {
		found.principal = fmt.Sprintf("%s (%s)", p.ClientID, p.DisplayName)
	}
	found.expect(p.Kind == Application || p.Kind == ManagedIdentity, "kind",
		fmt.Sprintf("%q or %q", Application, ManagedIdentity), quoted(string(p.Kind)))
	found.checkID("clientId", p.ClientID)
	found.checkID("objectId", p.ObjectID)
	if p.Kind == Application {
		found.checkID("applicationObjectId", p.ApplicationObjectID)
	}
	found.expect(p.TokenLifetime >= 0 && p.TokenLifetime <= maxTokenLifetime && p.TokenLifetime%time.Second == 0,
		"tokenLifetime", fmt.Sprintf("whole seconds, at most %v", maxTokenLifetime), p.TokenLifetime.String())
	found.expect(p.AccessTokenVersion >= 0 && p.AccessTokenVersion <= 2, "accessTokenVersion", "1 or 2", fmt.Sprint(p.AccessTokenVersion))
	for i, uri := range p.IdentifierURIs {
		found.expect(uri != "" && len(uri) <= 255 && strings.Contains(uri, ":") && !strings.ContainsAny(uri, " \t\r\n"),
			fmt.Sprintf("identifierUris[%d]", i), "a URI of at most 255 characters, like api://name", quoted(uri))
	}
	found.checkFederated(p.FederatedCredentials)
	found.checkOwnCredentials(p)
	if p.Kind == ManagedIdentity {
		found.checkManagedIdentity(p)
	}
	return found.err()
}

func (p *problems) checkOwnCredentials(principal *Principal) {
	for i, s := range principal.Secrets {
		p.checkID(fmt.Sprintf("secrets[%d].id", i), s.ID)
		p.expect(s.Value != "", fmt.Sprintf("secrets[%d].value", i), "a value", `""`)
	}
	for i, c := range principal.Certificates {
		p.checkID(fmt.Sprintf("certificates[%d].id", i), c.ID)
		if _, err := x509.ParseCertificate(c.DER); err != nil {
			p.expect(false, fmt.Sprintf("certificates[%d].der", i), "an X.509 certificate in DER", err.Error())
		}
	}
}

// checkManagedIdentity refuses what only an app registration can have: Azure
// keeps the credentials of a managed identity itself.
func (p *problems) checkManagedIdentity(principal *Principal) {
	const none = "none on a managed identity; make it an application"
	p.expect(len(principal.Secrets) == 0, "secrets", none, fmt.Sprint(len(principal.Secrets)))
	p.expect(len(principal.Certificates) == 0, "certificates", none, fmt.Sprint(len(principal.Certificates)))
	p.expect(len(principal.IdentifierURIs) == 0, "identifierUris", none, fmt.Sprint(len(principal.IdentifierURIs)))
	p.expect(principal.ApplicationObjectID == "", "applicationObjectId", none, quoted(principal.ApplicationObjectID))
}

func (p *problems) checkID(field, id string) {
	p.expect(validGUID(id), field, "a GUID like 11111111-2222-3333-4444-555555555555, not all zero", quoted(id))
}

func validGUID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && len(s) == 36 && id != uuid.Nil
}

// checkTenant lists what is wrong with a tenant by itself, its principals apart.
func checkTenant(t Tenant) error {
	p := &problems{tenant: t.ID}
	p.checkID("id", t.ID)
	for i, domain := range t.Domains {
		p.expect(validDomain(domain), fmt.Sprintf("domains[%d]", i), "a DNS name with a dot", quoted(domain))
	}
	return p.err()
}

func validDomain(s string) bool {
	if len(s) > 253 || !strings.Contains(s, ".") {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') {
				return false
			}
		}
	}
	return true
}
