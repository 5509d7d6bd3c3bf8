package harness

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/userstate"
	"github.com/wiemu/wiemu/internal/workload"
)

// TB is the part of [testing.TB] that a lab needs. Tests of other frameworks have it,
// too, and programs that link this package do not link package testing.
type TB interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Cleanup(func())
	TempDir() string
	Setenv(name, value string)
	Context() context.Context
}

// Option configures a lab; see the With functions.
type Option func(TB, *options)

type options session.Options

// WithListeners lets the lab listen on ports of loopback, for programs that the test
// starts with [Pod.Environ], and for managed identities of machines and identity
// bindings. By default the lab is in memory.
func WithListeners() Option {
	return func(_ TB, o *options) { o.Emulator.InMemory = false }
}

// WithStart stops lab time at start; [Clock.Advance] moves it. By default lab time is the
// machine's, or in a [testing/synctest] bubble the bubble's.
func WithStart(start time.Time) Option {
	return func(_ TB, o *options) { o.Emulator.Clock = clock.Stopped(start) }
}

// WithConfig sets what a wiemu.yaml would: tenants, issuers, applications, vaults.
func WithConfig(c config.Config) Option {
	return func(_ TB, o *options) { o.Emulator.Config = c }
}

// WithFiles reads a wiemu.yaml, and any number of radixconfig.yaml and Kubernetes
// manifests. Without names it reads wiemu.yaml and radixconfig.yaml of the test's
// directory, where they exist. Warnings about them are logged.
func WithFiles(names ...string) Option {
	return func(t TB, o *options) {
		t.Helper()
		files, err := session.ReadFiles(".", names)
		for _, w := range files.Warnings {
			t.Logf("%v", w.Error())
		}
		must(t, err)
		o.Emulator.Config, o.Emulator.ConfigFile, o.Workloads = files.Configuration(), files.ConfigFile, files.Workloads()
	}
}

// Lab is the lab of a test. Call its methods, and those of what they return, from the
// test's own goroutine, since they may fail the test; what they return is safe for others.
type Lab struct {
	Cloud string // AzureCloud, AzureUSGovernment or AzureChinaCloud, as in a wiemu.yaml

	t        TB
	session  *session.Session
	declared []workload.Spec
}

// New starts a lab for a test, in memory and with the defaults of wiemu.yaml, and
// closes it when the test ends. If the test has failed, the last refusal is
// explained, and a report of all that happened is written, whose path is logged.
//
// Every test has a lab of its own, so tests may be parallel. A lab takes some
// milliseconds to start, since its signing keys come from the user's key cache, which
// the first lab fills. A test that rotates more often than the cache has keys gets
// private keys again, under new ids. All labs of a user share them: never accept the tokens
// of a lab outside of tests.
func New(t TB, with ...Option) *Lab {
	t.Helper()
	opts := options{Emulator: server.Options{InMemory: true, Options: lab.Options{Seed: 1}}}
	for _, option := range with {
		option(t, &opts)
	}
	if opts.Emulator.Keys == nil {
		keys, err := cachedKeys(t)
		must(t, err)
		opts.Emulator.Keys = keys
	}
	s, err := session.Start(t.Context(), session.Options(opts))
	if err != nil {
		t.Fatalf("start a lab: %v", err)
	}
	l := &Lab{Cloud: s.Emulator().Cloud().Name, t: t, session: s, declared: opts.Workloads}
	if completed, err := opts.Emulator.Config.Complete(opts.Emulator.ConfigFile); err == nil { // Start has refused it otherwise
		l.declared = nil
		for _, w := range completed.Workloads {
			l.declared = append(l.declared, workload.Declared(w))
		}
		l.declared = append(l.declared, opts.Workloads...)
	}
	t.Cleanup(l.end)
	return l
}

// cachedKeys returns the first two keys of the user's key cache: Entra ID's and the issuer's. No
// goroutine outlives this function, so it can be called in a synctest bubble.
func cachedKeys(t TB) (*keyring.Pool, error) {
	t.Helper()
	pool, err := keyring.OpenPool(userstate.KeyDir(), keyring.PoolOptions{Ahead: 1})
	if err != nil {
		t.Logf("%v; this lab makes keys of its own, which takes long: give the tests a cache directory that can be written, by XDG_CACHE_HOME or HOME", err)
		if pool, err = keyring.OpenPool("", keyring.PoolOptions{Ahead: 1}); err != nil {
			return nil, err
		}
	}
	keys, err := pool.Recycled(t.Context(), 2)
	return keys, errors.Join(err, pool.Close())
}

func (l *Lab) end() {
	l.t.Helper()
	if l.t.Failed() {
		l.explain()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // wall time: for answers under way
	defer cancel()
	if err := l.session.Close(ctx); err != nil {
		l.t.Errorf("close the lab: %v", err)
	}
}

// In returns the same lab for a subtest, which then fails instead of the test that made the lab.
func (l *Lab) In(t TB) *Lab {
	return &Lab{Cloud: l.Cloud, t: t, session: l.session, declared: l.declared}
}

// Control returns a client of the lab's control API, for what this package has no method for.
func (l *Lab) Control() *control.Client { return l.session.Emulator().ControlClient() }

// HTTPClient returns the client by which code under test reaches the emulated hosts in
// memory. Azure SDKs take it as their Transport; see package azure below this one.
func (l *Lab) HTTPClient() *http.Client { return l.session.Client() }

// Dial connects code under test to a database or a cache in memory, by its public host name and
// port: the DialContext of a driver's dialer (go-mssqldb), DialFunc (pgx), Dialer (go-redis). The
// driver does TLS, for which it has to trust [Lab.RootCAs].
func (l *Lab) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return l.session.Emulator().Dial(ctx, network, address)
}

// RootCAs is the lab's CA, which signs the certificates of databases and caches.
func (l *Lab) RootCAs() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(l.session.Emulator().Authority().RootPEM())
	return roots
}

// create makes a resource in the first tenant.
func (l *Lab) create(put func(tenant string) error) {
	l.t.Helper()
	tenant, err := l.session.Emulator().Tenant("")
	if err == nil {
		err = put(tenant)
	}
	must(l.t, err)
}

// Clock returns the lab's clock.
func (l *Lab) Clock() *Clock { return &Clock{l.t, l.session.Emulator().Time()} }

// Clock is the clock of a lab's tokens, keys and caches. It does not move the clock of
// the code under test; in a [testing/synctest] bubble time.Sleep moves both.
type Clock struct {
	t    TB
	time *lab.Timekeeper
}

// Now returns lab time.
func (c *Clock) Now() time.Time { return c.time.Clock().Now() }

// Advance moves lab time forward. Everything that falls due on the way happens in its
// order: token files rotate, keys change, requests in flight are answered.
func (c *Clock) Advance(by time.Duration) {
	c.t.Helper()
	must(c.t, c.time.Advance(c.t.Context(), by))
}

// Skew sets the clock of one component of the lab ahead of lab time, or behind it if by
// is negative. A component is entra, resources, or the name of an issuer.
func (c *Clock) Skew(component string, by time.Duration) {
	c.t.Helper()
	must(c.t, c.time.Skew(component, by))
}

// must ends the test that asked for what could not be done.
func must(t TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}
