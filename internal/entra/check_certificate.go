package entra

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha1" // x5t is SHA-1 by definition: RFC 7515 §4.1.7
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/wiemu/wiemu/internal/entra/aadsts"
)

// checkOwnSubject: iss is the client already, sub has to be too.
func checkOwnSubject(_ context.Context, x *exchange) result {
	f := result{expected: x.request.ClientID, presented: x.assertion.Subject}
	if !strings.EqualFold(f.expected, f.presented) {
		f.refusal = aadsts.SubjectNotClient()
	}
	return f
}

// checkCertificate finds the certificate by the thumbprint in the header: x5t
// (SHA-1), x5t#S256, or a kid that is the former. Certificates are compared by
// their hash, so only the one that is used is parsed.
func checkCertificate(_ context.Context, x *exchange) result {
	h := x.assertion.Header
	f := result{expected: "the thumbprint of a certificate of the application", presented: x.assertion.KeyID()}
	for _, c := range x.principal.Certificates {
		one, two := sha1.Sum(c.DER), sha256.Sum256(c.DER)
		if !isThumbprint(h.X5TS256, two[:]) && !isThumbprint(h.X5T, one[:]) && !isThumbprint(h.KeyID, one[:]) {
			continue
		}
		parsed, err := x509.ParseCertificate(c.DER)
		if err != nil {
			continue // the directory refuses such a certificate
		}
		public, ok := parsed.PublicKey.(*rsa.PublicKey)
		if !ok {
			f.refusal = aadsts.UnsupportedKey()
			return f
		}
		x.certificate, x.key = c, jose.JSONWebKey{Key: public}
		f.expected = thumbprint(one[:])
		return f
	}
	shown := ""
	if decodeThumbprint(f.presented) != nil {
		shown = displayedThumbprint(f.presented)
	}
	f.refusal = aadsts.CertificateNotRegistered(x.principal.ClientID, shown)
	if len(x.principal.Certificates) == 0 {
		f.note = "the application has no certificate"
	} else if shown == "" {
		member, _ := x.assertion.KeyName()
		f.note = member + " is no SHA-1 or SHA-256 hash in base64url"
	}
	return f
}

func isThumbprint(presented string, hash []byte) bool {
	return presented != "" && bytes.Equal(decodeThumbprint(presented), hash)
}

// decodeThumbprint reads a hash in the spellings that libraries use: base64url
// (RFC 7515 §4.1.7), standard base64 with padding (MSAL Go's x5t#S256), and
// hexadecimal (the kid of some). nil for what is none of them.
func decodeThumbprint(s string) []byte {
	if hash, err := hex.DecodeString(s); err == nil && isHashSize(len(hash)) {
		return hash
	}
	s = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(strings.TrimSpace(s), "="))
	if hash, err := base64.RawURLEncoding.DecodeString(s); err == nil && isHashSize(len(hash)) {
		return hash
	}
	return nil
}

func isHashSize(n int) bool { return n == sha1.Size || n == sha256.Size }

func thumbprint(hash []byte) string { return base64.RawURLEncoding.EncodeToString(hash) }

// displayedThumbprint is how Entra ID writes a thumbprint in its texts, in
// upper-case hexadecimal.
func displayedThumbprint(presented string) string {
	if hash := decodeThumbprint(presented); hash != nil {
		return strings.ToUpper(hex.EncodeToString(hash))
	}
	return presented
}

func checkCertificateTime(_ context.Context, x *exchange) result {
	c := x.certificate
	f := result{expected: timeSpan(c.Start, c.End), presented: rfc3339(x.now)}
	switch {
	case c.ValidAt(x.now):
	case x.now.Before(c.Start):
		f.note, f.refusal = "it is not valid yet", aadsts.CertificateNotYetValid(x.principal.ClientID, displayedThumbprint(x.assertion.KeyID()), c.Start, c.End)
	default:
		f.note, f.refusal = "it has expired", aadsts.CertificateExpired(x.principal.ClientID, displayedThumbprint(x.assertion.KeyID()), c.Start, c.End)
	}
	return f
}

func checkOwnSignature(_ context.Context, x *exchange) result {
	f := result{expected: "a signature by the certificate's key", presented: x.assertion.Header.Algorithm}
	if err := x.assertion.Verify(x.key, x.algorithms()...); err != nil {
		f.note = err.Error()
		f.refusal = aadsts.WrongSignature(displayedThumbprint(x.assertion.KeyID()), x.certificate.Start, x.certificate.End)
	}
	return f
}

// checkOwnAudience takes the token endpoint or the issuer of the tenant, in any
// of the forms that libraries use, at any login host or the one that was asked.
// Source: entra-docs, docs/identity-platform/certificate-credentials.md; MSAL
// uses https://login.microsoftonline.com/TENANT/oauth2/v2.0/token or …/v2.0.
func checkOwnAudience(_ context.Context, x *exchange) result {
	f := result{expected: x.service.config.Cloud.Authority() + x.tenant.ID + "/oauth2/v2.0/token", presented: x.assertion.Audience.String()}
	u, err := url.Parse(strings.ToLower(f.presented))
	if err != nil || u.Scheme != "https" || !x.service.config.Cloud.IsLogin(u.Host) && u.Host != strings.ToLower(x.request.Host) {
		f.refusal = aadsts.WrongAssertionAudience()
		return f
	}
	tenant, rest, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	forms := []string{"", "v2.0", "oauth2/token", "oauth2/v2.0/token"}
	if tenant != x.tenant.ID && !slices.Contains(x.tenant.Domains, tenant) || !slices.Contains(forms, rest) {
		f.refusal = aadsts.WrongAssertionAudience()
	}
	return f
}
