package resource_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/gateway"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/lead/handover"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/tenants"
)

// kit is what the tests' lab gives its resources.
func kit(t *testing.T) (resource.Kit, *tokentest.Service) {
	clk := clock.Stopped(tokentest.Start())
	j, err := journals.New(clk, journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	people, err := tenants.New(directory.Tenant{ID: tokentest.Tenant})
	if err != nil {
		t.Fatal(err)
	}
	tokens := tokentest.New(t, clk)
	return resource.Kit{
		Tokens: resource.NewValidator(clk, tokens.Source(), resource.Options{}), Clock: clk, Directory: people, Journal: j, Faults: faults.New(clk, j, 1),
	}, tokens
}

// last is the last event of an access.
func last(j *journals.Journal) (last journal.Event) {
	for _, e := range j.Events() {
		if e.Kind == journal.Access {
			last = e
		}
	}
	return last
}

func TestTheWayOfARequest(t *testing.T) {
	k, tokens := kit(t)
	made, err := notesDescription().Open(k, nil)
	if err != nil {
		t.Fatal(err)
	}
	handler := k.Faults.Answers("notes", made.(resource.HTTPService).Handler())
	good := tokens.Mint(t, "https://notes.wiemu.test", tokentest.Claims{"roles": []string{"Notes.Read"}})
	for _, row := range []struct {
		name, token, fault string
		status             int
		summary            string
	}{
		{"granted", good, "", 200, "Azure Notes: read a note by " + tokentest.ClientID},
		{"by the app id", tokens.Mint(t, notesDescription().AppID, tokentest.Claims{"roles": []string{"r"}}), "", 200, "read a note by"},
		{"without a token", "", "", 401, "by somebody without a token: refused with 401 NoToken"},
		{"for another resource", tokens.Mint(t, "https://vault.azure.net", nil), "", 401, "refused with 401 NoToken"},
		{"what is no token", "abc", "", 401, "by somebody whose token was not read: refused with 401 NoToken"},
		{"without a role", tokens.Mint(t, "https://notes.wiemu.test", nil), "", 403, "refused with 403 NoRole"},
		{"throttled", good, "throttled,for.resource=notes", 429, "refused with 429 Busy"},
		{"throttled, without a token", "", "throttled,for.resource=notes", 429, "refused with 429 Busy"},
		{"for others", good, "throttled,for.resource=lines", 200, "read a note by"},
	} {
		t.Run(row.name, func(t *testing.T) {
			inject(t, k.Faults, row.fault)
			r := httptest.NewRequest("GET", "https://orders.notes.wiemu.test/note", nil)
			if row.token != "" {
				r.Header.Set("Authorization", "Bearer "+row.token)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			e := last(k.Journal)
			if w.Code != row.status || e.Status != row.status || e.Component != "notes" || !strings.Contains(e.Summary, row.summary) {
				t.Errorf("%d %q: %+v", w.Code, w.Body, e)
			}
			if challenged := w.Header().Get("WWW-Authenticate") != ""; challenged != (row.status == 401) {
				t.Errorf("challenged: %v", challenged)
			}
		})
	}
}

func inject(t *testing.T, faults *faults.Set, text string) {
	t.Helper()
	faults.ClearAll()
	if text == "" {
		return
	}
	f, err := fault.Parse(text)
	if err == nil {
		_, err = faults.Inject(f)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A stream is reached by a CONNECT of the proxy, as from an isolated program, and by programs
// that are led, which the journal names.
func TestTheWayOfALogin(t *testing.T) {
	k, tokens := kit(t)
	made, err := linesDescription().Open(k, nil)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := ca.Open("", k.Clock, ca.Options{Names: []string{".lines.wiemu.test", "nobody.lines.test"}})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{Clock: k.Clock.(*clock.Lab), Authority: authority, Journal: k.Journal, StreamListen: "127.0.0.1", Streams: []hostmux.Stream{
		{Hosts: linesDescription().Hosts(k.Cloud()), Ports: linesDescription().Ports(""), There: func() []string { return []string{"orders.lines.wiemu.test"} }, Serve: made.(resource.StreamService).ServeStream},
		{Hosts: []string{"nobody.lines.test"}, Ports: []uint16{25434}, There: func() []string { return nil }, Serve: made.(resource.StreamService).ServeStream},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close(t.Context()) })
	if ports := fmt.Sprint(g.OpenPorts()); ports != "[25432 25433]" {
		t.Errorf("open ports: %s", ports)
	}
	const address = "orders.lines.wiemu.test:25432"
	ways := map[string]func() net.Conn{"by the proxy": func() net.Conn {
		conn, refusal := throughProxy(t, g.ProxyURL(), address)
		if conn == nil {
			t.Fatal(refusal)
		}
		return conn
	}, "by the port": func() net.Conn {
		conn, err := net.Dial("tcp", "127.0.0.1:25433")
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}}
	program := &journal.Program{PID: 4711, Executable: "/usr/bin/psql", Name: "psql"}
	if socket := g.HandoverAddress(); socket != "" { // elsewhere no program is led
		ways["led"] = func() net.Conn {
			return handOver(t, socket, handover.Target{Host: "orders.lines.wiemu.test", Port: 25432}, *program)
		}
	}
	good := tokens.Mint(t, "https://lines.wiemu.test", nil)
	for _, row := range []struct{ name, token, fault, answer, summary string }{
		{"granted", good, "", "welcome " + tokentest.ClientID, "Azure Lines: log in by " + tokentest.ClientID},
		{"for another resource", tokens.Mint(t, "https://vault.azure.net", nil), "", "refused: 18456", "refused with 18456: "},
		{"without a token", "", "", "refused: 18456", "by somebody without a token: refused with 18456"},
		{"throttled", good, "throttled,for.resource=lines", "refused: 40501", "refused with 40501"},
		{"reset", good, "connection-reset,for.resource=lines", "", "refused with ConnectionReset"},
	} {
		for way, connect := range ways {
			t.Run(row.name+" "+way, func(t *testing.T) {
				inject(t, k.Faults, row.fault)
				answer := logIn(connect(), row.token, authority, "orders.lines.wiemu.test")
				e := last(k.Journal)
				if answer != row.answer || e.Host != "orders.lines.wiemu.test" || e.Component != "lines" || !strings.Contains(e.Summary, row.summary) {
					t.Errorf("%q: %+v", answer, e)
				}
				if named := e.Program != nil && *e.Program == *program; named != (way == "led") {
					t.Errorf("the event names the program %v", e.Program)
				}
			})
		}
	}
	inject(t, k.Faults, "")
	if answer := logIn(ways["by the port"](), good, authority, ""); answer != "welcome "+tokentest.ClientID || last(k.Journal).Host != "orders.lines.wiemu.test" {
		t.Errorf("without a name: %q, %+v", answer, last(k.Journal))
	}
	if answer := logIn(ways["by the port"](), "defect", authority, "orders.lines.wiemu.test"); answer != "" || !strings.Contains(last(k.Journal).Summary, "a defect of wiemu") {
		t.Errorf("a panic: %q, %+v", answer, last(k.Journal))
	}
	if _, refusal := throughProxy(t, g.ProxyURL(), "orders.lines.wiemu.test:443"); !strings.Contains(refusal, "use port 25432 and 25433") || g.Escapes() != 1 {
		t.Errorf("on another port: %q", refusal)
	}
}

// throughProxy returns a connection to a host behind a proxy, or how that refused it.
func throughProxy(t *testing.T, proxy, address string) (_ net.Conn, refusal string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(proxy, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // closed by some tests
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", address)
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect})
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, response.Status
	}
	return conn, ""
}

// handOver returns a connection of a program that was handed over to a lab.
func handOver(t *testing.T, socket string, to handover.Target, by handover.Program) net.Conn {
	t.Helper()
	lab, err := handover.Dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lab.Close() }) // the gateway may have closed it
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // closed by some tests
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	file, err := accepted.(*net.TCPConn).File()
	if err = errors.Join(err, accepted.Close()); err == nil {
		err = lab.Accept(file, to, by)
	}
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// logIn says a token over TLS, and returns the first line that comes back. host is asked for
// in the handshake, unless it is empty.
func logIn(conn net.Conn, token string, authority *ca.Authority, host string) string {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.RootPEM())
	verify := func(s tls.ConnectionState) error {
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: "orders.lines.wiemu.test", Roots: roots, Intermediates: func() *x509.CertPool {
			between := x509.NewCertPool()
			between.AddCert(s.PeerCertificates[1])
			return between
		}()})
		return err
	}
	secured := tls.Client(conn, &tls.Config{ServerName: host, InsecureSkipVerify: true, VerifyConnection: verify}) //nolint:gosec // verified by VerifyConnection: with a name that the handshake does not have
	fmt.Fprintln(secured, token)
	line, err := bufio.NewReader(secured).ReadString('\n')
	if err != nil && secured.ConnectionState().HandshakeComplete {
		return "" // a reset is no answer
	}
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(line)
}
