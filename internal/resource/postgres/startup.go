package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/wiemu/wiemu/internal/hostmux"
)

// What may come before a login, by the number in place of a protocol version.
// Source: PostgreSQL, src/include/libpq/pqcomm.h.
const (
	sslRequest    = 80877103
	gssRequest    = 80877104
	cancelRequest = 80877102
)

// The most that is read before somebody is logged in. Source: PostgreSQL,
// src/include/libpq/pqcomm.h (MAX_STARTUP_PACKET_LENGTH), src/backend/libpq/auth.c
// (PG_MAX_AUTH_TOKEN_LENGTH).
const (
	maxStartup  = 10_000
	maxPassword = 65_535
)

// handshake is the first byte of TLS, of clients that begin with it at once.
const handshake = 0x16

// startup is what a client has sent when it asks to be logged in, or for a cancellation.
type startup struct {
	encrypted  bool
	login      *pgproto3.StartupMessage
	negotiated bool // it asked for another version than 3.0, or for options
	options    []string
	cancel     *pgproto3.CancelRequest
}

// malformed is a start-up that breaks the protocol. PostgreSQL closes such connections.
type malformed struct{ found string }

func (m *malformed) Error() string { return m.found }

// unsupported is a version of the protocol that is not spoken.
type unsupported struct{ major, minor uint32 }

func (u *unsupported) Error() string {
	return fmt.Sprintf("unsupported frontend protocol %d.%d: server supports 3.0 to 3.0", u.major, u.minor)
}

// greet reads what a client sends before its login, and not a byte more, and answers requests
// for encryption: starttls does the server's part of a TLS handshake on the connection.
// Source: PostgreSQL documentation, "Protocol flow", src/backend/tcop/backend_startup.c.
func greet(ctx context.Context, conn net.Conn, starttls func(context.Context, net.Conn) (net.Conn, error)) (net.Conn, startup, error) {
	var s startup
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		return conn, s, err
	}
	if first[0] == handshake {
		secured, err := starttls(ctx, &hostmux.Begun{Conn: conn, Early: first})
		if err != nil {
			return conn, s, err
		}
		conn, s.encrypted, first = secured, true, nil
	}
	asked := s.encrypted // PostgreSQL answers each request for encryption once
	for gss := s.encrypted; ; {
		packet, err := readStartup(conn, first)
		if err != nil {
			return conn, s, err
		}
		first = nil
		switch code := binary.BigEndian.Uint32(packet); {
		case code == sslRequest && !asked:
			asked, gss = true, true
			if _, err := conn.Write([]byte{'S'}); err != nil {
				return conn, s, err
			}
			secured, err := starttls(ctx, conn)
			if err != nil {
				return conn, s, err
			}
			conn, s.encrypted = secured, true
		case code == gssRequest && !gss:
			gss = true
			if _, err := conn.Write([]byte{'N'}); err != nil {
				return conn, s, err
			}
		case code == cancelRequest:
			s.cancel = &pgproto3.CancelRequest{}
			if err := s.cancel.Decode(packet); err != nil {
				return conn, s, &malformed{"a CancelRequest that cannot be read: " + err.Error()}
			}
			return conn, s, nil
		default:
			return conn, s, s.read(packet)
		}
	}
}

// readStartup reads a packet that has no type, of which first was read already, and returns
// what follows its length.
func readStartup(conn io.Reader, first []byte) ([]byte, error) {
	var head [4]byte
	n := copy(head[:], first)
	if _, err := io.ReadFull(conn, head[n:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length < 8 || length > maxStartup {
		return nil, &malformed{fmt.Sprintf("a start-up packet of %d bytes; PostgreSQL takes 8 to %d", length, maxStartup)}
	}
	packet := make([]byte, length-4)
	_, err := io.ReadFull(conn, packet)
	return packet, err
}

// read reads a StartupMessage. Every minor version of 3 is taken for 3.0, which the client is
// then told (NegotiateProtocolVersion).
func (s *startup) read(packet []byte) error {
	version := binary.BigEndian.Uint32(packet)
	if version>>16 != 3 {
		return &unsupported{version >> 16, version & 0xffff}
	}
	s.negotiated = version != pgproto3.ProtocolVersion30
	binary.BigEndian.PutUint32(packet, pgproto3.ProtocolVersion30)
	s.login = &pgproto3.StartupMessage{}
	if len(packet) == 5 && packet[4] == 0 { // which pgproto3 does not read: no parameter at all
		s.login.Parameters = map[string]string{}
	} else if err := s.login.Decode(packet); err != nil {
		return &malformed{"a start-up packet that cannot be read: " + err.Error()}
	}
	for name := range s.login.Parameters {
		if strings.HasPrefix(name, "_pq_.") {
			s.options = append(s.options, name)
			s.negotiated = true
		}
	}
	return nil
}

// readMessage reads a message with a type, and not a byte more.
func readMessage(conn io.Reader, most int) (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(head[1:])
	if length < 4 || length > uint32(most)+4 {
		return 0, nil, &malformed{fmt.Sprintf("a message of type %q and %d bytes, where a password was expected", head[0], length)}
	}
	body = make([]byte, length-4)
	_, err = io.ReadFull(conn, body)
	return head[0], body, err
}

// readPassword reads the answer to AuthenticationCleartextPassword.
func readPassword(conn io.Reader) (string, error) {
	kind, body, err := readMessage(conn, maxPassword)
	if err != nil {
		return "", err
	}
	var password pgproto3.PasswordMessage
	if kind != 'p' {
		return "", &malformed{fmt.Sprintf("expected password response, got message type %d", kind)}
	}
	if len(body) == 0 || body[len(body)-1] != 0 || password.Decode(body) != nil {
		return "", &malformed{"a password message that cannot be read"}
	}
	return password.Password, nil
}

// isMalformed reports whether a client broke the protocol, and how.
func isMalformed(err error) (found string, ok bool) {
	var m *malformed
	if errors.As(err, &m) {
		return m.found, true
	}
	return "", false
}
