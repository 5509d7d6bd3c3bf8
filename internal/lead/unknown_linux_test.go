//go:build amd64 || arm64

package lead

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// A name has an address of its own if no resolver has an answer, and it may not be reached
// outside.
func TestNamesThatNoResolverKnows(t *testing.T) {
	gone, stream, err := listenBoth(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.Close()
	code := func(code dnsmessage.RCode) func(*dnsmessage.Message) {
		return func(m *dnsmessage.Message) { m.RCode = code }
	}
	resolvers := map[string]netip.AddrPort{
		"nobody":   gone.LocalAddr().(*net.UDPAddr).AddrPort(),
		"SERVFAIL": resolverThat(t, code(dnsmessage.RCodeServerFailure)),
		"REFUSED":  resolverThat(t, code(dnsmessage.RCodeRefused)),
		"rootless": resolverThat(t, code(dnsmessage.RCodeNameError)),
		"NXDOMAIN without a zone": resolverThat(t, func(m *dnsmessage.Message) {
			if m.Questions[0].Name.String() != "." {
				m.RCode = dnsmessage.RCodeNameError
			}
		}),
		"NXDOMAIN of a zone": resolverThat(t, func(m *dnsmessage.Message) {
			m.RCode = dnsmessage.RCodeNameError
			m.Authorities = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("."), Class: dnsmessage.ClassINET},
				Body:   &dnsmessage.SOAResource{NS: dnsmessage.MustNewName("a."), MBox: dnsmessage.MustNewName("b.")},
			}}
		}),
		"no data": resolverThat(t, code(dnsmessage.RCodeSuccess)),
		"knows":   otherResolver(t, netip.MustParseAddr("203.0.113.7")),
	}
	_ = gone.Close()
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	const addressA = "Success 127.77.128.1"
	for _, test := range []struct {
		resolver string
		name     string
		kind     dnsmessage.Type
		want     string
		search   string // of resolv.conf
	}{
		{resolver: "nobody", want: addressA},
		{resolver: "SERVFAIL", want: addressA},
		{resolver: "REFUSED", want: addressA},
		{resolver: "rootless", want: addressA},
		{resolver: "NXDOMAIN without a zone", want: "NameError"},
		{resolver: "NXDOMAIN of a zone", want: "NameError"},
		{resolver: "no data", want: "Success"},
		{resolver: "knows", want: "Success 203.0.113.7"},

		{resolver: "nobody", kind: dnsmessage.TypeAAAA, want: "Success"},
		{resolver: "SERVFAIL", kind: dnsmessage.TypeTXT, want: "ServerFailure"},
		{resolver: "REFUSED", kind: dnsmessage.TypeMX, want: "Refused"},
		{resolver: "rootless", kind: 65, want: "NameError"}, // HTTPS

		{resolver: "nobody", name: "intranet.", want: addressA},
		{resolver: "nobody", name: allowedName + ".", want: "ServerFailure"},
		{resolver: "rootless", name: allowedName + ".", want: "NameError"},
		{resolver: "nobody", name: "localhost.", want: "ServerFailure"},
		{resolver: "nobody", name: "web.localhost.", want: "ServerFailure"},
		{resolver: "nobody", name: own + ".", want: "ServerFailure"},
		{resolver: "nobody", name: own + ".example.test.", want: "ServerFailure"},
		{resolver: "nobody", name: "a b.example.test.", want: "ServerFailure"},

		// In a pod libc tries a name with every domain first.
		{resolver: "SERVFAIL", name: "www.example.test.shop.svc.cluster.local.", want: "NameError", search: "search shop.svc.cluster.local svc.cluster.local\noptions ndots:5"},
		{resolver: "SERVFAIL", name: "www.example.test.", want: addressA, search: "search shop.svc.cluster.local svc.cluster.local\noptions ndots:5"},
		{resolver: "SERVFAIL", name: "db.shop.svc.cluster.local.", want: "ServerFailure", search: "search shop.svc.cluster.local svc.cluster.local\noptions ndots:5"},
		{resolver: "SERVFAIL", name: "db.example.com.", want: "ServerFailure", search: "domain example.com."},
		{resolver: "SERVFAIL", name: "www.db.example.com.", want: addressA, search: "domain example.com."},
	} {
		a := newAnswerers(newNames(emulated), func(host string) bool { return host == allowedName })
		a.config = func() resolverConfig { return parseResolverConfig(test.search) }
		name, kind := test.name, test.kind
		if name == "" {
			name = "www.example.test."
		}
		if kind == 0 {
			kind = dnsmessage.TypeA
		}
		at, err := a.at(resolvers[test.resolver])
		if err != nil {
			t.Fatal(err)
		}
		for _, network := range []string{"udp", "tcp", "udp"} { // the last one from memory
			answer, err := ask(t.Context(), query(t, name, kind), at, network)
			if err != nil {
				t.Fatal(err)
			}
			if found := described(t, answer); found != test.want {
				t.Errorf("%s about %s %v by %s: found %s, want %s", test.resolver, name, kind, network, found, test.want)
			}
		}
	}
}

