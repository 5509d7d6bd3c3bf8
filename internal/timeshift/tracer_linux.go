//go:build amd64 || arm64

package timeshift

import (
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/seccomp"
)

// tracer is the one thread that may use ptrace(2) on the program. It changes the
// vDSO wherever a program is executed, rewrites waits until some time, and ends
// waits that are over; it affects nothing else.
type tracer struct {
	s *supervisor

	thread atomic.Int32 // its id; 0: it does not trace, or not any more
	busy   atomic.Int64 // waits that are to be ended, and have not been

	mu   sync.Mutex
	ends []*wait // of which the thread does not know yet

	ending    map[int]*wait   // by thread
	rewritten map[int]rewrite // calls with another time-out than the program's

	attaching   map[int]attaching // programs that attach the clock page before they begin
	filters     int               // how many seccomp filters the first program had
	executedAny bool              // filters is known
}

// A rewrite is a call that waits with a time-out of ours.
type rewrite struct {
	timeout  uint64 // the program's
	absolute bool
	wait     *wait
}

func newTracer(s *supervisor) *tracer {
	return &tracer{s: s, ending: map[int]*wait{}, rewritten: map[int]rewrite{}, attaching: map[int]attaching{}}
}

const traceOptions = unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACECLONE |
	unix.PTRACE_O_EXITKILL | unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACESECCOMP

// start begins to trace a process.
func (t *tracer) start(pid int) error {
	began := make(chan error)
	go func() {
		runtime.LockOSThread() // and keep it: the kernel knows the tracer by its thread
		err := prepareSignals()
		if err == nil {
			err = ptrace(unix.PTRACE_SEIZE, pid, traceOptions)
		}
		if err == nil {
			t.s.threads.add(pid)
			t.thread.Store(int32(unix.Gettid()))
		}
		began <- err
		if err == nil {
			t.trace()
		}
	}()
	return <-began
}

// trace handles what happens to threads, until there are none.
func (t *tracer) trace() {
	defer t.ended()
	for {
		t.takeEnds()
		var status unix.WaitStatus
		switch tid, err := unix.Wait4(-1, &status, unix.WALL, nil); {
		case err == nil:
			t.handle(tid, status)
		case !errors.Is(err, unix.EINTR): // which is a wakeUp
			return
		}
	}
}

// takeEnds interrupts the threads whose waits are to end.
func (t *tracer) takeEnds() {
	t.mu.Lock()
	ends := t.ends
	t.ends = nil
	t.mu.Unlock()
	for _, w := range ends {
		if t.s.waits.began(w.tid) || !w.ours && !mayWaitIn(w) { // it has ended by itself, and another may have begun
			t.busy.Add(-1)
			continue
		}
		t.clearEnding(w.tid) // an earlier one, whose thread we have not seen stop yet
		t.ending[w.tid] = w
		if ptrace(unix.PTRACE_INTERRUPT, w.tid, 0) != nil {
			t.clearEnding(w.tid) // it is gone
		}
	}
}

// interrupt has waits end soon.
func (t *tracer) interrupt(ends []*wait) {
	if len(ends) == 0 {
		return
	}
	t.mu.Lock()
	t.busy.Add(int64(len(ends)))
	t.ends = append(t.ends, ends...)
	t.mu.Unlock()
	for t.hasEnds() { // a signal that comes just before the thread waits is lost
		if !t.wakeUp() {
			t.ended()
			return
		}
		nap(20 * time.Microsecond)
	}
}

func (t *tracer) hasEnds() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.ends) > 0
}

// ended says that there is nothing to trace any more.
func (t *tracer) ended() {
	t.thread.Store(0)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.busy.Add(-int64(len(t.ends)))
	t.ends = nil
}

// clearEnding forgets the wait that a thread was to end, if there is one.
func (t *tracer) clearEnding(tid int) {
	if t.ending[tid] != nil {
		delete(t.ending, tid)
		t.busy.Add(-1)
	}
}

