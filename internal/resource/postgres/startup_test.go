package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// memory is a connection that sends what is in it.
type memory struct {
	net.Conn
	in  io.Reader
	out bytes.Buffer
}

func (m *memory) Read(p []byte) (int, error)  { return m.in.Read(p) }
func (m *memory) Write(p []byte) (int, error) { return m.out.Write(p) }

// packet is a packet without a type: its length, and numbers.
func packet(numbers ...uint32) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(4*len(numbers)+4))
	for _, n := range numbers {
		out = binary.BigEndian.AppendUint32(out, n)
	}
	return out
}

func startupOf(version uint32, parameters string) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(parameters)+8))
	return append(binary.BigEndian.AppendUint32(out, version), parameters...)
}

// noTLS takes the place of a handshake: everything after it is as before.
func noTLS(_ context.Context, conn net.Conn) (net.Conn, error) { return conn, nil }

func TestGreetings(t *testing.T) {
	const v30, v32 = pgproto3.ProtocolVersion30, pgproto3.ProtocolVersion32
	user := "user\x00web\x00\x00"
	for _, row := range []struct {
		name    string
		sent    []byte
		answer  string
		problem string // of the error; "" for none
		check   func(startup) bool
	}{
		{"in clear text", startupOf(v30, user), "", "", func(s startup) bool {
			return !s.encrypted && !s.negotiated && s.login.Parameters["user"] == "web"
		}},
		{"TLS, asked for", append(packet(sslRequest), startupOf(v30, user)...), "S", "", func(s startup) bool { return s.encrypted && s.login != nil }},
		{"GSS, then TLS", append(append(packet(gssRequest), packet(sslRequest)...), startupOf(v30, user)...), "NS", "", func(s startup) bool { return s.encrypted }},
		{"protocol 3.2", append(packet(sslRequest), startupOf(v32, user)...), "S", "", func(s startup) bool { return s.negotiated && len(s.options) == 0 }},
		{"protocol 3.9999, as clients send to find intolerant servers", startupOf(3<<16|9999, user), "", "", func(s startup) bool { return s.negotiated }},
		{"options", startupOf(v30, "user\x00web\x00_pq_.x\x001\x00\x00"), "", "", func(s startup) bool { return s.negotiated && s.options[0] == "_pq_.x" }},
		{"no parameter", startupOf(v30, "\x00"), "", "", func(s startup) bool { return len(s.login.Parameters) == 0 }},
		{"a cancellation", packet(cancelRequest, 7, 8), "", "", func(s startup) bool { return s.cancel.ProcessID == 7 && len(s.cancel.SecretKey) == 4 }},
		{"a long key", packet(cancelRequest, 7, 8, 9, 10), "", "", func(s startup) bool { return len(s.cancel.SecretKey) == 12 }},

		{"nothing", nil, "", "EOF", nil},
		{"half a length", []byte{0, 0}, "", "unexpected EOF", nil},
		{"half a packet", startupOf(v30, user)[:12], "", "unexpected EOF", nil},
		{"2 GiB", []byte{0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0}, "", "a start-up packet of 2147483647 bytes", nil},
		{"4 GiB", []byte{0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0}, "", "a start-up packet of 4294967295 bytes", nil},
		{"too short a length", []byte{0, 0, 0, 7, 0, 3, 0}, "", "a start-up packet of 7 bytes", nil},
		{"protocol 2", startupOf(2<<16, user), "", "unsupported frontend protocol 2.0: server supports 3.0 to 3.0", nil},
		{"TLS twice", append(packet(sslRequest), packet(sslRequest)...), "S", "unsupported frontend protocol 1234.5679", nil},
		{"GSS twice", append(packet(gssRequest), packet(gssRequest)...), "N", "unsupported frontend protocol 1234.5680", nil},
		{"HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), "", "a start-up packet of 1195725856 bytes", nil},
		{"a text without an end", startupOf(v30, "user"), "", "cannot be read", nil},
		{"a value that is missing", startupOf(v30, "user\x00"), "", "cannot be read", nil},
		{"no end", startupOf(v30, "user\x00web\x00"), "", "cannot be read", nil},
		{"a cancellation without a key", packet(cancelRequest, 7), "", "CancelRequest that cannot be read", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			const rest = "and what follows"
			conn := &memory{in: io.MultiReader(bytes.NewReader(row.sent), strings.NewReader(rest))}
			if row.problem != "" && strings.Contains(row.problem, "EOF") {
				conn.in = bytes.NewReader(row.sent)
			}
			_, s, err := greet(t.Context(), conn, noTLS)
			if row.problem == "" && err != nil || row.problem != "" && (err == nil || !strings.Contains(err.Error(), row.problem)) {
				t.Fatalf("expected %q, found %v", row.problem, err)
			}
			if conn.out.String() != row.answer {
				t.Errorf("answered %q", conn.out.String())
			}
			if row.check == nil {
				return
			}
			if !row.check(s) {
				t.Errorf("read %+v", s)
			}
			if left, _ := io.ReadAll(conn.in); string(left) != rest {
				t.Errorf("left %q", left)
			}
		})
	}
}

