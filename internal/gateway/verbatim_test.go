package gateway

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/hostmux"
)

// A verbatim route gets names as they are sent, over the network and in memory.
func TestVerbatimRoutes(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintf(w, "%s %d %v", r.RequestURI, n, err)
	})
	most := func(*http.Request) int64 { return 4 << 20 }
	g, authority := started(t, Config{Routes: []hostmux.Route{{
		Hosts: []string{".blob.test"}, Handler: handler, Verbatim: true, MaxBody: most,
		Unreadable: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "too large for "+r.RequestURI, http.StatusRequestEntityTooLarge)
		}),
	}}})
	for name, c := range map[string]*http.Client{"HTTP/1.1": client(t, g, authority, false), "a client of HTTP/2": client(t, g, authority, true), "memory": {Transport: g.Transport()}} {
		t.Run(name, func(t *testing.T) {
			for _, target := range []string{"/Inbox//a/../B%2Fc%20d?comp=Block&x=%3F", "/%C3%BC/", "/"} {
				response, err := c.Post("https://orders.blob.test"+target, "", bytes.NewReader(make([]byte, 3<<20)))
				if err != nil {
					t.Fatal(err)
				}
				if response.ProtoMajor != 1 { // as Azure Storage
					t.Errorf("found %s", response.Proto)
				}
				if found, expected := readBody(t, response), fmt.Sprintf("%s %d <nil>", target, 3<<20); found != expected {
					t.Errorf("expected %s, found %s", expected, found)
				}
			}
			response, err := c.Post("https://orders.blob.test/Big//one", "", bytes.NewReader(make([]byte, 5<<20)))
			if err != nil {
				t.Fatal(err)
			}
			if found := readBody(t, response); response.StatusCode != 413 || found != "too large for /Big//one\n" {
				t.Errorf("found %d %s", response.StatusCode, found)
			}
		})
	}
}

// While a handler of a verbatim route waits for more of a body, the clock can be advanced;
// while it is at work, it cannot.
func TestASlowUploadDoesNotHoldTheClock(t *testing.T) {
	lab, begun, work, done := clock.Stopped(labTime), make(chan string), make(chan bool), make(chan bool)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, first)
		begun <- string(first)
		<-work
		rest, err := io.ReadAll(r.Body)
		if err != nil || string(rest) != " world" {
			t.Errorf("found %q, %v", rest, err)
		}
		begun <- string(rest)
		<-work
		w.WriteHeader(http.StatusCreated)
	})
	g, authority := started(t, Config{Clock: lab, Routes: []hostmux.Route{{Hosts: []string{"blob.test"}, Handler: handler, Verbatim: true}}})
	body, upload := io.Pipe()
	go func() {
		defer close(done)
		response, err := client(t, g, authority, false).Post("https://blob.test/", "", body)
		if err != nil || response.StatusCode != http.StatusCreated {
			t.Errorf("found %v %v", response, err)
		}
	}()
	advanced := make(chan error, 1)
	advance := func() { advanced <- lab.Advance(t.Context(), time.Hour) }
	stands := func(what string) {
		t.Helper()
		select {
		case err := <-advanced:
			t.Errorf("the clock moved on %s: %v", what, err)
		default:
		}
	}
	_, _ = io.WriteString(upload, "hello")
	<-begun
	go advance()
	stands("while a handler was at work")
	work <- true // it reads on, and nothing comes
	if err := <-advanced; err != nil {
		t.Error(err)
	}
	_, _ = io.WriteString(upload, " world")
	_ = upload.Close()
	<-begun
	go advance()
	stands("before the answer")
	work <- true
	<-done
	if err := errors.Join(<-advanced, t.Context().Err()); err != nil {
		t.Error(err)
	}
}

// A client that sends all of a body before it looks for the answer sees why it was refused.
func TestARefusedUpload(t *testing.T) {
	for name, read := range map[string]int64{"before it is read": 0, "in the middle": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			g, authority := started(t, Config{Routes: []hostmux.Route{{
				Hosts: []string{"blob.test"}, Verbatim: true, MaxBody: func(*http.Request) int64 { return 64 << 20 },
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.CopyN(io.Discard, r.Body, read)
					http.Error(w, "no", http.StatusForbidden)
				}),
			}}})
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(authority.RootPEM())
			conn := handshake(t, g, roots, "blob.test", "http/1.1")
			if _, err := fmt.Fprintf(conn, "PUT / HTTP/1.1\r\nHost: blob.test\r\nContent-Length: %d\r\n\r\n", 32<<20); err != nil {
				t.Fatal(err)
			}
			for range 32 {
				if _, err := conn.Write(make([]byte, 1<<20)); err != nil {
					t.Fatal(err)
				}
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if found := readBody(t, response); response.StatusCode != http.StatusForbidden || found != "no\n" {
				t.Errorf("found %d %s", response.StatusCode, found)
			}
		})
	}
}
