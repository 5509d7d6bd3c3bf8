package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"github.com/wiemu/wiemu/internal/faults"
)

// The names of the endpoints. Each machine has one of its own: MachineEndpoint and the
// workload's namespace/service account; alone it is that of all machines together.
const (
	GatewayEndpoint  = "gateway"
	ClusterEndpoint  = "cluster"
	ControlEndpoint  = "control"
	BindingsEndpoint = "bindings" // AKS's identity-binding proxy
	MachineEndpoint  = "machine "
)

// Answer answers a request in memory as the endpoint of that name would; it reports
// whether there is such an endpoint.
func (s *Server) Answer(endpoint string, w http.ResponseWriter, r *http.Request) bool {
	h := s.answers.get(endpoint)
	if h != nil {
		h.ServeHTTP(w, r)
	}
	return h != nil
}

type answers struct {
	observe  func(endpoint string, next http.Handler) http.Handler // may be nil
	requests atomic.Int64                                          // at all endpoints but that of the control API

	mu  sync.Mutex
	all map[string]http.Handler
}

func (a *answers) at(endpoint string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if a.observe != nil {
			next = a.observe(endpoint, next)
		}
		if endpoint == ControlEndpoint {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a.requests.Add(1)
			next.ServeHTTP(w, r)
		})
	}
}

func (a *answers) put(endpoint string, h http.Handler) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[string]http.Handler{}
	}
	a.all[endpoint] = h
}

func (a *answers) get(endpoint string) http.Handler {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all[endpoint]
}

// wrap makes h what answers at an endpoint: observed, with lab time in its answers, and
// with Advance waiting for them.
func (s *Server) wrap(endpoint string, h http.Handler) http.Handler {
	observed, clk := s.answers.at(endpoint)(h), s.Clock()
	h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer clk.Begin()()
		w.Header()["Date"] = []string{clk.Now().Format(http.TimeFormat)}
		observed.ServeHTTP(w, r)
	})
	s.answers.put(endpoint, h)
	return h
}

// listener is an HTTP server on one address; the zero value is one in memory, which
// only Answer reaches.
type listener struct {
	server *http.Server
	net    net.Listener // nil: in memory
	done   chan error
}

// maxConns is how many connections each of these listeners has at a time; more wait.
const maxConns = 512

// listen opens a listener; if address is empty, on a free port of loopback.
func (s *Server) listen(name, address string, h http.Handler, tlsConfig *tls.Config) (*listener, error) {
	if s.inMemory {
		return &listener{}, nil
	}
	address = cmp.Or(address, "127.0.0.1:0")
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open the %s listener on %s: %w; choose another address under listen.%s in wiemu.yaml, or stop what uses it", name, address, err, name)
	}
	return serve(netutil.LimitListener(l, maxConns), newHTTPServer(h), tlsConfig), nil
}

// listenForPrograms opens a listener, on a free port of loopback, for programs in lockstep, too:
// lab time stands while they ask there.
func (s *Server) listenForPrograms(name string, h http.Handler, tlsConfig *tls.Config) (*listener, error) {
	server := newHTTPServer(h)
	l, err := s.Track(name, "", server)
	if err != nil {
		return nil, err
	}
	return serve(l, server, tlsConfig), nil
}

func newHTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ConnContext: faults.OnConnection,
	}
}

// serve has a server answer on a listener, by TLS if there is a configuration for it.
func serve(l net.Listener, server *http.Server, tlsConfig *tls.Config) *listener {
	d := &listener{net: l, done: make(chan error, 1), server: server}
	if tlsConfig != nil {
		l = tls.NewListener(l, tlsConfig)
	}
	go func() { d.done <- d.server.Serve(l) }()
	return d
}

func (d *listener) address() string {
	if d.net == nil {
		return ""
	}
	return d.net.Addr().String()
}

func (d *listener) close(ctx context.Context) error {
	if d.net == nil {
		return nil
	}
	err := d.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, d.server.Close())
	}
	if served := <-d.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// errInMemory refuses what only programs outside of this process use.
var errInMemory = errors.New("the lab is in memory and opens no ports; start it without InMemory")
