package entra_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/entra"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/metadata"
	"github.com/wiemu/wiemu/internal/tenants"
)

// Who exists in every test.
const (
	tenantID   = "3aa4a235-b6e2-48d5-9195-7fcf05b459b0"
	identityID = "b96d264b-7053-4465-a4a7-32be5b0fec49" // a managed identity that trusts web-sa
	appID      = "11111111-aaaa-4bbb-8ccc-222222222222" // an app registration with secret, certificate and trust
	bareID     = "33333333-aaaa-4bbb-8ccc-444444444444" // an app registration with nothing
	disabledID = "55555555-aaaa-4bbb-8ccc-666666666666"
	apiID      = "77777777-aaaa-4bbb-8ccc-888888888888" // a resource with v2 tokens
	publicID   = "bbbbbbbb-aaaa-4bbb-8ccc-222222222222" // a public client
	closedID   = "bbbbbbbb-aaaa-4bbb-8ccc-444444444444" // a resource for those with a role
	elsewhere  = "99999999-aaaa-4bbb-8ccc-aaaaaaaaaaaa" // in another tenant

	issuerURL = "https://europe.oic.wiemu.test/tenant/cluster/"
	subject   = "system:serviceaccount:my-radix-app-dev:web-sa"
	audience  = "api://AzureADTokenExchange"
	secret    = "abc8Q~a-secret-value"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// Keys are slow to make, so all tests share them.
var (
	pool = sync.OnceValue(func() *keyring.Pool {
		p, err := keyring.OpenPool("", keyring.PoolOptions{})
		if err != nil {
			panic(err)
		}
		return p
	})
	clusterKey = sync.OnceValue(newKey)
	otherKey   = sync.OnceValue(newKey)
)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// lab is a token service with one tenant and one cluster.
type lab struct {
	clock     *clock.Lab
	directory *tenants.Directory
	journal   *journals.Journal
	keys      *keyring.Ring
	service   *entra.Service
	handler   http.Handler
	cluster   *cluster
	fetches   atomic.Int64 // of metadata, from anybody
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{clock: clock.Stopped(start), cluster: &cluster{keys: map[string]*rsa.PublicKey{"key-1": &clusterKey().PublicKey}}}
	var err error
	l.directory, err = tenants.New(tenant(), directory.Tenant{ID: "22222222-0000-4000-8000-000000000000", Principals: []directory.Principal{
		{Kind: directory.Application, ClientID: elsewhere},
	}})
	must(t, err)
	l.journal, err = journals.New(l.clock, journals.Options{})
	must(t, err)
	lease := pool().Lease()
	l.keys, err = keyring.New(t.Context(), l.clock, lease, keyring.Options{Name: "entra", Identify: entra.KeyID})
	must(t, err)
	t.Cleanup(func() { l.keys.Close(); _ = lease.Close() })
	l.service = entra.New(entra.Config{
		Directory: l.directory, Keys: l.keys, Clock: l.clock, Journal: l.journal,
		Issuers: metadata.New(l.clock, metadata.Options{Transport: l, Journal: l.journal}),
	})
	l.handler = l.service.Handler()
	return l
}

func tenant() directory.Tenant {
	trust := directory.FederatedCredential{Name: "my-radix-app_dev_web", Issuer: issuerURL, Subject: subject, Audience: audience}
	return directory.Tenant{
		ID: tenantID, DisplayName: "Contoso", Domains: []string{"contoso.onmicrosoft.com"},
		Principals: []directory.Principal{
			{Kind: directory.Application, ClientID: publicID, DisplayName: "phone", PublicClient: true},
			{Kind: directory.Application, ClientID: closedID, DisplayName: "closed", AssignmentRequired: true},
			{
				Kind: directory.ManagedIdentity, ClientID: identityID, DisplayName: "my-radix-app", FederatedCredentials: []directory.FederatedCredential{trust},
				ResourceID: "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/my-radix-app",
			},
			{
				Kind: directory.Application, ClientID: appID, DisplayName: "daemon", AppRoles: []string{"User.Read.All"},
				FederatedCredentials: []directory.FederatedCredential{trust},
				Secrets: []directory.Secret{
					{ID: "aaaaaaaa-0000-4000-8000-000000000001", Value: secret},
					{Value: "an-expired-secret", End: start.Add(-time.Hour)},
				},
				Certificates: []directory.Certificate{{DER: certificateOf(clusterKey())}},
			},
			{Kind: directory.Application, ClientID: bareID, DisplayName: "bare"},
			{Kind: directory.Application, ClientID: disabledID, DisplayName: "asleep", Disabled: true},
			{Kind: directory.Application, ClientID: apiID, DisplayName: "api", AccessTokenVersion: 2, IdentifierURIs: []string{"api://contoso/api"}},
		},
	}
}

func certificateOf(key *rsa.PrivateKey) []byte {
	_, der, err := entra.KeyID(key)
	if err != nil {
		panic(err)
	}
	return der
}

// thumbprintOf is a certificate's x5t.
func thumbprintOf(der []byte) string {
	hash := sha1.Sum(der)
	return base64.RawURLEncoding.EncodeToString(hash[:])
}

// RoundTrip is the network: the cluster's metadata, and the service's own.
func (l *lab) RoundTrip(r *http.Request) (*http.Response, error) {
	l.fetches.Add(1)
	answer := httptest.NewRecorder()
	switch r.URL.Host {
	case "europe.oic.wiemu.test":
		l.cluster.ServeHTTP(answer, r)
	case "login.microsoftonline.com":
		r.Host = r.URL.Host
		l.handler.ServeHTTP(answer, r)
	default:
		return nil, fmt.Errorf("no such host: %s", r.URL.Host)
	}
	return answer.Result(), nil
}

// cluster serves an issuer's metadata.
type cluster struct {
	keys map[string]*rsa.PublicKey
	down bool
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case c.down:
		http.Error(w, "down", http.StatusServiceUnavailable)
	case r.URL.Path == "/tenant/cluster/.well-known/openid-configuration":
		_, _ = io.WriteString(w, `{"issuer":"`+issuerURL+`","jwks_uri":"`+issuerURL+`openid/v1/jwks","response_types_supported":["id_token"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256"]}`)
	case r.URL.Path == "/tenant/cluster/openid/v1/jwks":
		keys := []map[string]string{}
		for id, key := range c.keys {
			keys = append(keys, map[string]string{
				"use": "sig", "kty": "RSA", "kid": id, "alg": "RS256",
				"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
			})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
	default:
		http.NotFound(w, r)
	}
}

// attempt is a token request that the row of a table can bend. As it comes from
// the lab it is granted.
type attempt struct {
	method  string
	path    string
	query   string
	host    string // "": login.microsoftonline.com
	form    url.Values
	header  http.Header
	body    string // instead of the form
	claims  map[string]any
	jose    map[string]any
	key     *rsa.PrivateKey
	compact func(header, claims map[string]any, key *rsa.PrivateKey) string

	certificate []byte // the application's, instead of the lab's
}

func (l *lab) federated() *attempt {
	return &attempt{
		method: http.MethodPost, path: "/" + tenantID + "/oauth2/v2.0/token",
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		form: url.Values{
			"grant_type": {"client_credentials"}, "client_id": {identityID}, "scope": {"https://vault.azure.net/.default"},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		},
		claims: map[string]any{
			"iss": issuerURL, "sub": subject, "aud": []string{audience}, "jti": "a-jti",
			"iat": l.clock.Now().Unix(), "nbf": l.clock.Now().Unix(), "exp": l.clock.Now().Add(time.Hour).Unix(),
		},
		jose:    map[string]any{"alg": "RS256", "kid": "key-1"},
		key:     clusterKey(),
		compact: compact,
	}
}

// withSecret is a request by the app registration with its secret.
func (l *lab) withSecret() *attempt {
	a := l.federated()
	a.form = url.Values{"grant_type": {"client_credentials"}, "client_id": {appID}, "scope": {"https://vault.azure.net/.default"}, "client_secret": {secret}}
	return a
}

// withCertificate is a request by the app registration with an assertion of its
// own.
func (l *lab) withCertificate() *attempt {
	a := l.federated()
	id, _, _ := entra.KeyID(clusterKey())
	a.form.Set("client_id", appID)
	a.claims["iss"], a.claims["sub"] = appID, appID
	a.claims["aud"] = "https://login.microsoftonline.com/" + tenantID + "/oauth2/v2.0/token"
	a.jose = map[string]any{"typ": "JWT", "alg": "RS256", "x5t": id}
	return a
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	raw    string
	Error  string `json:"error"`
	Text   string `json:"error_description"`
	Codes  []int  `json:"error_codes"`
	Time   string `json:"timestamp"`
	Trace  string `json:"trace_id"`
	Corr   string `json:"correlation_id"`
	URI    string `json:"error_uri"`
	Token  string `json:"access_token"`
}

func (r reply) code() int {
	if len(r.Codes) == 0 {
		return 0
	}
	return r.Codes[0]
}

func (a *attempt) request() *http.Request {
	body := a.body
	if body == "" {
		_, own := a.form["client_secret"]
		if _, given := a.form["client_assertion"]; !given && !own && a.form.Has("client_assertion_type") {
			a.form.Set("client_assertion", a.compact(a.jose, a.claims, a.key))
		}
		body = a.form.Encode()
	}
	r := httptest.NewRequest(a.method, "https://login.microsoftonline.com/", strings.NewReader(body))
	r.URL.Path, r.URL.RawQuery = a.path, a.query
	if a.host != "" {
		r.Host = a.host
	}
	r.Header = a.header
	return r
}

func (l *lab) send(t testing.TB, a *attempt) reply {
	t.Helper()
	recorder := httptest.NewRecorder()
	l.handler.ServeHTTP(recorder, a.request())
	got := reply{status: recorder.Code, header: recorder.Header(), raw: recorder.Body.String()}
	if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil {
		t.Fatalf("the reply is no JSON: %v\n%s", err, got.raw)
	}
	return got
}

// last is the newest exchange in the journal.
func (l *lab) last(t testing.TB) journal.Event {
	t.Helper()
	events := l.journal.Events()
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Kind == journal.Exchange {
			return events[i]
		}
	}
	t.Fatal("no exchange in the journal")
	return journal.Event{}
}

// compact signs by hand, so that tests can sign what a library would not.
func compact(header, claims map[string]any, key *rsa.PrivateKey) string {
	return compactBytes(marshal(header), marshal(claims), key)
}

func compactBytes(header, claims []byte, key *rsa.PrivateKey) string {
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// compactPadded signs base64url with its padding.
func compactPadded(header, claims map[string]any, key *rsa.PrivateKey) string {
	encode := base64.URLEncoding.EncodeToString
	signed := encode(marshal(header)) + "." + encode(marshal(claims))
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return signed + "." + encode(signature)
}

func marshal(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

// decode reads the parts of an access token without verifying it.
func decode(t testing.TB, token string) (header, claims map[string]any, headerText, claimsText string) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %q", token)
	}
	for i, into := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		must(t, err)
		must(t, json.Unmarshal(raw, into))
		if i == 0 {
			headerText = string(raw)
		} else {
			claimsText = string(raw)
		}
	}
	return header, claims, headerText, claimsText
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (l *lab) advance(t testing.TB, d time.Duration) {
	t.Helper()
	must(t, l.clock.Advance(context.Background(), d))
}
