package discovery

import (
	"net/url"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/cloud"
)

// instances is the reply of instance discovery, in Entra ID's order.
type instances struct {
	TenantDiscovery string     `json:"tenant_discovery_endpoint"`
	APIVersion      string     `json:"api-version"`
	Metadata        []instance `json:"metadata,omitempty"`
}

// instance is a login host with its other names.
type instance struct {
	Network string   `json:"preferred_network"`
	Cache   string   `json:"preferred_cache"`
	Aliases []string `json:"aliases"`
}

// knownInstances are the login hosts that Entra ID vouches for.
// Source: recorded 2025-02 by Azure/kubelogin.
func knownInstances() []instance {
	return []instance{
		{"login.microsoftonline.com", "login.windows.net", []string{"login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"}},
		{"login.partner.microsoftonline.cn", "login.partner.microsoftonline.cn", []string{"login.partner.microsoftonline.cn", "login.chinacloudapi.cn"}},
		{"login.microsoftonline.de", "login.microsoftonline.de", []string{"login.microsoftonline.de"}},
		{"login.microsoftonline.us", "login.microsoftonline.us", []string{"login.microsoftonline.us", "login.usgovcloudapi.net"}},
		{"login-us.microsoftonline.com", "login-us.microsoftonline.com", []string{"login-us.microsoftonline.com"}},
	}
}

// Instances is the reply of instance discovery: whether the host of an
// authorization endpoint is a login host, and its other names. The host that is
// asked vouches for itself under whatever name it is reached; without an entry
// MSAL Go would not find its cached tokens again.
// Source for api-version 1.0, which MSAL Python sends: ADAL; it has no metadata.
func Instances(endpoint *url.URL, asked, apiVersion string) (reply any, known bool) {
	host, all := PlainHost(endpoint.Host), knownInstances()
	if !slices.ContainsFunc(all, func(i instance) bool { return slices.Contains(i.Aliases, host) }) {
		if host != PlainHost(asked) {
			return nil, false
		}
		all = append(all, instance{host, host, []string{host}})
	}
	tenant, rest, _ := strings.Cut(strings.Trim(endpoint.Path, "/"), "/")
	document := "/.well-known/openid-configuration"
	if strings.HasPrefix(strings.ToLower(rest), "oauth2/v2.0/") {
		document = "/v2.0" + document
	}
	found := instances{TenantDiscovery: "https://" + host + "/" + url.PathEscape(tenant) + document, APIVersion: "1.1", Metadata: all}
	if apiVersion == "1.0" {
		found.APIVersion, found.Metadata = "1.0", nil
	}
	return found, true
}

// userRealm says how the users of a domain sign in, in Entra ID's order.
// Source: the realm discovery reply in a log of Windows' sign-in (AadCloudAPPlugin
// 1015) for a managed domain; the reply for an unknown domain is inferred.
type userRealm struct {
	Version       string `json:"ver"`
	AccountType   string `json:"account_type"`
	DomainName    string `json:"domain_name,omitempty"`
	CloudInstance string `json:"cloud_instance_name"`
	CloudAudience string `json:"cloud_audience_urn"`
}

// UserRealm is the realm of a user in a domain of a tenant, or in another one if
// domain is empty: the former are managed by Entra ID, the latter are unknown to it.
func UserRealm(c cloud.Cloud, domain string) any {
	realm := userRealm{Version: "1.0", AccountType: "Unknown", CloudInstance: c.Instance, CloudAudience: "urn:federation:MicrosoftOnline"}
	if domain != "" {
		realm.AccountType, realm.DomainName = "Managed", domain
	}
	return realm
}
