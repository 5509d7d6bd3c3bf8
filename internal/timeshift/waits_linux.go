//go:build amd64 || arm64

package timeshift

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A wait is a thread that waits, in a system call, for something or until lab time.
type wait struct {
	tid  int
	nr   int32
	args [6]uint64
	call waitCall
	due  int64 // lab time

	began   int64     // lab time
	napping time.Time // when it was first seen to sleep (wall time), if it is a nap; zero: it was not
	ours    bool      // the kernel does not know when it is over
	change  uint64    // of the clock, after which it began

	timer timer // if it is one that no thread need wait for; nil otherwise
}

// A timer expires at some lab time, whether a thread waits for that or not.
type timer interface {
	key() waitKey
	period() int64    // nanoseconds of lab time; 0: it expires once
	isSet(*wait) bool // whether it is still what the program has set
	expire(*wait)     // is called when it is due
}

// A waitKey names a wait: a thread has one at a time, a timer one setting.
type waitKey struct {
	thread  int
	timerfd int64 // its mark
	process int   // with timer, that of a signalTimer
	timer   int32
}

func (w *wait) key() waitKey {
	if w.timer != nil {
		return w.timer.key()
	}
	return waitKey{thread: w.tid}
}

// left is how long it takes until a timer expires.
func (w *wait) left(now int64) unix.ItimerSpec {
	return unix.ItimerSpec{
		Value:    unix.NsecToTimespec(max(1, w.due-now)), // 0: it is not set
		Interval: unix.NsecToTimespec(w.timer.period()),
	}
}

// waits are those under way, one a thread, and those that have ended since
// without our knowing: the kernel does not notify of that.
type waits struct {
	clocks *clocks
	calls  map[int32]waitCall
	over   func([]*wait) // ends those that are due

	mu      sync.Mutex
	byKey   map[waitKey]*wait
	ticks   map[int]int // by thread: how many short waits in a row have ended because lab time moved
	short   int64       // shorter waits are short, as of the last turn
	napped  map[int]int // by thread: how many naps it has begun since ends of waits were looked for
	exact   int         // how many stops may yet be for short waits alone, before the end of one that is not short
	alarm   *time.Timer // wall time: rings when one that the kernel does not end in time is due
	alarmAt int64       // when, in kernel time; 0: it does not
	count   uint64
	left    uint64 // how many waits the tracer has seen end by themselves, or with their thread or its program
}

func newWaits(c *clocks, over func([]*wait)) *waits {
	return &waits{clocks: c, calls: waitCalls(), over: over, byKey: map[waitKey]*wait{}, ticks: map[int]int{}, napped: map[int]int{}, exact: exactStops}
}

func (ws *waits) add(w *wait) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w.change, w.began = ws.clocks.changes.Load(), ws.clocks.lab()
	if w.isNap() {
		ws.napped[w.tid]++
	}
	if ws.byKey[w.key()] != nil { // that one has ended by itself
		delete(ws.ticks, w.tid)
	}
	ws.byKey[w.key()] = w
	ws.count++
	ws.plan(w)
}

func (ws *waits) forget(key waitKey) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.byKey, key)
}

// forgetThread forgets what a thread has waited for that does not do so any more.
func (ws *waits) forgetThread(tid int) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if key := (waitKey{thread: tid}); ws.byKey[key] != nil {
		ws.endedByItself(key)
		ws.left++
	}
}

// threadsLeft is how many waits the tracer has seen end until now that it did not end itself.
func (ws *waits) threadsLeft() uint64 {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.left
}

// endedByItself forgets a wait that lab time has not ended; ws.mu is held.
func (ws *waits) endedByItself(key waitKey) {
	delete(ws.byKey, key)
	delete(ws.ticks, key.thread)
}

// timer is the timer with a key, if it is set.
func (ws *waits) timer(key waitKey) *wait {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.byKey[key]
}

// forgetTimers forgets the timers that programs have closed.
func (ws *waits) forgetTimers() {
	var timers []*wait
	ws.mu.Lock()
	for _, w := range ws.byKey {
		if w.timer != nil {
			timers = append(timers, w)
		}
	}
	ws.mu.Unlock()
	for _, w := range timers {
		if !w.timer.isSet(w) {
			ws.mu.Lock()
			if ws.byKey[w.key()] == w {
				delete(ws.byKey, w.key())
			}
			ws.mu.Unlock()
		}
	}
}

// goesOn says that a thread has its own time-out again and that its wait is not over.
func (ws *waits) goesOn(w *wait, timeout uint64) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w.args[w.call.timeout] = timeout
}

// began reports whether a thread has begun a wait that is not over.
func (ws *waits) began(tid int) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.byKey[waitKey{thread: tid}] != nil
}

// shortSleep is how long the sleeps are, at least, by which a program waits for a time. Shorter ones
// are naps: by them runtimes wait for what their other threads are about to do.
const shortSleep = time.Millisecond

