package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/server"
)

// How much of a stranger's body is read depends on what the request is for, and what
// is too long is answered as the host answers.
func TestBodiesByHostAndPath(t *testing.T) {
	e := start(t, server.Options{})
	tenant := e.Directory().Tenants()[0].ID
	for _, test := range []struct {
		method, url string
		size        int
		status      int
		want        string
	}{
		{"POST", "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/token", 128 << 10, 400, "AADSTS900144"},
		{"POST", "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/token", 128<<10 + 1, 400, "AADSTS9002313"},
		{"POST", "https://login.microsoftonline.com/" + tenant + "//OAuth2/Token/", 128<<10 + 1, 400, "AADSTS9002313"},
		{"POST", "https://login.microsoftonline.com/" + tenant + "/v2.0/.well-known/openid-configuration", 1 << 20, 405, "AADSTS"},
		{"PUT", "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/token", 1 << 20, 400, "AADSTS900561"},
		{"PUT", "https://mykeyvault.vault.azure.net/secrets/a?api-version=7.4", 32 << 10, 401, "AKV10000"},
		{"PUT", "https://mykeyvault.vault.azure.net/secrets/a?api-version=7.4", 32<<10 + 1, 401, "AKV10000"},
		{"PUT", "https://mykeyvault.vault.azure.net/keys/a?api-version=7.4", 1 << 20, 401, "AKV10000"},
		{"PUT", "https://other.vault.azure.net/secrets/a?api-version=7.4", 1 << 20, 404, ""},
		{"POST", "https://graph.microsoft.com/v1.0/applications", 1 << 20, 401, "InvalidAuthenticationToken"},
	} {
		for where, transport := range map[string]http.RoundTripper{"memory": e.Transport(), "network": e.HTTPClient().Transport} {
			r, err := http.NewRequest(test.method, test.url, strings.NewReader("x="+strings.Repeat("x", test.size-2)))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			response, err := transport.RoundTrip(r)
			if err != nil {
				t.Errorf("%s %s with %d bytes, %s: %v", test.method, test.url, test.size, where, err)
				continue
			}
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err != nil || response.StatusCode != test.status || !strings.Contains(string(body), test.want) {
				t.Errorf("%s %s with %d bytes, %s: %d %s %v, want %d %s", test.method, test.url, test.size, where, response.StatusCode, body, err, test.status, test.want)
			}
		}
	}
}
