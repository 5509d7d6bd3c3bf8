package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/ca"
)

// throughProxy is a client that knows nothing but its proxy and its roots.
func throughProxy(t testing.TB, g *Gateway, authority *ca.Authority) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.RootPEM())
	proxy, err := url.Parse(g.ProxyURL())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// startEcho is a host outside the lab: it says what it hears, and "bye" after
// the other side has said all.
func startEcho(t testing.TB) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
				_, _ = io.WriteString(conn, "bye")
			}()
		}
	}()
	return listener.Addr().String()
}

// outsideDial leads every address to one host and notes what was asked for.
type outsideDial struct {
	to    string
	mu    sync.Mutex
	asked []string
}

func (d *outsideDial) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.mu.Lock()
	d.asked = append(d.asked, address)
	d.mu.Unlock()
	return new(net.Dialer).DialContext(ctx, network, d.to)
}

func TestConnect(t *testing.T) {
	d := &outsideDial{to: startEcho(t)}
	g, _ := started(t, Config{Dial: d.dial, AllowHosts: []string{"Allowed.example", ".below.example", "port.example:8443", "203.0.113.7", "[2001:db8::7]:443", "2001:db8::8"}})
	for _, test := range []struct {
		name, target string
		status       int
		dialled      string // the address, when the host itself is reached
		escape       bool
		want         string // part of the status line or the body
	}{
		{name: "an emulated host", target: "login.microsoftonline.com:443", status: 200},
		{name: "in capitals", target: "LOGIN.MICROSOFTONLINE.COM:443", status: 200},
		{name: "with a final dot", target: "login.microsoftonline.com.:443", status: 200},
		{name: "below a suffix", target: "mykeyvault.vault.azure.net:443", status: 200},
		{name: "a port with zeros", target: "login.microsoftonline.com:0443", status: 200},
		{name: "an emulated host on another port", target: "login.microsoftonline.com:8443", status: 403, escape: true, want: "on port 443 only"},
		{name: "an emulated host on port 80", target: "login.microsoftonline.com:80", status: 403, escape: true},

		{name: "a host outside", target: "example.com:443", status: 403, escape: true, want: "403 example.com:443 is not emulated by wiemu; --allow-host example.com lets it through"},
		{name: "a name within another", target: "login.microsoftonline.com.example.com:443", status: 403, escape: true},
		{name: "the suffix alone", target: "vault.azure.net:443", status: 403, escape: true},
		{name: "the metadata service", target: "169.254.169.254:80", status: 403, escape: true, want: "see why the exchange"},
		{name: "an address", target: "10.0.0.1:443", status: 403, escape: true},
		{name: "an IPv6 address", target: "[2001:db8::1]:443", status: 403, escape: true, want: "--allow-host 2001:db8::1"},
		{name: "all addresses", target: "0.0.0.0:443", status: 403, escape: true},
		{name: "all IPv6 addresses", target: "[::]:443", status: 403, escape: true},
		{name: "loopback spelt as a number", target: "2130706433:443", status: 403, escape: true},
		{name: "loopback spelt short", target: "127.1:443", status: 403, escape: true},
		{name: "below localhost", target: "x.localhost:443", status: 403, escape: true},

		{name: "an allowed host", target: "allowed.example:443", status: 200, dialled: "allowed.example:443"},
		{name: "an allowed host in capitals", target: "ALLOWED.EXAMPLE.:22", status: 200, dialled: "allowed.example:22"},
		{name: "below an allowed host", target: "x.allowed.example:443", status: 403, escape: true},
		{name: "below an allowed suffix", target: "a.b.below.example:443", status: 200, dialled: "a.b.below.example:443"},
		{name: "an allowed suffix alone", target: "below.example:443", status: 403, escape: true},
		{name: "an end that is no suffix", target: "xbelow.example:443", status: 403, escape: true},
		{name: "an allowed port", target: "port.example:8443", status: 200, dialled: "port.example:8443"},
		{name: "another port", target: "port.example:443", status: 403, escape: true},
		{name: "an allowed address", target: "203.0.113.7:22", status: 200, dialled: "203.0.113.7:22"},
		{name: "an allowed address, mapped", target: "[::ffff:203.0.113.7]:22", status: 200, dialled: "203.0.113.7:22"},
		{name: "an allowed IPv6 address", target: "[2001:DB8:0::7]:443", status: 200, dialled: "[2001:db8::7]:443"},
		{name: "another allowed IPv6 address", target: "[2001:db8::8]:1", status: 200, dialled: "[2001:db8::8]:1"},

		{name: "localhost", target: "localhost:8080", status: 200, dialled: "localhost:8080"},
		{name: "loopback", target: "127.0.0.2:1", status: 200, dialled: "127.0.0.2:1"},
		{name: "IPv6 loopback", target: "[::1]:1", status: 200, dialled: "[::1]:1"},
		{name: "mapped loopback", target: "[::ffff:127.0.0.1]:1", status: 200, dialled: "127.0.0.1:1"},

		{name: "no port", target: "login.microsoftonline.com", status: 400},
		{name: "an empty port", target: "login.microsoftonline.com:", status: 400},
		{name: "port 0", target: "login.microsoftonline.com:0", status: 400},
		{name: "too large a port", target: "login.microsoftonline.com:65536", status: 400},
		{name: "a signed port", target: "login.microsoftonline.com:+443", status: 400},
		{name: "a service's name", target: "login.microsoftonline.com:https", status: 400},
		{name: "no host", target: ":443", status: 400},
		{name: "a path", target: "/login.microsoftonline.com:443", status: 400},
		{name: "a path after it", target: "login.microsoftonline.com:443/x", status: 400},
		{name: "a URL", target: "https://login.microsoftonline.com:443", status: 400},
		{name: "a user", target: "login.microsoftonline.com@example.com:443", status: 400},
		{name: "an escaped host", target: "example%2ecom:443", status: 400},
		{name: "an IPv6 address without brackets", target: "::1:443", status: 400},
		{name: "letters outside ASCII", target: "login.microsoftonline.c\u00f6m:443", status: 400},
		{name: "a zone", target: "[fe80::1%25eth0]:443", status: 400},
		{name: "a star", target: "*:443", status: 400},
		{name: "a long name", target: strings.Repeat("a.", 200) + "example:443", status: 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			escapes, events, dialled := g.Escapes(), len(g.journal.Events()), len(d.asked)
			conn := dialProxy(t, g)
			fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: allowed.example:443\r\n\r\n", test.target)
			reader := bufio.NewReader(conn)
			response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect})
			if err != nil {
				t.Fatal(err)
			}
			text := response.Status
			if response.StatusCode != 200 {
				body, err := io.ReadAll(reader) // to the end: the proxy closes
				if err != nil {
					t.Error(err)
				}
				text += "\n" + string(body)
			}
			if response.StatusCode != test.status || !strings.Contains(text, test.want) {
				t.Errorf("%s, want %d %s", text, test.status, test.want)
			}
			if asked := strings.Join(d.asked[dialled:], " "); asked != test.dialled {
				t.Errorf("dialled %q, want %q", asked, test.dialled)
			}
			if escaped := g.Escapes() - escapes; (escaped == 1) != test.escape {
				t.Errorf("%d escapes, want %t", escaped, test.escape)
			}
			recorded := g.journal.Events()[events:]
			if (len(recorded) == 1) != test.escape {
				t.Fatalf("events %+v", recorded)
			}
			if test.escape {
				e := recorded[0]
				if e.Kind != journal.Escape || e.Outcome != journal.Denied || e.Method != "CONNECT" || e.Status != 403 || e.Host == "" || e.Remedy == "" || !strings.Contains(e.Summary, e.Host) {
					t.Errorf("event %+v", e)
				}
			}
		})
	}
}

