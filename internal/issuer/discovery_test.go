package issuer

import (
	"crypto/rsa"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/keyring"
)

func TestTheDiscoveryDocumentIsKubeAPIServers(t *testing.T) {
	for _, row := range []struct{ name, issuer, path, body string }{
		{"AKS", "https://radix-dev.oic.wiemu.test/Tenant/id/", "/Tenant/id/.well-known/openid-configuration",
			`{"issuer":"https://radix-dev.oic.wiemu.test/Tenant/id/","jwks_uri":"https://radix-dev.oic.wiemu.test/Tenant/id/openid/v1/jwks","response_types_supported":["id_token"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256"]}`},
		{"a cluster's own", "https://kubernetes.default.svc", "/.well-known/openid-configuration",
			`{"issuer":"https://kubernetes.default.svc","jwks_uri":"https://kubernetes.default.svc/openid/v1/jwks","response_types_supported":["id_token"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256"]}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newCluster(t, row.issuer, Options{})
			got := ask(t, c.Discovery(), http.MethodGet, row.path)
			if got.Code != 200 || got.Body.String() != row.body {
				t.Errorf("got %d %s\nwant %s", got.Code, got.Body, row.body)
			}
			if ct, cc := got.Header().Get("Content-Type"), got.Header().Get("Cache-Control"); ct != "application/json" || cc != "public, max-age=3600" {
				t.Errorf("Content-Type %q, Cache-Control %q", ct, cc)
			}
		})
	}
}

func TestTheJWKSIsKubeAPIServers(t *testing.T) {
	c := newCluster(t, testURL, Options{CacheMaxAge: 10 * time.Minute})
	if _, err := c.ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ring.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, k := range c.ring.Published() {
		keys = append(keys, `{"use":"sig","kty":"RSA","kid":"`+k.ID+`","alg":"RS256","n":"`+base64.RawURLEncoding.EncodeToString(k.Private.Public().(*rsa.PublicKey).N.Bytes())+`","e":"AQAB"}`)
	}
	if len(keys) != 3 || c.ring.Published()[1].Stage != keyring.Published {
		t.Fatalf("the ring holds %d keys", len(keys))
	}
	got := ask(t, c.Discovery(), http.MethodGet, strings.TrimPrefix(testURL, "https://radix-dev.oic.wiemu.test")+"openid/v1/jwks")
	if want := `{"keys":[` + strings.Join(keys, ",") + `]}`; got.Code != 200 || got.Body.String() != want {
		t.Errorf("got %d %s\nwant %s", got.Code, got.Body, want)
	}
	if ct, cc := got.Header().Get("Content-Type"), got.Header().Get("Cache-Control"); ct != "application/jwk-set+json" || cc != "public, max-age=600" {
		t.Errorf("Content-Type %q, Cache-Control %q", ct, cc)
	}
}

func TestDiscoveryOfEllipticKeys(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	ring, err := keyring.New(t.Context(), c.clock, made.Lease(), keyring.Options{Name: "ec", Identify: KeyID, Algorithm: keyring.ES256})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	i, err := New(testURL, ring, c.clock, Options{})
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(testURL, "https://radix-dev.oic.wiemu.test")
	if got := ask(t, i.Discovery(), http.MethodGet, path+".well-known/openid-configuration").Body.String(); !strings.Contains(got, `"id_token_signing_alg_values_supported":["ES256"]`) {
		t.Errorf("the document says %s", got)
	}
	if got := ask(t, i.Discovery(), http.MethodGet, path+"openid/v1/jwks").Body.String(); !strings.Contains(got, `{"use":"sig","kty":"EC","kid":"`+ring.Signing().ID+`","crv":"P-256","alg":"ES256","x":"`) {
		t.Errorf("the JWKS is %s", got)
	}
}

func TestHowDiscoveryIsAskedFor(t *testing.T) {
	c := newCluster(t, "https://radix-dev.oic.wiemu.test/Tenant/id/", Options{})
	for _, row := range []struct {
		name, method, path string
		code               int
	}{
		{"HEAD", http.MethodHead, "/Tenant/id/.well-known/openid-configuration", 200},
		{"appended to the issuer's slash", http.MethodGet, "/Tenant/id//.well-known/openid-configuration", 200},
		{"in another case", http.MethodGet, "/tenant/ID/.Well-Known/openid-configuration", 200},
		{"outside of the issuer's path", http.MethodGet, "/.well-known/openid-configuration", 404},
		{"below the document", http.MethodGet, "/Tenant/id/.well-known/openid-configuration/x", 404},
		{"with a slash at the end", http.MethodGet, "/Tenant/id/openid/v1/jwks/", 404},
		{"POST", http.MethodPost, "/Tenant/id/openid/v1/jwks", 405},
		{"the cluster's paths", http.MethodPost, "/api/v1/namespaces/a/serviceaccounts/b/token", 404},
	} {
		t.Run(row.name, func(t *testing.T) {
			for by, handler := range map[string]http.Handler{"itself": c.Discovery(), "behind Fold": httppath.Fold(c.Discovery())} {
				if got := ask(t, handler, row.method, row.path); got.Code != row.code {
					t.Errorf("%s: got %d, want %d", by, got.Code, row.code)
				}
			}
		})
	}
}

// ask sends a request without a body.
func ask(t testing.TB, handler http.Handler, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	return w
}
