// Package gateway is the lab's front door: one TLS address that answers for every
// emulated host with a certificate for it, a proxy by which unmodified programs
// are led there, and the same in memory for tests. It answers nothing itself;
// what a host says is its handler's.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/trust"
)

// Route leads the requests for some hosts to a handler.
type Route struct {
	// Hosts are names such as "graph.microsoft.com", in any case; one that starts
	// with a dot stands for every host below it (".vault.azure.net"). Of several
	// that fit a request the longest counts. Ports are not part of them.
	Hosts []string
	// Handler gets requests with the path folded: see package httppath.
	Handler http.Handler
	// MaxBody returns how many bytes the body of a request may have. It decides by
	// method, host and folded path, before anything of the body is read; 0 has the
	// body ignored, and the handler gets none. If nil, no request has a body.
	MaxBody func(*http.Request) int64
	// Unreadable answers, instead of Handler, requests whose body is too long or
	// breaks off. If nil, plain text says so.
	Unreadable http.Handler
}

// Config says what a gateway answers for and where.
type Config struct {
	Clock     *clock.Lab       // required: the time in answers; its Advance waits for them
	Authority *trust.Authority // required: certifies all hosts of Routes
	Journal   *journal.Journal // where escapes are written down; may be nil
	Routes    []Route

	// AllowHosts are hosts outside the lab to which the proxy lets clients
	// through: "example.com", ".example.com" for every host below, either with a
	// port if only that one is meant ("example.com:443").
	AllowHosts []string

	// Login reports whether a host, in lower case, is one that clients send their
	// credentials to. Such a host is let through only if AllowHosts names it or what
	// makes it one (".example.com" does not cover login.example.com), and the journal
	// says so; its refusal never advises to. If nil, there are none.
	Login func(host string) bool

	// Metadata returns what answers http://169.254.169.254/ for clients of the
	// proxy, as the instance metadata service of an Azure machine does. Left out,
	// or nil: nothing is there, and asking is an escape.
	Metadata func() http.Handler

	// Observe stands before what answers requests that come from applications, and
	// sees both; those by which the lab's rooms ask each other pass it by. nil:
	// nobody looks on.
	Observe func(http.Handler) http.Handler

	Listen      string // of the TLS door; "" is 127.0.0.1:0, a free port
	ProxyListen string // of the proxy; "" is 127.0.0.1:0

	// Dial reaches allowed and loopback hosts; nil is net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Log  *slog.Logger // for operators; nil is none
}

// Gateway answers for the emulated hosts. In memory, through ServeHTTP and
// Transport, it does so from the beginning; on the network between Start and
// Close.
type Gateway struct {
	clock   *clock.Lab
	journal *journal.Journal
	log     *slog.Logger
	hosts   *hosts
	router  *mux.Router
	front   http.Handler // the router, observed
	proxy   *proxy

	listen, proxyListen string
	door, proxyDoor     *http.Server
	isolatedDoor        *http.Server // the proxy for isolated programs; see origin
	handed              *handedOver  // connections from the proxy to the door
	arrivals            arrivals
	conns               *conns // of the door
	serving             sync.WaitGroup

	mu                        sync.Mutex
	closed                    bool
	listener, outer, isolated net.Listener
}

// The limits of the listeners; those of bodies are the routes'. Time-outs are wall
// time: they are about input and output.
const (
	maxHeader  = 64 << 10
	maxConns   = 512      // of each listener
	maxStreams = 32       // of each connection of HTTP/2
	maxWindow  = 64 << 10 // bytes that a connection of HTTP/2 may send before they are wanted

	headerTimeout = 10 * time.Second // of the TLS handshake, too
	readTimeout   = 15 * time.Second // of header and body
	writeTimeout  = 2 * time.Minute
	idleTimeout   = 2 * time.Minute
	dialTimeout   = 10 * time.Second
)

// New checks the configuration and makes a gateway that is not listening yet.
func New(cfg Config) (*Gateway, error) {
	if cfg.Clock == nil || cfg.Authority == nil {
		return nil, errors.New("make a gateway: Clock and Authority are required")
	}
	table, err := newHosts(cfg.Routes, cfg.Authority)
	if err != nil {
		return nil, fmt.Errorf("make a gateway: %w", err)
	}
	allowed, err := parseAllowed(cfg.AllowHosts, table, cfg.Login)
	if err != nil {
		return nil, fmt.Errorf("make a gateway: %w", err)
	}
	g := &Gateway{
		clock: cfg.Clock, journal: cfg.Journal, log: cfg.Log, hosts: table,
		listen: cfg.Listen, proxyListen: cfg.ProxyListen, handed: newHandedOver(), conns: newConns(),
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	cfg.Clock.Traffic(func() (uint64, bool) { return g.arrivals.events.Load(), g.arrivals.any() || g.conns.answering() })
	g.router = mux.NewRouter().SkipClean(true) // cleaning would redirect, and lose a POST
	g.router.NewRoute().MatcherFunc(g.matchHost)
	g.router.NotFoundHandler = http.HandlerFunc(g.misdirected)
	g.front = g.router
	if cfg.Observe != nil {
		g.front = cfg.Observe(g.router)
	}

	errorLog := slog.NewLogLogger(g.log.Handler(), slog.LevelDebug)
	g.door = &http.Server{
		Handler: g, TLSConfig: tlsConfig(cfg.Authority), ErrorLog: errorLog, ConnState: g.conns.observe, ConnContext: onConnection,
		MaxHeaderBytes: maxHeader, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: maxWindow, MaxReceiveBufferPerStream: maxWindow},
	}
	g.arrivals.most, g.arrivals.makeRoom = maxConns, g.conns.makeRoom
	dial := cfg.Dial
	if dial == nil {
		dial = newDialer().DialContext
	}
	g.proxy = newProxy(g.hosts, allowed, cfg.Clock.Begin, g.handed.deliver, dial, cfg.Journal, errorLog)
	g.proxy.metadata = cfg.Metadata
	server := func(life context.Context) *http.Server {
		return &http.Server{
			Handler: g.proxy, ErrorLog: errorLog, BaseContext: func(net.Listener) context.Context { return life },
			MaxHeaderBytes: maxHeader, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
			DisableGeneralOptionsHandler: true,
		}
	}
	g.proxyDoor, g.isolatedDoor = server(g.proxy.life), server(markIsolated(g.proxy.life))
	return g, nil
}

