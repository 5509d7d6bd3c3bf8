package fault

import (
	"slices"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

// watcher wants to know of the faults that can hit its calls.
type watcher struct {
	point string
	about Subject
	tell  func()
}

// Watch has tell called whenever a fault that can hit such calls is injected or
// cleared, and when the time comes from or until which it hits: for what stands
// there and is not asked for, as a file does. It is called on the goroutine of
// whoever changed the faults, before Inject or Clear returns, and must neither
// change them nor wait for somebody who does.
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

// changed tells those who watch for the fault. s.mu is not held.
func (s *Set) changed(a *injected) {
	s.mu.Lock()
	var all []func()
	for _, w := range s.watchers {
		if w.point == a.kind.Point && a.For.matches(w.about, s.issuers, s.names) {
			all = append(all, w.tell)
		}
	}
	s.mu.Unlock()
	for _, tell := range all {
		tell()
	}
}

// schedule sets the timers for the ends of the time in which the fault hits;
// s.mu is held.
func (s *Set) schedule(a *injected) {
	for _, d := range []Duration{a.When.After, a.When.Until} {
		if wait := a.Since.Add(time.Duration(d)).Sub(s.clock.Now()); d > 0 && wait > 0 {
			a.edges = append(a.edges, s.clock.AfterFunc(wait, func() { s.changed(a) }))
		}
	}
}

// edges are timers.
type edges []clock.Timer

func (e edges) stop() {
	for _, t := range e {
		t.Stop()
	}
}
