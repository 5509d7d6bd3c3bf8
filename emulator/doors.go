package emulator

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"golang.org/x/net/netutil"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/fault"
)

// openDoors starts to listen, unless the lab is in memory.
func (e *Emulator) openDoors(_ context.Context, opts Options) error {
	if e.token = opts.Token; e.token == "" {
		e.token = NewToken()
	}
	e.journal.Secrets().Add("control token", e.token)
	if !e.inMemory {
		if err := e.gateway.Start(); err != nil {
			return err
		}
	}
	clusters := mux.NewRouter().SkipClean(true)
	for _, i := range e.issuers {
		prefix := "/clusters/" + i.Name()
		clusters.PathPrefix(prefix + "/").Handler(dated(e.clock.Part(i.Name()), http.StripPrefix(prefix, i.Cluster(e.token))))
	}
	tlsConfig := &tls.Config{GetCertificate: e.authority.GetCertificate, MinVersion: tls.VersionTLS12}
	var err error
	if e.cluster, err = e.openDoor("cluster", e.config.Listen.Cluster, e.behind(ClusterDoor, clusters), tlsConfig); err != nil {
		return err
	}
	e.time = control.NewTimekeeper(e.clock, e.journal, e.parts())
	if opts.InCluster {
		e.time.Fix(realTime)
	}
	var outside []string
	for _, i := range e.config.Issuers {
		if i.External {
			outside = append(outside, i.Name)
		}
	}
	e.control = control.NewServer(control.Lab{
		Time: e.time, Journal: e.journal, Entra: e.entra, Faults: e.faults, Directory: e.directory, Issuers: e.issuers, Rings: e.rings, Outside: outside,
		Gateway: e.gateway.Address(), Proxy: e.gateway.ProxyURL(), Cluster: e.cluster.address(), CA: e.authority.RootPEM(), Audience: e.cloud.TokenExchange, Tenant: e.config.Tenants[0].ID,
		Traffic: e.Traffic, Made: e.Made, ConfigFile: e.configFile, Configuration: opts.Digests,
	}, e.token)
	e.journal.Secrets().Add("clock token", e.control.ClockToken())
	if opts.Steer != nil {
		opts.Steer(e.control)
	}
	e.steering, err = e.openDoor("control", e.config.Listen.Control, e.steered(e.control), nil)
	return err
}

// Traffic counts what programs have asked the lab for.
func (e *Emulator) Traffic() control.Traffic {
	return control.Traffic{Requests: e.answers.requests.Load(), Connections: e.gateway.Connections()}
}

// NewToken makes a bearer token that nobody guesses. Of what kind its characters are
// is the same in every lab.
func NewToken() string {
	secret := make([]byte, 24)
	_, _ = rand.Read(secret) // never fails (Go 1.24)
	return hex.EncodeToString(secret)
}

// The names of the doors. Each machine has one of its own: MachineDoors and the
// workload's namespace/service account; alone it is that of all machines together.
const (
	GatewayDoor  = "gateway"
	ClusterDoor  = "cluster"
	ControlDoor  = "control"
	BindingsDoor = "bindings" // AKS's identity-binding proxy
	MachineDoors = "machine "
)

// Answer answers a request in memory as the door of that name would; it reports
// whether there is such a door.
func (e *Emulator) Answer(door string, w http.ResponseWriter, r *http.Request) bool {
	h := e.answers.get(door)
	if h != nil {
		h.ServeHTTP(w, r)
	}
	return h != nil
}

// answers holds what answers at each door, and who looks on.
type answers struct {
	observe  func(door string, next http.Handler) http.Handler
	requests atomic.Int64 // at all doors but the control door

	mu  sync.Mutex
	all map[string]http.Handler
}

// at counts and observes the requests at a door.
func (a *answers) at(door string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if a.observe != nil {
			next = a.observe(door, next)
		}
		if door == ControlDoor {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a.requests.Add(1)
			next.ServeHTTP(w, r)
		})
	}
}

func (a *answers) put(door string, h http.Handler) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[string]http.Handler{}
	}
	a.all[door] = h
}

func (a *answers) get(door string) http.Handler {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all[door]
}

// steered is what answers at the control door.
func (e *Emulator) steered(h http.Handler) http.Handler {
	h = e.answers.at(ControlDoor)(h)
	e.answers.put(ControlDoor, h)
	return h
}

// behind is what answers at another door: observed, and on lab time.
func (e *Emulator) behind(door string, h http.Handler) http.Handler {
	h = e.onLabTime(e.answers.at(door)(h))
	e.answers.put(door, h)
	return h
}

// onLabTime lets answers carry lab time and lets Advance wait for them.
func (e *Emulator) onLabTime(next http.Handler) http.Handler {
	next = dated(e.clock, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer e.clock.Begin()()
		next.ServeHTTP(w, r)
	})
}

// door is an HTTP server on one address; the zero value is a door in memory, which
// only Answer opens.
type door struct {
	server   *http.Server
	listener net.Listener
	done     chan error
}

// maxConns is how many connections each of these listeners has at a time; more wait.
const maxConns = 512

func (e *Emulator) openDoor(name, address string, h http.Handler, tlsConfig *tls.Config) (*door, error) {
	if e.inMemory {
		return &door{}, nil
	}
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open the %s door on %s: %w; choose another address under listen.%s in wiemu.yaml, or stop what uses it", name, address, err, name)
	}
	d := &door{listener: l, done: make(chan error, 1), server: &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ConnContext: fault.OnConnection,
	}}
	l = netutil.LimitListener(l, maxConns)
	if tlsConfig != nil {
		l = tls.NewListener(l, tlsConfig)
	}
	go func() { d.done <- d.server.Serve(l) }()
	return d, nil
}

func (d *door) address() string {
	if d.listener == nil {
		return ""
	}
	return d.listener.Addr().String()
}

func (d *door) close(ctx context.Context) error {
	if d.listener == nil {
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

// OpenPorts are those, besides 443, on which applications are let through to
// allowed hosts outside.
func (e *Emulator) OpenPorts() []uint16 { return e.gateway.OpenPorts() }

// errInMemory refuses what only programs outside of this process use.
var errInMemory = errors.New("the lab is in memory and opens no ports; start it without InMemory")
