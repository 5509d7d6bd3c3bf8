// Package clock tells the time that tokens, keys, caches and quotas live by: the
// lab clock. It does not time input and output; TLS handshakes, deadlines and
// polling use the machine's clock and say so where they do.
package clock

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Clock is lab time as the components of a lab see it.
type Clock interface {
	// Now returns the lab's time in UTC, without a monotonic reading.
	Now() time.Time
	// AfterFunc runs f once, when lab time reaches Now()+d. A d of zero or less
	// is due at once. Callbacks run one at a time, ordered by due time and then
	// by the order in which they were asked for.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is a callback that is waiting for its time.
type Timer interface {
	// Stop keeps the callback from running and reports whether it was in time.
	Stop() bool
}

// Lab is the clock of one lab. It runs as fast as the machine's clock, or
// faster or slower, or stands still; in each case it moves forward by Advance
// and is never seen to go backwards.
type Lab struct {
	advance sync.Mutex // one Advance, or one firing of a running clock's timers, at a time

	order    sync.Mutex // one change of the setting at a time, told to the watchers before the next
	watchers []*watcher // guarded by order

	mu        sync.Mutex
	setting   Setting
	speed     float64  // that of the setting while nothing holds the clock still
	held      int      // how many hold it: an Advance, and Holds
	waiting   []*timer // in the order in which they are due
	sequence  uint64
	alarm     *time.Timer // rings when the earliest timer of a running clock is due
	skews     map[string]time.Duration
	followers []*follower
	joined    int // followers, those that have left included
	observers []func() (events uint64, underWay bool)

	requests *requests // begun since the last stop
	begun    uint64    // requests, ever
}

// Running returns a clock that shows the machine's time until it is told
// otherwise.
func Running() *Lab {
	now := time.Now()
	return &Lab{setting: Setting{At: now, Now: now.Round(0).UTC(), Speed: 1}, speed: 1}
}

// Stopped returns a clock that stands at the given time and moves only by
// Advance, or once it is given a speed: what tests and scenarios use.
func Stopped(at time.Time) *Lab {
	return &Lab{setting: Setting{At: time.Now(), Now: at.Round(0).UTC()}}
}

// Now returns the lab's time in UTC.
func (l *Lab) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now()
}

// now is the lab's time; l.mu is held.
func (l *Lab) now() time.Time { return l.setting.Time(time.Now()) } // the one place where wall time becomes lab time

// AfterFunc runs f when lab time reaches Now()+d. On a clock that stands still
// that is inside the Advance that passes the due time, on the goroutine of its
// caller. f must not advance the clock.
func (l *Lab) AfterFunc(d time.Duration, f func()) Timer {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sequence++
	t := &timer{lab: l, due: l.now().Add(max(d, 0)), sequence: l.sequence, f: f}
	i, _ := slices.BinarySearchFunc(l.waiting, t, (*timer).compare)
	l.waiting = slices.Insert(l.waiting, i, t)
	l.setAlarm()
	return t
}

// requests counts what is being answered; done is closed when the last of a
// sealed count has ended.
type requests struct {
	open   int
	sealed bool
	done   chan struct{}
}

// Begin says that a request is being answered; Advance does not move on before
// the returned function was called. Calling that function twice is harmless.
func (l *Lab) Begin() (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.requests == nil {
		l.requests = &requests{done: make(chan struct{})}
	}
	r := l.requests
	r.open++
	l.begun++
	ended := false
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if ended {
			return
		}
		ended = true
		if r.open--; r.open == 0 && r.sealed {
			close(r.done)
		}
	}
}

// settle waits for the requests that were in flight when it was called; later
// ones do not hold it up, so a busy server cannot keep the clock from moving.
func (l *Lab) settle(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	r := l.requests
	if r == nil || r.open == 0 {
		l.mu.Unlock()
		return nil
	}
	r.sealed = true
	l.requests = nil
	l.mu.Unlock()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a request is still being answered: %w", ctx.Err())
	}
}

// due takes the earliest timer if its time has come; nil if there is none.
func (l *Lab) due() *timer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 || l.waiting[0].due.After(l.now()) {
		return nil
	}
	t := l.waiting[0]
	l.waiting = slices.Delete(l.waiting, 0, 1)
	return t
}

// setAlarm arranges that a running clock fires its earliest timer; l.mu is held.
func (l *Lab) setAlarm() {
	if l.alarm != nil {
		l.alarm.Stop()
	}
	if l.setting.Speed != 0 && len(l.waiting) > 0 {
		l.alarm = time.AfterFunc(l.setting.until(l.waiting[0].due, l.now()), l.ring)
	}
}

// ring fires what is due on a running clock.
func (l *Lab) ring() {
	l.advance.Lock()
	defer l.advance.Unlock()
	for t := l.due(); t != nil; t = l.due() {
		t.f()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setAlarm()
}

type timer struct {
	lab      *Lab
	due      time.Time
	sequence uint64
	f        func()
}

// compare orders timers by due time, then by age.
func (t *timer) compare(other *timer) int {
	return cmp.Or(t.due.Compare(other.due), cmp.Compare(t.sequence, other.sequence))
}

// Stop takes the timer out of the clock.
func (t *timer) Stop() bool {
	t.lab.mu.Lock()
	defer t.lab.mu.Unlock()
	i, waits := slices.BinarySearchFunc(t.lab.waiting, t, (*timer).compare)
	if waits {
		t.lab.waiting = slices.Delete(t.lab.waiting, i, i+1)
	}
	return waits
}
