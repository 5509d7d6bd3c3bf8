package tds

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Packet types (MS-TDS 2.2.3.1.1).
const (
	packetBatch       = 0x01
	packetRPC         = 0x03
	packetReply       = 0x04
	packetAttention   = 0x06
	packetBulk        = 0x07
	packetFedAuth     = 0x08
	packetTransaction = 0x0E
	packetLogin       = 0x10
	packetPrelogin    = 0x12
)

// Status bits of a packet (2.2.3.1.2).
const (
	statusEnd       = 0x01
	statusIgnore    = 0x02
	statusReset     = 0x08
	statusResetSkip = 0x10
)

const (
	headerSize        = 8
	minPacketSize     = 512
	defaultPacketSize = 4096     // until the login says otherwise
	maxPacketSize     = 32767    // 2.2.6.4
	maxMessage        = 64 << 20 // MS-TDS has no limit; this one is for the memory
	maxLoginMessage   = 128<<10 - 1
)

// writeTimeout is how long a client that has logged in may take to read a packet, in wall
// time. The lab clock stands still until an answer is written.
const writeTimeout = 2 * time.Minute

// message is what a peer sent, put together from its packets.
type message struct {
	kind   byte
	status byte // of its first packet
	data   []byte
}

// reset reports whether the session is to be reset before the message is answered.
func (m message) reset() bool { return m.status&(statusReset|statusResetSkip) != 0 }

// ignored reports whether the client took the message back while it sent it.
func (m message) ignored() bool { return m.status&statusIgnore != 0 }

// wire reads and writes packets on what carries them: the connection itself, or TLS.
type wire struct {
	conn net.Conn
	r    *bufio.Reader
	w    io.Writer

	timeout time.Duration // of writing a packet; if 0, the connection's own deadline counts

	size int // of packets that are written
	spid uint16
}

func newWire(c net.Conn) *wire {
	return &wire{conn: c, r: bufio.NewReaderSize(c, 8192), w: c, size: defaultPacketSize}
}

// carriedBy replaces what carries the packets.
func (w *wire) carriedBy(c net.Conn) { w.r, w.w = bufio.NewReaderSize(c, 8192), c }

// read returns the next message, of limit bytes at most.
func (w *wire) read(limit int) (message, error) {
	var m message
	for first := true; ; first = false {
		var h [headerSize]byte
		if _, err := io.ReadFull(w.r, h[:]); err != nil {
			return m, err
		}
		length := int(binary.BigEndian.Uint16(h[2:]))
		switch {
		case length < headerSize:
			return m, fmt.Errorf("a packet of %d bytes; its header alone has %d", length, headerSize)
		case first:
			m.kind, m.status = h[0], h[1]
		case h[0] != m.kind:
			return m, fmt.Errorf("a packet of type %#x within a message of type %#x", h[0], m.kind)
		}
		m.status |= h[1] & statusIgnore
		n := len(m.data)
		if n+length-headerSize > limit {
			return m, fmt.Errorf("a message of more than %d bytes", limit)
		}
		m.data = append(m.data, make([]byte, length-headerSize)...)
		if _, err := io.ReadFull(w.r, m.data[n:]); err != nil {
			return m, unexpected(err)
		}
		if h[1]&statusEnd != 0 {
			return m, nil
		}
	}
}

// unexpected returns io.ErrUnexpectedEOF for the end of a connection within a message.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// packets is a writer that cuts a message into packets.
type packets struct {
	w    io.Writer
	kind byte
	size int
	spid uint16
	id   byte
	buf  []byte
}

func (w *wire) begin(kind byte) *packets {
	return &packets{w: w, kind: kind, size: w.size, spid: w.spid, id: 1, buf: make([]byte, headerSize, w.size)}
}

func (p *packets) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if len(p.buf) == p.size {
			if err := p.flush(0); err != nil {
				return 0, err
			}
		}
		k := min(len(b), p.size-len(p.buf))
		p.buf = append(p.buf, b[:k]...)
		b = b[k:]
	}
	return n, nil
}

func (p *packets) flush(status byte) error {
	p.buf[0], p.buf[1] = p.kind, status
	binary.BigEndian.PutUint16(p.buf[2:], uint16(len(p.buf)))
	binary.BigEndian.PutUint16(p.buf[4:], p.spid)
	p.buf[6], p.buf[7] = p.id, 0
	p.id++
	_, err := p.w.Write(p.buf)
	p.buf = p.buf[:headerSize]
	return err
}

// end sends the last packet of the message.
func (p *packets) end() error { return p.flush(statusEnd) }

// Write writes a packet.
func (w *wire) Write(packet []byte) (int, error) {
	if w.timeout > 0 {
		if err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
			return 0, err
		}
	}
	return w.w.Write(packet)
}

// send writes a whole message.
func (w *wire) send(kind byte, data []byte) error {
	p := w.begin(kind)
	if _, err := p.Write(data); err != nil {
		return err
	}
	return p.end()
}
