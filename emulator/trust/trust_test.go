package trust

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

func open(t testing.TB, dir string, clk clock.Clock, names ...string) *Authority {
	t.Helper()
	a, err := Open(dir, clk, Options{Names: names})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// handshake is the certificate that a client gets which asks for the name.
func handshake(t testing.TB, a *Authority, name string) *tls.Certificate {
	t.Helper()
	cert, err := a.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// verify checks a served chain as a client does that trusts the root alone.
func verify(a *Authority, cert *tls.Certificate, name string, at time.Time) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(a.RootPEM())
	for _, der := range cert.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		intermediates.AddCert(c)
	}
	_, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: intermediates, CurrentTime: at})
	return err
}

func TestWhatIsServed(t *testing.T) {
	a, err := Open("", clock.Running(), Options{
		Names: []string{"login.microsoftonline.com", ".Vault.azure.net", "10.9.8.7"},
		IPs:   []netip.Addr{netip.MustParseAddr("::ffff:10.9.8.8")},
	})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("a", 63) + ".vault.azure.net"
	for _, test := range []struct {
		asked, verified string
	}{
		{"login.microsoftonline.com", "login.microsoftonline.com"},
		{"LOGIN.MicrosoftOnline.com", "login.microsoftonline.com"},
		{"mykeyvault.vault.azure.net", "mykeyvault.vault.azure.net"},
		{"a.privatelink.vault.azure.net", "a.privatelink.vault.azure.net"},
		{long, long},
		{"localhost", "localhost"},
		{"", "localhost"},
		{"", "127.0.0.1"},
		{"", "::1"},
		{"", "10.9.8.7"},
		{"", "10.9.8.8"},
		{"example.com", "localhost"},
		{"vault.azure.net", "localhost"},
		{"..vault.azure.net", "localhost"},
		{"a b.vault.azure.net", "localhost"},
	} {
		cert := handshake(t, a, test.asked)
		if err := verify(a, cert, test.verified, time.Now()); err != nil {
			t.Errorf("asked for %q: %v", test.asked, err)
		}
		if len(cert.Certificate) != 2 {
			t.Errorf("asked for %q: %d certificates, want leaf and intermediate", test.asked, len(cert.Certificate))
		}
		if again := handshake(t, a, test.asked); again != cert {
			t.Errorf("asked for %q twice: two certificates", test.asked)
		}
		if test.asked != "" && !strings.EqualFold(test.asked, test.verified) == a.Permits(test.asked) {
			t.Errorf("Permits(%q) is %t", test.asked, a.Permits(test.asked))
		}
	}
	for _, host := range []string{"127.0.0.1", "[::1]", "10.9.8.7", "localhost", "login.microsoftonline.com."} {
		if !a.Permits(host) {
			t.Errorf("%s is not permitted", host)
		}
	}
	for _, host := range []string{"127.0.0.2", "10.9.8.6", "", "example.com", "vault.azure.net", "xvault.azure.net"} {
		if a.Permits(host) {
			t.Errorf("%s is permitted", host)
		}
	}
}

// Whoever gets hold of the intermediate's key can do nothing with it elsewhere.
func TestTheConstraintsHold(t *testing.T) {
	a := open(t, "", clock.Running(), "login.microsoftonline.com", ".vault.azure.net")
	for what, change := range map[string]func(*x509.Certificate){
		"another name":        func(c *x509.Certificate) { c.DNSNames = []string{"example.com"} },
		"a parent":            func(c *x509.Certificate) { c.DNSNames = []string{"microsoftonline.com"} },
		"one good, one bad":   func(c *x509.Certificate) { c.DNSNames = []string{"login.microsoftonline.com", "example.com"} },
		"another address":     func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)} },
		"an IPv6 address":     func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP("2001:db8::1")} },
		"a mail address":      func(c *x509.Certificate) { c.EmailAddresses = []string{"someone@example.com"} },
		"a SPIFFE identity":   func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.com", Path: "/x"}} },
		"a client":            func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} },
		"the signing of code": func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} },
	} {
		t.Run(what, func(t *testing.T) {
			template := *handshake(t, a, "login.microsoftonline.com").Leaf
			change(&template)
			leaf, err := certify(&template, a.ca.intermediate, a.key.Public(), a.ca.key)
			if err != nil {
				t.Fatal(err)
			}
			roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
			roots.AddCert(a.Root())
			intermediates.AddCert(a.ca.intermediate)
			if _, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, KeyUsages: leaf.ExtKeyUsage}); err == nil {
				t.Error("verified")
			}
			if _, err = leaf.Verify(x509.VerifyOptions{Roots: intermediates, KeyUsages: leaf.ExtKeyUsage}); err == nil {
				t.Error("verified by a client that trusts the intermediate")
			}
		})
	}
}