func dialProxy(t testing.TB, g *Gateway) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.ProxyURL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	deadline(t, conn)
	return conn
}

// An unmodified client gets through to the TLS listener, in HTTP/2 if it can, and
// what it is told when it is refused says what to do.
func TestThroughTheProxy(t *testing.T) {
	g, authority := started(t, Config{})
	c := throughProxy(t, g, authority)
	for range 2 { // the second on the kept connection
		response, err := c.Post("https://mykeyvault.vault.azure.net/secrets/a", "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		if got := readBody(t, response); got != `vault: POST /secrets/a /secrets/a "x"` || response.ProtoMajor != 2 {
			t.Errorf("%s in %s", got, response.Proto)
		}
	}
	if _, err := c.Get("https://example.com/"); err == nil || !strings.Contains(err.Error(), "example.com:443 is not emulated by wiemu; --allow-host example.com lets it through") {
		t.Errorf("error %v", err)
	}
	if g.Escapes() != 1 {
		t.Errorf("%d escapes", g.Escapes())
	}
}

// The client sends its greeting without waiting for the answer to CONNECT.
func TestEarlyBytes(t *testing.T) {
	g, authority := started(t, Config{})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.RootPEM())
	conn := dialProxy(t, g)
	hasty := &hastyConn{Conn: conn, first: []byte("CONNECT login.windows.net:443 HTTP/1.1\r\n\r\n")}
	secure := tls.Client(hasty, &tls.Config{RootCAs: roots, ServerName: "login.windows.net"})
	if err := secure.Handshake(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(secure, "GET /a HTTP/1.1\r\nHost: login.windows.net\r\nConnection: close\r\n\r\n")
	if got, err := io.ReadAll(secure); err != nil || !strings.Contains(string(got), "login: GET /a") {
		t.Errorf("%s, %v", got, err)
	}
}

// hastyConn sends a CONNECT in one packet with the first bytes written, and
// skips the answer to it.
type hastyConn struct {
	net.Conn
	first   []byte
	skipped bool
}

