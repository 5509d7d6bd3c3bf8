// Package metadata answers which keys an issuer signs with: it reads discovery
// documents and key sets the way a relying party does and remembers them for a
// while of lab time. It decides neither which issuers are trusted nor whether a
// token is good; see entra and resource.
//
// What is remembered is keys, never a verdict: a token is verified every time it
// is presented. How long Entra ID remembers an issuer's keys is not documented
// (measured by others: from "at once" to ten minutes and more), so the lifetime
// is an option; a stale cache is a fault that people want to see.
package metadata

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/journals"
)

// The defaults of Options.
const (
	DefaultCacheLifetime = time.Hour        // of lab time; a kube-apiserver marks its documents max-age=3600
	DefaultRefetchAfter  = time.Minute      // of lab time
	DefaultMaxBytes      = 1 << 20          // of one document
	DefaultTimeout       = 10 * time.Second // of machine time, for one document
)

// Options says how issuers are reached and how long their documents are cached. With
// the zero value no issuer can be reached.
type Options struct {
	// Transport carries the requests; redirects are not followed.
	Transport http.RoundTripper
	// For returns what is different for an issuer. If nil, nothing is.
	For func(issuer string) Access

	CacheLifetime time.Duration // lab time that fetched keys are used; 0: DefaultCacheLifetime
	RefetchAfter  time.Duration // lab time between two fetches because of an unknown kid; 0: DefaultRefetchAfter; less: none
	MaxBytes      int64         // size of one document; 0: DefaultMaxBytes
	Timeout       time.Duration // machine time for one document; 0: DefaultTimeout

	Journal *journals.Journal
	Faults  *faults.Set // nil: nothing goes wrong on purpose
}

// Access is how one issuer is reached, where that differs from Options.
type Access struct {
	Transport     http.RoundTripper // nil: that of Options
	CacheLifetime time.Duration     // 0: that of Options
	RefetchAfter  time.Duration     // 0: that of Options
}

func (s *Source) access(at place) Access {
	var a Access
	if s.opts.For != nil && at.issuer != "" {
		a = s.opts.For(at.issuer)
	}
	if a.Transport == nil {
		a.Transport = s.opts.Transport
	}
	a.CacheLifetime = cmp.Or(a.CacheLifetime, s.opts.CacheLifetime)
	a.RefetchAfter = cmp.Or(a.RefetchAfter, s.opts.RefetchAfter)
	return a
}

// Why there is no key. Both come wrapped in what was tried and what was found.
var (
	// ErrUnreachable: the metadata could not be fetched or is not valid.
	ErrUnreachable = errors.New("the issuer's metadata cannot be used")
	// ErrNoSuchKey: the metadata is good and has no key with that id.
	ErrNoSuchKey = errors.New("the issuer publishes no key with that id")
)

// Source reads and remembers key sets. It is safe for concurrent use; however
// many ask at once, one of them fetches.
type Source struct {
	clock clock.Clock
	opts  Options

	flights singleflight.Group
	mu      sync.RWMutex
	sets    map[string]entry // by place
}

type entry struct {
	keys  KeySet
	tried time.Time // when the last fetch ended, good or not
}

// New makes a source that remembers nothing yet.
func New(clk clock.Clock, opts Options) *Source {
	opts.CacheLifetime = cmp.Or(opts.CacheLifetime, DefaultCacheLifetime)
	opts.RefetchAfter = cmp.Or(opts.RefetchAfter, DefaultRefetchAfter)
	opts.MaxBytes = cmp.Or(opts.MaxBytes, DefaultMaxBytes)
	opts.Timeout = cmp.Or(opts.Timeout, DefaultTimeout)
	return &Source{clock: clk, opts: opts, sets: map[string]entry{}}
}

// Keys returns the key set of an issuer, from its discovery document and the
// JWKS that this names. The issuer is compared character by character with the
// one in the document. Errors wrap ErrUnreachable.
func (s *Source) Keys(ctx context.Context, issuer string) (KeySet, error) {
	keys, _, err := s.current(ctx, place{issuer: issuer})
	return keys, err
}

// Key returns an issuer's key. A kid that the remembered set lacks has it
// fetched again, at most once per RefetchAfter. Errors wrap ErrUnreachable or
// ErrNoSuchKey.
func (s *Source) Key(ctx context.Context, issuer, kid string) (jose.JSONWebKey, error) {
	return s.key(ctx, place{issuer: issuer}, kid)
}

// KeyAt is Key for a caller that knows the address of the JWKS and needs no discovery.
func (s *Source) KeyAt(ctx context.Context, jwksURL, kid string) (jose.JSONWebKey, error) {
	return s.key(ctx, place{jwks: jwksURL}, kid)
}

