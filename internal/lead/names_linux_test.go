//go:build amd64 || arm64

package lead

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/internal/hostname"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// query is a question.
func query(t *testing.T, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 4711, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	data, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// described is an answer in a few words.
func described(t *testing.T, answer []byte) string {
	t.Helper()
	if answer == nil {
		return "nothing"
	}
	var m dnsmessage.Message
	if err := m.Unpack(answer); err != nil {
		t.Fatal(err)
	}
	if !m.Response || m.ID != 4711 || !m.RecursionAvailable {
		t.Errorf("header %+v", m.Header)
	}
	words := []string{strings.TrimPrefix(m.RCode.String(), "RCode")}
	for _, r := range m.Answers {
		ip := netip.Addr{}
		switch body := r.Body.(type) {
		case *dnsmessage.AResource:
			ip = netip.AddrFrom4(body.A)
		case *dnsmessage.AAAAResource:
			ip = netip.AddrFrom16(body.AAAA)
		}
		if r.Header.TTL != 60 && !unknownAddresses.Contains(ip.Unmap()) {
			t.Errorf("TTL %d", r.Header.TTL)
		}
		words = append(words, ip.String())
	}
	return strings.Join(words, " ")
}

func TestNames(t *testing.T) {
	for _, test := range []struct {
		name    string
		kind    dnsmessage.Type
		sixOnly bool
		want    string
	}{
		{"login.example.test.", dnsmessage.TypeA, false, "Success 127.77.0.10"},
		{"LOGIN.Example.Test.", dnsmessage.TypeA, false, "Success 127.77.0.10"},
		{"login.example.test.", dnsmessage.TypeAAAA, false, "Success"},
		{"login.example.test.", dnsmessage.TypeAAAA, true, "Success ::ffff:127.77.0.10"},
		{"login.example.test.", dnsmessage.TypeA, true, "Success 127.77.0.10"},
		{"login.example.test.", 65, false, "Success"}, // HTTPS
		{"LOGIN.Example.test.", dnsmessage.TypeA, false, "Success 127.77.0.10"},
		{"log\u0130n.example.test.", dnsmessage.TypeA, false, "nothing"},
		{"a.vault.example.test.", dnsmessage.TypeA, false, "Success 127.77.0.11"},
		{"a.b.vault.example.test.", dnsmessage.TypeA, false, "Success 127.77.0.11"},
		{"a-.vault.example.test.", dnsmessage.TypeA, false, "nothing"}, // DNS carries these, and hosts have no such names
		{"a b.vault.example.test.", dnsmessage.TypeA, false, "nothing"},
		{"vault.example.test.", dnsmessage.TypeA, false, "nothing"},
		{"avault.example.test.", dnsmessage.TypeA, false, "nothing"},
		{"login.example.test.example.com.", dnsmessage.TypeA, false, "nothing"},
		{".", dnsmessage.TypeNS, false, "nothing"},
	} {
		n := newNames([]string{"login.example.test", ".vault.example.test"})
		found := described(t, n.answer(query(t, test.name, test.kind), func() bool { return test.sixOnly }))
		if found != test.want {
			t.Errorf("%s %v (only IPv6: %v): found %s, want %s", test.name, test.kind, test.sixOnly, found, test.want)
		}
	}
}

// Every name has an address of its own. When there are no more, the oldest are given again,
// but for those of whole names.
func TestAddressesOfNames(t *testing.T) {
	n := newNames([]string{"login.example.test", ".example.test"})
	whole, first := n.address("login.example.test"), n.address("0.example.test")
	for i := range 1<<15 - 16 {
		name := fmt.Sprintf("%d.example.test", i+1)
		a := n.address(name)
		if found, _ := n.name(a); found != name || a == whole || a == first || a != n.address(name) {
			t.Fatalf("%s has the address %v, which is %q's", name, a, found)
		}
	}
	for i := range 16 {
		n.address(fmt.Sprintf("late-%d.example.test", i))
	}
	if name, _ := n.name(first); !strings.HasPrefix(name, "late-") {
		t.Errorf("the oldest address is still %q's", name)
	}
	if name, _ := n.name(whole); name != "login.example.test" || n.address(name) != whole {
		t.Errorf("the address of a whole name is %q's now", name)
	}
	if found := len(n.given.byName); found != len(n.given.byAddr) {
		t.Errorf("%d names have %d addresses", found, len(n.given.byAddr))
	}
}

// What is no question is none of ours, whatever it is.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05login\x07example\x04test\x00\x00\x01\x00\x01"))
	f.Add([]byte("\x12\x34\x81\x00\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xcb\x00\x71\x07"))
	f.Fuzz(func(t *testing.T, message []byte) {
		n := newNames([]string{"login.example.test", ".example.test"})
		for _, answer := range [][]byte{n.answer(message, func() bool { return true }), codeOnly(message, dnsmessage.RCodeServerFailure)} {
			if answer == nil {
				continue
			}
			var p dnsmessage.Parser
			if h, err := p.Start(answer); err != nil || !h.Response || answer[0] != message[0] || answer[1] != message[1] {
				t.Fatalf("%x is answered by %x", message, answer)
			}
		}
		n.learn(message)
		for name := range n.given.byName {
			if !hostname.IsName(name) {
				t.Fatalf("%q has an address", name)
			}
		}
	})
}

func TestOnlyIPv6(t *testing.T) {
	for _, test := range []struct {
		addresses string
		want      bool
	}{
		{"127.0.0.1 ::1", false},
		{"127.0.0.1 ::1 2001:db8::1", true},
		{"127.0.0.1 ::1 2001:db8::1 192.0.2.1", false},
		{"192.0.2.1", false},
	} {
		var ips []netip.Addr
		for word := range strings.FieldsSeq(test.addresses) {
			ips = append(ips, netip.MustParseAddr(word))
		}
		if found := onlySix(ips); found != test.want {
			t.Errorf("%s: found %v", test.addresses, found)
		}
	}
}

