package config

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/tenants"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// ServiceConnection is an Azure service connection of Azure DevOps with workload identity federation, in a task of a pipeline that names it.
type ServiceConnection struct {
	// Organization is the name of the organization of Azure DevOps, in the case that counts in the subject.
	Organization string `yaml:"organization,omitempty" json:"organization,omitempty" jsonschema:"example=contoso"`
	// OrganizationID is the id of the organization, a GUID. Default: made of its name, the same in each run.
	OrganizationID string `yaml:"organizationId,omitempty" json:"organizationId,omitempty" jsonschema:"format=uuid"`
	// Project is the name of the connection's project.
	Project string `yaml:"project,omitempty" json:"project,omitempty" jsonschema:"example=shop"`
	// Name is the name of the connection.
	Name string `yaml:"name,omitempty" json:"name,omitempty" jsonschema:"example=azure-production"`
	// ID is the id of the connection, a GUID. Default: made of the names, the same in each run.
	ID string `yaml:"id,omitempty" json:"id,omitempty" jsonschema:"format=uuid"`
	// Issuer is that of the connection's tokens: entra, azureDevOps for a connection that is not converted to the former, or its URL, as Azure DevOps shows it. Default: entra; azureDevOps in other clouds than the public one.
	Issuer string `yaml:"issuer,omitempty" json:"issuer,omitempty" jsonschema:"example=azureDevOps"`
	// Subject is the subject, to the letter, as Azure DevOps shows it. Default: made of the others.
	Subject string `yaml:"subject,omitempty" json:"subject,omitempty"`
}

// How wiemu.yaml names the issuers of service connections.
const (
	entraIssuer       = "entra"
	azureDevOpsIssuer = "azureDevOps"
)

// azureDevOpsIssuers is followed by the organization's id. Source: learn.microsoft.com,
// azure/devops/pipelines/release/convert-service-connections, which names July 1, 2027 as its end
// in the public cloud; seen in tokens, such as those of Teleport's RFD 211 (2025-04).
const azureDevOpsIssuers = "https://vstoken.dev.azure.com/"

// azureDevOpsID is the application of Azure DevOps, in whose name Entra ID makes a connection's tokens.
const azureDevOpsID = "499b84ac-1321-427f-aa17-267ca6975798"

// hostAzureDevOps adds the issuers of the organizations whose connections need one, if none is there.
func (c *Config) hostAzureDevOps() {
	for _, w := range c.Workloads {
		url := c.azureDevOpsIssuerOf(w.ServiceConnection)
		if url != "" && !slices.ContainsFunc(c.Issuers, isAt(url)) {
			c.Issuers = append(c.Issuers, Issuer{Name: "azure-devops-" + strings.ToLower(w.ServiceConnection.Organization), URL: url})
		}
	}
}

// azureDevOpsIssuerOf returns the issuer of a connection's organization if its tokens are of that, else "".
func (c *Config) azureDevOpsIssuerOf(s ServiceConnection) string {
	url := azureDevOpsIssuers + s.organizationID()
	if s != (ServiceConnection{}) && (s.Issuer == azureDevOpsIssuer || s.Issuer == url || s.Issuer == "" && !c.isPublic()) {
		return url
	}
	return ""
}

func (s ServiceConnection) organizationID() string {
	if id, ok := strings.CutPrefix(s.Issuer, azureDevOpsIssuers); ok && s.OrganizationID == "" {
		return strings.ToLower(id)
	}
	return cmp.Or(strings.ToLower(s.OrganizationID), tenants.StableID("organization of Azure DevOps", strings.ToLower(s.Organization)))
}

func (c *Config) isPublic() bool { return c.Cloud == cloud.Public().Name }

func isAt(url string) func(Issuer) bool {
	return func(i Issuer) bool { return strings.TrimRight(i.URL, "/") == url }
}

// completeServiceConnection fills in what Azure DevOps would: it is called for workloads that have one.
func (c *Config) completeServiceConnection(p *problems, at string, w *Workload) {
	s, in := &w.ServiceConnection, at+".serviceConnection"
	s.check(p, in)
	s.OrganizationID = s.organizationID()
	p.guid(in+".organizationId", &s.OrganizationID)
	s.ID = cmp.Or(s.ID, tenants.StableID("service connection", s.OrganizationID, s.Project, s.Name))
	p.guid(in+".id", &s.ID)
	c.completeTenant(p, at+".tenant", &w.Tenant)
	given := w.Issuer
	c.completeIssuerOfConnection(p, in, w)
	s.Subject = cmp.Or(s.Subject, s.subject(w.Tenant))
	w.checkAlone(p, at, "serviceConnection", "a task of Azure Pipelines", s.Organization, s.Name)
	if given != "" && given != w.Issuer {
		p.add(at+".issuer", "nothing beside serviceConnection", given, "write serviceConnection.issuer: "+entraIssuer+" or "+azureDevOpsIssuer)
	}
	if w.Audience != "" && w.Audience != c.TokenAudience() {
		p.add(at+".audience", c.TokenAudience()+", or nothing, beside serviceConnection", w.Audience, "the audience of a connection's tokens cannot be chosen")
	}
	w.Namespace, w.ServiceAccount = s.Organization, s.Name // by which the journal and faults name it
}