// Every resolver of resolv.conf has to fail before a name is unknown: programs ask one
// after the other.
func TestOtherResolversAreAskedFirst(t *testing.T) {
	fails := func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeServerFailure }
	first, second, own := resolverThat(t, fails), resolverThat(t, fails), resolverThat(t, fails)
	knows := otherResolver(t, netip.MustParseAddr("203.0.113.7"))
	const servfail, known, unknown = "ServerFailure", "Success 203.0.113.7", "Success 127.77.128.1"
	for _, test := range []struct {
		name   string
		listed []netip.AddrPort
		asked  []netip.AddrPort
		want   []string
	}{
		{"both fail", []netip.AddrPort{first, second}, []netip.AddrPort{first, second, first}, []string{servfail, unknown, unknown}},
		{"the second one knows", []netip.AddrPort{first, knows}, []netip.AddrPort{first, knows, first}, []string{servfail, known, servfail}},
		{"one that is not listed", []netip.AddrPort{first, second}, []netip.AddrPort{own}, []string{unknown}},
	} {
		a := newAnswerers(newNames(emulated), func(string) bool { return false })
		a.config = func() resolverConfig {
			return resolverConfig{resolvers: test.listed, dots: 1, timeout: maxForwardTimeout}
		}
		var found []string
		for _, resolver := range test.asked {
			at, err := a.at(resolver)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := ask(t.Context(), query(t, "www.example.test.", dnsmessage.TypeA), at, "udp")
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, described(t, answer))
		}
		if !slices.Equal(found, test.want) {
			t.Errorf("%s: found %q, want %q", test.name, found, test.want)
		}
	}
}

// A question that was lost is asked again, and so is one that failed, before a name is
// unknown.
func TestALostQuestionIsAskedAgain(t *testing.T) {
	var questions atomic.Int32
	silent, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	go func() {
		buffer := make([]byte, 1024)
		for {
			n, from, err := silent.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			if questions.Add(1) == 2 {
				buffer[2] |= 0x80 // a response
				_, _ = silent.WriteToUDPAddrPort(buffer[:n], from)
			}
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	short, cancelShort := context.WithTimeout(ctx, 6*time.Second) // wall time: half of it is waited
	defer cancelShort()
	if _, err := ask(short, query(t, "www.example.test.", dnsmessage.TypeA), silent.LocalAddr().(*net.UDPAddr).AddrPort(), "udp"); err != nil {
		t.Errorf("after a lost question: %v", err)
	}

	var failures atomic.Int32
	once := resolverThat(t, func(m *dnsmessage.Message) {
		if failures.Add(1) == 1 {
			m.RCode = dnsmessage.RCodeServerFailure
		}
	})
	a := newAnswerers(newNames(emulated), func(string) bool { return false })
	a.config = func() resolverConfig { return parseResolverConfig("") }
	at, err := a.at(once)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := ask(ctx, query(t, "www.example.test.", dnsmessage.TypeA), at, "udp")
	if err != nil {
		t.Fatal(err)
	}
	if found := described(t, answer); found != "Success" {
		t.Errorf("after a failure: found %s, want what it answered then", found)
	}
}

func TestResolverConfig(t *testing.T) {
	for _, test := range []struct {
		text string
		want string
	}{
		{"", "127.0.0.1:53; ; 1; 4s"},
		{"# nameserver 192.0.2.1\n;nameserver 192.0.2.2\nnameserver\nnameserver nonsense\n", "127.0.0.1:53; ; 1; 4s"},
		{"nameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver ::ffff:192.0.2.3\nnameserver 192.0.2.4\n", "192.0.2.1:53 [fe80::1]:53 192.0.2.3:53; ; 1; 4s"},
		{"search a.example B.Example.\ndomain c.example\noptions rotate ndots:5 timeout:1 attempts:3\n", "127.0.0.1:53; c.example; 5; 800ms"},
		{"search a.example B.Example.\noptions ndots:x timeout:-1 timeout:30\n", "127.0.0.1:53; a.example b.example; 1; 4s"},
	} {
		c := parseResolverConfig(test.text)
		var resolvers []string
		for _, r := range c.resolvers {
			resolvers = append(resolvers, r.String())
		}
		found := strings.Join([]string{strings.Join(resolvers, " "), strings.Join(c.search, " "), string('0' + byte(c.dots)), c.timeout.String()}, "; ")
		if found != test.want {
			t.Errorf("%q: found %s, want %s", test.text, found, test.want)
		}
	}
}
