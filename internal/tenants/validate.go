package tenants

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/hostname"
)

// maxTokenLifetime is the longest that a token lifetime policy or a managed
// identity gives.
const maxTokenLifetime = 24 * time.Hour

// complete puts ids into their usual spelling and fills in empty fields. Derived ids depend
// only on the tenant and the client id, so that two labs of one configuration have the same.
func complete(p *directory.Principal, tenantID string) {
	p.ClientID = canonical(p.ClientID)
	p.ObjectID = idOr(p.ObjectID, tenantID, p.ClientID, "service principal")
	if p.Kind == directory.Application {
		p.ApplicationObjectID = idOr(p.ApplicationObjectID, tenantID, p.ClientID, "application")
	}
	p.DisplayName = cmp.Or(p.DisplayName, p.ClientID)
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

func check(p *directory.Principal, tenantID string) error {
	found := &problems{tenant: tenantID, principal: p.ClientID}
	if p.DisplayName != p.ClientID {
		found.principal = fmt.Sprintf("%s (%s)", p.ClientID, p.DisplayName)
	}
	found.expect(p.Kind == directory.Application || p.Kind == directory.ManagedIdentity, at("kind"),
		`"application" or "managedIdentity"`, string(p.Kind))
	found.checkID(at("clientId"), p.ClientID)
	found.checkID(at("objectId"), p.ObjectID)
	if p.Kind == directory.Application {
		found.checkID(at("applicationObjectId"), p.ApplicationObjectID)
	}
	found.expect(p.TokenLifetime >= 0 && p.TokenLifetime <= maxTokenLifetime && p.TokenLifetime%time.Second == 0,
		at("tokenLifetime"), "whole seconds, at most 24h", p.TokenLifetime)
	found.expect(p.AccessTokenVersion >= 0 && p.AccessTokenVersion <= 2, at("accessTokenVersion"), "1 or 2", p.AccessTokenVersion)
	for i, uri := range p.IdentifierURIs {
		found.expect(len(uri) <= 255 && strings.Contains(uri, ":") && !strings.ContainsAny(uri, " \t\r\n"),
			path{"identifierUris", i, ""}, "a URI of at most 255 characters, like api://name", uri)
	}
	found.checkFederated(p.FederatedCredentials, p.Kind)
	found.checkOwnCredentials(p)
	if p.Kind == directory.ManagedIdentity {
		found.checkManagedIdentity(p)
	}
	return found.err()
}

func (p *problems) checkOwnCredentials(principal *directory.Principal) {
	for i, s := range principal.Secrets {
		p.checkID(path{"secrets", i, "id"}, s.ID)
		p.expect(s.Value != "", path{"secrets", i, "value"}, "a value", s.Value)
		p.checkTimes("secrets", i, s.Start, s.End)
	}
	for i, c := range principal.Certificates {
		p.checkID(path{"certificates", i, "id"}, c.ID)
		if _, err := x509.ParseCertificate(c.DER); err != nil {
			p.add(ErrInvalid, path{"certificates", i, "der"}, "an X.509 certificate in DER", err.Error())
		}
		p.checkTimes("certificates", i, c.Start, c.End)
	}
}

// checkTimes refuses times that JSON cannot hold, so that a directory can always be stored and shown.
func (p *problems) checkTimes(field string, i int, start, end time.Time) {
	const expected = "a time in the years 1 to 9999"
	if _, err := start.MarshalJSON(); err != nil {
		p.expect(false, path{field, i, "start"}, expected, start)
	}
	if _, err := end.MarshalJSON(); err != nil {
		p.expect(false, path{field, i, "end"}, expected, end)
	}
}

// checkManagedIdentity refuses what only an app registration can have: Azure
// keeps the credentials of a managed identity itself.
func (p *problems) checkManagedIdentity(principal *directory.Principal) {
	const none = "none on a managed identity; make it an application"
	p.expect(len(principal.Secrets) == 0, at("secrets"), none, len(principal.Secrets))
	p.expect(len(principal.Certificates) == 0, at("certificates"), none, len(principal.Certificates))
	p.expect(len(principal.IdentifierURIs) == 0, at("identifierUris"), none, len(principal.IdentifierURIs))
	p.expect(principal.ApplicationObjectID == "", at("applicationObjectId"), none, principal.ApplicationObjectID)
}

func (p *problems) checkID(field path, id string) {
	p.expect(validGUID(id), field, "a GUID like 11111111-2222-3333-4444-555555555555, not all zero", id)
}

func validGUID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && len(s) == 36 && id != uuid.Nil
}

// checkTenant lists what is wrong with a tenant by itself, its principals apart.
func checkTenant(t directory.Tenant) error {
	p := &problems{tenant: t.ID}
	p.checkID(at("id"), t.ID)
	for i, domain := range t.Domains {
		p.expect(validDomain(domain), path{"domains", i, ""}, "a DNS name with a dot", domain)
	}
	return p.err()
}

func validDomain(s string) bool {
	return hostname.IsName(s) && strings.Contains(s, ".") && !strings.Contains(s, "_")
}
