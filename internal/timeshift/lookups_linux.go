//go:build amd64 || arm64

package timeshift

import (
	"sync"
	"time"
)

// How long, in wall time, the lab clock stands for questions about names. Resolvers give up
// after five seconds, which are 8 ms where lab time is 600 times as fast, and look at the clock
// again between one answer and the next.
const (
	lookupPause    = 3 * time.Millisecond  // that nobody has asked, after which the next question is one of its own
	lookupBusy     = time.Second           // or this long after the first
	lookupSettle   = 50 * time.Millisecond // after the last answer, which the program has to take; where it could not run, that does not count
	lookupBetween  = 10 * time.Millisecond // that the clock runs between two lookups: who does nothing else is to see time pass, too
	lookupMost     = 10 * time.Second      // in all: nobody keeps the clock from moving
	lookupAgreed   = 5 * time.Second       // until the lab has agreed, which is soon but on a busy machine; then the program goes on without
	lookupReleased = time.Second           // until the lab has let it go on
	lookupPoll     = time.Millisecond
)

// lookups have lab time stand while the program asks for names, if it runs faster than the
// machine's: what the question takes, it takes in wall time.
type lookups struct {
	clocks *clocks
	open   func() bool                                  // whether a question has no answer yet
	hold   func(holds bool)                             // asks the lab
	ran    func() (processor time.Duration, rests bool) // what the program has had of processors, and whether it waits for something other than one
	begin  sync.Mutex                                   // one lookup at a time begins

	mu       sync.Mutex
	holds    bool
	began    time.Time // with holds
	last     time.Time // with holds: when something was asked
	released time.Time
}

// about is called before the program may ask, and when a question has arrived. It returns
// when lab time stands.
func (l *lookups) about() {
	l.begin.Lock()
	defer l.begin.Unlock()
	open := l.open()
	l.mu.Lock()
	if l.holds && !open && (time.Since(l.last) > lookupPause || time.Since(l.began) > lookupBusy) { // the lookup before this one is over
		l.release()
	}
	l.last = time.Now()
	if l.holds {
		l.mu.Unlock()
		return
	}
	released := l.released
	l.mu.Unlock()
	// It stands until the lab has heard that it may go on; for longer, if something else holds it.
	for l.clocks.now.Load().Speed == 0 && time.Since(released) < lookupReleased {
		time.Sleep(lookupPoll / 10)
	}
	if l.clocks.now.Load().Speed <= 1 {
		return
	}
	if rest := lookupBetween - time.Since(released); !open && rest > 0 {
		time.Sleep(rest)
	}
	l.mu.Lock()
	l.holds, l.began, l.last = true, time.Now(), time.Now()
	l.hold(true)
	l.mu.Unlock()
	go l.end()
	for end := time.Now().Add(lookupAgreed); l.clocks.now.Load().Speed != 0 && time.Now().Before(end); {
		time.Sleep(lookupPoll / 10)
	}
}

// release lets the clock go on; l.mu is held.
func (l *lookups) release() {
	l.holds, l.released = false, time.Now()
	l.hold(false)
}

// end lets the clock go on when everything has been answered.
func (l *lookups) end() {
	l.mu.Lock()
	began, last := l.began, l.last
	l.mu.Unlock()
	settled, looked := time.Duration(0), time.Now()
	before, _ := l.ran()
	for {
		time.Sleep(lookupPoll)
		open := l.open()
		processor, rests := l.ran()
		took := processor - before
		if rests {
			took = time.Since(looked)
		}
		settled, looked, before = settled+max(0, took), time.Now(), processor
		l.mu.Lock()
		if !l.holds || l.began != began { // another one has its own
			l.mu.Unlock()
			return
		}
		if open {
			l.last = time.Now()
		}
		if l.last != last {
			settled, last = 0, l.last
		}
		if settled > lookupSettle || time.Since(began) > lookupMost {
			l.release()
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
	}
}
