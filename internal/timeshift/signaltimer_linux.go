//go:build amd64 || arm64

package timeshift

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/seccomp"
)

// signalTimers are the timers of processes that send signals: the one of alarm(2) and
// setitimer(2) with ITIMER_REAL, and those of timer_create(2). The kernel's are never set: we
// remember what a program sets, and send the signals when lab time says so.
type signalTimers struct {
	clocks *clocks
	waits  *waits
	after  func(func()) // does something once the system call that is being answered is over

	mu sync.Mutex // held while one is looked at or changed
}

// A signalTimer is a timer that is set.
type signalTimer struct {
	createdTimer
	timers   *signalTimers
	pid      int
	interval int64 // nanoseconds of lab time; 0: it expires once
	overrun  int64 // how often it expired besides when the last signal was sent
}

// A createdTimer is what the kernel knows of a timer.
type createdTimer struct {
	id     int32
	clock  int32
	signal int    // 0: it sends none
	thread int    // that gets it; 0: any of the process
	value  uint64 // that comes with it
}

// alarmTimer is the timer of a process that timer_create(2) has not made.
var alarmTimer = createdTimer{id: -1, clock: clockMonotonic, signal: int(unix.SIGALRM)}

func (t *signalTimer) key() waitKey { return waitKey{process: t.pid, timer: t.id} }

func (t *signalTimer) period() int64 { return t.interval }

// isSet reports whether a program still has its timer: it has neither deleted it, nor executed
// another program, nor ended. The end of a process with an alarm the tracer tells.
func (t *signalTimer) isSet(*wait) bool {
	if t.id == alarmTimer.id {
		return true
	}
	_, ok, err := created(t.pid, t.id)
	return ok && err == nil
}

// expire sends the signal of a timer that is due.
func (t *signalTimer) expire(w *wait) {
	ts := t.timers
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.waits.timer(t.key()) != w {
		return // the program has set it anew
	}
	ts.waits.forget(t.key())
	if !t.isSet(w) {
		return
	}
	again := *t
	if t.interval > 0 {
		more := (ts.clocks.lab() - w.due) / t.interval
		again.overrun = min(more, math.MaxInt32)
		ts.waits.add(&wait{ours: true, timer: &again, due: addCapped(w.due, (more+1)*t.interval)})
	}
	again.send()
}

// send sends a timer's signal as the kernel does: a program that is told of it sees SI_TIMER,
// which anybody may send. (Of an alarm the kernel says SI_KERNEL, which nobody else may.)
// Source: sigaction(2), do_rt_sigqueueinfo in kernel/signal.c.
func (t *signalTimer) send() {
	const timer = -2 // SI_TIMER
	info := struct { // siginfo_t
		signal, errno, code, _ int32
		timer, overrun         int32
		value                  uint64
		_                      [96]byte
	}{signal: int32(t.signal), code: timer, timer: max(0, t.id), overrun: int32(t.overrun), value: t.value}
	// It fails if the process has ended, or has so many signals waiting that the kernel takes no more.
	switch {
	case t.signal == 0:
	case t.thread != 0:
		_, _, _ = unix.Syscall6(unix.SYS_RT_TGSIGQUEUEINFO, uintptr(t.pid), uintptr(t.thread), uintptr(t.signal), uintptr(unsafe.Pointer(&info)), 0, 0)
	default:
		_, _, _ = unix.Syscall(unix.SYS_RT_SIGQUEUEINFO, uintptr(t.pid), uintptr(t.signal), uintptr(unsafe.Pointer(&info)))
	}
}

// set has a timer expire after a time or, if that is absolute, at one; never, if it is 0. It
// returns what was set before.
func (ts *signalTimers) set(t *signalTimer, absolute bool, value int64) (old unix.ItimerSpec) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	now := ts.clocks.lab()
	if was := ts.waits.timer(t.key()); was != nil {
		old = was.left(now)
		ts.waits.forget(t.key())
	}
	if value == 0 {
		return old
	}
	w := &wait{ours: true, timer: t, due: addCapped(now, value)}
	if absolute {
		w.due = ts.clocks.labAt(t.clock, value)
	}
	ts.waits.add(w)
	if w.due <= now {
		ts.after(func() { t.expire(w) })
	}
	return old
}

// get returns how a timer is set, and its overrun.
func (ts *signalTimers) get(t *signalTimer) (set unix.ItimerSpec, overrun int64) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if w := ts.waits.timer(t.key()); w != nil {
		return w.left(ts.clocks.lab()), w.timer.(*signalTimer).overrun
	}
	return unix.ItimerSpec{}, 0
}

// ended forgets the alarm of a process that has ended; of a thread, nothing.
func (ts *signalTimers) ended(pid int) {
	ts.waits.forget((&signalTimer{createdTimer: alarmTimer, pid: pid}).key())
}

