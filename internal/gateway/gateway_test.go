package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/journals"
)

// labTime is what the clocks of the tests show: not the machine's time.
var labTime = time.Date(2031, 5, 17, 8, 30, 0, 0, time.UTC)

// maxBody is how long bodies may be in the routes of the tests that say nothing else.
const maxBody = 1 << 20

func upToMaxBody(*http.Request) int64 { return maxBody }

// echo says who answered what.
func echo(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "%s: %s %s %s %q", name, r.Method, r.URL.Path, httppath.Original(r), body)
	})
}

// routes are those of the tests. The host of faults does what its path says.
func routes() []hostmux.Route {
	return []hostmux.Route{
		{Hosts: []string{"login.microsoftonline.com", "Login.Windows.net"}, Handler: echo("login")},
		{Hosts: []string{".vault.azure.net"}, Handler: echo("vault")},
		{Hosts: []string{".special.vault.azure.net"}, Handler: echo("special vault")},
		{Hosts: []string{"one.vault.azure.net"}, Handler: echo("vault one")},
		{Hosts: []string{"faults.test"}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/panic":
				panic("out of order, for the secret " + r.URL.RawQuery)
			case "/index":
				_ = []int{}[len(r.URL.Path)-len("/index")]
			case "/late":
				fmt.Fprint(w, strings.Repeat("half an answer ", 1000))
				panic("too late")
			case "/abort":
				panic(http.ErrAbortHandler)
			}
		})},
	}
}

