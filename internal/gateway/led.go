package gateway

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/lead/handover"
)

// led receives the connections of programs that a supervisor leads here (package lead). They
// are programs on this machine, and may reach what those reach by the proxy.
type led struct {
	proxy    *proxy
	arrivals *arrivals
	places   chan struct{} // one in it for each connection
	waiting  chan struct{} // one in it for each that waits for a place
	turn     sync.Mutex    // of the one that looks for a place
	clear    *handedOver   // connections to emulated hosts in clear text
}

// ledTo is what a connection is for that was led here.
type ledTo struct {
	to target
	by handover.Program
}

// Accept implements handover.Receiver. A port on which a host does not answer refuses the
// connection, as well as can be of one that is established: at once, so that the journal has
// it when the supervisor is told that the lab has everything.
func (l *led) Accept(conn net.Conn, to handover.Target, by handover.Program) {
	t, err := parseTarget(to.String())
	tcp, ok := conn.(*net.TCPConn)
	if err != nil || !ok {
		_ = conn.Close() // its client learns it from its next read
		return
	}
	if l.proxy.emulated(t) == nil && !l.isClear(t) {
		l.proxy.escape(attempt{to: t, failure: "connection reset", program: &by}, l.proxy.refusalOf(t, local))
		_ = tcp.SetLinger(0) // a reset; a connection that is gone needs none
		_ = tcp.Close()
		return
	}
	if !l.proxy.tunnels.enter() {
		_ = conn.Close() // as above
		return
	}
	var placed atomic.Bool
	c, err := l.arrivals.adopt(tcp, func() {
		if placed.Load() {
			<-l.places
		}
	})
	if err != nil {
		l.proxy.tunnels.leave()
		_ = conn.Close() // as above
		return
	}
	c.led = &ledTo{t, by}
	l.proxy.tunnels.keep(c)
	select {
	case l.waiting <- struct{}{}:
	default: // too many wait already
		l.proxy.tunnels.discard(c)
		l.proxy.tunnels.leave()
		return
	}
	go func() {
		defer l.proxy.tunnels.leave()
		l.turn.Lock()
		found := l.arrivals.reserve(l.places, l.proxy.life.Done())
		l.turn.Unlock()
		<-l.waiting
		if !found {
			l.proxy.tunnels.discard(c)
			return
		}
		placed.Store(true)
		l.serve(c)
	}()
}

// isClear reports whether a target is an emulated host in clear text.
func (l *led) isClear(t target) bool { return t.port == plainPort && l.proxy.hosts.Has(t.host) }

// serve answers a connection as the host would.
func (l *led) serve(c *arrivalConn) {
	if serve := l.proxy.emulated(c.led.to); serve != nil {
		serve(c, func() {})
		return
	}
	if !l.proxy.tunnels.release(c) || !l.clear.deliver(c) {
		_ = c.Close() // its client learns it from its next read
	}
}

// Permits implements handover.Receiver.
func (l *led) Permits(to handover.Target, by handover.Program) bool {
	t, err := parseTarget(to.String())
	if err != nil {
		return false
	}
	a := attempt{to: t, program: &by}
	if !l.proxy.passes(t, local) {
		a.failure = "connection refused"
		l.proxy.escape(a, l.proxy.refusalOf(t, local))
		return false
	}
	l.proxy.letOut(a)
	return true
}

// Allows implements handover.Receiver.
func (l *led) Allows(host string) bool {
	return target{host: host}.isLoopback() || l.proxy.allowed.allows(host)
}

// refuseClear answers what led programs ask an emulated host in clear text, as the proxy does.
func (l *led) refuseClear(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	conn, _ := r.Context().Value(connKey{}).(net.Conn)
	if c := arrivalOf(conn); c != nil && c.led != nil {
		l.proxy.plainRefused(w, r, c.led.to)
	}
}

// askMetadata answers what a led program asks of 169.254.169.254, as the proxy does.
func (p *proxy) askMetadata(w http.ResponseWriter, r *http.Request) {
	if !p.tunnels.enter() {
		http.Error(w, "wiemu is shutting down.", http.StatusServiceUnavailable)
		return
	}
	defer p.tunnels.leave()
	whole := r.WithContext(r.Context())
	whole.URL = &url.URL{Scheme: "http", Host: imds, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	p.plain(w, whole)
}

// withProgram returns the context of requests on a connection, which knows the program whose it
// is.
func withProgram(ctx context.Context, conn net.Conn) context.Context {
	if c := arrivalOf(conn); c != nil && c.led != nil {
		return journals.WithProgram(ctx, c.led.by)
	}
	return ctx
}
