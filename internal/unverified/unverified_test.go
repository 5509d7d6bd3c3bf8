package unverified_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/unverified"
)

var encode = base64.RawURLEncoding.EncodeToString

func TestParse(t *testing.T) {
	header, claims := `{"alg":"RS256","kid":"a"}`, `{ "sub": "system:serviceaccount:ns:web" }`
	for _, padding := range []string{"", "=", "=="} {
		token, err := unverified.Parse(encode([]byte(header)) + padding + "." + encode([]byte(claims)) + padding + ".c2ln")
		if err != nil || token.Signature != "c2ln" {
			t.Fatalf("%v, %v", token, err)
		}
		if text, err := token.Claims.JSON(); err != nil || string(text) != claims {
			t.Errorf("claims %s, %v", text, err)
		}
		var found struct {
			Kid string `json:"kid"`
		}
		if err := token.Header.Decode(&found); err != nil || found.Kid != "a" {
			t.Errorf("header %v, %v", found, err)
		}
	}
}

func TestParseFails(t *testing.T) {
	for raw, want := range map[string]string{
		"":                               "of three parts, found 1",
		"a.b":                            "of three parts, found 2",
		"a.b.c.d.e":                      "of three parts, found 5",
		strings.Repeat("a", 1<<20) + ".": "at most 1048576 bytes",
	} {
		if _, err := unverified.Parse(raw); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: expected %q, found %v", raw, want, err)
		}
	}
	for part, want := range map[unverified.Part]string{
		"*":                                   "illegal base64",
		unverified.Part(encode([]byte("{"))):  "expected JSON",
		"":                                    "expected JSON",
		unverified.Part(encode([]byte(`[]`))): "cannot unmarshal array",
	} {
		if err := part.Decode(&struct{}{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: expected %q, found %v", part, want, err)
		}
	}
}

// Whoever verifies a token sees the same members.
func TestDecodeIsStrict(t *testing.T) {
	decode := func(claims string) (issuer string, err error) {
		var found struct {
			Issuer string `json:"iss"`
		}
		err = unverified.Part(encode([]byte(claims))).Decode(&found)
		return found.Issuer, err
	}
	if issuer, err := decode(`{"iss":"a","ISS":"b","Iss":"c"}`); err != nil || issuer != "a" {
		t.Errorf("%q, %v", issuer, err)
	}
	if _, err := decode(`{"iss":"a","iss":"b"}`); err == nil {
		t.Error("a member that is there twice is accepted")
	}
}

// Whatever comes, it is taken apart into what was sent, or refused.
func FuzzParse(f *testing.F) {
	f.Add("e30.e30.")
	f.Add("e30=.e30==.c2ln")
	f.Add("..")
	f.Add("a.b.c.d")
	f.Add(encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(`{"aud":["a"],"exp":1e999}`)) + ".\n")
	f.Fuzz(func(t *testing.T, raw string) {
		token, err := unverified.Parse(raw)
		if err != nil {
			if token != (unverified.Token{}) {
				t.Errorf("%v beside %v", token, err)
			}
			return
		}
		if again := string(token.Header) + "." + string(token.Claims) + "." + token.Signature; again != raw {
			t.Errorf("%q became %q", raw, again)
		}
		for _, part := range []unverified.Part{token.Header, token.Claims} {
			text, err := part.JSON()
			if (err == nil) != json.Valid(text) {
				t.Errorf("%q: %q, %v", part, text, err)
			}
			var members map[string]any
			if part.Decode(&members) == nil && err != nil {
				t.Errorf("%q is decoded although it is refused: %v", part, err)
			}
		}
	})
}
