package redact_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/redact"
)

var encode = base64.RawURLEncoding.EncodeToString

// signature is as long as one of RSA with 2,048 bits.
var signature = strings.Repeat("Sig-nat_ure0", 28) + "abcdef"

func jws(header string) string {
	return encode([]byte(header)) + "." + encode([]byte(`{"iss":"https://issuer.example/","sub":"system:serviceaccount:a:b"}`)) + "." + signature
}

var token = jws(`{"alg":"RS256","kid":"some-key"}`)

func hint(token string) string { return hintOf("RS256 ", token) }

func hintOf(algorithm, token string) string {
	sum := sha256.Sum256([]byte(token))
	return "[redacted: token " + algorithm + "sha256:" + hex.EncodeToString(sum[:4]) + "]"
}

func every(text string) (out string) {
	for _, b := range []byte(text) {
		out += fmt.Sprintf("%%%02x", b)
	}
	return out
}

func wrapped(text string, at int, with string) (out string) {
	for len(text) > at {
		out, text = out+text[:at]+with, text[at:]
	}
	return out + text
}

func TestTokensAreReplacedWhereverTheyStand(t *testing.T) {
	jwe := encode([]byte(`{"alg":"dir","enc":"A256GCM"}`)) + "..bm9uY2Vub25jZQ." + signature + ".dGFndGFndGFndGFn"
	spaced := jws(`{ "alg" : "RS256" }`)
	padded := strings.Replace(token, ".", "==.", 1)
	unsigned := strings.TrimSuffix(token, "."+signature)
	none := strings.TrimSuffix(jws(`{"alg":"none"}`), signature)
	damaged := "eyJ" + strings.Repeat("z", 20) + strings.TrimPrefix(token, encode([]byte(`{"alg":"RS256","kid":"some-key"}`)))
	for name, c := range map[string]struct{ text, want string }{
		"alone":                            {token, hint(token)},
		"in a sentence":                    {"Application with identifier '" + token + "' was not found.", "Application with identifier '" + hint(token) + "' was not found."},
		"at its end":                       {"presented " + token + ".", "presented " + hint(token) + "."},
		"two of them":                      {token + "," + spaced, hint(token) + "," + hint(spaced)},
		"stuck to a word":                  {"Bearer" + token, "Bearer" + hint(token)},
		"behind a word like its beginning": {"keyey" + token, "keyey" + hint(token)},
		"in a path":                        {"/" + token + "/oauth2/v2.0/token", "/" + hint(token) + "/oauth2/v2.0/token"},
		"as a host":                        {token + ".vault.azure.net", hint(token) + ".vault.azure.net"},
		"before an id":                     {token + " 7c9e6679-7425-40de-944b-e07fc1f90ae7", hint(token) + " 7c9e6679-7425-40de-944b-e07fc1f90ae7"},
		"with padding":                     {padded, hint(padded)},
		"as a name in a form":              {"a=b&" + token + "=x", "a=b&" + hint(token) + "=x"},
		"unsigned":                         {none, hintOf("none ", none)},
		"encrypted":                        {jwe + ".", hintOf("dir ", jwe) + "."},
		"with a header that is no JSON":    {damaged, hintOf("", damaged)},
		"percent-encoded dots":             {"/" + strings.ReplaceAll(token, ".", "%2E") + "/oauth2", "/" + hint(token) + "/oauth2"},
		"percent-encoded throughout":       {every(token), hint(token)},
		"twice":                            {"a=" + url.QueryEscape(every(token)) + "&b", "a=" + hint(token) + "&b"},
		"in lines":                         {"x " + wrapped(token, 64, "\n") + " was sent", "x " + hint(token) + " was sent"},
		"in lines of Windows":              {wrapped(token, 76, "\r\n"), hint(token)},
		"with a space behind every dot":    {strings.ReplaceAll(token, ".", ". "), hint(token)},
		"in lines, percent-encoded":        {"/" + url.PathEscape(wrapped(token, 64, "\n")) + "/oauth2", "/" + hint(token) + "/oauth2"},
		"in lines, in a form":              {"client_id=" + url.QueryEscape(wrapped(token, 64, " ")), "client_id=" + hint(token)},
		"without its signature":            {unsigned + " x", "[redacted: part of a token RS256] x"},
		"cut in its payload":               {"'" + token[:70] + "…'", "'[redacted: part of a token RS256]…'"},
		"cut in its signature":             {token[:len(token)-9] + "…", "[redacted: part of a token RS256]…"},
		"no token: a host":                 {"https://mykeyvault-12345678.vault.azure.net/", "https://mykeyvault-12345678.vault.azure.net/"},
		"no token: a host like one":        {"eyJump-production-12.vault.azure.net", "eyJump-production-12.vault.azure.net"},
		"no token: words":                  {"they eyed the key. We stay. See eyJhbGciOiJSUzI1NiJ9", "they eyed the key. We stay. See eyJhbGciOiJSUzI1NiJ9"},
	} {
		if got := (*redact.Secrets)(nil).Redact(c.text); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

func TestSecretsAreReplacedWhereverTheyStand(t *testing.T) {
	var secrets redact.Secrets
	secrets.Add("client secret of app", "Hunter2~Hunter2")
	secrets.Add("value of words", "correct horse battery")
	secrets.Add("value of another", "Hunter2~Hunter2~and-more")
	secrets.Add("value of a document", "{\"a\": \"line\nline\"}")
	secrets.Add("too short", "seven77")
	secrets.Add("a placeholder", "{{secret 12}}")
	for name, c := range map[string]struct{ text, want string }{
		"alone":                     {"Hunter2~Hunter2", "[redacted: client secret of app]"},
		"in a text":                 {"client hunter2~hunter2, twice Hunter2~Hunter2", "client [redacted: client secret of app], twice [redacted: client secret of app]"},
		"that begins as another":    {"Hunter2~Hunter2~and-more", "[redacted: value of another]"},
		"percent-encoded":           {"/Hunter2%7EHunter2/oauth2", "/[redacted: client secret of app]/oauth2"},
		"percent-encoded, all":      {every("Hunter2~Hunter2"), "[redacted: client secret of app]"},
		"in a form":                 {"a=correct+horse+battery&b=c+d", "a=[redacted: value of words]&b=c+d"},
		"escaped in JSON":           {`{"x":"{\"a\": \"line\nline\"}"}`, `{"x":"[redacted: value of a document]"}`},
		"too short to be looked at": {"seven77", "seven77"},
		"cut":                       {"'Hunter2~Hun…' is none", "'[redacted: client secret of app]…' is none"},
		"a placeholder":             {"{{secret 12}}", "{{secret 12}}"},
	} {
		if got := secrets.Redact(c.text); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
	if got := secrets.Redact("x" + token + "/Hunter2~Hunter2"); got != "x"+hint(token)+"/[redacted: client secret of app]" {
		t.Error(got)
	}
}

// Nothing gets lost where tokens overlap: a broken one goes on until another has begun.
func TestTokensThatOverlap(t *testing.T) {
	header, payload, signature := encode([]byte(`{"alg":"RS256"}`)), encode([]byte(`{"sub":"a"}`)), "c2lnbmF0dXJlc2lnbmF0dXJl"
	text := header + "\n." + payload + "." + header + "." + payload + "." + signature
	var found []string
	keep := func(f redact.Found) string { found = append(found, f.Text); return f.Text }
	if got := (*redact.Secrets)(nil).Replace(text, keep); got != text || len(found) != 1 {
		t.Errorf("%q became %q, found %q", text, got, found)
	}
}

// A text of a mebibyte is looked through in a moment, whatever is in it: this would
// take hours if it took a time that grows with the square.
func TestTimeGrowsWithTheText(t *testing.T) {
	var secrets redact.Secrets
	secrets.Add("a", "aaaaaaaaaaaaaaab")
	for _, piece := range []string{"ey", "eyJ", "eyJhIjoi", "eyJhIjoi ", "eyJhIjoi. ", "eyJhIjoiYiJ9.", "eyJhIjoiYiJ9. ", "ey ", "e%79", "%25", "aaaaaaaa", "aaaaaaa…", token + " "} {
		secrets.Redact(strings.Repeat(piece, 1<<20/len(piece)))
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("a", token, "b")
	f.Add("%25", every(token), "\n")
	f.Add("ey", wrapped(token, 10, " "), "eyJhIjoi.")
	f.Add("Hunter2~Hunter2", "x", "%7e")
	f.Fuzz(func(t *testing.T, before, between, after string) {
		if strings.Contains(before+between+after, signature) {
			return // what is left of a token without its beginning is no token
		}
		var secrets redact.Secrets
		secrets.Add("client secret of app", "Hunter2~Hunter2")
		got := secrets.Redact(before + " " + token + " " + between + " Hunter2~Hunter2 " + after)
		if strings.Contains(got, signature) || strings.Contains(got, "Hunter2~Hunter2") {
			t.Errorf("left: %q", got)
		}
		secrets.Redact(before + between + after)
		if whole := before + token + between + after; !strings.ContainsAny(whole, "%+") { // which are read as something else
			if same := secrets.Replace(whole, func(f redact.Found) string { return f.Text }); same != whole {
				t.Errorf("%q became %q", whole, same)
			}
		}
	})
}
