package isolation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/gateway"
)

// OpenSSL looks a root up by the hash of its subject's name.
func TestSubjectHashIsOpenSSLs(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("WIEMU_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []pkix.Name{
		{CommonName: "wiemu root"},
		{CommonName: "  MIXED   Case\tand  Space ", Organization: []string{"Ærlig & Co", "second"}, Country: []string{"NO"}},
		{CommonName: "Ünïcode ÆØÅ", OrganizationalUnit: []string{"a@b"}},
	} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: subject, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		file := filepath.Join(dir, "roots.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		want, err := exec.Command("openssl", "x509", "-noout", "-subject_hash", "-in", file).Output()
		if err != nil {
			t.Fatal(err)
		}
		certs, err := writeCertDirectory(filepath.Join(dir, "certs"), file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(certs, strings.TrimSpace(string(want))+".0")); err != nil {
			entries, _ := os.ReadDir(certs)
			t.Errorf("%v: expected %s.0, found %v", subject, want, entries)
		}
	}
}

func question(t *testing.T, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	packed, err := message.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// Every name has an address of its own, in any case, and is found again by it.
func TestNames(t *testing.T) {
	n := newNames()
	ask := func(name string, kind dnsmessage.Type) dnsmessage.Message {
		t.Helper()
		var m dnsmessage.Message
		if err := m.Unpack(n.answer(question(t, name, kind))); err != nil {
			t.Fatal(err)
		}
		if m.ID != 7 || !m.Response || m.RCode != dnsmessage.RCodeSuccess || len(m.Questions) != 1 {
			t.Errorf("%s: %v", name, m)
		}
		return m
	}
	first := ask("Login.MicrosoftOnline.com.", dnsmessage.TypeA).Answers[0].Body.(*dnsmessage.AResource).A
	if again := ask("login.microsoftonline.com.", dnsmessage.TypeA).Answers[0].Body.(*dnsmessage.AResource).A; again != first {
		t.Errorf("%v and %v", first, again)
	}
	if other := ask("other.example.", dnsmessage.TypeA).Answers[0].Body.(*dnsmessage.AResource).A; other == first {
		t.Errorf("two names have %v", other)
	}
	if found := n.target(netip.AddrPortFrom(netip.AddrFrom4(first), 443)); found != "login.microsoftonline.com:443" {
		t.Error(found)
	}
	if found := n.target(netip.MustParseAddrPort("[2001:db8::1]:5432")); found != "[2001:db8::1]:5432" {
		t.Error(found)
	}
	if local := ask("localhost.", dnsmessage.TypeA).Answers[0].Body.(*dnsmessage.AResource).A; local != [4]byte{127, 0, 0, 1} {
		t.Error(local)
	}
	for _, kind := range []dnsmessage.Type{dnsmessage.TypeAAAA, dnsmessage.TypeMX, 65} {
		if m := ask("other.example.", kind); len(m.Answers) > 0 {
			t.Errorf("%v: %v", kind, m.Answers)
		}
	}
}

// A name that some resolver takes for an address does not exist: the lab's proxy
// would be led to that address.
func TestNamesThatAreAddresses(t *testing.T) {
	n := newNames()
	for _, name := range []string{
		"127.0.0.1.", "127.2.3.4.", "0.0.0.0.", "10.0.0.1.", "198.18.0.1.", "::1.", "::ffff:127.0.0.1.", "[::1].", "fe80::1%eth0.", "::.",
		"2130706433.", "127.1.", "127.0.1.", "0x7f.1.", "0x7f000001.", "0X7F000001.", "0177.0.0.1.", "017700000001.", "0x7f.0x0.0x0.0x1.", "0.", "0x.", "1.2.3.4.5.", "example.127.", "example.0x1.",
		"-bad.example.", "bad-.example.", "ba d.example.", "b\u00e4d.example.", "bad*.example.", ".",
	} {
		parsed, err := dnsmessage.NewName(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeHINFO} {
			var m dnsmessage.Message
			answer := n.answer(rawQuestion(t, parsed, kind))
			if err := m.Unpack(answer); err != nil {
				t.Fatalf("%q: answered %x: %v", name, answer, err)
			}
			if m.RCode != dnsmessage.RCodeNameError && m.RCode != dnsmessage.RCodeFormatError || len(m.Answers) > 0 || m.ID != 7 {
				t.Errorf("%q, %v: %v", name, kind, m)
			}
		}
	}
	if len(n.byName) > 0 {
		t.Errorf("addresses were given out: %v", n.byName)
	}
	for _, name := range []string{"example.com.", "a1.", "1a.", "x0x1.example.", "0xg.", "127.0.0.1.example.", "_ldap._tcp.example.", "xn--bcher-kva.example.", "localhost.", "db.localhost."} {
		if _, ok := n.address(name); !ok {
			t.Errorf("%s has no address", name)
		}
	}
}

// rawQuestion is a question for a name of any characters: labels on the wire may hold
// anything.
func rawQuestion(t *testing.T, name dnsmessage.Name, kind dnsmessage.Type) []byte {
	t.Helper()
	message := []byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for label := range strings.SplitSeq(strings.TrimSuffix(name.String(), "."), ".") {
		if label != "" {
			message = append(append(message, byte(len(label))), label...)
		}
	}
	return append(message, 0, byte(kind>>8), byte(kind), 0, 1)
}

// A label that holds dots is answered, and not with an address.
func TestNamesWithDotsInALabel(t *testing.T) {
	message := append([]byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 9}, "127.0.0.1\x00\x00\x01\x00\x01"...)
	var m dnsmessage.Message
	n := newNames()
	if err := m.Unpack(n.answer(message)); err != nil || m.RCode != dnsmessage.RCodeFormatError || len(m.Answers) > 0 || len(n.byName) > 0 {
		t.Errorf("%v, %v", m, err)
	}
}

