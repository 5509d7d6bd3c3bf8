// Package server hosts a lab: it listens for applications (the gateway), for Kubernetes
// clients (the cluster listener), for what changes the lab (the control listener) and
// for machines with managed identities, and has the CA that clients trust. What is
// answered there is package lab's; workloads and their token files are package session's.
package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/console"
	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/gateway"
	"github.com/wiemu/wiemu/internal/lab"
)

// Options say what lab a server hosts and where it listens. The zero value is a lab of
// the defaults, and listeners on free ports of loopback.
type Options struct {
	lab.Options // StateDir also keeps the CA

	Config  config.Config     // wiemu.yaml; its listen section says where
	Digests map[string]string // of what ConfigFile says (config.Config.Digests): the status tells them. If nil, there is nothing to compare
	Token   string            // bearer token of the cluster and control listeners. If empty, one is made; Token returns it

	// InMemory opens no port: only Transport and Answer, in this process, reach the lab.
	// Made inside a testing/synctest bubble, with Keys that are Bounded, it lives on the
	// bubble's time.
	InMemory bool

	// Control adds paths to the control API before it listens. If nil, it adds none.
	Control func(*controlapi.Server)

	// Observe wraps what answers at an endpoint, and sees every request and its answer in
	// the clear, those of the control API included; but not what a lab asks itself. If
	// nil, nothing is observed.
	Observe func(endpoint string, next http.Handler) http.Handler
}

// Server hosts a lab, whose methods it has, and those of the gateway. Nothing of a listener is in
// the lab, so that a server can host several.
type Server struct {
	*lab.Lab
	*gateway.Gateway
	inMemory  bool
	stateDir  string // "": nothing is stored
	authority *ca.Authority
	control   *controlapi.Server
	console   *console.Console
	token     string // bearer token of the cluster and control listeners
	answers   answers

	cluster, controlListener *listener

	later struct { // opened when they are asked for
		sync.Mutex
		open             []*listener
		imds, tokenProxy *listener // of them
		clusterCA        *ca.Authority
	}
}

// Start makes the lab, opens every listener and returns when they answer. If something
// fails, what was opened is closed again; the error says what and where.
func Start(ctx context.Context, opts Options) (_ *Server, err error) {
	s := &Server{inMemory: opts.InMemory, stateDir: opts.StateDir, token: cmp.Or(opts.Token, NewToken()), answers: answers{observe: opts.Observe}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}()
	if s.Lab, err = lab.New(ctx, opts.Config, opts.Options); err != nil {
		return nil, err
	}
	s.Journal().Secrets().Add("control token", s.token)
	for _, step := range []func(Options) error{s.openGateway, s.openCluster, s.openControl} {
		if err := step(opts); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Server) openGateway(opts Options) (err error) {
	c := s.Config()
	hosts := []string{"." + config.IssuerDomain} // whatever the issuers are called, the CA stays the same
	for _, r := range s.Routes() {
		hosts = append(hosts, r.Hosts...)
	}
	for _, stream := range s.Streams() {
		hosts = append(hosts, stream.Hosts...)
	}
	if s.authority, err = ca.Open(s.stored("ca"), s.Clock(), ca.Options{Names: hosts}); err != nil {
		return err
	}
	s.Gateway, err = gateway.New(gateway.Config{
		Clock: s.Clock(), Authority: s.authority, Journal: s.Journal(), Routes: s.Routes(), Streams: s.Streams(), AllowHosts: c.AllowHosts, Login: cloud.IsLoginHost,
		Metadata: s.metadata, Observe: s.answers.at(GatewayEndpoint), Listen: c.Listen.Gateway, ProxyListen: c.Listen.Proxy, StreamListen: c.Listen.Streams, Log: opts.Log,
	})
	if err != nil {
		return err
	}
	s.answers.put(GatewayEndpoint, s.Gateway)
	if s.inMemory {
		return nil
	}
	return s.Start()
}

func (s *Server) openCluster(Options) (err error) {
	tlsConfig := &tls.Config{GetCertificate: s.authority.GetCertificate, MinVersion: tls.VersionTLS12}
	s.cluster, err = s.listen("cluster", s.Config().Listen.Cluster, s.wrap(ClusterEndpoint, s.Cluster(s.token)), tlsConfig)
	return err
}

func (s *Server) openControl(opts Options) (err error) {
	s.control = controlapi.New(s.Lab, controlapi.Endpoints{
		Gateway: s.Address(), Proxy: s.ProxyURL(), Cluster: s.cluster.address(), CA: s.authority.RootPEM(),
		Traffic: s.Traffic, Configuration: opts.Digests,
	}, s.token)
	s.Journal().Secrets().Add("clock token", s.control.ClockToken())
	h := s.answers.at(ControlEndpoint)(s.control)
	s.answers.put(ControlEndpoint, h)
	h = s.withConsole(h)
	if opts.Control != nil { // last, since what is given may answer at once
		opts.Control(s.control)
	}
	s.controlListener, err = s.listen("control", s.Config().Listen.Control, h, nil)
	return err
}

// withConsole adds the console to what answers at the control listener. What its pages ask of
// the control API is observed as everything that is asked of it; the pages are not.
func (s *Server) withConsole(api http.Handler) http.Handler {
	s.console = console.New(console.Options{API: api, Token: s.token, Journal: s.Journal()})
	s.control.Handle(http.MethodPost, console.LinkPath, func(*http.Request) (any, error) { return s.console.Link(), nil })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, console.Path):
			s.console.ServeHTTP(w, r)
		case r.URL.Path+"/" == console.Path:
			http.Redirect(w, r, console.Path, http.StatusFound)
		default:
			api.ServeHTTP(w, r)
		}
	})
}

