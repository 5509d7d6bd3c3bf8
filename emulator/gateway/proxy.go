package gateway

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"sync/atomic"

	"github.com/wiemu/wiemu/emulator/journal"
)

// tlsPort is the one port on which hosts are emulated.
const tlsPort = 443

// plainPort is that of HTTP in clear text.
const plainPort = 80

// imds is Azure's instance metadata service.
const imds = "169.254.169.254"

// proxy is the door for programs that know nothing of the lab but their
// HTTPS_PROXY. A CONNECT to an emulated host leads to the TLS door; loopback and
// allowed hosts are reached as they are; everything else is refused and counted
// as an escape.
type proxy struct {
	hosts   *hosts
	allowed allowed
	begin   func() (end func()) // lets lab time stand still
	deliver func(net.Conn) bool // to the TLS door
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	journal *journal.Journal
	escapes atomic.Int64

	metadata func() http.Handler // see Config

	life      context.Context // ends with the proxy, and with it dialling and forwarding
	end       context.CancelFunc
	tunnels   *tunnels
	transport *http.Transport // of plain HTTP to loopback and allowed hosts
	forward   *httputil.ReverseProxy
}

func newProxy(h *hosts, a allowed, begin func() (end func()), deliver func(net.Conn) bool, dial func(context.Context, string, string) (net.Conn, error), j *journal.Journal, errorLog *log.Logger) *proxy {
	p := &proxy{hosts: h, allowed: a, begin: begin, deliver: deliver, dial: dial, journal: j, tunnels: newTunnels()}
	p.life, p.end = context.WithCancel(context.Background())
	p.transport = &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			return dial(ctx, network, address)
		},
		DisableCompression: true, IdleConnTimeout: idleTimeout, // and no proxy of the caller's: a lab stays as it is configured
	}
	p.forward = &httputil.ReverseProxy{
		Transport: p.transport, FlushInterval: -1, ErrorLog: errorLog,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.Host = r.In.URL.Host
			if t, err := plainTarget(r.In); err == nil { // as it was when the target was checked
				r.Out.URL.Host = t.String() // what was checked is what is dialled
			}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			http.Error(w, fmt.Sprintf("wiemu's proxy could not reach %s: %v", r.URL.Host, err), http.StatusBadGateway)
		},
	}
	return p
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.tunnels.enter() {
		w.Header().Set("Connection", "close")
		http.Error(w, "wiemu is shutting down.", http.StatusServiceUnavailable)
		return
	}
	defer p.tunnels.leave()
	if r.Method == http.MethodConnect {
		p.connect(w, r)
		return
	}
	p.plain(w, r)
}

// connect answers a CONNECT.
func (p *proxy) connect(w http.ResponseWriter, r *http.Request) {
	t, err := parseTarget(r.RequestURI)
	if err != nil {
		p.answer(w, http.StatusBadRequest, "malformed CONNECT", fmt.Sprintf("wiemu's proxy: CONNECT: %v.", err))
		return
	}
	switch {
	case t.port == tlsPort && p.hosts.find(t.host) != nil:
		defer p.begin()() // its server knows nothing of it now, and the door nothing yet
		if conn := p.established(w); conn != nil && (!p.tunnels.release(conn) || !p.deliver(conn)) {
			_ = conn.Close() // the door is closed, and so are its connections
		}
	case p.passes(t, r):
		p.tunnel(w, t)
	default:
		reason, explanation := p.escape(t, r)
		p.answer(w, http.StatusForbidden, reason, explanation)
	}
}

// passes reports whether the client may go to a target that is not emulated.
// Loopback is the client's own machine only if it is this one; for others it
// would be a way into this one.
func (p *proxy) passes(t target, r *http.Request) bool {
	if t.isLoopback() {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		return err == nil && from.Addr().Unmap().IsLoopback() || p.allowed.permits(t)
	}
	return p.allowed.permits(t)
}

