package entra_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/cloud"
)

func TestConfigurationV2(t *testing.T) {
	l := newLab(t)
	for _, r := range []struct{ when, tenant, path, issuer string }{
		{"by id", tenantID, tenantID, "https://login.microsoftonline.com/" + tenantID + "/v2.0"},
		{"by domain it names the id", "contoso.onmicrosoft.com", tenantID, "https://login.microsoftonline.com/" + tenantID + "/v2.0"},
		{"common is a template", "common", "common", "https://login.microsoftonline.com/{tenantid}/v2.0"},
		{"organizations too", "Organizations", "organizations", "https://login.microsoftonline.com/{tenantid}/v2.0"},
		{"consumers is a tenant", "consumers", "consumers", "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"},
	} {
		t.Run(r.when, func(t *testing.T) {
			var d struct {
				Issuer string `json:"issuer"`
				Token  string `json:"token_endpoint"`
				JWKS   string `json:"jwks_uri"`
			}
			must(t, json.Unmarshal([]byte(l.get(t, "/"+r.tenant+"/v2.0/.well-known/openid-configuration").raw), &d))
			if d.Issuer != r.issuer || d.Token != "https://login.microsoftonline.com/"+r.path+"/oauth2/v2.0/token" || d.JWKS != "https://login.microsoftonline.com/"+r.path+"/discovery/v2.0/keys" {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestConfigurationV1(t *testing.T) {
	l := newLab(t)
	got := l.get(t, "/"+tenantID+"/.well-known/openid-configuration").raw
	for _, want := range []string{
		`"issuer":"https://sts.windows.net/` + tenantID + `/"`,
		`"token_endpoint":"https://login.microsoftonline.com/` + tenantID + `/oauth2/token"`,
		`"jwks_uri":"https://login.microsoftonline.com/common/discovery/keys"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
}

// A client that has an authority host of its own stays there; a Host header that
// is no host does not get into a document.
func TestEndpointsAreAtTheHostThatWasAsked(t *testing.T) {
	l := newLab(t)
	for _, r := range []struct{ host, want string }{
		{"localhost:8443", "localhost:8443"},
		{"LOGIN.windows.net:443", "login.windows.net"},
		{"sts.windows.net", "login.microsoftonline.com"},
		{`evil"/<host>`, "login.microsoftonline.com"},
		{"", "login.microsoftonline.com"},
	} {
		request := httptest.NewRequest(http.MethodGet, "/common/v2.0/.well-known/openid-configuration", nil)
		request.Host = r.host
		recorder := httptest.NewRecorder()
		l.handler.ServeHTTP(recorder, request)
		if want := `{"token_endpoint":"https://` + r.want + `/common/`; !strings.HasPrefix(recorder.Body.String(), want) {
			t.Errorf("asked at %q: %.80s", r.host, recorder.Body)
		}
	}
}

func TestMetadataOfAnUnknownTenant(t *testing.T) {
	l := newLab(t)
	for _, path := range []string{"/v2.0/.well-known/openid-configuration", "/.well-known/openid-configuration", "/discovery/keys", "/discovery/v2.0/keys"} {
		got := l.get(t, "/12345678-0000-4000-8000-000000000000"+path)
		if got.status != 400 || got.code() != 90002 || got.Error != "invalid_tenant" || got.header.Get("Cache-Control") != "max-age=86400, private" {
			t.Errorf("%s: %s", path, got.raw)
		}
	}
}

func TestKeySets(t *testing.T) {
	l := newLab(t)
	if _, err := l.keys.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	order := []string{"kty", "use", "kid", "x5t", "n", "e", "x5c"}
	for _, r := range []struct {
		path   string
		order  []string
		issuer string
	}{
		{"/" + tenantID + "/discovery/keys", order, ""},
		{"/common/discovery/keys", order, ""},
		{"/" + tenantID + "/discovery/v2.0/keys", append(order, "cloud_instance_name", "issuer"), "https://login.microsoftonline.com/" + tenantID + "/v2.0"},
		{"/common/discovery/v2.0/keys", append(order, "cloud_instance_name", "issuer"), "https://login.microsoftonline.com/{tenantid}/v2.0"},
	} {
		var set struct {
			Keys []json.RawMessage `json:"keys"`
		}
		must(t, json.Unmarshal([]byte(l.get(t, r.path).raw), &set))
		if len(set.Keys) != 2 {
			t.Fatalf("%s has %d keys, want the signing one and the next", r.path, len(set.Keys))
		}
		var first struct{ Kid, X5T, Issuer string }
		must(t, json.Unmarshal(set.Keys[0], &first))
		if first.Kid != l.keys.Signing().ID || first.X5T != first.Kid || first.Issuer != r.issuer {
			t.Errorf("%s: %+v", r.path, first)
		}
		if got := names(strings.ReplaceAll(string(set.Keys[0]), `"x5t"`, `"xvt"`)); !equal(got, names(strings.ReplaceAll(`{"`+strings.Join(r.order, `":0,"`)+`":0}`, `"x5t"`, `"xvt"`))) {
			t.Errorf("%s: order %v", r.path, got)
		}
	}
}

func TestInstanceDiscovery(t *testing.T) {
	l := newLab(t)
	discover := func(version, endpoint string) reply {
		return l.get(t, "/common/discovery/instance?"+url.Values{"api-version": {version}, "authorization_endpoint": {endpoint}}.Encode())
	}
	for _, host := range append(cloud.Public().Aliases, "login.microsoftonline.us") {
		got := discover("1.1", "https://"+host+"/contoso.com/oauth2/v2.0/authorize")
		if want := `{"tenant_discovery_endpoint":"https://` + host + `/contoso.com/v2.0/.well-known/openid-configuration","api-version":"1.1","metadata":[{"preferred_network":"login.microsoftonline.com",`; !strings.HasPrefix(got.raw, want) {
			t.Errorf("%s: %s", host, got.raw)
		}
	}
	if got := discover("1.0", "https://login.microsoftonline.com/common/oauth2/authorize"); got.raw != `{"tenant_discovery_endpoint":"https://login.microsoftonline.com/common/.well-known/openid-configuration","api-version":"1.0"}` {
		t.Errorf("1.0: %s", got.raw)
	}
	for _, endpoint := range []string{"https://evil.example/common/oauth2/v2.0/authorize", "", "http://login.microsoftonline.com/x", "::"} {
		if got := discover("1.1", endpoint); got.status != 400 || got.Error != "invalid_instance" || got.code() != 50049 {
			t.Errorf("%q: %s", endpoint, got.raw)
		}
	}

	request := httptest.NewRequest(http.MethodGet, "/common/discovery/instance?api-version=1.1&authorization_endpoint=https%3A%2F%2Flocalhost%3A8443%2Fx%2Foauth2%2Fv2.0%2Fauthorize", nil)
	request.Host = "localhost:8443"
	recorder := httptest.NewRecorder()
	l.handler.ServeHTTP(recorder, request)
	if !strings.HasSuffix(recorder.Body.String(), `{"preferred_network":"localhost:8443","preferred_cache":"localhost:8443","aliases":["localhost:8443"]}]}`) {
		t.Errorf("the asked host itself: %s", recorder.Body)
	}
}

func TestOtherPathsAreNotFound(t *testing.T) {
	l := newLab(t)
	for _, path := range []string{"/", "/" + tenantID, "/" + tenantID + "/oauth2/token/v2.0/.well-known/openid-configuration"} {
		if got := l.get(t, path); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}
