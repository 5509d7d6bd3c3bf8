package fault

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/wiemu/wiemu/emulator/journal"
)

// trail is the faults that have hit a call so far. It travels in the call's
// context, because the room that is hit is often not the one that writes the
// call down.
type trail struct {
	mu   sync.Mutex
	hits []Hit
}

type trailKey struct{}

// Collect begins a call: faults that hit it are remembered in the context that is
// returned, with those that hit the call around it. Nothing is remembered while
// no fault is injected.
func (s *Set) Collect(ctx context.Context) context.Context {
	if !s.Any() {
		return ctx
	}
	return context.WithValue(ctx, trailKey{}, &trail{hits: Hits(ctx)})
}

type spared struct{}

// Spare lets requests through a transport that no fault of Answers hits: those
// that the lab's own parts make among each other.
func Spare(next http.RoundTripper) http.RoundTripper { return spare{next} }

type spare struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (s spare) RoundTrip(r *http.Request) (*http.Response, error) {
	return s.next.RoundTrip(r.WithContext(context.WithValue(r.Context(), spared{}, true)))
}

// Add remembers hits of the call that the context belongs to.
func Add(ctx context.Context, hits ...Hit) {
	t, ok := ctx.Value(trailKey{}).(*trail)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range hits {
		if !slices.ContainsFunc(t.hits, func(other Hit) bool { return other.ID == h.ID }) {
			t.hits = append(t.hits, h)
		}
	}
}

// Hits are the faults that have hit the call that the context belongs to.
func Hits(ctx context.Context) []Hit {
	t, ok := ctx.Value(trailKey{}).(*trail)
	if !ok {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.hits)
}

// Note marks the event of a call with the faults that have hit it.
func Note(ctx context.Context, e *journal.Event) {
	for _, h := range Hits(ctx) {
		h.Note(e)
	}
}

// ByHits is an error that faults are to blame for.
type ByHits struct {
	Err  error
	Hits []Hit
}

func (e *ByHits) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *ByHits) Unwrap() error { return e.Err }

// Blame marks an error as the work of the hits; nil stays nil, and without hits
// the error stays as it is.
func Blame(err error, hits []Hit) error {
	if err == nil || len(hits) == 0 {
		return err
	}
	return &ByHits{err, hits}
}

// Blamed are the hits that an error is the work of.
func Blamed(err error) []Hit {
	if by := (*ByHits)(nil); errors.As(err, &by) {
		return by.Hits
	}
	return nil
}
