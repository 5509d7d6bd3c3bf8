package issuer

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
)

// forge signs claims, changed from those of a good token, with the ring's key.
func (c *cluster) forge(t testing.TB, change func(*Claims)) string {
	t.Helper()
	claims := c.mint(t, TokenRequest{}).Claims
	change(&claims)
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	raw, _, err := c.ring.Sign(header, payload)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// encode is one part of a compact JWS.
func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func TestAReviewedTokenIsItsServiceAccount(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	pod := c.PutPod(Pod{Namespace: namespace, Name: "web-1", ServiceAccount: account})
	uid := c.ServiceAccounts()[0].UID
	const prefix = "authentication.kubernetes.io/"
	for _, row := range []struct {
		name      string
		req       TokenRequest
		audiences []string // asked for
		want      []string
		extra     map[string]string // beyond the credential id
	}{
		{"for the API server", TokenRequest{}, nil, []string{testURL}, nil},
		{"for the audience asked about", TokenRequest{Audiences: []string{exchange}}, []string{exchange}, []string{exchange}, nil},
		{"for one of several", TokenRequest{Audiences: []string{"a", exchange, "b"}}, []string{"b", exchange, "z"}, []string{exchange, "b"}, nil},
		{"bound to a pod", TokenRequest{BoundObject: &BoundObject{APIVersion: "v1", Kind: "Pod", Name: "web-1"}}, nil, []string{testURL},
			map[string]string{"pod-name": "web-1", "pod-uid": pod.UID, "node-name": "node-1", "node-uid": pod.NodeUID}},
		{"bound to a node", TokenRequest{BoundObject: &BoundObject{APIVersion: "v1", Kind: "Node", Name: "node-1"}}, nil, []string{testURL},
			map[string]string{"node-name": "node-1", "node-uid": pod.NodeUID}},
	} {
		t.Run(row.name, func(t *testing.T) {
			token := c.mint(t, row.req)
			status := c.Review(token.Raw, row.audiences)
			if !status.Authenticated || status.Error != "" || !slices.Equal(status.Audiences, row.want) {
				t.Fatalf("got %+v", status)
			}
			if u := status.User; u.Username != "system:serviceaccount:my-radix-app-dev:web-sa" || u.UID != uid ||
				!slices.Equal(u.Groups, []string{"system:serviceaccounts", "system:serviceaccounts:my-radix-app-dev", "system:authenticated"}) {
				t.Errorf("user %+v", u)
			}
			want := map[string][]string{prefix + "credential-id": {"JTI=" + token.ID}}
			for k, v := range row.extra {
				want[prefix+k] = []string{v}
			}
			if !maps.EqualFunc(status.User.Extra, want, slices.Equal) {
				t.Errorf("extra %v, want %v", status.User.Extra, want)
			}
			if e := c.last(t); e.Kind != journal.TokenReview || e.Outcome != journal.Granted || e.JTI != token.ID || e.Kid != token.KeyID || e.Workload != namespace+"/"+account {
				t.Errorf("the journal tells %+v", e)
			}
		})
	}
}

func TestATokenIsRefusedInReview(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	other := newCluster(t, "https://other.oic.wiemu.test/", Options{})
	pod := c.PutPod(Pod{Namespace: namespace, Name: "web-1", ServiceAccount: account})
	good := c.mint(t, TokenRequest{}).Raw
	parts := strings.Split(good, ".")
	kid := c.ring.Signing().ID
	uid := c.ServiceAccounts()[0].UID
	for _, row := range []struct {
		name      string
		token     string
		audiences []string
		want      string
	}{
		{"not a token", "not a token", nil, "invalid bearer token"},
		{"two parts", "a.b", nil, "invalid bearer token"},
		{"a JSON serialization", `{"payload":"` + parts[1] + `"}`, nil, "invalid bearer token"},
		{"a payload that is no base64url", parts[0] + ".?." + parts[2], nil, "invalid bearer token"},
		{"a payload that is no JSON", parts[0] + "." + encode("x") + "." + parts[2], nil, "invalid bearer token"},
		{"another issuer", other.mint(t, TokenRequest{}).Raw, nil, "invalid bearer token"},
		{"no algorithm", encode(`{"alg":"none"}`) + "." + parts[1] + ".", nil, "invalid bearer token"},
		{"a symmetric algorithm", encode(`{"alg":"HS256","kid":"`+kid+`"}`) + "." + parts[1] + "." + parts[2], nil, "invalid bearer token"},
		{"an unknown key", encode(`{"alg":"RS256","kid":"x"}`) + "." + parts[1] + "." + parts[2], nil, "[invalid bearer token, invalid signature, no keys found]"},
		{"a changed signature", parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), nil, "[invalid bearer token, go-jose/go-jose: error in cryptographic primitive]"},
		{"another audience", good, []string{exchange}, `[invalid bearer token, token audiences ["` + testURL + `"] is invalid for the target audiences ["api://AzureADTokenExchange"]]`},
		{"no audience", c.forge(t, func(c *Claims) { c.Audience = nil }), nil, `[invalid bearer token, token audiences [] is invalid for the target audiences ["` + testURL + `"]]`},
		{"not valid yet", c.forge(t, func(c *Claims) { c.NotBefore += 61 }), nil, "[invalid bearer token, service account token is not valid yet]"},
		{"expired", c.forge(t, func(c *Claims) { c.Expiry = c.IssuedAt - 61 }), nil, "[invalid bearer token, service account token has expired]"},
		{"issued in the future", c.forge(t, func(c *Claims) { c.IssuedAt += 61 }), nil, "[invalid bearer token, service account token is issued in the future]"},
		{"an unknown service account", c.forge(t, func(c *Claims) { c.Kubernetes.ServiceAccount.Name = "nobody" }), nil, `[invalid bearer token, serviceaccounts "nobody" not found]`},
		{"a service account created anew", c.forge(t, func(c *Claims) { c.Kubernetes.ServiceAccount.UID = "old" }), nil, "[invalid bearer token, service account UID (" + uid + ") does not match claim (old)]"},
		{"a secret that is gone", c.forge(t, func(c *Claims) { c.Kubernetes.Secret = &Ref{"s", "u"} }), nil, "[invalid bearer token, service account token has been invalidated]"},
		{"a pod that is gone", c.forge(t, func(c *Claims) { c.Kubernetes.Pod = &Ref{"gone", "u"} }), nil, "[invalid bearer token, service account token has been invalidated]"},
		{"a pod created anew", c.forge(t, func(c *Claims) { c.Kubernetes.Pod = &Ref{"web-1", "old"} }), nil, "[invalid bearer token, pod UID (" + pod.UID + ") does not match service account pod ref claim (old)]"},
		{"a node that is gone", c.forge(t, func(c *Claims) { c.Kubernetes.Node = &Ref{"gone", "u"} }), nil, "[invalid bearer token, service account token has been invalidated]"},
		{"a node created anew", c.forge(t, func(c *Claims) { c.Kubernetes.Node = &Ref{"node-1", "old"} }), nil, "[invalid bearer token, node UID (" + pod.NodeUID + ") does not match service account node ref claim (old)]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			status := c.Review(row.token, row.audiences)
			if status.Authenticated || status.User.Username != "" || status.Error != row.want {
				t.Errorf("got %+v\nwant the error %s", status, row.want)
			}
			if e := c.last(t); e.Kind != journal.TokenReview || e.Outcome != journal.Denied || e.Message != row.want {
				t.Errorf("the journal tells %+v", e)
			}
		})
	}
}

