package config

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// What is there when a file leaves it out.
const (
	DefaultTenant   = "3aa4a235-b6e2-48d5-9195-7fcf05b459b0" // the tenant of the Radix documentation
	DefaultAudience = "api://AzureADTokenExchange"           // azure-workload-identity: pkg/webhook/consts.go
	IssuerDomain    = "oic.wiemu.test"                       // .test is reserved (RFC 6761)
)

// EntraRing is the name of Entra ID's own key ring, beside those of the issuers.
const EntraRing = "entra"

// What Kubernetes lets namespaces, and service accounts, be called (RFC 1123).
var (
	dnsLabel     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	dnsSubdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

// CheckNames says what is wrong with the names of a namespace and a service
// account. Kubernetes: apimachinery/pkg/util/validation
func CheckNames(namespace, serviceAccount string) error {
	if !dnsLabel.MatchString(namespace) {
		return fmt.Errorf("namespace %q: expected at most 63 lower-case letters, digits and hyphens, the first and last of them a letter or digit", namespace)
	}
	if !dnsSubdomain.MatchString(serviceAccount) || len(serviceAccount) > 253 {
		return fmt.Errorf("service account %q: expected lower-case letters, digits, hyphens and dots, the first and last of them a letter or digit", serviceAccount)
	}
	return nil
}

// names makes ids that are the same in every run.
var names = uuid.MustParse("5b1d9a52-0f3c-4b0e-9d43-7b6c5f7f1d6e")

// StableID derives a GUID from what it identifies: the same parts give the same
// id in every lab.
func StableID(parts ...string) string {
	return uuid.NewSHA1(names, []byte(strings.Join(parts, "\x00"))).String()
}

// Complete returns the configuration with everything filled in that was left
// out, and checks that names are unique, ids are GUIDs and references lead
// somewhere. The file is only for the text of errors.
func (c Config) Complete(file string) (Config, error) {
	var p problems
	p.file = file
	if c.APIVersion != "" && c.APIVersion != APIVersion {
		p.add("apiVersion", APIVersion, c.APIVersion, "")
	}
	if c.Kind != "" && c.Kind != Kind {
		p.add("kind", Kind, c.Kind, "")
	}
	if len(c.Tenants) == 0 {
		c.Tenants = []Tenant{{ID: DefaultTenant, Name: "Contoso", Domains: []string{"contoso.onmicrosoft.com"}}}
	}
	c.Tenants = slices.Clone(c.Tenants)
	for i := range c.Tenants {
		t := &c.Tenants[i]
		p.guid(fmt.Sprintf("tenants[%d].id", i), &t.ID)
		if t.Name == "" {
			t.Name = t.ID
		}
	}
	c.completeIssuers(&p)
	c.Applications, c.Identities = slices.Clone(c.Applications), slices.Clone(c.Identities)
	for i := range c.Applications {
		c.completePrincipal(&p, fmt.Sprintf("applications[%d]", i), &c.Applications[i].Principal)
	}
	for i := range c.Identities {
		c.completePrincipal(&p, fmt.Sprintf("identities[%d]", i), &c.Identities[i].Principal)
	}
	if c.Vaults == nil {
		c.Vaults = DefaultVaults()
	}
	c.completeVaults(&p)
	c.completeWorkloads(&p)
	if len(p.all) > 0 {
		return Config{}, p.all
	}
	return c, nil
}

// DefaultVaults are the vaults of a configuration that says nothing of vaults:
// the one of the Radix documentation.
func DefaultVaults() []Vault {
	return []Vault{{Name: "mykeyvault", Secrets: map[string]string{"mysecret": "the secret of wiemu"}}}
}

func (c *Config) completeIssuers(p *problems) {
	c.Issuers = slices.Clone(c.Issuers)
	if !slices.ContainsFunc(c.Issuers, func(i Issuer) bool { return !i.External }) {
		c.Issuers = append([]Issuer{{Name: "local"}}, c.Issuers...)
	}
	seen := map[string]string{}
	for n := range c.Issuers {
		i, at := &c.Issuers[n], fmt.Sprintf("issuers[%d]", n)
		if !dnsLabel.MatchString(i.Name) || i.Name == EntraRing {
			p.add(at+".name", "lower-case letters, digits and hyphens, and not "+EntraRing, i.Name, "give the issuer a short name, such as blue")
			continue
		}
		if i.RotateKeysEvery != 0 && i.RotateKeysEvery < time.Minute {
			p.add(at+".rotateKeysEvery", "at least 1m", i.RotateKeysEvery.String(), "")
		}
		if i.PublishKeysAhead > i.RotateKeysEvery {
			p.add(at+".publishKeysAhead", "at most rotateKeysEvery", i.PublishKeysAhead.String(), "")
		}
		if i.URL == "" && i.External {
			p.add(at+".url", "the URL of the external issuer", "nothing", "write the iss claim of its tokens")
			continue
		}
		if i.URL == "" { // the shape of an AKS issuer, with its trailing slash
			i.URL = fmt.Sprintf("https://%s.%s/%s/%s/", strings.ToLower(i.Name), IssuerDomain, c.Tenants[0].ID, StableID("issuer", i.Name))
		}
		if u, err := url.Parse(i.URL); err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			p.add(at+".url", "an https URL without query and fragment", i.URL, "Kubernetes and Entra ID accept no other issuer")
		} else if (u.Port() != "" || u.User != nil || u.Path != u.EscapedPath()) && !i.External {
			p.add(at+".url", "a URL of a host and a plain path", i.URL, "the issuers that wiemu hosts are reached on port 443; an issuer elsewhere needs external: true")
		}
		// Documents are found in any case and with or without a slash at the end.
		place := "url " + strings.ToLower(strings.TrimRight(i.URL, "/"))
		if i.External {
			place = "url " + i.URL
		}
		for _, unique := range []string{"name " + i.Name, place} {
			if other, taken := seen[unique]; taken {
				p.add(at, "its own name and url", unique+", which "+other+" has too", "rename one of them")
			}
			seen[unique] = at
		}
	}
}

