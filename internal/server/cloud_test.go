package server_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/server"
)

// In a national cloud, everything has that cloud's names: hosts, issuers,
// audiences, documents and challenges.
func TestNationalClouds(t *testing.T) {
	for _, name := range cloud.Names() {
		t.Run(name, func(t *testing.T) {
			in, _ := cloud.Named(strings.ToLower(name))
			e := begin(t, config.Config{
				Cloud:     name,
				Workloads: []config.Workload{{Namespace: "ns", ServiceAccount: "web-sa", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49"}},
			}, "")
			client := &http.Client{Transport: e.Transport()}
			token, err := e.Issuers()[0].Mint(t.Context(), issuer.TokenRequest{Namespace: "ns", ServiceAccount: "web-sa", Audiences: []string{in.TokenExchange}})
			if err != nil {
				t.Fatal(err)
			}
			endpoint := in.Authority() + config.DefaultTenant + "/oauth2/v2.0/token"
			form := url.Values{
				"client_id": {"b96d264b-7053-4465-a4a7-32be5b0fec49"}, "grant_type": {"client_credentials"}, "scope": {"https://" + in.Vault + "/.default"},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {token.Raw},
			}
			granted := object(t, answered(client.PostForm(endpoint, form))(t))
			access, _ := granted["access_token"].(string)
			if access == "" {
				t.Fatalf("no token: %v", granted)
			}
			var claims map[string]any
			payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(access, ".")[1])
			if err := json.Unmarshal(payload, &claims); err != nil || claims["iss"] != in.IssuerV1(config.DefaultTenant) || claims["aud"] != "https://"+in.Vault {
				t.Errorf("claims %v", claims)
			}

			document := object(t, answered(client.Get(in.Authority()+config.DefaultTenant+"/v2.0/.well-known/openid-configuration"))(t))
			for member, want := range map[string]string{
				"issuer": in.IssuerV2(config.DefaultTenant), "token_endpoint": endpoint, "cloud_instance_name": in.Instance, "msgraph_host": in.Graph,
			} {
				if document[member] != want {
					t.Errorf("%s: expected %s, found %v", member, want, document[member])
				}
			}

			vault := "https://mykeyvault." + in.Vault + "/secrets/mysecret?api-version=7.4"
			challenged := answered(client.Get(vault))(t)
			want := `Bearer authorization="` + in.Authority() + config.DefaultTenant + `", resource="https://` + in.Vault + `"`
			if found := challenged.Header.Get("WWW-Authenticate"); found != want {
				t.Errorf("challenge %s", found)
			}
			_ = challenged.Body.Close()
			for _, address := range []string{vault} {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+access)
				if got := object(t, answered(client.Do(r))(t)); got["value"] == nil {
					t.Errorf("%s: %v", address, got)
				}
			}

			form.Set("client_secret", "")
			form.Set("client_assertion", "x")
			refused := object(t, answered(client.PostForm(endpoint, form))(t))
			if uri, _ := refused["error_uri"].(string); !strings.HasPrefix(uri, in.Authority()+"error?code=") {
				t.Errorf("refused with %v", refused)
			}
		})
	}
	if _, err := (config.Config{Cloud: "AzureMoon"}).Complete("wiemu.yaml"); err == nil || !strings.Contains(err.Error(), "cloud") {
		t.Error(err)
	}
}

// A client that asks at a login host of another cloud gets the error that it gets
// there, from the emulator: its credential goes nowhere else.
func TestLoginHostsOfOtherClouds(t *testing.T) {
	for _, name := range cloud.Names() {
		in, _ := cloud.Named(name)
		e := begin(t, config.Config{Cloud: name, Workloads: []config.Workload{{Namespace: "ns", ServiceAccount: "web-sa", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49"}}}, "")
		client := e.HTTPClient() // through the proxy, over TLS
		for _, host := range cloud.LoginHosts() {
			host = strings.TrimPrefix(host, ".")
			if !in.IsForeignLogin(host) {
				continue
			}
			form := url.Values{
				"client_id": {"b96d264b-7053-4465-a4a7-32be5b0fec49"}, "grant_type": {"client_credentials"}, "scope": {"https://vault.azure.net/.default"},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {"x"},
			}
			resp := answered(client.PostForm("https://"+host+"/"+config.DefaultTenant+"/oauth2/v2.0/token", form))(t)
			refused := object(t, resp)
			text, _ := refused["error_description"].(string)
			if resp.StatusCode != 400 || refused["error"] != "invalid_request" || refused["error_uri"] != nil || !strings.HasPrefix(text, "AADSTS900382: Confidential Client is not supported in Cross Cloud request. Trace ID: ") {
				t.Errorf("%s asked in %s: %d %v", host, name, resp.StatusCode, refused)
			}
			document := object(t, answered(client.Get("https://"+host+"/"+config.DefaultTenant+"/v2.0/.well-known/openid-configuration"))(t))
			if document["token_endpoint"] != in.Authority()+config.DefaultTenant+"/oauth2/v2.0/token" {
				t.Errorf("%s sends clients to %v", host, document["token_endpoint"])
			}
		}
		events := e.Journal().Events()
		last := events[len(events)-1]
		for _, event := range events {
			if event.Code == 900382 {
				last = event
			}
			if strings.Contains(event.Remedy, "--allow-host") {
				t.Errorf("%s: %s", event.Summary, event.Remedy)
			}
		}
		if !strings.Contains(last.Meaning, "is in "+name) || !strings.Contains(last.Remedy, in.Authority()) {
			t.Errorf("meaning %q, remedy %q", last.Meaning, last.Remedy)
		}
	}
}

// No login host can be let out, in any cloud.
func TestLoginHostsAreNotLetOut(t *testing.T) {
	for _, host := range []string{"login.microsoftonline.com", "login.microsoftonline.us:443"} { // one of another cloud, and the lab's
		e, err := server.Start(t.Context(), server.Options{Options: lab.Options{StateDir: t.TempDir()}, Config: config.Config{Cloud: "AzureUSGovernment", AllowHosts: []string{host}}})
		if err == nil {
			_ = e.Close(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), "the lab emulates it") {
			t.Errorf("%s: %v", host, err)
		}
	}
	for host, is := range map[string]bool{
		"login.microsoftonline.com": true, "login.microsoftonline.us": true, "sts.chinacloudapi.cn": true, "westeurope.login.microsoft.com": true,
		"westeurope.mtlsauth.microsoft.com": true, "mtlsauth.microsoftonline.us": true, "contoso.b2clogin.com": true, "contoso.ciamlogin.com": true,
		"notlogin.microsoftonline.com": false, "login.microsoftonline.com.evil.example": false, "graph.microsoft.com": false, "microsoft.com": false, "": false,
	} {
		if cloud.IsLoginHost(host) != is {
			t.Errorf("%q: a login host: %v", host, !is)
		}
	}
}

func answered(resp *http.Response, err error) func(*testing.T) *http.Response {
	return func(t *testing.T) *http.Response {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
}

func object(t *testing.T, resp *http.Response) map[string]any {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	var members map[string]any
	if err == nil {
		err = json.Unmarshal(body, &members)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return members
}