// fixture makes a gateway on a stopped clock; cfg says what is special.
func fixture(t testing.TB, cfg Config) (*Gateway, *ca.Authority) {
	t.Helper()
	if cfg.Clock == nil {
		cfg.Clock = clock.Stopped(labTime)
	}
	if cfg.Routes == nil {
		cfg.Routes = routes()
	}
	var names []string
	for i, r := range cfg.Routes {
		if r.MaxBody == nil {
			cfg.Routes[i].MaxBody = upToMaxBody
		}
		names = append(names, r.Hosts...)
	}
	for _, s := range cfg.Streams {
		names = append(names, s.Hosts...)
	}
	authority, err := ca.Open("", cfg.Clock, ca.Options{Names: names})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Authority == nil {
		cfg.Authority = authority
	}
	if cfg.Journal == nil {
		if cfg.Journal, err = journals.New(cfg.Clock, journals.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g, authority
}

// started is a fixture that listens until the test ends.
func started(t testing.TB, cfg Config) (*Gateway, *ca.Authority) {
	t.Helper()
	g, authority := fixture(t, cfg)
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return g, authority
}

// client trusts the lab and reaches every host at the TLS listener.
func client(t testing.TB, g *Gateway, authority *ca.Authority, http2 bool) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.RootPEM())
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: http2, MaxIdleConnsPerHost: 8,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, g.Address())
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func TestTheGatewayRoutesByHost(t *testing.T) {
	g, authority := started(t, Config{})
	for _, test := range []struct {
		url, want string
	}{
		{"https://login.microsoftonline.com/Contoso//OAuth2/v2.0/token", `login: POST /contoso/oauth2/v2.0/token /Contoso/OAuth2/v2.0/token "body"`},
		{"https://LOGIN.microsoftonline.com/", `login: POST / / "body"`},
		{"https://login.windows.net/", `login: POST / / "body"`},
		{"https://mykeyvault.vault.azure.net/secrets/MySecret", `vault: POST /secrets/mysecret /secrets/MySecret "body"`},
		{"https://a.b.vault.azure.net/", `vault: POST / / "body"`},
		{"https://a.special.vault.azure.net/", `special vault: POST / / "body"`},
		{"https://one.vault.azure.net/", `vault one: POST / / "body"`},
	} {
		for _, http2 := range []bool{false, true} {
			response, err := client(t, g, authority, http2).Post(test.url, "text/plain", strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			if got := readBody(t, response); got != test.want {
				t.Errorf("%s: %s, want %s", test.url, got, test.want)
			}
			if got := response.Header.Values("Date"); len(got) != 1 || got[0] != "Sat, 17 May 2031 08:30:00 GMT" {
				t.Errorf("%s: Date %q, want lab time", test.url, got)
			}
			if (response.ProtoMajor == 2) != http2 {
				t.Errorf("%s: answered in %s", test.url, response.Proto)
			}
		}
	}
}

func TestServeHTTP(t *testing.T) {
	g, _ := fixture(t, Config{})
	long := strings.Repeat("x", maxBody+1)
	for _, test := range []struct {
		name, host, method string
		body               io.Reader
		status             int
		want               string
	}{
		{"a host with a port", "login.microsoftonline.com:8443", "GET", nil, 200, "login: GET"},
		{"a host with a final dot", "login.microsoftonline.com.", "GET", nil, 200, "login: GET"},
		{"a suffix alone", "vault.azure.net", "GET", nil, 421, `does not emulate the host "vault.azure.net"`},
		{"nothing before a suffix", ".vault.azure.net", "GET", nil, 421, "does not emulate"},
		{"a host unknown", "example.com", "GET", nil, 421, "It emulates .special.vault.azure.net, .vault.azure.net, faults.test, login.microsoftonline.com"},
		{"a name within another", "login.microsoftonline.com.example.com", "GET", nil, 421, ""},
		{"no host", "", "GET", nil, 421, ""},
		{"an address", "[::1]:443", "GET", nil, 421, ""},
		{"as much body as may be", "login.microsoftonline.com", "POST", strings.NewReader(long[1:]), 200, ""},
		{"too much body", "login.microsoftonline.com", "POST", strings.NewReader(long), 413, "up to 1048576 bytes"},
		{"a body of unknown size", "login.microsoftonline.com", "POST", io.MultiReader(strings.NewReader("body")), 200, `"body"`},
		{"too much of unknown size", "login.microsoftonline.com", "POST", io.MultiReader(strings.NewReader(long)), 413, "up to 1048576 bytes"},
		{"a body that breaks off", "login.microsoftonline.com", "POST", io.MultiReader(strings.NewReader("x"), broken{}), 400, "to its end"},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := httptest.NewRequest(test.method, "https://h/a", test.body)
			request.Host = test.host
			recorder := httptest.NewRecorder()
			g.ServeHTTP(recorder, request)
			if recorder.Code != test.status || !strings.Contains(recorder.Body.String(), test.want) {
				t.Errorf("%d %.200s, want %d %s", recorder.Code, recorder.Body, test.status, test.want)
			}
			if got := recorder.Header().Get("Date"); got != labTime.Format(http.TimeFormat) {
				t.Errorf("Date %q", got)
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestPanicsAreAnswered(t *testing.T) {
	var logged bytes.Buffer
	g, authority := started(t, Config{Log: slog.New(slog.NewTextHandler(&logged, nil))})
	for _, test := range []struct {
		path, cause string
		status      int // 0: the connection is cut
	}{
		{"/panic?secret", "string", 500},
		{"/index", "runtime error: index out of range [0] with length 0", 500},
		{"/late", "string", 0},
		{"/abort", "", 0},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprint(test.path, " http2=", http2), func(t *testing.T) {
				logged.Reset()
				before := len(g.journal.Events())
				response, err := client(t, g, authority, http2).Get("https://faults.test" + test.path)
				if err == nil {
					_, err = io.ReadAll(response.Body)
					_ = response.Body.Close()
				}
				if test.status == 0 && err == nil {
					t.Errorf("answered %s", response.Status)
				}
				if test.status != 0 && (err != nil || response.StatusCode != test.status) {
					t.Errorf("answered %v, %v", response, err)
				}
				events := g.journal.Events()[before:]
				if test.cause == "" {
					if len(events) > 0 {
						t.Errorf("events %v", events)
					}
					return
				}
				if len(events) != 1 || events[0].Status != 500 || events[0].Outcome != journal.Failed || events[0].Detail["panic"] != test.cause {
					t.Errorf("events %+v", events)
				}
				if !strings.Contains(logged.String(), "gateway_test.go") {
					t.Errorf("the log has no stack: %s", logged.String())
				}
			})
		}
	}
}

func TestTheGatewaysLimits(t *testing.T) {
	g, authority := started(t, Config{})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.RootPEM())
	for _, test := range []struct{ name, request, want string }{
		{"a huge header", "GET / HTTP/1.1\r\nHost: login.microsoftonline.com\r\nX: " + strings.Repeat("x", maxHeader+8<<10) + "\r\n\r\n", "HTTP/1.1 431 "},
		{"no host", "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
		{"two lengths", "POST / HTTP/1.1\r\nHost: login.microsoftonline.com\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 400 "},
		{"too long a body", "POST / HTTP/1.1\r\nHost: login.microsoftonline.com\r\nContent-Length: 99999999\r\n\r\n", "HTTP/1.1 413 "},
		{"HTTP/1.0", "GET / HTTP/1.0\r\nHost: login.microsoftonline.com\r\n\r\n", "HTTP/1.0 200 "},
		{"no HTTP", "\x00\x01\x02\r\n\r\n", "HTTP/1.1 400 "},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, err := tls.Dial("tcp", g.Address(), &tls.Config{RootCAs: roots, ServerName: "login.microsoftonline.com"})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			deadline(t, conn)
			go func() { _, _ = io.WriteString(conn, test.request) }()
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil || !strings.HasPrefix(line, test.want) {
				t.Errorf("%q, %v; want %q", line, err, test.want)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	lab := clock.Stopped(labTime)
	authority, err := ca.Open("", lab, ca.Options{Names: []string{"a.test", ".b.test"}})
	if err != nil {
		t.Fatal(err)
	}
	h := http.NotFoundHandler()
	for _, test := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"no clock", Config{Authority: authority}, "Clock and Authority"},
		{"no authority", Config{Clock: lab}, "Clock and Authority"},
		{"no handler", Config{Routes: []hostmux.Route{{Hosts: []string{"a.test"}}}}, "no handler"},
		{"a port", Config{Routes: []hostmux.Route{{Hosts: []string{"a.test:443"}, Handler: h}}}, `without a port, such as graph.microsoft.com or .vault.azure.net, found "a.test:443"`},
		{"a wildcard", Config{Routes: []hostmux.Route{{Hosts: []string{"*.b.test"}, Handler: h}}}, `found "*.b.test"`},
		{"two handlers", Config{Routes: []hostmux.Route{{Hosts: []string{"a.test"}, Handler: h}, {Hosts: []string{"A.test"}, Handler: h}}}, "A.test has two handlers"},
		{"a name of another CA", Config{Routes: []hostmux.Route{{Hosts: []string{"c.test"}, Handler: h}}}, "does not certify c.test"},
		{"a suffix of another CA", Config{Routes: []hostmux.Route{{Hosts: []string{".test"}, Handler: h}}}, "does not certify .test"},
		{"an allowed URL", Config{AllowHosts: []string{"https://example.com/"}}, `allow host "https://example.com/": expected a name`},
		{"an allowed port alone", Config{AllowHosts: []string{":443"}}, `allow host ":443"`},
		{"an allowed port that is none", Config{AllowHosts: []string{"example.com:https"}}, `allow host "example.com:https"`},
		{"an allowed host that is emulated", Config{Routes: []hostmux.Route{{Hosts: []string{"a.test"}, Handler: h}}, AllowHosts: []string{"A.test"}}, "the lab emulates it"},
		{"an allowed suffix that is emulated", Config{Routes: []hostmux.Route{{Hosts: []string{".b.test"}, Handler: h}}, AllowHosts: []string{".b.test:443"}}, "the lab emulates it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !strings.HasPrefix(test.name, "no clock") && !strings.HasPrefix(test.name, "no auth") {
				test.cfg.Clock, test.cfg.Authority = lab, authority
			}
			if _, err := New(test.cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one that says %q", err, test.want)
			}
		})
	}
}

func TestAnAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, cfg := range map[string]Config{"gateway": {Listen: taken.Addr().String()}, "proxy": {ProxyListen: taken.Addr().String()}} {
		g, _ := fixture(t, cfg)
		err := g.Start()
		if err == nil {
			t.Fatal("started")
		}
		for _, part := range []string{name, taken.Addr().String(), "choose another address", "in use"} {
			if !strings.Contains(err.Error(), part) && runtime.GOOS != "windows" {
				t.Errorf("%q does not say %q", err, part)
			}
		}
		if g.Address() != "" || g.ProxyURL() != "" {
			t.Errorf("addresses %q, %q", g.Address(), g.ProxyURL())
		}
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestHosts(t *testing.T) {
	g, _ := fixture(t, Config{})
	want := ".special.vault.azure.net .vault.azure.net faults.test login.microsoftonline.com login.windows.net one.vault.azure.net"
	if got := strings.Join(g.Hosts(), " "); got != want {
		t.Errorf("hosts %s", got)
	}
	for host, want := range map[string]bool{
		"login.microsoftonline.com": true, "LOGIN.microsoftonline.com:443": true, "x.vault.azure.net": true,
		"vault.azure.net": false, "example.com": false, "": false, ":": false, "127.0.0.1": false,
	} {
		if g.mux.Has(host) != want {
			t.Errorf("Has(%q) is %t", host, !want)
		}
	}
}

func readBody(t testing.TB, r *http.Response) string {
	t.Helper()
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// deadline keeps a test that waits for the network from waiting for ever.
func deadline(t testing.TB, conn net.Conn) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
}
