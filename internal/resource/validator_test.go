package resource_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/metadata"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
)

const vault = "https://vault.azure.net"

func want() resource.Want {
	return resource.Want{Audiences: []string{vault, "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"}, Tenant: tokentest.Tenant}
}

func TestAGoodTokenIsAccepted(t *testing.T) {
	clk := clock.Stopped(tokentest.Start())
	tokens := tokentest.New(t, clk)
	v := resource.NewValidator(clk, tokens.Source(), resource.Options{})
	for name, raw := range map[string]string{
		"v1": tokens.Mint(t, vault, tokentest.Claims{"roles": []string{"a"}, "app_displayname": "web"}),
		"v2": tokens.Mint(t, "cfa8b339-82a2-471a-a3c9-0fc0be7a4093", tokentest.Claims{
			"ver": "2.0", "appid": nil, "azp": tokentest.ClientID, "roles": []string{"a"}, "app_displayname": "web",
			"iss": "https://login.microsoftonline.com/" + tokentest.Tenant + "/v2.0",
		}),
	} {
		caller, checks, refused := v.Validate(t.Context(), raw, want())
		if refused != nil {
			t.Fatalf("%s: %v", name, refused)
		}
		if caller.ClientID != tokentest.ClientID || caller.ObjectID != tokentest.ObjectID || caller.UTI != tokentest.UTI ||
			caller.Tenant != tokentest.Tenant || caller.Name != "web" || len(caller.Roles) != 1 || caller.Delegated {
			t.Errorf("%s: %+v", name, caller)
		}
		if len(checks) != 9 {
			t.Errorf("%s: %d checks", name, len(checks))
		}
		for _, c := range checks {
			if c.Outcome != journal.Passed {
				t.Errorf("%s: %+v", name, c)
			}
		}
	}
	if n := tokens.Fetches.Load(); n != 1 {
		t.Errorf("the key set was fetched %d times, expected once", n)
	}
}

// nextInAlphabet is the next character of base64url: as the last one of a signature of
// 256 bytes, it differs in bits that stand for nothing.
func nextInAlphabet(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)+1]
}

