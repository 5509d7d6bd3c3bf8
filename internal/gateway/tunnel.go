package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/wiemu/wiemu/internal/hostmux"
)

// tunnels are the connections that the proxy has taken over from its HTTP
// server, which then knows nothing of them any more.
type tunnels struct {
	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]bool
	active int           // handlers
	idle   chan struct{} // closed when closed and no handler is active
}

func newTunnels() *tunnels {
	return &tunnels{conns: map[net.Conn]bool{}, idle: make(chan struct{})}
}

// enter says that a handler begins; false when the proxy is closed.
func (t *tunnels) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.active++
	return true
}

func (t *tunnels) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.active--; t.active == 0 && t.closed {
		close(t.idle)
	}
}

// keep remembers a connection, to close it; it closes it at once when the proxy
// is closed.
func (t *tunnels) keep(conn net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns[conn] = true
	if t.closed {
		_ = conn.Close() // both sides learn it from their next read
	}
}

// release forgets a connection that another takes care of; false when it was
// closed already.
func (t *tunnels) release(conn net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, conn)
	return !t.closed
}

// discard closes a connection and forgets it.
func (t *tunnels) discard(conn net.Conn) {
	t.release(conn)
	_ = conn.Close() // both sides learn it from their next read
}

// close cuts all connections and waits, until ctx ends, for their handlers.
func (t *tunnels) close(ctx context.Context) error {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		if t.active == 0 {
			close(t.idle)
		}
	}
	for conn := range t.conns {
		_ = conn.Close() // both sides learn it from their next read
	}
	t.mu.Unlock()
	select {
	case <-t.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join copies both ways until both sides have ended, or one has broken.
func (t *tunnels) join(client, server net.Conn) {
	t.keep(server)
	defer t.discard(server)
	defer t.discard(client)
	hostmux.Join(client, server, t.discard)
}

// established takes the client's connection over and tells it that it is
// connected. It returns nil when the client is gone. The caller owns the
// connection, which is in the tunnels' keeping.
func (p *proxy) established(w http.ResponseWriter) net.Conn {
	conn := p.takeOver(w)
	if conn == nil {
		return nil
	}
	if err := say(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		p.tunnels.discard(conn)
		return nil
	}
	return conn
}

// takeOver takes a connection from the HTTP server, with the bytes that came
// early: clients may send them with their CONNECT.
func (p *proxy) takeOver(w http.ResponseWriter) net.Conn {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "wiemu's proxy speaks HTTP/1.1 only.", http.StatusHTTPVersionNotSupported)
		return nil
	}
	read, _ := buffered.Peek(buffered.Reader.Buffered()) // no more than is there: cannot fail
	if len(read) > 0 {
		conn = &hostmux.Begun{Conn: conn, Early: read}
	}
	p.tunnels.keep(conn)
	return conn
}

// answer refuses a CONNECT. The reason is in the status line, because that is
// what Go, Java and Python tell their users; net/http would not put it there.
func (p *proxy) answer(w http.ResponseWriter, status int, reason, body string) {
	conn := p.takeOver(w)
	if conn == nil {
		return
	}
	defer p.tunnels.discard(conn)
	body += "\n"
	err := say(conn, fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, reason, len(body), body))
	if err != nil {
		return
	}
	// A client that has already sent its TLS greeting would lose the answer if the
	// connection were closed over unread bytes (RFC 9112 §9.6).
	_ = hostmux.CloseWrite(conn)                                // nothing follows either way
	_ = conn.SetReadDeadline(time.Now().Add(lingerTimeout))     // wall time: input and output
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxHeader)) // not read, only awaited
}

// lingerTimeout is how long a refused client may take to read why.
const lingerTimeout = 500 * time.Millisecond

// say writes to a client that may be slow to listen.
func say(conn net.Conn, text string) error {
	if err := conn.SetWriteDeadline(time.Now().Add(headerTimeout)); err != nil { // wall time: input and output
		return err
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return err
	}
	return conn.SetWriteDeadline(time.Time{})
}
