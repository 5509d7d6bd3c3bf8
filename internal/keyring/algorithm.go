package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
)

// What keys sign with. Source: RFC 7518 §3.1.
const (
	RS256 = "RS256" // RSASSA-PKCS1-v1_5 with SHA-256: what AKS uses and Entra ID wants
	ES256 = "ES256" // ECDSA on P-256 with SHA-256: what a cluster with EC keys uses
	PS256 = "PS256" // RSASSA-PSS with SHA-256: what MSAL signs with a certificate; rings do not
)

// Algorithms are those that a ring can sign with, the usual one first.
func Algorithms() []string { return []string{RS256, ES256} }

// Algorithm is what the key signs with; "" once the key is removed.
func (k Key) Algorithm() string {
	switch k.Private.(type) {
	case *rsa.PrivateKey:
		return RS256
	case *ecdsa.PrivateKey:
		return ES256
	}
	return ""
}

// SignPSS is Sign with PS256, which no ring uses. It wants an RSA key. The signature
// is another one each time.
func (k Key) SignPSS(header string, payload []byte) (compact string, err error) {
	key, ok := k.Private.(*rsa.PrivateKey)
	if !ok {
		return "", fmt.Errorf("sign with key %s: %s wants an RSA key, this is a %T", k.ID, PS256, k.Private)
	}
	encoding := base64.RawURLEncoding
	compact = encoding.EncodeToString([]byte(header)) + "." + encoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(compact))
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		return "", fmt.Errorf("sign with key %s: %w", k.ID, err)
	}
	return compact + "." + encoding.EncodeToString(signature), nil
}

// Sign is [Ring.Sign] with one key, whether it is the signing one or not. A key
// that was removed has no private part; keep the Key from before.
func (k Key) Sign(header string, payload []byte) (compact string, err error) {
	if k.Private == nil {
		return "", fmt.Errorf("sign with key %s: it was removed", k.ID)
	}
	encoding := base64.RawURLEncoding
	compact = encoding.EncodeToString([]byte(header)) + "." + encoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(compact))
	signature, err := sign(k.Private, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign with key %s: %w", k.ID, err)
	}
	return compact + "." + encoding.EncodeToString(signature), nil
}

// sign makes the signature of a JWS (RFC 7518 §3.3 and §3.4) of what digest is the
// SHA-256 of. Neither kind uses randomness: the same key and bytes have the same
// signature in every run. Source: package crypto/ecdsa, RFC 6979.
func sign(private crypto.Signer, digest []byte) ([]byte, error) {
	signature, err := private.Sign(nil, digest, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	key, ok := private.(*ecdsa.PrivateKey)
	if !ok {
		return signature, nil
	}
	var parts struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(signature, &parts); err != nil {
		return nil, fmt.Errorf("an ECDSA signature that cannot be read: %w", err)
	}
	size := (key.Params().BitSize + 7) / 8
	return append(parts.R.FillBytes(make([]byte, size)), parts.S.FillBytes(make([]byte, size))...), nil
}

// ellipticKey makes the P-256 key that belongs to a key of the pool. It is derived
// and not drawn, so that it is the same one wherever the pool's keys are the same.
func ellipticKey(from *rsa.PrivateKey) (*ecdsa.PrivateKey, error) {
	seed := x509.MarshalPKCS1PrivateKey(from)
	for range 8 { // one in 2^32 is no number of the curve's group
		sum := sha256.Sum256(seed)
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), sum[:]); err == nil {
			return key, nil
		}
		seed = sum[:]
	}
	return nil, fmt.Errorf("derive a P-256 key: no number of the curve's group in eight attempts")
}