func (c *hastyConn) Write(p []byte) (int, error) {
	if c.first == nil {
		return c.Conn.Write(p)
	}
	_, err := c.Conn.Write(append(c.first, p...))
	c.first = nil
	return len(p), err
}

func (c *hastyConn) Read(p []byte) (int, error) {
	if !c.skipped {
		c.skipped = true
		if _, err := io.ReadFull(c.Conn, make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}

// A refused client that has sent its greeting already still reads why.
func TestEarlyBytesRefused(t *testing.T) {
	g, _ := started(t, Config{})
	conn := dialProxy(t, g)
	fmt.Fprintf(conn, "CONNECT example.com:443 HTTP/1.1\r\n\r\n%s", strings.Repeat("GET http://example.com/ HTTP/1.1\r\n\r\n", 500))
	answer, err := io.ReadAll(conn)
	if err != nil || strings.Count(string(answer), "HTTP/1.1 ") != 1 || !strings.Contains(string(answer), "403") {
		t.Errorf("%s, %v", answer, err)
	}
	if g.Escapes() != 1 {
		t.Errorf("%d escapes: what followed the CONNECT was taken for requests", g.Escapes())
	}
}

// Each side of a tunnel may say that it has said all and go on listening.
func TestHalfClosedTunnels(t *testing.T) {
	outside := startEcho(t)
	g, _ := started(t, Config{})
	for name, together := range map[string]bool{"early": true, "after": false} {
		t.Run(name, func(t *testing.T) {
			conn := dialProxy(t, g)
			hello := strings.Repeat("hello", 10_000)
			connect := "CONNECT " + outside + " HTTP/1.1\r\n\r\n"
			if together {
				fmt.Fprint(conn, connect+hello)
			} else {
				fmt.Fprint(conn, connect)
			}
			answer := make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))
			if !together {
				if _, err := io.ReadFull(conn, answer); err != nil {
					t.Fatal(err)
				}
				fmt.Fprint(conn, hello)
			}
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if together {
				if _, err := io.ReadFull(conn, answer); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := io.ReadAll(conn); err != nil || string(got) != hello+"bye" {
				t.Errorf("%d bytes, %v; want %d and the last word", len(got), err, len(hello))
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	g, authority := started(t, Config{AllowHosts: []string{"gone.example"}, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no route")
	}})
	c := throughProxy(t, g, authority)
	if _, err := c.Get("https://gone.example/"); err == nil || !strings.Contains(err.Error(), "could not reach gone.example:443") {
		t.Errorf("error %v", err)
	}
	response, err := c.Get("http://gone.example/")
	if err != nil || response.StatusCode != 502 || !strings.Contains(readBody(t, response), "no route") {
		t.Errorf("%v, %v", response, err)
	}
	if g.Escapes() != 0 {
		t.Errorf("%d escapes", g.Escapes())
	}
}

// For a client on another machine our loopback is not its own.
func TestLoopbackIsTheClientsOwn(t *testing.T) {
	d := &outsideDial{to: startEcho(t)}
	g, _ := fixture(t, Config{Dial: d.dial})
	for _, target := range []string{"http://127.0.0.1/", "http://localhost/", "http://[::1]/"} {
		request := httptest.NewRequest("GET", target, nil)
		request.RemoteAddr = "192.0.2.9:1234"
		recorder := httptest.NewRecorder()
		g.proxy.ServeHTTP(recorder, request)
		if recorder.Code != 403 || !strings.Contains(recorder.Body.String(), "NO_PROXY") || len(d.asked) > 0 {
			t.Errorf("%s: %d %s; dialled %v", target, recorder.Code, recorder.Body, d.asked)
		}
	}
}

func TestProxyLimits(t *testing.T) {
	g, _ := started(t, Config{})
	for _, test := range []struct{ name, request, want string }{
		{"a huge header", "CONNECT login.windows.net:443 HTTP/1.1\r\nX: " + strings.Repeat("x", maxHeader+8<<10) + "\r\n\r\n", "HTTP/1.1 431 "},
		{"a huge target", "CONNECT " + strings.Repeat("a", maxHeader+8<<10) + ":443 HTTP/1.1\r\n\r\n", "HTTP/1.1 431 "},
		{"TLS", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", "HTTP/1.1 400 "},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 "},
		{"HTTP/1.0", "CONNECT login.windows.net:443 HTTP/1.0\r\n\r\n", "HTTP/1.1 200 "},
		{"bare line feeds", "CONNECT login.windows.net:443 HTTP/1.1\n\n", "HTTP/1.1 200 "},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn := dialProxy(t, g)
			go func() { _, _ = io.WriteString(conn, test.request) }()
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil || !strings.HasPrefix(line, test.want) {
				t.Errorf("%q, %v; want %q", line, err, test.want)
			}
		})
	}
}
