package entra_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/wiemu/wiemu/internal/entra"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/metadata"
	"github.com/wiemu/wiemu/internal/resource"
)

// The whole chain through the real rooms: a cluster mints, Entra ID exchanges, a
// resource validates; then the cluster rotates its key, as one should.
func TestFromServiceAccountToResource(t *testing.T) {
	l := newLab(t)
	ring, err := keyring.New(t.Context(), l.clock, pool().Lease(), keyring.Options{Name: "cluster", Identify: issuer.KeyID})
	must(t, err)
	t.Cleanup(ring.Close)
	cluster, err := issuer.New(issuerURL, ring, l.clock, issuer.Options{Name: "cluster"})
	must(t, err)
	cluster.PutServiceAccount("my-radix-app-dev", "web-sa", nil)
	var service *entra.Service
	network := roundTripper(func(r *http.Request) (*http.Response, error) {
		answer := httptest.NewRecorder()
		switch r.URL.Host {
		case cluster.Host():
			cluster.Discovery().ServeHTTP(answer, r)
		case "login.microsoftonline.com":
			service.Handler().ServeHTTP(answer, r)
		default:
			return nil, fmt.Errorf("no such host: %s", r.URL.Host)
		}
		return answer.Result(), nil
	})
	issuers := metadata.New(l.clock, metadata.Options{Transport: network})
	service = entra.New(entra.Config{Directory: l.directory, Keys: l.keys, Clock: l.clock, Issuers: issuers})
	validator := resource.NewValidator(l.clock, issuers, resource.Options{})

	var first string
	for _, step := range []struct {
		when string
		do   func()
	}{
		{"at first", func() {}},
		{"after a key was published and an hour has passed", func() {
			_, err := ring.Publish(t.Context())
			must(t, err)
			l.advance(t, time.Hour)
		}},
		{"after the new key signs", func() {
			_, err := ring.Rotate(t.Context())
			must(t, err)
		}},
	} {
		step.do()
		assertion, err := cluster.Mint(t.Context(), issuer.TokenRequest{Namespace: "my-radix-app-dev", ServiceAccount: "web-sa", Audiences: []string{audience}})
		must(t, err)
		token, refusal := service.Exchange(t.Context(), entra.Request{
			Tenant: tenantID, GrantType: "client_credentials", ClientID: identityID, Scope: "https://vault.azure.net/.default",
			Assertion: assertion.Raw, AssertionType: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
		})
		if refusal != nil {
			t.Fatalf("%s: %v", step.when, refusal)
		}
		caller, _, refused := validator.Validate(t.Context(), token.AccessToken, resource.Want{Audiences: []string{"https://vault.azure.net"}, Tenant: tenantID})
		if refused != nil {
			t.Fatalf("%s: %v", step.when, refused)
		}
		if caller.ClientID != identityID || caller.UTI != token.UTI {
			t.Errorf("%s: caller %+v", step.when, caller)
		}
		if first == "" {
			first = assertion.KeyID
		} else if step.when == "after the new key signs" && assertion.KeyID == first {
			t.Error("the cluster's key did not change")
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
