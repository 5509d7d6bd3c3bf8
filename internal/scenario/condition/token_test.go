package condition

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestTokenFilesAreShown(t *testing.T) {
	part := base64.RawURLEncoding.EncodeToString
	header, claims := part([]byte(`{"alg":"RS256","kid":"k"}`)), part([]byte(`{"aud":["a"],"exp":1767603600,"iat":1767600000,"iss":"i","jti":"j","sub":"s"}`))
	for _, test := range []struct{ name, content, says string }{
		{"a token", header + "." + claims + ".c2ln", ""},
		{"nothing", "", ""},
		{"another thing", "secret", "expected a JWT of three parts, found 1"},
		{"a header that is no base64", "*." + claims + ".x", "header"},
		{"claims that are no JSON", header + "." + part([]byte("{")) + ".x", "claims: expected JSON"},
		{"claims that are a list", header + "." + part([]byte("[]")) + ".x", "expected a JSON object"},
		{"times that are text", header + "." + part([]byte(`{"exp":"x"}`)) + ".x", ""},
	} {
		token, err := ParseToken([]byte(test.content))
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", test.name, err)
		}
		if test.name == "a token" && (token.Kid != "k" || token.Issuer != "i" || token.Subject != "s" || token.JTI != "j" ||
			len(token.Audience) != 1 || token.ExpiresAt.Sub(token.IssuedAt).Hours() != 1) {
			t.Errorf("%s: %+v", test.name, token)
		}
	}
	if token, err := ParseToken(nil); err != nil || token.Kid != "" {
		t.Errorf("a missing file: %+v, %v", token, err)
	}
}
