// Package faults injects faults into a lab and decides which calls they hit. A component
// asks at its point whether a call is hit, and does what the fault demands; faults of the
// wire alone (late, cut and broken answers, fetched documents) are applied here. The kinds
// of fault are described in emulator/fault.
package faults

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/journals"
)

// Set is the faults of one lab. It is safe for concurrent use. A nil *Set has no faults.
type Set struct {
	clock   clock.Clock
	journal *journals.Journal
	seed    uint64

	some       atomic.Bool // whether any fault is injected; Hit costs nothing if none is
	mu         sync.Mutex
	last       int // ordinal of the newest fault
	active     []*injected
	issuers    map[string]string // URLs by name
	names      Names             // what else they may name
	disallowed map[string]string // why there are no faults of a point
	subjects   map[string]string // workloads by the subject of their tokens; see NameSubject

	watchers []*watcher
}

type injected struct {
	fault.Active
	kind  fault.Kind
	edges []clock.Timer
}

// New returns a set without faults. Seed is for faults with a probability that have no
// seed of their own; if 0, one is picked, which [Set.Seed] returns.
func New(clk clock.Clock, j *journals.Journal, seed uint64) *Set {
	if seed == 0 {
		seed = uint64(rand.Uint32()) + 1 // short enough to be typed again
	}
	return &Set{clock: clk, journal: j, seed: seed, subjects: map[string]string{}}
}

// Seed returns the seed of faults with a probability that have none of their own.
func (s *Set) Seed() uint64 { return s.seed }

// SetIssuers sets the issuers that selectors may name.
func (s *Set) SetIssuers(urlsByName map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issuers = maps.Clone(urlsByName)
}

// Disallow makes Inject refuse faults that hit at some points; the reason is in its error.
func (s *Set) Disallow(reasonsByPoint map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disallowed = maps.Clone(reasonsByPoint)
}