// handle lets a thread go on that has stopped, after doing what is to be done. A
// thread that we interrupted and that stops for something else does not stop once
// more for us (ptrace_stop in Linux's kernel/signal.c: any trap clears a pending
// one): at a signal it is interrupted again, elsewhere it has left its wait.
func (t *tracer) handle(tid int, status unix.WaitStatus) {
	const syscallStop = unix.SIGTRAP | 0x80
	if status.Exited() || status.Signaled() {
		t.clearEnding(tid)
		delete(t.rewritten, tid)
		delete(t.attaching, tid)
		t.s.waits.forgetThread(tid)
		t.s.signalTimers.ended(tid)
		t.s.threads.forget(tid)
		return
	}
	signal, event := status.StopSignal(), int(status)>>16
	if event != unix.PTRACE_EVENT_EXEC && executes(tid) {
		return // another thread has executed a program since, and has this one's id now
	}
	request, inject := unix.PTRACE_CONT, 0
	switch {
	case event == unix.PTRACE_EVENT_EXEC:
		t.clearEnding(tid)
		t.executed(tid)
	case event == unix.PTRACE_EVENT_FORK || event == unix.PTRACE_EVENT_VFORK || event == unix.PTRACE_EVENT_CLONE:
		t.clearEnding(tid)
		if child, err := unix.PtraceGetEventMsg(tid); err == nil && !hasEnded(int(child)) { // its end may be told before its beginning
			t.s.threads.add(int(child))
			t.s.threads.inherit(int(child), tid)
		}
	case event == unix.PTRACE_EVENT_SECCOMP:
		t.clearEnding(tid)
		if t.rewrite(tid) {
			request = unix.PTRACE_SYSCALL // to come back at its end
		}
	case event == unix.PTRACE_EVENT_STOP && isStopping(signal):
		request = unix.PTRACE_LISTEN // job control: it stays stopped until SIGCONT
		t.interrupted(tid)
	case event == unix.PTRACE_EVENT_STOP:
		t.s.threads.add(tid) // a new thread begins with this
		t.interrupted(tid)
	case signal == syscallStop:
		t.restore(tid)
	case event == 0:
		inject = int(signal)
		t.restart(tid)
	}
	t.s.threads.stopped(tid, request == unix.PTRACE_LISTEN)
	if event != unix.PTRACE_EVENT_EXEC && executes(tid) {
		return
	}
	_ = ptrace(request, tid, inject) // fails if it was killed meanwhile
	if t.ending[tid] != nil && request != unix.PTRACE_LISTEN && ptrace(unix.PTRACE_INTERRUPT, tid, 0) != nil {
		t.clearEnding(tid) // it is gone
	}
}

// executes reports whether a thread has stopped because it has executed a program, of which the
// kernel tells separately: it must not be let go on before. Source: ptrace(2), "execve(2)
// under ptrace".
func executes(tid int) bool {
	var info struct { // siginfo_t
		signal, errno, code int32
		_                   [116]byte
	}
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GETSIGINFO, uintptr(tid), 0, uintptr(unsafe.Pointer(&info)), 0, 0)
	return errno == 0 && info.code == int32(unix.SIGTRAP)|unix.PTRACE_EVENT_EXEC<<8
}

func isStopping(s unix.Signal) bool {
	return s == unix.SIGSTOP || s == unix.SIGTSTP || s == unix.SIGTTIN || s == unix.SIGTTOU
}

// executed prepares a new program.
func (t *tracer) executed(pid int) {
	if former, err := unix.PtraceGetEventMsg(pid); err == nil && int(former) != pid { // another thread than the first executed it
		t.clearEnding(int(former))
		delete(t.rewritten, int(former))
		t.s.waits.forgetThread(int(former))
	}
	t.s.waits.forgetThread(pid)
	t.s.threads.executed(pid)
	var notes []string
	slow, err := t.changeVDSO(pid)
	if err != nil {
		notes = append(notes, "its clock is not shifted: "+err.Error())
	} else if t.s.clocks.wallOnly {
		notes = append(notes, "its wall clock is shifted; monotonic clocks and waits are left alone, as asked for")
	}
	if err == nil && slow != nil {
		notes = append(notes, slowReads(slow))
	}
	t.s.executed(pid, notes...)
	t.s.begin()
}

// interrupted ends the wait of a thread that we interrupted for that.
func (t *tracer) interrupted(tid int) {
	w := t.ending[tid]
	if w == nil {
		return
	}
	defer t.clearEnding(tid)
	var r registers
	if getRegisters(tid, &r) != nil {
		return
	}
	// It may have ended by itself, and another may have begun. (Where the first
	// argument was there may be the result.)
	args, n := argumentsOf(&r), max(1, w.call.timeout+1)
	if t.s.waits.began(tid) || !slices.Equal(args[1:n], w.args[1:n]) || !interrupted(tid, &r, w.nr, w.call.expired) {
		return
	}
	t.writeRemaining(rewrite{timeout: w.args[w.call.timeout], wait: w}, false)
	if !t.emptySets(w) {
		setReturned(&r, -int64(unix.EFAULT))
	}
	_ = setRegisters(tid, &r) // fails if it was killed meanwhile
}

