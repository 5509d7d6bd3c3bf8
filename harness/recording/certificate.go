package recording

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
)

// ringCertificates is what the keys of client certificates are called together.
const ringCertificates = "certificate"

// certificateFiles lists the files that a configuration names, each once.
func certificateFiles(c config.Config) []string {
	var files []string
	seen := map[string]bool{}
	for _, a := range c.Applications {
		for _, certificate := range a.Certificates {
			if !seen[certificate.File] {
				seen[certificate.File] = true
				files = append(files, certificate.File)
			}
		}
	}
	return files
}

// nameCertificates gives the applications' certificates ordinals: a replay has
// others, whose keys it knows.
func (r *Recorder) nameCertificates() error {
	for i, file := range certificateFiles(r.state.Config) {
		block, _ := pem.Decode([]byte(r.state.Certificates[file]))
		if block == nil {
			return fmt.Errorf("%s: expected a PEM block CERTIFICATE, found none", file)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		r.keys.others(ringCertificates, file, certificate.PublicKey)
		short, long := sha1.Sum(block.Bytes), sha256.Sum256(block.Bytes) // x5t is SHA-1: RFC 7515 §4.1.7
		for name, text := range map[string]string{
			"sha1": base64.RawURLEncoding.EncodeToString(short[:]), "sha256": base64.RawURLEncoding.EncodeToString(long[:]),
			// As MSAL for Go and azure_identity for Rust write them.
			"sha1 in base64": base64.StdEncoding.EncodeToString(short[:]), "sha256 in base64": base64.StdEncoding.EncodeToString(long[:]),
			"hex": hex.EncodeToString(short[:]), "HEX": strings.ToUpper(hex.EncodeToString(short[:])), "der": base64.StdEncoding.EncodeToString(block.Bytes),
		} {
			r.names.put(fmt.Sprintf("certificate %s %d", name, i+1), text)
		}
	}
	return nil
}

// makeCertificates makes the files that the configuration names: certificates for
// the same name and time, of the replay's own keys.
func (p *player) makeCertificates() error {
	for i, name := range certificateFiles(p.recorded.State.Config) {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%s: certificates[…].file: expected a path below the configuration's folder, found %q", p.recorded.file, name)
		}
		block, _ := pem.Decode([]byte(p.recorded.State.Certificates[name]))
		if block == nil {
			return fmt.Errorf("%s: state.certificates[%q]: expected a PEM block CERTIFICATE, found none", p.recorded.file, name)
		}
		was, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("%s: state.certificates[%q]: %w", p.recorded.file, name, err)
		}
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return err
		}
		template := &x509.Certificate{SerialNumber: was.SerialNumber, Subject: was.Subject, NotBefore: was.NotBefore, NotAfter: was.NotAfter, KeyUsage: was.KeyUsage}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			return fmt.Errorf("make a certificate in the place of %s: %w", name, err)
		}
		file := filepath.Join(p.dir, name)
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, text, 0o600)); err != nil {
			return err
		}
		p.own[fmt.Sprintf("%s %d", ringCertificates, i+1)] = key
	}
	return nil
}