func (c *Config) completePrincipal(p *problems, at string, pr *Principal) {
	if pr.Name == "" {
		p.add(at+".name", "a display name", "nothing", "name it as the portal would show it")
	}
	p.guid(at+".clientId", &pr.ClientID)
	if pr.ObjectID == "" {
		pr.ObjectID = StableID("service principal", pr.ClientID)
	}
	p.guid(at+".objectId", &pr.ObjectID)
	c.completeTenant(p, at+".tenant", &pr.Tenant)
	if pr.FederatedCredentials == nil {
		return
	}
	credentials := slices.Clone(*pr.FederatedCredentials)
	pr.FederatedCredentials = &credentials
	for i := range credentials {
		f := &credentials[i]
		if f.Audience == "" {
			f.Audience = DefaultAudience
		}
		f.Issuer = c.issuerURL(p, fmt.Sprintf("%s.federatedCredentials[%d].issuer", at, i), f.Issuer)
	}
}

// issuerURL resolves the name of an issuer; a URL stands for itself.
func (c *Config) issuerURL(p *problems, at, name string) string {
	if name == "" {
		return c.Issuers[0].URL
	}
	if strings.Contains(name, "://") {
		return name
	}
	known := make([]string, 0, len(c.Issuers))
	for _, i := range c.Issuers {
		if i.Name == name {
			return i.URL
		}
		known = append(known, i.Name)
	}
	p.add(at, "the name of an issuer ("+strings.Join(known, ", ")+") or an https URL", name, didYouMean(name, known))
	return name
}

func (c *Config) completeTenant(p *problems, at string, tenant *string) {
	if *tenant == "" {
		*tenant = c.Tenants[0].ID
		return
	}
	var known []string
	for _, t := range c.Tenants {
		for _, name := range append([]string{t.ID}, t.Domains...) {
			if strings.EqualFold(name, *tenant) {
				*tenant = t.ID
				return
			}
			known = append(known, name)
		}
	}
	p.add(at, "a tenant of this file ("+strings.Join(known, ", ")+")", *tenant, didYouMean(*tenant, known))
}