// emptySets says that no file of a select(2) is ready, as it does itself when its
// time is over; false: the sets cannot be written.
func (t *tracer) emptySets(w *wait) bool {
	if w.call.name != "select" && w.call.name != "pselect6" {
		return true
	}
	files := int32(w.args[0])
	if files <= 0 || files > 1<<20 {
		return true
	}
	none := make([]byte, (files+63)/64*8)
	for _, set := range w.args[1:4] {
		if set != 0 && t.s.threads.store(w.tid, set, none) != nil {
			return false
		}
	}
	return true
}

// restart lets a system call begin again that a signal interrupted before we answered, as if
// the signal had come a moment before: a question about time, and a connect(2) about which
// nobody had decided yet. Where the kernel has decided already that a question fails, we
// answer now.
func (t *tracer) restart(tid int) {
	var r registers
	if getRegisters(tid, &r) != nil {
		return
	}
	q := &seccomp.Notification{Thread: uint32(tid), Number: callOf(&r), Args: argumentsOf(&r)}
	if q.Number == unix.SYS_CONNECT && t.s.network != nil {
		if restartAlways(&r) && lead.NotBegun(tid, int(int32(q.Args[0]))) {
			_ = setRegisters(tid, &r) // fails if it was killed meanwhile
		}
		return
	}
	if id := int32(q.Args[0]); q.Number < 0 || !answers(q.Number) || q.Number == unix.SYS_CLOCK_GETTIME && !isWall(id) && !isMonotonic(id) {
		return
	}
	if !restartAlways(&r) {
		if !interrupted(tid, &r, q.Number, 0) {
			return
		}
		setReturned(&r, t.s.answerNow(q))
	}
	_ = setRegisters(tid, &r) // fails if it was killed meanwhile
}

// brief is how long a wait is that the kernel may end: runtimes and spin locks wait
// so shortly, for other threads and not for a time.
const brief = 100 * time.Millisecond

// briefNote is the note of a program that did that while time stood still.
const briefNote = "its waits of at most 100 ms may have ended early while time stood still"

// pause is how long the kernel makes of a brief wait for something while lab time
// stands. A program that waits for the last microsecond of a time looks at the clock
// after it, and would wait for it again and again, without ever coming to rest.
const pause = 2 * time.Millisecond

// isSleep reports whether a call waits for a time and nothing else.
func isSleep(nr int32) bool { return nr == unix.SYS_NANOSLEEP || nr == unix.SYS_CLOCK_NANOSLEEP }

// rewrite gives a call that waits another time-out: one that is over, if that is so
// in the lab, or else one far away, and we end it. The kernel's clock shows
// something else, and may go on when lab time does not.
func (t *tracer) rewrite(tid int) bool {
	var r registers
	if getRegisters(tid, &r) != nil {
		return false
	}
	w := &wait{tid: tid, nr: callOf(&r), args: argumentsOf(&r), ours: true}
	if w.nr == unix.SYS_CLOCK_GETTIME {
		t.attached(tid, w.args[1])
		return false
	}
	id, absolute := t.waitOf(w)
	theirs := w.args[w.call.timeout]
	length, ok := t.s.length(tid, theirs, w.call.form)
	if !ok || length == 0 && !absolute || !isWall(id) && !isMonotonic(id) {
		return false // it does not wait, the kernel counts processor time, or says what is wrong
	}
	now := t.s.clocks.lab()
	far := farAway
	switch {
	case !absolute && length <= brief.Nanoseconds():
		w.due, w.ours = addCapped(now, length), false
		stands := t.s.clocks.now.Load().Speed == 0
		if stands && t.s.memo != nil {
			t.s.note(t.s.threads.processOf(tid), briefNote)
		}
		if !stands || isSleep(w.nr) || length >= pause.Nanoseconds() {
			t.s.waits.add(w)
			return false
		}
		far = pause
	case !absolute:
		w.due = addCapped(now, length)
	default:
		if w.due = t.s.clocks.labAt(id, length); w.due <= now {
			far = 0
		} else {
			far += time.Duration(kernelTime(id))
		}
	}
	ours := uint64(math.MaxUint32) // -1: for ever
	if far == pause {
		ours = uint64(pause / time.Millisecond)
	}
	if w.call.form != millis {
		var timeout [16]byte
		binary.LittleEndian.PutUint64(timeout[:], uint64(far/time.Second))
		if far == pause {
			part := far.Nanoseconds()
			if w.call.form == timeval {
				part = far.Microseconds()
			}
			binary.LittleEndian.PutUint64(timeout[8:], uint64(part))
		}
		if ours, ok = t.belowStack(tid, stackPointer(&r), timeout[:]); !ok {
			w.ours = false // at the very end of its stack: whichever clock is first ends it
			t.s.waits.add(w)
			return false
		}
	}
	setArgument(&r, w.call.timeout, ours)
	if setRegisters(tid, &r) != nil {
		return false
	}
	w.args[w.call.timeout] = ours
	t.rewritten[tid] = rewrite{timeout: theirs, absolute: absolute, wait: w}
	if far != 0 {
		t.s.waits.add(w)
	}
	return true
}

