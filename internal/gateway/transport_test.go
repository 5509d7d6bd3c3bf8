package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/hostmux"
)

// What a handler says in memory is what it says over the network.
func TestTransportIsLikeTheNetwork(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", fmt.Sprintf("%s %s %s %q %s %q tls=%s %s", r.Method, r.Host, r.RequestURI, r.URL.String(), r.Proto, body, r.TLS.ServerName, r.Header.Get("X-Given")))
		switch r.URL.Path {
		case "/json":
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusTeapot)
			w.WriteHeader(http.StatusOK) // too late
			w.Header().Set("X-Late", "yes")
			_, _ = io.WriteString(w, `{"a":1}`)
		case "/text":
			_, _ = io.WriteString(w, "some text")
		case "/flushed":
			http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "after")
		case "/empty":
		case "/nothing":
			w.WriteHeader(http.StatusNoContent)
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusCreated)
		}
	})
	g, authority := started(t, Config{Routes: []hostmux.Route{{Hosts: []string{"a.test"}, Handler: handler}}})
	network, memory := client(t, g, authority, false), &http.Client{Transport: g.Transport()}
	for _, method := range []string{"GET", "HEAD", "POST", "DELETE"} {
		for _, path := range []string{"", "/json?q=%41&r", "/text", "/flushed", "/empty", "/nothing", "/early", "/a%2Fb//C"} {
			t.Run(method+" "+path, func(t *testing.T) {
				ask := func(c *http.Client) string {
					var body io.Reader
					if method == "POST" {
						body = io.MultiReader(strings.NewReader("of unknown length"))
					}
					request, err := http.NewRequestWithContext(t.Context(), method, "https://A.test"+path, body)
					if err != nil {
						t.Fatal(err)
					}
					request.Header["x-given"] = []string{"given"} // a server reads X-Given
					response, err := c.Do(request)
					if err != nil {
						t.Fatal(err)
					}
					text := readBody(t, response)
					return fmt.Sprintf("%s %s %q\nseen %s\ntype %q date %q late %q cut %v", response.Status, response.Proto, text,
						response.Header["X-Seen"], response.Header["Content-Type"], response.Header["Date"], response.Header["X-Late"],
						response.ContentLength > int64(len(text)) && method != "HEAD")
				}
				if in, over := ask(memory), ask(network); in != over {
					t.Errorf("in memory:\n%s\nover the network:\n%s", in, over)
				}
			})
		}
	}
}

func TestTransportRefuses(t *testing.T) {
	g, _ := fixture(t, Config{})
	for url, want := range map[string]string{
		"https://example.com/":                    "example.com is not emulated",
		"http://login.microsoftonline.com/":       "expected an https URL",
		"https://login.microsoftonline.com:8443/": "expected an https URL on port 443",
		"https://vault.azure.net/":                "vault.azure.net is not emulated",
	} {
		body := &closing{Reader: strings.NewReader("x")}
		request, err := http.NewRequest("POST", url, body)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Transport().RoundTrip(request); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one that says %q", url, err, want)
		}
		if !body.closed {
			t.Errorf("%s: the body was not closed", url)
		}
	}
	if g.Escapes() != 0 {
		t.Error("what our own code asks for is no escape")
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

func TestTransportPanics(t *testing.T) {
	g, _ := fixture(t, Config{})
	for path, want := range map[string]string{"/panic": "500", "/index": "500", "/late": "unexpected EOF", "/abort": "unexpected EOF"} {
		for _, ctx := range []context.Context{context.Background(), t.Context()} {
			request, err := http.NewRequestWithContext(ctx, "GET", "https://faults.test"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := g.Transport().RoundTrip(request)
			got := fmt.Sprint(err)
			if err == nil {
				got = response.Status
			} else if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: error %v", path, err)
			}
			if !strings.Contains(got, want) {
				t.Errorf("%s: %s, want %s", path, got, want)
			}
		}
	}
}

func TestTransportInSynctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(time.Minute): // of the bubble
				_, _ = io.WriteString(w, "at last")
			case <-r.Context().Done():
			}
		})
		g, _ := fixture(t, Config{Clock: clock.Running(), Routes: []hostmux.Route{{Hosts: []string{"a.test"}, Handler: handler}}})
		for _, test := range []struct {
			patience time.Duration
			want     error
		}{{2 * time.Minute, nil}, {time.Second, context.DeadlineExceeded}} {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), test.patience)
			defer cancel()
			request, err := http.NewRequestWithContext(ctx, "GET", "https://a.test/", nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = (&http.Client{Transport: g.Transport()}).Do(request)
			if !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if took := time.Since(began); took > min(test.patience, time.Minute) {
				t.Errorf("took %v", took)
			}
		}
	})
}

func BenchmarkTransport(b *testing.B) {
	g, _ := fixture(b, Config{})
	request, err := http.NewRequest("GET", "https://login.microsoftonline.com/contoso/oauth2/token", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Transport().RoundTrip(request); err != nil {
			b.Fatal(err)
		}
	}
}
