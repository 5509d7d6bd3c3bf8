package entra

import (
	"net"
	"net/http"
	"strings"

	"github.com/wiemu/wiemu/emulator/cloud"
	"github.com/wiemu/wiemu/emulator/entra/aadsts"
	"github.com/wiemu/wiemu/emulator/gateway/httppath"
)

// described is the tenant that a discovery document is about.
type described struct {
	cloud.Cloud
	host string // that was asked: the endpoints are there
	path string // first segment of the endpoints: the tenant's id, or common and its like
	id   string // in the issuer: the tenant's id, or a placeholder
}

// consumersID is the tenant of personal Microsoft accounts.
const consumersID = "9188040d-6c67-4c5b-b112-36a304b66dad"

// describe finds the tenant of a metadata request. A domain is answered with the
// tenant's id.
func (s *Service) describe(r *http.Request) (described, *aadsts.Error) {
	asked := httppath.Segment(r, 0)
	d := described{Cloud: s.cloud, host: s.endpointHost(r)}
	if t, ok := s.directory.Tenant(asked); ok {
		d.path, d.id = t.ID, t.ID
		return d, nil
	}
	if !isSharedTenant(asked) {
		return d, refuseTenant(asked)
	}
	d.path, d.id = strings.ToLower(asked), "{tenantid}" // a template for multi-tenant applications, literally
	if d.path == "consumers" {
		d.id = consumersID
	}
	return d, nil
}

func (d described) issuerV2() string { return d.IssuerV2(d.id) }

func (d described) endpoint(path string) string { return "https://" + d.host + "/" + d.path + path }

// endpointHost is the host that a discovery document sends clients to: the one
// they asked, so that a client with an authority host of its own stays there.
// The host of v1 issuers only names those, and one of another cloud sends clients
// to the tenant's own, which is inferred.
func (s *Service) endpointHost(r *http.Request) string {
	host := plainHost(r.Host)
	if host == "" || host == s.cloud.STS || s.cloud.IsForeignLogin(host) || strings.ContainsFunc(host, func(c rune) bool {
		return !isAlphanumeric(c) && !strings.ContainsRune(".-:[]", c)
	}) {
		return s.cloud.Login
	}
	return host
}

// plainHost is a host with its port as addresses spell it: in lower case, without
// a final dot and without the port that https has anyway.
func plainHost(hostport string) string {
	host := strings.TrimSuffix(strings.ToLower(hostport), ":443")
	if name, port, err := net.SplitHostPort(host); err == nil && !strings.Contains(name, ":") {
		return strings.TrimSuffix(name, ".") + ":" + port
	}
	return strings.TrimSuffix(host, ".")
}

// serveConfiguration answers GET /{tenant}/.well-known/openid-configuration and
// /{tenant}/v2.0/.well-known/openid-configuration.
func (s *Service) serveConfiguration(w http.ResponseWriter, r *http.Request, version int) {
	d, refusal := s.describe(r)
	switch {
	case refusal != nil:
		s.refuseMetadata(w, r, refusal)
	case version == 1:
		s.replyMetadata(w, r, configurationOfV1(d))
	default:
		s.replyMetadata(w, r, configurationOfV2(d))
	}
}

// The documents of both versions are made of the same parts, in Entra ID's order;
// what only one has stands between them.
// Source of v2: recorded 2025-02 by Azure/kubelogin. The members of v1 are those of
// documents quoted in public; their order follows v2, since no recording is at hand.
type (
	configurationV2 struct {
		configurationOfTokens
		RequestURIParameter bool   `json:"request_uri_parameter_supported"`
		UserinfoEndpoint    string `json:"userinfo_endpoint"`
		configurationOfUsers
		KerberosEndpoint string `json:"kerberos_endpoint"`
		configurationOfTheTenant
	}

	configurationV1 struct {
		configurationOfTokens
		MultiRefreshToken bool `json:"microsoft_multi_refresh_token"`
		configurationOfUsers
		CheckSessionFrame string `json:"check_session_iframe"`
		UserinfoEndpoint  string `json:"userinfo_endpoint"`
		KerberosEndpoint  string `json:"kerberos_endpoint"`
		configurationOfTheTenant
	}
)

