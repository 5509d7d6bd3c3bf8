package entra

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	jose "github.com/go-jose/go-jose/v4"
)

// Whatever is sent as an assertion is either refused, or reads the same for
// every other reader.
func FuzzParseAssertion(f *testing.F) {
	part := base64.RawURLEncoding.EncodeToString
	for _, seed := range [][2]string{
		{`{"alg":"RS256","kid":"k"}`, `{"iss":"https://x.test/","sub":"system:serviceaccount:ns:sa","aud":["api://AzureADTokenExchange"],"exp":1,"iat":1,"nbf":1,"jti":"j"}`},
		{`{"alg":"none"}`, `{}`},
		{`{"alg":"RS256","crit":["b64"],"b64":false}`, `{"aud":[]}`},
		{`{"alg":"RS256","jwk":{"kty":"RSA"},"x5c":["AA"]}`, `{"exp":1e9,"iss":null}`},
		{`{"alg":"RS256","kid":"../\u0000"}`, `{"a":{"b":{"c":[1,2,{"d":1}]}},"iss":"\ud800"}`},
	} {
		f.Add(part([]byte(seed[0])) + "." + part([]byte(seed[1])) + ".c2ln")
	}
	stranger := jose.JSONWebKey{Key: &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}}
	f.Add("..")
	f.Add("e30.e30.")
	f.Add("e30=.e30=.c2lnbg==")
	f.Add("e30==.e30=.c2lnbg=")
	f.Add(strings.Repeat("a.", 100))
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := parseAssertion(raw)
		if err != nil {
			return
		}
		parts := strings.Split(raw, ".")
		var again map[string]any
		payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
		if err != nil || json.Unmarshal(payload, &again) != nil {
			t.Fatalf("accepted %q", raw)
		}
		if iss, ok := again["iss"].(string); ok && a.problem == nil && iss != a.issuer {
			t.Errorf("issuer %q, read elsewhere as %q", a.issuer, iss)
		}
		a.keyID()
		a.header.forbidden()
		if err := a.verify(stranger, jose.RS256); err == nil {
			t.Error("the signature of a stranger was accepted")
		}
	})
}

// A form is either refused, or text that says the same as Go's own reader read,
// but for white space and case.
func FuzzParseForm(f *testing.F) {
	for _, seed := range []string{
		"grant_type=client_credentials&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default\n&client_id=x",
		"a=1&a=2", "a=%zz", "=&&;=%00", "a=+b+&%41=1", "\n&client_id=\xff", strings.Repeat("a=b&", 200),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, err := parseForm(body)
		if err != nil {
			return
		}
		values, err := url.ParseQuery(strings.ReplaceAll(body, ";", "%3B"))
		if err != nil {
			t.Fatalf("accepted %q: %v", body, err)
		}
		for name, value := range got {
			if !utf8.ValidString(name+value) || name != strings.ToLower(name) {
				t.Errorf("%q is %q", name, value)
			}
		}
		for name, all := range values {
			// A pair that is all white space is none here, and a value without a name there.
			if name = strings.ToLower(strings.TrimSpace(name)); name != "" && len(all) == 1 && got[name] != strings.TrimSpace(all[0]) {
				t.Errorf("%q is %q, elsewhere %q", name, got[name], all[0])
			}
		}
	})
}

// A scope is either refused or names one resource.
func FuzzResourceOf(f *testing.F) {
	for _, seed := range []string{"https://vault.azure.net/.default openid", "a/.default b/.default", "/.default", "x//.default", " "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, scope string) {
		resource, refusal := resourceOf(scope)
		if (resource == "") != (refusal != nil) || strings.ContainsAny(resource, " \t\n") || refusal == nil && !strings.Contains(scope, resource+"/.default") {
			t.Errorf("scope %q: resource %q, refusal %v", scope, resource, refusal)
		}
	})
}

// A JSON text that passes is an object for every other reader too.
func FuzzCheckObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1,"a":2}`, `{"a":{"b":[{"c":1},{"c":1}]}}`, `[]`, `{"a"`, `{} {}`, `{"a":{"a":{"a":1}}}`, `{"":"","\u0000":1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkObject(data) != nil {
			return
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(data, &object); err != nil || object == nil {
			t.Errorf("accepted %q: %v", data, err)
		}
	})
}
