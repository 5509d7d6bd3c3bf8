package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/lead/handover"
)

// testProgram is whom the led connections of these tests are said to be of.
var testProgram = journal.Program{PID: 4711, Executable: "/usr/bin/node", Name: "node"}

// supervisor leads connections to a gateway.
type supervisor struct{ *handover.Client }

func supervise(t *testing.T, g *Gateway) supervisor {
	t.Helper()
	c, err := handover.Dial(g.HandoverAddress())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the gateway may have closed it
	return supervisor{c}
}

// dial returns a program's end of a connection that was handed over.
func (s supervisor) dial(_ context.Context, _, address string) (net.Conn, error) {
	t, err := parseTarget(address)
	if err != nil {
		return nil, err
	}
	program, ours, err := connected()
	if err != nil {
		return nil, err
	}
	if err := s.Accept(ours, handover.Target{Host: t.host, Port: t.port}, testProgram); err != nil {
		return nil, errors.Join(err, program.Close())
	}
	return program, nil
}

// connected returns both ends of a connection of TCP.
func connected() (program net.Conn, ours *os.File, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if program, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	conn, err := l.Accept()
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	ours, err = conn.(*net.TCPConn).File()
	return program, ours, err
}

// client is a program's that knows nothing of proxies.
func (s supervisor) client(t *testing.T, authority *ca.Authority) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.RootPEM())
	transport := &http.Transport{DialContext: s.dial, TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func TestLedConnections(t *testing.T) {
	j, err := journals.New(clock.Running(), journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	records := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := journal.Event{Kind: journal.Access, Outcome: journal.Granted, Host: r.Host}
		faults.Note(r.Context(), &e)
		j.Record(e)
		_, _ = io.WriteString(w, "hello")
	})
	g, authority := started(t, Config{
		Journal: j, Routes: []hostmux.Route{{Hosts: []string{"login.microsoftonline.com", ".vault.azure.net"}, Handler: records}},
		Streams: []hostmux.Stream{{Hosts: []string{".database.windows.net"}, Ports: []uint16{1433, 11000}, Serve: func(_ context.Context, c *hostmux.Connection) {
			_, _ = fmt.Fprintf(c, "you are at %s, port %d", c.Host, c.Port)
		}}},
	})
	s := supervise(t, g)
	last := func() journal.Event {
		t.Helper()
		all := j.Events()
		if len(all) == 0 {
			t.Fatal("expected an event, found none")
		}
		return all[len(all)-1]
	}

	for _, host := range []string{"login.microsoftonline.com", "myvault.vault.azure.net"} {
		answer, err := s.client(t, authority).Get("https://" + host + "/")
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("%s: expected 200, found %d, %v", host, answer.StatusCode, err)
		}
		if e := last(); e.Host != host || e.Program == nil || *e.Program != testProgram {
			t.Errorf("%s: expected an event that names the program, found one of %s with %v", host, e.Host, e.Program)
		}
	}

	conn, err := s.dial(t.Context(), "tcp", "my.database.windows.net:1433")
	if err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(conn); err != nil || string(said) != "you are at my.database.windows.net, port 1433" {
		t.Errorf("a stream: found %q, %v", said, err)
	}

	answer, err := s.client(t, authority).Get("http://login.microsoftonline.com/x")
	if err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusForbidden || !strings.Contains(string(said), "over TLS only") {
		t.Errorf("clear text: expected 403 and why, found %d %q, %v", answer.StatusCode, said, err)
	}
	if e := last(); e.Outcome != journal.Denied || e.Path != "/x" || e.Program == nil {
		t.Errorf("clear text: found %+v", e)
	}
	if n := g.Escapes(); n != 0 {
		t.Errorf("expected no escape, found %d", n)
	}

	for n, address := range []string{"login.microsoftonline.com:8443", "my.database.windows.net:443", "my.database.windows.net:80"} {
		conn, err := s.dial(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: expected a reset, found %v", address, err)
		}
		if e := last(); e.Kind != journal.Escape || e.Host != address || e.Program == nil || e.Status != 0 || e.Error != "connection reset" || g.Escapes() != n+1 {
			t.Errorf("%s: expected escape number %d, found %d: %+v", address, n+1, g.Escapes(), e)
		}
	}
}

