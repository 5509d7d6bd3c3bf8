package gateway

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// Dial connects to a stream in this process, such as orders.redis.cache.windows.net:6380, as the
// programs do that are led. It is net.Dialer's DialContext for clients in memory; no socket is opened.
func (g *Gateway) Dial(_ context.Context, network, address string) (net.Conn, error) {
	t, err := parseTarget(address)
	if err == nil && network != "tcp" && network != "tcp4" && network != "tcp6" {
		err = fmt.Errorf("expected the network tcp, found %q", network)
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	s := g.proxy.stream(t)
	if s == nil {
		err := fmt.Errorf("%s is no database and no cache of the lab", t)
		if ports := g.proxy.streamPorts(t); ports != "" {
			err = fmt.Errorf("%s: expected port %s", t, ports)
		}
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if !g.proxy.tunnels.enter() {
		return nil, &net.OpError{Op: "dial", Net: network, Err: net.ErrClosed}
	}
	client, server := newPipe()
	g.proxy.tunnels.keep(server)
	go func() {
		defer g.proxy.tunnels.leave()
		g.proxy.serveStream(s, server, t.host, t.port)
	}()
	return client, nil
}

// newPipe returns two ends of a connection in memory. Unlike net.Pipe's, what is written is kept
// until it is read, as by a socket: in TLS 1.3 both sides write before they read.
func newPipe() (a, b net.Conn) {
	x, y := net.Pipe()
	return newBuffered(x), newBuffered(y)
}

const (
	pipeBuffer = 1 << 20         // bytes that are kept; then writers wait
	pipeLinger = 5 * time.Second // wall time: how long what was written may take to be read after Close
)

// buffered is an end of a connection. What is written to it is handed on by a goroutine, which
// ends with it.
type buffered struct {
	net.Conn

	mu     sync.Mutex
	moved  *sync.Cond
	kept   []byte
	closed bool
	broken error // why nothing is handed on any more
}

func newBuffered(conn net.Conn) *buffered {
	b := &buffered{Conn: conn}
	b.moved = sync.NewCond(&b.mu)
	go b.handOn()
	return b
}

// Write implements net.Conn. It knows no deadline: it waits for the other side's reads alone.
func (b *buffered) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.kept) > pipeBuffer && !b.closed && b.broken == nil {
		b.moved.Wait()
	}
	switch {
	case b.closed:
		return 0, net.ErrClosed
	case b.broken != nil:
		return 0, b.broken
	}
	b.kept = append(b.kept, p...)
	b.moved.Broadcast()
	return len(p), nil
}

func (b *buffered) handOn() {
	for {
		b.mu.Lock()
		for len(b.kept) == 0 && !b.closed {
			b.moved.Wait()
		}
		out := b.kept
		b.kept = nil
		b.moved.Broadcast()
		b.mu.Unlock()
		if len(out) == 0 {
			_ = b.Conn.Close() // net.Pipe's does not fail
			return
		}
		if _, err := b.Conn.Write(out); err != nil {
			b.mu.Lock()
			b.broken = err
			b.kept = nil
			b.moved.Broadcast()
			b.mu.Unlock()
		}
	}
}

// Close implements net.Conn. What was written can still be read by the other side.
func (b *buffered) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return net.ErrClosed
	}
	b.closed = true
	b.moved.Broadcast()
	// Neither is of a consequence if the other side has closed the connection.
	_ = b.Conn.SetReadDeadline(time.Now()) // ends the reads of this side
	_ = b.Conn.SetWriteDeadline(time.Now().Add(pipeLinger))
	return nil
}

// Read implements net.Conn.
func (b *buffered) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if err != nil && b.isClosed() {
		err = net.ErrClosed
	}
	return n, err
}

func (b *buffered) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// SetReadDeadline implements net.Conn.
func (b *buffered) SetReadDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return net.ErrClosed
	}
	return b.Conn.SetReadDeadline(t)
}

// SetDeadline implements net.Conn, for reads: see Write.
func (b *buffered) SetDeadline(t time.Time) error { return b.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn: see Write.
func (b *buffered) SetWriteDeadline(time.Time) error { return nil }
