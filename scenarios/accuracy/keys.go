package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // x5t is SHA-1 by definition: RFC 7515 §4.1.7
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Keys sign the assertions: the issuer's own, and one that it does not publish.
type Keys struct{ own, other *rsa.PrivateKey }

// keyID is what the issuer calls its key.
const keyID = "key-1"

func newKeys() (Keys, error) {
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return Keys{}, err
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	return Keys{own, other}, err
}

// certify writes the signer's certificates into dir, all of the own key: one that
// is valid, one that has expired, and one that is not valid yet. It returns the
// variables that name the files and their hashes.
func (k Keys) certify(dir string, now time.Time) (map[string]string, error) {
	variables := map[string]string{}
	for i, c := range []struct {
		name     string
		from, to time.Duration
	}{{"", -24 * time.Hour, 24 * time.Hour}, {"expired-", -48 * time.Hour, -24 * time.Hour}, {"future-", 24 * time.Hour, 48 * time.Hour}} {
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: "signer"}, NotBefore: now.Add(c.from), NotAfter: now.Add(c.to)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, k.own.Public(), k.own)
		if err != nil {
			return nil, err
		}
		file := filepath.Join(dir, c.name+"certificate.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			return nil, err
		}
		short, long := sha1.Sum(der), sha256.Sum256(der)
		for name, value := range map[string]string{
			"certificate": file, "der": base64.StdEncoding.EncodeToString(der), "hex": strings.ToUpper(hex.EncodeToString(short[:])),
			"thumbprint": base64.RawURLEncoding.EncodeToString(short[:]), "thumbprint-padded": base64.URLEncoding.EncodeToString(short[:]),
			"thumbprint-base64": base64.StdEncoding.EncodeToString(short[:]), "thumbprint-sha256": base64.RawURLEncoding.EncodeToString(long[:]),
			"thumbprint-sha256-base64": base64.StdEncoding.EncodeToString(long[:]),
		} {
			variables[c.name+name] = value
		}
	}
	return variables, nil
}
