// Package projection lays service-account tokens out on disk the way a kubelet
// does and keeps them fresh. It does not decide what is in a token; see issuer.
//
// A [Volume] is the projected volume of one pod. Its token is looked at when the
// pod is synchronised, every 60 to 90 seconds of lab time, and renewed when a
// fifth of its lifetime is left or it is a day old. Readers of the file see one
// whole token or the next, never a part of one and never none.
package projection

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/issuer"
	"github.com/wiemu/wiemu/emulator/journal"
)

// Source gives a new token for the pod, as a TokenRequest to its cluster would.
type Source func(ctx context.Context) (issuer.Token, error)

// Options describe a volume. The zero value is that of azure-workload-identity
// before 1.6: one file, azure-identity-token, readable by all.
type Options struct {
	// File is the path of the token in the volume: a name, or one directory and
	// a name (token/azure-identity-token). "": azure-identity-token.
	File string

	Mode fs.FileMode // of the file; 0: 0644, a kubelet's default

	// MinLag and MaxLag bound the time between two synchronisations of the pod.
	// 0: 60 and 90 seconds. Kubernetes: syncFrequency 1 min, jitter factor 0.5,
	// pkg/kubelet/pod_workers.go.
	MinLag, MaxLag time.Duration

	Seed uint64 // of lag and jitter: the same seed gives the same times

	Journal  *journal.Journal
	Workload string // namespace/service account, for the journal and messages

	Faults *fault.Set // what goes wrong with the file; nil: nothing

	// OnError is told what went wrong after Start: the token could not be
	// renewed or not be written. The old one stays, and the next
	// synchronisation tries again. It must not call the volume. nil: the journal
	// alone is told.
	OnError func(error)
}

func (o Options) complete() Options {
	if o.File == "" {
		o.File = "azure-identity-token"
	}
	if o.Mode == 0 {
		o.Mode = 0o644
	}
	if o.MinLag <= 0 {
		o.MinLag = time.Minute
	}
	if o.MaxLag < o.MinLag {
		o.MaxLag = max(o.MinLag, 90*time.Second)
	}
	return o
}

// Volume is a directory whose token file is kept fresh until Close.
type Volume struct {
	clock  clock.Clock
	source Source
	opts   Options
	ctx    context.Context // of renewals; ended by Close
	cancel context.CancelFunc

	mu     sync.Mutex
	files  *writer
	random *rand.Rand
	token  issuer.Token
	laid   bool // the token is on disk
	timer  clock.Timer
	closed bool

	// What faults have done.
	unwatch func()
	shown   guise        // of the last layout
	seen    issuer.Token // that readers find, if they find one
	leftOut time.Time    // no renewal before
	early   early        // a renewal that a fault wants sooner than it is due
	gone    clock.Timer  // the file is away until then; nil: it is not
}

// Start makes the directory, lays out a first token in it and keeps it fresh on
// lab time. It fails, leaving nothing, when there is no first token or it cannot
// be written. ctx bounds the start alone.
func Start(ctx context.Context, dir string, clk clock.Clock, source Source, opts Options) (*Volume, error) {
	opts = opts.complete()
	if !filepath.IsLocal(opts.File) {
		return nil, fmt.Errorf("projection: token file %q: expected a path inside the volume", opts.File)
	}
	files, err := openWriter(dir, filepath.Clean(opts.File), opts.Mode)
	if err != nil {
		return nil, err
	}
	v := &Volume{
		clock: clk, source: source, opts: opts, files: files,
		random: rand.New(rand.NewPCG(opts.Seed, 0)), // jitter, not a secret
	}
	v.ctx, v.cancel = context.WithCancel(context.WithoutCancel(ctx))
	v.mu.Lock()
	defer v.mu.Unlock()
	v.unwatch = v.watch()
	if err := v.renew(ctx, "first token"); err != nil {
		v.cancel()
		v.unwatch()
		return nil, errors.Join(err, files.close())
	}
	v.schedule()
	return v, nil
}

// Path is the token file, as AZURE_FEDERATED_TOKEN_FILE names it.
func (v *Volume) Path() string { return filepath.Join(v.files.dir, v.files.file) }

// Refresh renews the token now, whatever its age: what the restart of a kubelet
// does, which forgets its tokens. When it fails the old token stays.
func (v *Volume) Refresh(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return errors.New("projection: refresh a volume that is closed")
	}
	defer v.schedule()
	return v.renew(ctx, "asked for")
}

// Close ends the renewals and removes what the volume laid out, with its
// directory unless that holds something else or was there before.
func (v *Volume) Close() error {
	v.cancel() // a renewal under way gives up
	v.unwatch()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil
	}
	v.closed = true
	v.timer.Stop()
	if v.gone != nil {
		v.gone.Stop()
	}
	return v.files.close()
}

