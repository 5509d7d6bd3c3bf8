package hostmux

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

// pipes is a listener in memory, so that time-outs can be tested without waiting.
type pipes struct{ conns chan net.Conn }

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error { close(p.conns); return nil }

func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// connected is a connection to a server of one verbatim route.
func connected(t *testing.T, handler http.HandlerFunc) net.Conn {
	t.Helper()
	m, err := New(clock.Stopped(time.Now()), []Route{{Hosts: []string{"blob.test"}, Handler: handler, Verbatim: true, MaxBody: func(*http.Request) int64 { return 1 << 20 }}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	own, others := net.Pipe()
	listener := pipes{make(chan net.Conn, 1)}
	listener.conns <- others
	server := &http.Server{Handler: m, ReadTimeout: 15 * time.Second, WriteTimeout: 2 * time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		_ = own.Close()
		synctest.Wait()
	})
	return own
}

// A client whose body does not come, or is too long, gets the answer, and its connection is
// closed.
func TestBodiesThatAreLeftUnread(t *testing.T) {
	refuse := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
	for name, test := range map[string]struct {
		header, body string
		handler      http.HandlerFunc
	}{
		"nothing comes":     {"Content-Length: 100", "", refuse},
		"a part comes":      {"Content-Length: 100", "part", refuse},
		"chunks do not end": {"Transfer-Encoding: chunked", "4\r\npart\r\n", refuse},
		"the handler has read a part": {"Content-Length: 100", "part", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadFull(r.Body, make([]byte, 4))
			refuse(w, r)
		}},
		"the handler closes it": {"Content-Length: 100", "part", func(w http.ResponseWriter, r *http.Request) { _ = r.Body.Close(); refuse(w, r) }},
		"it is not asked for":   {"Content-Length: 100\r\nExpect: 100-continue", "", refuse},
		"it is too long":        {"Transfer-Encoding: chunked", "100001\r\n" + strings.Repeat("x", 1<<20+1) + "\r\n", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); refuse(w, r) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := connected(t, test.handler)
				go func() {
					_, _ = fmt.Fprintf(conn, "PUT / HTTP/1.1\r\nHost: blob.test\r\n%s\r\n\r\n%s", test.header, test.body)
				}()
				if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
					t.Fatal(err)
				}
				reader := bufio.NewReader(conn)
				response, err := http.ReadResponse(reader, nil)
				if err != nil || response.StatusCode != http.StatusForbidden {
					t.Fatalf("expected 403, found %v, %v", response, err)
				}
				_ = response.Body.Close()
				if _, err := reader.ReadByte(); err != io.EOF {
					t.Errorf("expected the connection to be closed, found %v", err)
				}
			})
		})
	}
}

// A client may take as long as it likes for a long answer, as long as it reads on.
func TestASlowReaderOfALongAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := bytes.Repeat([]byte("x"), 4<<20)
		conn := connected(t, func(w http.ResponseWriter, _ *http.Request) {
			if n, err := w.Write(content); n != len(content) || err != nil {
				t.Errorf("wrote %d, %v", n, err)
			}
		})
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: blob.test\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for err == nil {
			var n int64
			n, err = io.CopyN(io.Discard, response.Body, 128<<10)
			found += int(n)
			time.Sleep(30 * time.Second) // of the bubble's time
		}
		if found != len(content) {
			t.Errorf("read %d bytes of %d: %v", found, len(content), err)
		}
	})
}

// What a handler leaves of a body is not taken for the next request.
func TestTheConnectionStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := connected(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			time.Sleep(time.Minute) // of the bubble's time
			if r.Context().Err() != nil {
				t.Error("a deadline is left, and the server takes the client for gone")
			}
		})
		reader := bufio.NewReader(conn)
		for range 3 {
			if _, err := fmt.Fprintf(conn, "PUT / HTTP/1.1\r\nHost: blob.test\r\nContent-Length: %d\r\n\r\n%s", 1<<20, strings.Repeat("x", 1<<20)); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(reader, nil)
			if err != nil || response.StatusCode != http.StatusForbidden || response.Close {
				t.Fatalf("expected 403, found %v, %v", response, err)
			}
		}
	})
}
