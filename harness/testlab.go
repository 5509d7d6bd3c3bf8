package harness

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/harness/state"
)

// TB is what a lab wants of a test: every [testing.TB] has it, and so have the
// tests of other frameworks. Programs that link this package do not link package
// testing.
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

// Option changes what the lab of a test is made of: one of those below, or a
// function of your own.
type Option = func(*Options)

// Listening lets a lab listen on ports of loopback, for programs that a test
// starts with [Pod.Environ]. Without it the lab is in memory: code of the test's own
// process reaches it by [TestLab.HTTPClient].
func Listening(o *Options) { o.Emulator.InMemory = false }

// At starts the lab at a time, which stands still until [Clock.Advance] moves it.
// Without it the lab clock is the machine's, or in a [testing/synctest] bubble the
// bubble's.
func At(start time.Time) Option {
	return func(o *Options) { o.Emulator.Clock = clock.Stopped(start) }
}

// Configured is a lab with the tenants, issuers, applications and vaults of a
// wiemu.yaml that is written in Go.
func Configured(c config.Config) Option {
	return func(o *Options) { o.Emulator.Config = c }
}

// FromFiles is a lab with everything that a wiemu.yaml and any number of
// radixconfig.yaml and Kubernetes manifests describe; without names it takes the first
// two of the test's directory, where they exist. What is odd in them is logged.
func FromFiles(t TB, names ...string) Option {
	t.Helper()
	files, err := ReadFiles(".", names)
	for _, w := range files.Warnings {
		t.Logf("%v", w.Error())
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	return func(o *Options) {
		o.Emulator.Config, o.Emulator.ConfigFile, o.Workloads = files.Configuration(), files.ConfigFile, files.Workloads()
	}
}

// TestLab is the lab of a test. Whatever cannot be done fails the test, so its
// methods, and those of what they return, are for the test's own goroutine; what
// they return is safe for others.
type TestLab struct {
	t        TB
	lab      *Lab
	declared []Declared
}

// New starts a lab for a test, in memory and with the defaults of wiemu.yaml, and
// closes it when the test ends. If the test has failed, the last refusal is
// explained and a report of all that happened is kept; where it is is logged.
//
// Every test has a lab of its own, so tests may be parallel. It costs some
// milliseconds, since the keys that it signs with are those of the user's key cache,
// which the first lab of all makes. They come round, with other ids, when a test
// rotates more often than there are keys: a lab is a place to test in, and nothing
// to trust.
func New(t TB, options ...Option) *TestLab {
	t.Helper()
	opts := Options{Emulator: emulator.Options{InMemory: true, Seed: 1}}
	for _, change := range options {
		change(&opts)
	}
	if opts.Emulator.Keys == nil {
		keys, err := cachedKeys(t)
		if err != nil {
			t.Fatalf("%v", err)
		}
		opts.Emulator.Keys = keys
	}
	lab, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatalf("start a lab: %v", err)
	}
	l := &TestLab{t: t, lab: lab, declared: opts.Workloads}
	if completed, err := opts.Emulator.Config.Complete(opts.Emulator.ConfigFile); err == nil { // Start has refused it otherwise
		l.declared = append(declaredIn(completed.Workloads), l.declared...)
	}
	t.Cleanup(l.end)
	return l
}

// cachedKeys are the first two keys of the user's key cache: Entra ID's and the
// issuer's. They start no goroutine that outlives this function, so a bubble is
// none the wiser.
func cachedKeys(t TB) (*keyring.Pool, error) {
	t.Helper()
	pool, err := keyring.OpenPool(state.KeyDir(), keyring.PoolOptions{Ahead: 1})
	if err != nil {
		t.Logf("%v; this lab makes keys of its own, which takes long: give the tests a cache directory that can be written, by XDG_CACHE_HOME or HOME", err)
		if pool, err = keyring.OpenPool("", keyring.PoolOptions{Ahead: 1}); err != nil {
			return nil, err
		}
	}
	keys, err := pool.Bounded(t.Context(), 2)
	return keys, errors.Join(err, pool.Close())
}

// end closes the lab; if the test has failed, it says what happened.
func (l *TestLab) end() {
	l.t.Helper()
	if l.t.Failed() {
		l.explain()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // wall time: for answers under way
	defer cancel()
	if err := l.lab.Close(ctx); err != nil {
		l.t.Errorf("close the lab: %v", err)
	}
}

// In is the same lab for another test: a subtest, which then fails instead of the
// test that made the lab.
func (l *TestLab) In(t TB) *TestLab {
	return &TestLab{t: t, lab: l.lab, declared: l.declared}
}

// Lab is the lab itself, for what there is no method for here.
func (l *TestLab) Lab() *Lab { return l.lab }

// HTTPClient reaches the emulated hosts in memory: what a test gives to the code
// that it tests. Azure SDKs take it as their Transport; see package azure below
// this one.
func (l *TestLab) HTTPClient() *http.Client { return l.lab.Client() }

// Clock is the lab's time.
func (l *TestLab) Clock() *Clock { return &Clock{l.t, l.lab.emulator.Time()} }

// Clock is the time of a test's lab: that of tokens, keys and caches. Nothing here
// moves the clock of the code that is tested. In a [testing/synctest] bubble
// time.Sleep moves both.
type Clock struct {
	t    TB
	time *control.Timekeeper
}

// Now is the time in the lab.
func (c *Clock) Now() time.Time { return c.time.Clock().Now() }

// Advance moves lab time forward. It stops on the way at everything that falls due:
// token files rotate, keys change, and requests in flight are answered.
func (c *Clock) Advance(by time.Duration) {
	c.t.Helper()
	if err := c.time.Advance(c.t.Context(), by); err != nil {
		c.t.Fatalf("%v", err)
	}
}

// Set moves lab time forward to a time, as Advance does.
func (c *Clock) Set(to time.Time) {
	c.t.Helper()
	if err := c.time.Set(c.t.Context(), to); err != nil {
		c.t.Fatalf("%v", err)
	}
}

// Freeze lets lab time stand still but for Advance and Set.
func (c *Clock) Freeze() { _ = c.time.Freeze() } // refused in clusters alone

// Skew lets the clock of one part of the lab go ahead of lab time, or behind it if
// by is negative: entra, resources, or an issuer by name. 0 puts it right.
func (c *Clock) Skew(part string, by time.Duration) {
	c.t.Helper()
	if err := c.time.Skew(part, by); err != nil {
		c.t.Fatalf("%v", err)
	}
}
