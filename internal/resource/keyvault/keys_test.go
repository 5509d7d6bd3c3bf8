package keyvault_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
)

func TestRequestsForKeys(t *testing.T) {
	const v = "?api-version=7.6"
	const sum = "LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564" // SHA-256
	for _, row := range []struct {
		name, request, body string
		status              int
		code, message       string // parts of the body
	}{
		{"create", "POST /keys/x/create" + v, `{"kty":"EC"}`, 200, "", `"kty":"EC","key_ops":["sign","verify"],"crv":"P-256","x":"`},
		{"create by an old version", "POST /keys/x/create?api-version=2016-10-01", `{"kty":"EC"}`, 200, "", `"attributes":{"enabled":true,`},
		{"create with all that clients send", "POST /keys/x/create?api-version=2025-07-01", `{"kty":"EC","crv":"P-521","key_ops":["sign"],"attributes":{"exp":4000000000},"tags":{"a":"b"}}`, 200, "", `"exp":4000000000`},
		{"create of no type", "POST /keys/x/create" + v, `{}`, 400, "BadParameter", "Property 'kty' is required."},
		{"create of another type", "POST /keys/x/create" + v, `{"kty":"DSA"}`, 400, "BadParameter", "'DSA'"},
		{"create for managed HSM", "POST /keys/x/create" + v, `{"kty":"oct-HSM"}`, 400, "BadParameter", "'oct-HSM' is not supported by vaults."},
		{"create with an exponent", "POST /keys/x/create" + v, `{"kty":"RSA","public_exponent":17}`, 400, "BadParameter", "public_exponent"},
		{"create of 1024 bits", "POST /keys/x/create" + v, `{"kty":"RSA","key_size":1024}`, 400, "BadParameter", "2048, 3072 or 4096"},
		{"create on P-256K", "POST /keys/x/create" + v, `{"kty":"EC","crv":"P-256K"}`, 501, "NotImplemented", "P-256K"},
		{"create on another curve", "POST /keys/x/create" + v, `{"kty":"EC","crv":"P-224"}`, 400, "BadParameter", "P-224"},
		{"create for an unknown operation", "POST /keys/x/create" + v, `{"kty":"EC","key_ops":["dance"]}`, 400, "BadParameter", "'dance'"},
		{"create for release", "POST /keys/x/create" + v, `{"kty":"EC","release_policy":{"data":"e30"}}`, 501, "NotImplemented", "released"},
		{"create with a size that is a text", "POST /keys/x/create" + v, `{"kty":"RSA","key_size":"2048"}`, 400, "BadParameter", "key_size"},
		{"create with half a body", "POST /keys/x/create" + v, `{"kty":"RSA"`, 400, "BadParameter", "JSON"},
		{"create under a bad name", "POST /keys/x_y/create" + v, `{"kty":"EC"}`, 400, "BadParameter", "invalid name"},
		{"create with sixteen tags", "POST /keys/x/create" + v, `{"kty":"EC","tags":{"1":"","2":"","3":"","4":"","5":"","6":"","7":"","8":"","9":"","10":"","11":"","12":"","13":"","14":"","15":"","16":""}}`, 400, "BadParameter", "a key has at most 15"},
		{"import of nothing", "PUT /keys/x" + v, `{}`, 400, "BadParameter", "Property 'key' is required"},
		{"import of a public key", "PUT /keys/x" + v, `{"key":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}`, 400, "BadParameter", "'d' is required"},
		{"import of what is not base64url", "PUT /keys/x" + v, `{"key":{"kty":"EC","crv":"P-256","x":"=","y":"!","d":"AA"}}`, 400, "BadParameter", "is not base64url"},
		{"import of a point that is on no curve", "PUT /keys/x" + v, `{"key":{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA"}}`, 400, "BadParameter", "The key is not valid"},
		{"import of a symmetric key", "PUT /keys/x" + v, `{"key":{"kty":"oct","k":"AAAA"}}`, 400, "BadParameter", "vaults"},
		{"import of a wrapped key", "PUT /keys/x" + v, `{"key":{"kty":"RSA-HSM","key_hsm":"AAAA"}}`, 501, "NotImplemented", "key_hsm"},
		{"an unknown key", "GET /keys/other" + v, "", 404, "KeyNotFound", "A key with (name/id) other was not found in this key vault. If you recently deleted this key you may be able to recover it"},
		{"an unknown version", "GET /keys/ec/00000000000000000000000000000000" + v, "", 404, "KeyNotFound", "ec/0000"},
		{"an unknown deleted key", "GET /deletedkeys/other" + v, "", 404, "KeyNotFound", "Deleted Key not found: other"},
		{"list", "GET /keys" + v, "", 200, "", `{"value":[{"kid":"https://mykeyvault.vault.azure.net/keys/ec","attributes":`},
		{"backup of none", "POST /keys/other/backup" + v, "", 404, "KeyNotFound", ""},
		{"restore of nothing", "POST /keys/restore" + v, `{}`, 400, "BadParameter", "'value' is required"},
		{"restore of a blob of Azure", "POST /keys/restore" + v, `{"value":"JkF6dXJlS2V5VmF1bHRLZXlCYWNrdXBWMS5taWNyb3NvZnQuY29t"}`, 400, "BadParameter", "The parameter is incorrect."},
		{"release", "POST /keys/ec/release" + v, `{}`, 501, "NotImplemented", "release"},
		{"random bytes", "POST /rng" + v, `{"count":1}`, 400, "BadParameter", "'rng' is not supported by vaults"},
		{"sign", "POST /keys/ec/sign" + v, `{"alg":"ES256","value":"` + sum + `"}`, 200, "", `{"kid":"https://mykeyvault.vault.azure.net/keys/ec/`},
		{"sign by the latest version's empty segment", "POST /keys/ec//sign" + v, `{"alg":"ES256","value":"` + sum + `"}`, 200, "", `"value":"`},
		{"sign with padding", "POST /keys/ec/sign" + v, `{"alg":"ES256","value":"` + sum + `="}`, 200, "", `"value":"`},
		{"sign a text that is no digest", "POST /keys/ec/sign" + v, `{"alg":"ES256","value":"YWJj"}`, 400, "BadParameter", "Invalid length of 'value': 3 bytes. ES256 requires 32 bytes, encoded with base64url."},
		{"sign with another curve's algorithm", "POST /keys/ec/sign" + v, `{"alg":"ES384","value":"` + sum + `"}`, 400, "BadParameter", "uses curve 'P-256', and algorithm 'ES384' can only be used with curve 'P-384'."},
		{"sign with an algorithm of RSA", "POST /keys/ec/sign" + v, `{"alg":"RS256","value":"` + sum + `"}`, 400, "BadParameter", "can only be used with type 'RSA'"},
		{"sign with ES256K", "POST /keys/ec/sign" + v, `{"alg":"ES256K","value":"` + sum + `"}`, 501, "NotImplemented", "P-256K"},
		{"sign with no algorithm", "POST /keys/ec/sign" + v, `{"value":"` + sum + `"}`, 400, "BadParameter", "'alg' is required"},
		{"sign with an unknown algorithm", "POST /keys/ec/sign" + v, `{"alg":"none","value":"` + sum + `"}`, 400, "BadParameter", "'none'"},
		{"sign what is not base64url", "POST /keys/ec/sign" + v, `{"alg":"ES256","value":"+/"}`, 400, "BadParameter", "Content of 'value' is not base64url."},
		{"sign nothing", "POST /keys/ec/sign" + v, `{"alg":"ES256"}`, 400, "BadParameter", "'value' is required"},
		{"verify without a digest", "POST /keys/ec/verify" + v, `{"alg":"ES256","value":"AAAA"}`, 400, "BadParameter", "'digest' is required"},
		{"verify what is no signature", "POST /keys/ec/verify" + v, `{"alg":"ES256","digest":"` + sum + `","value":"AAAA"}`, 200, "", `{"value":false}`},
		{"encrypt with an EC key", "POST /keys/ec/encrypt" + v, `{"alg":"RSA-OAEP","value":"AAAA"}`, 403, "Forbidden", "Operation encrypt is not permitted on this key."},
		{"encrypt with AES", "POST /keys/rsa/encrypt" + v, `{"alg":"A256GCM","value":"AAAA"}`, 400, "BadParameter", "'A256GCM' is not supported by vaults."},
		{"encrypt too much", "POST /keys/rsa/encrypt" + v, `{"alg":"RSA-OAEP-256","value":"` + strings.Repeat("AAAA", 64) + `"}`, 400, "BadParameter", "The parameter is incorrect."},
		{"decrypt what was not encrypted", "POST /keys/rsa/decrypt" + v, `{"alg":"RSA-OAEP","value":"AAAA"}`, 400, "BadParameter", "The parameter is incorrect."},
		{"rotation policy", "PUT /keys/ec/rotationpolicy" + v, `{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"rotate"}}],"attributes":{}}`, 200, "", `"id":"https://mykeyvault.vault.azure.net/keys/ec/rotationpolicy"`},
		{"rotation after a day", "PUT /keys/ec/rotationpolicy" + v, `{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P1D"},"action":{"type":"Rotate"}}]}`, 400, "BadParameter", "at least 7 days"},
		{"rotation before no expiry", "PUT /keys/ec/rotationpolicy" + v, `{"lifetimeActions":[{"trigger":{"timeBeforeExpiry":"P30D"},"action":{"type":"Rotate"}}]}`, 400, "BadParameter", "expiryTime"},
		{"rotation after the expiry", "PUT /keys/ec/rotationpolicy" + v, `{"attributes":{"expiryTime":"P1M"},"lifetimeActions":[{"trigger":{"timeAfterCreate":"P2M"},"action":{"type":"Rotate"}}]}`, 400, "BadParameter", "not shorter"},
		{"rotation at the creation in February", "PUT /keys/ec/rotationpolicy" + v, `{"attributes":{"expiryTime":"P1M"},"lifetimeActions":[{"trigger":{"timeBeforeExpiry":"P28D"},"action":{"type":"Rotate"}}]}`, 400, "BadParameter", "not shorter"},
		{"rotation soon after the creation", "PUT /keys/ec/rotationpolicy" + v, `{"attributes":{"expiryTime":"P30D"},"lifetimeActions":[{"trigger":{"timeBeforeExpiry":"P24D"},"action":{"type":"Rotate"}}]}`, 400, "BadParameter", "less than 7 days after a version is created"},
		{"rotation a week after the creation", "PUT /keys/ec/rotationpolicy" + v, `{"attributes":{"expiryTime":"P30D"},"lifetimeActions":[{"trigger":{"timeBeforeExpiry":"P23D"},"action":{"type":"Rotate"}}]}`, 200, "", "P23D"},
		{"a rotation policy in another form", "PUT /keys/ec/rotationpolicy" + v, `{"attributes":{"expiryTime":"90 days"}}`, 400, "BadParameter", "ISO 8601"},
		{"an unknown operation", "POST /keys/ec/explode" + v, `{}`, 400, "BadParameter", "Method POST does not allow operation 'explode'"},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLab(t, everything())
			token := l.token(t)
			l.ask(t, token, "POST /keys/ec/create"+v, `{"kty":"EC"}`)
			if strings.Contains(row.request, "/keys/rsa/") {
				l.ask(t, token, "POST /keys/rsa/create"+v, `{"kty":"RSA"}`)
			}
			answer := l.ask(t, token, row.request, row.body)
			body := text(t, answer)
			if answer.StatusCode != row.status || !strings.Contains(body, row.message) || row.code != "" && !strings.Contains(body, `"code":"`+row.code+`"`) {
				t.Errorf("expected %d %s %q, found %d %.300s", row.status, row.code, row.message, answer.StatusCode, body)
			}
			e := l.last()
			if e.Kind != journal.Access || e.Status != row.status || (e.Outcome == journal.Granted) != (row.status == 200) || row.status >= 400 && (e.Error == "" || e.Meaning == "") {
				t.Errorf("journal: %+v", e)
			}
		})
	}
}

