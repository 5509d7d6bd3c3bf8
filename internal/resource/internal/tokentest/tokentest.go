// Package tokentest plays the token service for the tests of resources: it has a
// signing key, publishes it, and mints whatever token a test needs. Product code
// never imports it.
package tokentest

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/metadata"
)

// The people of the tests.
const (
	Tenant   = "11111111-1111-4111-8111-111111111111"
	ClientID = "aaaaaaaa-0000-4000-8000-000000000001"
	ObjectID = "bbbbbbbb-0000-4000-8000-000000000001"
	UTI      = "dlvNCzMe2keVG8TPy2QVAA"
	KeyID    = "kid-one"
)

// Start is when the tests' clocks stand: away from the machine's time.
func Start() time.Time { return time.Date(2031, 3, 4, 5, 6, 7, 0, time.UTC) }

// Claims of a token. A nil value takes a claim away.
type Claims map[string]any

// Service signs and publishes.
type Service struct {
	Key     *rsa.PrivateKey
	Clock   clock.Clock
	Fetches atomic.Int32 // of the key set
	Down    atomic.Bool  // the key set cannot be had
}

// New makes a service. All services of a process have the same key.
func New(tb testing.TB, clk clock.Clock) *Service {
	tb.Helper()
	key, err := key()
	if err != nil {
		tb.Fatal(err)
	}
	return &Service{Key: key, Clock: clk}
}

// key is made once a process: making one costs as much as a hundred tests.
var key = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// Source is where resources get the keys from.
func (s *Service) Source() *metadata.Source {
	return metadata.New(s.Clock, metadata.Options{Transport: s})
}

// RoundTrip serves the key set of every tenant.
func (s *Service) RoundTrip(r *http.Request) (*http.Response, error) {
	s.Fetches.Add(1)
	if s.Down.Load() {
		return nil, errors.New("the network is down")
	}
	if r.URL.Host != "login.microsoftonline.com" || !strings.HasSuffix(r.URL.Path, "/discovery/keys") {
		return nil, fmt.Errorf("unexpected request for %s", r.URL)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.Key.Public(), KeyID: KeyID, Use: "sig"}}})
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(string(set))), Request: r,
	}, nil
}

// Mint signs an access token for an audience, as Entra ID would for an hour, with
// the claims of change instead of its own.
func (s *Service) Mint(tb testing.TB, audience string, change Claims) string {
	tb.Helper()
	return s.Sign(tb, jose.SigningKey{Algorithm: jose.RS256, Key: s.Key}, KeyID, s.Claims(audience, change))
}

// Claims are those that Mint signs.
func (s *Service) Claims(audience string, change Claims) Claims {
	now := s.Clock.Now().Unix()
	all := Claims{
		"aud": audience, "iss": "https://sts.windows.net/" + Tenant + "/", "iat": now - 300, "nbf": now - 300, "exp": now + 3600,
		"appid": ClientID, "appidacr": "2", "idp": "https://sts.windows.net/" + Tenant + "/", "oid": ObjectID, "sub": ObjectID,
		"tid": Tenant, "uti": UTI, "ver": "1.0",
	}
	maps.Copy(all, change)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

// Sign signs claims with any key.
func (s *Service) Sign(tb testing.TB, key jose.SigningKey, kid string, claims Claims) string {
	tb.Helper()
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", kid))
	if err != nil {
		tb.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		tb.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		tb.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}