// What the lab does not emulate is permitted, refused and told as by the proxy.
func TestPermitsAsTheProxyDoes(t *testing.T) {
	login := func(host string) bool { return host == "login.example" || host == "sts.example" }
	for _, address := range []string{
		"example.com:443", "example.com:80", "allowed.example:443", "allowed.example:80", "port.example:443", "port.example:80",
		"x.below.example:443", "login.example:443", "sts.example:443", "203.0.113.7:443", "[2001:db8::1]:443",
	} {
		verdicts := map[string][]journal.Event{}
		var permitted, passed bool
		for _, way := range []string{"led", "proxy"} {
			j, err := journals.New(clock.Running(), journals.Options{})
			if err != nil {
				t.Fatal(err)
			}
			d := &outsideDial{to: startEcho(t)}
			g, _ := started(t, Config{Journal: j, Dial: d.dial, Login: login, AllowHosts: []string{"allowed.example", "port.example:443", ".below.example", "login.example"}})
			if way == "proxy" {
				conn, err := net.Dial("tcp", strings.TrimPrefix(g.ProxyURL(), "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := io.WriteString(conn, "CONNECT "+address+" HTTP/1.1\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				status := make([]byte, len("HTTP/1.1 200"))
				if _, err := io.ReadFull(conn, status); err != nil {
					t.Fatal(err)
				}
				passed = string(status) == "HTTP/1.1 200"
			} else {
				to, err := parseTarget(address)
				if err != nil {
					t.Fatal(err)
				}
				if permitted, err = supervise(t, g).Permits(t.Context(), handover.Target{Host: to.host, Port: to.port}, testProgram); err != nil {
					t.Fatal(err)
				}
			}
			for _, e := range j.Events() {
				if named := e.Program != nil; named != (way == "led") {
					t.Errorf("%s, %s: found program %v", address, way, e.Program)
				}
				e.Program, e.Time, e.Wall = nil, time.Time{}, time.Time{}
				verdicts[way] = append(verdicts[way], e)
			}
			if escaped := len(verdicts[way]) > 0 && verdicts[way][0].Kind == journal.Escape; escaped != (g.Escapes() == 1) {
				t.Errorf("%s, %s: %d escapes are counted", address, way, g.Escapes())
			}
		}
		if permitted != passed {
			t.Errorf("%s: permitted %v, by the proxy %v", address, permitted, passed)
		}
		led, proxied := verdicts["led"], verdicts["proxy"]
		if len(led) != len(proxied) || len(led) > 1 {
			t.Fatalf("%s: expected the same events, found %+v and %+v", address, led, proxied)
		}
		if len(led) == 1 && (led[0].Summary != strings.Replace(proxied[0].Summary, "CONNECT", "connection", 1) || led[0].Remedy != proxied[0].Remedy || led[0].Message != proxied[0].Message || led[0].Kind != proxied[0].Kind) {
			t.Errorf("%s: expected the same words, found %+v and %+v", address, led[0], proxied[0])
		}
		if len(led) == 1 && (led[0].Method != "" || led[0].Status != 0 || permitted != (led[0].Error != "connection refused")) {
			t.Errorf("%s: expected no word of HTTP, which was not spoken, found %+v", address, led[0])
		}
	}
}

// A host is allowed if programs may reach it on some port. Asking is no attempt.
func TestAllowedHosts(t *testing.T) {
	j, err := journals.New(clock.Running(), journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	login := func(host string) bool { return host == "login.example" || host == "sts.example" }
	g, _ := started(t, Config{Journal: j, Login: login, AllowHosts: []string{"allowed.example", "port.example:5432", ".example", "login.example"}})
	for host, want := range map[string]bool{
		"allowed.example": true, "port.example": true, "x.below.example": true, "login.example": true, "sts.example": false,
		"localhost": true, "example.com": false, "example": false, "203.0.113.7": false,
	} {
		if allowed, err := supervise(t, g).Allows(t.Context(), host); err != nil || allowed != want {
			t.Errorf("%s: expected %v, found %v, %v", host, want, allowed, err)
		}
	}
	if n := len(j.Events()); n > 0 || g.Escapes() > 0 {
		t.Errorf("expected no attempt, found %d events and %d escapes", n, g.Escapes())
	}
}

// A program that asks 169.254.169.254 gets what it gets through the proxy.
func TestMetadataOfLedPrograms(t *testing.T) {
	var machine http.Handler
	g, _ := started(t, Config{Metadata: func() http.Handler { return machine }})
	if g.LedHosts()[0] == "" || g.MetadataAddress() == "" {
		t.Fatal("expected hosts and an address")
	}
	ask := func() (int, string) {
		t.Helper()
		request, err := http.NewRequest(http.MethodGet, "http://"+g.MetadataAddress()+"/metadata/identity/oauth2/token?x=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "169.254.169.254"
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		said, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(said)
	}
	if status, said := ask(); status != http.StatusForbidden || !strings.Contains(said, "--managed-identity imds") || g.Escapes() != 1 {
		t.Errorf("without a machine: expected 403 and an escape, found %d, %d escapes: %s", status, g.Escapes(), said)
	}
	machine = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host+r.URL.RequestURI()) })
	if status, said := ask(); status != http.StatusOK || said != "169.254.169.254/metadata/identity/oauth2/token?x=1" {
		t.Errorf("with a machine: found %d %s", status, said)
	}
	machine = nil
	conn, err := net.Dial("tcp", g.MetadataAddress())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "CONNECT "+startEcho(t)+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil { // which the proxy would do
		t.Fatal(err)
	}
	answer := make([]byte, len("HTTP/1.1 403"))
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 403" {
		t.Errorf("CONNECT: expected 403, found %q, %v", answer, err)
	}
}

