package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/hostmux"
)

// slow is a handler that says when it has begun and ends when it is told to.
type slow struct {
	begun chan struct{}
	end   chan struct{}
}

func newSlow() slow { return slow{make(chan struct{}, 1), make(chan struct{})} }

func (s slow) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.begun <- struct{}{}
	<-s.end
	_, _ = io.WriteString(w, "at last")
}

func TestCloseWaitsForAnswers(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		handler := newSlow()
		g, authority := fixture(t, Config{Routes: []hostmux.Route{{Hosts: []string{"slow.test"}, Handler: handler}}})
		if err := g.Start(); err != nil {
			t.Fatal(err)
		}
		answers := make(chan string, 1)
		go func() {
			response, err := client(t, g, authority, http2).Get("https://slow.test/")
			if err != nil {
				answers <- err.Error()
				return
			}
			answers <- readBody(t, response)
		}()
		<-handler.begun
		closed := make(chan error, 1)
		go func() { closed <- g.Close(t.Context()) }()
		for { // until the listener takes no more connections
			conn, err := net.Dial("tcp", g.Address())
			if err != nil {
				break
			}
			_ = conn.Close()
		}
		select {
		case err := <-closed:
			t.Fatalf("closed before the answer: %v", err)
		default:
		}
		close(handler.end)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if got := <-answers; got != "at last" {
			t.Errorf("http2=%t: the client got %q", http2, got)
		}
		if err := g.Close(t.Context()); err != nil {
			t.Errorf("closed twice: %v", err)
		}
		if err := g.Start(); err == nil {
			t.Error("started after Close")
		}
	}
}

func TestCloseGivesUp(t *testing.T) {
	handler := newSlow()
	defer close(handler.end)
	g, authority := fixture(t, Config{Routes: []hostmux.Route{{Hosts: []string{"slow.test"}, Handler: handler}}})
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := client(t, g, authority, false).Get("https://slow.test/")
		answered <- err
	}()
	<-handler.begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Close(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "still being answered") {
		t.Errorf("error %v", err)
	}
	if err := <-answered; err == nil {
		t.Error("the client was answered")
	}
}

func TestAdvanceWaitsForAnswers(t *testing.T) {
	handler := newSlow()
	lab := clock.Stopped(labTime)
	g, _ := fixture(t, Config{Clock: lab, Routes: []hostmux.Route{{Hosts: []string{"slow.test"}, Handler: handler}}})
	answered := make(chan error, 1)
	go func() {
		response, err := (&http.Client{Transport: g.Transport()}).Get("https://slow.test/")
		if err == nil && response.Header.Get("Date") != labTime.Format(http.TimeFormat) {
			err = errors.New("Date " + response.Header.Get("Date"))
		}
		answered <- err
	}()
	<-handler.begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := lab.Advance(ctx, time.Hour); err == nil {
		t.Error("the clock moved on during a request")
	}
	close(handler.end)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := lab.Advance(t.Context(), time.Hour); err != nil {
		t.Error(err)
	}
}

// Nothing runs on after Close, whatever the clients were doing.
func TestNothingLeaks(t *testing.T) {
	outside := startEcho(t)
	before := goroutines()
	for range 3 {
		g, authority := fixture(t, Config{})
		if err := g.Start(); err != nil {
			t.Fatal(err)
		}
		var held []net.Conn
		hold := func(address, say string) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			deadline(t, conn)
			if _, err := io.WriteString(conn, say); err != nil {
				t.Fatal(err)
			}
			held = append(held, conn)
			if strings.Contains(say, "\r\n\r\n") {
				if _, err := io.ReadFull(conn, make([]byte, 15)); err != nil {
					t.Fatal(err)
				}
			}
		}
		proxy := strings.TrimPrefix(g.ProxyURL(), "http://")
		hold(g.Address(), "")                                                 // says nothing
		hold(g.Address(), "\x16\x03\x01")                                     // a handshake begun
		hold(proxy, "")                                                       // says nothing
		hold(proxy, "CONNECT login")                                          // half a request
		hold(proxy, "CONNECT login.microsoftonline.com:443 HTTP/1.1\r\n\r\n") // no handshake yet
		hold(proxy, "CONNECT "+outside+" HTTP/1.1\r\n\r\nhello")              // a tunnel
		hold(proxy, "CONNECT example.com:443 HTTP/1.1\r\n\r\n")               // refused
		for _, http2 := range []bool{false, true} {                           // kept alive
			response, err := client(t, g, authority, http2).Get("https://login.windows.net/")
			if err != nil {
				t.Fatal(err)
			}
			readBody(t, response)
		}
		began := time.Now()
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("Close took %v", took)
		}
		for _, conn := range held {
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("a connection outlived Close")
			}
			_ = conn.Close()
		}
	}
	http.DefaultClient.CloseIdleConnections()
	limit := time.After(10 * time.Second)
	for {
		left := goroutines()
		if left <= before {
			return
		}
		select {
		case <-limit:
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines more than before:\n%s", left-before, stacks[:runtime.Stack(stacks, true)])
		default:
			runtime.Gosched()
		}
	}
}

