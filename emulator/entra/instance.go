package entra

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/entra/aadsts"
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

// serveInstance answers GET /common/discovery/instance: whether the host of an
// authorization endpoint is a login host, and its other names. The host that is
// asked vouches for itself under whatever name it is reached; without an entry
// MSAL Go would not find its cached tokens again.
// Source for api-version 1.0, which MSAL Python sends: ADAL; it has no metadata.
func (s *Service) serveInstance(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	endpoint, err := url.Parse(query.Get("authorization_endpoint"))
	if err != nil || endpoint.Scheme != "https" || endpoint.Host == "" {
		s.refuseMetadata(w, r, aadsts.UnknownInstance())
		return
	}
	host := plainHost(endpoint.Host)
	known := knownInstances()
	if !slices.ContainsFunc(known, func(i instance) bool { return slices.Contains(i.Aliases, host) }) {
		if host != plainHost(r.Host) {
			s.refuseMetadata(w, r, aadsts.UnknownInstance())
			return
		}
		known = append(known, instance{host, host, []string{host}})
	}
	tenant, rest, _ := strings.Cut(strings.Trim(endpoint.Path, "/"), "/")
	document := "/.well-known/openid-configuration"
	if strings.HasPrefix(strings.ToLower(rest), "oauth2/v2.0/") {
		document = "/v2.0" + document
	}
	reply := instances{TenantDiscovery: "https://" + host + "/" + url.PathEscape(tenant) + document, APIVersion: "1.1", Metadata: known}
	if query.Get("api-version") == "1.0" {
		reply.APIVersion, reply.Metadata = "1.0", nil
	}
	s.replyMetadata(w, r, reply)
}