// Lab time stands still from when a connection was handed over until its request has been
// answered.
func TestLabTimeWaitsForLedConnections(t *testing.T) {
	g, _ := started(t, Config{})
	s := supervise(t, g)
	conn, err := s.dial(t.Context(), "tcp", "login.microsoftonline.com:443")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rests := func() bool {
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) { // wall time: input and output
			if !g.arrivals.any() {
				return true
			}
		}
		return false
	}
	for deadline := time.Now().Add(5 * time.Second); g.arrivals.events.Load() == 0; time.Sleep(time.Millisecond) { // wall time: the supervisor is accepted, too
		if time.Now().After(deadline) {
			t.Fatal("the first connection did not arrive")
		}
	}
	if !rests() {
		t.Fatal("a connection on which nothing was sent: expected lab time to go on")
	}
	if _, err := conn.Write([]byte{0x16}); err != nil { // the first byte of a greeting
		t.Fatal(err)
	}
	if !rests() {
		t.Error("a byte that was read: expected lab time to go on")
	}
	before := g.arrivals.events.Load()
	if _, err := s.dial(t.Context(), "tcp", "login.microsoftonline.com:443"); err != nil {
		t.Fatal(err)
	}
	if !rests() || g.arrivals.events.Load() == before {
		t.Error("a connection that arrived: expected it among the events")
	}
}

// What a supervisor has handed over counts when it is told that the lab has everything,
// whether or not its program waits for an answer.
func TestEscapesAreCountedAtOnce(t *testing.T) {
	g, _ := fixture(t, Config{})
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close(context.Background()) })
	s := supervise(t, g)
	for n := range 20 {
		conn, err := s.dial(t.Context(), "tcp", "login.microsoftonline.com:8443")
		if err == nil {
			err = s.Settle(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		if found := g.Escapes(); found != n+1 {
			t.Errorf("%d escapes, want %d", found, n+1)
		}
		_ = conn.Close()
	}
}

// Closing the gateway ends led connections, and the socket.
func TestCloseEndsLedConnections(t *testing.T) {
	begun := make(chan struct{})
	g, _ := fixture(t, Config{Streams: []hostmux.Stream{{Hosts: []string{"my.database.windows.net"}, Ports: []uint16{1433}, Serve: func(_ context.Context, c *hostmux.Connection) {
		close(begun)
		_, _ = io.Copy(io.Discard, c)
	}}}})
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	address := g.HandoverAddress()
	s := supervise(t, g)
	var conns []net.Conn
	for _, address := range []string{"login.microsoftonline.com:443", "login.microsoftonline.com:80", "my.database.windows.net:1433"} {
		conn, err := s.dial(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := g.Close(ctx); err != nil {
		t.Fatal(err)
	}
	for _, conn := range conns {
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil { // wall time: input and output
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("expected the connection to be closed, found %v", err)
		}
	}
	if _, err := handover.Dial(address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("expected the socket to be gone, found %v", err)
	}
}
