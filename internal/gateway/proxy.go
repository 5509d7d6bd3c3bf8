package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"

	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/journals"
)

// tlsPort is the one port on which hosts are emulated.
const tlsPort = 443

// plainPort is that of HTTP in clear text.
const plainPort = 80

// imds is Azure's instance metadata service.
const imds = "169.254.169.254"

// proxy serves programs that have only HTTPS_PROXY from the lab. A
// CONNECT to an emulated host leads to the TLS listener; allowed hosts are reached
// as they are, and so is loopback by programs on this machine; everything else is
// refused and counted as an escape. See origin for what each origin may do.
type proxy struct {
	hosts   *hostmux.Mux
	allowed allowed
	begin   func() (end func()) // lets lab time stand still
	deliver func(net.Conn) bool // to the TLS listener
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	journal *journals.Journal
	escapes atomic.Int64

	metadata func() http.Handler // see Config
	streams  []hostmux.Stream
	streamed atomic.Int64 // connections to streams

	certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error) // of a host of a stream

	life       context.Context // ends with the proxy, and with it dialling and forwarding
	end        context.CancelFunc
	tunnels    *tunnels
	transports [2]*http.Transport // of plain HTTP to loopback and allowed hosts: unguarded, guarded
	forward    *httputil.ReverseProxy
}

func newProxy(h *hostmux.Mux, a allowed, begin func() (end func()), deliver func(net.Conn) bool, dial func(context.Context, string, string) (net.Conn, error), j *journals.Journal, errorLog *log.Logger) *proxy {
	p := &proxy{hosts: h, allowed: a, begin: begin, deliver: deliver, dial: dial, journal: j, tunnels: newTunnels()}
	p.life, p.end = context.WithCancel(context.Background())
	for i := range p.transports { // two, so that no connection of the one kind is used again for the other
		p.transports[i] = &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, dialTimeout)
				defer cancel()
				return dial(guard(ctx, i == 1), network, address)
			},
			DisableCompression: true, IdleConnTimeout: idleTimeout, // and no proxy of the caller's: a lab stays as it is configured
		}
	}
	p.forward = &httputil.ReverseProxy{
		Transport: p, FlushInterval: -1, ErrorLog: errorLog,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.Host = r.In.URL.Host
			if t, err := plainTarget(r.In); err == nil { // as it was when the target was checked
				r.Out.URL.Host = t.String() // what was checked is what is dialled
			}
		},
		ErrorHandler: p.notForwarded,
	}
	return p
}

// RoundTrip sends a request in clear text on to the host itself.
func (p *proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	if isGuarded(r.Context()) {
		return p.transports[1].RoundTrip(r)
	}
	return p.transports[0].RoundTrip(r)
}

// notForwarded answers a request to a host that could not, or must not, be reached.
func (p *proxy) notForwarded(w http.ResponseWriter, r *http.Request, err error) {
	var within *withinError
	t, malformed := plainTarget(r)
	if !errors.As(err, &within) || malformed != nil {
		http.Error(w, fmt.Sprintf("wiemu's proxy could not reach %s: %v", r.URL.Host, err), http.StatusBadGateway)
		return
	}
	_, explanation := p.escape(attemptOf(r, t), refusalOfAddress(t, within.address, originOf(r)))
	http.Error(w, explanation, http.StatusForbidden)
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.tunnels.enter() {
		w.Header().Set("Connection", "close")
		http.Error(w, "wiemu is shutting down.", http.StatusServiceUnavailable)
		return
	}
	defer p.tunnels.leave()
	switch {
	case r.Method == http.MethodConnect:
		p.connect(w, r)
	case originOf(r) == isolated:
		p.attempted(w, r)
	default:
		p.plain(w, r)
	}
}

func (p *proxy) connect(w http.ResponseWriter, r *http.Request) {
	t, err := parseTarget(r.RequestURI)
	if err != nil {
		p.answer(w, http.StatusBadRequest, "malformed CONNECT", fmt.Sprintf("wiemu's proxy: CONNECT: %v.", err))
		return
	}
	switch serve := p.emulated(t); {
	case serve != nil:
		end := p.begin() // no longer tracked by the proxy's server, and not yet by the TLS listener
		conn := p.established(w)
		if conn == nil {
			end()
			return
		}
		serve(conn, end)
	case p.passes(t, originOf(r)):
		p.tunnel(w, r, t)
	default:
		reason, explanation := p.escape(attemptOf(r, t), p.refusalOf(t, originOf(r)))
		p.answer(w, http.StatusForbidden, reason, explanation)
	}
}