// everybody may be reached.
func everybody(string) bool { return true }

// otherResolver answers every question about an A record with an address, by UDP and TCP.
func otherResolver(t *testing.T, ip netip.Addr) netip.AddrPort {
	t.Helper()
	return resolverThat(t, func(m *dnsmessage.Message) {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 60},
			Body:   &dnsmessage.AResource{A: ip.As4()},
		}}
	})
}

// resolverThat does something with every question to make an answer of it, by UDP and TCP.
func resolverThat(t *testing.T, does func(*dnsmessage.Message)) netip.AddrPort {
	t.Helper()
	packets, stream, err := listenBoth(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = packets.Close(); _ = stream.Close() })
	answer := func(query []byte) []byte {
		var m dnsmessage.Message
		if m.Unpack(query) != nil {
			return nil
		}
		m.Response, m.RecursionAvailable = true, true
		does(&m)
		data, _ := m.Pack()
		return data
	}
	go func() {
		buffer := make([]byte, 1024)
		for {
			n, from, err := packets.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			_, _ = packets.WriteToUDPAddrPort([]byte("nonsense"), from) // of another, who guesses
			_, _ = packets.WriteToUDPAddrPort(answer(buffer[:n]), from)
		}
	}()
	go func() {
		for {
			conn, err := stream.Accept()
			if err != nil {
				return
			}
			if query, err := readStream(conn); err == nil {
				_ = writeStream(conn, answer(query))
			}
			_ = conn.Close()
		}
	}()
	return packets.LocalAddr().(*net.UDPAddr).AddrPort()
}

// What is not emulated is asked of the resolver that was meant, and its answer tells whose
// an address is.
func TestOtherNamesAreForwarded(t *testing.T) {
	ip := netip.MustParseAddr("203.0.113.7")
	n := newNames([]string{"login.example.test"})
	a := newAnswerers(n, everybody)
	meant := otherResolver(t, ip)
	at, err := a.at(meant)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := a.at(meant); err != nil || again != at {
		t.Errorf("the same resolver has two answerers: %v and %v, %v", at, again, err)
	}
	if back, ok := a.resolver(at); !ok || back != meant {
		t.Errorf("the answerer is for %v, want %v", back, meant)
	}
	if n.host(ip) != "203.0.113.7" {
		t.Errorf("an address without a name is called %s", n.host(ip))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, network := range []string{"udp", "tcp"} {
		for name, want := range map[string]string{"www.example.test.": "Success 203.0.113.7", "login.example.test.": "Success 127.77.0.10"} {
			answer, err := ask(ctx, query(t, name, dnsmessage.TypeA), at, network)
			if err != nil {
				t.Fatal(err)
			}
			if found := described(t, answer); found != want {
				t.Errorf("%s by %s: found %s, want %s", name, network, found, want)
			}
		}
	}
	if n.host(netip.MustParseAddr("::ffff:203.0.113.7")) != "www.example.test" {
		t.Errorf("the address is called %s", n.host(ip))
	}
}

// A question by TCP counts as one from the moment in which the program has sent it until the answer
// is with it: who waits for that meanwhile is not at rest. (That of UDP does by a single socket.)
func TestQuestionsByTCPAreSeen(t *testing.T) {
	a := newAnswerers(newNames([]string{"login.example.test"}), everybody)
	at, err := a.at(netip.MustParseAddrPort("192.0.2.1:53"))
	if err != nil {
		t.Fatal(err)
	}
	question := query(t, "login.example.test.", dnsmessage.TypeA)
	for n := range 300 {
		conn, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := writeStream(conn, question); err != nil {
				t.Fatal(err)
			}
			for answered := false; !answered; {
				isBusy := a.isBusy()
				if answered = hasArrived(raw); !answered && !isBusy {
					t.Fatalf("connection %d: nobody knows of a question that has no answer", n)
				}
			}
			if _, err := readStream(conn); err != nil {
				t.Fatal(err)
			}
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for a.isBusy() { // the test's time-out tells that it is for ever
		time.Sleep(time.Millisecond)
	}
}

// The same of an answer that the program waits for in a call of its own: it is taken from the socket
// for it, and with the program a little later.
func TestAnAnswerOnItsWayIsSeen(t *testing.T) {
	n, err := NewNetwork(Options{}, func(Unled) {})
	if err != nil {
		t.Fatal(err)
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(ends[0]) }()
	n.waiting[ends[1]] = true
	atRest := func() { // what takes connections is busy for a moment when it begins
		for n.Busy() { // the test's time-out tells that it is for ever
			time.Sleep(time.Millisecond)
		}
	}
	atRest()
	if _, err := unix.Write(ends[0], []byte("answer")); err != nil {
		t.Fatal(err)
	}
	if !n.Busy() {
		t.Error("it is not busy with an answer in the socket")
	}
	var seen []string
	n.waitOn(ends[1], func() bool { return true }, func() verdict {
		buffer := make([]byte, 10)
		size, err := unix.Read(ends[1], buffer)
		if err != nil {
			t.Error(err)
		}
		seen = append(seen, fmt.Sprint("taken, busy: ", n.Busy()))
		return verdict{value: int64(size)}
	}, func(v verdict) { seen = append(seen, fmt.Sprint("answered with ", v.value, ", busy: ", n.Busy())) })
	if want := []string{"taken, busy: true", "answered with 6, busy: true"}; !slices.Equal(seen, want) {
		t.Errorf("found %q, want %q", seen, want)
	}
	atRest()
}
