package hostmux

import (
	"bufio"
	"bytes"
	"context"
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

// dialed is what answers a client in memory, by a server with the gateway's time-outs.
func dialed(t *testing.T, protocols *http.Protocols, handler http.HandlerFunc) *http.Client {
	t.Helper()
	m, err := New(clock.Stopped(time.Now()), []Route{{Hosts: []string{"some.test"}, Handler: handler, MaxBody: func(*http.Request) int64 { return 1 << 20 }}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	listener := pipes{make(chan net.Conn, 1)}
	server := &http.Server{Handler: m, Protocols: protocols, ReadTimeout: 15 * time.Second, WriteTimeout: 2 * time.Minute}
	go func() { _ = server.Serve(listener) }()
	transport := &http.Transport{Protocols: protocols, DialContext: func(context.Context, string, string) (net.Conn, error) {
		own, others := net.Pipe()
		listener.conns <- others
		return own, nil
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		synctest.Wait()
	})
	return &http.Client{Transport: transport}
}

// protocols are those of the gateway's TLS listener, without TLS.
func protocols() map[string]*http.Protocols {
	first, second := new(http.Protocols), new(http.Protocols)
	first.SetHTTP1(true)
	second.SetUnencryptedHTTP2(true)
	return map[string]*http.Protocols{"HTTP/1.1": first, "HTTP/2": second}
}

// A handler may take longer than a client may take to send a request, or to read its answer.
func TestAHandlerThatTakesLong(t *testing.T) {
	for name, protocols := range protocols() {
		for _, body := range []string{"", "body"} {
			t.Run(name+" "+body, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client := dialed(t, protocols, func(w http.ResponseWriter, r *http.Request) {
						time.Sleep(5 * time.Minute) // of the bubble's time
						if err := r.Context().Err(); err != nil {
							t.Errorf("the server takes the client for gone: %v", err)
						}
						_, _ = io.WriteString(w, "answer")
					})
					for range 2 {
						response, err := client.Post("http://some.test/", "text/plain", strings.NewReader(body))
						if err != nil {
							t.Fatal(err)
						}
						answer, err := io.ReadAll(response.Body)
						if err != nil || string(answer) != "answer" {
							t.Errorf("found %q, %v", answer, err)
						}
						_ = response.Body.Close()
					}
				})
			})
		}
	}
}

// A client that does not read its answer loses its connection, or its stream.
func TestAClientThatDoesNotReadItsAnswer(t *testing.T) {
	for name, protocols := range protocols() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				long := bytes.Repeat([]byte("x"), 16<<20) // more than a client takes without being asked
				gaveUp := make(chan error, 1)
				client := dialed(t, protocols, func(w http.ResponseWriter, _ *http.Request) {
					time.Sleep(5 * time.Minute)
					_, err := w.Write(long)
					gaveUp <- err
				})
				began := time.Now()
				response, err := client.Get("http://some.test/")
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				if err := <-gaveUp; err == nil || time.Since(began) != 5*time.Minute+answerTimeout {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				if n, err := io.Copy(io.Discard, response.Body); err == nil {
					t.Errorf("all %d bytes arrived", n)
				}
			})
		})
	}
}
