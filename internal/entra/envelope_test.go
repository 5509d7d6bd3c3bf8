package entra_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Whatever is asked of a login host, the reply looks like Entra ID's.
func TestEveryReplyIsEntraLike(t *testing.T) {
	l := newLab(t)
	for _, r := range []struct {
		when, method, path string
		status, code       int
	}{
		{"a path that is no endpoint", "GET", "/" + tenantID + "/nothing", 404, 0},
		{"the root", "GET", "/", 404, 0},
		{"a POST to nowhere", "POST", "/", 404, 0},
		{"a POST to a document", "POST", "/common/discovery/instance", 405, 900561},
		{"DELETE of the keys", "DELETE", "/common/discovery/keys", 405, 900561},
		{"a browser asks before it reads the keys", "OPTIONS", "/common/discovery/keys", 200, 0},
		{"a browser asks before it reads the configuration", "OPTIONS", "/" + tenantID + "/v2.0/.well-known/openid-configuration", 200, 0},
		{"the head of a document", "HEAD", "/common/discovery/keys", 200, 0},
		{"a final slash", "GET", "/common/discovery/keys/", 200, 0},
		{"doubled slashes and another case", "GET", "//Common//Discovery//KEYS", 200, 0},
		{"a token by GET", "GET", "/" + tenantID + "/oauth2/v2.0/token", 400, 900561},
		{"a token by GET of v1, with a final slash", "GET", "/" + tenantID + "/oauth2/token/", 400, 900561},
		{"a token by HEAD", "HEAD", "/" + tenantID + "/oauth2/v2.0/token", 400, 900561},
		{"a browser asks before it sends a token request", "OPTIONS", "/" + tenantID + "/oauth2/v2.0/token", 200, 0},
	} {
		t.Run(r.when, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			request := httptest.NewRequest(r.method, "https://login.microsoftonline.com/", nil)
			request.URL.Path = r.path
			l.handler.ServeHTTP(recorder, request)
			h := recorder.Header()
			if recorder.Code != r.status {
				t.Errorf("status %d, want %d: %s", recorder.Code, r.status, recorder.Body)
			}
			for _, name := range []string{"X-Ms-Request-Id", "X-Ms-Ests-Server", "Strict-Transport-Security", "X-Content-Type-Options", "P3p", "Set-Cookie", "Cache-Control"} {
				if h.Get(name) == "" {
					t.Errorf("no header %s", name)
				}
			}
			if r.code != 0 && !strings.Contains(recorder.Body.String(), `"trace_id":"`+h.Get("X-Ms-Request-Id")+`"`) {
				t.Errorf("trace_id is not x-ms-request-id: %s", recorder.Body)
			}
			methods := "GET, OPTIONS"
			if strings.HasSuffix(r.path, "/token") {
				methods = "POST, OPTIONS"
			}
			if r.method == "OPTIONS" && r.status == 200 && (h.Get("Access-Control-Allow-Methods") != methods || h.Get("Access-Control-Allow-Origin") != "*") {
				t.Errorf("headers %v", h)
			}
		})
	}
}

// However a client writes its form, it is read.
func TestFormsThatAreTaken(t *testing.T) {
	for _, r := range []struct {
		when string
		do   func(*attempt)
	}{
		{"with a charset", func(a *attempt) {
			a.header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		}},
		{"with a quoted charset in capitals", func(a *attempt) {
			a.header.Set("Content-Type", `Application/X-WWW-Form-Urlencoded;Charset="UTF-8"`)
		}},
		{"with white space around values", func(a *attempt) {
			for name := range a.form {
				a.form.Set(name, "\n  "+a.form.Get(name)+" \r\n")
			}
		}},
		{"with a parameter that nobody knows", func(a *attempt) { a.form.Set("x-app", "caf\u00e9 \ufffd") }},
		{"names in capitals", func(a *attempt) {
			a.form.Set("CLIENT_ID", a.form.Get("client_id"))
			a.form.Del("client_id")
		}},
		{"with a final slash", func(a *attempt) { a.path += "/" }},
		{"with doubled slashes", func(a *attempt) { a.path = "//" + tenantID + "//oauth2/v2.0/token" }},
		{"the path in capitals", func(a *attempt) { a.path = "/" + strings.ToUpper(tenantID) + "/OAuth2/V2.0/Token" }},
	} {
		t.Run(r.when, func(t *testing.T) {
			l := newLab(t)
			a := l.withSecret()
			r.do(a)
			if got := l.send(t, a); got.status != http.StatusOK {
				t.Errorf("%d: %s", got.status, got.raw)
			}
		})
	}
}