// stored is the directory of that name in the state directory; "" if there is none.
func (s *Server) stored(name string) string {
	if s.stateDir == "" {
		return ""
	}
	return filepath.Join(s.stateDir, name)
}

// Close stops listening, waits until ctx ends for requests under way, and closes the
// lab.
func (s *Server) Close(ctx context.Context) error {
	var errs []error
	if s.console != nil {
		s.console.Close()
	}
	s.later.Lock()
	listeners := append(slices.Clone(s.later.open), s.cluster, s.controlListener)
	s.later.open, s.later.imds, s.later.tokenProxy = nil, nil, nil
	s.later.Unlock()
	for _, l := range listeners {
		if l != nil {
			errs = append(errs, l.close(ctx))
		}
	}
	if s.Gateway != nil {
		errs = append(errs, s.Gateway.Close(ctx))
	}
	if s.Lab != nil {
		errs = append(errs, s.Lab.Close())
	}
	s.cluster, s.controlListener, s.Gateway = nil, nil, nil
	return errors.Join(errs...)
}

// NewToken returns a bearer token that cannot be guessed: 48 hexadecimal digits.
func NewToken() string {
	secret := make([]byte, 24)
	_, _ = rand.Read(secret) // never fails (Go 1.24)
	return hex.EncodeToString(secret)
}

// Traffic counts what programs have asked for.
func (s *Server) Traffic() control.Traffic {
	return control.Traffic{Requests: s.answers.requests.Load(), Connections: s.Connections()}
}

// Authority is the CA that signs the certificates of the gateway.
func (s *Server) Authority() *ca.Authority { return s.authority }

// ClusterURL is the Kubernetes API server URL of a hosted issuer's cluster; ""
// for a lab in memory, as are the other addresses.
func (s *Server) ClusterURL(issuer string) string {
	if s.inMemory {
		return ""
	}
	return "https://" + s.cluster.address() + "/clusters/" + issuer
}

// ControlURL is where the control API listens; requests carry Token as bearer token.
func (s *Server) ControlURL() string {
	if s.inMemory {
		return ""
	}
	return "http://" + s.controlListener.address()
}

// Token is the bearer token of the cluster and control listeners.
func (s *Server) Token() string { return s.token }

// ClockToken is a bearer token of the control API that opens the stream of the lab
// clock alone: for workloads that live on it.
func (s *Server) ClockToken() string { return s.control.ClockToken() }

// Control is the control API, to which other packages add paths.
func (s *Server) Control() *controlapi.Server { return s.control }

// ControlClient returns a client of the control API in this process.
func (s *Server) ControlClient() *control.Client {
	return controlapi.InMemory(s.token, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.Answer(ControlEndpoint, w, r) }))
}

// Hosts are the lab's.
func (s *Server) Hosts() []string { return s.Lab.Hosts() }

// Transport reaches the emulated hosts in memory, without TLS: for Go programs
// in the same process, also inside a testing/synctest bubble.
func (s *Server) Transport() http.RoundTripper { return s.Gateway.Transport() }

// HTTPClient reaches the emulated hosts as an application does: through the
// proxy, over TLS, trusting the lab's CA alone.
func (s *Server) HTTPClient() *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.authority.RootPEM())
	proxy, err := url.Parse(s.ProxyURL())
	return &http.Client{Transport: &http.Transport{
		Proxy:             func(*http.Request) (*url.URL, error) { return proxy, err },
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}}
}
