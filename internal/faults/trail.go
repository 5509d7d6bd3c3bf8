package faults

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/journals"
)

// trail is the faults that have hit a call so far. It is in the call's context, because
// the package that is hit is often not the one that records the call in the journal.
type trail struct {
	mu   sync.Mutex
	hits []Hit
}

type trailKey struct{}

// WithTrail returns a context in which [AddHits] collects the faults that hit a call, next
// to those that hit the call around it. While no fault is injected, it returns ctx.
func (s *Set) WithTrail(ctx context.Context) context.Context {
	if !s.Any() {
		return ctx
	}
	return context.WithValue(ctx, trailKey{}, &trail{hits: Hits(ctx)})
}

type withoutKey struct{}

// WithoutFaults returns a transport for requests that no fault of [Set.Answers] hits: for
// requests between the components of a lab.
func WithoutFaults(next http.RoundTripper) http.RoundTripper { return withoutFaults{next} }

type withoutFaults struct{ next http.RoundTripper }

func (t withoutFaults) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.next.RoundTrip(r.WithContext(context.WithValue(r.Context(), withoutKey{}, true)))
}

// AddHits adds hits to the call that the context belongs to.
func AddHits(ctx context.Context, hits ...Hit) {
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

// Hits returns the faults that have hit the call that the context belongs to.
func Hits(ctx context.Context) []Hit {
	t, ok := ctx.Value(trailKey{}).(*trail)
	if !ok {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.hits)
}

// Note adds to the event of a call what its context knows of it: the program that made it,
// and the faults that have hit it.
func Note(ctx context.Context, e *journal.Event) {
	e.Program = journals.ProgramOf(ctx)
	for _, h := range Hits(ctx) {
		h.Note(e)
	}
}

// HitError is an error that faults have caused.
type HitError struct {
	Err  error
	Hits []Hit
}

func (e *HitError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *HitError) Unwrap() error { return e.Err }

// WithHits returns err as a [*HitError]. If err is nil or there are no hits, it returns
// err.
func WithHits(err error, hits []Hit) error {
	if err == nil || len(hits) == 0 {
		return err
	}
	return &HitError{err, hits}
}

// HitsOf returns the hits of an error that WithHits returned, or that wraps one.
func HitsOf(err error) []Hit {
	if by := (*HitError)(nil); errors.As(err, &by) {
		return by.Hits
	}
	return nil
}
