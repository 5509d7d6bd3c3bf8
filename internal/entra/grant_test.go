package entra_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/entra"
)

// The line of the Radix documentation, as a shell sends it: every value but the
// last ends in a line break, and every name but the first begins with one.
func TestTheDocumentedCurlLineIsGranted(t *testing.T) {
	l := newLab(t)
	a := l.federated()
	a.body = "scope=https%3A%2F%2Fgraph.microsoft.com%2F.default\n&client_id=" + identityID +
		"\n&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\n&client_assertion=" +
		compact(a.jose, a.claims, a.key) + "\n&grant_type=client_credentials"
	got := l.send(t, a)
	want := `{"token_type":"Bearer","expires_in":86399,"ext_expires_in":86399,"access_token":"`
	if got.status != 200 || !strings.HasPrefix(got.raw, want) || !strings.HasSuffix(got.raw, `"}`) {
		t.Errorf("got %d %s", got.status, got.raw)
	}
}

func TestGranted(t *testing.T) {
	for _, r := range []granted{
		{"a federated assertion", (*lab).federated, func(*attempt) {}},
		{"an audience that is no list", (*lab).federated, func(a *attempt) { a.claims["aud"] = audience }},
		{"typ JWT", (*lab).federated, func(a *attempt) { a.jose["typ"] = "JWT" }},
		{"typ of OpenID", (*lab).federated, func(a *attempt) { a.jose["typ"] = "http://openid.net/specs/jwt/1.0" }},
		{"a charset", (*lab).federated, func(a *attempt) { a.header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8") }},
		{"the tenant's domain", (*lab).federated, func(a *attempt) { a.path = "/Contoso.onmicrosoft.com/oauth2/v2.0/token" }},
		{"the tenant in upper case", (*lab).federated, func(a *attempt) { a.path = "/" + strings.ToUpper(tenantID) + "/oauth2/v2.0/token" }},
		{"doubled slashes", (*lab).federated, func(a *attempt) { a.path = "//" + tenantID + "//oauth2/v2.0/token" }},
		{"a path in upper case", (*lab).federated, func(a *attempt) { a.path = "/" + tenantID + "/OAuth2/V2.0/Token" }},
		{"a client id in upper case", (*lab).federated, func(a *attempt) { a.form.Set("client_id", strings.ToUpper(identityID)) }},
		{"parameter names in upper case", (*lab).federated, func(a *attempt) {
			a.form.Set("SCOPE", a.form.Get("scope"))
			a.form.Del("scope")
		}},
		{"a secret", (*lab).withSecret, func(*attempt) {}},
		{"a secret in the Authorization header", (*lab).withSecret, func(a *attempt) {
			a.form.Del("client_secret")
			a.form.Del("client_id")
			a.header.Set("Authorization", basic(appID, secret))
		}},
		{"a secret in both places", (*lab).withSecret, func(a *attempt) { a.header.Set("Authorization", basic(appID, secret)) }},
		{"a certificate", (*lab).withCertificate, func(*attempt) {}},
		{"a certificate and PS256 with x5t#S256", (*lab).withCertificate, func(a *attempt) {
			hash := sha256.Sum256(certificateOf(clusterKey()))
			a.jose = map[string]any{"typ": "JWT", "alg": "PS256", "x5t#S256": base64.RawURLEncoding.EncodeToString(hash[:])}
			a.compact = compactPSS
		}},
		{"a certificate named by a hexadecimal kid, with its chain", (*lab).withCertificate, func(a *attempt) {
			der := certificateOf(clusterKey())
			hash := sha1.Sum(der)
			a.jose = map[string]any{"alg": "RS256", "kid": strings.ToUpper(hex.EncodeToString(hash[:])), "x5c": []string{base64.StdEncoding.EncodeToString(der)}}
		}},
		{"a certificate chain, which nobody reads", (*lab).federated, func(a *attempt) { a.jose["x5c"] = []string{"MIIB"} }},
		{"a certificate and RS512", (*lab).withCertificate, func(a *attempt) { a.jose["alg"] = "RS512"; a.compact = compactRS512 }},
		{"a thumbprint with white space around it", (*lab).withCertificate, func(a *attempt) { a.jose["x5t"] = " " + a.jose["x5t"].(string) + "=\n" }},
		{"a thumbprint in lower-case hexadecimal", (*lab).withCertificate, func(a *attempt) {
			hash := sha1.Sum(certificateOf(clusterKey()))
			a.jose["x5t"] = hex.EncodeToString(hash[:])
		}},
		{"multipart/form-data, as curl -F sends it", (*lab).withSecret, (*attempt).multipart},
		{"a federated assertion in multipart/form-data", (*lab).federated, func(a *attempt) {
			a.form.Set("client_assertion", compact(a.jose, a.claims, a.key))
			a.multipart()
		}},
		{"a content type with a broken parameter", (*lab).withSecret, func(a *attempt) {
			a.header.Set("Content-Type", "Application/X-WWW-Form-URLencoded; charset")
		}},
		{"a federated assertion with padding", (*lab).federated, func(a *attempt) { a.compact = compactPadded }},
		{"a certificate for the issuer of the tenant", (*lab).withCertificate, func(a *attempt) { a.claims["aud"] = "https://login.microsoftonline.com/" + tenantID + "/v2.0" }},
		{"a certificate for the v1 issuer", (*lab).withCertificate, func(a *attempt) { a.claims["aud"] = "https://sts.windows.net/" + tenantID + "/" }},
		{"a certificate for the domain's endpoint", (*lab).withCertificate, func(a *attempt) {
			a.claims["aud"] = "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/token"
		}},
	} {
		t.Run(r.when, r.run)
	}
}

// granted is a request that is granted.
type granted struct {
	when string
	make func(*lab) *attempt
	do   func(*attempt)
}

func (r granted) run(t *testing.T) {
	l := newLab(t)
	a := r.make(l)
	r.do(a)
	got := l.send(t, a)
	if got.status != 200 {
		t.Fatal(got.raw)
	}
	l.verify(t, got.Token)
	e := l.last(t)
	if e.Outcome != journal.Granted || e.UTI == "" || e.Code != 0 || e.Meaning != "" {
		t.Errorf("the journal says %+v", e)
	}
	for _, c := range e.Checks {
		if c.Outcome != journal.Passed {
			t.Errorf("check %+v", c)
		}
	}
}

func compactRS512(header, claims map[string]any, key *rsa.PrivateKey) string {
	signed := base64.RawURLEncoding.EncodeToString(marshal(header)) + "." + base64.RawURLEncoding.EncodeToString(marshal(claims))
	digest := sha512.Sum512([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA512, digest[:])
	if err != nil {
		panic(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// multipart makes the body what curl -F makes of the form.
func (a *attempt) multipart() {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name := range a.form {
		_ = w.WriteField(name, a.form.Get(name)) // a buffer takes everything
	}
	_ = w.Close()
	a.body = body.String()
	a.header.Set("Content-Type", w.FormDataContentType())
}

func compactPSS(header, claims map[string]any, key *rsa.PrivateKey) string {
	signed := base64.RawURLEncoding.EncodeToString(marshal(header)) + "." + base64.RawURLEncoding.EncodeToString(marshal(claims))
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		panic(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// verify checks an access token with the published keys, as a resource would.
func (l *lab) verify(t *testing.T, token string) []byte {
	t.Helper()
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	must(t, err)
	var set jose.JSONWebKeySet
	must(t, json.Unmarshal([]byte(l.get(t, "/"+tenantID+"/discovery/keys").raw), &set))
	payload, err := signed.Verify(set)
	must(t, err)
	return payload
}

func (l *lab) get(t testing.TB, target string) reply {
	t.Helper()
	recorder := httptest.NewRecorder()
	l.handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "https://login.microsoftonline.com"+target, nil))
	got := reply{status: recorder.Code, header: recorder.Header(), raw: recorder.Body.String()}
	if recorder.Code != http.StatusNotFound {
		must(t, json.Unmarshal(recorder.Body.Bytes(), &got))
	}
	return got
}

// What a v1 token looks like, name by name and in order.
func TestV1TokenOfAManagedIdentity(t *testing.T) {
	l := newLab(t)
	got := l.send(t, l.federated())
	identity, _ := l.directory.Principal(tenantID, identityID)
	_, claims, headerText, text := decode(t, got.Token)
	kid := l.keys.Signing().ID
	if want := `{"typ":"JWT","alg":"RS256","x5t":"` + kid + `","kid":"` + kid + `"}`; headerText != want {
		t.Errorf("header %s\nwant   %s", headerText, want)
	}
	if want := []string{"aud", "iss", "iat", "nbf", "exp", "aio", "appid", "appidacr", "idp", "idtyp", "oid", "rh", "sub", "tid", "uti", "ver", "xms_mirid"}; !equal(names(text), want) {
		t.Errorf("claims %v\nwant   %v", names(text), want)
	}
	trace, _ := uuid.Parse(got.header.Get("X-Ms-Request-Id"))
	for name, want := range map[string]any{
		"aud": "https://vault.azure.net", "iss": "https://sts.windows.net/" + tenantID + "/", "idp": "https://sts.windows.net/" + tenantID + "/",
		"iat": float64(start.Unix() - 300), "nbf": float64(start.Unix() - 300), "exp": float64(start.Unix() + 86400),
		"appid": identityID, "appidacr": "2", "idtyp": "app", "oid": identity.ObjectID, "sub": identity.ObjectID, "tid": tenantID, "ver": "1.0",
		"uti":       base64.RawURLEncoding.EncodeToString([]byte{trace[3], trace[2], trace[1], trace[0], trace[5], trace[4], trace[7], trace[6], trace[8], trace[9], trace[10], trace[11], trace[12], trace[13], trace[14], trace[15]}),
		"xms_mirid": "/subscriptions/00000000-0000-4000-8000-000000000001/resourcegroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/my-radix-app",
	} {
		if claims[name] != want {
			t.Errorf("%s is %v, want %v", name, claims[name], want)
		}
	}
	if e := l.last(t); e.UTI != claims["uti"] || e.Workload != "my-radix-app-dev/web-sa" || e.JTI != "a-jti" || e.Kid != "key-1" || !e.ExpiresAt.Equal(start.Add(24*time.Hour)) {
		t.Errorf("event %+v", e)
	}
}

// The uti claim of a recorded token: its request id's bytes as .NET orders them.
func TestUTIComesFromTheRequestID(t *testing.T) {
	l := newLab(t)
	token, refusal := l.service.Exchange(t.Context(), entra.Request{
		Tenant: tenantID, GrantType: "client_credentials", ClientID: appID, ClientSecret: secret, Scope: "https://vault.azure.net/.default",
		TraceID: uuid.MustParse("0bcd5b76-1e33-47da-951b-c4cfcb641500"),
	})
	if refusal != nil || token.UTI != "dlvNCzMe2keVG8TPy2QVAA" {
		t.Errorf("uti %q, %v", token.UTI, refusal)
	}
}

func TestWhatTheTokenSays(t *testing.T) {
	for _, r := range []struct {
		when string
		do   func(*attempt)
		want map[string]any // nil: not there
	}{
		{"a secret is strength 1", func(*attempt) {}, map[string]any{"appidacr": "1", "exp": float64(start.Unix() + 3600), "xms_mirid": nil, "roles": nil}},
		{"a double slash leaves one in aud", scope("https://database.windows.net//.default"), map[string]any{"aud": "https://database.windows.net/"}},
		{"a GUID stays a GUID", scope("6dae42f8-4368-4678-94ff-3960e28e3630/.default"), map[string]any{"aud": "6dae42f8-4368-4678-94ff-3960e28e3630", "ver": "1.0"}},
		{"a storage account is a resource", scope("https://data.blob.core.windows.net/.default"), map[string]any{"aud": "https://data.blob.core.windows.net"}},
		{"ARM by its old name", scope("https://management.core.windows.net//.default"), map[string]any{"aud": "https://management.core.windows.net/"}},
		{"Graph says more", scope("https://graph.microsoft.com/.default"), map[string]any{
			"app_displayname": "daemon", "roles": []any{"User.Read.All"}, "tenant_region_scope": "WW", "wids": []any{"0997a1d0-0d1d-4acb-b408-d5ca73121e90"}, "xms_cc": nil}},
		{"Graph for a client with capabilities", func(a *attempt) {
			a.form.Set("scope", "https://graph.microsoft.com/.default")
			a.form.Set("claims", `{"access_token":{"xms_cc":{"values":["cp1"]}}}`)
		}, map[string]any{"xms_cc": []any{"cp1"}, "xms_ssm": "1", "exp": float64(start.Unix() + 86400)}},
		{"a vault for a client with capabilities", func(a *attempt) { a.form.Set("claims", `{"access_token":{"xms_cc":{"values":["CP1"]}}}`) },
			map[string]any{"xms_cc": nil, "xms_ssm": nil, "exp": float64(start.Unix() + 3600)}},
		{"a GUID at the v2.0 endpoint", scope("cfa8b339-82a2-471a-a3c9-0fc0be7a4093/.default"), map[string]any{"aud": "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"}},
		{"a GUID at the v1 endpoint", func(a *attempt) {
			a.path = "/" + tenantID + "/oauth2/token"
			a.form.Del("scope")
			a.form.Set("resource", "cfa8b339-82a2-471a-a3c9-0fc0be7a4093")
		}, map[string]any{"aud": "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"}},
		{"a GUID at the v1 endpoint, as ADAL and go-autorest ask", func(a *attempt) {
			a.path, a.query = "/"+tenantID+"/oauth2/token", "api-version=1.0"
			a.form.Del("scope")
			a.form.Set("resource", "cfa8b339-82a2-471a-a3c9-0fc0be7a4093")
		}, map[string]any{"aud": "spn:cfa8b339-82a2-471a-a3c9-0fc0be7a4093"}},
		{"nothing at the v1 endpoint", func(a *attempt) {
			a.path = "/" + tenantID + "/oauth2/token"
			a.form.Del("scope")
		}, map[string]any{"aud": "00000002-0000-0000-c000-000000000000"}},
		{"a resource in the URL of the v1 endpoint", func(a *attempt) {
			a.path, a.query = "/"+tenantID+"/oauth2/token", "resource=https://vault.azure.net"
			a.form.Del("scope")
		}, map[string]any{"aud": "https://vault.azure.net"}},
		{"an application with v2 tokens", scope("api://contoso/api/.default"), map[string]any{
			"aud": apiID, "iss": "https://login.microsoftonline.com/" + tenantID + "/v2.0", "ver": "2.0", "azp": appID, "azpacr": "1", "appid": nil, "idtyp": nil, "roles": []any{"User.Read.All"}}},
	} {
		t.Run(r.when, func(t *testing.T) {
			l := newLab(t)
			a := l.withSecret()
			r.do(a)
			got := l.send(t, a)
			if got.status != 200 {
				t.Fatal(got.raw)
			}
			var claims map[string]any
			must(t, json.Unmarshal(l.verify(t, got.Token), &claims))
			for name, want := range r.want {
				if !equal(claims[name], want) {
					t.Errorf("%s is %v, want %v", name, claims[name], want)
				}
			}
		})
	}
}

func scope(value string) func(*attempt) { return func(a *attempt) { a.form.Set("scope", value) } }

func TestV1EndpointWritesNumbersAsText(t *testing.T) {
	l := newLab(t)
	a := l.withSecret()
	a.path = "/" + tenantID + "/oauth2/token"
	a.form.Del("scope")
	a.form.Set("resource", "https://vault.azure.net")
	got := l.send(t, a)
	want := `{"token_type":"Bearer","expires_in":"3599","ext_expires_in":"3599","expires_on":"1795438800","not_before":"1795434900","resource":"https://vault.azure.net","access_token":"`
	if !strings.HasPrefix(got.raw, want) {
		t.Errorf("got  %s\nwant %s", got.raw, want)
	}
	a.form.Set("resource", "spn:cfa8b339-82a2-471a-a3c9-0fc0be7a4093")
	if _, claims, _, _ := decode(t, l.send(t, a).Token); claims["aud"] != "spn:cfa8b339-82a2-471a-a3c9-0fc0be7a4093" {
		t.Errorf("aud %v", claims["aud"])
	}
}

func TestRequestIDs(t *testing.T) {
	const id = "4644ee85-42a4-4f5b-ac35-b5a3843a7ace"
	for _, r := range []struct {
		when string
		do   func(*attempt)
		echo string
	}{
		{"in a header", func(a *attempt) { a.header.Set("client-request-id", id) }, id},
		{"in the form, as MSAL Node does", func(a *attempt) { a.form.Set("client-request-id", id) }, id},
		{"not at all", func(*attempt) {}, ""},
		{"as no GUID", func(a *attempt) { a.header.Set("client-request-id", "<script>") }, ""},
	} {
		t.Run(r.when, func(t *testing.T) {
			l := newLab(t)
			a := l.federated()
			a.form.Set("client_id", bareID)
			r.do(a)
			got := l.send(t, a)
			if got.header.Get("Client-Request-Id") != r.echo || r.echo != "" && got.Corr != r.echo || len(got.Corr) != 36 {
				t.Errorf("echo %q, correlation id %q", got.header.Get("Client-Request-Id"), got.Corr)
			}
			if !regexp.MustCompile(`^[0-9a-f-]{34}00$`).MatchString(got.Trace) {
				t.Errorf("trace id %q", got.Trace)
			}
		})
	}
}

func TestTelemetryHeaderIsForMSAL(t *testing.T) {
	l := newLab(t)
	if got := l.send(t, l.federated()); got.header.Get("X-Ms-Clitelem") != "" {
		t.Errorf("others get %q", got.header.Get("X-Ms-Clitelem"))
	}
	a := l.federated()
	a.form.Set("x-client-SKU", "msal.js.node")
	if got := l.send(t, a); got.header.Get("X-Ms-Clitelem") != "1,0,0,," {
		t.Errorf("granted: %q", got.header.Get("X-Ms-Clitelem"))
	}
	a = l.withSecret()
	a.header.Set("x-client-SKU", "MSAL.Go")
	a.form.Set("client_secret", "wrong")
	if got := l.send(t, a); got.header.Get("X-Ms-Clitelem") != "1,7000215,0,," {
		t.Errorf("denied: %q", got.header.Get("X-Ms-Clitelem"))
	}
}

// The certificate of a key is always the same one, so that a lab that starts
// again publishes what it published before.
func TestKeyIDIsTheThumbprintOfItsCertificate(t *testing.T) {
	id, der, err := entra.KeyID(clusterKey())
	must(t, err)
	again, _, _ := entra.KeyID(clusterKey())
	hash := sha1.Sum(der)
	if id != base64.RawURLEncoding.EncodeToString(hash[:]) || again != id {
		t.Errorf("ids %q and %q", id, again)
	}
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	must(t, certificate.CheckSignature(certificate.SignatureAlgorithm, certificate.RawTBSCertificate, certificate.Signature))
}

// A token's lifetime is the principal's, in seconds if need be.
func TestLifetimeOfTokens(t *testing.T) {
	l := newLab(t)
	must(t, l.directory.Update(tenantID, appID, func(p *directory.Principal) error {
		p.TokenLifetime = 10 * time.Minute
		return nil
	}))
	if got := l.send(t, l.withSecret()); !strings.Contains(got.raw, `"expires_in":599,`) {
		t.Error(got.raw[:80])
	}
}

// names are the members of a JSON object in the order of the text.
func names(object string) []string {
	var found []string
	for _, m := range regexp.MustCompile(`[{,]"([a-z_]+)":`).FindAllStringSubmatch(object, -1) {
		found = append(found, m[1])
	}
	return found
}

func equal(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}
