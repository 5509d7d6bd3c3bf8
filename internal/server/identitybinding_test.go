package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/identitybinding"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/server"
)

// bindingClient trusts the cluster's CA and asks for the proxy by its SNI name,
// as azidentity does.
func bindingClient(t *testing.T, p server.TokenProxy) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(p.CA) {
		t.Fatal("no CA")
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: p.SNIName, MinVersion: tls.VersionTLS12}}}
}

func tokenForm(clientID, assertion string) url.Values {
	return url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "scope": {vault + "/.default"}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
}

func post(t *testing.T, client *http.Client, address string, form url.Values) (int, string) {
	t.Helper()
	resp, err := client.PostForm(address, form)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(body)
}

func TestIdentityBinding(t *testing.T) {
	e := start(t, server.Options{Config: config.Config{
		Identities:       []config.Identity{{Principal: config.Principal{Name: "web", ClientID: ownID}}, {Principal: config.Principal{Name: "batch", ClientID: secondID}}},
		Applications:     []config.Application{{Principal: config.Principal{Name: "app", ClientID: appID}}},
		IdentityBindings: []config.IdentityBinding{{Identity: "web", ServiceAccounts: []string{"dev/web-sa"}}},
	}})
	proxy, err := e.TokenProxy("")
	must(t, err)
	if !strings.HasSuffix(proxy.SNIName, ".ests.aks") || strings.Contains(proxy.URL, "ests") {
		t.Errorf("%s %s", proxy.URL, proxy.SNIName)
	}
	client := bindingClient(t, proxy)
	e.Issuers()[0].PutServiceAccount("dev", "other-sa", nil)
	good := serviceAccountToken(t, e, "dev", "web-sa", identitybinding.Audience)
	path := proxy.URL + "/" + config.DefaultTenant + "/oauth2/v2.0/token"
	for _, c := range []struct {
		name, url, clientID, assertion string
		status                         int
		body                           string
	}{
		{"bound", path, ownID, good, 200, `"expires_in":86399`},
		{"as AKS's documentation has it for curl", proxy.URL, ownID, good, 200, `"expires_in":86399`},
		{"no assertion", path, ownID, "", 400, "has no client_assertion"},
		{"another audience", path, ownID, serviceAccountToken(t, e, "dev", "web-sa", cloud.Public().TokenExchange), 401, `audience api://AKSIdentityBinding`},
		{"changed", path, ownID, good[:len(good)-8] + "AAAAAAAA", 401, "invalid_client"},
		{"an account that is not bound", path, ownID, serviceAccountToken(t, e, "dev", "other-sa", identitybinding.Audience), 403, `cannot use-managed-identity resource`},
		{"an identity that is not bound", path, secondID, good, 403, `cannot use-managed-identity resource`},
		{"an app registration", path, appID, good, 403, "There is no identity binding for client id"},
		{"an unknown identity", path, clientID, good, 403, "There is no identity binding for client id"},
		{"what Entra ID refuses", proxy.URL + "/" + config.DefaultTenant + "/oauth2/token?resource=api%3A%2F%2Fnobody", ownID, good, 400, "AADSTS500011"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body := post(t, client, c.url, tokenForm(c.clientID, c.assertion))
			if status != c.status || !strings.Contains(body, c.body) {
				t.Errorf("%d %s", status, body)
			}
			last, _ := explain.Last(e.Journal().Events())
			if c.status != 200 && (last.Outcome != journal.Denied || last.Remedy == "") {
				t.Errorf("journal: %+v", last)
			}
		})
	}
	for _, p := range []string{"/common/discovery/instance?api-version=1.1&authorization_endpoint=https%3A%2F%2Flogin.microsoftonline.com%2F" + config.DefaultTenant + "%2Foauth2%2Fv2.0%2Fauthorize", "/" + config.DefaultTenant + "/v2.0/.well-known/openid-configuration"} {
		if resp, body := ask(t, client, proxy.URL+p); resp.StatusCode != 200 || !strings.Contains(body, "login.microsoftonline.com") {
			t.Errorf("%s: %d %s", p, resp.StatusCode, body)
		}
	}
	// The lab's own CA and the cluster's are two.
	if _, err := e.HTTPClient().Get("https://" + proxy.SNIName); err == nil {
		t.Error("the gateway answers for the proxy")
	}
}

// An application that does not opt in sends the proxy's tokens to Entra ID.
// Source: azidentity's TROUBLESHOOTING.md names both codes.
func TestIdentityBindingTokensAreNothingToEntra(t *testing.T) {
	e := start(t, server.Options{})
	must(t, e.BindIdentity(t.Context(), lab.Account{Namespace: "dev", ServiceAccount: "web-sa", ClientID: ownID}))
	send := func() string {
		_, body := post(t, &http.Client{Transport: e.Transport()}, "https://login.microsoftonline.com/"+config.DefaultTenant+"/oauth2/v2.0/token",
			tokenForm(ownID, serviceAccountToken(t, e, "dev", "web-sa", identitybinding.Audience)))
		return body
	}
	if body := send(); !strings.Contains(body, "AADSTS700211") {
		t.Errorf("without a federated credential for the cluster: %s", body)
	}
	must(t, e.Trust(lab.Account{Namespace: "dev", ServiceAccount: "web-sa", ClientID: ownID}))
	if body := send(); !strings.Contains(body, "AADSTS700212") || !strings.Contains(body, "api://AKSIdentityBinding") {
		t.Errorf("with one: %s", body)
	}
}

func TestAnAppRegistrationIsNotBound(t *testing.T) {
	e := start(t, server.Options{Config: config.Config{Applications: []config.Application{{Principal: config.Principal{Name: "app", ClientID: appID}}}}})
	if err := e.BindIdentity(t.Context(), lab.Account{Namespace: "dev", ServiceAccount: "web-sa", ClientID: appID}); err == nil || !strings.Contains(err.Error(), "not for app registrations") {
		t.Errorf("%v", err)
	}
}
