package config

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/tenants"
)

// Directory returns the tenants of a completed configuration with their principals. It
// reads certificate files; their paths are relative to dir.
func (c Config) Directory(dir string) ([]directory.Tenant, error) {
	all := c.tenants()
	byID := map[string]*directory.Tenant{}
	for i := range all {
		byID[all[i].ID] = &all[i]
	}
	for i, a := range c.Applications {
		p := a.principal()
		for n, c := range a.Certificates {
			cert, err := readCertificate(file.In(dir, c.File))
			if err != nil {
				return nil, fmt.Errorf("applications[%d].certificates[%d].file: %w", i, n, err)
			}
			p.Certificates = append(p.Certificates, cert)
		}
		byID[a.Tenant].Principals = append(byID[a.Tenant].Principals, p)
		for _, tenant := range a.OtherTenants {
			byID[tenant].Principals = append(byID[tenant].Principals, elsewhere(p))
		}
	}
	for _, m := range c.Identities {
		byID[m.Tenant].Principals = append(byID[m.Tenant].Principals, m.principal())
	}
	return all, nil
}

// checkDirectory lets the directory judge the tenants and principals, all but
// their certificates, whose files are read when a lab starts.
func (c *Config) checkDirectory(p *problems) {
	d, err := tenants.New(c.tenants()...)
	if err != nil {
		p.addDirectory(err, func(e *tenants.Error) string {
			for i := len(c.Tenants) - 1; i > 0; i-- { // of two with one id the later is at fault
				if c.Tenants[i].ID == e.Tenant {
					return fmt.Sprintf("tenants[%d]", i)
				}
			}
			return "tenants[0]"
		})
		return
	}
	for i, a := range c.Applications {
		p.addDirectory(d.Put(a.Tenant, a.principal()), func(*tenants.Error) string { return fmt.Sprintf("applications[%d]", i) })
	}
	for i, m := range c.Identities {
		p.addDirectory(d.Put(m.Tenant, m.principal()), func(*tenants.Error) string { return fmt.Sprintf("identities[%d]", i) })
	}
}

// addDirectory adds what the directory finds wrong below the place it is about.
func (p *problems) addDirectory(err error, place func(*tenants.Error) string) {
	if err == nil {
		return
	}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, err := range joined.Unwrap() {
			p.addDirectory(err, place)
		}
		return
	}
	if e := (*tenants.Error)(nil); errors.As(err, &e) {
		p.add(place(e)+"."+e.Field, e.Expected, e.Found, "")
	}
}

// tenants are the tenants without their principals.
func (c Config) tenants() []directory.Tenant {
	all := make([]directory.Tenant, len(c.Tenants))
	for i, t := range c.Tenants {
		all[i] = directory.Tenant{ID: t.ID, DisplayName: t.Name, Domains: t.Domains}
	}
	return all
}

// elsewhere is the application's service principal in another tenant: one of its
// own for the same application, with the same credentials.
func elsewhere(p directory.Principal) directory.Principal {
	p.ObjectID, p.NoServicePrincipal = "", false
	p.FederatedCredentials = slices.Clone(p.FederatedCredentials)
	p.Secrets, p.Certificates = slices.Clone(p.Secrets), slices.Clone(p.Certificates)
	return p
}

// principal is the application without its certificates.
func (a Application) principal() directory.Principal {
	p := principal(directory.Application, a.Principal)
	p.ApplicationObjectID = tenants.StableID("application", a.ClientID)
	p.IdentifierURIs, p.AccessTokenVersion = a.IdentifierURIs, a.AccessTokenVersion
	p.AssignmentRequired, p.PublicClient, p.NoServicePrincipal = a.AppRoleAssignmentRequired, a.PublicClient, a.NoServicePrincipal
	for n, s := range a.Secrets {
		p.Secrets = append(p.Secrets, directory.Secret{ID: tenants.StableID("secret", a.ClientID, fmt.Sprint(n)), Value: s.Value, End: s.Expires})
	}
	return p
}

func (m Identity) principal() directory.Principal {
	p := principal(directory.ManagedIdentity, m.Principal)
	p.ResourceID = m.ResourceID
	p.ResourceID = cmp.Or(p.ResourceID, tenants.ManagedIdentityResourceID(m.Tenant, m.Name))
	return p
}

func principal(kind directory.Kind, p Principal) directory.Principal {
	d := directory.Principal{
		Kind: kind, ClientID: p.ClientID, ObjectID: p.ObjectID, DisplayName: p.Name,
		Disabled: p.Disabled, TokenLifetime: p.TokenLifetime, AppRoles: p.Roles,
	}
	if p.FederatedCredentials != nil {
		for _, f := range *p.FederatedCredentials {
			c := directory.FederatedCredential{
				ID: tenants.StableID("federated credential", p.ClientID, f.Name), Name: f.Name,
				Issuer: f.Issuer, Subject: f.Subject, Audience: f.Audience,
			}
			if f.ClaimsMatchingExpression != nil {
				c.ClaimsMatching = f.ClaimsMatchingExpression.Value
			}
			d.FederatedCredentials = append(d.FederatedCredentials, c)
		}
	}
	return d
}

func readCertificate(file string) (directory.Certificate, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return directory.Certificate{}, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return directory.Certificate{}, fmt.Errorf("%s: expected a PEM block CERTIFICATE first, found none", file)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return directory.Certificate{}, fmt.Errorf("%s: %w", file, err)
	}
	return directory.Certificate{ID: tenants.StableID("certificate", string(cert.Raw)), DER: cert.Raw, Start: cert.NotBefore, End: cert.NotAfter}, nil
}
