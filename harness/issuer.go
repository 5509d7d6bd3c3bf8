package harness

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/keyring"
)

// Issuer returns the issuer of a cluster by its name. Defaults to the first.
func (l *Lab) Issuer(name ...string) *Issuer {
	l.t.Helper()
	i, err := l.session.Emulator().Issuer(cmp.Or(name...))
	must(l.t, err)
	return &Issuer{URL: i.URL(), Keys: Keys{l.t, i.Keys()}, t: l.t, issuer: i, audience: l.session.Emulator().Cloud().TokenExchange}
}

// Issuer is a cluster's issuer of service-account tokens, with its keys.
type Issuer struct {
	URL string // iss of its tokens, to the letter
	Keys
	t        TB
	issuer   *issuer.Issuer
	audience string
}

// Mint returns a token of a service account, NAMESPACE/NAME, valid for lifetime. If lifetime is 0,
// the token is valid for an hour. The audience defaults to that of tokens for Entra ID. A service
// account that does not exist is created, without an identity that trusts it.
func (i *Issuer) Mint(account string, lifetime time.Duration, audience ...string) string {
	i.t.Helper()
	namespace, name, ok := strings.Cut(account, "/")
	if !ok {
		i.t.Fatalf("mint a token of %q: expected NAMESPACE/SERVICE-ACCOUNT, such as shop/web-sa", account)
	}
	if !slices.ContainsFunc(i.issuer.ServiceAccounts(), func(a issuer.ServiceAccount) bool { return a.Namespace == namespace && a.Name == name }) {
		i.issuer.PutServiceAccount(namespace, name, nil)
	}
	req := issuer.TokenRequest{Namespace: namespace, ServiceAccount: name, Audiences: audience, ExpirationSeconds: int64(cmp.Or(lifetime, time.Hour) / time.Second)}
	if len(audience) == 0 {
		req.Audiences = []string{i.audience}
	}
	token, err := i.issuer.Mint(i.t.Context(), req)
	if err != nil {
		i.t.Fatalf("mint a token of %s: %v", account, err)
	}
	return token.Raw
}

// Keys are the signing keys of an issuer or of Entra ID. The methods return ids (kid).
type Keys struct {
	t    TB
	ring *keyring.Ring
}

// Publish adds a new key to the JWKS, which does not sign yet.
func (k Keys) Publish() string {
	k.t.Helper()
	return k.must(k.ring.Publish(k.t.Context()))
}

// Rotate signs with the oldest published key that has not signed yet, or a new one, from
// now on. The key before it stays in the JWKS.
func (k Keys) Rotate() string {
	k.t.Helper()
	return k.must(k.ring.Rotate(k.t.Context()))
}

// Remove removes a key from the JWKS. Which is a kid, or retired, published or signing
// for the oldest in that state.
func (k Keys) Remove(which string) string {
	k.t.Helper()
	key, err := k.ring.Find(which)
	if err == nil {
		err = k.ring.Remove(key.ID)
	}
	return k.must(key, err)
}

// Signing returns the key that signs.
func (k Keys) Signing() string { return k.ring.Signing().ID }

func (k Keys) must(key keyring.Key, err error) string {
	k.t.Helper()
	must(k.t, err)
	return key.ID
}
