package config

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/identitybinding"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/tenants"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Defaults.
const (
	DefaultTenant = "3aa4a235-b6e2-48d5-9195-7fcf05b459b0" // the tenant of the Radix documentation
	IssuerDomain  = "oic.wiemu.test"                       // .test is reserved (RFC 6761)
)

// TokenAudience returns the default audience of service-account tokens and federated
// credentials in the cloud of the configuration: in the public one
// api://AzureADTokenExchange.
func (c Config) TokenAudience() string {
	in, _ := cloud.Named(c.Cloud) // Complete refuses an unknown one
	return in.TokenExchange
}

// Complete returns the configuration with all defaults filled in, and checks that names are
// unique, ids are GUIDs and references exist. Errors name the file.
func (c Config) Complete(file string) (Config, error) {
	var p problems
	p.file = file
	if c.APIVersion != "" && c.APIVersion != APIVersion {
		p.add("apiVersion", APIVersion, c.APIVersion, "")
	}
	if c.Kind != "" && c.Kind != Kind {
		p.add("kind", Kind, c.Kind, "")
	}
	in, known := cloud.Named(c.Cloud)
	if !known {
		p.add("cloud", "one of "+strings.Join(cloud.Names(), ", "), c.Cloud, yamlfile.DidYouMean(c.Cloud, cloud.Names()))
		in = cloud.Public()
	}
	c.Cloud = in.Name
	if kinds := []string{NewManagedIdentity, NewApplication}; c.NewIdentities == "" {
		c.NewIdentities = NewManagedIdentity
	} else if !slices.Contains(kinds, c.NewIdentities) {
		p.add("newIdentities", strings.Join(kinds, " or "), c.NewIdentities, yamlfile.DidYouMean(c.NewIdentities, kinds))
	}
	c.Listen.check(&p)
	c.Limits.check(&p)
	if len(c.Tenants) == 0 {
		c.Tenants = []Tenant{{ID: DefaultTenant, Name: "Contoso", Domains: []string{"contoso.onmicrosoft.com"}}}
	}
	c.Tenants = slices.Clone(c.Tenants)
	for i := range c.Tenants {
		t := &c.Tenants[i]
		p.guid(fmt.Sprintf("tenants[%d].id", i), &t.ID)
		t.Name = cmp.Or(t.Name, t.ID)
	}
	var first string
	if len(c.Issuers) > 0 {
		first = c.Issuers[0].Name
	}
	c.completeIssuers(&p)
	c.completeWebhook(&p, first)
	c.Applications, c.Identities = slices.Clone(c.Applications), slices.Clone(c.Identities)
	for pr, at := range c.Principals() {
		c.completePrincipal(&p, at, pr)
	}
	for i := range c.Applications {
		a := &c.Applications[i]
		a.OtherTenants = slices.Clone(a.OtherTenants)
		for n := range a.OtherTenants {
			at := fmt.Sprintf("applications[%d].otherTenants[%d]", i, n)
			if c.completeTenant(&p, at, &a.OtherTenants[n]); a.OtherTenants[n] == a.Tenant {
				p.add(at, "another tenant than the application's own", a.Tenant, "remove it")
			}
		}
	}
	c.checkPrincipals(&p)
	p.roles = c.customRoles()
	if c.Vaults == nil {
		c.Vaults = DefaultVaults()
	}
	c.completeWorkloads(&p)
	c.completeVaults(&p)
	c.completeRoles(&p)
	c.completeSubscriptions(&p)
	c.completeResources(&p, sections())
	c.checkManagedIdentities(&p)
	c.completeManagedIdentity(&p)
	c.completeBindings(&p)
	var issuers []string
	for _, i := range c.Issuers {
		issuers = append(issuers, i.Name)
	}
	for n, f := range c.Faults {
		p.all = append(p.all, faults.Check(file, fmt.Sprintf("faults[%d]", n), f, issuers)...)
	}
	if len(p.all) == 0 { // it takes what is complete
		c.checkDirectory(&p)
	}
	if len(p.all) > 0 {
		return Config{}, p.all
	}
	return c, nil
}

// DefaultVaults returns the vaults of a configuration without vaults: the one of the Radix
// documentation.
func DefaultVaults() []Vault {
	return []Vault{{Name: "mykeyvault", Secrets: map[string]string{"mysecret": "the secret of wiemu"}}}
}

func (c *Config) completeIssuers(p *problems) {
	c.Issuers = slices.Clone(c.Issuers)
	added := 0
	if !slices.ContainsFunc(c.Issuers, func(i Issuer) bool { return !i.External }) {
		c.Issuers = append([]Issuer{{Name: "local"}}, c.Issuers...)
		added = 1
	}
	c.hostGitHub()
	c.hostAzureDevOps()
	for n := range c.Issuers {
		if i := &c.Issuers[n]; i.URL == "" && !i.External { // the shape of an AKS issuer, with its trailing slash
			i.URL = fmt.Sprintf("https://%s.%s/%s/%s/", strings.ToLower(i.Name), IssuerDomain, c.Tenants[0].ID, tenants.StableID("issuer", i.Name))
		}
	}
	c.checkIssuers(p, added)
}

