package server_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/managedidentity"
	"github.com/wiemu/wiemu/internal/server"
)

const (
	ownID    = "49a6a7eb-d4f9-444a-a216-7b966e31bb05" // of the recording
	secondID = "0b1d1e9c-6f0a-4c44-9b12-6f2f3b1d9a01"
	appID    = "7d4b7e0e-2b43-4c58-8d20-0f5b1de0ac02"
	vault    = "https://vault.azure.net"
)

// machineLab has two managed identities and an application.
func machineLab(t *testing.T, more config.ManagedIdentity) (*server.Server, *clock.Lab) {
	t.Helper()
	clk := clock.Stopped(time.Date(2025, 2, 19, 5, 11, 17, 0, time.UTC))
	e := start(t, server.Options{Options: lab.Options{Clock: clk}, Config: config.Config{
		Identities: []config.Identity{
			{Principal: config.Principal{Name: "web", ClientID: ownID, FederatedCredentials: &[]config.FederatedCredential{}}},
			{Principal: config.Principal{Name: "batch", ClientID: secondID, FederatedCredentials: &[]config.FederatedCredential{}}},
		},
		Applications:    []config.Application{{Principal: config.Principal{Name: "app", ClientID: appID}}},
		ManagedIdentity: more,
	}})
	return e, clk
}

func addMachine(t *testing.T, e *server.Server, kind managedidentity.Kind) server.MachineAddress {
	t.Helper()
	machine, err := e.AddMachine(lab.Machine{Kind: kind, Name: "dev/web-sa", ClientID: ownID})
	must(t, err)
	return machine
}

