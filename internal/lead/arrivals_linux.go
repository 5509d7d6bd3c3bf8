//go:build amd64 || arm64

package lead

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/lead/handover"
)

// arrivals is where connections to emulated names arrive. Each target of each program has an
// address there of its own, so that the local address of a connection says both.
type arrivals struct {
	port uint16
	lab  *handover.Client                     // nil: there are no emulated names
	lost func(by handover.Program, why error) // reports that a connection was not handed over

	listener *os.File
	busy     atomic.Bool // from before a connection is taken until it has been handed over
	gone     atomic.Bool // the lab takes no connections any more

	mu     sync.Mutex
	next   netip.Addr
	byWhat map[arrival]netip.Addr
	byAddr map[netip.Addr]arrival
}

// An arrival is what a connection is for.
type arrival struct {
	to handover.Target
	by handover.Program
}

// arrivalAddresses is where they have their addresses. When all are given, the oldest are
// given again: its connections have long been accepted.
var arrivalAddresses = netip.MustParsePrefix("127.78.0.0/16")

func newArrivals(lab *handover.Client, lost func(handover.Program, error)) (*arrivals, error) {
	a := &arrivals{lab: lab, lost: lost, next: arrivalAddresses.Addr().Next(), byWhat: map[arrival]netip.Addr{}, byAddr: map[netip.Addr]arrival{}}
	var err error
	if a.listener, a.port, err = listenLoopback(); err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	return a, nil
}

// listenLoopback listens on a port of every address of loopback and on no other interface,
// which needs no privilege since Linux 5.7.
func listenLoopback() (*os.File, uint16, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	file := os.NewFile(uintptr(fd), "arrivals")
	err = unix.BindToDevice(fd, "lo")
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{})
	}
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, uint16(name.(*unix.SockaddrInet4).Port), nil
}

// backlog is how many connections may wait; the system may have a lower limit.
const backlog = 4096

// address is where a connection is made to arrive.
func (a *arrivals) address(to handover.Target, by handover.Program) netip.AddrPort {
	what := arrival{to, by}
	a.mu.Lock()
	defer a.mu.Unlock()
	ip, ok := a.byWhat[what]
	if !ok {
		ip = a.next
		if a.next = ip.Next(); !arrivalAddresses.Contains(a.next.Next()) { // not the last, which is for broadcasts
			a.next = arrivalAddresses.Addr().Next()
		}
		delete(a.byWhat, a.byAddr[ip])
		a.byWhat[what], a.byAddr[ip] = ip, what
	}
	return netip.AddrPortFrom(ip, a.port)
}

// at is what arrives at an address; false: nothing.
func (a *arrivals) at(address netip.AddrPort) (arrival, bool) {
	if address.Port() != a.port {
		return arrival{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	what, ok := a.byAddr[address.Addr()]
	return what, ok
}

// serve hands over what arrives, as long as the process lives.
func (a *arrivals) serve() {
	raw, err := a.listener.SyscallConn()
	if err != nil {
		a.gone.Store(true)
		return
	}
	for {
		var fd int
		var failed error
		if err := raw.Read(func(listener uintptr) bool {
			a.busy.Store(true)
			if fd, _, failed = unix.Accept4(int(listener), unix.SOCK_CLOEXEC); errors.Is(failed, unix.EAGAIN) {
				a.busy.Store(false)
				return false
			}
			return true
		}); err != nil {
			a.gone.Store(true)
			return
		}
		if failed == nil {
			a.take(fd)
		} else if errors.Is(failed, unix.EMFILE) || errors.Is(failed, unix.ENFILE) {
			time.Sleep(time.Millisecond) // wall time: until a file is free
		}
	}
}

// take hands a connection over. What cannot be is reset: to the program the network has
// failed.
func (a *arrivals) take(fd int) {
	what, ok := arrival{}, false
	if name, err := unix.Getsockname(fd); err == nil {
		what, ok = a.at(addressOf(name))
	}
	if !ok || a.lab == nil || a.gone.Load() {
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		_ = unix.Close(fd)
		return
	}
	if err := a.lab.Accept(os.NewFile(uintptr(fd), "connection"), what.to, what.by); err != nil {
		a.lost(what.by, err)
		if errors.Is(err, handover.ErrGone) {
			a.gone.Store(true)
		}
	}
}

// drainTimeout is how long, in wall time, what has arrived may take to be with the lab.
const drainTimeout = 2 * time.Second

// drain returns when the lab has everything that has arrived.
func (a *arrivals) drain() {
	end := time.Now().Add(drainTimeout)
	for a.isBusy() && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
	}
	if a.lab == nil {
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	_ = a.lab.Settle(ctx) // it fails if the lab has ended
}

// isBusy reports whether something has arrived that has not been handed over.
func (a *arrivals) isBusy() bool {
	raw, err := a.listener.SyscallConn()
	return err == nil && hasArrived(raw) || a.busy.Load()
}

// hasArrived reports whether there is something to be taken from a socket.
func hasArrived(raw syscall.RawConn) bool {
	ready := 0
	_ = raw.Control(func(fd uintptr) { // a closed one has nothing
		ready, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	})
	return ready > 0
}
