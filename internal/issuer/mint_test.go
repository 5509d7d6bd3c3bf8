package issuer

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/wiemu/wiemu/emulator/journal"
)

func TestWhatATokenSays(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	pod := c.PutPod(Pod{Namespace: namespace, Name: "web-1", ServiceAccount: account})
	for _, row := range []struct {
		name     string
		req      TokenRequest
		audience []string
		lifetime time.Duration
		bound    string // the claims of the object, in the payload
	}{
		{"nothing asked for", TokenRequest{}, []string{testURL}, time.Hour, `"namespace":"my-radix-app-dev","serviceaccount"`},
		{"one audience is a list still", TokenRequest{Audiences: []string{exchange}}, []string{exchange}, time.Hour, `{"aud":["api://AzureADTokenExchange"],"exp"`},
		{"two audiences", TokenRequest{Audiences: []string{exchange, "b"}, ExpirationSeconds: 600}, []string{exchange, "b"}, 10 * time.Minute, `"aud":["api://AzureADTokenExchange","b"]`},
		{"a pod", TokenRequest{BoundObject: &BoundObject{"Pod", "v1", "web-1", pod.UID}}, []string{testURL}, time.Hour,
			`"node":{"name":"node-1","uid":"` + pod.NodeUID + `"},"pod":{"name":"web-1","uid":"` + pod.UID + `"},"serviceaccount"`},
		{"a pod of whichever uid", TokenRequest{BoundObject: &BoundObject{APIVersion: "v1", Kind: "Pod", Name: "web-1"}}, []string{testURL}, time.Hour, `"pod":{"name":"web-1"`},
		{"a node", TokenRequest{BoundObject: &BoundObject{APIVersion: "v1", Kind: "Node", Name: "node-1"}}, []string{testURL}, time.Hour, `"node":{"name":"node-1","uid":"` + pod.NodeUID + `"},"serviceaccount"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			token := c.mint(t, row.req)
			parsed, err := jwt.ParseSigned(token.Raw, []jose.SignatureAlgorithm{jose.RS256})
			if err != nil {
				t.Fatal(err)
			}
			key, ok := c.ring.Key(parsed.Headers[0].KeyID)
			if !ok || key.ID != token.KeyID {
				t.Fatalf("kid %q is not in the JWKS", parsed.Headers[0].KeyID)
			}
			var claims jwt.Claims
			if err := parsed.Claims(key.Private.Public(), &claims); err != nil {
				t.Fatal(err)
			}
			if claims.Issuer != testURL || claims.Subject != "system:serviceaccount:my-radix-app-dev:web-sa" || !slices.Equal(claims.Audience, row.audience) {
				t.Errorf("claims %+v", claims)
			}
			if iat := claims.IssuedAt.Time(); !iat.Equal(start) || !claims.NotBefore.Time().Equal(iat) || !claims.Expiry.Time().Equal(iat.Add(row.lifetime)) {
				t.Errorf("issued %v, not before %v, expires %v", iat, claims.NotBefore.Time(), claims.Expiry.Time())
			}
			if claims.ID != token.ID || !token.ExpiresAt.Equal(start.Add(row.lifetime)) {
				t.Errorf("token %+v differs from its claims", token)
			}
			if payload := decode(t, strings.Split(token.Raw, ".")[1]); !strings.Contains(payload, row.bound) {
				t.Errorf("payload %s\nhas no %s", payload, row.bound)
			}
		})
	}
}

func TestARequestIsRefusedAsKubernetesDoes(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	c.PutServiceAccount(namespace, "other-sa", nil)
	c.PutPod(Pod{Namespace: namespace, Name: "web-1", ServiceAccount: account})
	uid := c.ServiceAccounts()[1].UID
	for _, row := range []struct {
		name    string
		req     TokenRequest
		code    int
		reason  string
		message string
	}{
		{"unknown service account", TokenRequest{Namespace: namespace, ServiceAccount: "nobody"}, 404, "NotFound", `serviceaccounts "nobody" not found`},
		{"unknown namespace", TokenRequest{Namespace: "nowhere", ServiceAccount: account}, 404, "NotFound", `serviceaccounts "web-sa" not found`},
		{"unknown before invalid", TokenRequest{Namespace: namespace, ServiceAccount: "nobody", ExpirationSeconds: 1}, 404, "NotFound", `serviceaccounts "nobody" not found`},
		{"599 seconds", TokenRequest{ExpirationSeconds: 599}, 422, "Invalid", `TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes`},
		{"more than 2^32 seconds", TokenRequest{ExpirationSeconds: 1<<32 + 1}, 422, "Invalid", `TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds`},
		{"a negative lifetime", TokenRequest{ExpirationSeconds: -1}, 422, "Invalid", `TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: -1: may not specify a duration less than 10 minutes`},
		{"an empty audience", TokenRequest{Audiences: []string{exchange, ""}}, 422, "Invalid", `TokenRequest.authentication.k8s.io "" is invalid: spec.audiences[1]: Invalid value: "": must not be an empty string`},
		{"two faults", TokenRequest{Audiences: []string{""}, ExpirationSeconds: 599}, 422, "Invalid", `TokenRequest.authentication.k8s.io "" is invalid: [spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes, spec.audiences[0]: Invalid value: "": must not be an empty string]`},
		{"the UID of another service account", TokenRequest{UID: "u"}, 409, "Conflict", `Operation cannot be fulfilled on TokenRequest.authentication.k8s.io "web-sa": the UID in the token request (u) does not match the UID of the service account (` + uid + `)`},
		{"an unknown pod", TokenRequest{BoundObject: &BoundObject{APIVersion: "v1", Kind: "Pod", Name: "gone"}}, 404, "NotFound", `pods "gone" not found`},
		{"a pod of another service account", TokenRequest{Namespace: namespace, ServiceAccount: "other-sa", BoundObject: &BoundObject{APIVersion: "v1", Kind: "Pod", Name: "web-1"}}, 400, "BadRequest", `cannot bind token for serviceaccount "other-sa" to pod running with different serviceaccount name.`},
		{"a pod created anew", TokenRequest{BoundObject: &BoundObject{"Pod", "v1", "web-1", "old"}}, 409, "Conflict", `Operation cannot be fulfilled on Pod "web-1": the UID in the bound object reference (old) does not match the UID in record. The object might have been deleted and then recreated`},
		{"an unknown secret", TokenRequest{BoundObject: &BoundObject{APIVersion: "v1", Kind: "Secret", Name: "s"}}, 404, "NotFound", `secrets "s" not found`},
		{"an unknown node", TokenRequest{BoundObject: &BoundObject{APIVersion: "v1", Kind: "Node", Name: "n"}}, 404, "NotFound", `nodes "n" not found`},
		{"an object that nothing is bound to", TokenRequest{BoundObject: &BoundObject{APIVersion: "v1", Kind: "ConfigMap", Name: "m"}}, 400, "BadRequest", `cannot bind token to object of type /v1, Kind=ConfigMap`},
		{"an object of another group", TokenRequest{BoundObject: &BoundObject{APIVersion: "apps/v1", Kind: "Pod", Name: "m"}}, 400, "BadRequest", `cannot bind token to object of type apps/v1, Kind=Pod`},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.req.Namespace == "" {
				row.req.Namespace, row.req.ServiceAccount = namespace, account
			}
			_, err := c.Mint(t.Context(), row.req)
			var status *Status
			if !errors.As(err, &status) {
				t.Fatalf("got %v, want a *Status", err)
			}
			if status.Code != row.code || status.Reason != row.reason || status.Message != row.message {
				t.Errorf("got %d %s %s\nwant %d %s %s", status.Code, status.Reason, status.Message, row.code, row.reason, row.message)
			}
			if e := c.last(t); e.Kind != journal.Mint || e.Outcome != journal.Denied || e.Status != row.code || e.Message != row.message || e.Workload != row.req.Namespace+"/"+row.req.ServiceAccount {
				t.Errorf("the journal tells %+v", e)
			}
		})
	}
}

func TestALongLifetimeIsShortenedWithAWarning(t *testing.T) {
	for _, row := range []struct {
		name    string
		max     time.Duration
		asked   int64
		want    time.Duration
		warning string
	}{
		{"as AKS does by default", 0, 86401, 24 * time.Hour, "requested expiration of 86401 seconds shortened to 86400 seconds"},
		{"exactly the longest", 0, 86400, 24 * time.Hour, ""},
		{"as configured", 48 * time.Hour, 1 << 32, 48 * time.Hour, "requested expiration of 4294967296 seconds shortened to 172800 seconds"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newCluster(t, testURL, Options{MaxExpiration: row.max})
			token := c.mint(t, TokenRequest{ExpirationSeconds: row.asked})
			if got := token.ExpiresAt.Sub(token.IssuedAt); got != row.want || strings.Join(token.Warnings, "; ") != row.warning {
				t.Errorf("lifetime %v, warnings %q", got, token.Warnings)
			}
		})
	}
}

func TestAMintIsJournaledWithTheIDsOfItsToken(t *testing.T) {
	c := newCluster(t, testURL, Options{Name: "radix-dev"})
	c.PutPod(Pod{Namespace: namespace, Name: "web-1", ServiceAccount: account, Node: "n7"})
	token := c.mint(t, TokenRequest{Audiences: []string{exchange}, BoundObject: &BoundObject{APIVersion: "v1", Kind: "Pod", Name: "web-1"}})
	e := c.last(t)
	if e.Kind != journal.Mint || e.Outcome != journal.OK || e.Component != "radix-dev" || e.Workload != "my-radix-app-dev/web-sa" {
		t.Errorf("got %+v", e)
	}
	if e.Kid != token.KeyID || e.JTI != token.ID || e.Issuer != testURL || e.Subject != "system:serviceaccount:my-radix-app-dev:web-sa" || !slices.Equal(e.Audience, []string{exchange}) {
		t.Errorf("the chain's ids are %+v", e)
	}
	if !e.IssuedAt.Equal(token.IssuedAt) || !e.ExpiresAt.Equal(token.ExpiresAt) || !maps.Equal(e.Detail, map[string]string{"pod": "web-1", "node": "n7"}) {
		t.Errorf("got %+v", e)
	}
}

func TestTokensChangeTheirKeyWithARotation(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	before := c.mint(t, TokenRequest{})
	if _, err := c.ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := c.mint(t, TokenRequest{})
	if before.KeyID == after.KeyID || before.ID == after.ID {
		t.Errorf("kid %s and %s, jti %s and %s", before.KeyID, after.KeyID, before.ID, after.ID)
	}
	if !c.Review(before.Raw, nil).Authenticated || !c.Review(after.Raw, nil).Authenticated {
		t.Error("both keys are in the JWKS, but a token is not accepted")
	}
}

func TestUIDsAreTheSameInEveryRunButNotAfterARecreation(t *testing.T) {
	a, b := newCluster(t, testURL, Options{}), newCluster(t, testURL, Options{})
	other := newCluster(t, "https://other.oic.wiemu.test/", Options{})
	uid := a.ServiceAccounts()[0].UID
	if uid != b.ServiceAccounts()[0].UID || uid == other.ServiceAccounts()[0].UID {
		t.Error("want a UID per cluster, the same in every run")
	}
	if got := a.PutServiceAccount(namespace, account, map[string]string{"a": "b"}); got.UID != uid || got.Annotations["a"] != "b" {
		t.Errorf("an update changed the UID or did not take: %+v", got)
	}
	if !a.RemoveServiceAccount(namespace, account) || a.RemoveServiceAccount(namespace, account) {
		t.Error("want it removed once")
	}
	if a.PutServiceAccount(namespace, account, nil).UID == uid {
		t.Error("a service account created anew has the UID of the old one")
	}
	pod := a.PutPod(Pod{Namespace: namespace, Name: "p", ServiceAccount: account, UID: "ignored"})
	if again := a.PutPod(Pod{Namespace: namespace, Name: "p", ServiceAccount: account}); again != pod || pod.UID == "ignored" {
		t.Errorf("got %+v, then %+v", pod, again)
	}
	delete(a.objects.pods, objectKey{namespace, "p"})
	if a.PutPod(Pod{Namespace: namespace, Name: "p"}).UID == pod.UID {
		t.Error("a pod created anew has the UID of the old one")
	}
}

func TestACancelledRequestMintsNothing(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Mint(ctx, TokenRequest{Namespace: namespace, ServiceAccount: account}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if asStatus(context.Canceled).Code != http.StatusInternalServerError {
		t.Error("want it to be an internal error to the API")
	}
}

func TestARandomSourceThatEndsIsAnError(t *testing.T) {
	c := newCluster(t, testURL, Options{Random: strings.NewReader("short")})
	_, err := c.Mint(t.Context(), TokenRequest{Namespace: namespace, ServiceAccount: account})
	var status *Status
	if !errors.As(err, &status) || status.Code != 500 || !strings.Contains(status.Message, "failed to generate token") {
		t.Errorf("got %v", err)
	}
}

// BenchmarkMint and BenchmarkSignature tell what minting costs beyond the
// signature that it cannot do without.
func BenchmarkMint(b *testing.B) {
	c := newCluster(b, testURL, Options{})
	pod := c.PutPod(Pod{Namespace: namespace, Name: "web-1", ServiceAccount: account})
	req := TokenRequest{Namespace: namespace, ServiceAccount: account, Audiences: []string{exchange}, BoundObject: &BoundObject{"Pod", "v1", "web-1", pod.UID}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Mint(context.Background(), req); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignature(b *testing.B) {
	key, err := made.Lease().Take(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("what is signed"))
	for b.Loop() {
		if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]); err != nil {
			b.Fatal(err)
		}
	}
}