func FuzzNamesAnswer(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05other\x07example\x00\x00\x01\x00\x01"))
	f.Add([]byte("\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x09127.0.0.1\x00\x00\x01\x00\x01"))
	f.Add([]byte("\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03::1\x00\x00\x01\x00\x01"))
	f.Fuzz(func(t *testing.T, message []byte) {
		answer := newNames().answer(message)
		if answer == nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(answer); err != nil || !m.Response {
			t.Fatalf("%x: answered %x: %v", message, answer, err)
		}
		if len(m.Answers) > 0 {
			name := strings.TrimSuffix(m.Questions[0].Name.String(), ".")
			if _, err := netip.ParseAddr(name); err == nil {
				t.Errorf("the address %s has an address", name)
			}
		}
	})
}

func TestParseAttempt(t *testing.T) {
	v4 := append([]byte{0x46, 0, 0, 0, 0, 0, 0, 0, 64, unix.IPPROTO_TCP, 0, 0, 10, 0, 0, 1, 192, 0, 2, 7, 1, 1, 1, 1}, 0x80, 0x00, 0x15, 0x38) // with an option
	v6 := append(append([]byte{0x60, 0, 0, 0, 0, 8, unix.IPPROTO_UDP, 64}, make([]byte, 16)...), append(netip.MustParseAddr("2001:db8::1").AsSlice(), 0, 53, 1, 187)...)
	for _, c := range []struct {
		packet []byte
		want   attempt
	}{
		{v4, attempt{gateway.AttemptTCP, 0x8000, netip.MustParseAddrPort("192.0.2.7:5432")}},
		{v6, attempt{gateway.AttemptUDP, 53, netip.MustParseAddrPort("[2001:db8::1]:443")}},
	} {
		if got, ok := parseAttempt(c.packet); !ok || got != c.want {
			t.Errorf("expected %v, found %v", c.want, got)
		}
		for n := range c.packet {
			if got, ok := parseAttempt(c.packet[:n]); ok {
				t.Errorf("%d bytes: %v", n, got)
			}
		}
	}
}

// A tunnel that has ended is not kept until the program ends.
func TestTunnelsAreForgotten(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer proxy.Close()
	s := &responder{proxy: proxy.Listener.Addr().String()}
	server, err := s.connect("example.com:443")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.conns.open) != 1 {
		t.Errorf("open: %v", s.conns.open)
	}
	if s.conns.drop(server); len(s.conns.open) != 0 {
		t.Errorf("still open: %v", s.conns.open)
	}
}

// A machine that forbids namespaces is told how to permit them.
func TestExplain(t *testing.T) {
	for cause, want := range map[error]string{
		unix.ENOSPC:               "user.max_user_namespaces",
		unix.EINVAL:               "CONFIG_USER_NS",
		errors.New("out of luck"): "could not set up the namespaces",
	} {
		err := explain("mount a tmpfs", cause)
		if !errors.Is(err, cause) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "without --isolate") || !strings.Contains(err.Error(), "wiemu doctor") {
			t.Errorf("%v: %v", cause, err)
		}
	}
	if err := explain(stepRefuse, unix.EINVAL); !strings.Contains(err.Error(), "CONFIG_SECCOMP_FILTER") {
		t.Error(err)
	}
	if err := explain("nothing", nil); err != nil {
		t.Error(err)
	}
}

// On a clock that may run fast resolvers are to wait long: 5 s are 8 ms at 600 times.
func TestResolversWaitLongOnTheLabClock(t *testing.T) {
	for labClock, want := range map[bool]string{false: "options attempts:1 timeout:2\n", true: "options attempts:5 timeout:30\n"} {
		dir := t.TempDir()
		roots := filepath.Join(dir, "roots.pem")
		if err := os.WriteFile(roots, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := newPlan(Options{Dir: dir, Tokens: dir, Roots: roots, LabClock: labClock}); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(filepath.Join(dir, "resolv.conf")); err != nil || !strings.HasSuffix(string(text), want) {
			t.Errorf("lab clock %v: %v, found %q", labClock, err, text)
		}
	}
}
