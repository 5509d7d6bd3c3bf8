package ca

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/wiemu/wiemu/emulator/clock"
)

func TestWriteBundle(t *testing.T) {
	a, other := open(t, "", clock.Running(), "a.test"), open(t, "", clock.Running(), "b.test")
	system := filepath.Join(t.TempDir(), "system.pem")
	broken := "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	if err := os.WriteFile(system, append([]byte("# a comment\n"+broken), other.RootPEM()...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		opts  BundleOptions
		roots []*x509.Certificate
	}{
		{"the lab alone", BundleOptions{}, []*x509.Certificate{a.ca.root}},
		{"the lab and the system", BundleOptions{SystemRoots: true, RootsFile: system}, []*x509.Certificate{a.ca.root, other.ca.root}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "bundle")
			var b Bundle
			for range 2 { // a second time over the first
				var err error
				if b, err = a.WriteBundle(dir, test.opts); err != nil {
					t.Fatal(err)
				}
			}
			if got := read(t, b.Root); !bytes.Equal(got, a.RootPEM()) {
				t.Errorf("%s holds %s", b.Root, got)
			}
			if got := parseRoots(read(t, b.Roots)); !slices.EqualFunc(got, test.roots, (*x509.Certificate).Equal) {
				t.Errorf("%s holds %d roots, want %d", b.Roots, len(got), len(test.roots))
			}
			stored, err := pkcs12.DecodeTrustStore(read(t, b.TrustStore), "")
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(stored, test.roots, (*x509.Certificate).Equal) {
				t.Errorf("%s holds %d roots, want %d", b.TrustStore, len(stored), len(test.roots))
			}
			if none, err := os.ReadDir(b.NoRoots); err != nil || len(none) > 0 {
				t.Errorf("%s: %v, %v; want an empty directory", b.NoRoots, none, err)
			}
			files, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if strings.HasPrefix(f.Name(), ".") {
					t.Errorf("left behind: %s", f.Name())
				}
			}
		})
	}
}

func TestWhereThereAreNoSystemRootsMozillasAreTrusted(t *testing.T) {
	a := open(t, "", clock.Running(), "a.test")
	b, err := a.WriteBundle(t.TempDir(), BundleOptions{SystemRoots: true, places: []string{filepath.Join(t.TempDir(), "none.pem")}})
	if err != nil {
		t.Fatal(err)
	}
	roots := parseRoots(read(t, b.Roots))
	if len(roots) < 100 || !roots[0].Equal(a.ca.root) {
		t.Errorf("%d roots, want the lab's and more than a hundred others", len(roots))
	}
	if !slices.ContainsFunc(roots, func(c *x509.Certificate) bool { return c.Subject.CommonName == "DigiCert Global Root G2" }) {
		t.Error("the root of login.microsoftonline.com is not among them")
	}
	if stored, err := pkcs12.DecodeTrustStore(read(t, b.TrustStore), ""); err != nil || len(stored) != len(roots) {
		t.Errorf("Java is given %d of %d roots: %v", len(stored), len(roots), err)
	}
	if root := read(t, b.Root); !bytes.Equal(root, a.RootPEM()) {
		t.Errorf("%s holds more than the lab's root", b.Root)
	}
}

func TestBundleAtAnotherDirectory(t *testing.T) {
	a := open(t, "", clock.Running(), "a.test")
	b, err := a.WriteBundle(t.TempDir(), BundleOptions{SystemRoots: true, places: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	want := Bundle{Root: "/run/trust/ca.pem", Roots: "/run/trust/roots.pem", TrustStore: "/run/trust/truststore.p12"}
	if got := b.At("/run/trust"); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestWriteBundleRefuses(t *testing.T) {
	a := open(t, "", clock.Running(), "a.test")
	dir := t.TempDir()
	empty, missing := filepath.Join(dir, "empty.pem"), filepath.Join(dir, "missing.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		dir  string
		opts BundleOptions
		want string
	}{
		"no system roots":     {dir, BundleOptions{SystemRoots: true, RootsFile: missing}, missing},
		"empty system roots":  {dir, BundleOptions{SystemRoots: true, RootsFile: empty}, empty + " holds no PEM certificate"},
		"a file in its place": {empty, BundleOptions{}, empty},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := a.WriteBundle(test.dir, test.opts); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one that says %q", err, test.want)
			}
		})
	}
}

func TestEnviron(t *testing.T) {
	b := Bundle{Root: "/lab/ca.pem", Roots: "/lab/roots.pem", TrustStore: "/my lab/truststore.p12", NoRoots: "/lab/none"}
	base := []string{
		"PATH=/bin", "CURL_CA_BUNDLE=/corporate.pem", "SSL_CERT_DIR=/corporate", "EMPTY=",
		"JAVA_TOOL_OPTIONS=-Xmx1g -Djavax.net.ssl.trustStore=/corporate.p12",
	}
	given := slices.Clone(base)
	got := b.Environ(base)
	for _, want := range []string{
		"PATH=/bin", "EMPTY=",
		"SSL_CERT_FILE=/lab/roots.pem", "SSL_CERT_DIR=/lab/none", "CURL_CA_BUNDLE=/lab/roots.pem",
		"REQUESTS_CA_BUNDLE=/lab/roots.pem", "NODE_EXTRA_CA_CERTS=/lab/ca.pem",
		`JAVA_TOOL_OPTIONS=-Xmx1g -Djavax.net.ssl.trustStore=/corporate.p12 "-Djavax.net.ssl.trustStore=/my lab/truststore.p12" ` +
			`-Djavax.net.ssl.trustStorePassword=changeit -Djavax.net.ssl.trustStoreType=PKCS12`,
	} {
		if !slices.Contains(got, want) {
			t.Errorf("missing: %s", want)
		}
	}
	seen := map[string]bool{}
	for _, v := range got {
		name, _, _ := strings.Cut(v, "=")
		if seen[name] {
			t.Errorf("%s is set twice", name)
		}
		seen[name] = true
	}
	if !slices.Equal(base, given) {
		t.Error("the caller's environment was changed")
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func BenchmarkWriteBundle(b *testing.B) {
	a := open(b, "", clock.Running(), "a.test")
	dir := b.TempDir()
	for _, opts := range []BundleOptions{{}, {SystemRoots: true}} {
		name := "alone"
		if opts.SystemRoots {
			name = "with system roots"
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := a.WriteBundle(dir, opts); err != nil {
					b.Skip(err)
				}
			}
		})
	}
}
