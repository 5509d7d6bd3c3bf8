package assertion

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"
)

// Whatever is sent as an assertion is either refused, or reads the same for
// every other reader.
func FuzzParse(f *testing.F) {
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
		a, err := Parse(raw)
		if err != nil {
			return
		}
		parts := strings.Split(raw, ".")
		var again map[string]any
		payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
		if err != nil || json.Unmarshal(payload, &again) != nil {
			t.Fatalf("accepted %q", raw)
		}
		if iss, ok := again["iss"].(string); ok && a.Problem == nil && iss != a.Issuer {
			t.Errorf("issuer %q, read elsewhere as %q", a.Issuer, iss)
		}
		a.KeyID()
		a.Header.Forbidden()
		if err := a.Verify(stranger, jose.RS256); err == nil {
			t.Error("the signature of a stranger was accepted")
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
