package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/keyring/keyringtest"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/tenants"
)

const clientID = "b96d264b-7053-4465-a4a7-32be5b0fec49"

// assertion mints the token that a pod of the workload would have in its file.
func assertion(ctx context.Context, e *server.Server) (string, error) {
	from, err := e.Issuer("")
	if err != nil {
		return "", err
	}
	token, err := from.Mint(ctx, issuer.TokenRequest{Namespace: "my-radix-app-dev", ServiceAccount: "web-sa", Audiences: []string{cloud.Public().TokenExchange}})
	return token.Raw, err
}

// exchange asks Entra ID for an access token as an application does.
func exchange(client *http.Client, assertion, scope string) (map[string]any, error) {
	resp, err := client.PostForm("https://login.microsoftonline.com/"+config.DefaultTenant+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "scope": {scope},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
	})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var reply map[string]any
	return reply, json.NewDecoder(resp.Body).Decode(&reply)
}

func Example() {
	ctx := context.Background()
	smallLab, err := server.Start(ctx, server.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer smallLab.Close(ctx)
	if err := smallLab.Trust(lab.Account{Namespace: "my-radix-app-dev", ServiceAccount: "web-sa", ClientID: clientID}); err != nil {
		log.Fatal(err)
	}
	token, err := assertion(ctx, smallLab)
	if err != nil {
		log.Fatal(err)
	}
	client := smallLab.HTTPClient() // through the proxy and over TLS, as an application
	reply, err := exchange(client, token, "https://vault.azure.net/.default")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(reply["token_type"], reply["expires_in"])

	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.6", nil)
	req.Header.Set("Authorization", "Bearer "+reply["access_token"].(string))
	resp, err := client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	var secret struct{ Value string }
	if err := json.NewDecoder(resp.Body).Decode(&secret); err != nil {
		log.Fatal(err)
	}
	fmt.Println(secret.Value)
	// Output:
	// Bearer 86399
	// the secret of wiemu
}

func start(t *testing.T, opts server.Options) *server.Server {
	t.Helper()
	opts.Keys = keyringtest.Keys(t)
	e, err := server.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

func trusted(t *testing.T, opts server.Options) *server.Server {
	t.Helper()
	e := start(t, opts)
	if err := e.Trust(lab.Account{Namespace: "my-radix-app-dev", ServiceAccount: "web-sa", ClientID: clientID}); err != nil {
		t.Fatal(err)
	}
	return e
}

func granted(t *testing.T, e *server.Server) {
	t.Helper()
	token, err := assertion(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := exchange(e.HTTPClient(), token, "https://vault.azure.net/.default"); err != nil || reply["access_token"] == nil {
		t.Fatalf("exchange: %v %v", reply, err)
	}
}

func TestCertificatesAndDateAreRightAfterAJumpOfAYear(t *testing.T) {
	for name, smallLab := range map[string]*clock.Lab{
		"on a clock that runs":         clock.Running(),
		"on a clock that stands":       clock.Stopped(time.Now()), // wall time: certificates are checked by it
		"on a clock years in the past": clock.Stopped(time.Date(2020, 2, 29, 12, 0, 0, 0, time.UTC)),
	} {
		t.Run(name, func(t *testing.T) {
			e := trusted(t, server.Options{Options: lab.Options{Clock: smallLab}})
			granted(t, e)
			if err := smallLab.Advance(t.Context(), 366*24*time.Hour); err != nil {
				t.Fatal(err)
			}
			granted(t, e)
			client := e.HTTPClient()
			client.CloseIdleConnections()
			resp, err := client.Get("https://login.microsoftonline.com/common/discovery/keys")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			date, err := http.ParseTime(resp.Header.Get("Date"))
			if off := smallLab.Now().Sub(date).Abs(); err != nil || off > 2*time.Second {
				t.Errorf("Date %s is %v from lab time %s", resp.Header.Get("Date"), off, smallLab.Now())
			}
			leaf := resp.TLS.PeerCertificates[0]
			for clock, now := range map[string]time.Time{"lab": smallLab.Now(), "wall": time.Now()} {
				if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
					t.Errorf("the certificate, %s to %s, is not valid at %s time %s", leaf.NotBefore, leaf.NotAfter, clock, now)
				}
			}
		})
	}
}

// The first request of a lab makes Entra ID fetch keys: how the client spelt its
// own path must not matter to that.
func TestAPathThatIsFoldedFetchesKeysAllTheSame(t *testing.T) {
	e := trusted(t, server.Options{})
	token, err := assertion(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := e.HTTPClient().PostForm("https://login.microsoftonline.com//"+strings.ToUpper(config.DefaultTenant)+"//OAuth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "scope": {"https://vault.azure.net/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {token},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("HTTP %d", resp.StatusCode)
	}
}

func TestAResourceTakesTokensOfANewKeyAtOnce(t *testing.T) {
	e := trusted(t, server.Options{Options: lab.Options{Clock: clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC))}})
	ring, err := e.KeyRing("entra")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		token, err := assertion(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		reply, err := exchange(e.HTTPClient(), token, "https://vault.azure.net/.default")
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.6", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+reply["access_token"].(string))
		resp, err := e.HTTPClient().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("HTTP %d after a rotation", resp.StatusCode)
		}
		if _, err := ring.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSeveralIssuersStandSideBySide(t *testing.T) {
	credentials := []config.FederatedCredential{{Name: "green", Issuer: "green", Subject: "system:serviceaccount:my-radix-app-dev:web-sa"}}
	e := start(t, server.Options{Config: config.Config{
		Issuers:    []config.Issuer{{Name: "blue"}, {Name: "green", URL: "https://Green.example/Cluster/A"}},
		Identities: []config.Identity{{Principal: config.Principal{Name: "web", ClientID: clientID, FederatedCredentials: &credentials}}},
	}})
	for name, want := range map[string]float64{"blue": 700211, "green": 0} {
		from, err := e.Issuer(name)
		if err != nil {
			t.Fatal(err)
		}
		from.PutServiceAccount("my-radix-app-dev", "web-sa", nil)
		token, err := from.Mint(t.Context(), issuer.TokenRequest{Namespace: "my-radix-app-dev", ServiceAccount: "web-sa", Audiences: []string{cloud.Public().TokenExchange}})
		if err != nil {
			t.Fatal(err)
		}
		reply, err := exchange(e.HTTPClient(), token.Raw, "https://vault.azure.net/.default")
		if err != nil {
			t.Fatal(err)
		}
		var got float64
		if codes, ok := reply["error_codes"].([]any); ok {
			got = codes[0].(float64)
		}
		if got != want {
			t.Errorf("a token of %s: error code %v, want %v", name, got, want)
		}
	}
}

func TestHostsAreTheNamesThatCanBeMapped(t *testing.T) {
	e := start(t, server.Options{Config: config.Config{Vaults: []config.Vault{{Name: "Shop"}}, Issuers: []config.Issuer{{Name: "blue"}}}})
	if err := e.Vaults().Put(keyvault.Vault{Name: "Later", Tenant: config.DefaultTenant}); err != nil {
		t.Fatal(err)
	}
	hosts := e.Hosts()
	for _, want := range []string{"login.microsoftonline.com", "graph.microsoft.com", "management.azure.com", "shop.vault.azure.net", "later.vault.azure.net", "blue.oic.wiemu.test"} {
		if !slices.Contains(hosts, want) {
			t.Errorf("%s is not among %v", want, hosts)
		}
	}
	if i := slices.IndexFunc(hosts, func(host string) bool { return strings.HasPrefix(host, ".") }); i >= 0 {
		t.Errorf("%s is a suffix, which no hosts file can map", hosts[i])
	}
}

func TestIssuersOfOneHostAnswerForThemselves(t *testing.T) {
	e := start(t, server.Options{Config: config.Config{Issuers: []config.Issuer{
		{Name: "root", URL: "https://Clusters.example/"}, {Name: "a", URL: "https://clusters.example/A/"}, {Name: "b", URL: "https://clusters.example/a/b"},
	}}})
	for path, want := range map[string]string{
		"/":     "https://Clusters.example/",
		"/a/":   "https://clusters.example/A/",
		"//A":   "https://clusters.example/A/",
		"/a/B":  "https://clusters.example/a/b",
		"/a/c/": "",
	} {
		resp, err := e.HTTPClient().Get("https://clusters.example" + strings.TrimSuffix(path, "/") + "/.well-known/openid-configuration")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var document struct{ Issuer string }
		if err := json.NewDecoder(resp.Body).Decode(&document); document.Issuer != want || (err == nil) != (want != "") {
			t.Errorf("%s: issuer %q (%s, %v), want %q", path, document.Issuer, resp.Status, err, want)
		}
	}
}

func TestWorkloadsOfTheConfigurationAreTrustedOnce(t *testing.T) {
	e := start(t, server.Options{Config: config.Config{Workloads: []config.Workload{
		{Namespace: "my-radix-app-dev", ServiceAccount: "web-sa", ClientID: clientID},
	}}})
	if err := e.Trust(lab.Account{Namespace: "my-radix-app-dev", ServiceAccount: "web-sa", ClientID: clientID, Name: "another-name"}); err != nil {
		t.Fatal(err)
	}
	granted(t, e)
	trusts := 0
	for _, event := range e.Journal().Events() {
		if event.Kind == journal.Directory {
			trusts++
		}
	}
	if trusts != 1 {
		t.Errorf("%d events of the directory, want one: the second time nothing changed", trusts)
	}
}

func TestAnIssuerOutsideIsAskedForItsKeys(t *testing.T) {
	pool, err := keyring.OpenPool("", keyring.PoolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	ring, err := keyring.New(t.Context(), clock.Running(), pool, keyring.Options{Name: "outside", Identify: issuer.KeyID})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	mux := http.NewServeMux()
	issuerServer := httptest.NewTLSServer(mux)
	defer issuerServer.Close()
	outside, err := issuer.New(issuerServer.URL, ring, clock.Running(), issuer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/", outside.Discovery())
	outside.PutServiceAccount("a", "b", nil)
	token, err := outside.Mint(t.Context(), issuer.TokenRequest{Namespace: "a", ServiceAccount: "b", Audiences: []string{cloud.Public().TokenExchange}})
	if err != nil {
		t.Fatal(err)
	}
	credentials := []config.FederatedCredential{{Name: "outside", Issuer: "outside", Subject: "system:serviceaccount:a:b"}}
	for name, c := range map[string]struct {
		transport http.RoundTripper
		want      string
	}{
		"reached":     {issuerServer.Client().Transport, ""},
		"not trusted": {nil, "AADSTS501661"},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t, server.Options{Options: lab.Options{Outside: c.transport}, Config: config.Config{
				Issuers:    []config.Issuer{{Name: "outside", URL: issuerServer.URL, External: true}},
				Identities: []config.Identity{{Principal: config.Principal{Name: "web", ClientID: clientID, FederatedCredentials: &credentials}}},
			}})
			reply, err := exchange(e.HTTPClient(), token.Raw, "https://vault.azure.net/.default")
			if err != nil {
				t.Fatal(err)
			}
			if description, _ := reply["error_description"].(string); !strings.HasPrefix(description, c.want) || (c.want == "") != (reply["access_token"] != nil) {
				t.Errorf("reply %v, want %q", reply, c.want)
			}
		})
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		opts server.Options
		want string
	}{
		"a gateway address in use":         {server.Options{Config: config.Config{Listen: config.Listen{Gateway: taken.Addr().String()}}}, taken.Addr().String()},
		"a proxy address in use":           {server.Options{Config: config.Config{Listen: config.Listen{Proxy: taken.Addr().String()}}}, taken.Addr().String()},
		"a cluster address in use":         {server.Options{Config: config.Config{Listen: config.Listen{Cluster: taken.Addr().String()}}}, "listen.cluster"},
		"a control address in use":         {server.Options{Config: config.Config{Listen: config.Listen{Control: taken.Addr().String()}}}, "listen.control"},
		"a state directory that is a file": {server.Options{Options: lab.Options{StateDir: file}}, file},
		"an identity that a vault names":   {server.Options{Config: config.Config{Vaults: []config.Vault{{Name: "v11", Access: []config.Access{{Identity: "nobody", Permissions: []string{"get"}}}}}}}, "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := server.Start(t.Context(), c.opts)
			if err == nil {
				e.Close(t.Context())
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want it to name %q", err, c.want)
			}
		})
	}
}

