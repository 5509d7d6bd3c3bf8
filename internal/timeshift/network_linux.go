//go:build amd64 || arm64

package timeshift

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/seccomp"
)

// network leads the connections of a program on the lab clock. A program can have one
// listener for its system calls, so the supervisor that answers about time decides about
// them as well.
type network struct {
	*lead.Network

	mu       sync.Mutex // held while a call is taken from the listener
	listener int        // -1: not there yet
	asking   map[int]int
	led      lead.Report
}

func newNetwork(opts lead.Options) (*network, error) {
	n := &network{listener: -1, asking: map[int]int{}}
	var err error
	n.Network, err = lead.NewNetwork(opts, func(u lead.Unled) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.led.Unled = append(n.led.Unled, u)
	})
	return n, err
}

// choose returns the way in which the connections of a process are led. We trace it, so its
// memory may be written.
func (n *network) choose(pid int) lead.Way {
	way, _ := lead.WayTo(pid)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.led.Way = way
	return way
}

// use says that the filter is installed.
func (n *network) use(listener int, killable bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listener = listener
	n.Use(n.led.Way, killable)
}

// end hands over all connections that the program made, and returns the report.
func (n *network) end() lead.Report {
	n.End()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.led
}

// receive takes a system call from the listener. Between the kernel's note of it and ours
// asks does not look.
func (n *network) receive(q *seccomp.Notification) unix.Errno {
	files := []unix.PollFd{{Fd: int32(n.listener), Events: unix.POLLIN}}
	switch _, err := unix.Poll(files, -1); {
	case err != nil:
		return unix.EINTR
	case files[0].Revents&unix.POLLIN == 0:
		return unix.EPIPE // no process is left
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	errno := seccomp.Receive(n.listener, q)
	if errno == 0 && lead.IsCall(q.Arch, q.Number) {
		n.asking[int(q.Thread)]++
	}
	return errno
}

// answer decides about a call.
func (n *network) answer(q *seccomp.Notification) {
	tid := int(q.Thread)
	n.Take(n.listener, *q, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.asking[tid]--; n.asking[tid] == 0 {
			delete(n.asking, tid)
		}
	})
}

// asks reports whether a thread that is blocked in a system call waits for our answer there.
func (n *network) asks(tid int, nr int32) bool {
	if !lead.IsCall(auditArch, nr) {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asking[tid] > 0 {
		return true
	}
	files := []unix.PollFd{{Fd: int32(n.listener), Events: unix.POLLIN}} // -1 is passed over
	ready, err := unix.Poll(files, 0)
	return err != nil || ready > 0 && files[0].Revents&unix.POLLIN != 0
}

// next waits for a system call that the kernel tells of.
func (s *supervisor) next(listener int, q *seccomp.Notification) unix.Errno {
	if s.network != nil {
		return s.network.receive(q)
	}
	return seccomp.Receive(listener, q)
}

// isBusy reports whether something is being done for the program of which the kernel does not
// know.
func (s *supervisor) isBusy() bool {
	return s.tracer.busy.Load() != 0 || s.network != nil && s.network.Busy()
}

// known reports whether a thread that is blocked in a system call does not wait for our answer
// there.
func (s *supervisor) known(tid int, nr int32, args [6]uint64) bool {
	if s.network != nil && s.network.asks(tid, nr) {
		return false
	}
	return s.waits.known(tid, nr, args)
}