// What is wrong with a body that nobody can read is told as Entra ID tells it.
func TestUnreadableBodies(t *testing.T) {
	l := newLab(t)
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, "https://login.microsoftonline.com/"+tenantID+"/oauth2/v2.0/token", io.MultiReader(strings.NewReader("x")))
	l.service.UnreadableBody().ServeHTTP(recorder, request)
	if recorder.Code != http.StatusBadRequest || !strings.Contains(recorder.Body.String(), `"error_codes":[9002313]`) {
		t.Errorf("%d: %s", recorder.Code, recorder.Body)
	}
}

// The spelling of the host does not get into documents.
func TestHostsInDocuments(t *testing.T) {
	l := newLab(t)
	for _, host := range []string{"login.microsoftonline.com.", "login.microsoftonline.com:443", "Login.MicrosoftOnline.com.:443"} {
		request := httptest.NewRequest(http.MethodGet, "/common/v2.0/.well-known/openid-configuration", nil)
		request.Host = host
		recorder := httptest.NewRecorder()
		l.handler.ServeHTTP(recorder, request)
		if !strings.HasPrefix(recorder.Body.String(), `{"token_endpoint":"https://login.microsoftonline.com/common/`) {
			t.Errorf("asked at %q: %.80s", host, recorder.Body)
		}
	}
	got := l.get(t, "/common/discovery/instance?"+url.Values{"api-version": {"1.1"}, "authorization_endpoint": {"https://login.microsoftonline.com:443/contoso.com/oauth2/v2.0/authorize"}}.Encode())
	if got.status != 200 || !strings.HasPrefix(got.raw, `{"tenant_discovery_endpoint":"https://login.microsoftonline.com/contoso.com/v2.0/`) {
		t.Errorf("%d: %s", got.status, got.raw)
	}
}

func TestUserRealm(t *testing.T) {
	l := newLab(t)
	for path, want := range map[string]string{
		"/common/userrealm/ann@contoso.onmicrosoft.com?api-version=1.0":       `{"ver":"1.0","account_type":"Managed","domain_name":"contoso.onmicrosoft.com","cloud_instance_name":"microsoftonline.com","cloud_audience_urn":"urn:federation:MicrosoftOnline"}`,
		"/common/UserRealm/ann@contoso.onmicrosoft.com?api-version=1.0":       `{"ver":"1.0","account_type":"Managed","domain_name":"contoso.onmicrosoft.com","cloud_instance_name":"microsoftonline.com","cloud_audience_urn":"urn:federation:MicrosoftOnline"}`,
		"/common/userrealm/?user=ann@contoso.onmicrosoft.com&api-version=1.0": `{"ver":"1.0","account_type":"Managed","domain_name":"contoso.onmicrosoft.com","cloud_instance_name":"microsoftonline.com","cloud_audience_urn":"urn:federation:MicrosoftOnline"}`,
		"/common/userrealm/ann@nobody.example?api-version=1.0":                `{"ver":"1.0","account_type":"Unknown","cloud_instance_name":"microsoftonline.com","cloud_audience_urn":"urn:federation:MicrosoftOnline"}`,
		"/common/userrealm/ann?api-version=1.0":                               `{"ver":"1.0","account_type":"Unknown","cloud_instance_name":"microsoftonline.com","cloud_audience_urn":"urn:federation:MicrosoftOnline"}`,
	} {
		if got := l.get(t, path).raw; got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// Only one account below a service's suffix is that service.
func TestHostsBelowASuffix(t *testing.T) {
	for resource, status := range map[string]int{
		"https://mykeyvault.vault.azure.net":   200,
		"https://x/y.vault.azure.net":          400,
		"https://a.b.vault.azure.net":          400,
		"https://user@kv.vault.azure.net":      400,
		"https://.vault.azure.net":             400,
		"https://kv.vault.azure.net:443":       400,
		"http://mykeyvault.vault.azure.net":    400,
		"https://-mykeyvault.vault.azure.net":  400,
		"https://mykeyvault.vault.azure.net/x": 400,
	} {
		l := newLab(t)
		a := l.withSecret()
		a.form.Set("scope", resource+"/.default")
		if got := l.send(t, a); got.status != status {
			t.Errorf("%s: %d, want %d: %s", resource, got.status, status, got.raw)
		}
	}
}

// Regional endpoints serve managed identities, and their documents stay there.
func TestRegionalEndpointForAManagedIdentity(t *testing.T) {
	l := newLab(t)
	a := l.federated()
	a.host = "westeurope.login.microsoft.com"
	if got := l.send(t, a); got.status != http.StatusOK {
		t.Errorf("%d: %s", got.status, got.raw)
	}
}