// checkNameBesideConnections refuses the name of a workload that one before it has, if one of the
// two has a service connection: nothing else tells these apart, as each project may have a
// connection of that name, and a connection may be declared with either issuer.
func (c *Config) checkNameBesideConnections(p *problems, n int) {
	w := c.Workloads[n]
	for i, before := range c.Workloads[:n] {
		if before.Name == w.Name && (before.ServiceConnection != (ServiceConnection{}) || w.ServiceConnection != (ServiceConnection{})) {
			p.add(fmt.Sprintf("workloads[%d].name", n), "a name of its own", fmt.Sprintf("%s, as workloads[%d] has", w.Name, i), "give each of the two a name: wiemu run, scenarios and faults find them by it")
			return
		}
	}
}

func (c *Config) completeIssuerOfConnection(p *problems, at string, w *Workload) {
	s, entra := &w.ServiceConnection, c.entraIssuerOf(w.Tenant)
	w.Issuer = c.HostedIssuer("") // Entra ID is none of them: it is not asked
	if url := c.azureDevOpsIssuerOf(*s); url != "" {
		s.Issuer = url
		in := c.Issuers[slices.IndexFunc(c.Issuers, isAt(url))] // hostAzureDevOps has seen to it
		if in.External {
			p.add(at, "an issuer at "+url+" that wiemu hosts, to make the connection's tokens", in.Name+", which is external", "remove external: true from it, or the connection")
		}
		w.Issuer = in.Name
		return
	}
	switch known := []string{entraIssuer, azureDevOpsIssuer}; {
	case s.Issuer != "" && s.Issuer != entraIssuer && s.Issuer != entra:
		p.add(at+".issuer", strings.Join(known, ", ")+", "+entra+" or "+azureDevOpsIssuers+s.OrganizationID, s.Issuer, yamlfile.DidYouMean(s.Issuer, known))
	case !c.isPublic(): // source: see azureDevOpsIssuers
		p.add(at+".issuer", azureDevOpsIssuer+", as the cloud is "+c.Cloud, s.Issuer, "Azure DevOps has the Entra issuer in the public cloud alone")
	default:
		s.Issuer = entra
	}
}

func (c *Config) entraIssuerOf(tenant string) string {
	in, _ := cloud.Named(c.Cloud) // Complete refuses an unknown one
	return in.IssuerV2(tenant)
}

// subject returns sub of the connection's tokens. That of Entra ID has tenant and application as
// base64url of the GUIDs' bytes in .NET's order.
// Source: tokens printed in Teleport's RFD 211 (2025-04), of which one has iss
// https://login.microsoftonline.com/ff882432-09b0-437b-bd22-ca13c0037ded/v2.0 and sub
// /eid1/c/pub/t/MiSI_7AJe0O9IsoTwAN97Q/a/rISbSSETf0KqFyZ8ppdXmA/sc/ORGANIZATION-ID/CONNECTION-ID;
// many a federated credential in public repositories is like it.
func (s ServiceConnection) subject(tenant string) string {
	if strings.HasPrefix(s.Issuer, azureDevOpsIssuers) {
		return "sc://" + s.Organization + "/" + s.Project + "/" + s.Name
	}
	return "/eid1/c/pub/t/" + shortGUID(tenant) + "/a/" + shortGUID(azureDevOpsID) + "/sc/" + s.OrganizationID + "/" + s.ID
}

func shortGUID(guid string) string {
	b, err := uuid.Parse(guid)
	if err != nil { // what is no GUID was reported
		return guid
	}
	slices.Reverse(b[:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Source: learn.microsoft.com, azure/devops/organizations/settings/naming-restrictions, of which
// this is the part that counts here: names are in paths.
var (
	organizationForm = lazyregexp.New(`^[A-Za-z0-9]([A-Za-z0-9-]{0,48}[A-Za-z0-9])?$`)
	connectionForm   = lazyregexp.New(`^[^\s/\\\pC]([^/\\\pC]{0,254}[^\s/\\\pC])?$`)
)

func (s ServiceConnection) check(p *problems, at string) {
	for _, f := range []struct {
		name, value, expected string
		form                  lazyregexp.Regexp
	}{
		{"organization", s.Organization, "the name of an organization, such as contoso", organizationForm},
		{"project", s.Project, "the name of a project, such as shop", connectionForm},
		{"name", s.Name, "the name of the service connection, such as azure-production", connectionForm},
	} {
		if !f.form().MatchString(f.value) {
			p.add(at+"."+f.name, f.expected, f.value, "")
		}
	}
}