// A turn waits for naps to end, which is soon: the kernel ends them, in wall time. There are programs
// that nap again and again until something happens, though.
const (
	maxNaps = 8                     // of a thread, that a turn waits for
	napEnd  = 20 * time.Millisecond // after it was first seen, a nap is over by then (wall time)
)

func (w *wait) isNap() bool { return !w.ours && w.due-w.began < shortSleep.Nanoseconds() }

// countNaps begins to count the naps of threads.
func (ws *waits) countNaps() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	clear(ws.napped)
}

// naps reports whether the wait of a thread, which is a sleep, is a nap of which the end is waited for.
func (ws *waits) naps(tid int) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := ws.byKey[waitKey{thread: tid}]
	if w == nil || !w.isNap() || ws.napped[tid] > maxNaps {
		return false
	}
	if w.napping.IsZero() {
		w.napping = time.Now()
	}
	return time.Since(w.napping) < napEnd
}

// clockChanged plans anew for every wait.
func (ws *waits) clockChanged() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.alarmAt = 0
	for _, w := range ws.byKey {
		ws.plan(w)
	}
}

// plan sets the alarm for a wait, unless the kernel ends it as well; ws.mu is held.
func (ws *waits) plan(w *wait) {
	now := ws.clocks.now.Load()
	if now.Speed == 0 {
		return // it moves by an Advance alone, which gives a turn
	}
	if !w.ours && now.Speed <= 1 && w.change == ws.clocks.changes.Load() {
		return
	}
	mono := kernelTime(clockMonotonic)
	left, ok := now.until(w.due, mono)
	if !ok || ws.alarmAt != 0 && mono+left >= ws.alarmAt {
		return
	}
	ws.alarmAt = mono + left
	if ws.alarm == nil {
		ws.alarm = time.AfterFunc(time.Duration(left), ws.onAlarm)
	} else {
		ws.alarm.Reset(time.Duration(left))
	}
}

func (ws *waits) onAlarm() {
	ws.endDue()
	ws.clockChanged()
}

// endDue ends the waits that are due and returns how many there were.
func (ws *waits) endDue() int {
	var due []*wait
	now, long, short := ws.clocks.lab(), false, false
	ws.mu.Lock()
	for key, w := range ws.byKey {
		if w.due > now {
			continue
		}
		if w.timer != nil {
			due = append(due, w)
			continue
		}
		if !mayWaitIn(w) {
			ws.endedByItself(key)
			continue
		}
		delete(ws.byKey, key)
		due = append(due, w)
		if w.due-w.began >= ws.short {
			long = true
			delete(ws.ticks, w.tid)
			continue
		}
		short = short || ws.isExact(w)
		ws.ticks[w.tid]++
	}
	switch {
	case long:
		ws.exact = exactStops
	case short:
		ws.exact--
	}
	ws.mu.Unlock()
	ws.over(due)
	return len(due)
}

// At first, and after a wait that is not short, a program may do something in which it waits shortly, while
// another wait limits how long all of that takes: such as for a moment between one request and the
// next. So some short waits end when they are due, and not together with others: these many stops,
// and of each thread these many in a row. Who goes on looks at the clock again and again.
const (
	exactStops = 10
	exactWaits = 2
)

// isExact reports whether a short wait ends at its own time; ws.mu is held.
func (ws *waits) isExact(w *wait) bool {
	return ws.exact > 0 && w.timer == nil && w.ours && ws.ticks[w.tid] < exactWaits
}

// next is the earliest lab time for which a thread waits; 0 if none does. Waits
// shorter than shortest are taken to end at the next multiple of it, all together, but for those
// that are exact. waits tells whether a thread may still be in its wait.
func (ws *waits) next(shortest int64, waits func(*wait) bool) int64 {
	ws.forgetTimers()
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.short = shortest
	var next int64
	for key, w := range ws.byKey {
		due := w.due
		if due-w.began < shortest && !ws.isExact(w) {
			due = (due/shortest + 1) * shortest
		}
		switch {
		case w.timer == nil && !waits(w):
			ws.endedByItself(key)
		case next == 0 || due < next:
			next = due
		}
	}
	return next
}

// known reports whether a system call that a thread is blocked in is none of ours, or
// one that we have heard of. The others wait for our answer.
func (ws *waits) known(tid int, nr int32, args [6]uint64) bool {
	if answers(nr) {
		return false
	}
	switch nr {
	case unix.SYS_CLOCK_NANOSLEEP:
		if id := int32(args[0]); !isWall(id) && !isMonotonic(id) {
			return true
		}
	case unix.SYS_FUTEX:
		if operation := uint32(args[futexOperation]) & futexCommand; args[futexTimeout] == 0 || operation != futexWait && !absoluteFutex[operation] {
			return true
		}
	default:
		call, ours := ws.calls[nr]
		if !ours || call.form == millis && int32(args[call.timeout]) <= 0 || args[call.timeout] == 0 {
			return true
		}
	}
	if ws.clocks.wallOnly {
		return true
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := ws.byKey[waitKey{thread: tid}]
	return w != nil && w.is(nr, args)
}
