// Package projection lays service-account tokens out on disk the way a kubelet
// does and keeps them fresh. It does not decide what is in a token; see issuer.
//
// A [Volume] is the projected volume of one pod. Its token is looked at when the
// pod is synchronised, every 60 to 90 seconds of lab time, and renewed when a
// fifth of its lifetime is left or it is a day old. Readers of the file see one
// whole token or the next, never a part of one and never none.
package projection

import (
	"cmp"
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
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/journals"
)

// Source gives a new token for the pod, as a TokenRequest to its cluster would.
type Source func(ctx context.Context) (issuer.Token, error)

// Options describe a volume. The zero value is that of azure-workload-identity
// before 1.6: one file, azure-identity-token, readable by all.
type Options struct {
	// File is the path of the token in the volume: a name, or one directory and
	// a name (token/azure-identity-token). Defaults to azure-identity-token.
	File string

	Mode fs.FileMode // of the file. Defaults to 0644, as in a kubelet

	// MinLag and MaxLag bound the time between two synchronisations of the pod. Default to 60 and
	// 90 seconds. Kubernetes: syncFrequency 1 min, jitter factor 0.5, pkg/kubelet/pod_workers.go.
	MinLag, MaxLag time.Duration

	Seed uint64 // of lag and jitter: the same seed gives the same times

	Journal  *journals.Journal
	Workload string // namespace/service account, for the journal and messages

	Faults *faults.Set // of the file. If nil, there are none

	// OnError is called after Start when the token could not be renewed or written.
	// The old one stays, and the next synchronisation tries again. It must not call
	// the volume. If nil, only the journal records the error.
	OnError func(error)
}

func (o Options) complete() Options {
	o.File = cmp.Or(o.File, azwi.TokenFile)
	o.Mode = cmp.Or(o.Mode, 0o644)
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
	shown   view         // of the last layout
	seen    issuer.Token // the one that readers find
	leftOut time.Time    // no renewal before then
	early   early        // a renewal that a fault wants sooner than it is due
	gone    clock.Timer  // restores the file at the end of a gap; nil if there is none
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

// Path returns the path of the token file, the value of AZURE_FEDERATED_TOKEN_FILE.
func (v *Volume) Path() string { return filepath.Join(v.files.dir, v.files.file) }

// Refresh renews the token now, whatever its age, as a kubelet does that has restarted
// and lost its tokens. If it fails, the old token stays.
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

// sync does what the kubelet does each time it synchronises the pod.
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

// lay writes the token in the layout that faults ask for; v.mu is held.
func (v *Volume) lay(reason string) error {
	hit, hits := v.opts.Faults.Hit(faultkind.AtTokenFile, v.subject())
	l := v.layout(hit)
	changed, err := v.put(l)
	if err != nil {
		v.record(journal.Failed, reason, err)
		return err
	}
	v.laid, v.shown = true, l.view
	if l.view != mounted || v.seen.Raw == "" {
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

// put writes a layout to disk. During a gap it is written where readers do not see it.
func (v *Volume) put(l layout) (changed bool, err error) {
	write := func() (bool, error) { return v.files.write(l.data, l.mode, v.clock.Now(), v.random) }
	view := func() (bool, error) { return v.files.setView(l.view) }
	if v.gone != nil {
		l.view = absent
	}
	steps := []func() (bool, error){view, write}
	if l.view == mounted && v.seen.Raw == "" { // there is nothing yet that could be mounted
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

func (v *Volume) record(outcome journal.Outcome, reason string, err error) {
	e := v.event(reason)
	e.Outcome, e.Summary = outcome, fmt.Sprintf("token file%s written: %s", v.of(), reason)
	if err != nil {
		e.Summary = fmt.Sprintf("token file%s not renewed", v.of())
		e.Message = err.Error()
	}
	v.opts.Journal.Record(e)
}
