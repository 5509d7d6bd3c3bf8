package recording

import (
	"crypto"
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
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
)

// ringCertificates is what the keys of client certificates are called together.
const ringCertificates = "certificate"

// certificateFiles lists the files that a configuration names, each once.
func certificateFiles(c config.Config) []string {
	var files []string
	for _, a := range c.Applications {
		for _, certificate := range a.Certificates {
			if !slices.Contains(files, certificate.File) {
				files = append(files, certificate.File)
			}
		}
	}
	return files
}

// nameCertificates gives the applications' certificates ordinals: a replay replaces
// them by others, for which it has the keys.
func (r *Recorder) nameCertificates() error {
	for _, file := range certificateFiles(r.state.Config) {
		certificate, err := parseCertificate(file, r.state.Certificates[file])
		if err != nil {
			return err
		}
		r.nameCertificate(file, certificate, nil)
	}
	return nil
}

func parseCertificate(place, text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, fmt.Errorf("%s: expected a PEM block CERTIFICATE, found none", place)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	return certificate, nil
}

// nameCertificate gives a certificate an ordinal. The private key is that of one
// that the lab has made; nil if others have it.
func (r *Recorder) nameCertificate(id string, certificate *x509.Certificate, private crypto.Signer) {
	n := r.keys.others(ringCertificates, id, certificate.PublicKey, private)
	der := certificate.Raw
	short, long := sha1.Sum(der), sha256.Sum256(der) // x5t and x5t#S256: RFC 7515 §4.1.7
	padded := base64.URLEncoding.EncodeToString
	for _, form := range [][2]string{ // what two have in common is called by the first
		{"sha1", base64.RawURLEncoding.EncodeToString(short[:])}, {"sha256", base64.RawURLEncoding.EncodeToString(long[:])},
		{"sha1 in base64", base64.StdEncoding.EncodeToString(short[:])}, {"sha256 in base64", base64.StdEncoding.EncodeToString(long[:])}, // MSAL for Go, azure_identity for Rust
		{"sha1 padded", padded(short[:])}, {"sha256 padded", padded(long[:])}, // azure-identity for Python 1.27
		{"hex", hex.EncodeToString(short[:])}, {"HEX", strings.ToUpper(hex.EncodeToString(short[:]))}, {"der", base64.StdEncoding.EncodeToString(der)},
	} {
		r.names.put(fmt.Sprintf("certificate %s %d", form[0], n), form[1])
	}
}

// nameMade gives ordinals to the secrets and certificates that the lab has made
// since; a replay's lab makes its own at the same inputs. r.mu is held.
func (r *Recorder) nameMade() {
	made := r.lab.Emulator().MadeCredentials()
	for _, m := range made[r.made:] {
		if m.Certificate == nil {
			r.names.madeSecret(m.Secret)
			continue
		}
		private, _ := m.Certificate.PrivateKey.(crypto.Signer)
		r.nameCertificate("made for "+m.ClientID, m.Certificate.Leaf, private)
	}
	r.made = len(made)
}

// makeCertificates makes the files that the configuration names: certificates for
// the same name and time, of the replay's own keys.
func (p *player) makeCertificates() error {
	for i, name := range certificateFiles(p.recorded.State.Config) {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%s: certificates[…].file: expected a path below the configuration's folder, found %q", p.recorded.file, name)
		}
		was, err := parseCertificate(fmt.Sprintf("%s: state.certificates[%q]", p.recorded.file, name), p.recorded.State.Certificates[name])
		if err != nil {
			return err
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
