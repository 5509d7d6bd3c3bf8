package handover

import (
	"crypto/rand"
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

// maxClients is how many supervisors may be connected at a time.
const maxClients = 256

// retryTime is how long to wait while too many files are open.
const retryTime = 5 * time.Millisecond

// Listener is the lab's end. Close it.
type Listener struct {
	socket *net.UnixListener

	mu      sync.Mutex
	closed  bool
	clients map[*client]bool
	serving sync.WaitGroup
}

// Listen opens a socket with a name that cannot be guessed. That no other user is served does
// not depend on it: see serves.
func Listen() (*Listener, error) {
	if !supported {
		return nil, errUnsupported()
	}
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: "@wiemu-" + rand.Text(), Net: "unix"}) // @: abstract
	if err != nil {
		return nil, fmt.Errorf("open the socket to which connections are handed: %w", err)
	}
	return &Listener{socket: socket, clients: map[*client]bool{}}, nil
}

// Address is the address of the socket, for Dial.
func (l *Listener) Address() string { return l.socket.Addr().String() }

// Close stops listening, ends the connections of supervisors, and waits until the receiver
// has returned. It is idempotent.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	err := l.socket.Close()
	for c := range l.clients {
		_ = c.conn.Close() // which its goroutine sees
	}
	l.mu.Unlock()
	l.serving.Wait()
	return err
}

// Serve takes what supervisors hand over until the listener is closed, which is no error.
func Serve(l *Listener, r Receiver) error {
	for {
		conn, err := l.socket.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
			time.Sleep(retryTime) // until others have closed files; wall time: input and output
			continue
		case err != nil:
			return fmt.Errorf("wait for supervisors: %w", err)
		}
		if !l.start(conn, r) {
			_ = conn.Close() // the other end sees that
		}
	}
}

// start serves a connection, unless the listener is closed, serves as many as it may, or
// the other end is another user.
func (l *Listener) start(conn *net.UnixConn, r Receiver) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	peer, err := userOf(raw)
	if err != nil || !serves(os.Geteuid(), peer) {
		return false
	}
	c := &client{conn: conn, raw: raw, receiver: r, patience: sendTimeout}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.clients) >= maxClients {
		return false
	}
	l.clients[c] = true
	l.serving.Go(func() {
		defer l.forget(c)
		_ = c.serve() // whoever sends what cannot be read is no supervisor of ours, and is sent away
	})
	return true
}

func (l *Listener) forget(c *client) {
	_ = c.conn.Close() // which tells the other end
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.clients, c)
}

// Arriving reports whether something that a supervisor has sent was not handed to the
// receiver yet. A supervisor sends nothing before it is among the clients: see client.serve.
func (l *Listener) Arriving() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if raw, err := l.socket.SyscallConn(); err == nil && hasUnread(raw) { // a supervisor waits to be accepted
		return true
	}
	for c := range l.clients {
		if hasUnread(c.raw) || c.busy.Load() { // in this order: what is read meanwhile sets busy first
			return true
		}
	}
	return false
}

// client is the connection of a supervisor.
type client struct {
	conn     *net.UnixConn
	raw      syscall.RawConn
	receiver Receiver
	patience time.Duration // how long, in wall time, an answer may take to be written

	busy     atomic.Bool // from before something is read until it is with the receiver
	received []byte      // not handled yet
	files    []*os.File  // likewise
}

// maxFiles is how many files may be here whose messages are not: each comes with the first
// byte of its message, and the system ends what it returns where the next one begins.
const maxFiles = 4

// serve takes messages until the connection ends, or has something else in it.
func (c *client) serve() error {
	defer func() {
		for _, f := range c.files {
			_ = f.Close() // not wanted, or nil
		}
	}()
	if err := c.say(message{Verb: ready}); err != nil { // it is among the clients now
		return err
	}
	buffer := make([]byte, maxMessage)
	for {
		n, files, err := receiveWith(c.raw, &c.busy, buffer)
		c.files = append(c.files, files...)
		switch {
		case err != nil:
			return err
		case n == 0:
			return io.EOF
		}
		c.received = append(c.received, buffer[:n]...)
		if err := c.handleAll(); err != nil {
			return err
		}
		if len(c.files) > maxFiles {
			return errors.New("expected messages with the files")
		}
	}
}

// handleAll handles every message that has arrived whole.
func (c *client) handleAll() error {
	for {
		m, rest, err := decode(c.received)
		if errors.Is(err, errIncomplete) {
			return nil
		}
		if err != nil {
			return err
		}
		c.received = rest
		if err := c.handle(m); err != nil {
			return err
		}
	}
}

func (c *client) handle(m message) error {
	switch m.Verb {
	case accept:
		conn, err := c.connection()
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			return nil // the program sees it closed; the next may find room
		}
		if err != nil {
			return err
		}
		c.receiver.Accept(conn, m.To, m.By)
		return nil
	case permits:
		return c.answer(m.ID, c.receiver.Permits(m.To, m.By))
	case allows:
		return c.answer(m.ID, c.receiver.Allows(m.To.Host))
	case settled:
		return c.answer(m.ID, true)
	}
	return fmt.Errorf("expected %s, %s, %s or %s, found %s", accept, permits, allows, settled, m.Verb)
}

func (c *client) answer(id uint64, isYes bool) error {
	m := message{Verb: no, ID: id}
	if isYes {
		m.Verb = yes
	}
	return c.say(m)
}

// say sends a message to a supervisor. One that does not read is sent away.
func (c *client) say(m message) error {
	data, err := encode(m)
	if err == nil {
		err = c.conn.SetWriteDeadline(time.Now().Add(c.patience)) // wall time: input and output
	}
	if err == nil {
		_, err = c.conn.Write(data)
	}
	return err
}

// connection returns the next connection that came along.
func (c *client) connection() (net.Conn, error) {
	if len(c.files) == 0 {
		return nil, errors.New("expected a connection with the message")
	}
	file := c.files[0]
	c.files = c.files[1:]
	if file == nil {
		return nil, syscall.EMFILE
	}
	defer func() { _ = file.Close() }() // the connection is another reference to it
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("expected a connection of TCP: %w", err)
	}
	if _, ok := conn.(*net.TCPConn); !ok {
		return nil, errors.Join(fmt.Errorf("expected a connection of TCP, found one of %s", conn.LocalAddr().Network()), conn.Close())
	}
	return conn, nil
}
