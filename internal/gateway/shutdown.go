package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/wiemu/wiemu/internal/faults"
)

// conns knows what a server's connections are doing, to let lab time stand still
// until an answer is out, and to shut the server down as soon as it is idle. http.Server.Shutdown alone waits five seconds for a
// connection on which nothing was asked yet, and one second for HTTP/2.
type conns struct {
	mu      sync.Mutex
	closing bool
	opened  int // since the server started
	states  map[net.Conn]connState
}

type connState struct {
	state http.ConnState
	since time.Time // wall time: input and output

	on     *arrivalConn // of HTTP/2; else nil
	writes uint64       // on it, up to then

	receiving *receiving // a body, of HTTP/1.1; nil while none is
}

// receiving is a body that is coming.
type receiving struct {
	since time.Time // wall time: input and output
	stop  func()    // ends the waiting for it
}

// flushTime is how long an answer may take from its handler's end to the
// network: HTTP/2 counts a connection as idle shortly before.
const flushTime = 50 * time.Millisecond

// pollTime is how often a server is looked at that is not idle.
const pollTime = 5 * time.Millisecond

func newConns() *conns { return &conns{states: map[net.Conn]connState{}} }

// observe is for http.Server.ConnState.
func (c *conns) observe(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == http.StateNew {
		c.opened++
	}
	switch {
	case state == http.StateClosed || state == http.StateHijacked:
		delete(c.states, conn)
	case state == http.StateNew && c.closing:
		_ = conn.Close() // nothing was said on it
	default:
		s := connState{state: state, since: time.Now()} // wall time: input and output
		if t, ok := conn.(*tls.Conn); ok && state != http.StateNew && t.ConnectionState().NegotiatedProtocol == "h2" {
			if s.on = arrivalOf(conn); s.on != nil {
				s.writes = s.on.writes.Load()
			}
		}
		c.states[conn] = s
	}
}

// shutdown stops a server and waits for the answers that are under way; when ctx
// ends first it cuts them off and returns its error.
func (c *conns) shutdown(ctx context.Context, server *http.Server) error {
	c.closeNew()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- server.Shutdown(ctx) }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case err := <-stopped:
			if err != nil {
				_ = server.Close() // err says it
			}
			return err
		case <-timer.C:
		}
		wait := c.untilIdle()
		if wait <= 0 {
			err := server.Close()
			cancel()
			if cut := <-stopped; !errors.Is(cut, context.Canceled) { // cut short, as was asked for
				err = errors.Join(err, cut)
			}
			return err
		}
		timer.Reset(wait)
	}
}

// closeNew closes the connections on which nothing was asked, now and later.
func (c *conns) closeNew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	for conn, s := range c.states {
		if s.state == http.StateNew {
			delete(c.states, conn)
			_ = conn.Close() // nothing was said on it
		}
	}
}

// untilIdle is how long to wait before asking again; 0 when every answer has
// been given.
func (c *conns) untilIdle() (wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.states {
		if s.state == http.StateActive {
			return pollTime
		}
		wait = max(wait, flushTime-time.Since(s.since))
	}
	return wait
}

// answering reports whether an answer is under way: from the first byte of its
// request until it was written, which HTTP/2 does after it says that it is idle.
func (c *conns) answering() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.states {
		if s.state == http.StateActive || s.on != nil && s.on.writes.Load() == s.writes && time.Since(s.since) < flushTime {
			return true
		}
	}
	return false
}

// connKey is where the context of a request has its connection.
type connKey struct{}

// onConnection is for http.Server.ConnContext.
func onConnection(ctx context.Context, conn net.Conn) context.Context {
	ctx = withProgram(context.WithValue(ctx, connKey{}, conn), conn)
	return faults.OnConnection(ctx, conn)
}

// receiving says that the body of a request is coming, until done is called. A
// connection on which one takes long makes room for others: see makeRoom.
func (c *conns) receiving(r *http.Request, stop func()) (done func()) {
	conn, _ := r.Context().Value(connKey{}).(net.Conn)
	if conn == nil || r.ProtoMajor != 1 { // in memory, or one body of several
		return func() {}
	}
	set := func(body *receiving) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if s, ok := c.states[conn]; ok {
			s.receiving = body
			c.states[conn] = s
		}
	}
	set(&receiving{since: time.Now(), stop: stop}) // wall time: input and output
	return func() { set(nil) }
}

// How long a connection may take, when there are as many as there may be, before it
// makes room for another one: to begin its first request, and to send a body.
const (
	beginTime = 5 * time.Second
	bodyTime  = time.Second
)

// makeRoom closes the connection that has been of no use for longest: one that is
// idle, has not begun, or sends its body slowly.
func (c *conns) makeRoom() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now() // wall time: input and output
	var worst net.Conn
	var longest time.Duration
	for conn, s := range c.states {
		unused := now.Sub(s.since)
		switch {
		case s.state == http.StateIdle:
		case s.state == http.StateNew:
			unused -= beginTime
		case s.receiving != nil:
			unused = now.Sub(s.receiving.since) - bodyTime
		default:
			continue
		}
		if unused > longest {
			worst, longest = conn, unused
		}
	}
	if worst == nil {
		return
	}
	if body := c.states[worst].receiving; body != nil {
		body.stop()
	}
	delete(c.states, worst)
	if on := arrivalOf(worst); on != nil {
		worst = on // that of TLS would send close_notify first, and block if the client does not read
	}
	_ = worst.Close() // its client learns it from its next read
}
