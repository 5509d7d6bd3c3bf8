//go:build unix

package process

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A processTree is the child and everything that it starts.
type processTree struct {
	ownGroup   bool // the child leads a process group
	background bool
	wrappers   []Wrapper
	child      *os.Process

	mu        sync.Mutex
	signalled map[int]incarnation // to end, by process id
	groups    map[int]bool        // that are led by members, and stay theirs when the leader has ended

	strangers map[int]bool // processes that were no members, at a look that was
	looked    time.Time    // less than strangerTime before
}

// strangerTime is how long a process is taken for what it was found to be, in wall time: nobody
// becomes a member who was none, and so soon no id is another process's. To read all of a machine's
// processes again costs more than most programs do that scenarios start.
const strangerTime = 100 * time.Millisecond

type member struct {
	pid, parent, group int
	incarnation
	ended bool // but not yet waited for
}

// An incarnation distinguishes a process from a later one with the same id, and from
// what it was before it executed another program: a shell that has just forked may lose
// the signal that asks it to end, and become the program it was to start.
type incarnation struct {
	start   int64
	program string
}

func newProcessTree(background bool, wrappers []Wrapper) *processTree {
	return &processTree{background: background, wrappers: wrappers, ownGroup: background || !hasTerminal()}
}

// hasTerminal reports whether there is a terminal that wiemu shares with the child,
// on whatever file it is: programs open /dev/tty when their input is a pipe.
func hasTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	return tty.Close() == nil
}

func (t *processTree) prepare(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: t.ownGroup}
	dieWithParent(cmd.SysProcAttr)
}

func (t *processTree) adopt(child *os.Process) error {
	t.child = child
	return nil
}

// terminate asks every member to end; kill forces it.
func (t *processTree) terminate() { t.signal(unix.SIGTERM) }
func (t *processTree) kill()      { t.signal(unix.SIGKILL) }

func (t *processTree) signal(s unix.Signal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	members := t.members() // before the child ends, and they have another parent
	if t.ownGroup {
		_ = unix.Kill(-t.child.Pid, s)
	} else {
		_ = t.child.Signal(s)
	}
	for _, m := range members {
		if !t.ownGroup || m.group != t.child.Pid {
			_ = unix.Kill(m.pid, s)
		}
	}
}

// sweep ends what an ended child left running: its group, and the processes that were
// asked to end with it. A child that shares the terminal may start processes that are
// meant to stay.
func (t *processTree) sweep(grace time.Duration) {
	deadline := time.Now().Add(grace) // wall time: the processes live in it
	for t.reach(unix.SIGTERM, true) > 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	const rounds = 100 // what cannot be killed in half a second sits in the kernel
	for n := 0; t.reach(unix.SIGKILL, false) > 0 && n < rounds; n++ {
		time.Sleep(5 * time.Millisecond)
	}
}

// reach sends a signal to every living member but the child, or only to those
// that no signal has reached yet, and counts the living.
func (t *processTree) reach(s unix.Signal, onlyNew bool) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := maps.Clone(t.signalled)
	members := t.members()
	for _, m := range members {
		if !onlyNew || before[m.pid] != m.incarnation {
			_ = unix.Kill(m.pid, s)
		}
	}
	return len(members)
}

// members lists, and remembers as asked, the living processes that come from the
// child or a member, or are in a group that one of them leads; t.mu is held. So
// what a member starts while it is being ended is a member too.
func (t *processTree) members() []member {
	if t.signalled == nil {
		t.signalled, t.groups = map[int]incarnation{}, map[int]bool{}
		t.groups[t.child.Pid] = t.ownGroup
	}
	if now := time.Now(); now.Sub(t.looked) > strangerTime {
		t.strangers, t.looked = map[int]bool{}, now
	}
	all := processes(t.strangers)
	ours := map[int]bool{t.child.Pid: true}
	for grown := true; grown; {
		grown = false
		for _, m := range all {
			asked, known := t.signalled[m.pid]
			known = known && asked.start == m.start
			if ours[m.pid] || !ours[m.parent] && !t.groups[m.group] && !known {
				continue
			}
			ours[m.pid], grown = true, true
			t.signalled[m.pid] = m.incarnation
			t.groups[m.pid] = t.groups[m.pid] || m.group == m.pid
		}
	}
	for _, m := range all {
		if !ours[m.pid] {
			t.strangers[m.pid] = true
		}
	}
	return slices.DeleteFunc(all, func(m member) bool { return m.ended || m.pid == t.child.Pid || !ours[m.pid] })
}