// tunnel leads the client to the host itself.
func (p *proxy) tunnel(w http.ResponseWriter, t target) {
	ctx, cancel := context.WithTimeout(p.life, dialTimeout)
	defer cancel()
	server, err := p.dial(ctx, "tcp", t.String())
	if err != nil {
		p.answer(w, http.StatusBadGateway, "could not reach "+t.String(), fmt.Sprintf("wiemu's proxy could not reach %s: %v.", t, err))
		return
	}
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
			h.ServeHTTP(w, received(r))
			return
		}
	}
	switch {
	case p.hosts.find(t.host) != nil && (t.port == 80 || t.port == tlsPort):
		p.plainRefused(w, r, t)
	case r.URL.Scheme == "http" && p.passes(t, r):
		p.forward.ServeHTTP(w, r)
	default:
		_, explanation := p.escape(t, r)
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

// plainRefused answers a client that speaks to an emulated host in clear text.
// That is no escape: it would not have left the lab.
func (p *proxy) plainRefused(w http.ResponseWriter, r *http.Request, t target) {
	explanation := fmt.Sprintf("wiemu emulates %s over TLS only, as the real host answers over TLS only: use https with a CONNECT to %s:443.", t.host, t.host)
	p.journal.Record(journal.Event{
		Kind: journal.Access, Outcome: journal.Denied, Status: http.StatusForbidden,
		Summary: fmt.Sprintf("%s %s was asked for in clear text", r.Method, t.host),
		Host:    t.String(), Method: r.Method, Path: r.URL.Path, Message: explanation,
		Meaning: "What is sent to this host in clear text, such as a token, can be read on the way.",
		Remedy:  "Use https in the application's URL.",
	})
	http.Error(w, explanation, http.StatusForbidden)
}

// escape writes down that a client tried to reach the world outside, and says
// so in a line and in full.
func (p *proxy) escape(t target, r *http.Request) (reason, explanation string) {
	p.escapes.Add(1)
	why := "is not emulated by wiemu"
	reason = "--allow-host " + t.host + " lets it through"
	remedy := fmt.Sprintf("If the application may reach the real host in this run, allow it: --allow-host %s.", t.host)
	switch {
	case p.hosts.find(t.host) != nil:
		why = "is emulated by wiemu on port 443 only"
		reason, remedy = "use port 443", "Use port 443 in the application's URL."
	case t.isLoopback():
		why = "is loopback, and the client is on another machine than wiemu"
		reason, remedy = "use NO_PROXY", "Let the application reach its own machine directly: NO_PROXY=localhost,127.0.0.1,::1."
	case t.host == imds:
		remedy = "If the application is meant to use its workload identity, see why the exchange before this was refused, or why there was none; if it is meant to use a managed identity, run it with --managed-identity imds."
	}
	reason = fmt.Sprintf("%s %s; %s", t, why, reason)
	explanation = fmt.Sprintf("wiemu refused this connection: %s %s.\n%s", t, why, remedy)
	e := journal.Event{
		Kind: journal.Escape, Outcome: journal.Denied, Status: http.StatusForbidden,
		Summary: fmt.Sprintf("%s to %s refused: it %s", r.Method, t, why),
		Host:    t.String(), Method: r.Method, Message: explanation,
		Meaning: "A client tried to reach the world outside the lab.",
		Remedy:  remedy,
	}
	if t.host == imds {
		e.Meaning = "A client asked the machine's metadata service for a token, as DefaultAzureCredential does when no credential before it worked."
	}
	if r.Method != http.MethodConnect {
		e.Path = r.URL.Path
	}
	p.journal.Record(e)
	return reason, explanation
}

// close ends the tunnels and waits, until ctx ends, for what is on its way.
func (p *proxy) close(ctx context.Context) error {
	p.end()
	err := p.tunnels.close(ctx)
	p.transport.CloseIdleConnections()
	if err != nil {
		return errors.Join(errors.New("close the proxy: connections were still being made"), err)
	}
	return nil
}