func TestRefusals(t *testing.T) {
	clk := clock.Stopped(tokentest.Start())
	tokens := tokentest.New(t, clk)
	v := resource.NewValidator(clk, tokens.Source(), resource.Options{})
	now := clk.Now().Unix()
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := tokens.Mint(t, vault, nil)
	parts := strings.Split(good, ".")
	mint := func(change tokentest.Claims) string { return tokens.Mint(t, vault, change) }
	with := func(key jose.SigningKey, kid string) string {
		return tokens.Sign(t, key, kid, tokens.Claims(vault, nil))
	}
	publicDER := x509.MarshalPKCS1PublicKey(&tokens.Key.PublicKey)
	for _, row := range []struct {
		name, raw string
		reason    resource.Reason
		text      string // part of the error
	}{
		{"no token", "", resource.Missing, "no bearer token"},
		{"not a JWT", "abc", resource.Malformed, "1 parts"},
		{"an encrypted JWT has five parts", "a.b.c.d.e", resource.Malformed, "5 parts"},
		{"three parts of nothing", "..", resource.Malformed, ""},
		{"a payload that is no JSON", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte("hello")) + "." + parts[2], resource.Malformed, "claims"},
		{"a claim twice", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"aud":"a","aud":"b"}`)) + "." + parts[2], resource.Malformed, "claims"},
		{"a megabyte", parts[0] + "." + strings.Repeat("A", 1<<20) + "." + parts[2], resource.Malformed, "bytes"},
		{"bits behind the end of the signature", good[:len(good)-1] + string(nextInAlphabet(good[len(good)-1])), resource.Malformed, "part 3"},
		{"bits behind the end of the header", parts[0] + "B." + parts[1] + "." + parts[2], resource.Malformed, "part 1"},
		{"padding", good + "==", resource.Malformed, "part 3"},
		{"the alphabet of base64", parts[0] + "." + parts[1] + "." + strings.Repeat("+/", len(parts[2])/2), resource.Malformed, "part 3"},
		{"a line break", parts[0] + "." + parts[1][:8] + "\n" + parts[1][8:] + "." + parts[2], resource.Malformed, "part 2"},
		{"a time that is none", mint(tokentest.Claims{"exp": "tomorrow"}), resource.Malformed, "seconds"},
		{"a time out of range", mint(tokentest.Claims{"exp": 1e300}), resource.Malformed, "seconds"},
		{"a service-account token", mint(tokentest.Claims{"ver": nil, "appid": nil, "kubernetes.io": tokentest.Claims{"namespace": "app-dev"}}), resource.WrongType, "Kubernetes service-account token"},
		{"a service-account token that claims a version", mint(tokentest.Claims{"kubernetes.io": tokentest.Claims{}}), resource.WrongType, "Kubernetes"},
		{"an id token", mint(tokentest.Claims{"ver": "2.0", "appid": nil}), resource.WrongType, "id token"},
		{"alg none", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + ".", resource.WrongAlgorithm, "none"},
		{"HS256 with the public key", with(jose.SigningKey{Algorithm: jose.HS256, Key: publicDER}, tokentest.KeyID), resource.WrongAlgorithm, "HS256"},
		{"PS256 with the right key", with(jose.SigningKey{Algorithm: jose.PS256, Key: tokens.Key}, tokentest.KeyID), resource.WrongAlgorithm, "PS256"},
		{"another tenant", mint(tokentest.Claims{"tid": "22222222-2222-4222-8222-222222222222"}), resource.WrongTenant, tokentest.Tenant},
		{"no tenant", mint(tokentest.Claims{"tid": nil}), resource.WrongTenant, ""},
		{"another issuer", mint(tokentest.Claims{"iss": "https://evil.example/"}), resource.WrongIssuer, "https://sts.windows.net/"},
		{"an issuer without its slash", mint(tokentest.Claims{"iss": "https://sts.windows.net/" + tokentest.Tenant}), resource.WrongIssuer, ""},
		{"Graph's audience", tokens.Mint(t, "https://graph.microsoft.com", nil), resource.WrongAudience, "presented https://graph.microsoft.com"},
		{"an audience with a slash", tokens.Mint(t, vault+"/", nil), resource.WrongAudience, ""},
		{"two audiences", mint(tokentest.Claims{"aud": []string{vault, "https://graph.microsoft.com"}}), resource.WrongAudience, ""},
		{"no audience", mint(tokentest.Claims{"aud": nil}), resource.WrongAudience, ""},
		{"an unknown key", with(jose.SigningKey{Algorithm: jose.RS256, Key: tokens.Key}, "../../etc/passwd"), resource.UnknownKey, "passwd"},
		{"a stranger's key under our kid", with(jose.SigningKey{Algorithm: jose.RS256, Key: stranger}, tokentest.KeyID), resource.BadSignature, ""},
		{"a changed signature", parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), resource.BadSignature, ""},
		{"not valid yet, beyond the skew", mint(tokentest.Claims{"nbf": now + 301}), resource.NotYetValid, "lab time"},
		{"expired, beyond the skew", mint(tokentest.Claims{"exp": now - 300}), resource.Expired, "lab time"},
		{"no expiry", mint(tokentest.Claims{"exp": nil}), resource.Expired, "not told"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, checks, refused := v.Validate(t.Context(), row.raw, want())
			if refused == nil {
				t.Fatal("accepted")
			}
			if refused.Reason != row.reason || !strings.Contains(refused.Error(), row.text) {
				t.Errorf("expected %s with %q, found %s: %v", row.reason, row.text, refused.Reason, refused)
			}
			if refused.Meaning() == "" || refused.Remedy() == "" {
				t.Error("no meaning or remedy")
			}
			last := checks[len(checks)-1]
			if last.Outcome != journal.Failed || last.Name != refused.Check {
				t.Errorf("last check %+v", last)
			}
		})
	}
}

func TestTheSkewIsFiveMinutes(t *testing.T) {
	clk := clock.Stopped(tokentest.Start())
	tokens := tokentest.New(t, clk)
	v := resource.NewValidator(clk, tokens.Source(), resource.Options{})
	now := clk.Now().Unix()
	for name, change := range map[string]tokentest.Claims{
		"begins in five minutes":            {"nbf": now + 300},
		"ended just under five minutes ago": {"exp": now - 299},
		"has no nbf":                        {"nbf": nil},
	} {
		if _, _, refused := v.Validate(t.Context(), tokens.Mint(t, vault, change), want()); refused != nil {
			t.Errorf("%s: %v", name, refused)
		}
	}
}

func TestATokenExpiresOnTheLabClock(t *testing.T) {
	clk := clock.Stopped(tokentest.Start())
	tokens := tokentest.New(t, clk)
	v := resource.NewValidator(clk, tokens.Source(), resource.Options{})
	raw := tokens.Mint(t, vault, nil)
	if _, _, refused := v.Validate(t.Context(), raw, want()); refused != nil {
		t.Fatal(refused)
	}
	if err := clk.Advance(t.Context(), time.Hour+5*time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, _, refused := v.Validate(t.Context(), raw, want()); refused == nil || refused.Reason != resource.Expired {
		t.Errorf("expected expired, found %v", refused)
	}
}

func TestNothingIsFetchedForAStranger(t *testing.T) {
	clk := clock.Stopped(tokentest.Start())
	tokens := tokentest.New(t, clk)
	v := resource.NewValidator(clk, tokens.Source(), resource.Options{})
	anyTenant := resource.Want{Audiences: []string{vault}, Known: func(string) bool { return false }}
	for _, raw := range []string{
		tokens.Mint(t, vault, tokentest.Claims{"tid": "../../evil.example/x"}),
		tokens.Mint(t, vault, nil),
	} {
		if _, _, refused := v.Validate(t.Context(), raw, anyTenant); refused == nil || refused.Reason != resource.WrongTenant {
			t.Errorf("expected the tenant to be refused, found %v", refused)
		}
	}
	if n := tokens.Fetches.Load(); n != 0 {
		t.Errorf("%d fetches", n)
	}
}

func TestKeysThatCannotBeHad(t *testing.T) {
	clk := clock.Stopped(tokentest.Start())
	tokens := tokentest.New(t, clk)
	tokens.Down.Store(true)
	v := resource.NewValidator(clk, tokens.Source(), resource.Options{})
	_, _, refused := v.Validate(t.Context(), tokens.Mint(t, vault, nil), want())
	if refused == nil || refused.Reason != resource.KeysUnreachable || !errors.Is(refused, metadata.ErrUnreachable) {
		t.Errorf("found %v", refused)
	}
}

func TestBearer(t *testing.T) {
	for header, token := range map[string]string{
		"Bearer abc":     "abc",
		"bearer abc":     "abc",
		"Bearer     abc": "abc",
		"BEARER":         "",
		"Basic abc":      "",
		"":               "",
		"abc":            "",
		"Bearerabc":      "",
	} {
		r := &http.Request{Header: http.Header{"Authorization": {header}}}
		if got := resource.Bearer(r); got != token {
			t.Errorf("%q: expected %q, found %q", header, token, got)
		}
	}
}

// FuzzValidate looks for bytes that are accepted, that make the validator fall
// over, or that make it fetch something for a stranger.
func FuzzValidate(f *testing.F) {
	clk := clock.Stopped(tokentest.Start())
	tokens := tokentest.New(f, clk)
	good := tokens.Mint(f, vault, nil)
	parts := strings.Split(good, ".")
	f.Add(good)
	f.Add("")
	f.Add("..")
	f.Add(parts[0] + "." + parts[1] + ".")
	for _, header := range []string{
		`{"alg":"none"}`, `{"alg":"RS256","kid":"x","jku":"https://evil.example/keys"}`, `{"alg":"RS256","crit":["b64"],"b64":false}`,
		`{"alg":"RS256","jwk":{"kty":"RSA","n":"AQAB","e":"AQAB"}}`, `{"alg":["RS256"]}`,
	} {
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + parts[1] + "." + parts[2])
	}
	f.Add(parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"aud":{},"exp":-1,"roles":{}}`)) + "." + parts[2])
	v := resource.NewValidator(clk, tokens.Source(), resource.Options{})
	f.Fuzz(func(t *testing.T, raw string) {
		before := tokens.Fetches.Load()
		caller, checks, refused := v.Validate(context.Background(), raw, want())
		if refused == nil && caller.ObjectID != tokentest.ObjectID {
			t.Errorf("accepted %q", raw)
		}
		if refused != nil && (len(checks) == 0 || refused.Error() == "") {
			t.Errorf("refused without a reason: %q", raw)
		}
		if caller.Tenant != tokentest.Tenant && tokens.Fetches.Load() != before {
			t.Errorf("fetched for %q", raw)
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	clk := clock.Stopped(tokentest.Start())
	tokens := tokentest.New(b, clk)
	v := resource.NewValidator(clk, tokens.Source(), resource.Options{})
	raw := tokens.Mint(b, vault, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, refused := v.Validate(b.Context(), raw, want()); refused != nil {
			b.Fatal(refused)
		}
	}
}

func ExampleRefusal() {
	refused := &resource.Refusal{Reason: resource.WrongAudience, Check: "audience", Expected: vault, Presented: "https://graph.microsoft.com"}
	fmt.Println(refused)
	fmt.Println(refused.Remedy())
	// Output:
	// access token refused: audience: expected https://vault.azure.net, presented https://graph.microsoft.com
	// Ask for a token with the scope https://vault.azure.net/.default.
}
