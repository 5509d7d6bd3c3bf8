// Package emulator runs Microsoft Entra ID, token issuers as Kubernetes clusters have
// them, and the resources that access tokens open inside a Go program:
//
//	e := emulator.New(config.Config{})
//	if err := e.Start(ctx); err != nil { … }
//	defer e.Close(ctx)
//	resp, err := e.HTTPClient().Get("https://login.microsoftonline.com/common/discovery/keys")
//
// Tests of workloads are better served by package harness, which also writes token
// files and environment variables as a pod has them.
package emulator

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/gateway"
	"github.com/wiemu/wiemu/internal/server"
)

// Emulator is an emulator that this program starts and closes. Its methods other than
// Start and Close need one that has started.
type Emulator struct {
	options options
	server  *server.Server
}

// New returns an emulator of what a wiemu.yaml describes. The zero Config has one
// tenant, one issuer and one key vault.
func New(c config.Config, with ...Option) *Emulator {
	e := &Emulator{options: options{Config: c}}
	for _, option := range with {
		option(&e.options)
	}
	return e
}

// Option is one of the options below.
type Option func(*options)

type options server.Options

// WithConfigFile names the file that the configuration was read from: errors name it,
// and the certificate files that it mentions are looked up beside it.
func WithConfigFile(path string) Option { return func(o *options) { o.ConfigFile = path } }

// WithStateDir keeps the CA in a directory from one start to the next. By default it
// lives in memory.
func WithStateDir(dir string) Option { return func(o *options) { o.StateDir = dir } }

// WithJournalFile writes events to a file, one JSON object a line. By default the
// latest are kept in memory only.
func WithJournalFile(path string) Option { return func(o *options) { o.JournalFile = path } }

// WithClock sets the clock that tokens, keys and quotas live on. Defaults to the
// machine's time.
func WithClock(c *clock.Lab) Option { return func(o *options) { o.Clock = c } }

// WithFaults injects faults before the first request, after those of the configuration.
func WithFaults(faults ...fault.Fault) Option {
	return func(o *options) { o.Faults = append(o.Faults, faults...) }
}

// WithSeed decides about faults that have a probability. Defaults to a random number.
func WithSeed(seed uint64) Option { return func(o *options) { o.Seed = seed } }

// WithLog sets where messages for operators go. By default there are none.
func WithLog(log *slog.Logger) Option { return func(o *options) { o.Log = log } }

// WithIssuerTransport sets how external issuers are reached. Defaults to HTTPS to
// public addresses, with the system's roots.
func WithIssuerTransport(t http.RoundTripper) Option {
	return func(o *options) { o.Outside = t }
}

// WithoutListeners opens no ports: Transport and Control reach the emulator inside this
// process, and its URLs are empty.
func WithoutListeners() Option { return func(o *options) { o.InMemory = true } }

// Start returns when the emulator answers. If it fails, it has closed what it opened.
func (e *Emulator) Start(ctx context.Context) (err error) {
	e.server, err = server.Start(ctx, server.Options(e.options))
	return err
}

// Close stops listening, waits until ctx ends for requests under way, and removes what
// was temporary.
func (e *Emulator) Close(ctx context.Context) error {
	if e.server == nil {
		return nil
	}
	return e.server.Close(ctx)
}

// Address returns the host:port at which the emulated hosts answer over TLS.
func (e *Emulator) Address() string { return e.server.Address() }

// ProxyURL returns the URL of the HTTP proxy that leads to the emulated hosts.
func (e *Emulator) ProxyURL() string { return e.server.ProxyURL() }

// ClusterURL returns the URL of the Kubernetes API server of an issuer, by its name.
// Requests carry Token as bearer token.
func (e *Emulator) ClusterURL(issuer string) string { return e.server.ClusterURL(issuer) }

// Token returns the bearer token of ClusterURL.
func (e *Emulator) Token() string { return e.server.Token() }

// CA returns the root certificate that clients must trust, as PEM.
func (e *Emulator) CA() []byte { return e.server.Authority().RootPEM() }

// Environ writes the CA into a directory, in the forms that different languages read,
// and returns base with the variables by which programs trust it and find the proxy.
func (e *Emulator) Environ(base []string, dir string) ([]string, error) {
	bundle, err := e.server.Authority().WriteBundle(dir, ca.BundleOptions{})
	if err != nil {
		return nil, err
	}
	return append(bundle.Environ(base), gateway.Environ(e.ProxyURL())...), nil // of two settings the later one counts
}

// HTTPClient reaches the emulated hosts as an application does: through the proxy, over
// TLS, trusting the emulator's CA alone.
func (e *Emulator) HTTPClient() *http.Client { return e.server.HTTPClient() }

// Transport reaches the emulated hosts in this process, without TLS or a port.
func (e *Emulator) Transport() http.RoundTripper { return e.server.Transport() }

// Clock returns the clock that tokens, keys and quotas live on.
func (e *Emulator) Clock() *clock.Lab { return e.server.Clock() }

// Tenants returns the tenants with their identities, as they are now.
func (e *Emulator) Tenants() []directory.Tenant { return e.server.Directory().Snapshot() }

// PutPrincipal adds an application or managed identity to a tenant (id or domain), or
// replaces the one with the same client id. It takes effect at the next request.
func (e *Emulator) PutPrincipal(tenant string, p directory.Principal) error {
	return e.server.Directory().Put(tenant, p)
}

// Events returns what has happened, oldest first; of a long run the newest events.
func (e *Emulator) Events() []journal.Event { return e.server.Journal().Events() }

// AwaitEvent blocks until there is an event that match accepts, recorded earlier or later,
// and returns it. It fails if ctx ends first.
func (e *Emulator) AwaitEvent(ctx context.Context, match func(journal.Event) bool) (journal.Event, error) {
	return e.server.Journal().Await(ctx, match)
}

// Control returns a client of the control API: it mints service-account tokens, rotates
// keys, injects and clears faults, and does all else that the command does with a running
// server.
func (e *Emulator) Control() *control.Client { return e.server.ControlClient() }
