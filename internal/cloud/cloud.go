// Package cloud lists the addresses and names in which Azure's clouds differ. It
// knows no tenants and answers no requests. Which hosts a protected resource has in a
// cloud is up to its description: see package resource.
package cloud

import (
	"slices"
	"strings"
)

// Cloud is one of Azure's. The zero value is not one: see Public and Named.
type Cloud struct {
	Name string // as Azure CLI calls it

	Login    string   // the login host that tokens and documents name
	Aliases  []string // all login hosts, that one first
	STS      string   // the host in issuers of v1 tokens
	Regional string   // suffix of regional login hosts. If empty, there are none

	Instance    string // cloud_instance_name
	AADGraph    string // cloud_graph_host_name
	Graph       string // msgraph_host
	RBAC        string // rbac_url
	RegionScope string // tenant_region_scope

	Vault      string   // suffix of key vaults' hosts
	Storage    string   // suffix of storage hosts, after blob. and the like
	SQL        string   // host that tokens for SQL name
	Management []string // Resource Manager's hosts: today's, and the older one

	TokenExchange string // the audience of federated assertions
}

// Public returns the public cloud, the default.
// Source: recordings of 2025 and 2026 (see entra's tests).
func Public() Cloud {
	return Cloud{
		Name:  "AzureCloud",
		Login: "login.microsoftonline.com", Aliases: []string{"login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net", "login-us.microsoftonline.com"},
		STS: "sts.windows.net", Regional: ".login.microsoft.com",
		Instance: "microsoftonline.com", AADGraph: "graph.windows.net", Graph: "graph.microsoft.com", RBAC: "https://pas.windows.net", RegionScope: "WW",
		Vault: "vault.azure.net", Storage: "core.windows.net", SQL: "database.windows.net",
		Management: []string{"management.azure.com", "management.core.windows.net"}, TokenExchange: "api://AzureADTokenExchange",
	}
}

// clouds: the names of hosts are Azure CLI's (azure.cli.core.cloud), the
// audiences those of entra-docs, workload-identity-federation-create-trust.md,
// the names in documents those that login.microsoftonline.us and
// login.partner.microsoftonline.cn were seen to give; rbac_url and
// tenant_region_scope are inferred.
func clouds() []Cloud {
	return []Cloud{
		Public(),
		{
			Name:  "AzureUSGovernment",
			Login: "login.microsoftonline.us", Aliases: []string{"login.microsoftonline.us", "login.usgovcloudapi.net"}, STS: "sts.windows.net",
			Instance: "microsoftonline.us", AADGraph: "graph.windows.net", Graph: "graph.microsoft.us", RBAC: "https://pasff.usgovcloudapi.net", RegionScope: "USGov",
			Vault: "vault.usgovcloudapi.net", Storage: "core.usgovcloudapi.net", SQL: "database.usgovcloudapi.net",
			Management: []string{"management.usgovcloudapi.net", "management.core.usgovcloudapi.net"}, TokenExchange: "api://AzureADTokenExchangeUSGov",
		},
		{
			Name:  "AzureChinaCloud",
			Login: "login.partner.microsoftonline.cn", Aliases: []string{"login.partner.microsoftonline.cn", "login.chinacloudapi.cn"}, STS: "sts.chinacloudapi.cn",
			Instance: "partner.microsoftonline.cn", AADGraph: "graph.chinacloudapi.cn", Graph: "microsoftgraph.chinacloudapi.cn", RBAC: "https://pas.chinacloudapi.cn", RegionScope: "CN",
			Vault: "vault.azure.cn", Storage: "core.chinacloudapi.cn", SQL: "database.chinacloudapi.cn",
			Management: []string{"management.chinacloudapi.cn", "management.core.chinacloudapi.cn"}, TokenExchange: "api://AzureADTokenExchangeChina",
		},
	}
}

// Names returns the clouds' names.
func Names() []string {
	var names []string
	for _, c := range clouds() {
		names = append(names, c.Name)
	}
	return names
}

// Named returns a cloud by its name, in any case; "" is the public one.
func Named(name string) (Cloud, bool) {
	if name == "" {
		return Public(), true
	}
	all := clouds()
	i := slices.IndexFunc(all, func(c Cloud) bool { return strings.EqualFold(c.Name, name) })
	if i < 0 {
		return Cloud{}, false
	}
	return all[i], true
}

// IsZero reports whether c is the zero value.
func (c Cloud) IsZero() bool { return c.Name == "" }

// Authority is the address of the login host, as AZURE_AUTHORITY_HOST has it.
func (c Cloud) Authority() string { return "https://" + c.Login + "/" }

// IssuerV1 is the issuer of v1 tokens of a tenant.
func (c Cloud) IssuerV1(tenant string) string { return "https://" + c.STS + "/" + tenant + "/" }

// IssuerV2 is the issuer of v2 tokens of a tenant.
func (c Cloud) IssuerV2(tenant string) string { return c.Authority() + tenant + "/v2.0" }

// IsLogin reports whether host, in lower case, is a login host.
func (c Cloud) IsLogin(host string) bool { return slices.Contains(c.Aliases, host) }

// IsRegional reports whether host, in lower case, is a regional login host.
func (c Cloud) IsRegional(host string) bool {
	return c.Regional != "" && strings.HasSuffix(host, c.Regional)
}

// IsForeignLogin reports whether host, in lower case, is a login host of another
// cloud.
func (c Cloud) IsForeignLogin(host string) bool {
	return !c.IsLogin(host) && !c.IsRegional(host) && host != c.STS && IsLoginHost(host)
}

// LoginHosts are the login hosts of every cloud, regional ones by their suffix.
// All of them lead to the emulator, whichever cloud it emulates: a client that asks the
// wrong one gets the refusal that Entra ID would send, and its credential does not leave
// the machine.
func LoginHosts() []string {
	var hosts []string
	for _, c := range clouds() {
		hosts = append(append(hosts, c.Aliases...), c.STS)
		if c.Regional != "" {
			hosts = append(hosts, c.Regional)
		}
	}
	hosts = append(hosts, otherLoginHosts()...)
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// otherLoginHosts are those of clouds that a lab cannot be: Germany until 2021, and
// the sovereign clouds of France, Germany and Singapore.
// Source: MSAL for Go 1.10, apps/internal/oauth/ops/authority/known_metadata.go.
func otherLoginHosts() []string {
	return []string{"login.microsoftonline.de", "login.sovcloud-identity.fr", "login.sovcloud-identity.de", "login.sovcloud-identity.sg"}
}

// IsLoginHost reports whether host, in lower case, is one that clients send their
// credentials to: a login host of any cloud or a host below one, its twin for
// mutual TLS, or one of Entra External ID and Azure AD B2C.
// Source of the twins: MSAL.NET, Instance/Region/RegionAndMtlsDiscoveryProvider.cs.
func IsLoginHost(host string) bool {
	for _, zone := range append(LoginHosts(), "b2clogin.com", "ciamlogin.com") {
		zone = strings.TrimPrefix(zone, ".")
		if within(host, zone) {
			return true
		}
		if rest, ok := strings.CutPrefix(zone, "login."); ok && within(host, "mtlsauth."+rest) {
			return true
		}
	}
	return false
}

func within(host, zone string) bool { return host == zone || strings.HasSuffix(host, "."+zone) }
