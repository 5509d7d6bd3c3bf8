package entra_test

import (
	"compress/gzip"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/directory"
)

// One code has several causes, and what to change depends on which it was.
func TestTheRemedyFitsTheCause(t *testing.T) {
	set := func(name, value string) func(*attempt) { return func(a *attempt) { a.form.Set(name, value) } }
	bare := func(a *attempt) { a.form.Set("client_id", bareID) }
	inURL := func(a *attempt) { a.query, a.form = a.form.Encode(), url.Values{} }
	compressed := func(a *attempt) { // as the HTTP client of msgraph-sdk-go does it
		var body strings.Builder
		z := gzip.NewWriter(&body)
		_, err := io.WriteString(z, a.form.Encode())
		must(t, errors.Join(err, z.Close()))
		a.header.Set("Content-Encoding", "gzip")
		a.body = body.String()
	}
	certificate := func(from, to time.Time) func(*attempt) {
		return func(a *attempt) { a.certificate = certificateFor(t, from, to) }
	}

	for _, r := range []struct {
		when    string
		make    func(*lab) *attempt
		do      func(*attempt)
		code    int
		says    string // in meaning or remedy
		saysNot string
	}{
		{"a token file that was read once", (*lab).federated, func(a *attempt) { a.claims["exp"] = start.Add(-time.Hour).Unix() }, 700024, "Read AZURE_FEDERATED_TOKEN_FILE again", ""},
		{"a token of tomorrow", (*lab).federated, func(a *attempt) {
			a.claims["nbf"] = start.Add(20 * time.Hour).Unix()
			a.claims["exp"] = start.Add(21 * time.Hour).Unix()
		}, 700024, "the issuer's, is ahead", "AZURE_FEDERATED_TOKEN_FILE"},
		{"a token without end", (*lab).federated, func(a *attempt) { delete(a.claims, "exp") }, 700024, "Have the issuer put exp", "AZURE_FEDERATED_TOKEN_FILE"},
		{"an assertion of the client's own, kept", (*lab).withCertificate, func(a *attempt) { a.claims["exp"] = start.Add(-time.Hour).Unix() }, 700024, "Sign a new assertion for each request", "AZURE_FEDERATED_TOKEN_FILE"},
		{"an assertion of the client's own, too early", (*lab).withCertificate, func(a *attempt) { a.claims["nbf"] = start.Add(time.Hour).Unix() }, 700024, "nbf was written by one that is ahead", "AZURE_FEDERATED_TOKEN_FILE"},
		{"an assertion of the client's own, without end", (*lab).withCertificate, func(a *attempt) { delete(a.claims, "exp") }, 700024, "Put exp into it", "AZURE_FEDERATED_TOKEN_FILE"},

		{"a certificate that has expired", (*lab).withCertificate, certificate(start.Add(-48*time.Hour), start.Add(-time.Hour)), 700027, "Make a new certificate", "pload it"},
		{"a certificate of tomorrow", (*lab).withCertificate, certificate(start.Add(24*time.Hour), start.Add(48*time.Hour)), 700027, "is not valid before 2026-11-24T12:00:00Z", "pload it"},
		{"a certificate that nobody knows", (*lab).withCertificate, func(a *attempt) { a.jose["x5t"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAA" }, 700027, "Upload the certificate to the application", ""},
		{"a thumbprint that is none", (*lab).withCertificate, func(a *attempt) { a.jose["x5t"] = "my-certificate" }, 700027, "is no hash of a certificate", "Upload"},
		{"a private key of another certificate", (*lab).withCertificate, func(a *attempt) { a.key = otherKey() }, 700027, "Sign with the private key that belongs to the certificate", "Upload"},
		{"a token that was changed", (*lab).federated, func(a *attempt) { a.key = otherKey() }, 700027, "one kid for two keys", "certificate"},

		{"a body that is JSON, and says so", (*lab).withSecret, func(a *attempt) {
			a.header.Set("Content-Type", "application/json")
			a.body = `{"grant_type":"client_credentials"}`
		}, 900144, "The body is JSON (Content-Type: application/json)", ""},
		{"a body that is JSON, and claims to be a form", (*lab).withSecret, func(a *attempt) { a.body = ` {"grant_type":"client_credentials","scope":"a&b=c"}` }, 900144, "The body is JSON", ""},
		{"a form that is compressed", (*lab).withSecret, compressed, 900144, "The body is compressed (Content-Encoding: gzip)", "Content-Type is"},
		{"a form that is not compressed, and claims to be", (*lab).withSecret, func(a *attempt) {
			a.header.Set("Content-Encoding", "gzip")
			a.form.Set("client_secret", "wrong")
		}, 7000215, "Use the secret's value", "compressed"},
		{"parameters in the URL of a POST", (*lab).withSecret, inURL, 900144, "grant_type stands in the URL", "Content-Type is"},
		{"a scope in the URL of a POST", (*lab).withSecret, func(a *attempt) {
			a.query = "scope=" + url.QueryEscape(a.form.Get("scope"))
			a.form.Del("scope")
		}, 900144, "scope stands in the URL", ""},
		{"a client id in the URL of a POST", (*lab).withSecret, func(a *attempt) {
			a.query = "client_id=" + appID
			a.form.Del("client_id")
		}, 900144, "client_id stands in the URL", ""},
		{"a secret in the URL of a POST", (*lab).withSecret, func(a *attempt) {
			a.query = "client_secret=" + secret
			a.form.Del("client_secret")
		}, 7000216, "client_secret stands in the URL", ""},

		{"an endless x5t", (*lab).withCertificate, func(a *attempt) { a.jose["x5t"] = strings.Repeat("A", 2000) }, 50027, "x5t", "kid"},
		{"an x5t with a line break within", (*lab).withCertificate, func(a *attempt) { a.jose["x5t"] = "AAAA\nAAAA" }, 50027, "x5t", "kid"},
		{"a claim of a wrong type", (*lab).federated, func(a *attempt) { a.claims["exp"] = "tomorrow" }, 50027, "is no time in seconds since 1970", "three base64url parts"},
		{"two audiences of a cluster's token", (*lab).federated, func(a *attempt) { a.claims["aud"] = []string{audience, "https://kubernetes.default.svc"} }, 50027, "not the API server's", "three base64url parts"},
		{"two audiences of the client's own assertion", (*lab).withCertificate, func(a *attempt) { a.claims["aud"] = []string{"a", "b"} }, 50027, "private_key_jwt", "API server"},
		{"a kid with a line break within", (*lab).federated, func(a *attempt) { a.jose["kid"] = "key\n1" }, 50027, "kid", "x5t"},

		{"an application without secret", (*lab).withSecret, bare, 7000215, "The application has no secret", "belongs to this client id"},
		{"a whole endpoint for an authority", (*lab).withSecret, func(a *attempt) { a.path = "/token/oauth2/token" }, 900023, "without /oauth2/token", "quotes"},
		{"a variable that was not set", (*lab).withSecret, func(a *attempt) { a.path = "/undefined/oauth2/v2.0/token" }, 900023, "was not set", "quotes"},
		{"a word for a tenant", (*lab).withSecret, func(a *attempt) { a.path = "/contoso/oauth2/v2.0/token" }, 900023, "without quotes, braces or white space", "was not set"},
		{"an application with other credentials", (*lab).withSecret, set("client_secret", "wrong"), 7000215, "Use the secret's value", "has no secret"},

		{"a template for a client id", (*lab).federated, set("client_id", "__CHANGE_ME__"), 700016, "a template was probably not filled in", "object id"},
		{"a resource id for a client id", (*lab).federated, set("client_id", "/subscriptions/x/resourceGroups/rg"), 700016, "az identity show", "object id"},
		{"the grant type for an assertion type", (*lab).federated, set("client_assertion_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), 90011, "has the name of a grant type", ""},
		{"the scope's host for a tenant", (*lab).withSecret, func(a *attempt) {
			a.path = "/common/oauth2/v2.0/token"
			a.form.Set("scope", "api://"+apiID+"/.default")
			a.form.Del("client_secret")
			a.form.Del("client_id")
			a.header.Set("Authorization", basic(appID, secret))
		}, 900023, "took what follows api:// in the scope", ""},
	} {
		t.Run(r.when, func(t *testing.T) {
			l := newLab(t)
			a := r.make(l)
			r.do(a)
			if a.certificate != nil {
				must(t, l.directory.Update(tenantID, appID, func(p *directory.Principal) error {
					parsed, err := x509.ParseCertificate(a.certificate)
					p.Certificates = []directory.Certificate{{DER: a.certificate, Start: parsed.NotBefore, End: parsed.NotAfter}}
					return err
				}))
				a.jose["x5t"] = thumbprintOf(a.certificate)
			}
			got := l.send(t, a)
			e := l.last(t)
			told := e.Meaning + " " + e.Remedy
			for _, c := range e.Checks {
				if c.Outcome == "failed" {
					told += " " + c.Presented + " " + c.Note
				}
			}
			if got.code() != r.code || !strings.Contains(told, r.says) || r.saysNot != "" && strings.Contains(told, r.saysNot) {
				t.Errorf("code %d, told %q; expected %d, %q, and not %q\n%s", got.code(), told, r.code, r.says, r.saysNot, got.raw)
			}
		})
	}
}

// certificateFor is a certificate of the cluster's key for a time.
func certificateFor(t *testing.T, from, to time.Time) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "daemon"}, NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, template, template, clusterKey().Public(), clusterKey())
	must(t, err)
	return der
}
