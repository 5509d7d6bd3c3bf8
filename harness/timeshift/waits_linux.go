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

	began  int64  // lab time
	ours   bool   // the kernel does not know when it is over
	change uint64 // of the clock, after which it began
}

// waits are those under way, one a thread, and those that have ended since
// without our knowing: nobody tells of that.
type waits struct {
	clocks *clocks
	calls  map[int32]waitCall
	over   func(*wait) // ends one that is due

	mu       sync.Mutex
	byThread map[int]*wait
	alarm    *time.Timer // wall time: rings when one that the kernel does not end in time is due
	rings    int64       // when, in kernel time; 0: it does not
	count    uint64
}

func newWaits(c *clocks, over func(*wait)) *waits {
	return &waits{clocks: c, calls: waitCalls(), over: over, byThread: map[int]*wait{}}
}

func (ws *waits) add(w *wait) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w.change, w.began = ws.clocks.changes.Load(), ws.clocks.lab()
	ws.byThread[w.tid] = w
	ws.count++
	ws.plan(w)
}

func (ws *waits) forget(tid int) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.byThread, tid)
}

// goesOn says that a thread has its own time-out again and that its wait is not over.
func (ws *waits) goesOn(w *wait, timeout uint64) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w.args[w.call.timeout] = timeout
}

// began tells whether a thread has begun a wait that is not over.
func (ws *waits) began(tid int) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.byThread[tid] != nil
}

// clockChanged plans anew for every wait.
func (ws *waits) clockChanged() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.rings = 0
	for _, w := range ws.byThread {
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
	if !ok || ws.rings != 0 && mono+left >= ws.rings {
		return
	}
	ws.rings = mono + left
	if ws.alarm == nil {
		ws.alarm = time.AfterFunc(time.Duration(left), ws.ring)
	} else {
		ws.alarm.Reset(time.Duration(left))
	}
}

func (ws *waits) ring() {
	ws.endDue()
	ws.clockChanged()
}

// endDue ends the waits whose time has come and returns how many there were.
func (ws *waits) endDue() int {
	var due []*wait
	now := ws.clocks.lab()
	ws.mu.Lock()
	for tid, w := range ws.byThread {
		if w.due > now {
			continue
		}
		delete(ws.byThread, tid)
		if mayWaitIn(tid, w) {
			due = append(due, w)
		}
	}
	ws.mu.Unlock()
	for _, w := range due {
		ws.over(w)
	}
	return len(due)
}

// next is the earliest lab time for which a thread waits; 0 if none does. Waits
// shorter than shortest are taken to end at the next multiple of it, all together.
func (ws *waits) next(shortest int64) int64 {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	var next int64
	for tid, w := range ws.byThread {
		due := w.due
		if due-w.began < shortest {
			due = (due/shortest + 1) * shortest
		}
		switch {
		case !mayWaitIn(tid, w):
			delete(ws.byThread, tid)
		case next == 0 || due < next:
			next = due
		}
	}
	return next
}

// known tells whether a system call that a thread is blocked in is none of ours, or
// one that we have heard of. The others wait for our answer.
func (ws *waits) known(tid int, nr int32, args [6]uint64) bool {
	switch nr {
	case unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY, sysTime:
		return false
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
	w := ws.byThread[tid]
	return w != nil && w.is(nr, args)
}
