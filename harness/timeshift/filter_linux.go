//go:build amd64 || arm64

package timeshift

import "golang.org/x/sys/unix"

// Where the filter finds things. Source: struct seccomp_data, linux/seccomp.h.
// Both architectures are little-endian.
const (
	dataNumber = 0
	dataArch   = 4
)

func dataLow(argument int) uint32  { return uint32(16 + 8*argument) }
func dataHigh(argument int) uint32 { return uint32(16 + 8*argument + 4) }

type program []unix.SockFilter

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func jump(operation uint16, k uint32, yes, no int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_K | operation, K: k, Jt: uint8(yes), Jf: uint8(no)}
}

func result(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }

const (
	allow  = unix.SECCOMP_RET_ALLOW
	notify = unix.SECCOMP_RET_USER_NOTIF
	trace  = unix.SECCOMP_RET_TRACE
)

// filter decides which system calls the supervisor sees. Everything that is
// neither about time nor a wait with a time-out goes by untouched.
func filter(wallOnly bool) []unix.SockFilter {
	// One block a system call; each ends by itself, and is jumped over as a whole.
	var p program
	block := func(nr int32, body ...unix.SockFilter) {
		p = append(p, jump(unix.BPF_JEQ, uint32(nr), 0, len(body)))
		p = append(p, body...)
	}
	p = append(p, load(dataArch), jump(unix.BPF_JEQ, auditArch, 1, 0), result(allow), load(dataNumber))
	block(unix.SYS_CLOCK_GETTIME, ifClock(wallOnly)...)
	block(unix.SYS_GETTIMEOFDAY, result(notify))
	if sysTime >= 0 {
		block(sysTime, result(notify))
	}
	if !wallOnly {
		block(unix.SYS_FUTEX, ifFutexWaits()...)
		block(unix.SYS_CLOCK_NANOSLEEP, result(trace))
		for nr, c := range waitCalls() {
			if c.form == millis {
				block(nr, ifMillis(c.timeout)...)
			} else {
				block(nr, append(ifPointer(c.timeout, trace), result(allow))...)
			}
		}
	}
	return append(p, result(allow))
}

// ifClock notifies of the clocks that are shifted.
func ifClock(wallOnly bool) []unix.SockFilter {
	var ids []uint32
	for id := int32(0); id <= clockTAI; id++ {
		if isWall(id) || isMonotonic(id) && !wallOnly {
			ids = append(ids, uint32(id))
		}
	}
	body := []unix.SockFilter{load(dataLow(0))}
	for i, id := range ids {
		body = append(body, jump(unix.BPF_JEQ, id, len(ids)-i, 0))
	}
	return append(body, result(allow), result(notify))
}

// ifMillis traces if an int argument is above zero.
func ifMillis(argument int) []unix.SockFilter {
	return []unix.SockFilter{
		load(dataLow(argument)),
		jump(unix.BPF_JEQ, 0, 1, 0),
		jump(unix.BPF_JSET, 1<<31, 0, 1),
		result(allow),
		result(trace),
	}
}

// ifPointer does something if a pointer is not nil, and goes on behind its end otherwise.
func ifPointer(argument int, do uint32) []unix.SockFilter {
	return []unix.SockFilter{
		load(dataLow(argument)),
		jump(unix.BPF_JEQ, 0, 0, 2),
		load(dataHigh(argument)),
		jump(unix.BPF_JEQ, 0, 1, 0),
		result(do),
	}
}

// ifFutexWaits traces the operations that wait, if they do for some time or until
// some time.
func ifFutexWaits() []unix.SockFilter {
	waits := append(ifPointer(futexTimeout, trace), result(allow))
	body := []unix.SockFilter{
		load(dataLow(futexOperation)),
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: futexCommand},
	}
	n := 0
	for operation := range uint32(futexCommand) {
		if operation == futexWait || absoluteFutex[operation] {
			// the others of these, then the way out, are in between
			body = append(body, jump(unix.BPF_JEQ, operation, len(absoluteFutex)-n+1, 0))
			n++
		}
	}
	body = append(body, result(allow))
	return append(body, waits...)
}
