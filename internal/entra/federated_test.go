package entra_test

import (
	"crypto/rsa"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/directory"
)

func TestNoIssuerIsFetchedThatNobodyTrusts(t *testing.T) {
	l := newLab(t)
	for _, issuer := range []string{"https://evil.example/", strings.TrimSuffix(issuerURL, "/"), "http://169.254.169.254/", "file:///etc/passwd"} {
		a := l.federated()
		a.claims["iss"] = issuer
		a.jose["jku"] = nil
		l.send(t, a)
	}
	for _, member := range []string{"jku", "x5u", "jwk"} {
		a := l.federated()
		a.jose[member] = "https://evil.example/"
		l.send(t, a)
	}
	a := l.federated() // trusted, but not for this subject
	a.claims["sub"] = "system:serviceaccount:evil:evil"
	l.send(t, a)
	if n := l.fetches.Load(); n != 0 {
		t.Errorf("%d fetches", n)
	}
}

func TestUnusableMetadata(t *testing.T) {
	l := newLab(t)
	l.cluster.down = true
	got := l.send(t, l.federated())
	if got.code() != 501661 || got.status != 400 || got.URI != "" {
		t.Errorf("got %s", got.raw)
	}
	l.cluster.down = false
	if got := l.send(t, l.federated()); got.status != 200 {
		t.Errorf("after it came back: %s", got.raw)
	}
}

// A kid that is a SHA-1 thumbprint is named as one.
// Source: Azure/azure-workload-identity#1232.
func TestAKidThatIsAThumbprintIsShownInHexadecimal(t *testing.T) {
	l := newLab(t)
	a := l.federated()
	a.jose["kid"] = "36GEq14rP2UpuM_OGVMFAUI24pc"
	if got := l.send(t, a); got.code() != 7000272 || !strings.Contains(got.Text, "identifier DFA184AB5E2B3F6529B8CFCE195305014236E297 used") {
		t.Error(got.raw)
	}
}

// A key that is gone still verifies while the key set is remembered; then the
// same token is refused. So rotation that is too early fails late.
func TestAKeyRemovedTooEarly(t *testing.T) {
	l := newLab(t)
	a := l.federated()
	a.claims["exp"] = start.Add(24 * time.Hour).Unix()
	if got := l.send(t, a); got.status != 200 {
		t.Fatal(got.raw)
	}
	l.cluster.keys = map[string]*rsa.PublicKey{"key-2": &otherKey().PublicKey}
	l.advance(t, 30*time.Minute)
	if got := l.send(t, a); got.status != 200 {
		t.Errorf("while the key set is remembered: %s", got.raw)
	}
	l.advance(t, 31*time.Minute)
	got := l.send(t, a)
	if got.code() != 7000272 || !strings.Contains(got.Text, "identifier key-1 ") {
		t.Errorf("afterwards: %s", got.raw)
	}
	if n := l.fetches.Load(); n != 4 {
		t.Errorf("%d fetches, want two documents twice", n)
	}
}

func TestSkewOfFiveMinutesIsAllowed(t *testing.T) {
	for _, r := range []struct {
		when string
		do   func(map[string]any)
	}{
		{"expired 4:59 ago", func(c map[string]any) { c["exp"] = start.Add(-5*time.Minute + time.Second).Unix() }},
		{"valid in 5:00", func(c map[string]any) { c["nbf"] = start.Add(5 * time.Minute).Unix() }},
		{"valid for 25 hours exactly", func(c map[string]any) { c["exp"] = start.Add(25 * time.Hour).Unix() }},
	} {
		t.Run(r.when, func(t *testing.T) {
			l := newLab(t)
			a := l.federated()
			r.do(a.claims)
			if got := l.send(t, a); got.status != 200 {
				t.Error(got.raw)
			}
		})
	}
}

// The key set of an issuer may hold keys that must not be used.
func TestWeakKeysAreRefused(t *testing.T) {
	l := newLab(t)
	l.cluster.keys = map[string]*rsa.PublicKey{"key-1": {N: otherKey().Primes[0], E: 65537}} // 1024 bits
	if got := l.send(t, l.federated()); got.code() != 5002730 {
		t.Error(got.raw)
	}
}

// A managed identity's token for the token exchange is an assertion for an
// application that trusts it; other tokens of Entra ID are not.
func TestManagedIdentityAsFederatedCredential(t *testing.T) {
	l := newLab(t)
	identity, _ := l.directory.Principal(tenantID, identityID)
	issuer := "https://login.microsoftonline.com/" + tenantID + "/v2.0"
	app, _ := l.directory.Principal(tenantID, appID)
	must(t, l.directory.Update(tenantID, bareID, func(p *directory.Principal) error {
		p.FederatedCredentials = []directory.FederatedCredential{
			{Name: "the-identity", Issuer: issuer, Subject: identity.ObjectID, Audience: audience},
			{Name: "the-daemon", Issuer: issuer, Subject: app.ObjectID, Audience: audience},
		}
		return nil
	}))
	a := l.federated()
	a.form.Set("scope", "api://AzureADTokenExchange/.default")
	token := l.send(t, a).Token
	if _, claims, _, _ := decode(t, token); claims["iss"] != issuer || claims["aud"] != "fb60f99c-7a34-4190-8149-302f77469936" {
		t.Fatalf("claims %v", claims)
	}

	a = l.federated()
	a.form.Set("client_id", bareID)
	a.form.Set("client_assertion", token)
	if got := l.send(t, a); got.status != 200 {
		t.Errorf("the identity's token: %s", got.raw)
	}
	a.form.Set("client_id", identityID)
	if got := l.send(t, a); got.code() != 700222 {
		t.Errorf("for a managed identity: %s", got.raw)
	}

	b := l.withSecret()
	b.form.Set("scope", "api://AzureADTokenExchange/.default")
	a.form.Set("client_id", bareID)
	a.form.Set("client_assertion", l.send(t, b).Token)
	if got := l.send(t, a); got.code() != 700226 {
		t.Errorf("an application's token: %s", got.raw)
	}
}
