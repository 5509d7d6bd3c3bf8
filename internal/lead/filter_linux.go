//go:build amd64 || arm64

package lead

import (
	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/seccomp"
)

// Blocks are the part of a seccomp filter that has the supervisor asked about the network:
// connect, and sending and receiving with an address. Before them the number of the system
// call is to be loaded; a call that is none of theirs leaves at their end. receive says
// whether receiving is among them, which Getfd wants.
//
// io_uring's operations are no system calls and would pass by. It is refused, as a kernel
// without it does, so that programs use what they use there.
func Blocks(receive bool) []unix.SockFilter {
	var p []unix.SockFilter
	block := func(nr uint32, body ...unix.SockFilter) {
		p = append(p, seccomp.Jump(unix.BPF_JEQ, nr, 0, len(body)))
		p = append(p, body...)
	}
	ifPointer := func(argument int) []unix.SockFilter { // nil: as send(2) and recv(2)
		return append(seccomp.IfPointer(argument, seccomp.Notify), seccomp.Return(seccomp.Allow))
	}
	block(unix.SYS_CONNECT, seccomp.Return(seccomp.Notify))
	block(unix.SYS_SENDTO, ifPointer(4)...)
	block(unix.SYS_SENDMSG, seccomp.Return(seccomp.Notify)) // the address is behind a pointer, where a filter cannot look
	block(unix.SYS_SENDMMSG, seccomp.Return(seccomp.Notify))
	if receive {
		block(unix.SYS_RECVFROM, ifPointer(4)...)
		block(unix.SYS_RECVMSG, seccomp.Return(seccomp.Notify))
		block(unix.SYS_RECVMMSG, seccomp.Return(seccomp.Notify))
	}
	block(unix.SYS_IO_URING_SETUP, seccomp.Return(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)))
	return p
}

// Head begins a filter: behind it, the number is loaded of a call of a 64-bit program. Of a
// 32-bit program the supervisor is asked about connections, to say that it is not led.
func Head() []unix.SockFilter {
	p := []unix.SockFilter{seccomp.Load(seccomp.Arch), seccomp.Jump(unix.BPF_JEQ, auditArch, 2+2*len(calls32), 0), seccomp.Load(seccomp.Number)}
	for _, nr := range calls32 {
		p = append(p, seccomp.Jump(unix.BPF_JEQ, nr, 0, 1), seccomp.Return(seccomp.Notify))
	}
	return append(p, seccomp.Return(seccomp.Allow), seccomp.Load(seccomp.Number))
}

// filter is a whole filter of Blocks alone. What it does not mention costs nothing: since
// Linux 5.11 the kernel remembers which numbers are always allowed and does not run it.
func filter(receive bool) []unix.SockFilter {
	return append(append(Head(), Blocks(receive)...), seccomp.Return(seccomp.Allow))
}
