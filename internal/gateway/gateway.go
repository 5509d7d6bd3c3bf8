// Package gateway is what applications connect to: one TLS address that answers for every
// emulated host with a certificate for it, a proxy by which unmodified programs
// are led there, and the same in memory for tests. It answers nothing itself;
// what a host says is its handler's.
package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/lead/handover"
)

// Config says what a gateway answers for and where.
type Config struct {
	Clock     *clock.Lab        // required: the time in answers; its Advance waits for them
	Authority *ca.Authority     // required: certifies all hosts of Routes
	Journal   *journals.Journal // where escapes are written down; may be nil
	Routes    []hostmux.Route
	Streams   []hostmux.Stream

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
	// proxy, as the instance metadata service of an Azure machine does. If nil, or if
	// it returns nil, nothing answers there, and a request is an escape.
	Metadata func() http.Handler

	// Observe wraps what answers applications, and sees requests and answers. If nil,
	// nothing is observed.
	Observe func(http.Handler) http.Handler

	Listen      string // address of the TLS listener; defaults to 127.0.0.1:0, a free port
	ProxyListen string // of the proxy; "" is 127.0.0.1:0

	// StreamListen is the IP address on which the ports of Streams are opened, for clients
	// whose names lead there. If empty, streams are reached by the proxy, by being led, and those
	// with Variables by these, at an address of loopback.
	StreamListen string

	// Dial reaches allowed and loopback hosts; nil is net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Log  *slog.Logger // for operators; nil is none
}

// Gateway answers for the emulated hosts. In memory, through ServeHTTP and
// Transport, it does so from the beginning; on the network between Start and
// Close.
type Gateway struct {
	journal *journals.Journal
	log     *slog.Logger
	mux     *hostmux.Mux
	proxy   *proxy

	listen, proxyListen    string
	streamListen           string
	tlsServer, proxyServer *http.Server
	isolatedServer         *http.Server // the proxy for isolated programs; see origin
	clearServer            *http.Server // for led programs that ask emulated hosts in clear text
	metadataServer         *http.Server // what led programs reach as 169.254.169.254
	handed                 *handedOver  // connections from the proxy to the TLS listener
	led                    *led
	arrivals               arrivals
	conns                  *conns // of the TLS listener
	others                 *conns // of the proxies, and of servers that are tracked
	serving                sync.WaitGroup

	mu                        sync.Mutex
	closed                    bool
	listener, outer, isolated net.Listener
	metadata                  net.Listener
	streams                   map[uint16]net.Listener          // by port
	directs                   map[*hostmux.Stream]net.Listener // see Variables
	handover                  *handover.Listener               // nil: programs cannot be led on this system
}

// The limits of the listeners; those of bodies are the routes'. Time-outs are wall
// time: they are about input and output.
const (
	maxHeader  = 64 << 10
	maxConns   = 512      // of each listener
	maxWaiting = 4096     // led connections that wait for a place
	maxStreams = 32       // of each connection of HTTP/2
	maxWindow  = 64 << 10 // bytes that a connection of HTTP/2 may send before they are wanted

	headerTimeout = 10 * time.Second // of the TLS handshake, too
	readTimeout   = 15 * time.Second // of header and body
	writeTimeout  = 2 * time.Minute  // of what hostmux, which has its own for answers, does not answer
	idleTimeout   = 2 * time.Minute
	dialTimeout   = 10 * time.Second
)

