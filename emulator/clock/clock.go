// Package clock tells the time that tokens, keys, caches and quotas live by: the
// lab clock. It does not time input and output; TLS handshakes, deadlines and
// polling use the machine's clock and say so where they do.
package clock

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"
)

// Clock is lab time as the rooms of the emulator see it.
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

// Lab is the clock of one lab. It either runs with the machine's clock plus an
// offset or stands still; both kinds move forward by Advance.
type Lab struct {
	advance sync.Mutex // one Advance (or one wall-clock firing) at a time

	mu       sync.Mutex
	running  bool
	offset   time.Duration // running: lab time minus wall time
	held     time.Time     // stopped, or running while an Advance is at a stop: the time it is
	holding  bool
	waiting  timerHeap
	sequence uint64
	alarm    *time.Timer // running: rings when the earliest timer is due

	requests *requests // begun since the last stop
}

// requests counts what is being answered; done is closed when the last of a
// sealed count has ended.
type requests struct {
	open   int
	sealed bool
	done   chan struct{}
}

// Running returns a clock that shows the machine's time until it is advanced.
func Running() *Lab { return &Lab{running: true} }

// Stopped returns a clock that stands at the given time and moves only by
// Advance: what tests and scenarios use.
func Stopped(at time.Time) *Lab { return &Lab{held: at.Round(0).UTC(), holding: true} }

// Now returns the lab's time in UTC.
func (l *Lab) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now()
}

// Runs reports whether the clock moves by itself.
func (l *Lab) Runs() bool { return l.running }

// now is the lab's time; l.mu is held.
func (l *Lab) now() time.Time {
	if l.holding {
		return l.held
	}
	return time.Now().Add(l.offset).Round(0).UTC() // the one place where wall time becomes lab time
}

// AfterFunc runs f when lab time reaches Now()+d. On a stopped clock that is
// inside the Advance that passes the due time, on the goroutine of its caller.
func (l *Lab) AfterFunc(d time.Duration, f func()) Timer {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sequence++
	t := &timer{lab: l, due: l.now().Add(max(d, 0)), sequence: l.sequence, f: f}
	heap.Push(&l.waiting, t)
	l.setAlarm()
	return t
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

// Advance moves lab time forward by d. It stops at every timer that falls due,
// in order, with Now() standing at the timer's due time while its callback
// runs, and waits at each stop for the requests in flight. It returns early,
// with the clock where it got to, when ctx ends. A negative d is refused: lab
// time never goes backwards.
func (l *Lab) Advance(ctx context.Context, d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("advance the lab clock by %v: lab time never goes backwards", d)
	}
	l.advance.Lock()
	defer l.advance.Unlock()
	l.mu.Lock()
	from := l.now()
	target := from.Add(d)
	if target.After(end) {
		l.mu.Unlock()
		return fmt.Errorf("advance the lab clock by %v: lab time ends on %s, with the certificates", d, end.Format(time.DateOnly))
	}
	l.held, l.holding = from, true
	l.mu.Unlock()
	defer l.resume(from)
	for {
		if err := l.settle(ctx); err != nil {
			return fmt.Errorf("advance the lab clock: stopped at %s, %v short: %w", l.Now().Format(time.RFC3339), target.Sub(l.Now()), err)
		}
		t := l.next(target)
		if t == nil {
			l.mu.Lock()
			l.held = target
			l.mu.Unlock()
			return nil
		}
		t.f()
	}
}

// AdvanceTo moves lab time forward to the given time, as Advance does.
func (l *Lab) AdvanceTo(ctx context.Context, at time.Time) error {
	d := at.Sub(l.Now())
	if d < 0 {
		return fmt.Errorf("set the lab clock to %s: it is %s already, and lab time never goes backwards", at.UTC().Format(time.RFC3339), l.Now().Format(time.RFC3339))
	}
	return l.Advance(ctx, d)
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

// next moves to the earliest timer due by target and takes it; nil when none is.
func (l *Lab) next(target time.Time) *timer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 || l.waiting[0].due.After(target) {
		return nil
	}
	t := heap.Pop(&l.waiting).(*timer)
	if l.holding && t.due.After(l.held) {
		l.held = t.due
	}
	return t
}

// end is the last day of lab time: the CA is valid until the end of 2099, and a
// certificate made then has to outlive a week (see package trust).
var end = time.Date(2099, 12, 1, 0, 0, 0, 0, time.UTC)

// resume lets a running clock run again after an Advance that began at from. The
// wall time that the Advance took has passed in the lab, too.
func (l *Lab) resume(from time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running {
		l.offset += l.held.Sub(from)
		l.holding = false
		l.setAlarm()
	}
}

// setAlarm arranges that a running clock fires its earliest timer; l.mu is held.
func (l *Lab) setAlarm() {
	if !l.running || l.holding {
		return
	}
	if l.alarm != nil {
		l.alarm.Stop()
	}
	if len(l.waiting) > 0 {
		l.alarm = time.AfterFunc(l.waiting[0].due.Sub(l.now()), l.ring)
	}
}

// ring fires what is due on a running clock.
func (l *Lab) ring() {
	l.advance.Lock()
	defer l.advance.Unlock()
	for t := l.next(l.Now()); t != nil; t = l.next(l.Now()) {
		t.f()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setAlarm()
}

// timer is an entry of the heap.
type timer struct {
	lab      *Lab
	due      time.Time
	sequence uint64
	f        func()
	index    int // in the heap; -1 when taken out
}

// Stop takes the timer out of the clock.
func (t *timer) Stop() bool {
	t.lab.mu.Lock()
	defer t.lab.mu.Unlock()
	if t.index < 0 {
		return false
	}
	heap.Remove(&t.lab.waiting, t.index)
	return true
}

// timerHeap orders timers by due time, then by age.
type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].due.Equal(h[j].due) {
		return h[i].sequence < h[j].sequence
	}
	return h[i].due.Before(h[j].due)
}
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	t.index = len(*h)
	*h = append(*h, t)
}
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.index = -1
	return t
}
