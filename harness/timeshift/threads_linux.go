//go:build amd64 || arm64

package timeshift

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// threads are those of the program and of what it has started.
type threads struct {
	mu       sync.Mutex
	byID     map[int]*thread
	memories map[int]*os.File // of processes, by their ids: open, since opening costs more than all the rest
}

type thread struct {
	process           int
	state, timeslices *os.File // /proc/PID/stat and schedstat; nil: not opened yet
}

func newThreads() *threads { return &threads{byID: map[int]*thread{}, memories: map[int]*os.File{}} }

func (ts *threads) add(tid int) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.byID[tid] == nil {
		ts.byID[tid] = &thread{process: processOf(tid)}
	}
}

func (ts *threads) forget(tid int) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.byID[tid]; t != nil {
		t.close()
		delete(ts.byID, tid)
	}
	ts.closeMemory(tid)
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
	ts.closeMemory(pid)
}

// closeMemory closes the memory of a process; ts.mu is held.
func (ts *threads) closeMemory(pid int) {
	if m := ts.memories[pid]; m != nil {
		_ = m.Close()
		delete(ts.memories, pid)
	}
}

func (t *thread) close() {
	for _, f := range []*os.File{t.state, t.timeslices} {
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

// memory is the memory of the process that a thread belongs to.
func (ts *threads) memory(tid int) (*os.File, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.byID[tid]
	if t == nil { // the kernel has not told us of it yet
		t = &thread{process: processOf(tid)}
		ts.byID[tid] = t
	}
	if m := ts.memories[t.process]; m != nil {
		return m, nil
	}
	m, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", t.process), os.O_RDWR, 0)
	if err == nil {
		ts.memories[t.process] = m
	}
	return m, err
}

// write puts bytes into the memory of a thread.
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

// activity is how often the threads have been given a processor, and whether all
// of them wait for something in the kernel.
func (ts *threads) activity() (timeslices uint64, blocked bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	buffer := make([]byte, 512)
	for tid, t := range ts.byID {
		if t.state == nil {
			var err error
			if t.state, err = os.Open(fmt.Sprintf("/proc/%d/stat", tid)); err == nil {
				t.timeslices, err = os.Open(fmt.Sprintf("/proc/%d/schedstat", tid))
			}
			if err != nil {
				continue // it has ended
			}
		}
		n, err := unix.Pread(int(t.state.Fd()), buffer, 0)
		if err != nil {
			continue
		}
		// PID (NAME) STATE …, and a name may hold anything.
		end := bytes.LastIndexByte(buffer[:n], ')')
		if end < 0 || end+2 >= n {
			continue
		}
		switch buffer[end+2] {
		case 'S', 'Z', 'X', 'T', 'I': // asleep, ended, stopped by job control
		default: // runs, reads from a disk, or is held by us
			return 0, false
		}
		if n, err = unix.Pread(int(t.timeslices.Fd()), buffer, 0); err == nil {
			// time on a processor, time waiting for one, timeslices
			fields := bytes.Fields(buffer[:n])
			if len(fields) == 3 {
				count, _ := strconv.ParseUint(string(fields[2]), 10, 64)
				timeslices += count
			}
		}
	}
	return timeslices, true
}

// quiet waits until no thread has anything to do, at most for a time (of the wall
// clock), and reports whether it came to that. Since no thread was given a
// processor between two looks at which all of them waited, there was a moment at
// which all waited together; busy says what the kernel does not know of.
func (ts *threads) quiet(limit time.Duration, busy *atomic.Int64) bool {
	end := time.Now().Add(limit)
	for pause := 20 * time.Microsecond; ; pause = min(2*pause, time.Millisecond) {
		if before, blocked := ts.activity(); blocked && busy.Load() == 0 {
			if after, still := ts.activity(); still && before == after && busy.Load() == 0 {
				return true
			}
		}
		if time.Now().After(end) {
			return false
		}
		time.Sleep(pause)
	}
}

// waitsIn tells whether a thread is in the system call of a wait.
func waitsIn(tid int, w *wait) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", tid))
	if err != nil {
		return false
	}
	fields := bytes.Fields(line) // NUMBER ARGUMENT …, or "running"
	if len(fields) < 7 {
		return false
	}
	nr, err := strconv.Atoi(string(fields[0]))
	if err != nil || int32(nr) != w.nr && nr != unix.SYS_RESTART_SYSCALL {
		return false
	}
	first, err := strconv.ParseUint(string(fields[1]), 0, 64)
	return err == nil && first == w.args[0]
}
