package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/server"
)

const externalURL = "https://kubernetes.default.svc.cluster.local"

// apiServer is a cluster's API server, as strict as real ones: its certificate is
// its own, and its documents are for those with a token. The cluster's issuer
// signs, so that there is something to exchange.
type apiServer struct {
	*httptest.Server
	documents http.RoundTripper // of a lab whose issuer has the same URL
	strangers atomic.Int32
}

func newAPIServer(t *testing.T, issuerURL string) (*apiServer, *server.Server) {
	t.Helper()
	cluster := begin(t, config.Config{Issuers: []config.Issuer{{Name: "cluster", URL: issuerURL}}}, "")
	s := &apiServer{documents: cluster.Transport()}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer reader" {
			s.strangers.Add(1)
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/openid/") && !strings.Contains(r.Header.Get("Accept"), "application/jwk-set+json") {
			http.Error(w, "406: Not Acceptable", http.StatusNotAcceptable) // seen with Kubernetes 1.37.2
			return
		}
		inside := r.Clone(r.Context())
		inside.RequestURI, inside.Host = "", ""
		if !strings.HasPrefix(r.URL.Path, "/.well-known/") && !strings.HasPrefix(r.URL.Path, "/openid/") {
			http.Error(w, "forbidden", http.StatusForbidden) // no rule of RBAC names that path
			return
		}
		inside.URL, _ = url.Parse(strings.TrimSuffix(issuerURL, "/") + r.URL.Path)
		answer, err := s.documents.RoundTrip(inside)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		w.WriteHeader(answer.StatusCode)
		var body json.RawMessage
		if err := json.NewDecoder(answer.Body).Decode(&body); err == nil {
			_, _ = w.Write(body) // the client's loss
		}
	}))
	t.Cleanup(s.Close)
	return s, cluster
}

func begin(t *testing.T, c config.Config, file string) *server.Server {
	t.Helper()
	e, err := server.Start(t.Context(), server.Options{Config: c, Options: lab.Options{ConfigFile: file, StateDir: t.TempDir()}})
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

// A cluster elsewhere is an issuer as real ones are: with a certificate of its
// own, reached at an address of its own, and closed to strangers.
func TestExternalIssuer(t *testing.T) {
	api, cluster := newAPIServer(t, externalURL)
	token := mintFor(t, cluster)
	for _, c := range []struct {
		name     string
		change   func(*config.Issuer)
		want     int // AADSTS; 0: granted
		says     string
		stranger bool
	}{
		{name: "as configured"},
		{name: "without the token", change: func(i *config.Issuer) { i.BearerTokenFile = "" }, want: 501661, says: "status 403", stranger: true},
		{name: "without the CA", change: func(i *config.Issuer) { i.CA = "" }, want: 501661, says: "certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "ca.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}))
			write(t, filepath.Join(dir, "token"), []byte("reader\n"))
			i := config.Issuer{Name: "kind", URL: externalURL, External: true, Server: api.URL, CA: "ca.crt", BearerTokenFile: "token"}
			if c.change != nil {
				c.change(&i)
			}
			before := api.strangers.Load()
			e := begin(t, config.Config{Issuers: []config.Issuer{i}, Applications: []config.Application{application(externalURL)}}, filepath.Join(dir, "wiemu.yaml"))
			got := e.Examine(t.Context(), config.DefaultTenant, applicationID, token)
			if got.Code != c.want {
				t.Errorf("expected %d, found %d %s", c.want, got.Code, got.Message)
			}
			if c.says != "" && !strings.Contains(fmt.Sprint(got.Checks), c.says) {
				t.Errorf("expected %q in the checks, found %v", c.says, got.Checks)
			}
			if stranger := api.strangers.Load() > before; stranger != c.stranger {
				t.Errorf("the server met a stranger: %v", stranger)
			}
		})
	}
}

// The issuer of an AKS cluster has a path; its API server has the documents at the root.
func TestExternalIssuerWithAPath(t *testing.T) {
	const withPath = "https://northeurope.oic.prod-aks.azure.com/3aa4a235-b6e2-48d5-9195-7fcf05b459b0/0a1b/"
	api, cluster := newAPIServer(t, withPath)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "ca.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}))
	write(t, filepath.Join(dir, "token"), []byte("reader\n"))
	e := begin(t, config.Config{
		Issuers:      []config.Issuer{{Name: "aks", URL: withPath, External: true, Server: api.URL, CA: "ca.crt", BearerTokenFile: "token"}},
		Applications: []config.Application{application(withPath)},
	}, filepath.Join(dir, "wiemu.yaml"))
	if got := e.Examine(t.Context(), config.DefaultTenant, applicationID, mintFor(t, cluster)); got.Code != 0 {
		t.Errorf("%d %s: %v", got.Code, got.Message, got.Checks)
	}
	client := control.Client{URL: e.ControlURL(), Token: e.Token()}
	if _, err := client.Rotate(t.Context(), "aks"); err == nil || !strings.Contains(err.Error(), "it is external") {
		t.Errorf("its keys are rotated: %v", err)
	}
}

