package isolation

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"

	"github.com/wiemu/wiemu/internal/hostmux"
)

// responder answers the sockets of a program's namespaces, answered from outside.
type responder struct {
	proxy     string            // host:port
	forwards  map[string]string // see Options
	names     *names
	closers   []io.Closer
	listening sync.WaitGroup
	attempts  *attempts
	conns     connections
}

// connections are those that are open, to end them all.
type connections struct {
	mu     sync.Mutex
	closed bool
	open   map[net.Conn]bool
}

// keep remembers a connection, or closes it at once if all have been.
func (c *connections) keep(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close()
		return false
	}
	if c.open == nil {
		c.open = map[net.Conn]bool{}
	}
	c.open[conn] = true
	return true
}

// drop closes a connection and forgets it. conn may also be the tunnel that connect returned.
func (c *connections) drop(conn net.Conn) {
	if tunnel, ok := conn.(*hostmux.Begun); ok {
		conn = tunnel.Conn
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
	_ = conn.Close() // the other side learns it from its next read
}

func (c *connections) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn := range c.open {
		_ = conn.Close() // its goroutine then drops it
	}
}

// serveInside begins to answer on the sockets, which it owns from here.
func serveInside(files map[string]*os.File, p plan) (*responder, error) {
	s := &responder{proxy: p.Proxy, forwards: p.Forwards, names: newNames()}
	var errs []error
	for name, file := range files {
		errs = append(errs, s.serve(name, file, p))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(fmt.Errorf("isolate the program: answer its sockets: %w", err), s.close())
	}
	return s, nil
}

func (s *responder) serve(name string, file *os.File, p plan) error {
	switch name {
	case watchSocket:
		s.attempts = watch(file, s, p)
		return nil
	case dnsSocket:
		defer file.Close() // net.FilePacketConn has its own
		conn, err := net.FilePacketConn(file)
		if err != nil {
			return err
		}
		s.closers = append(s.closers, conn)
		s.listening.Go(func() { s.names.answerPackets(conn) })
		return nil
	}
	defer file.Close() // as above
	listener, err := net.FileListener(file)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, listener)
	answer := s.forward
	if name == dnsStream {
		answer = s.names.answerStream
	}
	s.listening.Go(func() { s.accept(listener, answer) })
	return nil
}

// accept answers every connection until the listener is closed.
func (s *responder) accept(l net.Listener, answer func(net.Conn)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		if !s.conns.keep(conn) {
			continue
		}
		s.listening.Go(func() {
			defer s.conns.drop(conn)
			answer(conn)
		})
	}
}

// forward connects a connection of the program with what answers at its address outside, or hands
// it to the lab's proxy, by the name that its address was given out for. What the proxy refuses,
// and thereby writes down, is reset: to the program the network has failed.
func (s *responder) forward(conn net.Conn) {
	to, err := netip.ParseAddrPort(conn.LocalAddr().String()) // which is where the program wanted to go
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	if err != nil || to.Addr().IsLoopback() {
		reset(conn) // the program's own loopback, where nothing listens
		return
	}
	if outside, ok := s.forwards[to.String()]; ok {
		s.join(conn, outside)
		return
	}
	server, err := s.connect(s.names.target(to))
	if err != nil {
		reset(conn)
		return
	}
	defer s.conns.drop(server)
	hostmux.Join(conn, server, cut)
}

// join connects a connection of the program with an address outside.
func (s *responder) join(conn net.Conn, address string) {
	server, err := dialer("tcp", address)
	if err != nil || !s.conns.keep(server) {
		reset(conn)
		return
	}
	defer s.conns.drop(server)
	hostmux.Join(conn, server, cut)
}

var errRefused = errors.New("refused by the lab's proxy")

// connect asks the proxy for a tunnel to a target. The connection is among those that close ends.
func (s *responder) connect(target string) (net.Conn, error) {
	conn, err := s.ask("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n")
	if err != nil {
		return nil, err
	}
	read := bufio.NewReader(conn)
	answer, err := http.ReadResponse(read, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // it is the connection, which is closed
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errRefused
	}
	if err != nil {
		s.conns.drop(conn)
		return nil, err
	}
	early, _ := read.Peek(read.Buffered()) // the server may have spoken already
	return &hostmux.Begun{Conn: conn, Early: early}, nil
}

// report tells the proxy of an attempt that led nowhere, and returns when it is written down.
func (s *responder) report(method, target string) {
	conn, err := s.ask(method + " http://" + target + "/ HTTP/1.1\r\nHost: " + target + "\r\nConnection: close\r\n\r\n")
	if err != nil {
		return // the lab is gone, and its journal with it
	}
	defer s.conns.drop(conn)
	_, _ = io.Copy(io.Discard, conn) // what it answers does not matter, only when
}

func (s *responder) ask(request string) (net.Conn, error) {
	conn, err := dialer("tcp", s.proxy)
	if err != nil {
		return nil, err
	}
	if !s.conns.keep(conn) {
		return nil, net.ErrClosed
	}
	if _, err := io.WriteString(conn, request); err != nil {
		s.conns.drop(conn)
		return nil, err
	}
	return conn, nil
}

// reset ends a connection as a network that has failed does.
func reset(conn net.Conn) {
	hostmux.Reset(conn)
	cut(conn)
}

func cut(conn net.Conn) { _ = conn.Close() } // both directions learn it

// close ends everything, once all attempts have been reported.
func (s *responder) close() error {
	var errs []error
	if s.attempts != nil {
		errs = append(errs, s.attempts.close())
	}
	s.conns.closeAll()
	errs = append(errs, closeAll(s.closers))
	s.listening.Wait()
	return errors.Join(errs...)
}
