package entra_test

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"testing"
	"time"
)

// What the official clients send is accepted, in whichever of the forms that their
// sources have. Their programs are run by make conformance.
func TestOfficialClients(t *testing.T) {
	for _, r := range []granted{
		{"what azidentity sends along", (*lab).federated, func(a *attempt) {
			a.form.Set("scope", "https://vault.azure.net/.default openid offline_access profile")
			a.form.Set("client_info", "1")
			a.form.Set("claims", `{"access_token":{"xms_cc":{"values":["CP1"]}}}`)
		}},
		{"a certificate as MSAL Go names it", (*lab).withCertificate, func(a *attempt) {
			hash := sha256.Sum256(certificateOf(clusterKey()))
			a.jose = map[string]any{"typ": "JWT", "alg": "PS256", "x5t#S256": base64.StdEncoding.EncodeToString(hash[:])}
			a.compact = compactPSS
		}},
		{"a certificate as azure-identity for Python sends it from aio.CertificateCredential", (*lab).withCertificate, func(a *attempt) {
			one, two := sha1.Sum(certificateOf(clusterKey())), sha256.Sum256(certificateOf(clusterKey()))
			a.jose = map[string]any{"typ": "JWT", "alg": "RS256", "x5t": base64.URLEncoding.EncodeToString(one[:]), "x5t#S256": base64.URLEncoding.EncodeToString(two[:])}
			a.claims["pad"] = "" // 2 bytes too many for whole groups of three
			a.compact = compactPadded
		}},
		{"a certificate as MSAL.NET sends it", (*lab).withCertificate, func(a *attempt) {
			der := certificateOf(clusterKey())
			hash := sha256.Sum256(der)
			a.jose = map[string]any{"alg": "PS256", "typ": "JWT", "x5t#S256": base64.RawURLEncoding.EncodeToString(hash[:]), "x5c": base64.StdEncoding.EncodeToString(der)}
			a.claims["nbf"], a.claims["exp"] = "1795435200", "1795435800"
			delete(a.claims, "iat")
			a.compact = compactPSS
		}},
		{"a certificate as MSAL for Python sends it", (*lab).withCertificate, func(a *attempt) {
			hash := sha1.Sum(certificateOf(clusterKey()))
			a.jose = map[string]any{"alg": "RS256", "typ": "JWT", "x5t": base64.URLEncoding.EncodeToString(hash[:])}
			a.claims["iat"], a.claims["exp"] = 1795435200.25, 1795435800.25
			delete(a.claims, "nbf")
		}},
		{"a certificate as azure_identity for Rust sends it, with its chain", (*lab).withCertificate, func(a *attempt) {
			der := certificateOf(clusterKey())
			hash := sha1.Sum(der)
			block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
			a.jose = map[string]any{"alg": "RS256", "typ": "JWT", "x5t": base64.StdEncoding.EncodeToString(hash[:]), "x5c": []string{base64.StdEncoding.EncodeToString(block)}}
		}},
		{"a certificate as go-autorest sends it", (*lab).withCertificate, func(a *attempt) {
			hash := sha1.Sum(certificateOf(clusterKey()))
			a.path, a.query = "/"+tenantID+"/oauth2/token", "api-version=1.0"
			a.form.Del("scope")
			a.form.Set("resource", "https://vault.azure.net")
			a.jose = map[string]any{"alg": "RS256", "typ": "JWT", "x5t": base64.StdEncoding.EncodeToString(hash[:])}
			a.claims["aud"] = "https://login.microsoftonline.com/" + tenantID + "/oauth2/token?api-version=1.0"
			a.claims["exp"] = start.Add(24 * time.Hour).Unix()
		}},
		{"a certificate as Terraform's providers send it", (*lab).withCertificate, func(a *attempt) {
			hash := sha1.Sum(certificateOf(clusterKey()))
			a.jose = map[string]any{"alg": "RS256", "typ": "JWT", "kid": base64.URLEncoding.EncodeToString(hash[:])}
			a.claims["exp"] = start.Add(time.Hour).Unix()
		}},
		{"a certificate as azure-identity for C++ sends it", (*lab).withCertificate, func(a *attempt) {
			hash := sha1.Sum(certificateOf(clusterKey()))
			a.jose = map[string]any{"alg": "RS256", "typ": "JWT", "x5t": base64.RawURLEncoding.EncodeToString(hash[:]), "kid": strings.ToUpper(hex.EncodeToString(hash[:]))}
		}},
	} {
		t.Run(r.when, r.run)
	}
}
