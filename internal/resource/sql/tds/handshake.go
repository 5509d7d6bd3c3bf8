package tds

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// wrapped carries a TLS handshake in packets of type PRELOGIN, as TDS 7.x does (2.2.6.5).
// Once it is plain, bytes go through as they are.
type wrapped struct {
	net.Conn
	r     *bufio.Reader
	left  int // bytes of the current packet that were not read
	plain bool
}

func (c *wrapped) Read(b []byte) (int, error) {
	if c.plain {
		return c.r.Read(b)
	}
	for c.left == 0 {
		var h [headerSize]byte
		if _, err := io.ReadFull(c.r, h[:]); err != nil {
			return 0, err
		}
		if h[0] != packetPrelogin {
			return 0, fmt.Errorf("a packet of type %#x within a TLS handshake", h[0])
		}
		if c.left = int(binary.BigEndian.Uint16(h[2:])) - headerSize; c.left < 0 {
			return 0, fmt.Errorf("a packet of %d bytes", c.left+headerSize)
		}
	}
	n, err := c.r.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

func (c *wrapped) Write(b []byte) (int, error) {
	if c.plain {
		return c.Conn.Write(b)
	}
	p := &packets{w: c.Conn, kind: packetPrelogin, size: defaultPacketSize, buf: make([]byte, headerSize, defaultPacketSize)}
	n, err := p.Write(b)
	if err == nil {
		err = p.end()
	}
	return n, err
}

// accept makes the server's side of a TLS handshake: around TDS packets if strict (TDS 8.0),
// else within them.
func (w *wire) accept(config *tls.Config, strict bool) (tls.ConnectionState, error) {
	under := &wrapped{Conn: w.conn, r: w.r, plain: strict}
	c := tls.Server(under, config)
	if err := c.Handshake(); err != nil {
		return tls.ConnectionState{}, fmt.Errorf("TLS handshake: %w", err)
	}
	under.plain = true
	w.carriedBy(c)
	return c.ConnectionState(), nil
}

// connect makes the client's side of a TLS handshake within TDS packets.
func (w *wire) connect(config *tls.Config) error {
	under := &wrapped{Conn: w.conn, r: w.r}
	c := tls.Client(under, config)
	if err := c.Handshake(); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	under.plain = true
	w.carriedBy(c)
	return nil
}
