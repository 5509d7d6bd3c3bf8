package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"runtime"
	"time"
)

// A CA is valid at any time that a lab's clock may show.
var (
	caNotBefore = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	caNotAfter  = time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC)
)

// nothing is a domain that cannot be registered (RFC 2606 §2). Permitting it alone
// permits nothing; an empty list of permitted mail and URI domains would permit
// everything of that type (RFC 5280 §4.2.1.10).
const nothing = "invalid"

// ca is a root, with its key destroyed, and the intermediate that it signed. Both
// carry the name constraints: OpenSSL, Node, Go and Python hold a root to them,
// Java only an intermediate (a trust anchor is a name and a key to it: RFC 5280
// §6.1.1).
type ca struct {
	root         *x509.Certificate
	intermediate *x509.Certificate
	key          *ecdsa.PrivateKey // the intermediate's
}

func makeCA(permitted names) (*ca, error) {
	rootKey, err := newKey()
	if err != nil {
		return nil, err
	}
	defer wipe(rootKey) // it has signed the intermediate, and must not sign another
	return signCA(rootKey, permitted, func(*x509.Certificate) {})
}

// signCA makes a CA with the given root key. change lets tests have both certificates
// otherwise.
func signCA(rootKey *ecdsa.PrivateKey, permitted names, change func(*x509.Certificate)) (*ca, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	id, err := fingerprint(rootKey)
	if err != nil {
		return nil, err
	}
	root := caTemplate("wiemu root "+id, permitted)
	root.MaxPathLen = 1
	root.KeyUsage = x509.KeyUsageCertSign
	change(root)
	made := &ca{key: key}
	if made.root, err = certify(root, root, rootKey.Public(), rootKey); err != nil {
		return nil, err
	}
	intermediate := caTemplate("wiemu intermediate "+id, permitted)
	intermediate.MaxPathLenZero = true
	intermediate.KeyUsage = x509.KeyUsageCertSign
	intermediate.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	change(intermediate)
	if made.intermediate, err = certify(intermediate, made.root, key.Public(), rootKey); err != nil {
		return nil, err
	}
	return made, nil
}

// caTemplate is what root and intermediate have in common.
func caTemplate(name string, permitted names) *x509.Certificate {
	return &x509.Certificate{
		Subject:                     pkix.Name{Organization: []string{organization}, CommonName: name},
		NotBefore:                   caNotBefore,
		NotAfter:                    caNotAfter,
		IsCA:                        true,
		BasicConstraintsValid:       true,
		PermittedDNSDomainsCritical: true, // of the whole extension
		PermittedDNSDomains:         permitted.domains(),
		PermittedIPRanges:           permitted.ranges(),
		PermittedEmailAddresses:     []string{nothing},
		PermittedURIDomains:         []string{nothing},
	}
}

const organization = "wiemu"

// certify signs a certificate and parses it back.
func certify(template, issuer *x509.Certificate, public any, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial := make([]byte, 16)
	rand.Read(serial) // never fails: crypto/rand
	serial[0] = serial[0]&0x7f | 0x40
	template.SerialNumber = new(big.Int).SetBytes(serial)
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, signer)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate for %s: %w", template.Subject, err)
	}
	return x509.ParseCertificate(der)
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an ECDSA key: %w", err)
	}
	return key, nil
}

// fingerprint tells one lab's CA from another's in a certificate viewer.
func fingerprint(key *ecdsa.PrivateKey) (string, error) {
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", fmt.Errorf("encode a public key: %w", err)
	}
	sum := sha256.Sum256(public)
	return fmt.Sprintf("%x", sum[:4]), nil
}

func encodePEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: cert.Raw})
}

// wipe overwrites a private key in memory. Signing has left copies of it in memory
// that is no longer referenced: see overwriteFreed.
func wipe(key *ecdsa.PrivateKey) {
	words := key.D.Bits() //nolint:staticcheck // the words themselves are overwritten; the key is not used again
	clear(words[:cap(words)])
	key.D.SetInt64(0) //nolint:staticcheck // as above
}

// overwriteFreed has what was freed lately overwritten. crypto/ecdsa copies a key for
// each signature, and keeps a copy as long as the key itself is referred to
// (crypto/internal/fips140cache); the collector frees these and leaves what is in
// them. So they are collected, which takes two rounds for what a weak pointer names,
// and blocks of each size are allocated again, which clears them. It is the best that
// can be done in Go 1.26, where runtime/secret is an experiment, and takes some
// milliseconds: it is for a CA that is stored, which is made once in a directory.
func overwriteFreed() {
	runtime.GC()
	runtime.GC()
	var held [][]byte
	for _, size := range sizes {
		for range max(64, 128<<10/size) {
			held = append(held, make([]byte, size))
		}
	}
	runtime.KeepAlive(held)
	clearStack(8)
}

// sizes are those of the runtime's blocks that a copy of a key can be in
// (internal/runtime/gc/sizeclasses.go).
var sizes = []int{
	8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 192, 208, 224, 256, 288, 320, 352, 384,
	416, 448, 480, 512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408, 1536, 1792, 2048,
}

// clearStack overwrites the stack below its caller.
//
//go:noinline
func clearStack(frames int) (sum byte) {
	var frame [8192]byte
	clear(frame[:])
	if frames > 0 {
		sum = clearStack(frames - 1)
	}
	return sum + frame[frames]
}
