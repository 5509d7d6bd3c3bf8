//go:build amd64 || arm64

package lead

import (
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rewrite writes another address over the program's, of size bytes, and lets the kernel go
// on, which reads it only now.
func (n *Network) rewrite(c *call, at uint64, size int, family uint16, to netip.AddrPort) verdict {
	raw := formatAddress(family, to)
	if !c.IsWaiting(c.listener) {
		return nobody
	}
	if err := writeMemory(int(c.Thread), at, raw[:min(len(raw), size)]); err != nil {
		return n.unled(c, fmt.Sprintf("its memory may not be written: %v", errnoOf(err)))
	}
	return goesOn
}

// onCopy does what the program asked for on a copy of its socket.
func (n *Network) onCopy(c *call, do func(dup int) verdict) verdict {
	dup, err := c.copy()
	if err != nil {
		return n.uncopied(c, err)
	}
	if !c.IsWaiting(c.listener) {
		return nobody
	}
	return do(dup)
}

// connectCopy connects the program's socket to another address. It is the same socket, so
// non-blocking mode, epoll, options and what it is bound to stay as they are. A blocking one
// waits here no longer than it takes to be accepted by somebody on this machine.
func (n *Network) connectCopy(c *call, family uint16, to netip.AddrPort) verdict {
	return n.onCopy(c, func(dup int) verdict {
		n.remember(dup, to)
		raw := formatAddress(family, to)
		for {
			_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(dup), uintptr(unsafe.Pointer(&raw[0])), uintptr(len(raw)))
			switch {
			case errno == unix.EINTR: // a signal of ours: the connection goes on
				continue
			case errno == unix.EISCONN && !n.killable && n.isLed(dup):
				return verdict{} // a signal had the program ask again
			}
			return fails(errno)
		}
	})
}

// isLed reports whether a socket is connected to a place of ours.
func (n *Network) isLed(fd int) bool {
	peer, err := unix.Getpeername(fd)
	if err != nil {
		return false
	}
	at := plain(addressOf(peer))
	if _, ok := n.answerers.resolver(at); ok {
		return true
	}
	for _, other := range n.opts.Literals {
		if plain(other) == at {
			return true
		}
	}
	_, ok := n.arrivals.at(at)
	return ok
}

// maxData is how much of what a program sends is sent for it at a time. Programs are used
// to that less is taken than they gave.
const maxData = 1 << 20

func sendRaw(fd int, data []byte, flags int, to []byte) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(pointer(data)), uintptr(len(data)), uintptr(flags|unix.MSG_NOSIGNAL), uintptr(pointer(to)), uintptr(len(to)))
	return int(n), errno
}

// pointer is where bytes begin; nil if there are none.
func pointer(b []byte) unsafe.Pointer {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Pointer(&b[0])
}