// allows reports whether Disallow has said nothing against a fault.
func (s *Set) allows(f fault.Fault) bool {
	kind, err := fault.Named(f.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	return err != nil || s.disallowed[kind.Point] == ""
}

// Inject adds a fault and returns its id. Its error joins a [*fault.Mistake] for
// everything that is wrong with the fault.
func (s *Set) Inject(f fault.Fault) (id string, err error) { return s.inject(f, false) }

func (s *Set) inject(f fault.Fault, chaos bool) (id string, err error) {
	f, kind, err := s.checked(f)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.last++
	a := &injected{Active: fault.Active{ID: "f" + strconv.Itoa(s.last), Fault: f, Since: s.clock.Now(), Chaos: chaos}, kind: kind}
	s.active = append(s.active, a)
	s.some.Store(true)
	s.schedule(a)
	e := a.event("injected")
	s.mu.Unlock()
	s.journal.Record(e)
	s.changed(a)
	return a.ID, nil
}

// checked returns a fault as the set holds it, with its seed.
func (s *Set) checked(f fault.Fault) (fault.Fault, fault.Kind, error) {
	var errs []error
	s.mu.Lock()
	issuers, known := s.issuers, s.names
	s.mu.Unlock()
	var names []string // if nil, any name will do
	if issuers != nil {
		names = slices.Sorted(maps.Keys(issuers))
	}
	for _, m := range f.Check(names) {
		errs = append(errs, m)
	}
	if len(errs) == 0 {
		for _, m := range known.mistakes(f.For) {
			errs = append(errs, m)
		}
	}
	if len(errs) > 0 {
		return f, fault.Kind{}, fmt.Errorf("fault %s: %w", cmp.Or(f.Name, "without a name"), errors.Join(errs...))
	}
	if f.When.Probability > 0 && f.When.Seed == 0 {
		f.When.Seed = s.seed
	}
	f.Parameters = maps.Clone(f.Parameters)
	kind, err := fault.Named(f.Name)
	if err != nil {
		return f, kind, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if reason := s.disallowed[kind.Point]; reason != "" {
		return f, kind, fmt.Errorf("fault %s: it cannot be made here: %s", f.Name, reason)
	}
	return f, kind, nil
}

// Restore adds faults that Active returned, of this set or of another one, with their ids
// and counts. If it returns an error, none was added.
func (s *Set) Restore(faults []fault.Active) error {
	var all []*injected
	last := 0
	for _, a := range faults {
		f, kind, err := s.checked(a.Fault)
		if err != nil {
			return fmt.Errorf("%s: %w", a.ID, err)
		}
		n, err := strconv.Atoi(strings.TrimPrefix(a.ID, "f"))
		if err != nil || n < 1 {
			return fmt.Errorf("fault %q: expected an id such as f1", a.ID)
		}
		last = max(last, n)
		a.Fault = f
		all = append(all, &injected{Active: a, kind: kind})
	}
	if err := s.restore(all, last); err != nil {
		return err
	}
	for _, a := range all {
		s.changed(a)
	}
	return nil
}

func (s *Set) restore(all []*injected, last int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range all {
		if slices.ContainsFunc(s.active, func(other *injected) bool { return other.ID == a.ID }) {
			return fmt.Errorf("fault %s is there already", a.ID)
		}
	}
	for _, a := range all {
		s.schedule(a)
	}
	s.active = append(s.active, all...)
	s.last = max(s.last, last)
	s.some.Store(len(s.active) > 0)
	return nil
}

// Clear removes a fault by the id that Inject returned.
func (s *Set) Clear(id string) error {
	s.mu.Lock()
	i := slices.IndexFunc(s.active, func(a *injected) bool { return a.ID == id })
	if i < 0 {
		var known []string
		for _, a := range s.active {
			known = append(known, a.ID)
		}
		s.mu.Unlock()
		return fmt.Errorf("fault %q: expected the id of one that is injected: %s", id, cmp.Or(strings.Join(known, ", "), "there is none"))
	}
	a := s.active[i]
	e := a.event("cleared")
	for _, t := range a.edges {
		t.Stop()
	}
	s.active = slices.Delete(s.active, i, i+1)
	s.some.Store(len(s.active) > 0)
	s.mu.Unlock()
	s.journal.Record(e)
	s.changed(a)
	return nil
}

// ClearAll removes all faults.
func (s *Set) ClearAll() {
	for _, a := range s.Active() {
		_ = s.Clear(a.ID) // an error means that it was cleared concurrently
	}
}

// Active returns the injected faults in the order of their injection, spent ones included.
func (s *Set) Active() []fault.Active {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]fault.Active, len(s.active))
	for i, a := range s.active {
		all[i] = a.Active
		all[i].Parameters = maps.Clone(a.Parameters)
		all[i].Spent = a.spent()
	}
	return all
}

// Hit returns the fault that hits a call at a point, if one does. Every fault of the
// point with a matching selector counts the call; of those that would hit, the one that was
// injected first does. Hit records the hit in the journal; [Hit.Note] marks the event of
// the call itself.
func (s *Set) Hit(point string, about Subject) (Hit, bool) {
	return s.hit(about, func(a *injected) bool { return a.kind.Point == point })
}

// HitBy is Hit for faults of one kind. If applies is not nil, a fault counts only the
// calls for which applies returns true: those to which the fault makes a difference. The
// hit that applies is called with has the fault's parameters. It must not call the set.
func (s *Set) HitBy(name string, about Subject, applies func(Hit) bool) (Hit, bool) {
	return s.hit(about, func(a *injected) bool {
		return a.Name == name && (applies == nil || applies(Hit{ID: a.ID, Kind: a.kind, parameters: a.Parameters}))
	})
}

// HitCall is HitBy for the call that a context belongs to, to which it adds the hit: see
// [AddHits].
func (s *Set) HitCall(ctx context.Context, name string, about Subject, applies func(Hit) bool) (Hit, bool) {
	h, hit := s.HitBy(name, about, applies)
	if hit {
		AddHits(ctx, h)
	}
	return h, hit
}

