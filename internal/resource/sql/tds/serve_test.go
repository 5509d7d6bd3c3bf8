package tds

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	labclock "github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/ca"
)

// nobody lets nobody in, after a while.
type nobody struct{ after time.Duration }

func (nobody) Authority(Attempt) (sts, spn string) { return "", "" }
func (n nobody) Login(context.Context, Attempt) (Session, error) {
	time.Sleep(n.after) // where it is not 0, of a bubble's time
	return nil, &Error{Number: 18456, State: 1, Class: 14, Message: "Login failed."}
}

// A connection that does not become a login ends, with what was wrong with it.
func TestConnectionsThatAreNoLogins(t *testing.T) {
	hello := prelogin{fedAuth: true, fedAuthValue: 1}.answer(version(), encryptOn, nil)
	packet := func(kind byte, data []byte) []byte {
		return append([]byte{kind, statusEnd, byte((len(data) + headerSize) >> 8), byte(len(data) + headerSize), 0, 0, 1, 0}, data...)
	}
	for _, row := range []struct {
		name string
		sent []byte
		want string
	}{
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: orders\r\n\r\n"), "EOF"},
		{"half a PRELOGIN", packet(packetPrelogin, hello)[:20], "unexpected EOF"},
		{"a PRELOGIN without an end", packet(packetPrelogin, hello[:5]), "PRELOGIN"},
		{"no encryption", packet(packetPrelogin, prelogin{}.answer(version(), encryptNotSupported, nil)), "does not encrypt"},
		{"half a TLS handshake", append(packet(packetPrelogin, hello), packet(packetPrelogin, []byte{0x16, 3, 1, 2, 0})...), "TLS handshake"},
		{"a LOGIN7 in the place of TLS", append(packet(packetPrelogin, hello), packet(packetLogin, login("a.b.c"))...), "type 0x10 within a TLS handshake"},
		{"half a strict handshake", []byte{0x16, 3, 1, 2, 0, 1}, "TLS handshake"},
		{"a first packet of 2 GiB", append([]byte{packetBatch, 0, 0xFF, 0xFF, 0, 0, 0, 0}, make([]byte, 1<<20)...), "packet"},
	} {
		t.Run(row.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			client, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				_, _ = client.Write(row.sent)
				_ = client.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, client)
			}()
			s := &Server{Handler: nobody{}, TLS: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				return nil, errors.New("none")
			}}}
			if err := s.Serve(t.Context(), server); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("expected %s, got %v", row.want, err)
			}
		})
	}
}

// A login that never ends does, and connections that say nothing end with the lab.
func TestSilentConnections(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	if err := (&Server{Handler: nobody{}, LoginTimeout: time.Millisecond}).Serve(t.Context(), server); err == nil {
		t.Error("it was a login")
	}
	ctx, cancel := context.WithCancel(t.Context())
	var open sync.WaitGroup
	var clients []net.Conn
	for range 1000 {
		client, server := net.Pipe()
		clients = append(clients, client)
		open.Go(func() { _ = (&Server{Handler: nobody{}}).Serve(ctx, server) })
	}
	cancel()
	open.Wait()
	for _, c := range clients {
		_ = c.Close()
	}
}

// A client that is asked for its token has more time than the login had until then, but not
// for ever.
func TestTheTimeForAToken(t *testing.T) {
	for name, row := range map[string]struct {
		patience time.Duration
		sends    bool
		want     error
	}{
		"after the login's time": {0, true, nil},
		"never":                  {time.Millisecond, false, os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := net.Pipe()
			defer client.Close()
			defer server.Close()
			if err := server.SetReadDeadline(time.Now().Add(-time.Second)); err != nil { // the login's is over
				t.Fatal(err)
			}
			go func() {
				w := newWire(client)
				if _, err := w.read(maxMessage); err == nil && row.sends { // FEDAUTHINFO
					_ = w.send(packetFedAuth, []byte{14, 0, 0, 0, 10, 0, 0, 0, 'a', 0, '.', 0, 'b', 0, '.', 0, 'c', 0})
				}
			}()
			a := &Attempt{Login: &Login{FedAuth: &FedAuth{Library: LibraryADAL}}}
			err := (&Server{Handler: nobody{}, TokenTimeout: row.patience}).token(newWire(server), a)
			if !errors.Is(err, row.want) || row.want == nil && a.Token != "a.b.c" {
				t.Errorf("%q, %v", a.Token, err)
			}
		})
	}
}

// A login may take the handler longer than it may take a client, who gets its answer all the same.
func TestALoginThatTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, err := ca.Open("", labclock.Running(), ca.Options{Names: []string{".database.windows.net"}})
		if err != nil {
			t.Fatal(err)
		}
		client, server := net.Pipe()
		defer client.Close()
		s := &Server{Handler: nobody{90 * time.Second}, Name: "orders", TLS: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: authority.GetCertificate}}
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(t.Context(), server) }()
		w := newWire(client)
		err = w.send(packetPrelogin, prelogin{fedAuth: true, fedAuthValue: 1}.answer(version(), encryptOn, nil))
		if err == nil {
			_, err = w.read(maxMessage)
		}
		if err == nil {
			err = w.connect(&tls.Config{ServerName: "orders.database.windows.net", InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
		}
		if err == nil {
			err = w.send(packetLogin, login("a.b.c"))
		}
		if err != nil {
			t.Fatal(err)
		}
		answer, err := w.read(maxMessage)
		if err != nil || !bytes.Contains(answer.data, toUTF16("Login failed.")) {
			t.Errorf("found %q, %v", answer.data, err)
		}
		var refusal *Error
		if err := <-ended; !errors.As(err, &refusal) || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("it ended with %v", err)
		}
	})
}