// New checks the configuration and makes a gateway that is not listening yet.
func New(cfg Config) (*Gateway, error) {
	if cfg.Clock == nil || cfg.Authority == nil {
		return nil, errors.New("make a gateway: Clock and Authority are required")
	}
	conns := newConns()
	hosts, err := hostmux.New(cfg.Clock, cfg.Routes, hostmux.Options{Journal: cfg.Journal, Log: cfg.Log, Observe: cfg.Observe, Receiving: conns.receiving})
	if err != nil {
		return nil, fmt.Errorf("make a gateway: %w", err)
	}
	for _, host := range hosts.Hosts() {
		sample := host
		if strings.HasPrefix(host, ".") {
			sample = "x" + host
		}
		if !cfg.Authority.Permits(sample) {
			return nil, fmt.Errorf("make a gateway: route: the CA does not certify %s; open it with this name", host)
		}
	}
	allowed, err := parseAllowed(cfg.AllowHosts, hosts, cfg.Login)
	if err != nil {
		return nil, fmt.Errorf("make a gateway: %w", err)
	}
	if err := checkStreams(cfg.Streams, cfg.Authority); err != nil {
		return nil, fmt.Errorf("make a gateway: %w", err)
	}
	g := &Gateway{
		journal: cfg.Journal, log: cfg.Log, mux: hosts,
		listen: cfg.Listen, proxyListen: cfg.ProxyListen, streamListen: cfg.StreamListen, handed: newHandedOver(), conns: conns, others: newConns(),
	}
	g.log = cmp.Or(g.log, slog.New(slog.DiscardHandler))
	cfg.Clock.Traffic(func() (events uint64, underWay bool) {
		underWay = g.arrivals.any() || g.conns.answering() || g.others.answering()
		return g.arrivals.events.Load(), underWay // after it: what has just ceased to be under way is counted
	})
	errorLog := slog.NewLogLogger(g.log.Handler(), slog.LevelDebug)
	g.tlsServer = &http.Server{
		Handler: g, TLSConfig: tlsConfig(cfg.Authority, g.mux.Verbatim), ErrorLog: errorLog, ConnState: g.conns.observe, ConnContext: onConnection,
		MaxHeaderBytes: maxHeader, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: maxWindow, MaxReceiveBufferPerStream: maxWindow},
	}
	g.arrivals.most, g.arrivals.makeRoom = maxConns, g.conns.makeRoom
	dial := cfg.Dial
	if dial == nil {
		dial = newDialer().DialContext
	}
	g.proxy = newProxy(g.mux, allowed, cfg.Clock.Begin, g.handed.deliver, dial, cfg.Journal, errorLog)
	g.proxy.metadata, g.proxy.streams, g.proxy.certificate = cfg.Metadata, cfg.Streams, cfg.Authority.GetCertificate
	server := func(life context.Context, h http.Handler) *http.Server {
		return &http.Server{
			Handler: h, ErrorLog: errorLog, BaseContext: func(net.Listener) context.Context { return life },
			MaxHeaderBytes: maxHeader, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
			DisableGeneralOptionsHandler: true, ConnState: g.others.observe,
		}
	}
	g.proxyServer, g.isolatedServer = server(g.proxy.life, g.proxy), server(markIsolated(g.proxy.life), g.proxy)
	g.led = &led{proxy: g.proxy, arrivals: &g.arrivals, places: make(chan struct{}, maxConns), waiting: make(chan struct{}, maxWaiting), clear: newHandedOver()}
	g.clearServer = server(g.proxy.life, http.HandlerFunc(g.led.refuseClear))
	g.metadataServer = server(g.proxy.life, http.HandlerFunc(g.proxy.askMetadata))
	g.clearServer.ConnContext, g.metadataServer.ConnContext = onConnection, onConnection
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
	for _, l := range []struct{ name, address string }{{"gateway", g.listen}, {"proxy", g.proxyListen}, {"proxy for isolated programs", ""}, {"metadata service", ""}} {
		listener, err := g.arrivals.listen(l.name, l.address)
		if err != nil {
			return err
		}
		opened = append(opened, listener)
	}
	streams, err := g.listenStreams()
	for _, listener := range streams {
		opened = append(opened, listener)
	}
	if err != nil {
		return err
	}
	if g.handover, err = handover.Listen(); err != nil { // such as on another system: then programs go by the proxy
		g.log.Debug("programs cannot be led to this lab", "error", err)
		err = nil
	}
	g.listener, g.outer, g.isolated, g.metadata = opened[0], opened[1], opened[2], opened[3]
	g.streams, g.directs = streams, map[*hostmux.Stream]net.Listener{}
	for port, listener := range streams {
		g.serve(fmt.Sprintf("port %d", port), func() error { return g.acceptStreams(listener, port) })
	}
	g.serve("gateway", func() error { return g.tlsServer.ServeTLS(opened[0], "", "") })
	g.serve("gateway", func() error { return g.tlsServer.ServeTLS(g.handed, "", "") })
	g.serve("proxy", func() error { return g.proxyServer.Serve(opened[1]) })
	g.serve("proxy for isolated programs", func() error { return g.isolatedServer.Serve(opened[2]) })
	g.serve("metadata service", func() error { return g.metadataServer.Serve(opened[3]) })
	if g.handover != nil {
		g.arrivals.takeFrom(g.handover.Arriving)
		g.serve("gateway", func() error { return g.clearServer.Serve(g.led.clear) })
		g.serve("socket for led programs", func() error { return handover.Serve(g.handover, g.led) })
	}
	return nil
}