// belowStack writes data below the stack of a thread, below what a function may use there without
// saying so, and returns where.
func (t *tracer) belowStack(tid int, stack uint64, data []byte) (at uint64, ok bool) {
	const (
		distance = 512
		redZone  = 128 // System V ABI, AMD64 supplement, 3.2.2
	)
	at = (stack - distance) &^ 15
	if t.s.threads.store(tid, at, data) == nil {
		return at, true
	}
	// The stack of a process grows when somebody accesses what is below it: by the file, not by
	// process_vm_writev(2) (since Linux 6.5). That of a thread does not: a page that nobody may
	// access is below it.
	_, _ = t.s.threads.read(tid, at, make([]byte, 1))
	if t.s.threads.store(tid, at, data) == nil {
		return at, true
	}
	at = stack &^ (pageSize - 1)
	return at, at+uint64(len(data))+redZone <= stack && t.s.threads.store(tid, at, data) == nil
}

// farAway is later than anything that is waited for.
const farAway = 10 * 365 * 24 * time.Hour

// waitOf returns the clock of a wait and whether its time is absolute.
func (t *tracer) waitOf(w *wait) (clock int32, absolute bool) {
	switch w.nr {
	case unix.SYS_CLOCK_NANOSLEEP:
		w.call = sleepCall
		return int32(w.args[0]), w.args[sleepFlags]&timerAbsolute != 0
	case unix.SYS_FUTEX:
		w.call = futexCall
		operation := uint32(w.args[futexOperation])
		if absolute = operation&futexCommand != futexWait; absolute && (operation&futexRealtime != 0 || operation&futexCommand == futexLockPI) {
			return clockRealtime, true
		}
		return clockMonotonic, absolute
	}
	w.call = t.s.waits.calls[w.nr]
	return clockMonotonic, false
}

// restore gives a thread back what rewrite took, when its call is over. If the
// call was interrupted to be ended, it is.
func (t *tracer) restore(tid int) {
	was, ok := t.rewritten[tid]
	if !ok {
		return
	}
	delete(t.rewritten, tid)
	var r registers
	if getRegisters(tid, &r) != nil {
		return
	}
	w := was.wait
	restoreArgument(&r, w.call.timeout, was.timeout)
	switch v := returned(&r); {
	case v != restartSys && v != restartNoIntr && v != restartNoHand && v != restartBlock && (v != -int64(unix.EINTR) || t.ending[tid] != w): // it has ended by itself
		t.clearEnding(tid)
		t.s.waits.forgetThread(tid)
		t.writeRemaining(was, false)
	case t.ending[tid] == w:
		t.clearEnding(tid)
		setReturned(&r, w.call.expired)
		t.writeRemaining(was, false)
		if !t.emptySets(w) {
			setReturned(&r, -int64(unix.EFAULT))
		}
	case v == restartBlock: // by restart_syscall(2), unless a handler is called
		t.s.waits.goesOn(w, was.timeout)
		t.writeRemaining(was, true)
	default: // as from the startOrder, unless a handler is called
		t.s.waits.forgetThread(tid)
		t.writeRemaining(was, true)
	}
	_ = setRegisters(tid, &r) // fails if it was killed meanwhile
}

// writeRemaining writes how much is left of a wait where the kernel, which knows of
// another time-out, would: select(2) and its kin change their argument, sleeps
// that a signal interrupts have a separate one for it.
func (t *tracer) writeRemaining(was rewrite, interrupted bool) {
	w, at := was.wait, was.timeout
	switch name := w.call.name; {
	case was.absolute:
		return
	case name == "nanosleep" || name == "clock_nanosleep":
		if at = w.args[w.call.timeout+1]; !interrupted || at == 0 {
			return
		}
	case name != "select" && name != "pselect6" && name != "ppoll":
		return
	}
	left := max(0, w.due-t.s.clocks.lab())
	seconds, part := left/1e9, left%1e9
	if w.call.form == timeval {
		part /= 1000
	}
	data := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(seconds)), uint64(part))
	_ = t.s.threads.store(w.tid, at, data) // as little as the kernel minds: it may be read only
}

func ptrace(request, tid, data int) error {
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), 0, uintptr(data), 0, 0); errno != 0 {
		return errno
	}
	return nil
}