func TestTheControlEndpointAsksForItsToken(t *testing.T) {
	e := trusted(t, server.Options{Options: lab.Options{Clock: clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC))}})
	c := &control.Client{URL: e.ControlURL(), Token: e.Token()}
	if _, err := (&control.Client{URL: e.ControlURL(), Token: "guess"}).Status(t.Context()); err == nil || !strings.Contains(err.Error(), "bearer token") {
		t.Errorf("without its token: %v", err)
	}
	status, err := c.Advance(t.Context(), "25h")
	if err != nil || !status.Now.Equal(time.Date(2026, 1, 16, 9, 0, 0, 0, time.UTC)) {
		t.Errorf("advance: %v %v", status.Now, err)
	}
	before := status.Keys[1].ID // of entra, then of local
	key, err := c.Rotate(t.Context(), "local")
	if err != nil || key.ID == before || key.Stage != string(keyring.Signing) {
		t.Errorf("rotate: %+v %v", key, err)
	}
	minted, err := c.Mint(t.Context(), control.MintRequest{Namespace: "my-radix-app-dev", ServiceAccount: "web-sa", Audiences: []string{cloud.Public().TokenExchange}})
	if err != nil {
		t.Fatal(err)
	}
	event, err := c.Examine(t.Context(), control.ExamineRequest{Tenant: config.DefaultTenant, ClientID: clientID, Assertion: minted.Token})
	if err != nil || event.Outcome != journal.Granted || event.Kid != key.ID {
		t.Errorf("examine: %+v %v", event, err)
	}
	for name, err := range map[string]error{
		"an unknown ring":    second(c.Rotate(t.Context(), "nobody")),
		"a bad duration":     second(c.Advance(t.Context(), "a while")),
		"an unknown account": second(c.Mint(t.Context(), control.MintRequest{Namespace: "x", ServiceAccount: "y"})),
		"an unknown field":   c.Do(t.Context(), http.MethodPost, "/v1/tokens", map[string]string{"nam": "x"}, &struct{}{}),
	} {
		if refusal := (*control.StatusError)(nil); !errors.As(err, &refusal) || refusal.Status/100 != 4 {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// BenchmarkExchange is one federated exchange at a time, in memory, with the
// directory of one application and of 100,000.
func BenchmarkExchange(b *testing.B) {
	for _, others := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("%d_other_applications", others), func(b *testing.B) {
			e, err := server.Start(b.Context(), server.Options{Config: crowd(others)})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close(context.Background())
			if err := e.Trust(lab.Account{Namespace: "my-radix-app-dev", ServiceAccount: "web-sa", ClientID: clientID}); err != nil {
				b.Fatal(err)
			}
			token, err := assertion(b.Context(), e)
			if err != nil {
				b.Fatal(err)
			}
			client := &http.Client{Transport: e.Transport()}
			for b.Loop() {
				if reply, err := exchange(client, token, "https://vault.azure.net/.default"); err != nil || reply["access_token"] == nil {
					b.Fatalf("%v %v", reply, err)
				}
			}
		})
	}
}

// crowd is a configuration with n identities that have a federated credential each.
func crowd(n int) config.Config {
	c := config.Config{Issuers: []config.Issuer{{Name: "local"}}}
	for i := range n {
		credentials := []config.FederatedCredential{{Name: "fc1", Subject: fmt.Sprintf("system:serviceaccount:app-%d:web-sa", i)}}
		c.Identities = append(c.Identities, config.Identity{Principal: config.Principal{
			Name: fmt.Sprintf("identity-%d", i), ClientID: tenants.StableID("crowd", fmt.Sprint(i)), FederatedCredentials: &credentials,
		}})
	}
	return c
}