// Principals iterates over the applications and identities with their fields in the file.
func (c *Config) Principals() iter.Seq2[*Principal, string] {
	return func(yield func(*Principal, string) bool) {
		for i := range c.Applications {
			if !yield(&c.Applications[i].Principal, fmt.Sprintf("applications[%d]", i)) {
				return
			}
		}
		for i := range c.Identities {
			if !yield(&c.Identities[i].Principal, fmt.Sprintf("identities[%d]", i)) {
				return
			}
		}
	}
}

func (c *Config) completePrincipal(p *problems, at string, pr *Principal) {
	if pr.Name == "" {
		p.add(at+".name", "a display name", "nothing", "name it as the portal would show it")
	}
	p.guid(at+".clientId", &pr.ClientID)
	pr.ObjectID = cmp.Or(pr.ObjectID, tenants.StableID("service principal", pr.ClientID))
	p.guid(at+".objectId", &pr.ObjectID)
	c.completeTenant(p, at+".tenant", &pr.Tenant)
	if pr.FederatedCredentials == nil {
		return
	}
	credentials := slices.Clone(*pr.FederatedCredentials)
	pr.FederatedCredentials = &credentials
	for i := range credentials {
		f := &credentials[i]
		f.Audience = cmp.Or(f.Audience, c.TokenAudience())
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
	p.add(at, "the name of an issuer ("+strings.Join(known, ", ")+") or an https URL", name, yamlfile.DidYouMean(name, known))
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
	p.add(at, "a tenant of this file ("+strings.Join(known, ", ")+")", *tenant, yamlfile.DidYouMean(*tenant, known))
}

func (c *Config) completeVaults(p *problems) {
	c.Vaults = slices.Clone(c.Vaults)
	for n := range c.Vaults {
		v, at := &c.Vaults[n], fmt.Sprintf("vaults[%d]", n)
		c.completeTenant(p, at+".tenant", &v.Tenant)
		v.Access = slices.Clone(v.Access)
		for k := range v.Access {
			c.completeAccess(p, fmt.Sprintf("%s.access[%d].identity", at, k), v.Tenant, &v.Access[k].Identity)
		}
		v.AccessPolicies = slices.Clone(v.AccessPolicies)
		for k := range v.AccessPolicies {
			c.completeAccess(p, fmt.Sprintf("%s.accessPolicies[%d].identity", at, k), v.Tenant, &v.AccessPolicies[k].Identity)
		}
		if v.Access == nil && v.AccessPolicies == nil {
			v.Access = []Access{{Identity: "*", Permissions: []string{"*"}}}
		}
	}
	c.checkVaults(p)
}

func (c *Config) completeWorkloads(p *problems) {
	c.Workloads = slices.Clone(c.Workloads)
	for n := range c.Workloads {
		w, at := &c.Workloads[n], fmt.Sprintf("workloads[%d]", n)
		switch job, connection := w.GitHubJob != (GitHubJob{}), w.ServiceConnection != (ServiceConnection{}); {
		case job && connection:
			p.add(at+".serviceConnection", "nothing beside githubJob", w.ServiceConnection.Name, "make two workloads of it")
		case job:
			c.completeGitHubJob(p, at, w)
		case connection:
			c.completeServiceConnection(p, at, w)
		default:
			w.check(p, at)
		}
		p.guid(at+".clientId", &w.ClientID)
		c.completeTenant(p, at+".tenant", &w.Tenant)
		w.Name = cmp.Or(w.Name, w.ServiceAccount)
		c.checkNameBesideConnections(p, n)
		switch {
		case w.Audience != "":
		case w.IdentityBinding != "":
			w.Audience = identitybinding.Audience
		default:
			w.Audience = c.TokenAudience()
		}
		w.Issuer = c.HostedIssuer(w.Issuer)
		if w.Issuer == "" {
			p.add(at+".issuer", "the name of an issuer that wiemu hosts", c.Workloads[n].Issuer, "")
		}
	}
}

// HostedIssuer returns the name of an issuer that wiemu hosts. If name is empty, it is the
// first; if there is none with the name, "".
func (c Config) HostedIssuer(name string) string {
	for _, i := range c.Issuers {
		if !i.External && (name == "" || i.Name == name) {
			return i.Name
		}
	}
	return ""
}

// problems collects everything that is wrong, so that all of it is reported at once.
type problems struct {
	file  string
	all   yamlfile.Problems
	roles []roles.Definition // custom ones, which the file may name
}

func (p *problems) add(field, expected, found, fix string) {
	found = cmp.Or(found, "nothing")
	p.all = append(p.all, yamlfile.Problem{File: p.file, Field: field, Expected: expected, Found: found, Fix: fix})
}

// guid checks that *id is a GUID and writes it in lower case.
func (p *problems) guid(field string, id *string) {
	parsed, ok := parseGUID(*id)
	if !ok {
		p.add(field, "a GUID such as "+DefaultTenant, *id, "")
		return
	}
	*id = parsed
}

// parseGUID returns a GUID in lower case. uuid.Parse takes other forms, too.
func parseGUID(text string) (string, bool) {
	id, err := uuid.Parse(text)
	return id.String(), err == nil && len(text) == 36
}
