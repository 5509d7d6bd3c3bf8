package ca

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/crypto/x509roots/fallback/bundle"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/wiemu/wiemu/internal/file"
)

// BundleOptions say whom clients trust besides the lab.
type BundleOptions struct {
	// SystemRoots adds the roots that this machine trusts, or where it has none, as
	// in an image made from scratch, those that Mozilla trusts: for applications
	// that may also reach hosts outside the lab.
	SystemRoots bool
	// RootsFile is the PEM file that SystemRoots reads; "" looks in the usual
	// places.
	RootsFile string

	places []string // the usual ones; nil: rootFiles
}

// Bundle names the files by which the clients of a lab trust it. They hold
// nothing secret.
type Bundle struct {
	Root       string `json:"root"`       // PEM: the lab's root alone, for clients that add it to roots of their own
	Roots      string `json:"roots"`      // PEM: all that a client is to trust
	TrustStore string `json:"trustStore"` // PKCS#12 of the same, for Java
	NoRoots    string `json:"noRoots"`    // an empty directory, for clients that look into one as well; "": they look into their own
}

// TrustStorePassword is the one that Java is given for Bundle.TrustStore: its customary one.
// The store opens with any, and with none: anyone may read it.
const TrustStorePassword = "changeit"

// At returns the bundle with the paths that programs in a container see, where its
// directory is mounted at dir. The image's own directory of roots remains trusted.
func (b Bundle) At(dir string) Bundle {
	seen := func(file string) string { return path.Join(dir, filepath.Base(file)) } // containers have slashes wherever we run
	return Bundle{Root: seen(b.Root), Roots: seen(b.Roots), TrustStore: seen(b.TrustStore)}
}

// BundleIn names the files that WriteBundle writes into a directory.
func BundleIn(dir string, opts BundleOptions) Bundle {
	b := Bundle{
		Root:       filepath.Join(dir, "ca.pem"),
		Roots:      filepath.Join(dir, "ca.pem"),
		TrustStore: filepath.Join(dir, "truststore.p12"),
		NoRoots:    filepath.Join(dir, "none"),
	}
	if opts.SystemRoots {
		b.Roots = filepath.Join(dir, "roots.pem")
	}
	return b
}

// WriteBundle writes the bundle's files into dir, which it makes if need be.
func (a *Authority) WriteBundle(dir string, opts BundleOptions) (Bundle, error) {
	dir, err := filepath.Abs(dir) // programs get these names and may run in any directory
	if err != nil {
		return Bundle{}, fmt.Errorf("write the trust bundle: %w", err)
	}
	b := BundleIn(dir, opts)
	roots := []*x509.Certificate{a.ca.root}
	files := map[string][]byte{b.Root: a.RootPEM()}
	if opts.SystemRoots {
		system, certs, err := opts.systemRoots()
		if err != nil {
			return Bundle{}, err
		}
		roots = append(roots, certs...)
		files[b.Roots] = append(a.RootPEM(), system...)
	}
	// Neither encrypted nor with a MAC: what every Java reads, also in FIPS mode, with the
	// password or without. mssql-jdbc opens javax.net.ssl.trustStore itself with
	// encrypt=strict, and has no password for it (seen).
	entries := make([]pkcs12.TrustStoreEntry, len(roots))
	for i, root := range roots {
		entries[i] = pkcs12.TrustStoreEntry{Cert: root, FriendlyName: fmt.Sprintf("root-%d", i)} // unique: Java keeps one entry a name
	}
	if files[b.TrustStore], err = pkcs12.Passwordless.EncodeTrustStoreEntries(entries, ""); err != nil {
		return Bundle{}, fmt.Errorf("make a trust store for Java: %w", err)
	}
	if err := os.MkdirAll(b.NoRoots, 0o755); err != nil {
		return Bundle{}, fmt.Errorf("write the trust bundle: %w", err)
	}
	for name, data := range files {
		if err := file.Replace(name, bytes.NewReader(data), 0o644); err != nil {
			return Bundle{}, fmt.Errorf("write the trust bundle: %w", err)
		}
	}
	return b, nil
}

// rootFiles are where systems keep their roots as one PEM file: Debian, Fedora,
// openSUSE, RHEL, Alpine and macOS, FreeBSD (Go: crypto/x509/root_linux.go,
// root_bsd.go).
func rootFiles() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem",
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"/etc/ssl/cert.pem",
		"/usr/local/etc/ssl/cert.pem",
	}
}

func (o BundleOptions) systemRoots() (data []byte, certs []*x509.Certificate, err error) {
	files := o.places
	if files == nil {
		files = rootFiles()
	}
	if o.RootsFile != "" {
		files = []string{o.RootsFile}
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read this machine's trusted roots: %w", err)
		}
		if certs := parseRoots(data); len(certs) > 0 {
			return data, certs, nil
		}
		return nil, nil, fmt.Errorf("read this machine's trusted roots: %s holds no PEM certificate", file)
	}
	if o.RootsFile != "" {
		return nil, nil, fmt.Errorf("read this machine's trusted roots: %s does not exist", o.RootsFile)
	}
	return publicRoots()
}

// publicRoots are the roots that Mozilla trusts, but for those that it trusts no
// longer in certificates after a certain date: a file of roots cannot say that.
func publicRoots() (data []byte, certs []*x509.Certificate, err error) {
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		cert, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			return nil, nil, fmt.Errorf("read Mozilla's roots: %w", err)
		}
		data, certs = append(data, encodePEM(cert)...), append(certs, cert)
	}
	return data, certs, nil
}

// parseRoots reads the certificates of a PEM file and passes over what is none.
func parseRoots(data []byte) []*x509.Certificate {
	var certs []*x509.Certificate
	for rest := bytes.TrimSpace(data); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return certs
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			certs = append(certs, cert)
		}
	}
}