// sync is one synchronisation of the pod.
func (v *Volume) sync() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return
	}
	defer v.schedule()
	now := v.clock.Now()
	reason, due := refreshDue(v.token, now, v.jitter())
	if !due && v.hasEarly(now) {
		reason, due = "earlier than it has to be, by fault "+v.early.hit.ID, true
	}
	switch {
	case due && v.leaveOut(reason, now):
	case due:
		if err := v.renew(v.ctx, reason); err != nil && v.opts.OnError != nil {
			v.opts.OnError(err)
		}
	case !v.laid:
		if err := v.lay("written late"); err != nil && v.opts.OnError != nil {
			v.opts.OnError(err)
		}
	}
}

// renew asks for a token and lays it out; v.mu is held. Without a new token the
// old one stays, and stays on disk even when it has expired.
// Kubernetes: Manager.GetServiceAccountToken, pkg/kubelet/token/token_manager.go.
func (v *Volume) renew(ctx context.Context, reason string) error {
	token, err := v.source(ctx)
	if err != nil {
		switch {
		case v.token.Raw == "":
			err = fmt.Errorf("projection: fetch the first token%s: %w", v.of(), err)
		case v.clock.Now().After(v.token.ExpiresAt):
			err = fmt.Errorf("projection: token%s expired at %s and refresh failed: %w", v.of(), v.token.ExpiresAt.Format(time.RFC3339), err)
		default:
			err = fmt.Errorf("projection: refresh the token%s, which is kept until %s: %w", v.of(), v.token.ExpiresAt.Format(time.RFC3339), err)
		}
		v.record(journal.Failed, reason, err)
		return err
	}
	first := v.token.Raw == ""
	v.token, v.laid, v.leftOut = token, false, time.Time{}
	v.early = v.askEarly()
	if !first {
		if err := v.gap(); err != nil {
			v.record(journal.Failed, reason, err)
			return err
		}
	}
	return v.lay(reason)
}

// lay writes the token, as faults have it; v.mu is held.
func (v *Volume) lay(reason string) error {
	hit, hits := v.opts.Faults.Hit(fault.AtTokenFile, v.subject())
	l := v.layout(hit)
	changed, err := v.put(l)
	if err != nil {
		v.record(journal.Failed, reason, err)
		return err
	}
	v.laid, v.shown = true, l.guise
	if l.guise != mounted || v.seen.Raw == "" {
		v.seen = v.token
	}
	switch {
	case !changed:
	case hits:
		v.tell(v.looks(hit, l), reason, hit)
	default:
		v.record(journal.OK, reason, nil)
	}
	return nil
}

// put brings a layout to disk. While the file is away because of a gap, it is
// written behind the readers' back.
func (v *Volume) put(l layout) (changed bool, err error) {
	write := func() (bool, error) { return v.files.write(l.data, l.mode, v.clock.Now(), v.random) }
	wear := func() (bool, error) { return v.files.wear(l.guise) }
	if v.gone != nil {
		l.guise = absent
	}
	steps := []func() (bool, error){wear, write}
	if l.guise == mounted && v.seen.Raw == "" { // there is nothing yet that could be mounted
		slices.Reverse(steps)
	}
	for _, step := range steps {
		did, err := step()
		if err != nil {
			return changed, err
		}
		changed = changed || did
	}
	return changed, nil
}

func (v *Volume) of() string {
	if v.opts.Workload == "" {
		return ""
	}
	return " of " + v.opts.Workload
}

// event is one about the token as it is. The token itself is not part of it.
func (v *Volume) event(reason string) journal.Event {
	t := v.token
	e := journal.Event{
		Kind: journal.Projection, Workload: v.opts.Workload,
		Issuer: t.Claims.Issuer, Subject: t.Claims.Subject, Audience: t.Claims.Audience, Kid: t.KeyID, JTI: t.ID,
		Detail: map[string]string{"file": v.Path(), "reason": reason},
	}
	if t.Raw != "" {
		e.IssuedAt, e.ExpiresAt = &t.IssuedAt, &t.ExpiresAt
	}
	return e
}

// record writes the event of a renewal.
func (v *Volume) record(outcome journal.Outcome, reason string, err error) {
	e := v.event(reason)
	e.Outcome, e.Summary = outcome, fmt.Sprintf("token file%s written: %s", v.of(), reason)
	if err != nil {
		e.Summary = fmt.Sprintf("token file%s not renewed", v.of())
		e.Message = err.Error()
	}
	v.opts.Journal.Record(e)
}