func TestPasswords(t *testing.T) {
	for _, row := range []struct{ sent, password, problem string }{
		{"p\x00\x00\x00\x0asecr\x00t", "", "cannot be read"},
		{"p\x00\x00\x00\x0bsecret\x00", "secret", ""},
		{"p\x00\x00\x00\x05\x00", "", ""},
		{"p\x00\x00\x00\x04", "", "cannot be read"},
		{"p\x00\x00\x00\x0asecret", "", "cannot be read"},
		{"p\x00\x00\x00\x03", "", "a message of type 'p' and 3 bytes"},
		{"p\x7f\xff\xff\xffx", "", "a message of type 'p' and 2147483647 bytes"},
		{"p\xff\xff\xff\xffx", "", "a message of type 'p' and 4294967295 bytes"},
		{"Q\x00\x00\x00\x05\x00", "", "expected password response, got message type 81"},
		{"p\x00\x00\x00\x0bsec", "", "unexpected EOF"},
	} {
		password, err := readPassword(strings.NewReader(row.sent))
		if row.problem == "" && err != nil || row.problem != "" && (err == nil || !strings.Contains(err.Error(), row.problem)) {
			t.Errorf("%q: expected %q, found %v", row.sent, row.problem, err)
		}
		if err == nil && !strings.HasPrefix(password, row.password) {
			t.Errorf("%q: found %q", row.sent, password)
		}
	}
}

// Whatever a client sends, it is read within bounds, and either understood or refused; what is
// understood says the same when it is sent again.
func FuzzStartup(f *testing.F) {
	f.Add(startupOf(pgproto3.ProtocolVersion30, "user\x00web\x00\x00"))
	f.Add(append(packet(sslRequest), startupOf(pgproto3.ProtocolVersion32, "user\x00web\x00_pq_.x\x001\x00\x00")...))
	f.Add(packet(cancelRequest, 7, 8))
	f.Add([]byte{handshake, 3, 1, 0})
	f.Add(startupOf(pgproto3.ProtocolVersion30, "\x00"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		conn := &memory{in: bytes.NewReader(sent)}
		_, s, err := greet(context.Background(), conn, noTLS)
		if conn.out.Len() > 2 {
			t.Errorf("answered %q", conn.out.String())
		}
		var bad *malformed
		var other *unsupported
		switch {
		case err != nil:
			if !errors.As(err, &bad) && !errors.As(err, &other) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%v", err)
			}
		case (s.login == nil) == (s.cancel == nil):
			t.Errorf("neither a login nor a cancellation, or both: %+v", s)
		case s.login != nil && len(s.login.Parameters) > 0:
			if _, empty := s.login.Parameters[""]; empty {
				return // which pgproto3 does not write so that it can be read
			}
			again, err := s.login.Encode(nil)
			if err != nil {
				t.Fatal(err)
			}
			_, read, err := greet(context.Background(), &memory{in: bytes.NewReader(again)}, noTLS)
			if err != nil || len(read.login.Parameters) != len(s.login.Parameters) {
				t.Errorf("%v: %+v is sent as %q and read as %+v", err, s.login, again, read.login)
			}
		}
		if _, err := readPassword(bytes.NewReader(sent)); err == nil && len(sent) > maxPassword+5 && sent[0] != 'p' {
			t.Error("a password of another message")
		}
	})
}

// What a client sends for a password is read to its end and not a byte further, or refused; and
// what PostgreSQL sends last is looked through for the reason of the end, whatever it is.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("p\x00\x00\x00\x0btoken\x00\x00rest"))
	f.Add([]byte("p\x00\x00\x00\x04"))
	f.Add([]byte("X\x00\x00\x00\x04"))
	f.Add([]byte("p\xff\xff\xff\xff"))
	f.Add([]byte("E\x00\x00\x00\x30SFATAL\x00VFATAL\x00C57P01\x00Mterminating\x00\x00"))
	f.Add([]byte("VFATAL\x00C\x00M\x00"))
	f.Add([]byte("C\x00\x00\x00\x0dSELECT 1\x00Z\x00\x00\x00\x05I"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		in := bytes.NewReader(sent)
		password, err := readPassword(in)
		var bad *malformed
		switch {
		case err == nil:
			again, encodes := (&pgproto3.PasswordMessage{Password: password}).Encode(nil)
			if read := len(sent) - in.Len(); encodes != nil || read < len(again) || !bytes.HasPrefix(sent, again[:1]) || sent[read-1] != 0 || strings.ContainsRune(password, 0) {
				t.Errorf("%q of %q, of which %d bytes were read: %v", password, sent, read, encodes)
			}
		case !errors.As(err, &bad) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			t.Errorf("%v", err)
		}
		code, message := fatal(sent)
		if (code != "" || message != "") && !bytes.Contains(sent, []byte("VFATAL\x00")) {
			t.Errorf("%q ends a session with %q, %q", sent, code, message)
		}
		if isReady(sent) && len(sent) < 6 {
			t.Errorf("%q is ready", sent)
		}
	})
}
