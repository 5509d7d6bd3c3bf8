//go:build amd64 || arm64

package lead

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forgetAfter is how long, in wall time, an answer may be waited for after a question.
const forgetAfter = time.Minute

// remember notes that a socket of the program asks one of our answerers: one of UDP, since
// who sends by TCP is not told with what is received.
func (n *Network) remember(dup int, at netip.AddrPort) {
	if _, ok := n.answerers.resolver(plain(at)); !ok {
		return
	}
	if kind, err := unix.GetsockoptInt(dup, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_DGRAM {
		return
	}
	var st unix.Stat_t
	if unix.Fstat(dup, &st) != nil {
		return
	}
	n.askers.Store(fmt.Sprintf("socket:[%d]", st.Ino), time.Now())
	const clean = 1024 // as often as that
	if n.asked.Add(1)%clean == 0 {
		n.askers.Range(func(name, at any) bool {
			if time.Since(at.(time.Time)) > forgetAfter {
				n.askers.Delete(name)
			}
			return true
		})
	}
}

// isAsker reports whether a thread's socket is one that asked an answerer of late.
func (n *Network) isAsker(tid, fd int) bool {
	if n.asked.Load() == 0 {
		return false
	}
	at, ok := n.askers.Load(socketOf(tid, fd))
	return ok && time.Since(at.(time.Time)) <= forgetAfter
}

// receivePoll is how often, in wall time, it is looked whether a thread still waits for what
// it receives.
const receivePoll = 50 * time.Millisecond

// receive has answers of our answerers come from the resolver that was asked: resolvers in
// programs look at that. They are received on a copy of the socket.
func (n *Network) receive(c *call) (verdict, func() verdict) {
	flags := int(c.Args[3]) // of recvfrom and recvmmsg
	if c.Number == unix.SYS_RECVMSG {
		flags = int(c.Args[2])
	}
	if flags&unix.MSG_ERRQUEUE != 0 || !n.isAsker(int(c.Thread), c.file()) {
		return goesOn, nil
	}
	dup, err := copyOf(int(c.Thread), c.file())
	if err != nil {
		return n.uncopied(c, err), nil
	}
	if !c.IsWaiting(c.listener) {
		_ = unix.Close(dup)
		return nobody, nil
	}
	v := n.receiveOn(c, dup, flags)
	mode, _ := unix.FcntlInt(uintptr(dup), unix.F_GETFL, 0)
	if v.errno != unix.EAGAIN || mode&unix.O_NONBLOCK != 0 || flags&unix.MSG_DONTWAIT != 0 {
		_ = unix.Close(dup)
		return v, nil
	}
	n.mu.Lock()
	n.waiting[dup] = true
	n.mu.Unlock()
	return verdict{}, func() verdict {
		n.waitOn(dup, func() bool { return c.IsWaiting(c.listener) }, func() verdict { return n.receiveOn(c, dup, flags) }, c.answer)
		return nobody // it has been answered, before anybody is told that nothing is to be done
	}
}

// waitOn receives on a copy of a socket that blocks, and answers, as long as somebody waits for
// that. From before a message is taken from the socket until it is with the program Busy tells
// of it, first by what the socket has.
func (n *Network) waitOn(dup int, isWaiting func() bool, receive func() verdict, answer func(verdict)) {
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.waiting, dup)
		_ = unix.Close(dup)
	}()
	var end time.Time
	if limit, err := unix.GetsockoptTimeval(dup, unix.SOL_SOCKET, unix.SO_RCVTIMEO); err == nil && limit.Nano() > 0 {
		end = time.Now().Add(time.Duration(limit.Nano()))
	}
	for {
		wait := receivePoll
		if !end.IsZero() {
			wait = min(wait, max(0, time.Until(end)))
		}
		poll := []unix.PollFd{{Fd: int32(dup), Events: unix.POLLIN}}
		ready, _ := unix.Poll(poll, int(wait.Round(time.Millisecond).Milliseconds()))
		if !isWaiting() {
			return
		}
		if ready > 0 && n.takeOne(receive, answer) {
			return
		}
		if !end.IsZero() && !time.Now().Before(end) {
			answer(fails(unix.EAGAIN))
			return
		}
	}
}

// takeOne takes a message and answers, unless there is none.
func (n *Network) takeOne(receive func() verdict, answer func(verdict)) bool {
	n.taking.Add(1)
	defer n.taking.Add(-1)
	v := receive()
	if v.errno == unix.EAGAIN {
		return false
	}
	answer(v)
	return true
}

// A received message is what recvmsg(2) tells of one.
type received struct {
	data    []byte
	size    int    // of the message, which may be more than was taken
	name    []byte // who sent it
	control []byte
	flags   int32
}