// Track has lab time stand while something arrives at a server on an address of its own, or is
// answered there, as at the gateway's own. It returns the listener that the server is to serve, on
// a free port of loopback if address is empty.
func (g *Gateway) Track(name, address string, server *http.Server) (net.Listener, error) {
	server.ConnState = g.others.observe
	return g.arrivals.listen(name, address)
}

func (g *Gateway) serve(name string, serve func() error) {
	g.serving.Go(func() {
		if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) {
			g.log.Error("a listener failed; it takes no more connections", "listener", name, "error", err)
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
	errs := []error{g.proxyServer.Close(), g.isolatedServer.Close(), g.metadataServer.Close()}
	for _, listener := range g.streams {
		errs = append(errs, listener.Close())
	}
	for _, d := range g.directs {
		errs = append(errs, d.Close())
	}
	if g.handover != nil {
		errs = append(errs, g.handover.Close())
	}
	errs = append(errs, g.clearServer.Close(), g.proxy.close(ctx))
	if err := g.conns.shutdown(ctx, g.tlsServer); err != nil {
		errs = append(errs, fmt.Errorf("close the gateway: requests were still being answered: %w", err))
	}
	if started {
		g.serving.Wait()
	}
	return errors.Join(errs...)
}

// Address is the address of the TLS listener, such as 127.0.0.1:40211; "" before
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

// MetadataAddress is the host:port on loopback where led programs reach what answers them as
// http://169.254.169.254, as they would through the proxy; "" before Start.
func (g *Gateway) MetadataAddress() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return address(g.metadata)
}

// HandoverAddress is the address of the socket at which supervisors hand over the connections of
// the programs that they lead here (package lead); "" before Start, and where there are none.
func (g *Gateway) HandoverAddress() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.handover == nil {
		return ""
	}
	return g.handover.Address()
}

// LedHosts are the hosts whose connections are to be led here: those of HTTP and of streams,
// in lower case and sorted. One that starts with a dot stands for every host below it.
func (g *Gateway) LedHosts() []string {
	hosts := g.mux.Hosts()
	for _, s := range g.proxy.streams {
		hosts = append(hosts, s.Hosts...)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

func address(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// Hosts lists the emulated hosts as they were configured, sorted.
func (g *Gateway) Hosts() []string { return g.mux.Hosts() }

// ServeHTTP answers for the host that the request names.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.mux.ServeHTTP(w, r) }

// Transport leads requests to the emulated hosts in this process; see
// [hostmux.Mux.Transport].
func (g *Gateway) Transport() http.RoundTripper { return g.mux.Transport() }

// tlsConfig is that of the TLS listener. Handshakes are on wall time; what the
// certificates say fits both clocks. Hosts of verbatim routes do not speak HTTP/2, as Azure
// Storage does not, and its small windows would slow down long bodies.
func tlsConfig(authority *ca.Authority, verbatim func(host string) bool) *tls.Config {
	all := &tls.Config{GetCertificate: authority.GetCertificate, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	first := &tls.Config{GetCertificate: authority.GetCertificate, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	all.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if verbatim(hello.ServerName) {
			return first, nil
		}
		return nil, nil
	}
	return all
}

// OpenPorts are those, besides 443, on which the proxy lets clients through: to allowed
// hosts, on the ones that these are allowed with, and 80 for those without; and to
// streams that have something behind them now.
func (g *Gateway) OpenPorts() []uint16 {
	ports := g.proxy.allowed.ports()
	for _, s := range g.proxy.streams {
		if s.Used() {
			ports = append(ports, s.Ports...)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// Connections counts those that clients have opened to the TLS listener and to streams,
// directly, led or through the proxy, whether or not a request came on them.
func (g *Gateway) Connections() int {
	g.conns.mu.Lock()
	defer g.conns.mu.Unlock()
	return g.conns.opened + int(g.proxy.streamed.Load())
}

// Escapes counts the attempts of clients to reach, through the proxy, a host
// that is neither emulated nor allowed. They were refused and are in the
// journal.
func (g *Gateway) Escapes() int { return int(g.proxy.escapes.Load()) }
