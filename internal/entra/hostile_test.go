package entra_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/entra"
)

// Hostile assertions, beyond those of TestRefusals: none is accepted, each is
// refused with the code that fits, nobody is contacted because of what a token
// says, and memory stays bounded.
func TestHostileAssertions(t *testing.T) {
	header := func(text string) func(*attempt) {
		return func(a *attempt) {
			a.form.Set("client_assertion", compactBytes([]byte(text), marshal(a.claims), a.key))
		}
	}
	payload := func(text string) func(*attempt) {
		return func(a *attempt) {
			a.form.Set("client_assertion", compactBytes([]byte(`{"alg":"RS256","kid":"key-1"}`), []byte(text), a.key))
		}
	}
	jose := func(name string, value any) func(*attempt) { return func(a *attempt) { a.jose[name] = value } }
	claim := func(name string, value any) func(*attempt) { return func(a *attempt) { a.claims[name] = value } }
	whole := func(change func(token string) string) func(*attempt) {
		return func(a *attempt) { a.form.Set("client_assertion", change(compact(a.jose, a.claims, a.key))) }
	}
	b64 := base64.RawURLEncoding.EncodeToString

	rows := []struct {
		what string
		do   func(*attempt)
		code int
	}{
		// algorithms
		{"alg none in four cases", jose("alg", "nOnE"), 5002738},
		{"alg NONE", jose("alg", "NONE"), 5002738},
		{"alg none with a space", jose("alg", "none "), 5002738},
		{"alg none beside a good signature", jose("alg", "none"), 5002738},
		{"an empty alg", jose("alg", ""), 5002738},
		{"RS384", jose("alg", "RS384"), 5002738},
		{"RS512 named by a client's own assertion, and RS256 used", func(a *attempt) {
			id, _, _ := entra.KeyID(clusterKey())
			a.form.Set("client_id", appID)
			a.claims["iss"], a.claims["sub"], a.claims["aud"] = appID, appID, "https://login.microsoftonline.com/"+tenantID+"/v2.0"
			a.jose = map[string]any{"alg": "RS512", "x5t": id}
		}, 700027},
		{"RS512", jose("alg", "RS512"), 5002738},
		{"HS512", jose("alg", "HS512"), 5002738},
		{"EdDSA", jose("alg", "EdDSA"), 5002738},
		{"ES256K", jose("alg", "ES256K"), 5002738},
		{"the alg in lower case", jose("alg", "rs256"), 5002738},
		{"an alg that is a number", jose("alg", 256), 50027},
		{"an alg that is a list", jose("alg", []string{"RS256", "none"}), 50027},
		{"an alg of encryption", jose("alg", "RSA-OAEP"), 5002738},

		// header members
		{"a certificate chain of the sender's own, and its signature", func(a *attempt) {
			a.key = otherKey()
			a.jose["x5c"] = []string{base64.StdEncoding.EncodeToString(certificateOf(otherKey()))}
		}, 700027},
		{"a key as text", jose("jwk", "x"), 50027},
		{"the machine's metadata service for a key set", jose("jku", "http://169.254.169.254/keys"), 50027},
		{"a file for a key set", jose("jku", "file:///etc/passwd"), 50027},
		{"an empty list of critical members", jose("crit", []string{}), 50027},
		{"an unknown critical member", jose("crit", []string{"exp"}), 50027},
		{"critical members that are text", jose("crit", "b64"), 50027},
		{"a compressed payload", jose("zip", "DEF"), 50027},
		{"an encryption", jose("enc", "A256GCM"), 50027},
		{"a kid that is a number", jose("kid", 1), 50027},
		{"a kid that is a list", jose("kid", []string{"key-1"}), 50027},
		{"a kid that is null", jose("kid", nil), 5002723},
		{"an empty kid", jose("kid", ""), 5002723},
		{"a kid of SQL", jose("kid", "key-1' OR '1'='1"), 7000272},
		{"a kid with a line break", jose("kid", "key-1\r\nX-Injected: 1"), 50027},
		{"a header that is a list", header(`["RS256"]`), 50027},
		{"a header that is text", header(`"RS256"`), 50027},
		{"an empty header", header(``), 50027},
		{"a header that is null", header(`null`), 50027},
		{"a header with a comment", header(`{"alg":"RS256",/*x*/"kid":"key-1"}`), 50027},
		{"a header with something behind it", header(`{"alg":"RS256","kid":"key-1"}x`), 50027},
		{"a header that begins with a BOM", header("\ufeff" + `{"alg":"RS256","kid":"key-1"}`), 50027},
		{"a thousand levels in the header", header(`{"alg":"RS256","kid":"key-1","x":` + strings.Repeat(`{"x":`, 1000) + "1" + strings.Repeat("}", 1000) + "}"), 50027},
		{"alg twice in two spellings of JSON", header(`{"alg":"none","\u0061lg":"RS256","kid":"key-1"}`), 50027},

		// claims
		{"an issuer that is a list", claim("iss", []string{issuerURL}), 50027},
		{"an issuer that is null", claim("iss", nil), 90014},
		{"an empty audience", claim("aud", ""), 90014},
		{"an empty issuer", claim("iss", ""), 700211},
		{"a subject that is a list", claim("sub", []string{subject}), 50027},
		{"a subject that is an object", claim("sub", map[string]any{"sub": subject}), 50027},
		{"a subject that is null", claim("sub", nil), 90014},
		{"a subject with a NUL", claim("sub", subject+"\x00"), 700213},
		{"a subject in another script", claim("sub", strings.Replace(subject, "a", "а", 1)), 700213},
		{"an audience that is a number", claim("aud", 1), 50027},
		{"an audience that is an object", claim("aud", map[string]any{"aud": audience}), 50027},
		{"an audience in a list in a list", claim("aud", [][]string{{audience}}), 50027},
		{"an audience that is a list of null", claim("aud", []any{nil}), 90014},
		{"an expiry that is null", claim("exp", nil), 700024},
		{"an expiry that is true", claim("exp", true), 50027},
		{"an expiry that is a list", claim("exp", []int{1}), 50027},
		{"an expiry beyond what a number holds", payload(`{"iss":"` + issuerURL + `","sub":"` + subject + `","aud":"` + audience + `","exp":1e400}`), 50027},
		{"an expiry of 2^63", claim("exp", json.Number("9223372036854775808")), 50027},
		{"an expiry that is no number", payload(`{"iss":"` + issuerURL + `","sub":"` + subject + `","aud":"` + audience + `","exp":NaN}`), 50027},
		{"a beginning that is a word", claim("nbf", "now"), 50027},
		{"a beginning that is an empty text", claim("nbf", ""), 50027},
		{"a beginning that is a text of a sign", claim("nbf", "-1"), 50027},
		{"a beginning that is a text with a space", claim("nbf", "1 "), 50027},
		{"a beginning before 1970", claim("nbf", -1), 50027},
		{"an issue time that is an object", claim("iat", map[string]any{}), 50027},
		{"a claim twice in two spellings of JSON", payload(`{"iss":"` + issuerURL + `","\u0069ss":"https://evil.example/"}`), 50027},
		{"claims that are text", payload(`"x"`), 50027},
		{"claims that are null", payload(`null`), 50027},
		{"no claims at all", payload(``), 50027},
		{"claims that begin with a BOM", payload("\ufeff{}"), 50027},
		{"half a surrogate pair", payload(`{"iss":"\ud800"}`), 0},
		{"ten thousand claims", payload("{" + strings.TrimSuffix(strings.Repeat(`"x":1,`, 10_000), ",") + "}"), 50027},
		{"a JWT within the JWT", payload(`"` + "eyJhbGciOiJub25lIn0.e30." + `"`), 50027},

		// the three parts
		{"two parts", whole(func(s string) string { return s[:strings.LastIndex(s, ".")] }), 50027},
		{"four parts", whole(func(s string) string { return s + ".x" }), 50027},
		{"a dot at the end", whole(func(s string) string { return s + "." }), 50027},
		{"a dot at the beginning", whole(func(s string) string { return "." + s }), 50027},
		{"dots alone", whole(func(string) string { return ".." }), 50027},
		{"ten thousand dots", whole(func(string) string { return strings.Repeat(".", 10_000) }), 50027},
		{"a space within", whole(func(s string) string { return s[:20] + " " + s[20:] }), 50027},
		{"a tab within", whole(func(s string) string { return s[:20] + "\t" + s[20:] }), 50027},
		{"the standard alphabet of base64", whole(func(s string) string { return s[:len(s)-4] + "+/+/" }), 50027},
		{"a percent escape within", whole(func(s string) string { return s[:20] + "%2E" + s[20:] }), 50027},
		{"JSON serialization", whole(func(s string) string {
			p := strings.Split(s, ".")
			return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, p[0], p[1], p[2])
		}), 50027},
		{"padding that was not signed", whole(func(s string) string {
			p := strings.Split(s, ".")
			return p[0] + strings.Repeat("=", (4-len(p[0])%4)%4) + "." + p[1] + strings.Repeat("=", (4-len(p[1])%4)%4) + "." + p[2]
		}), 700027},
		{"padding that is too long", whole(func(s string) string { return s + "====" }), 50027},
		{"padding that is too short", whole(func(s string) string { return s + "=" }), 50027},
		{"padding where none belongs", whole(func(s string) string { return "=" + s }), 50027},
		{"bits before the padding that belong to no byte", whole(func(s string) string {
			return s[:len(s)-1] + string(nextInAlphabet(s[len(s)-1])) + "=="
		}), 50027},
		{"a signature that was cut", whole(func(s string) string { return s[:len(s)-22] }), 700027},
		{"a signature of zeros", whole(func(s string) string { return s[:strings.LastIndex(s, ".")+1] + b64(make([]byte, 256)) }), 700027},
		{"a signature with a byte more", whole(func(s string) string {
			return s[:strings.LastIndex(s, ".")+1] + b64(append([]byte{0}, signatureOf(s)...))
		}), 700027},
		{"a signature of sixty kilobytes", whole(func(s string) string { return s[:strings.LastIndex(s, ".")+1] + b64(make([]byte, 60_000)) }), 50027},
		{"bits behind the end of the signature", whole(func(s string) string { return s[:len(s)-1] + string(nextInAlphabet(s[len(s)-1])) }), 50027},
	}
	if len(rows) < 60 {
		t.Errorf("%d rows", len(rows))
	}
	for _, r := range rows {
		t.Run(r.what, func(t *testing.T) {
			l := newLab(t)
			a := l.federated()
			r.do(a)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := l.send(t, a)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
				t.Errorf("it took %d MiB", used>>20)
			}
			if got.status == http.StatusOK {
				t.Fatalf("granted: %s", got.raw)
			}
			if r.code != 0 && got.code() != r.code {
				t.Errorf("expected %d, found %s", r.code, got.raw)
			}
			checkEnvelope(t, l, got)
			if needsKeys := got.code() == 7000272 || got.code() == 700027; l.fetches.Load() > 0 && !needsKeys {
				t.Errorf("%d fetches", l.fetches.Load())
			}
		})
	}
}

func signatureOf(token string) []byte {
	signature, _ := base64.RawURLEncoding.DecodeString(token[strings.LastIndex(token, ".")+1:])
	return signature
}

// nextInAlphabet is another last character for the same bytes: its unused bits differ.
func nextInAlphabet(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[(strings.IndexByte(alphabet, c)+1)%len(alphabet)]
}
