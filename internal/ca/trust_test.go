package ca

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"net/url"
	"strings"
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
			roots.AddCert(a.ca.root)
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
