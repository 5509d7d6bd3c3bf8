package issuer

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/keyring"
)

const (
	testURL   = "https://radix-dev.oic.wiemu.test/0aa7ef4d-11a5-4cb3-a5d1-19ad8bf2f4cb/5e5f4c2e-5b0f-4f1b-8a57-6a8b7c8d9e0f/"
	exchange  = "api://AzureADTokenExchange"
	namespace = "my-radix-app-dev"
	account   = "web-sa"
)

var start = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// made is the pool whose keys all rings of these tests share.
var made *keyring.Pool

func TestMain(m *testing.M) {
	var err error
	if made, err = keyring.OpenPool("", keyring.PoolOptions{}); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// cluster is an issuer on a stopped clock with one service account.
type cluster struct {
	*Issuer
	clock   *clock.Lab
	ring    *keyring.Ring
	journal *journals.Journal
}

func newCluster(t testing.TB, url string, opts Options) *cluster {
	t.Helper()
	clk := clock.Stopped(start)
	j, err := journals.New(clk, journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.New(t.Context(), clk, made.Lease(), keyring.Options{Name: "radix-dev", Issuer: url, Identify: KeyID, Journal: j})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ring.Close)
	opts.Journal = j
	i, err := New(url, ring, clk, opts)
	if err != nil {
		t.Fatal(err)
	}
	i.PutServiceAccount(namespace, account, nil)
	return &cluster{i, clk, ring, j}
}

func (c *cluster) mint(t testing.TB, req TokenRequest) Token {
	t.Helper()
	if req.Namespace == "" {
		req.Namespace, req.ServiceAccount = namespace, account
	}
	token, err := c.Mint(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (c *cluster) pass(t testing.TB, d time.Duration) {
	t.Helper()
	if err := c.clock.Advance(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) last(t testing.TB) journal.Event {
	t.Helper()
	events := c.journal.Events()
	if len(events) == 0 {
		t.Fatal("the journal is empty")
	}
	return events[len(events)-1]
}

func TestAnIssuerURL(t *testing.T) {
	for _, row := range []struct{ name, url, want string }{
		{"with a slash at its end is another one", "https://issuer.example.test/a/", ""},
		{"without a path", "https://issuer.example.test", ""},
		{"with a port", "https://issuer.example.test:8443/a", ""},
		{"of another scheme", "http://issuer.example.test", "must use https"},
		{"that is legacy", "kubernetes/serviceaccount", "must use https"},
		{"without a host", "https:///a", "no host"},
		{"with a query", "https://issuer.example.test/?a=b", "may not include a query"},
		{"with an empty query", "https://issuer.example.test/?", "may not include a query"},
		{"with a fragment", "https://issuer.example.test/#a", "may not include a fragment"},
		{"with an empty fragment", "https://issuer.example.test/#", "may not include a fragment"},
		{"with a password", "https://me:secret@issuer.example.test/", "may not include a user, got: https://me:xxxxx@"},
		{"that is none", "https://issuer.example.test/%zz", "invalid URL escape"},
	} {
		t.Run(row.name, func(t *testing.T) {
			i, err := New(row.url, nil, clock.Stopped(start), Options{})
			if row.want != "" {
				if err == nil || !strings.Contains(err.Error(), row.want) {
					t.Errorf("got %v, want an error with %q", err, row.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if i.URL() != row.url || !strings.Contains(row.url, "//"+i.Host()) {
				t.Errorf("got URL %q, host %q", i.URL(), i.Host())
			}
		})
	}
	if _, err := New(testURL, nil, clock.Stopped(start), Options{MaxExpiration: time.Minute}); err == nil {
		t.Error("a maximum token expiration of a minute was taken")
	}
}

func TestAKeyIsNamedByTheHashOfItsPublicHalf(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	key := c.ring.Signing()
	der, err := x509.MarshalPKIXPublicKey(key.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	if want := base64.RawURLEncoding.EncodeToString(sum[:]); key.ID != want || len(key.ID) != 43 {
		t.Errorf("kid %q, want %q", key.ID, want)
	}
}

// TestATokenIsWhatAKubeletProjects rebuilds the token that a real cluster gave
// out: header and payload must be the same bytes.
func TestATokenIsWhatAKubeletProjects(t *testing.T) {
	var real struct{ Header, Claims json.RawMessage }
	data, err := os.ReadFile("testdata/k8s-1.37-projected-token.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &real); err != nil {
		t.Fatal(err)
	}
	var claims Claims
	if err := json.Unmarshal(real.Claims, &claims); err != nil {
		t.Fatal(err)
	}
	jti := uuid.MustParse(claims.ID)
	c := newCluster(t, claims.Issuer, Options{Random: strings.NewReader(string(jti[:]))})
	c.pass(t, time.Unix(claims.IssuedAt, 0).Sub(start)+300*time.Millisecond)
	k := claims.Kubernetes
	c.objects.accounts[objectKey{k.Namespace, k.ServiceAccount.Name}] = ServiceAccount{Namespace: k.Namespace, Name: k.ServiceAccount.Name, UID: k.ServiceAccount.UID}
	c.objects.pods[objectKey{k.Namespace, k.Pod.Name}] = Pod{
		Namespace: k.Namespace, Name: k.Pod.Name, UID: k.Pod.UID, ServiceAccount: k.ServiceAccount.Name,
		Node: k.Node.Name, NodeUID: k.Node.UID,
	}

	token := c.mint(t, TokenRequest{
		Namespace: k.Namespace, ServiceAccount: k.ServiceAccount.Name,
		Audiences: claims.Audience, ExpirationSeconds: 600,
		BoundObject: &BoundObject{APIVersion: "v1", Kind: "Pod", Name: k.Pod.Name, UID: k.Pod.UID},
	})

	wantHeader := strings.ReplaceAll(compact(t, real.Header), "37mLYB1LWyh3WIQG5kHO5GZuDRXv44DpISdO5xbjX6o", c.ring.Signing().ID)
	parts := strings.Split(token.Raw, ".")
	if got := decode(t, parts[0]); got != wantHeader {
		t.Errorf("header\n%s\nwant\n%s", got, wantHeader)
	}
	if got, want := decode(t, parts[1]), compact(t, real.Claims); got != want {
		t.Errorf("claims\n%s\nwant\n%s", got, want)
	}
	if strings.TrimSpace(token.Raw) != token.Raw {
		t.Error("the token has space around it")
	}
}

func compact(t testing.TB, document []byte) string {
	t.Helper()
	var b strings.Builder
	for _, r := range string(document) { // the sample holds no space within its strings
		if !strings.ContainsRune(" \n\t", r) {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func decode(t testing.TB, part string) string {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