// emulated returns what serves connections to a target that the lab answers for, or nil if
// it is none. That takes a connection out of the tunnels' keeping, or ends with it; tracked
// is called when the connection is with who serves it.
func (p *proxy) emulated(t target) (serve func(conn net.Conn, tracked func())) {
	if t.port == tlsPort && p.hosts.Has(t.host) {
		return func(conn net.Conn, tracked func()) {
			defer tracked()
			if !p.tunnels.release(conn) || !p.deliver(conn) {
				_ = conn.Close() // the TLS listener is closed, and so are its connections
			}
		}
	}
	if s := p.stream(t); s != nil {
		return func(conn net.Conn, tracked func()) {
			tracked()
			p.serveStream(s, conn, t.host, t.port)
		}
	}
	return nil
}

// tunnel leads the client to the host itself.
func (p *proxy) tunnel(w http.ResponseWriter, r *http.Request, t target) {
	ctx, cancel := context.WithTimeout(p.life, dialTimeout)
	defer cancel()
	server, err := p.dial(guard(ctx, guards(t, originOf(r))), "tcp", t.String())
	var within *withinError
	switch {
	case errors.As(err, &within):
		reason, explanation := p.escape(attemptOf(r, t), refusalOfAddress(t, within.address, originOf(r)))
		p.answer(w, http.StatusForbidden, reason, explanation)
		return
	case err != nil:
		p.answer(w, http.StatusBadGateway, "could not reach "+t.String(), fmt.Sprintf("wiemu's proxy could not reach %s: %v.", t, err))
		return
	}
	p.letOut(attemptOf(r, t))
	client := p.established(w)
	if client == nil {
		_ = server.Close() // unused
		return
	}
	p.tunnels.join(client, server)
}

// plain answers a request in clear text, with the whole URL in its first line.
func (p *proxy) plain(w http.ResponseWriter, r *http.Request) {
	t, err := plainTarget(r)
	if err != nil {
		http.Error(w, fmt.Sprintf("This is wiemu's proxy. Name it to a program as its HTTPS_PROXY and HTTP_PROXY; it serves nothing itself (%v).", err), http.StatusBadRequest)
		return
	}
	if t.host == imds && t.port == 80 && p.metadata != nil {
		if h := p.metadata(); h != nil {
			h.ServeHTTP(w, hostmux.Received(r))
			return
		}
	}
	switch {
	case p.hosts.Has(t.host) && (t.port == 80 || t.port == tlsPort):
		p.plainRefused(w, r, t)
	case p.passes(t, originOf(r)) && r.URL.Scheme == "http":
		p.forward.ServeHTTP(w, r.WithContext(guard(r.Context(), guards(t, originOf(r)))))
	case p.passes(t, originOf(r)):
		p.needsConnect(w, r, t)
	default:
		_, explanation := p.escape(attemptOf(r, t), p.refusalOf(t, originOf(r)))
		w.Header().Set("Connection", "close")
		http.Error(w, explanation, http.StatusForbidden)
	}
}

// plainTarget is where a request in clear text wants to go.
func plainTarget(r *http.Request) (target, error) {
	port := r.URL.Port()
	switch {
	case r.URL.Host == "":
		return target{}, fmt.Errorf("expected a URL with a host, found %q", r.RequestURI)
	case port != "":
	case r.URL.Scheme == "https":
		port = "443"
	case r.URL.Scheme == "http":
		port = "80"
	default:
		return target{}, fmt.Errorf("expected an http URL, found %q", r.RequestURI)
	}
	return parseTarget(net.JoinHostPort(r.URL.Hostname(), port))
}

// close ends the tunnels and waits, until ctx ends, for what is on its way.
func (p *proxy) close(ctx context.Context) error {
	p.end()
	err := p.tunnels.close(ctx)
	for _, t := range p.transports {
		t.CloseIdleConnections()
	}
	if err != nil {
		return errors.Join(errors.New("close the proxy: connections were still being made"), err)
	}
	return nil
}