// ask sends a GET with headers given as pairs.
func ask(t *testing.T, client *http.Client, address string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	must(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(r)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp, string(body)
}

func decode(t *testing.T, body string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return m
}

func TestIMDSRefusals(t *testing.T) {
	for _, c := range []struct {
		name, query string
		headers     []string
		identities  int // of the machine
		status      int
		body        string
	}{
		{"no Metadata header", "api-version=2018-02-01&resource=" + vault, nil, 1, 400, `{"error":"invalid_request","error_description":"Required metadata header not specified"}`},
		{"no api-version", "resource=" + vault, []string{"Metadata", "true"}, 1, 400, `{"error":"invalid_request","error_description":"Required query variable 'api-version' is missing"}`},
		{"too old a version", "api-version=2017-12-01&resource=" + vault, []string{"Metadata", "true"}, 1, 400, `"newest-versions"`},
		{"no resource", "api-version=2018-02-01", []string{"Metadata", "true"}, 1, 400, `Required query variable 'resource' is missing`},
		{"through somebody's proxy", "api-version=2018-02-01&resource=" + vault, []string{"Metadata", "true", "X-Forwarded-For", "10.0.0.1"}, 1, 400, `X-Forwarded-For`},
		{"another identity", "api-version=2018-02-01&client_id=" + secondID + "&resource=" + vault, []string{"Metadata", "true"}, 1, 400, `{"error":"invalid_request","error_description":"Identity not found"}`},
		{"none named of two", "api-version=2018-02-01&resource=" + vault, []string{"Metadata", "true"}, 2, 400, `{"error":"invalid_request","error_description":"Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"}`},
		{"unknown resource", "api-version=2018-02-01&resource=https://nobody.example", []string{"Metadata", "true"}, 1, 400, `"error":"invalid_resource"`},
		{"the second by client id", "api-version=2019-08-01&client_id=" + secondID + "&resource=" + vault, []string{"Metadata", "true"}, 2, 200, `"client_id":"` + secondID},
		{"the second by resource id", "api-version=2018-02-01&msi_res_id=/SUBSCRIPTIONS/4c1e0d6c-6f7b-5f0b-8f6d-7f6a1d9b7a55/x&resource=" + vault, []string{"Metadata", "TRUE"}, 2, 400, `Identity not found`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var more config.ManagedIdentity
			if c.identities == 2 {
				more.Assigned = []string{"batch"}
			}
			e, _ := machineLab(t, more)
			machine := addMachine(t, e, managedidentity.IMDS)
			resp, body := ask(t, http.DefaultClient, "http://"+machine.Address+"/metadata/identity/oauth2/token?"+c.query, c.headers...)
			if resp.StatusCode != c.status || !strings.Contains(body, c.body) {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
			if got := resp.Header.Get("Server"); !strings.HasPrefix(got, "IMDS/150.") {
				t.Errorf("Server: %s", got)
			}
			if c.status == 400 && c.body != `"error":"invalid_resource"` {
				last := e.Journal().Events()[len(e.Journal().Events())-1]
				if last.Kind != journal.Access || last.Outcome != journal.Denied || last.Remedy == "" || last.Workload != "dev/web-sa" {
					t.Errorf("journal: %+v", last)
				}
			}
		})
	}
}

func TestIMDSTokenIsTheSameUntilNearItsEnd(t *testing.T) {
	e, clk := machineLab(t, config.ManagedIdentity{})
	machine := addMachine(t, e, managedidentity.IMDS)
	get := func() map[string]any {
		_, body := ask(t, http.DefaultClient, "http://"+machine.Address+"/metadata/identity/oauth2/token?api-version=2018-02-01&resource="+vault, "Metadata", "true")
		return decode(t, body)
	}
	one := get()
	must(t, clk.Advance(t.Context(), 23*time.Hour))
	two := get()
	if one["access_token"] != two["access_token"] || one["expires_on"] != two["expires_on"] || two["expires_in"] != "3600" {
		t.Errorf("an hour before its end the token is another one: %v, %v", two["expires_in"], two["expires_on"])
	}
	must(t, clk.Advance(t.Context(), 56*time.Minute))
	if three := get(); three["access_token"] == one["access_token"] || three["expires_in"] != "86400" {
		t.Errorf("four minutes before its end it is the same: %v", three["expires_in"])
	}
	claims := tokenClaims(t, one["access_token"].(string))
	for name, want := range map[string]any{"idtyp": "app", "appidacr": "2", "appid": ownID, "aud": vault} {
		if claims[name] != want {
			t.Errorf("%s: %v, expected %v", name, claims[name], want)
		}
	}
	if mirid, _ := claims["xms_mirid"].(string); !strings.HasSuffix(mirid, "/userAssignedIdentities/web") {
		t.Errorf("xms_mirid: %v", claims["xms_mirid"])
	}
	if rid, _ := claims["xms_az_rid"].(string); !strings.HasSuffix(rid, "/virtualMachines/dev-web-sa") {
		t.Errorf("xms_az_rid: %v", claims["xms_az_rid"])
	}
}

func TestIMDSIsUnavailableAsConfigured(t *testing.T) {
	e, _ := machineLab(t, config.ManagedIdentity{Unavailable: []int{404, 410, 429}})
	machine := addMachine(t, e, managedidentity.IMDS)
	for _, want := range []int{404, 410, 429, 200} {
		resp, body := ask(t, http.DefaultClient, "http://"+machine.Address+"/metadata/identity/oauth2/token?api-version=2018-02-01&resource="+vault, "Metadata", "true")
		if resp.StatusCode != want {
			t.Errorf("%d %s, expected %d", resp.StatusCode, body, want)
		}
	}
}

func TestInstanceMetadata(t *testing.T) {
	e, _ := machineLab(t, config.ManagedIdentity{})
	machine := addMachine(t, e, managedidentity.IMDS)
	if resp, body := ask(t, http.DefaultClient, "http://"+machine.Address+"/metadata/instance", "Metadata", "true"); resp.StatusCode != 400 || !strings.Contains(body, "api-version was not specified") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	_, body := ask(t, http.DefaultClient, "http://"+machine.Address+"/metadata/instance?api-version=2021-02-01", "Metadata", "true")
	if compute, _ := decode(t, body)["compute"].(map[string]any); compute["azEnvironment"] != "AzurePublicCloud" || compute["name"] != "dev-web-sa" {
		t.Errorf("%s", body)
	}
	if _, body := ask(t, http.DefaultClient, "http://"+machine.Address+"/metadata/instance/compute/location?api-version=2021-02-01&format=text", "Metadata", "true"); body != "northeurope" {
		t.Errorf("%s", body)
	}
}

func TestIMDSThroughTheProxy(t *testing.T) {
	e, _ := machineLab(t, config.ManagedIdentity{})
	proxy, err := url.Parse(e.ProxyURL())
	must(t, err)
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}}
	const address = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=" + vault
	if resp, _ := ask(t, client, address, "Metadata", "true"); resp.StatusCode != 403 || e.IMDSAddress() != "" {
		t.Errorf("without a machine: %d, address %q", resp.StatusCode, e.IMDSAddress())
	}
	addMachine(t, e, managedidentity.IMDS)
	if resp, body := ask(t, client, address, "Metadata", "true"); resp.StatusCode != 200 || decode(t, body)["client_id"] != ownID {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	// Two machines behind one address are told apart by the identity that is asked for.
	_, err = e.AddMachine(lab.Machine{Kind: managedidentity.IMDS, Name: "dev/batch-sa", ClientID: secondID})
	must(t, err)
	if _, body := ask(t, client, address, "Metadata", "true"); !strings.Contains(body, "Multiple user assigned identities") {
		t.Errorf("%s", body)
	}
	if _, body := ask(t, http.DefaultClient, "http://"+e.IMDSAddress()+strings.TrimPrefix(address, "http://169.254.169.254")+"&client_id="+secondID, "Metadata", "true"); decode(t, body)["client_id"] != secondID {
		t.Errorf("%s", body)
	}
}

