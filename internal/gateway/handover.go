package gateway

import (
	"net"
	"sync"
)

// handedOver is a listener whose connections come from the proxy, in the same
// process: no second connection is made for them.
type handedOver struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newHandedOver() *handedOver {
	return &handedOver{conns: make(chan net.Conn), done: make(chan struct{})}
}

// deliver gives a connection to the server, which owns it from then on; false
// when that is closed.
func (h *handedOver) deliver(conn net.Conn) bool {
	select {
	case h.conns <- conn:
		return true
	case <-h.done:
		return false
	}
}

// Accept implements net.Listener.
func (h *handedOver) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handedOver) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr implements net.Listener.
func (h *handedOver) Addr() net.Addr { return handedOverAddr{} }

type handedOverAddr struct{}

func (handedOverAddr) Network() string { return "memory" }
func (handedOverAddr) String() string  { return "proxy" }

// early is a connection of which some bytes were read before it was handed on:
// clients may send them with their CONNECT. It has one reader.
type early struct {
	net.Conn
	read []byte
}

func withEarly(conn net.Conn, read []byte) net.Conn {
	if len(read) == 0 {
		return conn
	}
	return &early{Conn: conn, read: read}
}

// Read implements net.Conn.
func (e *early) Read(p []byte) (int, error) {
	if len(e.read) == 0 {
		return e.Conn.Read(p)
	}
	n := copy(p, e.read)
	e.read = e.read[n:]
	return n, nil
}

// NetConn is the connection itself.
func (e *early) NetConn() net.Conn { return e.Conn }

// CloseWrite ends one direction where the connection can.
func (e *early) CloseWrite() error { return closeWrite(e.Conn) }

// closeWrite tells the other side that no more bytes come, by closing all of a
// connection that cannot be closed by halves.
func closeWrite(conn net.Conn) error {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return conn.Close()
}
