package keyvault

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/resource"
)

// Key is a key as it is configured. The zero value is an RSA key of 2048 bits that the lab
// makes when it is first needed.
type Key struct {
	Type       string        // RSA, EC, or with -HSM
	Size       int           // of RSA; 0 for 2048
	Curve      string        // of EC; "" for P-256
	Operations []string      // nil for all of the type
	Private    crypto.Signer // if nil, the lab makes it; see [ReadKey]
}

// Certificate is a certificate as it is configured: one that signs itself, or one that was
// read from a file.
type Certificate struct {
	Subject     string
	DNSNames    []string
	Months      int    // that it is valid; 0 for 12
	ContentType string // of its secret; "" for PKCS#12, or the format of File
	File        []byte // content of a PEM or PKCS#12 file with the private key. If nil, the lab makes it
	Password    string // of File
}

// CheckKey says what is wrong with a key that is configured.
func CheckKey(kty string, size int, curve string, operations []string) error {
	kty = cmp.Or(kty, "RSA")
	if _, failed := newKeyKind(kty, size, curve, 0); failed != nil {
		return errorOf(failed)
	}
	for _, op := range operations {
		if !slices.Contains(defaultOperations(kty), op) {
			return fmt.Errorf("operation %q: a key of type %s has %s", op, kty, strings.Join(defaultOperations(kty), ", "))
		}
	}
	return nil
}

// CheckCertificate says what is wrong with a certificate that is configured.
func CheckCertificate(c Certificate) error {
	if c.File != nil {
		_, failed := c.read()
		return errorOf(failed)
	}
	_, failed := c.policy().completed(time.Time{})
	return errorOf(failed)
}

func errorOf(failed *resource.Failure) error {
	if failed == nil {
		return nil
	}
	text := strings.TrimSpace(failed.Message)
	if strings.HasPrefix(text, "The specified") { // it says nothing of why
		text = failed.Remedy
	}
	return errors.New(strings.TrimSuffix(text, "."))
}

// ReadKey reads a private key: a JWK, or PEM in PKCS#8, PKCS#1 or SEC 1.
func ReadKey(data []byte) (crypto.Signer, error) {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		var key jsonWebKey
		if err := key.UnmarshalJSON(data); err != nil {
			return nil, fmt.Errorf("expected a private key as a JWK: %w", err)
		}
		private, _, failed := key.private()
		return private, errorOf(failed)
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		default:
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the block %s: %w", block.Type, err)
		}
		private, failed := checked(key)
		return private, errorOf(failed)
	}
	return nil, errors.New("expected a private key as a JWK or in PEM (PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY), found none")
}

func (c Certificate) inPEM() bool { return bytes.Contains(c.File, []byte("-----BEGIN ")) }

func (c Certificate) read() (read, *resource.Failure) {
	if c.inPEM() {
		return readCertificate(string(c.File), "", true)
	}
	return readCertificate(base64.StdEncoding.EncodeToString(c.File), c.Password, false)
}

func (c Certificate) policy() policy {
	return policy{
		X509: policyX509{Subject: c.Subject, Names: policyNames{DNS: c.DNSNames}, Months: c.Months}, Secret: policySecret{c.ContentType}, Issuer: policyIssuer{Name: "Self"},
	}
}

// addConfigured adds the keys and certificates that the vault has not had; v.mu is held.
func (v *vault) addConfigured(c Vault, s *Service, now time.Time) {
	for _, name := range slices.Sorted(maps.Keys(c.Keys)) {
		if v.keys.had(name) {
			continue
		}
		k := c.Keys[name]
		kty := cmp.Or(k.Type, "RSA")
		kind, _ := newKeyKind(kty, k.Size, k.Curve, 0) // it was checked
		private := s.generate(kind)
		if k.Private != nil {
			kind, private = kindOf(k.Private), ready(k.Private)
		}
		operations := k.Operations
		if operations == nil {
			operations = defaultOperations(kty)
		}
		v.addKey(name, &keyVersion{kty: kty, kind: kind, private: private, operations: operations, properties: properties{enabled: true, created: now, updated: now}})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Certificates)) {
		if v.certificates.had(name) {
			continue
		}
		configured := c.Certificates[name]
		if configured.File != nil {
			found, _ := configured.read() // so was this
			p := policy{Secret: policySecret{configured.ContentType}}
			inPEM := configured.inPEM()
			if configured.ContentType != "" {
				inPEM = configured.ContentType == contentPEM
			}
			v.addCertificate(name, newImported(found, inPEM, &p, now))
			continue
		}
		p, _ := configured.policy().completed(now)
		made, _ := selfSigned(p, now, nil)
		v.addCertificate(name, made)
	}
}

func (c collection[V]) had(name string) bool {
	return c.there[strings.ToLower(name)] != nil || c.gone[strings.ToLower(name)] != nil
}

// checkObjects says what is wrong with keys and certificates.
func (v Vault) checkObjects() error {
	for _, name := range slices.Sorted(maps.Keys(v.Keys)) {
		k := v.Keys[name]
		if !ValidSecretName(name) {
			return fmt.Errorf("vault %s: key %q: expected a name of %s", v.Name, name, SecretNameRule)
		}
		if err := CheckKey(k.Type, k.Size, k.Curve, k.Operations); err != nil {
			return fmt.Errorf("vault %s: key %s: %w", v.Name, name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Certificates)) {
		if !ValidSecretName(name) {
			return fmt.Errorf("vault %s: certificate %q: expected a name of %s", v.Name, name, SecretNameRule)
		}
		if err := CheckCertificate(v.Certificates[name]); err != nil {
			return fmt.Errorf("vault %s: certificate %s: %w", v.Name, name, err)
		}
	}
	return nil
}
