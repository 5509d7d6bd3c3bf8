//go:build amd64 || arm64

package timeshift

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// threads are those of the program and of what it has started.
type threads struct {
	mu       sync.Mutex
	byID     map[int]*thread
	memories map[int]*os.File // of processes, by their ids: open, since opening costs more than all the rest
	counters map[int]uint64   // where processes count how often they read the clock page
	awake    int              // the thread that was found awake last
	rested   uint64           // timeslices of all when they were last at rest; 0: not known, or there are others since
}

type thread struct {
	process                 int
	asked                   uint64   // how often it was told the time
	state, timeslices, call *os.File // stat, schedstat and syscall of /proc/PID/task/TID; nil: not opened yet
	stopped                 bool     // by job control

	count uint64 // timeslices at the last look
	isIn  bool   // nr and args are the system call in which it was blocked then
	nr    int32
	args  [6]uint64
}

func newThreads() *threads {
	return &threads{byID: map[int]*thread{}, memories: map[int]*os.File{}, counters: map[int]uint64{}}
}

func (ts *threads) add(tid int) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.byID[tid] == nil {
		ts.byID[tid] = &thread{process: processOf(tid)}
		ts.rested = 0
	}
}

// processes lists those that have not ended.
func (ts *threads) processes() []int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var pids []int
	for _, t := range ts.byID {
		pids = append(pids, t.process)
	}
	slices.Sort(pids)
	return slices.DeleteFunc(slices.Compact(pids), func(pid int) bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		return err != nil || bytes.Contains(status, []byte("\nState:\tZ")) || bytes.Contains(status, []byte("\nState:\tX")) // of which we have not heard yet
	})
}

// stopped records that job control has stopped or continued a thread.
func (ts *threads) stopped(tid int, stopped bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.byID[tid]; t != nil {
		t.stopped = stopped
	}
}

func (ts *threads) forget(tid int) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.byID[tid]; t != nil {
		t.close()
		delete(ts.byID, tid)
		ts.rested = 0
	}
	ts.closeMemory(tid)
	delete(ts.counters, tid)
}

// executed says that a process has a new memory and one thread.
func (ts *threads) executed(pid int) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for tid, t := range ts.byID {
		if t.process == pid {
			t.close()
			delete(ts.byID, tid)
		}
	}
	ts.byID[pid] = &thread{process: pid}
	ts.rested = 0
	ts.closeMemory(pid)
	delete(ts.counters, pid)
}

// closeMemory closes the memory of a process; ts.mu is held.
func (ts *threads) closeMemory(pid int) {
	if m := ts.memories[pid]; m != nil {
		_ = m.Close()
		delete(ts.memories, pid)
	}
}

// countsReads records where a process counts its reads, until it executes a program.
func (ts *threads) countsReads(pid int, at uint64) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.counters[pid] = at
}

// inherit records that a process has the memory of the one that made it, or a copy.
func (ts *threads) inherit(child, parent int) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	c, p := ts.byID[child], ts.byID[parent]
	if c == nil || p == nil || c.process == p.process {
		return
	}
	if at, ok := ts.counters[p.process]; ok {
		ts.counters[c.process] = at
	}
}

func (t *thread) close() {
	for _, f := range []*os.File{t.state, t.timeslices, t.call} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// processOf returns the process that a thread belongs to; its own id if it is gone.
func processOf(tid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return tid
	}
	if _, rest, ok := bytes.Cut(status, []byte("\nTgid:\t")); ok {
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		if pid, err := strconv.Atoi(string(line)); err == nil {
			return pid
		}
	}
	return tid
}

// processOf returns the process that a thread belongs to.
func (ts *threads) processOf(tid int) int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.byID[tid]; t != nil {
		return t.process
	}
	return processOf(tid)
}

// memory is the memory of the process that a thread belongs to.
func (ts *threads) memory(tid int) (*os.File, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.byID[tid]; t != nil {
		return ts.open(t.process)
	}
	return ts.open(processOf(tid)) // the kernel has not reported it yet, or it was killed
}

// open opens the memory of a process, once; ts.mu is held.
func (ts *threads) open(pid int) (*os.File, error) {
	if m := ts.memories[pid]; m != nil {
		return m, nil
	}
	m, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err == nil {
		ts.memories[pid] = m
	}
	return m, err
}

// store puts bytes where a thread itself may write, as the kernel does with the results of a system
// call; elsewhere it fails, as that does.
func (ts *threads) store(tid int, at uint64, data []byte) error {
	local := []unix.Iovec{{Base: &data[0], Len: uint64(len(data))}}
	n, err := unix.ProcessVMWritev(tid, local, []unix.RemoteIovec{{Base: uintptr(at), Len: len(data)}}, 0)
	switch {
	case err == nil && n == len(data):
		return nil
	case err == nil || errors.Is(err, unix.EFAULT):
		return unix.EFAULT
	}
	return ts.write(tid, at, data) // refused, as by Podman's profile, or of a program that has made itself not dumpable
}