func TestAppService(t *testing.T) {
	e, clk := machineLab(t, config.ManagedIdentity{})
	machine := addMachine(t, e, managedidentity.AppService)
	endpoint := "http://" + machine.Address + managedidentity.AppServicePath + "?api-version=2019-08-01&resource=" + vault
	_, body := ask(t, http.DefaultClient, endpoint, "X-IDENTITY-HEADER", machine.Header)
	reply := decode(t, body)
	if reply["expires_on"] != unixText(clk.Now().Add(24*time.Hour)) || reply["client_id"] != ownID || reply["token_type"] != "Bearer" || reply["resource"] != vault {
		t.Errorf("%s", body)
	}
	if resp, body := ask(t, http.DefaultClient, endpoint, "X-IDENTITY-HEADER", "guessed"); resp.StatusCode != 401 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, body := ask(t, http.DefaultClient, endpoint+"&client_id="+secondID, "X-IDENTITY-HEADER", machine.Header); resp.StatusCode != 400 ||
		body != `{"statusCode":400,"message":"No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."}` {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestSidecarExchangesThePodsToken(t *testing.T) {
	e, _ := machineLab(t, config.ManagedIdentity{})
	file := filepath.Join(t.TempDir(), "token")
	const client = "b96d264b-7053-4465-a4a7-32be5b0fec49"
	must(t, e.Trust(lab.Account{Namespace: "dev", ServiceAccount: "web-sa", ClientID: client}))
	writeToken := func(serviceAccount string) {
		must(t, os.WriteFile(file, []byte(serviceAccountToken(t, e, "dev", serviceAccount, cloud.Public().TokenExchange)), 0o600))
	}
	writeToken("web-sa")
	machine, err := e.AddMachine(lab.Machine{Kind: managedidentity.Sidecar, Name: "dev/web-sa", ClientID: client, TokenFile: file})
	must(t, err)
	token := "http://" + machine.Address + "/METADATA/identity/oauth2/token/"
	resp, body := ask(t, http.DefaultClient, token+"?resource="+vault)
	reply := decode(t, body)
	if resp.StatusCode != 200 || reply["expires_in"] != 86389.0 || reply["refresh_token"] != "" || reply["not_before"] != 0.0 || reply["resource"] != vault {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, body := ask(t, http.DefaultClient, token); resp.StatusCode != 400 || body != "The resource parameter is required.\n" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	e.Issuers()[0].PutServiceAccount("dev", "other-sa", nil)
	writeToken("other-sa")
	resp, body = ask(t, http.DefaultClient, token+"?resource=https://graph.microsoft.com")
	if resp.StatusCode != 500 || !strings.HasPrefix(body, "WorkloadIdentityCredential authentication failed. \nPOST https://login.microsoftonline.com/") || !strings.Contains(body, "AADSTS700213") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestOnlyManagedIdentitiesAreAssigned(t *testing.T) {
	e, _ := machineLab(t, config.ManagedIdentity{})
	if _, err := e.AddMachine(lab.Machine{Kind: managedidentity.IMDS, Name: "dev/web-sa", ClientID: appID}); err == nil || !strings.Contains(err.Error(), "app registration app") {
		t.Errorf("%v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func unixText(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

// tokenClaims reads a token's payload.
func tokenClaims(t *testing.T, token string) map[string]any {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	must(t, err)
	return decode(t, string(payload))
}

// serviceAccountToken is a token of the first issuer.
func serviceAccountToken(t *testing.T, e *server.Server, namespace, serviceAccount, audience string) string {
	t.Helper()
	token, err := e.Issuers()[0].Mint(t.Context(), issuer.TokenRequest{Namespace: namespace, ServiceAccount: serviceAccount, Audiences: []string{audience}})
	must(t, err)
	return token.Raw
}

func TestFaultsHitIMDSToo(t *testing.T) {
	e, _ := machineLab(t, config.ManagedIdentity{})
	machine := addMachine(t, e, managedidentity.IMDS)
	if _, err := e.Faults().Inject(fault.Fault{Name: faultkind.Throttled, For: fault.Selector{Resource: "imds"}, Parameters: map[string]string{"retry-after": "5s"}, When: fault.Limits{Count: 1}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{http.StatusTooManyRequests, http.StatusOK} {
		resp, body := ask(t, http.DefaultClient, "http://"+machine.Address+"/metadata/identity/oauth2/token?api-version=2018-02-01&resource="+vault, "Metadata", "true")
		if resp.StatusCode != want || want == http.StatusTooManyRequests && (resp.Header.Get("Retry-After") != "5" || !strings.Contains(body, "Temporarily throttled")) {
			t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
		}
	}
}

// A web page that reaches loopback under a name of its own gets no token.
func TestIMDSIsNotForWebPages(t *testing.T) {
	e, _ := machineLab(t, config.ManagedIdentity{})
	own := addMachine(t, e, managedidentity.IMDS)
	appService := addMachine(t, e, managedidentity.AppService)
	_, port, err := net.SplitHostPort(own.Address)
	must(t, err)
	for _, kind := range []struct{ name, url, header, value string }{
		{"IMDS", "http://" + own.Address + "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=" + vault, "Metadata", "true"},
		{"IMDS of all machines", "http://" + e.IMDSAddress() + "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=" + vault, "Metadata", "true"},
		{"App Service", "http://" + appService.Address + "/msi/token?api-version=2019-08-01&client_id=" + ownID + "&resource=" + vault, "X-IDENTITY-HEADER", appService.Header},
	} {
		for _, test := range []struct {
			host, origin string
			status       int
		}{
			{"", "", 200}, // the address of the URL
			{"169.254.169.254", "", 200},
			{"169.254.169.254:80", "", 200},
			{"localhost:" + port, "", 200},
			{"LOCALHOST", "", 200},
			{"127.0.0.1", "", 200},
			{"[::1]:" + port, "", 200},
			{"evil.example", "", 403},
			{"evil.example:" + port, "", 403},
			{"127.0.0.1.evil.example", "", 403},
			{"localhost.evil.example", "", 403},
			{"169.254.169.254.evil.example:80", "", 403},
			{"192.0.2.1:" + port, "", 403},
			{"0.0.0.0:" + port, "", 403},
			{"", "http://evil.example", 403},
			{"169.254.169.254", "null", 403},
			{"localhost", "http://localhost", 403},
		} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, kind.url, nil)
			must(t, err)
			r.Header.Set(kind.header, kind.value)
			r.Host = test.host
			if test.origin != "" {
				r.Header.Set("Origin", test.origin)
			}
			resp, err := http.DefaultClient.Do(r)
			must(t, err)
			body, err := io.ReadAll(resp.Body)
			must(t, errors.Join(err, resp.Body.Close()))
			if resp.StatusCode != test.status || strings.Contains(string(body), "access_token") != (test.status == 200) {
				t.Errorf("%s, Host %q, Origin %q: %d %s", kind.name, test.host, test.origin, resp.StatusCode, body)
			}
			if events := e.Journal().Events(); test.status == 403 && (events[len(events)-1].Status != 403 || events[len(events)-1].Remedy == "") {
				t.Errorf("%s, Host %q: event %+v", kind.name, test.host, events[len(events)-1])
			}
		}
	}
}