// Any reports whether any fault is injected.
func (s *Set) Any() bool { return s != nil && s.some.Load() }

func (s *Set) hit(about Subject, concerns func(*injected) bool) (Hit, bool) {
	if !s.Any() {
		return Hit{}, false
	}
	now := s.clock.Now()
	s.mu.Lock()
	var chosen *injected
	for _, a := range s.active {
		if !matches(a.For, about, s.issuers, s.names) || !concerns(a) {
			continue
		}
		a.Calls++
		if chosen == nil && a.hits(now) {
			a.Hits++
			chosen = a
		}
	}
	if chosen == nil {
		s.mu.Unlock()
		return Hit{}, false
	}
	h := Hit{ID: chosen.ID, Kind: chosen.kind, parameters: chosen.Parameters}
	e := chosen.hitEvent(about, s.names)
	s.mu.Unlock()
	s.journal.Record(e)
	return h, true
}

func (a *injected) hits(now time.Time) bool {
	l, n := a.When, a.Calls-max(a.When.Nth, 1) // calls since the first that may be hit
	age := now.Sub(a.Since)
	switch {
	case a.spent(), n < 0, n%max(l.Every, 1) != 0:
		return false
	case age < time.Duration(l.After), l.Until > 0 && age >= time.Duration(l.Until):
		return false
	}
	return l.Probability == 0 || a.roll() < l.Probability
}

func (a *injected) spent() bool { return a.When.Count > 0 && a.Hits >= a.When.Count }

// roll returns a number from 0 to below 1 that depends on the seed, the fault and the
// ordinal of the call alone, so that concurrent calls do not change each other's.
func (a *injected) roll() float64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %d", a.When.Seed, a.ID, a.Calls))
	return float64(binary.BigEndian.Uint64(sum[:8])>>11) / (1 << 53)
}

// Missed returns the injected faults that have hit nothing, those of chaos aside.
func (s *Set) Missed() []fault.Active { return Missed(s.Active()) }

// Missed returns the faults that have hit nothing, those of chaos aside.
func Missed(all []fault.Active) (missed []fault.Active) {
	for _, a := range all {
		if a.Hits == 0 && !a.Chaos {
			missed = append(missed, a)
		}
	}
	return missed
}

type watcher struct {
	point string
	about Subject
	tell  func()
}

// Watch calls tell whenever a fault that can hit such calls is injected or cleared, and
// when the time begins or ends in which it hits. It is for what makes no calls of its own,
// such as a file. Tell is called on the goroutine that changed the faults, before Inject or
// Clear returns; it must neither change them nor wait for a goroutine that does.
func (s *Set) Watch(point string, about Subject, tell func()) (stop func()) {
	if s == nil {
		return func() {}
	}
	w := &watcher{point, about, tell}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = append(s.watchers, w)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watchers = slices.DeleteFunc(s.watchers, func(other *watcher) bool { return other == w })
	}
}

// changed calls the watchers of the fault. s.mu is not held.
func (s *Set) changed(a *injected) {
	s.mu.Lock()
	var all []func()
	for _, w := range s.watchers {
		if w.point == a.kind.Point && matches(a.For, w.about, s.issuers, s.names) {
			all = append(all, w.tell)
		}
	}
	s.mu.Unlock()
	for _, tell := range all {
		tell()
	}
}

// schedule sets timers for the begin and the end of the time in which the fault hits;
// s.mu is held.
func (s *Set) schedule(a *injected) {
	for _, d := range []fault.Duration{a.When.After, a.When.Until} {
		if wait := a.Since.Add(time.Duration(d)).Sub(s.clock.Now()); d > 0 && wait > 0 {
			a.edges = append(a.edges, s.clock.AfterFunc(wait, func() { s.changed(a) }))
		}
	}
}