// created returns what the kernel knows of a timer of timer_create(2); false: there is none.
func created(pid int, id int32) (createdTimer, bool, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/timers", pid)) // CONFIG_CHECKPOINT_RESTORE
	if err != nil {
		return createdTimer{}, false, err
	}
	all, err := parseTimers(text)
	i := slices.IndexFunc(all, func(t createdTimer) bool { return t.id == id })
	if i < 0 {
		return createdTimer{}, false, err
	}
	return all[i], true, err
}

// parseTimers reads the timers of a process, four lines each. Source: proc_pid_timers(5).
func parseTimers(text []byte) (all []createdTimer, err error) {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		entry := lines.Text()
		for range 3 {
			lines.Scan()
			entry += "\n" + lines.Text()
		}
		var t createdTimer
		var notify string
		_, err := fmt.Sscanf(entry, "ID: %d\nsignal: %d/%x\nnotify: %s\nClockID: %d", &t.id, &t.signal, &t.value, &notify, &t.clock)
		how, receiver, _ := strings.Cut(notify, "/")
		if err == nil && how == "none" {
			t.signal = 0
		} else if thread, ok := strings.CutPrefix(receiver, "tid."); ok && err == nil {
			t.thread, err = strconv.Atoi(thread)
		}
		if err != nil {
			return nil, fmt.Errorf("expected a timer in four lines, found %q: %w", entry, err)
		}
		all = append(all, t)
	}
	return all, nil
}

// answerSignalTimer answers alarm(2), setitimer(2), getitimer(2), and the calls of
// timer_create(2)'s timers. What is wrong, and what no lab time is needed for, is the
// kernel's to answer.
func (s *supervisor) answerSignalTimer(q *seccomp.Notification, r *seccomp.Response) {
	ts, pid := s.signalTimers, s.threads.processOf(int(q.Thread))
	t := &signalTimer{createdTimer: alarmTimer, timers: ts, pid: pid}
	byKernel := func() { r.Flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE }
	switch q.Number {
	case unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_GETTIME, unix.SYS_TIMER_GETOVERRUN:
		var ok bool
		var err error
		t.createdTimer, ok, err = created(pid, int32(q.Args[0]))
		if err != nil {
			s.note(pid, "its timers of timer_create(2) follow the machine's clock: "+err.Error())
		}
		if !ok || err != nil || !ts.clocks.shifts(t.clock) {
			byKernel()
			return
		}
	}
	switch q.Number {
	case sysAlarm:
		old := ts.set(t, false, int64(uint32(q.Args[0]))*1e9)
		// Rounded, but 0 says that none was set. Source: alarm_setitimer in kernel/time/itimer.c.
		if r.Value = (old.Value.Nano() + 5e8) / 1e9; r.Value == 0 && old.Value.Nano() > 0 {
			r.Value = 1
		}
	case unix.SYS_GETITIMER:
		now, _ := ts.get(t)
		s.writeSpec(q, r, q.Args[1], now, timeval)
	case unix.SYS_TIMER_GETTIME:
		now, _ := ts.get(t)
		s.writeSpec(q, r, q.Args[1], now, timespec)
	case unix.SYS_TIMER_GETOVERRUN:
		_, r.Value = ts.get(t)
	case unix.SYS_SETITIMER, unix.SYS_TIMER_SETTIME:
		from, to, form, absolute := q.Args[1], q.Args[2], timeval, false
		if q.Number == unix.SYS_TIMER_SETTIME {
			from, to, form, absolute = q.Args[2], q.Args[3], timespec, q.Args[1]&timerAbsolute != 0
		}
		var value int64
		if from != 0 || form == timespec { // no struct itimerval is one of zeros
			var ok, valid bool
			value, ok = s.length(int(q.Thread), from+16, form)
			if t.interval, valid = s.length(int(q.Thread), from, form); !ok || !valid {
				byKernel()
				return
			}
		}
		if old := ts.set(t, absolute, value); to != 0 {
			s.writeSpec(q, r, to, old, form)
		}
	}
}

// writeSpec answers with the setting of a timer, as a struct itimerspec or itimerval.
func (s *supervisor) writeSpec(q *seccomp.Notification, r *seccomp.Response, at uint64, spec unix.ItimerSpec, form timeForm) {
	unit := int64(1)
	if form == timeval {
		unit = 1000
		if spec.Value.Sec == 0 && spec.Value.Nsec > 0 {
			spec.Value.Nsec = max(unit, spec.Value.Nsec) // 0: it is not set
		}
	}
	var data []byte
	for _, word := range []int64{spec.Interval.Sec, spec.Interval.Nsec / unit, spec.Value.Sec, spec.Value.Nsec / unit} {
		data = binary.LittleEndian.AppendUint64(data, uint64(word))
	}
	if s.threads.store(int(q.Thread), at, data) != nil {
		r.Errno = -int32(unix.EFAULT)
	}
}