func TestClocksMayBeAMinuteApart(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	for name, change := range map[string]func(*Claims){
		"not before": func(c *Claims) { c.NotBefore += 60 },
		"expiry":     func(c *Claims) { c.Expiry = c.IssuedAt - 60 },
		"issued at":  func(c *Claims) { c.IssuedAt += 60 },
	} {
		if status := c.Review(c.forge(t, change), nil); !status.Authenticated {
			t.Errorf("%s: %s", name, status.Error)
		}
	}
}

func TestATokenEndsInTheClusterBeforeItExpires(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	c.PutPod(Pod{Namespace: namespace, Name: "web-1", ServiceAccount: account})
	bound := c.mint(t, TokenRequest{BoundObject: &BoundObject{APIVersion: "v1", Kind: "Pod", Name: "web-1"}}).Raw
	unbound := c.mint(t, TokenRequest{}).Raw
	accepted := func() [2]bool {
		return [2]bool{c.Review(bound, nil).Authenticated, c.Review(unbound, nil).Authenticated}
	}
	if got := accepted(); got != [2]bool{true, true} {
		t.Fatalf("at first %v", got)
	}
	delete(c.objects.pods, objectKey{namespace, "web-1"})
	if got := accepted(); got != [2]bool{false, true} {
		t.Errorf("without the pod %v", got)
	}
	if _, err := c.ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.ring.Remove(c.ring.Published()[1].ID); err != nil {
		t.Fatal(err)
	}
	if got := accepted(); got != [2]bool{false, false} {
		t.Errorf("without the key %v", got)
	}
}

func TestAReviewTellsItsChecksInOrder(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	token := c.mint(t, TokenRequest{}).Raw
	c.pass(t, time.Hour+61*time.Second)
	c.Review(token, nil)
	var names []string
	for _, check := range c.last(t).Checks {
		names = append(names, check.Name+" "+string(check.Outcome))
	}
	want := []string{"signing key passed", "signature passed", "audience passed", "not before passed", "expiry failed"}
	if !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	expiry := c.last(t).Checks[4]
	if expiry.Expected != "after 2026-11-23T11:00:01Z" || expiry.Presented != "2026-11-23T11:00:00Z" {
		t.Errorf("got %+v", expiry)
	}
}
