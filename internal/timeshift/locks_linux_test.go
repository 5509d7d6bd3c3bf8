//go:build amd64 || arm64

package timeshift

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/seccomp/seccomptest"
)

// Whoever looks at the threads holds their lock and wants that of the waits; who asks for the next
// wait holds that of the waits. A program that asks for a name during a turn has both done at once.
func TestTheNextWaitIsFoundWhileThreadsAreLookedAt(t *testing.T) {
	const tid, due = 7, 5
	ts := newThreads()
	ts.byID[tid] = &thread{process: tid, isIn: true, nr: noCall}
	ws := &waits{byKey: map[waitKey]*wait{{thread: tid}: {tid: tid, due: due}}}
	mayWaitIn := ts.mayWaitIn()
	ts.mu.Lock()
	defer ts.mu.Unlock()
	found := make(chan int64)
	go func() { found <- ws.next(0, mayWaitIn) }()
	select {
	case next := <-found:
		if next != due {
			t.Errorf("expected %d, found %d", due, next)
		}
	case <-time.After(10 * time.Second): // wall time: they wait for each other
		t.Fatal("the next wait was not found while the threads were looked at")
	}
}

// A nap that the kernel ends may be over just after all were found at rest, and the thread waits
// until another time by then. That wait is not to be forgotten: nobody would end it.
func TestAWaitThatBeganAfterTheLookIsNotForgotten(t *testing.T) {
	seccomptest.NeedListeners(t) // under emulation, the program's calls have the numbers of another processor
	cmd := exec.Command(need(t, "sleep"), "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	pid := cmd.Process.Pid
	w := &wait{tid: pid, call: waitCall{timeout: 2}, due: 5}
	for blocked := false; !blocked || w.nr != unix.SYS_CLOCK_NANOSLEEP; {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
		if err != nil {
			t.Fatal(err)
		}
		w.nr, w.args, blocked = parseCall(line)
	}
	ts := newThreads()
	ts.byID[pid] = &thread{process: pid, isIn: true, nr: unix.SYS_NANOSLEEP} // at the last look
	ws := &waits{byKey: map[waitKey]*wait{{thread: pid}: w}}
	if next := ws.next(0, ts.mayWaitIn()); next != w.due {
		t.Errorf("expected the wait until %d, found %d", w.due, next)
	}
	w.nr = unix.SYS_NANOSLEEP // one that is over: it waits in another call
	ts.byID[pid].nr = unix.SYS_FUTEX
	if next := ws.next(0, ts.mayWaitIn()); next != 0 {
		t.Errorf("expected no wait, found one until %d", next)
	}
}

// What was done for a thread is over, and the thread has gone on, just after it was found where it had
// been at rest before: it is not at rest.
func TestAThreadThatGoesOnAfterTheLookIsNotAtRest(t *testing.T) {
	seccomptest.NeedListeners(t) // as above
	cmd := exec.Command(need(t, "cat"))
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = input.Close() }()
	ts := newThreads()
	ts.byID[cmd.Process.Pid] = &thread{process: cmd.Process.Pid}
	looks, goesOn := 0, false
	blocked := func(_ int, nr int32, _ [6]uint64) bool {
		looks++
		return nr == unix.SYS_READ
	}
	never := func() bool { return false }
	if quiet, _ := ts.quiet(never, func() {}, never, blocked); !quiet {
		t.Fatal("cat is not at rest")
	}
	rested := ts.rested
	looks = 0
	isBusy := func() bool { // until after the first look
		if looks > 0 && !goesOn {
			goesOn = true
			if _, err := input.Write([]byte("x")); err != nil {
				t.Error(err)
			}
			for now, all := ts.activity(blocked); !all || now == rested; now, all = ts.activity(blocked) {
				nap(time.Millisecond) // wall time: it reads
			}
			looks = 1
		}
		return !goesOn
	}
	if quiet, _ := ts.quiet(never, func() {}, isBusy, blocked); !quiet || looks < 2 || ts.rested == rested {
		t.Errorf("quiet %v after %d looks, at rest with %d timeslices as with %d before", quiet, looks, ts.rested, rested)
	}
}
