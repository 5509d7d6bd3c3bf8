package hostmux

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Stream leads the connections to some hosts and ports, other than 80 and 443, to what talks
// with clients in a protocol of its own.
type Stream struct {
	Hosts []string // as in Route
	Ports []uint16 // on which each of Hosts is reached
	// There returns the hosts that have something behind them now; resources are made and deleted
	// while a lab runs. Connections to others are led to Serve all the same, which refuses them.
	// If nil, there is something behind each.
	There func() []string
	// Variables, NAME=VALUE, lead clients that heed no proxy to an address of this machine, at
	// which the first of Ports is opened for them. If nil, there is none.
	Variables func(at netip.AddrPort) []string
	// Serve is given each connection, without TLS. The connection is closed when it returns,
	// or when the gateway closes, and the context ends then; it knows the program, if that was
	// led (journals.ProgramOf).
	Serve func(ctx context.Context, c *Connection)
}

// Used reports whether there is something behind a host of the stream now. While there is not,
// isolated programs may listen on Ports themselves.
func (s *Stream) Used() bool { return s.There == nil || len(s.There()) > 0 }

// Only returns the one host that has something behind it now: connections that name none are taken
// to be for it. It is empty if there are none, or several.
func (s *Stream) Only() string {
	if s.There == nil {
		return ""
	}
	if there := s.There(); len(there) == 1 {
		return there[0]
	}
	return ""
}

// Connection is a client's to a stream.
type Connection struct {
	net.Conn // as the client sends, TLS included

	// Host is the name that the client connected to, in lower case. It is empty if the client
	// connected to the gateway's address, as in a container network, until StartTLS or the
	// resource's own protocol names it.
	Host string
	Port uint16 // that the client connected to
	Only string // as of Stream

	// Certificate returns that of the lab's CA for an emulated host: tls.Config.GetCertificate.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

	// Begin holds the lab clock until the returned function is called: while a request or a
	// login is answered, and not while the connection is idle.
	Begin func() (end func())
}

// NetConn returns the connection underneath.
func (c *Connection) NetConn() net.Conn { return c.Conn }

// Begun is a connection of which some bytes were read already, which it gives again. It has
// one reader.
type Begun struct {
	net.Conn
	Early []byte
}

// Read implements net.Conn.
func (b *Begun) Read(p []byte) (int, error) {
	if len(b.Early) == 0 {
		return b.Conn.Read(p)
	}
	n := copy(p, b.Early)
	b.Early = b.Early[n:]
	return n, nil
}

// NetConn returns the connection underneath.
func (b *Begun) NetConn() net.Conn { return b.Conn }

// CloseWrite ends one direction where the connection can.
func (b *Begun) CloseWrite() error { return CloseWrite(b.Conn) }

// CloseWrite tells the other side that no more bytes come, by closing all of a
// connection that cannot be closed by halves.
func CloseWrite(conn net.Conn) error {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return conn.Close()
}

// Join copies both ways until both sides have ended: one that has said all it has to say may still
// listen. If one breaks, cut is called with each, and closes it.
func Join(client, server net.Conn, cut func(net.Conn)) {
	pour := func(to, from net.Conn) {
		if _, err := io.Copy(to, from); err != nil {
			cut(to)
			cut(from)
			return
		}
		_ = CloseWrite(to) // the other side may be gone already
	}
	var back sync.WaitGroup
	back.Go(func() { pour(server, client) })
	pour(client, server)
	back.Wait()
}

// handshakeTimeout is how long, in wall time, a client may take for its part of a TLS handshake.
const handshakeTimeout = time.Minute

// StartTLS does the server's part of a TLS handshake over conn: the Connection itself, or
// what wraps it, as TDS 7 wraps handshakes in packets of its own. The certificate is that of the
// name that the client asks for (SNI), else of Host, else of Only. Where Host is empty, it becomes
// that name. protocols are offered by ALPN, if any are given.
func (c *Connection) StartTLS(ctx context.Context, conn net.Conn, protocols ...string) (*tls.Conn, error) {
	if c.Certificate == nil {
		return nil, errors.New("start TLS: the connection has no certificates")
	}
	asked := cmp.Or(c.Host, c.Only)
	// Records of a packet each, which come before larger ones, are for networks that lose packets: on
	// this machine they are 50 writes for 64 KiB.
	secured := tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, DynamicRecordSizingDisabled: true, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		hello.ServerName = cmp.Or(hello.ServerName, asked)
		asked = strings.ToLower(hello.ServerName)
		return c.Certificate(hello)
	}})
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	c.Host = cmp.Or(c.Host, asked)
	return secured, nil
}

// Reset has closing a connection, or what goes over it, send a reset rather than an end. It
// returns the one that does, nil if none can.
func Reset(conn net.Conn) net.Conn {
	for conn != nil {
		if tcp, ok := conn.(interface{ SetLinger(seconds int) error }); ok {
			_ = tcp.SetLinger(0) // a connection that is gone needs none
			return conn
		}
		above, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		conn = above.NetConn()
	}
	return nil
}