func (c *Config) completeVaults(p *problems) {
	c.Vaults = slices.Clone(c.Vaults)
	for n := range c.Vaults {
		v, at := &c.Vaults[n], fmt.Sprintf("vaults[%d]", n)
		if v.Name == "" || strings.Trim(strings.ToLower(v.Name), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(v.Name) < 3 || len(v.Name) > 24 {
			p.add(at+".name", "3 to 24 letters, digits and hyphens", v.Name, "it is the first label of NAME.vault.azure.net")
		}
		c.completeTenant(p, at+".tenant", &v.Tenant)
		for k, a := range v.Access {
			c.checkAccess(p, fmt.Sprintf("%s.access[%d]", at, k), a)
		}
		if v.Access == nil {
			v.Access = []Access{{Identity: "*", Permissions: []string{"*"}}}
		}
	}
}

// checkAccess checks that an access entry lets somebody do something.
func (c *Config) checkAccess(p *problems, at string, a Access) {
	if len(a.Permissions) == 0 {
		p.add(at+".permissions", "at least one of get, list, set, delete, recover, purge, or *", "none", "")
	}
	if _, err := uuid.Parse(a.Identity); a.Identity == "*" || err == nil {
		return
	}
	var known []string
	for _, i := range c.Applications {
		known = append(known, i.Name)
	}
	for _, i := range c.Identities {
		known = append(known, i.Name)
	}
	if named := slices.DeleteFunc(slices.Clone(known), func(n string) bool { return n != a.Identity }); len(named) != 1 {
		p.add(at+".identity", "* or the client id or the name of one identity ("+strings.Join(known, ", ")+")", fmt.Sprintf("%s, which %d have", a.Identity, len(named)), didYouMean(a.Identity, known))
	}
}

func (c *Config) completeWorkloads(p *problems) {
	c.Workloads = slices.Clone(c.Workloads)
	for n := range c.Workloads {
		w, at := &c.Workloads[n], fmt.Sprintf("workloads[%d]", n)
		if err := CheckNames(w.Namespace, w.ServiceAccount); err != nil {
			p.add(at, "a namespace and a serviceAccount that Kubernetes takes", err.Error(), "they make the subject system:serviceaccount:NAMESPACE:NAME")
		}
		if w.TokenLifetime != 0 && w.TokenLifetime < 10*time.Minute {
			p.add(at+".tokenLifetime", "at least 10m, as in Kubernetes", w.TokenLifetime.String(), "")
		}
		p.guid(at+".clientId", &w.ClientID)
		c.completeTenant(p, at+".tenant", &w.Tenant)
		if w.Name == "" {
			w.Name = w.ServiceAccount
		}
		if w.Audience == "" {
			w.Audience = DefaultAudience
		}
		w.Issuer = c.HostedIssuer(w.Issuer)
		if w.Issuer == "" {
			p.add(at+".issuer", "the name of an issuer that wiemu hosts", c.Workloads[n].Issuer, "")
		}
	}
}

// HostedIssuer returns the name of an issuer that wiemu hosts: the first if name
// is empty, "" if there is none of that name.
func (c Config) HostedIssuer(name string) string {
	for _, i := range c.Issuers {
		if !i.External && (name == "" || i.Name == name) {
			return i.Name
		}
	}
	return ""
}

// Directory returns the tenants with their principals. The configuration has
// been completed; certificate files are looked up from the folder dir.
func (c Config) Directory(dir string) (*directory.Directory, error) {
	tenants := make([]directory.Tenant, len(c.Tenants))
	byID := map[string]*directory.Tenant{}
	for i, t := range c.Tenants {
		tenants[i] = directory.Tenant{ID: t.ID, DisplayName: t.Name, Domains: t.Domains}
		byID[t.ID] = &tenants[i]
	}
	for i, a := range c.Applications {
		p := principal(directory.Application, a.Principal)
		p.ApplicationObjectID = StableID("application", a.ClientID)
		p.IdentifierURIs, p.AppRoles, p.AccessTokenVersion = a.IdentifierURIs, a.AppRoles, a.AccessTokenVersion
		for n, s := range a.Secrets {
			p.Secrets = append(p.Secrets, directory.Secret{ID: StableID("secret", a.ClientID, fmt.Sprint(n)), Value: s.Value, End: s.Expires})
		}
		for n, file := range a.Certificates {
			cert, err := readCertificate(filepath.Join(dir, file.File))
			if err != nil {
				return nil, fmt.Errorf("applications[%d].certificates[%d].file: %w", i, n, err)
			}
			p.Certificates = append(p.Certificates, cert)
		}
		byID[a.Tenant].Principals = append(byID[a.Tenant].Principals, p)
	}
	for _, m := range c.Identities {
		p := principal(directory.ManagedIdentity, m.Principal)
		p.ResourceID = m.ResourceID
		if p.ResourceID == "" {
			p.ResourceID = ManagedIdentityResourceID(m.Tenant, m.Name)
		}
		byID[m.Tenant].Principals = append(byID[m.Tenant].Principals, p)
	}
	return directory.New(tenants...)
}

func principal(kind directory.Kind, p Principal) directory.Principal {
	d := directory.Principal{
		Kind: kind, ClientID: p.ClientID, ObjectID: p.ObjectID, DisplayName: p.Name,
		Disabled: p.Disabled, TokenLifetime: p.TokenLifetime,
	}
	if p.FederatedCredentials != nil {
		for _, f := range *p.FederatedCredentials {
			d.FederatedCredentials = append(d.FederatedCredentials, directory.FederatedCredential{
				ID: StableID("federated credential", p.ClientID, f.Name), Name: f.Name,
				Issuer: f.Issuer, Subject: f.Subject, Audience: f.Audience,
			})
		}
	}
	return d
}

// ManagedIdentityResourceID is the Azure resource id of a managed identity that
// the configuration gives none.
func ManagedIdentityResourceID(tenant, name string) string {
	return fmt.Sprintf("/subscriptions/%s/resourcegroups/wiemu/providers/Microsoft.ManagedIdentity/userAssignedIdentities/%s",
		StableID("subscription", tenant), name)
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
	return directory.Certificate{ID: StableID("certificate", string(cert.Raw)), DER: cert.Raw, Start: cert.NotBefore, End: cert.NotAfter}, nil
}

// problems gathers what is wrong, so that a person sees all of it at once.
type problems struct {
	file string
	all  yamlfile.Problems
}

func (p *problems) add(field, expected, found, fix string) {
	if found == "" {
		found = "nothing"
	}
	p.all = append(p.all, yamlfile.Problem{File: p.file, Field: field, Expected: expected, Found: found, Fix: fix})
}

// guid checks that *id is a GUID and writes it in lower case.
func (p *problems) guid(field string, id *string) {
	parsed, err := uuid.Parse(*id)
	if err != nil || len(*id) != 36 {
		p.add(field, "a GUID such as "+DefaultTenant, *id, "")
		return
	}
	*id = parsed.String()
}

func didYouMean(name string, known []string) string {
	if near := yamlfile.Nearest(name, known); near != "" {
		return "did you mean " + near + "?"
	}
	return ""
}