// The clocks of a lab and of the machine may be far apart, either way.
func TestLeavesFollowBothClocks(t *testing.T) {
	const name = "login.microsoftonline.com"
	year := 365 * 24 * time.Hour
	for _, test := range []struct {
		name       string
		lab        time.Duration // from wall time, at the start
		jump, wait time.Duration // of the lab clock, and of both
		again      bool          // is another certificate expected
	}{
		{"nothing moves", 0, 0, 0, false},
		{"an hour later", 0, time.Hour, 0, false},
		{"five days later", 0, 5 * 24 * time.Hour, 0, false},
		{"near the end", 0, 6*24*time.Hour + time.Minute, 0, true},
		{"a year later", 0, year, 0, true},
		{"a year behind, then the present", -year, year, 0, false},
		{"a year behind, then seven days later", -year, 0, 6*24*time.Hour + time.Hour, true},
		{"a century, nearly", 0, 72 * year, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(26 * year) // of the bubble's time, which begins where the CA begins
				lab := clock.Stopped(time.Now().Add(test.lab))
				a := open(t, "", lab, name)
				before := handshake(t, a, name)
				time.Sleep(test.wait)
				if err := lab.Advance(t.Context(), test.jump+test.wait); err != nil {
					t.Fatal(err)
				}
				after := handshake(t, a, name)
				if again := before != after; again != test.again {
					t.Errorf("a new certificate: %t, want %t", again, test.again)
				}
				for clock, now := range map[string]time.Time{"lab": lab.Now(), "wall": time.Now()} {
					for _, at := range []time.Time{now, now.Add(-12 * time.Hour), now.Add(24 * time.Hour)} {
						if err := verify(a, after, name, at); err != nil {
							t.Errorf("on the %s clock: %v", clock, err)
						}
					}
				}
			})
		})
	}
}

func TestTheEdgesOfTime(t *testing.T) {
	for _, test := range []struct {
		at   time.Time
		want string
	}{
		{caNotBefore, ""},
		{caNotAfter, ""},
		{caNotBefore.Add(-time.Second), "1999-12-31"},
		{caNotAfter.Add(time.Second), "2100-01-01"},
	} {
		a := open(t, "", clock.Stopped(test.at), "a.test")
		cert, err := a.GetCertificate(&tls.ClientHelloInfo{ServerName: "a.test"})
		switch {
		case test.want == "" && err != nil:
			t.Errorf("at %v: %v", test.at, err)
		case test.want == "" && handshake(t, a, "a.test") != cert:
			t.Errorf("at %v: made again at every handshake", test.at)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("at %v: error %v, want one that says %s", test.at, err, test.want)
		}
	}
}

func TestOpenAgain(t *testing.T) {
	first := []string{"login.microsoftonline.com", ".vault.azure.net"}
	for _, test := range []struct {
		name   string
		names  []string
		ips    []netip.Addr
		damage func(t *testing.T, file string)
		why    string // part of Renewed; "": the CA is kept
	}{
		{name: "the same names", names: first},
		{name: "fewer names", names: first[:1]},
		{name: "a name below a permitted one", names: []string{"a.vault.azure.net"}},
		{name: "another name", names: append(first, "graph.microsoft.com"), why: "does not permit graph.microsoft.com"},
		{name: "another suffix", names: []string{".azure.net"}, why: "does not permit azure.net"},
		{name: "an address", names: first, ips: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, why: "does not permit 10.0.0.1"},
		{name: "an empty file", names: first, damage: truncate(0), why: "is no CA"},
		{name: "half a file", names: first, damage: truncate(900), why: "is no CA"},
		{name: "no key", names: first, damage: truncate(-20), why: "expected a private key"},
		{name: "another's key", names: first, damage: swapKey, why: "not the intermediate's"},
		{name: "another's root", names: first, damage: swapRoot, why: "not the root's"},
		{name: "loose permissions", names: first, damage: func(t *testing.T, file string) {
			if err := os.Chmod(file, 0o644); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "ca")
			before := open(t, dir, clock.Running(), first...)
			if before.Renewed() != "" {
				t.Errorf("the first CA: renewed: %s", before.Renewed())
			}
			file := filepath.Join(dir, authorityFile)
			if test.damage != nil {
				test.damage(t, file)
			}
			after, err := Open(dir, clock.Running(), Options{Names: test.names, IPs: test.ips})
			if err != nil {
				t.Fatal(err)
			}
			kept := bytes.Equal(before.RootPEM(), after.RootPEM())
			if kept != (test.why == "") || !strings.Contains(after.Renewed(), test.why) || (after.Renewed() == "") != kept {
				t.Errorf("kept: %t; renewed: %q; want %q", kept, after.Renewed(), test.why)
			}
			if !kept && !strings.Contains(after.Renewed(), file) {
				t.Errorf("%q does not name the file", after.Renewed())
			}
			name := strings.TrimPrefix(test.names[0], ".")
			if name != test.names[0] {
				name = "x." + name
			}
			if err := verify(after, handshake(t, after, name), name, time.Now()); err != nil {
				t.Error(err)
			}
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", file, info.Mode())
			}
			if again := open(t, dir, clock.Running(), test.names...); again.Renewed() != "" {
				t.Errorf("opened once more: renewed: %s", again.Renewed())
			}
		})
	}
}