// configurationOfTokens begins both documents.
type configurationOfTokens struct {
	TokenEndpoint     string   `json:"token_endpoint"`
	TokenAuthMethods  []string `json:"token_endpoint_auth_methods_supported"`
	JWKS              string   `json:"jwks_uri"`
	ResponseModes     []string `json:"response_modes_supported"`
	SubjectTypes      []string `json:"subject_types_supported"`
	SigningAlgorithms []string `json:"id_token_signing_alg_values_supported"`
	ResponseTypes     []string `json:"response_types_supported"`
	Scopes            []string `json:"scopes_supported"`
	Issuer            string   `json:"issuer"`
}

// configurationOfUsers is about signing users in and out.
type configurationOfUsers struct {
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	DeviceEndpoint        string   `json:"device_authorization_endpoint"`
	HTTPLogout            bool     `json:"http_logout_supported"`
	FrontchannelLogout    bool     `json:"frontchannel_logout_supported"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"`
	Claims                []string `json:"claims_supported"`
}

// configurationOfTheTenant ends both documents.
type configurationOfTheTenant struct {
	RegionScope       string `json:"tenant_region_scope,omitempty"` // of one tenant
	CloudInstanceName string `json:"cloud_instance_name"`
	CloudGraphHost    string `json:"cloud_graph_host_name"`
	GraphHost         string `json:"msgraph_host"`
	RBAC              string `json:"rbac_url"`
}

func (d described) ofTheTenant() configurationOfTheTenant {
	t := configurationOfTheTenant{
		CloudInstanceName: d.Instance,
		CloudGraphHost:    d.AADGraph,
		GraphHost:         d.Graph,
		RBAC:              d.RBAC,
	}
	if d.path == d.id {
		t.RegionScope = d.RegionScope
	}
	return t
}

func (d described) ofTokens(oauth, jwks, issuer string, responses, scopes []string) configurationOfTokens {
	return configurationOfTokens{
		TokenEndpoint:     d.endpoint(oauth + "/token"),
		TokenAuthMethods:  []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		JWKS:              jwks,
		ResponseModes:     []string{"query", "fragment", "form_post"},
		SubjectTypes:      []string{"pairwise"},
		SigningAlgorithms: []string{"RS256"},
		ResponseTypes:     responses,
		Scopes:            scopes,
		Issuer:            issuer,
	}
}

// ofUsers lists the claims of id tokens: those of both versions and more.
func (d described) ofUsers(oauth string, more ...string) configurationOfUsers {
	return configurationOfUsers{
		AuthorizationEndpoint: d.endpoint(oauth + "/authorize"),
		DeviceEndpoint:        d.endpoint(oauth + "/devicecode"),
		HTTPLogout:            true,
		FrontchannelLogout:    true,
		EndSessionEndpoint:    d.endpoint(oauth + "/logout"),
		Claims: append([]string{"sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name", "msgraph_host",
			"aud", "exp", "iat", "auth_time", "acr"}, more...),
	}
}

func configurationOfV2(d described) configurationV2 {
	const oauth = "/oauth2/v2.0"
	return configurationV2{
		configurationOfTokens: d.ofTokens(oauth, d.endpoint("/discovery/v2.0/keys"), d.issuerV2(),
			[]string{"code", "id_token", "code id_token", "id_token token"}, []string{"openid", "profile", "email", "offline_access"}),
		UserinfoEndpoint:         "https://" + d.Graph + "/oidc/userinfo",
		configurationOfUsers:     d.ofUsers(oauth, "nonce", "preferred_username", "name", "tid", "ver", "at_hash", "c_hash", "email"),
		KerberosEndpoint:         d.endpoint("/kerberos"),
		configurationOfTheTenant: d.ofTheTenant(),
	}
}

func configurationOfV1(d described) configurationV1 {
	const oauth = "/oauth2"
	keys := "https://" + d.host + "/common/discovery/keys" // the same for every tenant
	return configurationV1{
		configurationOfTokens: d.ofTokens(oauth, keys, d.IssuerV1(d.id),
			[]string{"code", "id_token", "code id_token", "token id_token", "token"}, []string{"openid"}),
		MultiRefreshToken:        true,
		configurationOfUsers:     d.ofUsers(oauth, "amr", "nonce", "email", "given_name", "family_name", "nickname"),
		CheckSessionFrame:        d.endpoint("/oauth2/checksession"),
		UserinfoEndpoint:         d.endpoint("/openid/userinfo"),
		KerberosEndpoint:         d.endpoint("/kerberos"),
		configurationOfTheTenant: d.ofTheTenant(),
	}
}
