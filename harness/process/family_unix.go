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

// A family is the child and what it starts.
type family struct {
	ownGroup   bool // the child leads a process group
	background bool
	child      *os.Process

	mu     sync.Mutex
	asked  map[int]identity // to end, by process id
	groups map[int]bool     // that are led by members, and stay theirs when the leader has ended
}

// A member is a process.
type member struct {
	pid, parent, group int
	identity
	ended bool // but not yet waited for
}

// An identity tells a process from a later one with its id, and from what it was
// before it executed another program: a shell that has just forked may lose the
// signal that asks it to end, and become the program it was to start.
type identity struct {
	start   int64
	program string
}

func newFamily(background bool) *family {
	return &family{background: background, ownGroup: background || !hasTerminal()}
}

// hasTerminal tells whether there is a terminal that wiemu shares with the child,
// on whatever file it is: programs open /dev/tty when their input is a pipe.
func hasTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	return tty.Close() == nil
}

func (f *family) prepare(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: f.ownGroup}
	dieWithParent(cmd.SysProcAttr)
}

func (f *family) adopt(child *os.Process) error {
	f.child = child
	return nil
}

// ask asks every member to end, kill makes them.
func (f *family) ask()  { f.signal(unix.SIGTERM) }
func (f *family) kill() { f.signal(unix.SIGKILL) }

func (f *family) signal(s unix.Signal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	members := f.members() // before the child ends, and they are nobody's
	if f.ownGroup {
		_ = unix.Kill(-f.child.Pid, s)
	} else {
		_ = f.child.Signal(s)
	}
	for _, m := range members {
		if !f.ownGroup || m.group != f.child.Pid {
			_ = unix.Kill(m.pid, s)
		}
	}
}

// sweep ends what an ended child left behind: its group, and whoever was asked
// to end with it. Whoever shares a terminal with it may start things that are
// meant to stay.
func (f *family) sweep(grace time.Duration) {
	deadline := time.Now().Add(grace) // wall time: the processes live in it
	for f.reach(unix.SIGTERM, true) > 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	const rounds = 100 // what cannot be killed in half a second sits in the kernel
	for n := 0; f.reach(unix.SIGKILL, false) > 0 && n < rounds; n++ {
		time.Sleep(5 * time.Millisecond)
	}
}

// reach sends a signal to every living member but the child, or only to those
// that no signal has reached yet, and counts the living.
func (f *family) reach(s unix.Signal, onlyNew bool) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := maps.Clone(f.asked)
	members := f.members()
	for _, m := range members {
		if !onlyNew || before[m.pid] != m.identity {
			_ = unix.Kill(m.pid, s)
		}
	}
	return len(members)
}

// members lists, and remembers as asked, the living processes that come from the
// child or a member, or are in a group that one of them leads; f.mu is held. So
// what a member starts while it is being ended is a member too.
func (f *family) members() []member {
	if f.asked == nil {
		f.asked, f.groups = map[int]identity{}, map[int]bool{}
		f.groups[f.child.Pid] = f.ownGroup
	}
	all := processes()
	ours := map[int]bool{f.child.Pid: true}
	for grown := true; grown; {
		grown = false
		for _, m := range all {
			asked, known := f.asked[m.pid]
			known = known && asked.start == m.start
			if ours[m.pid] || !ours[m.parent] && !f.groups[m.group] && !known {
				continue
			}
			ours[m.pid], grown = true, true
			f.asked[m.pid] = m.identity
			f.groups[m.pid] = f.groups[m.pid] || m.group == m.pid
		}
	}
	return slices.DeleteFunc(all, func(m member) bool { return m.ended || m.pid == f.child.Pid || !ours[m.pid] })
}
