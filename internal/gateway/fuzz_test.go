package gateway

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/hostmux"
)

// FuzzProxy sends bytes to the proxy. Whatever they are, it ends, without a
// panic, reaches no host but the allowed one, and gives the TLS listener only what
// names an emulated host.
func FuzzProxy(f *testing.F) {
	for _, seed := range []string{
		"CONNECT login.test:443 HTTP/1.1\r\n\r\n\x16\x03\x01",
		"CONNECT LOGIN.test.:0443 HTTP/1.0\r\nHost: x\r\n\r\n",
		"CONNECT allowed.example:22 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
		"CONNECT evil.example:443 HTTP/1.1\r\nHost: allowed.example:443\r\n\r\nGET http://x/ HTTP/1.1\r\n\r\n",
		"CONNECT allowed.example@evil.example:443 HTTP/1.1\r\n\r\n",
		"CONNECT [::1]:443 HTTP/1.1\r\n\r\n",
		"CONNECT [fe80::1%25allowed.example]:443 HTTP/1.1\r\n\r\n",
		"CONNECT /allowed.example:443 HTTP/1.1\r\n\r\n",
		"GET http://allowed.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
		"POST http://evil.example/ HTTP/1.1\r\nHost: allowed.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nCONNECT evil.example:1 HTTP/1.1\r\n\r\n",
		"GET http://allowed.example:80@evil.example/ HTTP/1.1\r\n\r\n",
		"GET https://login.test/ HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"CONNECT",
		"\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		d := &pipeDial{}
		delivered := 0
		deliver := func(conn net.Conn) bool { delivered++; return conn.Close() == nil }
		logger := log.New(panicsOnly{t}, "", 0)
		table, err := hostmux.New(clock.Running(), []hostmux.Route{{Hosts: []string{"login.test"}, Handler: http.NotFoundHandler()}}, hostmux.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := newProxy(table, allowed{list: []allowedHost{{name: "allowed.example"}}, login: func(string) bool { return false }}, clock.Running().Begin, deliver, d.dial, nil, logger)
		handed := newHandedOver()
		server := &http.Server{Handler: p, ErrorLog: logger, DisableGeneralOptionsHandler: true}
		served := make(chan error, 1)
		go func() { served <- server.Serve(handed) }()

		client, inner := net.Pipe()
		proxySide := &closeNotifier{Conn: inner, closed: make(chan struct{})}
		handed.deliver(proxySide)
		go func() { _, _ = io.Copy(io.Discard, client) }()
		_ = client.SetWriteDeadline(time.Now().Add(5 * time.Second)) // the proxy may stop listening
		for _, part := range bytes.SplitAfter(input, []byte("\r\n\r\n")) {
			if _, err := client.Write(part); err != nil {
				break
			}
		}
		_ = client.Close()
		select {
		case <-proxySide.closed:
		case <-time.After(10 * time.Second):
			t.Fatal("the proxy hangs")
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = server.Close()
		if err := p.close(ctx); err != nil {
			t.Fatalf("the proxy does not end: %v", err)
		}
		<-served
		for _, address := range d.asked {
			if host, _, err := net.SplitHostPort(address); err != nil || host != "allowed.example" {
				t.Errorf("reached %q", address)
			}
		}
		if delivered > 0 && !strings.Contains(strings.ToLower(string(input)), "login.test") {
			t.Error("the TLS listener got a connection to a host that is not emulated")
		}
	})
}

// FuzzTarget checks what is taken for a target.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"a.test:443", "[::1]:1", "[::ffff:127.0.0.1]:80", "A.:1", "a:+1", "[fe80::1%25x]:1", "a b:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parsed, err := parseTarget(s)
		if err != nil {
			return
		}
		again, err := parseTarget(parsed.String())
		if err != nil || again != parsed {
			t.Errorf("%q is %v, which is %v (%v)", s, parsed, again, err)
		}
		if strings.ContainsAny(parsed.host, "\r\n /@%?#") || parsed.host != strings.ToLower(parsed.host) {
			t.Errorf("%q has the host %q", s, parsed.host)
		}
	})
}

// pipeDial notes what was asked for and gives a host that says nothing.
type pipeDial struct {
	mu    sync.Mutex
	asked []string
}

func (d *pipeDial) dial(_ context.Context, _, address string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, address)
	ours, theirs := net.Pipe()
	go func() {
		_, _ = theirs.Read(make([]byte, 512))
		_ = theirs.Close()
	}()
	return ours, nil
}

type closeNotifier struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *closeNotifier) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// panicsOnly fails the test when a server logs that a handler panicked.
type panicsOnly struct{ t *testing.T }

func (p panicsOnly) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("panic")) {
		p.t.Errorf("%s", line)
	}
	return len(line), nil
}
