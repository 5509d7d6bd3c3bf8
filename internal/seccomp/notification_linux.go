package seccomp

import (
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Program returns instructions, of a filter of system calls or of packets, as the kernel takes them.
func Program(instructions ...bpf.Instruction) (*unix.SockFprog, error) {
	program, err := bpf.Assemble(instructions)
	if err != nil {
		return nil, err
	}
	filter := make([]unix.SockFilter, len(program))
	for i, p := range program {
		filter[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	return &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}, nil
}

// A Notification tells of a system call that waits for an answer. It is the kernel's struct
// seccomp_notif (linux/seccomp.h).
type Notification struct {
	ID     uint64
	Thread uint32
	_      uint32 // flags; there are none
	Number int32
	Arch   uint32
	_      uint64 // the instruction's address
	Args   [6]uint64
}

// A Response answers one. It is the kernel's struct seccomp_notif_resp.
type Response struct {
	ID    uint64
	Value int64
	Errno int32  // negative, 0 if the call does not fail
	Flags uint32 // unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE if the kernel goes on with the call
}

// Receive waits for a system call. n must be zero: the kernel demands it. It fails with ENOENT if the
// thread was interrupted meanwhile, and with EPIPE if no process has the filter any more. (The kernel
// returns ENOENT for both, for the second since Linux 6.11; before, the call blocks.)
func Receive(listener int, n *Notification) unix.Errno {
	errno := control(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(n))
	if errno == unix.ENOENT && isAbandoned(listener) {
		return unix.EPIPE
	}
	return errno
}

// isAbandoned reports whether no process has a listener's filter any more.
func isAbandoned(listener int) bool {
	files := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
	n, err := unix.Poll(files, 0)
	return err == nil && n > 0 && files[0].Revents&unix.POLLHUP != 0
}

// Send answers a system call. It fails if the thread is gone, or waits no more.
func Send(listener int, r *Response) unix.Errno {
	return control(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(r))
}

// IsWaiting reports whether the thread still waits: until then its id is its own, and what was
// read of it is what it asked for.
func (n *Notification) IsWaiting(listener int) bool {
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_ID_VALID, uintptr(unsafe.Pointer(&n.ID)))
	return errno == 0 // RawSyscall: it does not block
}

func control(listener int, request uintptr, about unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), request, uintptr(about))
	return errno
}