// Start listens on all addresses and returns when clients can connect.
func (g *Gateway) Start() (err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.listener != nil {
		return errors.New("start the gateway: it was started before")
	}
	var opened []net.Listener
	defer func() {
		if err != nil {
			for _, l := range opened {
				_ = l.Close() // nothing was connected
			}
		}
	}()
	for _, l := range []struct{ name, address string }{{"gateway", g.listen}, {"proxy", g.proxyListen}, {"proxy for isolated programs", ""}} {
		listener, err := g.arrivals.listen(l.name, l.address)
		if err != nil {
			return err
		}
		opened = append(opened, listener)
	}
	g.listener, g.outer, g.isolated = opened[0], opened[1], opened[2]
	g.serve("gateway", func() error { return g.door.ServeTLS(opened[0], "", "") })
	g.serve("gateway", func() error { return g.door.ServeTLS(g.handed, "", "") })
	g.serve("proxy", func() error { return g.proxyDoor.Serve(opened[1]) })
	g.serve("proxy for isolated programs", func() error { return g.isolatedDoor.Serve(opened[2]) })
	return nil
}

func (g *Gateway) serve(name string, serve func() error) {
	g.serving.Go(func() {
		if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) {
			g.log.Error("a door failed; it takes no more connections", "door", name, "error", err)
		}
	})
}

// Close stops listening, ends the tunnels through the proxy and waits for the
// requests that are being answered; when ctx ends first, it cuts them off and
// says so. Closing twice is harmless.
func (g *Gateway) Close(ctx context.Context) error {
	g.mu.Lock()
	started := g.listener != nil
	again := g.closed
	g.closed = true
	g.mu.Unlock()
	if again {
		return nil
	}
	errs := []error{g.proxyDoor.Close(), g.isolatedDoor.Close(), g.proxy.close(ctx)}
	if err := g.conns.shutdown(ctx, g.door); err != nil {
		errs = append(errs, fmt.Errorf("close the gateway: requests were still being answered: %w", err))
	}
	if started {
		g.serving.Wait()
	}
	return errors.Join(errs...)
}

// Address is where the TLS door listens, such as 127.0.0.1:40211; "" before
// Start.
func (g *Gateway) Address() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return address(g.listener)
}

// ProxyURL is what clients are given as their proxy, such as
// http://127.0.0.1:40212; "" before Start. A proxy that listens on all addresses
// is named by loopback.
func (g *Gateway) ProxyURL() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.outer == nil {
		return ""
	}
	host, port, err := net.SplitHostPort(address(g.outer))
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		return "http://" + net.JoinHostPort("127.0.0.1", port)
	}
	return "http://" + address(g.outer)
}

// IsolatedAddress is the host:port of the proxy for programs in namespaces of
// their own (package isolation), always on loopback; "" before Start. Through it
// nothing of this machine is reached, and what such programs tried elsewhere is
// reported to it: see AttemptTCP.
func (g *Gateway) IsolatedAddress() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return address(g.isolated)
}

func address(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// Hosts lists the emulated hosts as they were configured, sorted.
func (g *Gateway) Hosts() []string { return g.hosts.list() }

// Emulates reports whether the gateway answers for a host, given with or
// without a port.
func (g *Gateway) Emulates(host string) bool { return g.hosts.find(host) != nil }

// OpenPorts are those, besides 443, on which the proxy lets clients through to
// allowed hosts: the ones that these are allowed with, and 80 for those without.
func (g *Gateway) OpenPorts() []uint16 { return g.proxy.allowed.ports() }

// Connections counts those that clients have opened to the TLS door, directly or
// through the proxy, whether or not a request came on them.
func (g *Gateway) Connections() int {
	g.conns.mu.Lock()
	defer g.conns.mu.Unlock()
	return g.conns.opened
}

// Escapes counts the attempts of clients to reach, through the proxy, a host
// that is neither emulated nor allowed. They were refused and are in the
// journal.
func (g *Gateway) Escapes() int { return int(g.proxy.escapes.Load()) }
