package entra

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // x5t is SHA-1 by definition: RFC 7517 §4.8
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"time"
)

// KeyID is what Entra ID calls a signing key: the base64url SHA-1 of a
// self-signed certificate, both x5t and kid. One key always gets the same
// certificate, so a lab that starts again with its keys publishes the same JWKS.
// It is the Identify of the service's key ring.
func KeyID(key crypto.Signer) (id string, certificate []byte, err error) {
	public, ok := key.Public().(*rsa.PublicKey)
	if !ok {
		return "", nil, fmt.Errorf("make the certificate of a signing key: Entra ID signs with RSA keys, this is a %T", key)
	}
	fingerprint := sha256.Sum256(x509.MarshalPKCS1PublicKey(public))
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(fingerprint[:16]),
		Subject:      pkix.Name{CommonName: "accounts.accesscontrol.windows.net"}, // as the real ones
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),                 // good at any lab time
		NotAfter:     time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature,

		SignatureAlgorithm: x509.SHA256WithRSA, // PKCS #1 v1.5, which uses no randomness
	}
	certificate, err = x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		return "", nil, fmt.Errorf("make the certificate of a signing key: %w", err)
	}
	hash := sha1.Sum(certificate)
	return thumbprint(hash[:]), certificate, nil
}

// webKey is an entry of the JWKS, in Entra ID's order. The v2 key set has
// cloud_instance_name and issuer, the v1 key set has not.
type webKey struct {
	Type          string   `json:"kty"`
	Use           string   `json:"use"`
	ID            string   `json:"kid"`
	X5T           string   `json:"x5t"`
	Modulus       string   `json:"n"`
	Exponent      string   `json:"e"`
	Chain         []string `json:"x5c"`
	CloudInstance string   `json:"cloud_instance_name,omitempty"`
	Issuer        string   `json:"issuer,omitempty"`
}

// serveKeys answers GET /{tenant}/discovery/keys and …/v2.0/keys. All tenants
// have the same keys.
func (s *Service) serveKeys(w http.ResponseWriter, r *http.Request, version int) {
	d, refusal := s.describe(r)
	if refusal != nil {
		s.refuseMetadata(w, r, refusal)
		return
	}
	keys := []webKey{}
	for _, k := range s.keys.Published() {
		public := k.Private.Public().(*rsa.PublicKey)
		key := webKey{
			Type: "RSA", Use: "sig", ID: k.ID, X5T: k.ID,
			Modulus:  base64.RawURLEncoding.EncodeToString(public.N.Bytes()),
			Exponent: base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
			Chain:    []string{base64.StdEncoding.EncodeToString(k.Certificate)},
		}
		if version == 2 {
			key.CloudInstance, key.Issuer = d.Instance, d.issuerV2()
		}
		keys = append(keys, key)
	}
	s.replyMetadata(w, r, struct {
		Keys []webKey `json:"keys"`
	}{keys})
}