// A federated credential alone makes no way into this machine.
func TestAnIssuerOnThisMachineMustBeConfigured(t *testing.T) {
	asked := atomic.Int32{}
	issuerServer := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer issuerServer.Close()
	url := issuerServer.URL + "/"
	e := begin(t, config.Config{Applications: []config.Application{application(url)}}, "")
	got := e.Examine(t.Context(), config.DefaultTenant, applicationID, unsigned(url))
	if got.Code != 501661 || !strings.Contains(fmt.Sprint(got.Checks), "not a public address") || asked.Load() > 0 {
		t.Errorf("%d %v, asked %d times", got.Code, got.Checks, asked.Load())
	}
}

// The bearer token goes to the issuer's own host only, not to where its document
// says the keys are.
func TestBearerTokenStaysWithTheIssuer(t *testing.T) {
	var elsewhere atomic.Value
	keys := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere.Store("Authorization: " + r.Header.Get("Authorization"))
		fmt.Fprint(w, `{"keys":[]}`)
	}))
	defer keys.Close()
	var at string
	own := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer reader" {
			t.Error("the issuer got no token")
		}
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"response_types_supported":["id_token"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256"]}`, at, keys.URL+"/jwks")
	}))
	defer own.Close()
	at = own.URL
	dir := t.TempDir()
	write(t, filepath.Join(dir, "ca.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate().Raw}))
	write(t, filepath.Join(dir, "token"), []byte("reader"))
	i := config.Issuer{Name: "other", URL: at, External: true, CA: "ca.crt", BearerTokenFile: "token"}
	e := begin(t, config.Config{Issuers: []config.Issuer{i}, Applications: []config.Application{application(at)}}, filepath.Join(dir, "wiemu.yaml"))
	if got := e.Examine(t.Context(), config.DefaultTenant, applicationID, unsigned(at)); got.Code != 7000272 {
		t.Errorf("%d %v", got.Code, got.Checks)
	}
	if got := elsewhere.Load(); got != "Authorization: " {
		t.Errorf("the other host got %v", got)
	}
}

func TestExternalIssuerIsChecked(t *testing.T) {
	for _, c := range []struct {
		issuer config.Issuer
		want   string
	}{
		{config.Issuer{Name: "x", URL: "https://x.example", External: true, CA: "missing.crt"}, "(x): ca: open"},
		{config.Issuer{Name: "x", URL: "https://x.example", External: true, BearerTokenFile: "missing"}, "(x): bearerTokenFile: stat"},
		{config.Issuer{Name: "x", URL: "https://x.example", External: true, Server: "http://x.example"}, "issuers[0].server"},
		{config.Issuer{Name: "x", CA: "ca.crt"}, "external: true"},
		{config.Issuer{Name: "x", URL: "https://x.example", External: true, CacheLifetime: -1}, "cacheLifetime"},
	} {
		e, err := server.Start(t.Context(), server.Options{Config: config.Config{Issuers: []config.Issuer{c.issuer}}, Options: lab.Options{ConfigFile: "wiemu.yaml", StateDir: t.TempDir()}})
		if err == nil {
			_ = e.Close(context.Background()) // the failure is told below
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: expected %q, found %v", c.issuer, c.want, err)
		}
	}
}

const applicationID = "11111111-aaaa-4bbb-8ccc-222222222222"

// application trusts service account web-sa of an issuer.
func application(issuer string) config.Application {
	return config.Application{Principal: config.Principal{
		Name: "daemon", ClientID: applicationID,
		FederatedCredentials: &[]config.FederatedCredential{{Name: "web", Issuer: issuer, Subject: "system:serviceaccount:ns:web-sa"}},
	}}
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// mintFor is a token of service account web-sa.
func mintFor(t *testing.T, cluster *server.Server) string {
	t.Helper()
	from := cluster.Issuers()[0]
	from.PutServiceAccount("ns", "web-sa", nil)
	token, err := from.Mint(t.Context(), issuer.TokenRequest{Namespace: "ns", ServiceAccount: "web-sa", Audiences: []string{cloud.Public().TokenExchange}})
	if err != nil {
		t.Fatal(err)
	}
	return token.Raw
}

// unsigned is such a token that nobody signed.
func unsigned(issuer string) string {
	now := time.Now() // a lab's clock runs as the machine's
	claims, _ := json.Marshal(map[string]any{
		"iss": issuer, "sub": "system:serviceaccount:ns:web-sa", "aud": cloud.Public().TokenExchange, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"RS256","kid":"k"}`)) + "." + part(claims) + "." + part(make([]byte, 256))
}