// goroutines counts those that this package or an HTTP server or client runs.
func goroutines() (n int) {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "net/http.(*conn)") || strings.Contains(stack, "http2") || strings.Contains(stack, "gateway.(*") {
			n++
		}
	}
	return n
}

func BenchmarkServeHTTP(b *testing.B) {
	g, _ := fixture(b, Config{Routes: []hostmux.Route{
		{Hosts: []string{"login.microsoftonline.com"}, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})},
		{Hosts: []string{".vault.azure.net"}, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})},
	}})
	for name, host := range map[string]string{"exact": "login.microsoftonline.com", "suffix": "mykeyvault.vault.azure.net"} {
		b.Run(name, func(b *testing.B) {
			request, err := http.NewRequest("POST", "https://"+host+"/contoso/oauth2/v2.0/token", nil)
			if err != nil {
				b.Fatal(err)
			}
			w := discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				g.ServeHTTP(w, request)
			}
		})
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkTLS compares requests over kept connections with those to a bare
// net/http server with the same certificate.
func BenchmarkTLS(b *testing.B) {
	empty := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	g, authority := started(b, Config{Routes: []hostmux.Route{{Hosts: []string{"login.microsoftonline.com"}, Handler: empty}}})
	bare := &http.Server{Handler: empty, TLSConfig: &tls.Config{GetCertificate: authority.GetCertificate}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = bare.ServeTLS(listener, "", "") }()
	b.Cleanup(func() { _ = bare.Close() })
	for _, server := range []struct{ name, address string }{{"gateway", g.Address()}, {"bare", listener.Addr().String()}} {
		b.Run(server.name, func(b *testing.B) {
			c := client(b, g, authority, false)
			c.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, server.address)
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					response, err := c.Post("https://login.microsoftonline.com/contoso/oauth2/v2.0/token", "text/plain", strings.NewReader("grant_type=client_credentials"))
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
			})
		})
	}
}

// BenchmarkConnect is a whole new connection through the proxy.
func BenchmarkConnect(b *testing.B) {
	g, authority := started(b, Config{})
	for b.Loop() {
		c := throughProxy(b, g, authority)
		response, err := c.Get("https://login.microsoftonline.com/")
		if err != nil {
			b.Fatal(err)
		}
		_ = response.Body.Close()
		c.CloseIdleConnections()
	}
}

// Lab time stands from a request's arrival on, also before its handler says so.
func TestWhatIsAskedOfOtherServersIsUnderWay(t *testing.T) {
	underWay := make(chan bool, 1)
	var g *Gateway
	answer := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { underWay <- g.others.answering() })
	g, _ = started(t, Config{Metadata: func() http.Handler { return answer }})
	server := &http.Server{Handler: answer}
	listener, err := g.Track("machine", "", server)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }() // until it is closed
	defer server.Close()
	proxy, err := url.Parse(g.ProxyURL())
	if err != nil {
		t.Fatal(err)
	}
	for name, via := range map[string]struct {
		transport *http.Transport
		to        string
	}{
		"a tracked server":     {&http.Transport{}, "http://" + listener.Addr().String()},
		"by the proxy":         {&http.Transport{Proxy: http.ProxyURL(proxy)}, "http://169.254.169.254/metadata/identity/oauth2/token"},
		"the metadata service": {&http.Transport{}, "http://" + g.MetadataAddress() + "/metadata/identity/oauth2/token"},
	} {
		request, err := http.NewRequest(http.MethodGet, via.to, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Metadata", "true")
		response, err := via.transport.RoundTrip(request)
		if err != nil {
			t.Fatal(name, err)
		}
		_ = response.Body.Close()
		via.transport.CloseIdleConnections()
		select {
		case is := <-underWay:
			if !is {
				t.Errorf("%s: nothing was under way in the handler", name)
			}
		default:
			t.Errorf("%s: answered %s without the handler", name, response.Status)
		}
	}
}