// write puts bytes into the memory of a thread, also where it may only read or execute.
func (ts *threads) write(tid int, at uint64, data []byte) error {
	m, err := ts.memory(tid)
	if err != nil {
		return err
	}
	_, err = m.WriteAt(data, int64(at)) // not by its number, which may become another file's
	return err
}

// read takes bytes from the memory of a thread.
func (ts *threads) read(tid int, at uint64, data []byte) (int, error) {
	m, err := ts.memory(tid)
	if err != nil {
		return 0, err
	}
	return m.ReadAt(data, int64(at))
}

// open opens what the kernel tells of a thread, unless that is done. ts.mu is held.
func (t *thread) open(tid int) error {
	for _, f := range []struct {
		file **os.File
		name string
	}{{&t.state, "stat"}, {&t.timeslices, "schedstat"}, {&t.call, "syscall"}} {
		if *f.file != nil {
			continue
		}
		var err error
		// Of the thread: /proc/TID is a process to the kernel, and its stat adds up all threads.
		if *f.file, err = os.Open(fmt.Sprintf("/proc/%d/task/%d/%s", t.process, tid, f.name)); err != nil {
			return err
		}
	}
	return nil
}

// hasEnded reports whether a thread has ended; nobody may have waited for that yet.
func hasEnded(tid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", tid))
	end := bytes.LastIndexByte(stat, ')')
	return err != nil || end < 0 || end+2 >= len(stat) || stat[end+2] == 'Z' || stat[end+2] == 'X'
}

// activity is how often the threads have been given a processor, and whether all
// of them wait for something in the kernel. Those that wait for our answer do not:
// known reports whether a wait with a time-out is one that we have heard of.
func (ts *threads) activity(known func(tid int, nr int32, args [6]uint64) bool) (timeslices uint64, blocked bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.byID[ts.awake]; t != nil { // most likely, it still is
		if _, blocked := ts.look(ts.awake, t, known); !blocked {
			return 0, false
		}
	}
	for tid, t := range ts.byID {
		count, blocked := ts.look(tid, t, known)
		if !blocked {
			ts.awake = tid
			return 0, false
		}
		timeslices += count
	}
	return timeslices, true
}

// look is activity for one thread; ts.mu is held.
func (ts *threads) look(tid int, t *thread, known func(tid int, nr int32, args [6]uint64) bool) (timeslices uint64, blocked bool) {
	// What a thread does may be asked of no process that has made itself not dumpable; whether it sleeps may.
	if err := t.open(tid); err != nil && !errors.Is(err, fs.ErrPermission) {
		return 0, errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) // it has ended; else there are too many files, say
	}
	var buffer [512]byte
	n, err := unix.Pread(int(t.state.Fd()), buffer[:], 0)
	if err != nil {
		return 0, true
	}
	// PID (NAME) STATE …, and a name may hold anything.
	end := bytes.LastIndexByte(buffer[:n], ')')
	if end < 0 || end+2 >= n {
		return 0, true
	}
	switch buffer[end+2] {
	case 'S': // asleep
	case 'T', 'I': // stopped by job control
	case 't': // by it as well, or by us
		if !t.stopped {
			return 0, false
		}
	case 'Z', 'X': // ended; the process that waits for that learns it from the tracer
		if tid != t.process || !ts.others(tid) {
			return 0, false
		}
		t.isIn = false
	default: // runs, reads from a disk, or is held by us
		return 0, false
	}
	asleep, count := buffer[end+2] == 'S', t.count
	if n, err = unix.Pread(int(t.timeslices.Fd()), buffer[:], 0); err == nil {
		// time on a processor, time waiting for one, timeslices
		if fields := bytes.Fields(buffer[:n]); len(fields) == 3 {
			count, _ = strconv.ParseUint(string(fields[2]), 10, 64)
		}
	}
	t.isIn = t.isIn && count == t.count // without a processor it stays where it was
	t.count = count
	if !asleep {
		return count, true
	}
	if !t.isIn {
		if n, err = unix.Pread(int(t.call.Fd()), buffer[:], 0); err != nil {
			return count, true
		}
		if t.nr, t.args, t.isIn = parseCall(buffer[:n]); !t.isIn {
			return 0, false
		}
	}
	return count, known(tid, t.nr, t.args)
}

// others reports whether a process has threads besides its first; ts.mu is held.
func (ts *threads) others(pid int) bool {
	for tid, t := range ts.byID {
		if t.process == pid && tid != pid {
			return true
		}
	}
	return false
}

