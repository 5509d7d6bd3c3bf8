package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// arrivals tracks the connections from clients, and whether one of them has sent
// something that has not been read yet: a request that the lab clock waits for
// although its handler has not begun.
type arrivals struct {
	events atomic.Uint64 // how often something was received or sent

	most     int    // connections of each listener at a time
	makeRoom func() // called, again and again, while there are as many

	mu        sync.Mutex
	coming    func() bool // see takeFrom
	listeners []*arrivalListener
	conns     map[*arrivalConn]bool
}

// listen opens a listener and tracks its connections.
func (a *arrivals) listen(name, address string) (net.Listener, error) {
	address = cmp.Or(address, "127.0.0.1:0")
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open the %s on %s: %w; choose another address (port 0 takes a free port), or stop what uses this one", name, address, err)
	}
	listener := &arrivalListener{TCPListener: l.(*net.TCPListener), arrivals: a, places: make(chan struct{}, a.most), closed: make(chan struct{})}
	if listener.raw, err = listener.SyscallConn(); err == nil {
		listener.ready, err = newReadiness(listener.TCPListener)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the %s on %s: %w", name, address, err), l.Close())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.listeners = append(a.listeners, listener)
	return listener, nil
}

// takeFrom has arrivals ask whether connections are coming that are to be adopted.
func (a *arrivals) takeFrom(coming func() bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.coming = coming
}

func (a *arrivals) any() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range a.listeners {
		if connectionWaits(l.raw) || l.taking.Load() {
			return true
		}
	}
	if a.coming != nil && a.coming() {
		return true
	}
	for c := range a.conns {
		if c.arriving() {
			return true
		}
	}
	return false
}

type arrivalListener struct {
	*net.TCPListener
	arrivals *arrivals
	raw      syscall.RawConn
	ready    *readiness
	taking   atomic.Bool   // a connection has left the kernel's queue, or will, and is not among ours yet
	places   chan struct{} // one in it for each connection
	closed   chan struct{}
	once     sync.Once
}

// Accept implements net.Listener. While there are as many connections as there may
// be, the next ones wait in the kernel's queue.
func (l *arrivalListener) Accept() (net.Conn, error) {
	if !l.arrivals.reserve(l.places, l.closed) {
		return nil, net.ErrClosed
	}
	conn, err := l.accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return conn, nil
}

// reserve takes one of the places for a connection; false when closed is first.
func (a *arrivals) reserve(places chan<- struct{}, closed <-chan struct{}) bool {
	for {
		select {
		case places <- struct{}{}:
			return true
		default:
		}
		a.makeRoom()
		select {
		case places <- struct{}{}:
			return true
		case <-closed:
			return false
		case <-time.After(pollTime): // wall time: input and output
		}
	}
}

// Close implements net.Listener.
func (l *arrivalListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return errors.Join(l.TCPListener.Close(), l.ready.close())
}

func (l *arrivalListener) accept() (net.Conn, error) {
	l.ready.await(func(waits bool) { l.taking.Store(waits) })
	defer l.taking.Store(false)
	conn, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return l.arrivals.adopt(conn, func() { <-l.places })
}

// adopt tracks a connection from now on; leave, called when it is closed, gives its place
// back.
func (a *arrivals) adopt(conn *net.TCPConn, leave func()) (*arrivalConn, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	a.events.Add(1)
	c := &arrivalConn{TCPConn: conn, arrivals: a, raw: raw, leave: sync.OnceFunc(leave)}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conns == nil {
		a.conns = map[*arrivalConn]bool{}
	}
	a.conns[c] = true
	return c, nil
}

// arrivalConn is a connection from a client. Whoever serves it is at rest while it
// waits in Read and has been given every byte that the kernel has received.
type arrivalConn struct {
	*net.TCPConn
	arrivals *arrivals
	raw      syscall.RawConn
	leave    func() // gives its place back

	led *ledTo // nil: the client connected to a listener

	reading atomic.Bool
	read    atomic.Uint64 // bytes
	writes  atomic.Uint64
}

// Read implements net.Conn.
func (c *arrivalConn) Read(p []byte) (int, error) {
	c.reading.Store(true)
	n, err := c.TCPConn.Read(p)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) { // whoever serves it has been called away from waiting
		acknowledge(c.raw)
		c.reading.Store(false)
		c.arrivals.events.Add(1) // before the bytes: who finds them read finds this
		c.read.Add(uint64(n))
	}
	return n, err
}

// Write implements net.Conn.
func (c *arrivalConn) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	c.writes.Add(1)
	c.arrivals.events.Add(1)
	return n, err
}

// ReadFrom implements io.ReaderFrom, by way of Write.
func (c *arrivalConn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}

// WriteTo implements io.WriterTo, by way of Read: a tunnel is copied from, too.
func (c *arrivalConn) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{c})
}

// Close implements net.Conn.
func (c *arrivalConn) Close() error {
	c.arrivals.mu.Lock()
	delete(c.arrivals.conns, c)
	c.arrivals.mu.Unlock()
	defer c.leave()
	defer c.arrivals.events.Add(1) // its client learns of it
	return c.TCPConn.Close()
}

// arriving reports whether something has arrived that whoever serves it has not read, or is doing
// something about: the end of the connection, too, until it is closed here.
func (c *arrivalConn) arriving() bool {
	if !c.reading.Load() {
		return true
	}
	bytes, ended := received(c.raw)
	return ended || bytes > c.read.Load()
}

// arrivalOf is the connection from a client that another one, such as that of TLS,
// goes over; nil if it is none.
func arrivalOf(conn net.Conn) *arrivalConn {
	for {
		switch c := conn.(type) {
		case *arrivalConn:
			return c
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
}