// receiveOn receives on a copy of the program's socket, without waiting.
func (n *Network) receiveOn(c *call, dup, flags int) verdict {
	tid := int(c.Thread)
	switch c.Number {
	case unix.SYS_RECVFROM:
		r, errno := n.receiveOne(dup, int(min(c.Args[2], maxData)), 0, flags)
		if errno != 0 {
			return fails(errno)
		}
		const name, size = 4, 5 // arguments
		var room [4]byte
		if readMemory(tid, c.Args[size], room[:]) != nil || writeMemory(tid, c.Args[1], r.data) != nil ||
			writeMemory(tid, c.Args[name], r.name[:min(len(r.name), int(binary.LittleEndian.Uint32(room[:])))]) != nil ||
			writeMemory(tid, c.Args[size], binary.LittleEndian.AppendUint32(nil, uint32(len(r.name)))) != nil {
			return fails(unix.EFAULT)
		}
		return verdict{value: int64(r.size)}
	case unix.SYS_RECVMSG:
		size, errno := n.receiveInto(tid, c.Args[1], dup, flags)
		if errno != 0 {
			return fails(errno)
		}
		return verdict{value: int64(size)}
	}
	done := int64(0)
	for ; done < int64(min(uint32(c.Args[2]), maxMessages)); done++ { // recvmmsg
		at := c.Args[1] + uint64(done)*messageSize
		size, errno := n.receiveInto(tid, at, dup, flags&^unix.MSG_WAITFORONE)
		if errno != 0 && done == 0 {
			return fails(errno)
		}
		if errno != 0 {
			break
		}
		if writeMemory(tid, at+headerSize, binary.LittleEndian.AppendUint32(nil, uint32(size))) != nil {
			return fails(unix.EFAULT)
		}
	}
	return verdict{value: done}
}

// receiveInto receives a message into a header of the program.
func (n *Network) receiveInto(tid int, at uint64, dup, flags int) (size int, _ unix.Errno) {
	h, err := readHeader(tid, at)
	if err != nil {
		return 0, unix.EFAULT
	}
	buffers, room, err := h.buffers(tid)
	if err != nil {
		return 0, unix.EFAULT
	}
	r, errno := n.receiveOne(dup, room, int(min(h.controlSize, maxData)), flags)
	if errno != 0 {
		return 0, errno
	}
	for rest := r.data; len(rest) > 0; buffers = buffers[1:] {
		part := rest[:min(uint64(len(rest)), buffers[0].size)]
		rest = rest[len(part):]
		if writeMemory(tid, buffers[0].at, part) != nil {
			return 0, unix.EFAULT
		}
	}
	put32 := func(at uint64, value uint32) error {
		return writeMemory(tid, at, binary.LittleEndian.AppendUint32(nil, value))
	}
	if h.name != 0 {
		if writeMemory(tid, h.name, r.name[:min(len(r.name), int(h.nameSize))]) != nil || put32(at+headerNameSize, uint32(len(r.name))) != nil {
			return 0, unix.EFAULT
		}
	}
	if writeMemory(tid, h.control, r.control) != nil ||
		writeMemory(tid, at+headerControlSize, binary.LittleEndian.AppendUint64(nil, uint64(len(r.control)))) != nil ||
		put32(at+headerFlags, uint32(r.flags)) != nil {
		return 0, unix.EFAULT
	}
	return r.size, 0
}

// receiveOne receives a message, and says that it came from the resolver that was asked.
func (n *Network) receiveOne(dup, room, controlRoom, flags int) (received, unix.Errno) {
	r := received{data: make([]byte, room), name: make([]byte, maxAddress), control: make([]byte, controlRoom)}
	vector := unix.Iovec{Base: (*byte)(pointer(r.data)), Len: uint64(room)}
	h := unix.Msghdr{Name: &r.name[0], Namelen: maxAddress, Iov: &vector, Iovlen: 1, Control: (*byte)(pointer(r.control)), Controllen: uint64(controlRoom)}
	got, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(dup), uintptr(unsafe.Pointer(&h)), uintptr(flags|unix.MSG_DONTWAIT))
	if errno != 0 {
		return received{}, errno
	}
	r.size = int(got)
	r.data, r.name, r.control, r.flags = r.data[:min(r.size, room)], r.name[:min(h.Namelen, maxAddress)], r.control[:h.Controllen], h.Flags
	if a := parseAddress(r.name); a.to.IsValid() {
		if meant, ok := n.answerers.resolver(plain(a.to)); ok {
			r.name = formatAddress(a.family, meant)
		}
	}
	return r, 0
}