func truncate(size int64) func(*testing.T, string) {
	return func(t *testing.T, file string) {
		if size < 0 {
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			size += info.Size()
		}
		if err := os.Truncate(file, size); err != nil {
			t.Fatal(err)
		}
	}
}

// swapKey and swapRoot put a part of another CA in place of the file's own.
func swapKey(t *testing.T, file string) {
	parts(t, file, func(own, other [][]byte) { own[2] = other[2] })
}

func swapRoot(t *testing.T, file string) {
	parts(t, file, func(own, other [][]byte) { own[0] = other[0] })
}

func parts(t *testing.T, file string, change func(own, other [][]byte)) {
	t.Helper()
	other := t.TempDir()
	open(t, other, clock.Running(), "login.microsoftonline.com", ".vault.azure.net")
	read := func(file string) (blocks [][]byte) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq(string(data), "-----BEGIN ") {
			if part != "" {
				blocks = append(blocks, []byte("-----BEGIN "+part))
			}
		}
		return blocks
	}
	own := read(file)
	change(own, read(filepath.Join(other, authorityFile)))
	if err := os.WriteFile(file, bytes.Join(own, nil), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "blocked")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	aDirectory := t.TempDir()
	if err := os.Mkdir(filepath.Join(aDirectory, authorityFile), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, dir string
		opts      Options
		want      []string
	}{
		{"a wildcard", "", Options{Names: []string{"*.vault.azure.net"}}, []string{`"*.vault.azure.net"`, "suffix such as .vault.azure.net"}},
		{"a name with a port", "", Options{Names: []string{"login.microsoftonline.com:443"}}, []string{"login.microsoftonline.com:443"}},
		{"no name", "", Options{Names: []string{""}}, []string{`""`}},
		{"every name", "", Options{Names: []string{"."}}, []string{`"."`}},
		{"an address that is not set", "", Options{IPs: []netip.Addr{{}}}, []string{"IP addresses"}},
		{"a file for a directory", blocked, Options{}, []string{blocked}},
		{"a directory for a file", aDirectory, Options{}, []string{filepath.Join(aDirectory, authorityFile), "delete it"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(test.dir, clock.Running(), test.opts)
			if err == nil {
				t.Fatal("opened")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

// A failing disk leaves neither half a CA nor a temporary file.
func TestStoreFails(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, authorityFile), 0o700); err != nil {
			t.Fatal(err)
		}
		made, err := makeCA(names{})
		if err != nil {
			t.Fatal(err)
		}
		if err := store(dir, made); err == nil {
			t.Error("a directory was replaced")
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".authority*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, clock.Running(), Options{}); !errors.Is(err, os.ErrPermission) {
		t.Errorf("error %v", err)
	}
}

func TestParallelOpensAgree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	var roots sync.Map
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			a, err := Open(dir, clock.Running(), Options{Names: []string{"a.test"}})
			if err != nil {
				t.Error(err)
				return
			}
			roots.Store(string(a.RootPEM()), true)
		})
	}
	all.Wait()
	count := 0
	roots.Range(func(any, any) bool { count++; return true })
	if count != 1 {
		t.Errorf("%d CAs", count)
	}
}

func TestStrangersCannotFillTheMemory(t *testing.T) {
	a := open(t, "", clock.Running(), ".vault.azure.net")
	for i := range maxLeaves + 10 {
		handshake(t, a, strings.Repeat("a", i%60+1)+"."+strings.Repeat("b", i/60+1)+".vault.azure.net")
	}
	if len(a.leaves) > maxLeaves {
		t.Errorf("%d certificates are kept", len(a.leaves))
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	open(b, dir, clock.Running(), "login.microsoftonline.com", ".vault.azure.net")
	for b.Loop() {
		open(b, dir, clock.Running(), "login.microsoftonline.com", ".vault.azure.net")
	}
}

func BenchmarkMake(b *testing.B) {
	for b.Loop() {
		open(b, "", clock.Running(), "login.microsoftonline.com", ".vault.azure.net")
	}
}

func BenchmarkGetCertificate(b *testing.B) {
	a := open(b, "", clock.Running(), "login.microsoftonline.com")
	hello := &tls.ClientHelloInfo{ServerName: "login.microsoftonline.com"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.GetCertificate(hello); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLeaf(b *testing.B) {
	a := open(b, "", clock.Running(), "login.microsoftonline.com")
	for b.Loop() {
		clear(a.leaves)
		handshake(b, a, "login.microsoftonline.com")
	}
}