// quiet waits until no thread has anything to do, or that takes too long, and reports
// whether it came to that. Since no thread was given a
// processor between two looks at which all of them waited, there was a moment at
// which all waited together; busy says what the kernel does not know of. The first of the
// two may be that of an earlier turn. begin is called before they are looked at.
//
// It ends early for a program that reads the clock again and again while time stands:
// spinning is that process then.
func (ts *threads) quiet(tooLong func() bool, begin func(), busy func() bool, known func(int, int32, [6]uint64) bool) (quiet bool, spinning int) {
	var spins spinWatch
	for pause := 20 * time.Microsecond; ; pause = min(2*pause, time.Millisecond) {
		begin()
		wasBusy := busy() // what was done for a thread may be over after the look at it
		if before, blocked := ts.activity(known); blocked && !busy() {
			if !wasBusy && ts.restedAt(before) {
				return true, 0
			}
			if after, still := ts.activity(known); still && before == after && !busy() {
				ts.rest(after)
				return true, 0
			}
		}
		if pid := spins.look(ts); pid != 0 {
			return false, pid
		}
		if tooLong() {
			return false, 0
		}
		nap(pause)
	}
}

// rest records what the threads had been given when they were at rest.
func (ts *threads) rest(timeslices uint64) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.rested = timeslices
}

// restedWith is what they had been given when they were last at rest; 0: not known.
func (ts *threads) restedWith() uint64 {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.rested
}

// restedAt reports whether they have been at rest with as much.
func (ts *threads) restedAt(timeslices uint64) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.rested == timeslices
}

// nap waits for less than a millisecond. time.Sleep takes one at least where nothing else
// goes on in the process: the runtime waits by epoll_wait(2), which counts in milliseconds.
func nap(pause time.Duration) {
	rest := unix.NsecToTimespec(pause.Nanoseconds())
	_ = unix.Nanosleep(&rest, nil) // ended by a signal: the next look is a little early
}

// mayWaitIn reports whether a thread may be in the system call of a wait: it is, or
// it runs, perhaps on its way there, or it is stopped (on arm64 the kernel has
// forgotten by then which call it will go on with).
func mayWaitIn(w *wait) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", w.tid))
	if errors.Is(err, fs.ErrPermission) { // see look
		return true
	}
	if err != nil || string(bytes.TrimSpace(line)) == endedCall {
		return false
	}
	nr, args, blocked := parseCall(line)
	return !blocked || nr == noCall || w.is(nr, args)
}

// mayWaitIn returns a function that reports whether a thread may still be in a wait: from the last look
// where that knows, otherwise from /proc. The function does not take ts.mu: it is called with the lock of waits
// held, and looking at threads takes the two in the other order.
func (ts *threads) mayWaitIn() func(*wait) bool {
	type blocked struct {
		nr   int32
		args [6]uint64
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	known := make(map[int]blocked, len(ts.byID))
	for tid, t := range ts.byID {
		if t.isIn {
			known[tid] = blocked{t.nr, t.args}
		}
	}
	return func(w *wait) bool {
		b, ok := known[w.tid]
		return ok && (b.nr == noCall || w.is(b.nr, b.args)) || mayWaitIn(w)
	}
}

// is reports whether a system call is that of the wait. A thread may go on to wait
// for ever in the same call.
func (w *wait) is(nr int32, args [6]uint64) bool {
	from, to := 0, w.call.timeout+1
	if w.call.timeout == 0 { // of a first argument that we have changed, some kernels tell the program's value (arm64)
		from = 1
	}
	return (nr == unix.SYS_RESTART_SYSCALL || nr == w.nr) && slices.Equal(args[from:to], w.args[from:to])
}

// endedCall is what the kernel says of a thread that has ended and has no stack any more: the first
// one of a process whose others live.
const endedCall = "-1 0x0 0x0"

// noCall is the number that the kernel tells of a thread that is blocked, but in none.
const noCall = -1

// parseCall reads what the kernel says of a blocked thread: NUMBER ARGUMENT …, or
// "running". Source: proc_pid_syscall(5).
func parseCall(line []byte) (nr int32, args [6]uint64, blocked bool) {
	fields := bytes.Fields(line)
	if len(fields) == 3 {
		return noCall, args, true
	}
	if len(fields) < 7 {
		return 0, args, false
	}
	n, err := strconv.Atoi(string(fields[0]))
	if err != nil {
		return 0, args, false
	}
	for i := range args {
		if args[i], err = strconv.ParseUint(string(fields[i+1]), 0, 64); err != nil {
			return 0, args, false
		}
	}
	return int32(n), args, true
}