// A version that expires sooner than the policy's trigger lives for a week all the same.
func TestRotationIsNeverDueAtTheCreation(t *testing.T) {
	l := newLab(t, everything())
	soon := strconv.FormatInt(tokentest.Start().AddDate(0, 0, 1).Unix(), 10)
	first := l.must(t, "POST /keys/dated/create"+v76, `{"kty":"EC","attributes":{"exp":`+soon+`}}`, 200)
	l.must(t, "PUT /keys/dated/rotationpolicy"+v76, `{"attributes":{"expiryTime":"P90D"},"lifetimeActions":[{"trigger":{"timeBeforeExpiry":"P30D"},"action":{"type":"Rotate"}}]}`, 200)
	for _, day := range []int{0, 7} {
		want := first.Attributes.Created + int64(day)*24*60*60
		if err := l.clock.Advance(t.Context(), tokentest.Start().AddDate(0, 0, day).Sub(l.clock.Now())); err != nil {
			t.Fatal(err)
		}
		if got := l.must(t, "GET /keys/dated"+v76, "", 200); got.Attributes.Created != want {
			t.Errorf("day %d: the latest version was created at %d, want %d", day, got.Attributes.Created, want)
		}
	}
}

// FuzzKeys sends whatever body to each operation on keys: none may fail the vault, and no
// private number is ever answered.
func FuzzKeys(f *testing.F) {
	operations := []string{
		"POST /keys/x/create", "PUT /keys/x", "PATCH /keys/ec", "POST /keys/ec/sign", "POST /keys/ec/verify", "POST /keys/ec/encrypt",
		"PUT /keys/ec/rotationpolicy", "POST /keys/restore",
	}
	for n := range operations {
		f.Add(n, `{"kty":"EC","crv":"P-256","key_ops":["sign"],"attributes":{"enabled":true,"nbf":1,"exp":2},"tags":{"a":"b"}}`)
		f.Add(n, `{"alg":"ES256","value":"LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564","digest":"LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564"}`)
		f.Add(n, `{"key":{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}}`)
		f.Add(n, `{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"Rotate"}}],"attributes":{"expiryTime":"P1Y2M3DT4H5M6S"}}`)
	}
	l := newLab(f, everything())
	token := l.token(f)
	l.ask(f, token, "POST /keys/ec/create?api-version=7.6", `{"kty":"EC"}`)
	f.Fuzz(func(t *testing.T, n int, body string) {
		if strings.Contains(body, "RSA") {
			return // making those costs too much
		}
		answer := l.ask(t, token, operations[max(0, n)%len(operations)]+"?api-version=7.6", body)
		var sent struct {
			Key map[string]any `json:"key"`
		}
		if answer.StatusCode >= 500 && answer.StatusCode != 501 || json.NewDecoder(answer.Body).Decode(&sent) != nil || sent.Key["d"] != nil {
			t.Errorf("%s: %d", body, answer.StatusCode)
		}
	})
}
