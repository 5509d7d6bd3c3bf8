package entra_test

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
)

// Every row reads: when this is done to a good request, it is refused with that
// code.
func TestRefusals(t *testing.T) {
	set := func(name, value string) func(*attempt) { return func(a *attempt) { a.form.Set(name, value) } }
	drop := func(name string) func(*attempt) { return func(a *attempt) { a.form.Del(name) } }
	claim := func(name string, value any) func(*attempt) { return func(a *attempt) { a.claims[name] = value } }
	jose := func(name string, value any) func(*attempt) { return func(a *attempt) { a.jose[name] = value } }
	at := func(path string) func(*attempt) { return func(a *attempt) { a.path = path } }

	for _, kind := range []struct {
		name string
		make func(*lab) *attempt
		rows []row
	}{
		{"federated", (*lab).federated, []row{
			// the request
			{"GET instead of POST", func(a *attempt) { a.method = http.MethodGet }, 900561, 400, "invalid_request"},
			{"a body that is JSON", func(a *attempt) { a.header.Set("Content-Type", "application/json") }, 900144, 400, "invalid_request"},
			{"multipart without a boundary", func(a *attempt) { a.header.Set("Content-Type", "multipart/form-data") }, 900144, 400, "invalid_request"},
			{"multipart that breaks off", func(a *attempt) { a.multipart(); a.body = a.body[:len(a.body)/2] }, 9002313, 400, "invalid_request"},
			{"a parameter twice in multipart", func(a *attempt) {
				a.header.Set("Content-Type", "multipart/form-data; boundary=x")
				a.body = strings.Repeat("--x\r\nContent-Disposition: form-data; name=\"scope\"\r\n\r\na\r\n", 2) + "--x--\r\n"
			}, 9000411, 400, "invalid_request"},
			{"a NUL in multipart", func(a *attempt) {
				a.header.Set("Content-Type", "multipart/form-data; boundary=x")
				a.body = "--x\r\nContent-Disposition: form-data; name=\"scope\"\r\n\r\n\x00\r\n--x--\r\n"
			}, 9002313, 400, "invalid_request"},
			{"a file for a parameter", func(a *attempt) {
				a.header.Set("Content-Type", "multipart/form-data; boundary=x")
				a.body = "--x\r\nContent-Disposition: form-data; name=\"grant_type\"; filename=\"g\"\r\n\r\nclient_credentials\r\n--x--\r\n"
			}, 900144, 400, "invalid_request"},
			{"a broken percent escape", func(a *attempt) { a.body = "grant_type=%zz" }, 9002313, 400, "invalid_request"},
			{"a NUL in a value", set("scope", "https://vault.azure.net\x00/.default"), 9002313, 400, "invalid_request"},
			{"bytes that are not UTF-8", set("scope", "\xff\xfe"), 9002313, 400, "invalid_request"},
			{"a parameter twice", func(a *attempt) { a.form.Add("scope", "https://graph.microsoft.com/.default") }, 9000411, 400, "invalid_request"},
			{"a parameter twice in two spellings", func(a *attempt) { a.form.Add("SCOPE", "https://graph.microsoft.com/.default") }, 9000411, 400, "invalid_request"},
			{"more than 128 KiB", set("x", strings.Repeat("x", 128<<10)), 9002313, 400, "invalid_request"},
			{"more than a megabyte", set("x", strings.Repeat("x", 1<<20)), 9002313, 400, "invalid_request"},
			{"a thousand parameters", func(a *attempt) {
				for i := range 1000 {
					a.form.Set(fmt.Sprint("p", i), "x")
				}
			}, 9002313, 400, "invalid_request"},
			{"no grant type", drop("grant_type"), 900144, 400, "invalid_request"},
			{"another grant type", set("grant_type", "no_such_grant"), 70003, 400, "unsupported_grant_type"},
			{"a grant type in upper case", set("grant_type", "CLIENT_CREDENTIALS"), 70003, 400, "unsupported_grant_type"},

			// the tenant
			{"an unknown tenant", at("/12345678-0000-4000-8000-000000000000/oauth2/v2.0/token"), 90002, 400, "invalid_tenant"},
			{"an unknown domain", at("/nobody.example/oauth2/v2.0/token"), 90002, 400, "invalid_tenant"},
			{"the all-zero tenant", at("/00000000-0000-0000-0000-000000000000/oauth2/v2.0/token"), 900021, 400, "invalid_request"},
			{"a tenant that is a word", at("/undefined/oauth2/v2.0/token"), 900023, 400, "invalid_request"},
			{"an encoded slash in the tenant", at("/..%2f" + tenantID + "/oauth2/v2.0/token"), 900023, 400, "invalid_request"},
			{"an encoded slash alone", at("/%2F/oauth2/token"), 900023, 400, "invalid_request"},
			{"a tenant with a slash in it", at("/a%2fb/oauth2/v2.0/token"), 900023, 400, "invalid_request"},
			{"an encoded backslash", at("/..%5c" + tenantID + "/oauth2/v2.0/token"), 900023, 400, "invalid_request"},
			{"a NUL behind the tenant", at("/" + tenantID + "%00/oauth2/v2.0/token"), 900023, 400, "invalid_request"},
			{"dot segments before an unknown tenant", at("/x/../../nobody.example/./oauth2/v2.0/token"), 90002, 400, "invalid_tenant"},
			{"a tenant in braces", at("/{" + tenantID + "}/oauth2/v2.0/token"), 900023, 400, "invalid_request"},
			{"common", at("/common/oauth2/v2.0/token"), 50059, 400, "invalid_request"},

			// the resource
			{"no scope", drop("scope"), 900144, 400, "invalid_request"},
			{"resource on the v2.0 endpoint", set("resource", "https://vault.azure.net"), 901002, 400, "invalid_request"},
			{"a scope without .default", set("scope", "https://graph.microsoft.com/User.Read"), 1002012, 400, "invalid_scope"},
			{"two scopes without .default", set("scope", "User.Read Mail.Read"), 1002012, 400, "invalid_scope"},
			{"nothing but OpenID scopes", set("scope", "openid profile"), 1002012, 400, "invalid_scope"},
			{"a mixture of scopes", set("scope", "https://graph.microsoft.com/.default User.Read"), 70011, 400, "invalid_scope"},
			{"two resources", set("scope", "https://graph.microsoft.com/.default https://vault.azure.net/.default"), 700022, 400, "invalid_scope"},
			{"an endless scope", set("scope", strings.Repeat("x/.default ", 1000)), 70011, 400, "invalid_scope"},
			{"an unknown resource", set("scope", "api://not-a-registered-resource/.default"), 500011, 400, "invalid_resource"},
			{"a resource that demands a role", set("scope", closedID+"/.default"), 501051, 400, "invalid_grant"},
			{"a claims request that is no JSON", set("claims", "{"), 9002313, 400, "invalid_request"},

			// who asks
			{"no client id", drop("client_id"), 900144, 400, "invalid_request"},
			{"a client id that is no GUID", set("client_id", "__CHANGE_ME__"), 700016, 400, "unauthorized_client"},
			{"a resource id for a client id", set("client_id", "/subscriptions/x/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id"), 700016, 400, "unauthorized_client"},
			{"the all-zero client id", set("client_id", "00000000-0000-0000-0000-000000000000"), 700038, 400, "unauthorized_client"},
			{"an unknown application", set("client_id", "12345678-0000-4000-8000-000000000000"), 700016, 400, "unauthorized_client"},
			{"an application of another tenant", set("client_id", elsewhere), 700016, 400, "unauthorized_client"},
			{"a disabled application", set("client_id", disabledID), 7000112, 400, "unauthorized_client"},
			{"no credential", func(a *attempt) { a.form.Set("client_assertion", "") }, 7000216, 401, "invalid_client"},
			{"a secret as well", func(a *attempt) {
				a.form.Set("client_assertion", compact(a.jose, a.claims, a.key))
				a.form.Set("client_secret", "x")
			}, 9002324, 400, "invalid_request"},

			// the assertion as a JWT
			{"no assertion type", func(a *attempt) {
				a.form.Set("client_assertion", compact(a.jose, a.claims, a.key))
				a.form.Del("client_assertion_type")
			}, 900144, 400, "invalid_request"},
			{"another assertion type", set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), 90011, 400, "invalid_request"},
			{"a word for an assertion", set("client_assertion", "token"), 50027, 400, "invalid_request"},
			{"an encrypted token", set("client_assertion", "e30.e30.e30.e30.e30"), 50027, 400, "invalid_request"},
			{"an assertion of eighty kilobytes", claim("padding", strings.Repeat("x", 60_000)), 50027, 400, "invalid_request"},
			{"a token in quotes", func(a *attempt) { a.form.Set("client_assertion", `"`+compact(a.jose, a.claims, a.key)+`"`) }, 50027, 400, "invalid_request"},
			{"a line break in the token", func(a *attempt) {
				a.form.Set("client_assertion", strings.Replace(compact(a.jose, a.claims, a.key), ".", ".\n", 1))
			}, 50027, 400, "invalid_request"},
			{"padding in the base64", func(a *attempt) { a.form.Set("client_assertion", compact(a.jose, a.claims, a.key)+"=") }, 50027, 400, "invalid_request"},
			{"a claim twice", raw(`{"alg":"RS256","kid":"key-1"}`, `{"iss":"a","iss":"b","sub":"s","aud":"x"}`), 50027, 400, "invalid_request"},
			{"a member twice, deep inside", raw(`{"alg":"RS256","kid":"key-1"}`, `{"iss":"a","x":[{"y":1,"y":2}]}`), 50027, 400, "invalid_request"},
			{"a header member twice", raw(`{"alg":"RS256","alg":"none","kid":"key-1"}`, `{}`), 50027, 400, "invalid_request"},
			{"a thousand levels of JSON", raw(`{"alg":"RS256","kid":"key-1"}`, `{"x":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`}`), 50027, 400, "invalid_request"},
			{"a payload that is a list", raw(`{"alg":"RS256","kid":"key-1"}`, `[]`), 50027, 400, "invalid_request"},
			{"something after the payload", raw(`{"alg":"RS256","kid":"key-1"}`, `{} {}`), 50027, 400, "invalid_request"},
			{"a payload that is not UTF-8", raw(`{"alg":"RS256","kid":"key-1"}`, "{\"iss\":\"\xff\"}"), 50027, 400, "invalid_request"},
			{"another typ", jose("typ", "at+jwt"), 5002727, 400, "invalid_request"},
			{"a typ that is a number", jose("typ", 1), 50027, 400, "invalid_request"},
			{"an embedded key", jose("jwk", map[string]any{"kty": "RSA"}), 50027, 400, "invalid_request"},
			{"the address of a key set", jose("jku", "https://evil.example/keys"), 50027, 400, "invalid_request"},
			{"the address of a certificate", jose("x5u", "https://evil.example/cert"), 50027, 400, "invalid_request"},
			{"a critical extension", jose("crit", []string{"b64"}), 50027, 400, "invalid_request"},
			{"an unencoded payload", jose("b64", false), 50027, 400, "invalid_request"},
			{"alg none without signature", func(a *attempt) { a.compact = unsigned }, 5002738, 401, "invalid_client"},
			{"alg None", jose("alg", "None"), 5002738, 401, "invalid_client"},
			{"HS256 with the public key as the secret", func(a *attempt) { a.compact = withPublicKeyAsSecret }, 5002738, 401, "invalid_client"},
			{"PS256", jose("alg", "PS256"), 5002738, 401, "invalid_client"},
			{"ES256", jose("alg", "ES256"), 5002738, 401, "invalid_client"},
			{"no alg", jose("alg", nil), 5002738, 401, "invalid_client"},
			{"no kid", func(a *attempt) { delete(a.jose, "kid") }, 5002723, 401, "invalid_client"},
			{"no issuer", func(a *attempt) { delete(a.claims, "iss") }, 90014, 400, "invalid_request"},
			{"no subject", func(a *attempt) { delete(a.claims, "sub") }, 90014, 400, "invalid_request"},
			{"no audience", func(a *attempt) { delete(a.claims, "aud") }, 90014, 400, "invalid_request"},
			{"an issuer that is a number", claim("iss", 1), 50027, 400, "invalid_request"},
			{"two audiences", claim("aud", []string{audience, "https://vault.azure.net"}), 50027, 400, "invalid_request"},
			{"an expiry that is text", claim("exp", "tomorrow"), 50027, 400, "invalid_request"},
			{"an expiry of a year ago, as a text of digits", claim("exp", "1764000000"), 700024, 401, "invalid_client"},
			{"an expiry with a fraction, read and long past", claim("exp", json.Number("1764000000.5")), 700024, 401, "invalid_client"},
			{"an expiry with an exponent", claim("exp", json.Number("1.764e9")), 50027, 400, "invalid_request"},
			{"an expiry before 1970", claim("exp", -1), 50027, 400, "invalid_request"},
			{"an expiry beyond all times", claim("exp", json.Number("1e300")), 50027, 400, "invalid_request"},

			// the assertion against the federated credentials
			{"an application without credentials", set("client_id", bareID), 70025, 401, "invalid_client"},
			{"the issuer without its slash", claim("iss", strings.TrimSuffix(issuerURL, "/")), 700211, 401, "invalid_client"},
			{"another issuer", claim("iss", "https://evil.example/"), 700211, 401, "invalid_client"},
			{"an issuer with white space", claim("iss", issuerURL+" "), 700211, 401, "invalid_client"},
			{"the subject of another environment", claim("sub", "system:serviceaccount:my-radix-app-prod:web-sa"), 700213, 401, "invalid_client"},
			{"the subject in another case", claim("sub", "system:serviceaccount:My-Radix-App-Dev:web-sa"), 7002138, 401, "invalid_client"},
			{"another subject and another audience", func(a *attempt) { a.claims["sub"], a.claims["aud"] = "x", "y" }, 700213, 401, "invalid_client"},
			{"another audience", claim("aud", "https://kubernetes.default.svc.cluster.local"), 700212, 401, "invalid_client"},
			{"the audience in another case", claim("aud", "api://azureadtokenexchange"), 700212, 401, "invalid_client"},
			{"a token of Entra ID itself", claim("iss", "https://sts.windows.net/"+tenantID+"/"), 700222, 401, "invalid_client"},

			// time
			{"a lifetime of a year", claim("exp", start.AddDate(1, 0, 0).Unix()), 70023, 400, "invalid_request"},
			{"a lifetime of a second more than 25 hours", claim("exp", start.Add(25*time.Hour+time.Second).Unix()), 70023, 400, "invalid_request"},
			{"an expiry five minutes ago", func(a *attempt) {
				a.claims["iat"], a.claims["nbf"], a.claims["exp"] = start.Add(-time.Hour).Unix(), start.Add(-time.Hour).Unix(), start.Add(-5*time.Minute).Unix()
			}, 700024, 401, "invalid_client"},
			{"a beginning in six minutes", claim("nbf", start.Add(6*time.Minute).Unix()), 700024, 401, "invalid_client"},
			{"no expiry", func(a *attempt) { delete(a.claims, "exp") }, 700024, 401, "invalid_client"},

			// the signature
			{"a kid that the issuer does not have", jose("kid", "key-2"), 7000272, 401, "invalid_client"},
			{"a kid that is a path", jose("kid", "../../../../etc/passwd"), 7000272, 401, "invalid_client"},
			{"a kid that is an address", jose("kid", "https://evil.example/key"), 7000272, 401, "invalid_client"},
			{"a kid with a NUL", jose("kid", "key-1\x00"), 50027, 400, "invalid_request"},
			{"an endless kid", jose("kid", strings.Repeat("k", 5000)), 50027, 400, "invalid_request"},
			{"a signature by another key", func(a *attempt) { a.key = otherKey() }, 700027, 401, "invalid_client"},
			{"a changed payload", func(a *attempt) {
				parts := strings.Split(compact(a.jose, a.claims, a.key), ".")
				a.claims["jti"] = "another"
				parts[1] = strings.Split(compact(a.jose, a.claims, a.key), ".")[1]
				a.form.Set("client_assertion", strings.Join(parts, "."))
			}, 700027, 401, "invalid_client"},
			{"no signature", func(a *attempt) {
				token := compact(a.jose, a.claims, a.key)
				a.form.Set("client_assertion", token[:strings.LastIndex(token, ".")+1])
			}, 700027, 401, "invalid_client"},
		}},
		{"secret", (*lab).withSecret, []row{
			{"a domain in the scope that says which tenant is meant, which has no such resource", func(a *attempt) {
				a.path = "/common/oauth2/v2.0/token"
				a.form.Set("scope", "api://contoso.onmicrosoft.com/api/.default")
				a.form.Del("client_secret")
				a.form.Del("client_id")
				a.header.Set("Authorization", basic(appID, secret))
			}, 500011, 400, "invalid_resource"},
			{"a wrong secret", set("client_secret", "wrong"), 7000215, 401, "invalid_client"},
			{"the secret's id", set("client_secret", "aaaaaaaa-0000-4000-8000-000000000001"), 7000215, 401, "invalid_client"},
			{"an expired secret", set("client_secret", "an-expired-secret"), 7000222, 401, "invalid_client"},
			{"a public client", func(a *attempt) { a.form.Set("client_id", publicID) }, 700025, 401, "invalid_client"},
			{"an application at a regional endpoint", func(a *attempt) { a.host = "westeurope.login.microsoft.com" }, 100007, 400, "invalid_request"},
			{"an application without secrets", set("client_id", bareID), 7000215, 401, "invalid_client"},
			{"a managed identity", set("client_id", identityID), 7000232, 401, "invalid_client"},
			{"another client in the Authorization header", func(a *attempt) { a.header.Set("Authorization", basic(bareID, secret)) }, 9002313, 400, "invalid_request"},
		}},
		{"certificate", (*lab).withCertificate, []row{
			{"another subject", claim("sub", "somebody"), 700021, 401, "invalid_client"},
			{"a thumbprint that is not registered", jose("x5t", "AAAAAAAAAAAAAAAAAAAAAAAAAAA"), 700027, 401, "invalid_client"},
			{"an application without certificates", func(a *attempt) {
				a.form.Set("client_id", bareID)
				a.claims["iss"], a.claims["sub"] = bareID, bareID
			}, 700027, 401, "invalid_client"},
			{"a signature by another key", func(a *attempt) { a.key = otherKey() }, 700027, 401, "invalid_client"},
			{"another audience", claim("aud", "https://example.com/"+tenantID+"/oauth2/v2.0/token"), 700023, 401, "invalid_client"},
			{"the token endpoint of another tenant", claim("aud", "https://login.microsoftonline.com/nobody.example/oauth2/v2.0/token"), 700023, 401, "invalid_client"},
			{"an expired assertion", claim("exp", start.Add(-time.Hour).Unix()), 700024, 401, "invalid_client"},
			{"HS256", jose("alg", "HS256"), 5002738, 401, "invalid_client"},
		}},
	} {
		for _, r := range kind.rows {
			t.Run(kind.name+"/"+r.when, func(t *testing.T) {
				l := newLab(t)
				a := kind.make(l)
				r.do(a)
				got := l.send(t, a)
				if got.code() != r.code || got.status != r.status || got.Error != r.oauth {
					t.Fatalf("got %d %s %d, want %d %s %d\n%s", got.status, got.Error, got.code(), r.status, r.oauth, r.code, got.raw)
				}
				checkEnvelope(t, l, got)
				e := l.last(t)
				if e.Outcome != journal.Denied || e.Code != r.code || e.Status != r.status || e.Meaning == "" || e.Remedy == "" {
					t.Errorf("the journal says %+v", e)
				}
				checkFailedOnce(t, e)
			})
		}
	}
}

type row struct {
	when   string
	do     func(*attempt)
	code   int
	status int
	oauth  string
}

// checkEnvelope looks at what every refusal has in common.
func checkEnvelope(t *testing.T, l *lab, got reply) {
	t.Helper()
	if got.Time != "2026-11-23 12:00:00Z" {
		t.Errorf("timestamp %q", got.Time)
	}
	tail := fmt.Sprintf(" Trace ID: %s Correlation ID: %s Timestamp: %s", got.Trace, got.Corr, got.Time)
	if !strings.HasPrefix(got.Text, fmt.Sprintf("AADSTS%d: ", got.code())) || !strings.HasSuffix(got.Text, tail) {
		t.Errorf("error_description %q", got.Text)
	}
	if got.header.Get("X-Ms-Request-Id") != got.Trace {
		t.Errorf("x-ms-request-id %q, trace_id %q", got.header.Get("X-Ms-Request-Id"), got.Trace)
	}
	if got.URI != "" && got.URI != fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", got.code()) {
		t.Errorf("error_uri %q", got.URI)
	}
	if len(got.raw) > 8000 {
		t.Errorf("a reply of %d bytes", len(got.raw))
	}
	if e := l.last(t); e.TraceID != got.Trace || e.CorrelationID != got.Corr {
		t.Errorf("the journal has %s %s", e.TraceID, e.CorrelationID)
	}
}

// checkFailedOnce: the first check that fails answers; nothing after it is made.
func checkFailedOnce(t *testing.T, e journal.Event) {
	t.Helper()
	failed := false
	for _, c := range e.Checks {
		switch {
		case c.Outcome == journal.Failed && failed, c.Outcome == journal.Passed && failed, c.Outcome == journal.Skipped && !failed:
			t.Errorf("check %q is %s", c.Name, c.Outcome)
		case c.Outcome == journal.Failed:
			failed = true
		}
	}
	if !failed {
		t.Error("no check failed")
	}
}

// raw signs a header and a payload that no encoder would write.
func raw(header, payload string) func(*attempt) {
	return func(a *attempt) {
		a.form.Set("client_assertion", compactBytes([]byte(header), []byte(payload), a.key))
	}
}

func unsigned(_, claims map[string]any, _ *rsa.PrivateKey) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"key-1"}`)) + "." + base64.RawURLEncoding.EncodeToString(marshal(claims)) + "."
}

func withPublicKeyAsSecret(header, claims map[string]any, key *rsa.PrivateKey) string {
	header["alg"] = "HS256"
	signed := base64.RawURLEncoding.EncodeToString(marshal(header)) + "." + base64.RawURLEncoding.EncodeToString(marshal(claims))
	public, _ := x509.MarshalPKIXPublicKey(&key.PublicKey)
	mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}