func (s *Source) key(ctx context.Context, at place, kid string) (jose.JSONWebKey, error) {
	keys, fresh, err := s.current(ctx, at)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	if key, ok := keys.Key(kid); ok {
		return key, nil
	}
	unknown := keys.without(at, kid)
	if fresh {
		return jose.JSONWebKey{}, faults.WithHits(unknown, keys.hits)
	}
	if s.staysWith(ctx, at, keys) {
		return jose.JSONWebKey{}, unknown
	}
	newer, err := s.fetch(ctx, at, unknownKey)
	if err != nil { // the remembered set is still good, so the key is what is missing
		return jose.JSONWebKey{}, fmt.Errorf("%w; asked again: %s", unknown, err.Error())
	}
	if key, ok := newer.Key(kid); ok {
		return key, nil
	}
	return jose.JSONWebKey{}, faults.WithHits(newer.without(at, kid), newer.hits)
}

// current returns the remembered set while it is good and a fetched one
// otherwise. fresh says that asking again would tell nothing new.
func (s *Source) current(ctx context.Context, at place) (keys KeySet, fresh bool, err error) {
	keys, fresh = s.good(at)
	if !keys.FetchedAt.IsZero() {
		return keys, fresh, nil
	}
	if s.opts.Faults.Any() {
		s.mu.RLock()
		old := s.sets[at.String()].keys
		s.mu.RUnlock()
		if s.staysWith(ctx, at, old) {
			return old, false, nil
		}
	}
	keys, err = s.fetch(ctx, at, needed)
	return keys, true, err
}

// staysWith reports whether a fault makes the remembered set do, where another
// would be fetched. One request is hit once.
func (s *Source) staysWith(ctx context.Context, at place, keys KeySet) bool {
	if keys.FetchedAt.IsZero() || !s.opts.Faults.Any() {
		return false
	}
	if slices.ContainsFunc(faults.Hits(ctx), func(h faults.Hit) bool { return h.Name() == faultkind.StaleJWKS }) {
		return true
	}
	age := s.clock.Now().Sub(keys.FetchedAt)
	_, hit := s.opts.Faults.HitCall(ctx, faultkind.StaleJWKS, faults.Subject{Component: faults.Entra, Issuer: at.issuer}, func(h faults.Hit) bool { return age < h.Duration("lifetime") })
	return hit
}

// good returns the remembered set if its lifetime is not over. fresh says that
// it is too early to fetch again because of an unknown kid.
func (s *Source) good(at place) (keys KeySet, fresh bool) {
	s.mu.RLock()
	known := s.sets[at.String()]
	s.mu.RUnlock()
	now, how := s.clock.Now(), s.access(at)
	if known.keys.FetchedAt.IsZero() || now.Sub(known.keys.FetchedAt) >= how.CacheLifetime {
		return KeySet{}, false
	}
	return known.keys, now.Sub(known.tried) < how.RefetchAfter
}

type reason string

const (
	needed     reason = "none remembered, or too old"
	unknownKey reason = "unknown kid"
)

// fetch reads the place anew, once for all concurrent callers. It does not end
// with the first caller's context, since the others still wait (the documents'
// time-outs end it), and does not carry that context's values.
func (s *Source) fetch(ctx context.Context, at place, why reason) (KeySet, error) {
	done := s.flights.DoChan(at.String(), func() (any, error) {
		if known, fresh := s.good(at); fresh {
			return known, nil // another caller fetched it since we looked
		}
		ctx := s.opts.Faults.WithTrail(context.Background())
		keys, err := s.read(ctx, at)
		keys.hits = faults.Hits(ctx)
		s.remember(at, keys, err)
		s.tell(ctx, at, why, keys, err)
		return keys, faults.WithHits(err, keys.hits)
	})
	select {
	case <-ctx.Done():
		return KeySet{}, fmt.Errorf("%s: %w: %w", at, ErrUnreachable, ctx.Err())
	case result := <-done:
		if result.Err != nil {
			return KeySet{}, fmt.Errorf("%s: %w: %w", at, ErrUnreachable, result.Err)
		}
		return result.Val.(KeySet), nil
	}
}

// remember keeps a good set, and of a failure only that it was tried.
func (s *Source) remember(at place, keys KeySet, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.sets[at.String()]
	e.tried = s.clock.Now()
	if err == nil {
		e.keys = keys
	}
	s.sets[at.String()] = e
}

func (s *Source) tell(ctx context.Context, at place, why reason, keys KeySet, err error) {
	e := journal.Event{
		Kind: journal.Discovery, Outcome: journal.OK, Issuer: at.issuer, Method: http.MethodGet,
		Summary: fmt.Sprintf("read the keys of %s (%s): %s", at, why, keys.list()),
		Detail:  map[string]string{"reason": string(why)},
	}
	if u, bad := url.Parse(at.first()); bad == nil {
		e.Host, e.Path = u.Host, u.Path
	}
	if err != nil {
		e.Outcome, e.Message = journal.Failed, err.Error()
		e.Summary = fmt.Sprintf("could not read the keys of %s (%s): %v", at, why, err)
	} else {
		e.Detail["jwks"], e.Detail["kids"] = keys.URL, strings.Join(keys.IDs(), " ")
	}
	faults.Note(ctx, &e)
	e.Program = nil // the lab itself has asked
	s.opts.Journal.Record(e)
}
