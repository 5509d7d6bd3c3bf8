package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/wiemu/wiemu/internal/hostmux"
)

// reads counts what is read of a body.
type reads struct{ n atomic.Int64 }

func (r *reads) Read(p []byte) (int, error) {
	n := copy(p, strings.Repeat("x", 1<<10))
	r.n.Add(int64(n))
	return n, nil
}

// Nothing of a body is read before it is known whose it is and how long it may be.
func TestBodiesAreReadByRoute(t *testing.T) {
	routes := []hostmux.Route{
		{Hosts: []string{"some.test"}, Handler: echo("some"), MaxBody: func(r *http.Request) int64 {
			if r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/token") {
				return 10
			}
			return 0
		}},
	}
	g, _ := fixture(t, Config{Routes: append(routes, hostmux.Route{Hosts: []string{"none.test"}, Handler: echo("none"), MaxBody: func(*http.Request) int64 { return 0 }})})
	for _, test := range []struct {
		name, method, url string
		length            int64
		status            int
		want              string
		atMost            int64 // bytes that may be read of an endless body
	}{
		{"a host that is not there", "POST", "https://example.com/token", -1, 421, "does not emulate", 0},
		{"a host without bodies", "POST", "https://none.test/token", -1, 200, `""`, 0},
		{"a path without", "POST", "https://some.test/other", -1, 200, `""`, 0},
		{"a method without", "PUT", "https://some.test/token", 1 << 40, 200, `""`, 0},
		{"declared too long", "POST", "https://some.test/token", 11, 413, "up to 10 bytes", 0},
		{"endless", "POST", "https://some.test/token", -1, 413, "up to 10 bytes", 8 << 10},
		{"in capitals and with doubled slashes", "POST", "https://SOME.test//TOKEN", 11, 413, "up to 10 bytes", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var body reads
			request := httptest.NewRequest(test.method, test.url, &body)
			request.ContentLength = test.length
			recorder := httptest.NewRecorder()
			g.ServeHTTP(recorder, request)
			if recorder.Code != test.status || !strings.Contains(recorder.Body.String(), test.want) {
				t.Errorf("%d %s, want %d %s", recorder.Code, recorder.Body, test.status, test.want)
			}
			if body.n.Load() > test.atMost || recorder.Header().Get("Connection") != "close" {
				t.Errorf("%d bytes were read, at most %d may be; %v", body.n.Load(), test.atMost, recorder.Header())
			}
		})
	}
}

func handshake(t *testing.T, g *Gateway, roots *x509.CertPool, host string, protocols ...string) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", g.Address(), &tls.Config{RootCAs: roots, ServerName: host, NextProtos: protocols})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	deadline(t, conn)
	return conn
}

// A client of HTTP/2 is told how much it may have under way, and held to it.
func TestStreamsOfHTTP2(t *testing.T) {
	release := make(chan struct{})
	g, authority := started(t, Config{Routes: []hostmux.Route{{Hosts: []string{"slow.test"}, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })}}})
	defer close(release)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.RootPEM())
	conn := handshake(t, g, roots, "slow.test", "h2")
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	settings := map[http2.SettingID]uint32{}
	first, err := framer.ReadFrame() // RFC 9113 §3.4
	if err != nil {
		t.Fatal(err)
	}
	if err := first.(*http2.SettingsFrame).ForeachSetting(func(s http2.Setting) error { settings[s.ID] = s.Val; return nil }); err != nil {
		t.Fatal(err)
	}
	if settings[http2.SettingMaxConcurrentStreams] != maxStreams || settings[http2.SettingInitialWindowSize] != maxWindow {
		t.Errorf("settings %v", settings)
	}
	if err := framer.WriteSettingsAck(); err != nil {
		t.Fatal(err)
	}
	var block strings.Builder
	encoder := hpack.NewEncoder(&block)
	for n := range maxStreams + 1 {
		block.Reset()
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "slow.test"}, {":path", "/"}} {
			if err := encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
				t.Fatal(err)
			}
		}
		if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*n + 1), BlockFragment: []byte(block.String()), EndHeaders: true, EndStream: true}); err != nil {
			t.Fatal(err)
		}
	}
	for refused := false; !refused; {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if reset, ok := frame.(*http2.RSTStreamFrame); ok {
			refused = reset.ErrCode == http2.ErrCodeRefusedStream || reset.ErrCode == http2.ErrCodeProtocol
			if !refused || reset.StreamID != 2*maxStreams+1 {
				t.Fatalf("%v", reset)
			}
		}
	}
}

// When there are as many connections as there may be, those make room that are idle
// or whose bodies stall; those that are being answered do not.
func TestConnectionsMakeRoom(t *testing.T) {
	const most = 3
	inside, release := make(chan struct{}, 1), make(chan struct{})
	g, authority := fixture(t, Config{Routes: []hostmux.Route{{Hosts: []string{"some.test"}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			inside <- struct{}{}
			<-release
		}
		fmt.Fprint(w, "answered")
	})}}})
	g.arrivals.most = most
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close(context.Background()) })
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.RootPEM())
	send := func(request string) *tls.Conn {
		conn := handshake(t, g, roots, "some.test")
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	answered := func(conn net.Conn) error {
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", response.Status)
		}
		_, err = io.Copy(io.Discard, response.Body)
		return err
	}
	held := send("GET /held HTTP/1.1\r\nHost: some.test\r\n\r\n")
	<-inside
	idle := send("GET / HTTP/1.1\r\nHost: some.test\r\n\r\n")
	if err := answered(idle); err != nil {
		t.Fatal(err)
	}
	send("POST / HTTP/1.1\r\nHost: some.test\r\nContent-Length: 10\r\n\r\nbegun")
	for n := range 2 * most { // more than places; each is idle once it is answered
		if err := answered(send("GET / HTTP/1.1\r\nHost: some.test\r\n\r\n")); err != nil {
			t.Errorf("connection %d: %v", n, err)
		}
	}
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("the idle connection stays")
	}
	send("POST / HTTP/1.1\r\nHost: some.test\r\nContent-Length: 10\r\n\r\nbegun")
	if err := answered(send("GET / HTTP/1.1\r\nHost: some.test\r\n\r\n")); err != nil {
		t.Errorf("behind two stalled bodies: %v", err)
	}
	close(release)
	if err := answered(held); err != nil {
		t.Errorf("the connection that was being answered: %v", err)
	}
}
