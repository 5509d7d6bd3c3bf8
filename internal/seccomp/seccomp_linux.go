//go:build amd64 || arm64

// Package seccomp has the instructions of seccomp filters, which the kernel runs at each
// system call to decide what becomes of it, and installs them. What a filter decides, and
// what its listener answers, is its user's.
// Source: seccomp(2), linux/seccomp.h.
package seccomp

import "golang.org/x/sys/unix"

// Where a filter finds things: offsets in struct seccomp_data. Both architectures are
// little-endian.
const (
	Number = 0 // of the system call
	Arch   = 4
)

// Low returns the offset of the lower half of an argument of the system call, from 0 to 5.
func Low(argument int) uint32 { return uint32(16 + 8*argument) }

// High returns the offset of the upper half.
func High(argument int) uint32 { return Low(argument) + 4 }

// What becomes of a system call.
const (
	Allow  = unix.SECCOMP_RET_ALLOW
	Notify = unix.SECCOMP_RET_USER_NOTIF // who listens decides
	Trace  = unix.SECCOMP_RET_TRACE      // who traces decides
)

// Load loads 32 bits.
func Load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// Jump compares what was loaded with k (operation: unix.BPF_JEQ and the like), and skips so
// many instructions.
func Jump(operation uint16, k uint32, yes, no int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_K | operation, K: k, Jt: uint8(yes), Jf: uint8(no)}
}

// Return ends the filter.
func Return(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}

// IfPointer ends the filter with the action if an argument is not nil, and goes on behind
// its end if it is.
func IfPointer(argument int, action uint32) []unix.SockFilter {
	return []unix.SockFilter{
		Load(Low(argument)),
		Jump(unix.BPF_JEQ, 0, 0, 2),
		Load(High(argument)),
		Jump(unix.BPF_JEQ, 0, 1, 0),
		Return(action),
	}
}
