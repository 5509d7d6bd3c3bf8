package fault

import (
	"cmp"
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
	"github.com/wiemu/wiemu/emulator/journal"
)

// Set is the faults of one lab. It is safe for concurrent use; a nil *Set hits
// nothing.
type Set struct {
	clock   clock.Clock
	journal *journal.Journal
	seed    uint64

	some    atomic.Bool // whether anything is injected, so that asking costs nothing when not
	mu      sync.Mutex
	last    int // ordinal of the newest fault
	active  []*injected
	issuers map[string]string // URLs by name
	names   Names             // what else they may name
	without map[string]string // why there are no faults of a point

	watchers []*watcher
}

type injected struct {
	Active
	kind  Kind
	edges edges
}

// New makes a set without faults. Seed is for faults with a probability that name
// none; 0 picks one, which Seed tells.
func New(clk clock.Clock, j *journal.Journal, seed uint64) *Set {
	if seed == 0 {
		seed = uint64(rand.Uint32()) + 1 // short enough to be typed again
	}
	return &Set{clock: clk, journal: j, seed: seed}
}

// Seed is what decides about faults with a probability that name no seed.
func (s *Set) Seed() uint64 { return s.seed }

// Know tells the set the issuers that selectors may call by name.
func (s *Set) Know(urlsByName map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issuers = maps.Clone(urlsByName)
}

// Exclude says why nothing can go wrong at some points: that reason is the error of
// Inject.
func (s *Set) Exclude(reasonsByPoint map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.without = maps.Clone(reasonsByPoint)
}

// Possible reports whether a fault can be made here, which it can unless Exclude
// said otherwise.
func (s *Set) Possible(f Fault) bool {
	kind, mistake := named(f.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	return mistake != nil || s.without[kind.Point] == ""
}

// Inject adds a fault and returns its id. The error joins a *Mistake for
// everything that cannot be.
func (s *Set) Inject(f Fault) (id string, err error) { return s.inject(f, false) }

func (s *Set) inject(f Fault, chaos bool) (id string, err error) {
	f, kind, err := s.checked(f)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.last++
	a := &injected{Active: Active{ID: "f" + strconv.Itoa(s.last), Fault: f, Since: s.clock.Now(), Chaos: chaos}, kind: kind}
	s.active = append(s.active, a)
	s.some.Store(true)
	s.schedule(a)
	e := a.event("injected")
	s.mu.Unlock()
	s.journal.Record(e)
	s.changed(a)
	return a.ID, nil
}

// checked returns the fault as it is kept, with its seed.
func (s *Set) checked(f Fault) (Fault, Kind, error) {
	var errs []error
	s.mu.Lock()
	issuers, known := s.issuers, s.names
	s.mu.Unlock()
	var names []string // nil: nobody told
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
		return f, Kind{}, fmt.Errorf("fault %s: %w", cmp.Or(f.Name, "without a name"), errors.Join(errs...))
	}
	if f.When.Probability > 0 && f.When.Seed == 0 {
		f.When.Seed = s.seed
	}
	f.Parameters = maps.Clone(f.Parameters)
	kind, err := Named(f.Name)
	if err != nil {
		return f, kind, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if reason := s.without[kind.Point]; reason != "" {
		return f, kind, fmt.Errorf("fault %s: it cannot be made here: %s", f.Name, reason)
	}
	return f, kind, nil
}

// Restore adds faults as Active told them elsewhere, with their ids and counts.
// None is added when it returns an error.
func (s *Set) Restore(faults []Active) error {
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

// Clear takes a fault away, by the id that Inject returned.
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
	a.edges.stop()
	s.active = slices.Delete(s.active, i, i+1)
	s.some.Store(len(s.active) > 0)
	s.mu.Unlock()
	s.journal.Record(e)
	s.changed(a)
	return nil
}

// ClearAll takes all faults away.
func (s *Set) ClearAll() {
	for _, a := range s.Active() {
		_ = s.Clear(a.ID) // somebody else may have been faster
	}
}

// Active returns the faults that are injected, in that order, spent ones too.
func (s *Set) Active() []Active {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Active, len(s.active))
	for i, a := range s.active {
		all[i] = a.Active
		all[i].Parameters = maps.Clone(a.Parameters)
		all[i].Spent = a.spent()
	}
	return all
}

// Hit asks whether a call goes wrong at a point, and how. Every fault of the
// point counts the call if its selector matches; of those that would hit, the
// one injected first does. The hit is in the journal already; Hit.Note marks the
// event of the call itself.
func (s *Set) Hit(point string, about Subject) (Hit, bool) {
	return s.hit(about, func(a *injected) bool { return a.kind.Point == point })
}

// HitBy asks whether a fault of one kind hits a call. When applies is given, only
// calls for which it is true count: those that the fault, with the parameters of
// the hit that applies is given, makes a difference to. It must not ask the set.
func (s *Set) HitBy(name string, about Subject, applies func(Hit) bool) (Hit, bool) {
	return s.hit(about, func(a *injected) bool {
		return a.Name == name && (applies == nil || applies(Hit{ID: a.ID, Kind: a.kind, parameters: a.Parameters}))
	})
}

// Any reports whether anything is injected: whether asking is worth the trouble.
func (s *Set) Any() bool { return s != nil && s.some.Load() }

func (s *Set) hit(about Subject, concerns func(*injected) bool) (Hit, bool) {
	if !s.Any() {
		return Hit{}, false
	}
	now := s.clock.Now()
	s.mu.Lock()
	var chosen *injected
	for _, a := range s.active {
		if !a.For.matches(about, s.issuers, s.names) || !concerns(a) {
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
	h := Hit{ID: chosen.ID, Kind: chosen.kind, Call: chosen.Calls, parameters: chosen.Parameters}
	e := chosen.hitEvent(about, s.names)
	s.mu.Unlock()
	s.journal.Record(e)
	return h, true
}

// hits decides about the call that was counted last.
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

// roll is a number from 0 to 1 that depends on the seed, the fault and the
// ordinal of the call alone, so that calls at the same time do not disturb each
// other's.
func (a *injected) roll() float64 { return Roll(a.When.Seed, a.ID, a.Calls) }

// Roll is the n-th number, from 0 to below 1, of the sequence that a seed and a
// name give.
func Roll(seed uint64, name string, n int) float64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %d", seed, name, n))
	return float64(binary.BigEndian.Uint64(sum[:8])>>11) / (1 << 53)
}
