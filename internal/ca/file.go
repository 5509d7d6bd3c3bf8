package ca

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/wiemu/wiemu/internal/statedir"
)

// authorityFile holds the root, the intermediate and the intermediate's key, in
// this order: one file, so that no half of a CA can be found.
const authorityFile = "authority.pem"

// PEM labels (RFC 7468 §5 and §10).
const (
	pemCertificate = "CERTIFICATE"
	pemPrivateKey  = "PRIVATE KEY"
)

// load reads the CA of a directory. If there is none that can be used, it returns nil
// and the reason; if that cannot be determined, an error.
func load(dir *statedir.Dir, wanted names) (_ *ca, unusable string, err error) {
	file := dir.Path(authorityFile)
	f, err := dir.OpenFile(authorityFile, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("read the CA: %w; make it readable, or delete it and a new one is made", err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, "", fmt.Errorf("read the CA: %w; make it readable, or delete it and a new one is made", err)
	}
	defer clear(data)
	stored, err := parseCA(data)
	if err != nil {
		return nil, fmt.Sprintf("%s is no CA of wiemu's: %v", file, err), nil
	}
	for _, cert := range []*x509.Certificate{stored.root, stored.intermediate} {
		if why := wanted.differFrom(cert); why != "" {
			return nil, fmt.Sprintf("the CA in %s %s", file, why), nil
		}
	}
	if info, err := f.Stat(); err == nil && info.Mode().Perm()&0o077 != 0 {
		_ = f.Chmod(0o600) // tightened where it can be: some volumes have modes of their own
	}
	return stored, "", nil
}

func parseCA(data []byte) (*ca, error) {
	root, data, err := nextCertificate(data)
	if err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	intermediate, data, err := nextCertificate(data)
	if err != nil {
		return nil, fmt.Errorf("intermediate: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != pemPrivateKey {
		return nil, errors.New("expected a private key after the certificates")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(intermediate.PublicKey) {
		return nil, errors.New("the private key is not the intermediate's")
	}
	if err := intermediate.CheckSignatureFrom(root); err != nil {
		return nil, fmt.Errorf("the intermediate is not the root's: %w", err)
	}
	for _, cert := range []*x509.Certificate{root, intermediate} {
		if !cert.NotBefore.Equal(caNotBefore) || !cert.NotAfter.Equal(caNotAfter) {
			return nil, fmt.Errorf("%s is valid from %v to %v", cert.Subject.CommonName, cert.NotBefore, cert.NotAfter)
		}
	}
	return &ca{root: root, intermediate: intermediate, key: key}, nil
}

func nextCertificate(data []byte) (_ *x509.Certificate, rest []byte, err error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != pemCertificate {
		return nil, nil, errors.New("expected a PEM certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	return cert, rest, err
}

// store writes the CA. It survives a crash whole or not at all.
func store(dir *statedir.Dir, made *ca) error {
	key, err := x509.MarshalPKCS8PrivateKey(made.key)
	if err != nil {
		return fmt.Errorf("encode the CA's key: %w", err)
	}
	defer clear(key)
	data := append(encodePEM(made.root), encodePEM(made.intermediate)...)
	data = append(data, pem.EncodeToMemory(&pem.Block{Type: pemPrivateKey, Bytes: key})...)
	defer clear(data)
	if err := dir.WriteFile(authorityFile, data); err != nil {
		return fmt.Errorf("store the CA: %w", err)
	}
	return nil
}
