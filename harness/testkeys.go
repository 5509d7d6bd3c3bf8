package harness

import (
	"cmp"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/issuer"
	"github.com/wiemu/wiemu/emulator/keyring"
)

// Issuer is the token issuer of a cluster; without a name, of the first.
func (l *TestLab) Issuer(name ...string) *Issuer {
	l.t.Helper()
	i, err := l.lab.emulator.Issuer(cmp.Or(name...))
	if err != nil {
		l.t.Fatalf("%v", err)
	}
	return &Issuer{Keys: Keys{l.t, i.Keys()}, t: l.t, issuer: i, audience: l.lab.emulator.Cloud().TokenExchange}
}

// Issuer is a cluster's issuer of service-account tokens, with its keys.
type Issuer struct {
	Keys
	t        TB
	issuer   *issuer.Issuer
	audience string
}

// URL is the issuer as it stands in iss, to the letter.
func (i *Issuer) URL() string { return i.issuer.URL() }

// Mint returns a token of a service account, NAMESPACE/NAME, for Entra ID, valid for an
// hour; what follows changes that. A service account that is not there is made,
// and nobody trusts it.
func (i *Issuer) Mint(account string, change ...func(*issuer.TokenRequest)) string {
	i.t.Helper()
	namespace, name, ok := strings.Cut(account, "/")
	if !ok {
		i.t.Fatalf("mint a token of %q: expected NAMESPACE/SERVICE-ACCOUNT, such as shop/web-sa", account)
	}
	if !slices.ContainsFunc(i.issuer.ServiceAccounts(), func(a issuer.ServiceAccount) bool { return a.Namespace == namespace && a.Name == name }) {
		i.issuer.PutServiceAccount(namespace, name, nil)
	}
	req := issuer.TokenRequest{Namespace: namespace, ServiceAccount: name, Audiences: []string{i.audience}, ExpirationSeconds: 3600}
	for _, f := range change {
		f(&req)
	}
	token, err := i.issuer.Mint(i.t.Context(), req)
	if err != nil {
		i.t.Fatalf("mint a token of %s: %v", account, err)
	}
	return token.Raw
}

// Keys are the keys that an issuer, or Entra ID, signs with. Their ids (kid) are
// what the methods return.
type Keys struct {
	t    TB
	ring *keyring.Ring
}

// Publish puts a new key into the JWKS that does not sign yet.
func (k Keys) Publish() string {
	k.t.Helper()
	return k.must(k.ring.Publish(k.t.Context()))
}

// Rotate lets the oldest key that is published but does not sign, else a new one,
// sign from now on; the one before it stays in the JWKS.
func (k Keys) Rotate() string {
	k.t.Helper()
	return k.must(k.ring.Rotate(k.t.Context()))
}

// Remove takes a key out of the JWKS: one by its id, or the oldest that is retired,
// published or signing.
func (k Keys) Remove(which string) string {
	k.t.Helper()
	key, err := k.ring.Find(which)
	if err == nil {
		err = k.ring.Remove(key.ID)
	}
	return k.must(key, err)
}

// Signing is the key that signs.
func (k Keys) Signing() string { return k.ring.Signing().ID }

// All are the keys that there have been, oldest first, each with where it is in
// its life.
func (k Keys) All() []keyring.Key { return k.ring.Keys() }

func (k Keys) must(key keyring.Key, err error) string {
	k.t.Helper()
	if err != nil {
		k.t.Fatalf("%v", err)
	}
	return key.ID
}
