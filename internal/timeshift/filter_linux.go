//go:build amd64 || arm64

package timeshift

import (
	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/seccomp"
)

type program []unix.SockFilter

// filter decides which system calls the supervisor sees. Everything that is
// neither about time nor a wait with a time-out goes by untouched, nor about the network if
// connections are led: way is how, "" that they are not.
func filter(wallOnly bool, secret uint64, way lead.Way) []unix.SockFilter {
	const itimerReal = 0
	// One block a system call; each ends by itself, and is jumped over as a whole.
	var p program
	block := func(nr int32, body ...unix.SockFilter) {
		p = append(p, seccomp.Jump(unix.BPF_JEQ, uint32(nr), 0, len(body)))
		p = append(p, body...)
	}
	if way != "" {
		p = append(p, lead.Head()...)
	} else {
		p = append(p, seccomp.Load(seccomp.Arch), seccomp.Jump(unix.BPF_JEQ, auditArch, 1, 0), seccomp.Return(seccomp.Allow), seccomp.Load(seccomp.Number))
	}
	block(unix.SYS_CLOCK_GETTIME, ifClock(wallOnly, secret)...)
	block(unix.SYS_GETTIMEOFDAY, seccomp.Return(seccomp.Notify))
	if sysTime >= 0 {
		block(sysTime, seccomp.Return(seccomp.Notify))
	}
	if !wallOnly {
		block(unix.SYS_FUTEX, ifFutexWaits()...)
		block(unix.SYS_CLOCK_NANOSLEEP, seccomp.Return(seccomp.Trace))
		block(unix.SYS_TIMERFD_SETTIME, seccomp.Return(seccomp.Notify))
		block(unix.SYS_TIMERFD_GETTIME, seccomp.Return(seccomp.Notify))
		for _, nr := range []int32{unix.SYS_SETITIMER, unix.SYS_GETITIMER} {
			block(nr, seccomp.Load(seccomp.Low(0)), seccomp.Jump(unix.BPF_JEQ, itimerReal, 0, 1), seccomp.Return(seccomp.Notify), seccomp.Return(seccomp.Allow))
		}
		for _, nr := range []int32{unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_GETTIME, unix.SYS_TIMER_GETOVERRUN} {
			block(nr, seccomp.Return(seccomp.Notify))
		}
		if sysAlarm >= 0 {
			block(sysAlarm, seccomp.Return(seccomp.Notify))
		}
		for nr, c := range waitCalls() {
			if c.form == millis {
				block(nr, ifMillis(c.timeout)...)
			} else {
				block(nr, append(seccomp.IfPointer(c.timeout, seccomp.Trace), seccomp.Return(seccomp.Allow))...)
			}
		}
	}
	if way != "" {
		p = append(p, lead.Blocks(way == lead.Getfd)...)
	}
	return append(p, seccomp.Return(seccomp.Allow))
}

// ifClock notifies of the clocks that are shifted, but lets calls of the code that reads the
// clock page pass, and traces its call with which it tells where the page is.
func ifClock(wallOnly bool, secret uint64) []unix.SockFilter {
	const secretArgument = 5
	return append([]unix.SockFilter{
		seccomp.Load(seccomp.Low(secretArgument)),
		seccomp.Jump(unix.BPF_JEQ, uint32(secret), 0, 6),
		seccomp.Load(seccomp.High(secretArgument)),
		seccomp.Jump(unix.BPF_JEQ, uint32(secret>>32), 0, 4),
		seccomp.Load(seccomp.Low(0)),
		seccomp.Jump(unix.BPF_JEQ, attachClock, 1, 0),
		seccomp.Return(seccomp.Allow),
		seccomp.Return(seccomp.Trace),
	}, ifShifted(wallOnly, seccomp.Notify)...)
}

// ifShifted does something if the first argument is a clock that is shifted.
func ifShifted(wallOnly bool, do uint32) []unix.SockFilter {
	var ids []uint32
	for id := int32(0); id <= clockTAI; id++ {
		if isWall(id) || isMonotonic(id) && !wallOnly {
			ids = append(ids, uint32(id))
		}
	}
	body := []unix.SockFilter{seccomp.Load(seccomp.Low(0))}
	for i, id := range ids {
		body = append(body, seccomp.Jump(unix.BPF_JEQ, id, len(ids)-i, 0))
	}
	return append(body, seccomp.Return(seccomp.Allow), seccomp.Return(do))
}

// ifMillis traces if an int argument is above zero.
func ifMillis(argument int) []unix.SockFilter {
	return []unix.SockFilter{
		seccomp.Load(seccomp.Low(argument)),
		seccomp.Jump(unix.BPF_JEQ, 0, 1, 0),
		seccomp.Jump(unix.BPF_JSET, 1<<31, 0, 1),
		seccomp.Return(seccomp.Allow),
		seccomp.Return(seccomp.Trace),
	}
}

// ifFutexWaits traces the operations that wait, if they do for some time or until
// some time.
func ifFutexWaits() []unix.SockFilter {
	waits := append(seccomp.IfPointer(futexTimeout, seccomp.Trace), seccomp.Return(seccomp.Allow))
	body := []unix.SockFilter{
		seccomp.Load(seccomp.Low(futexOperation)),
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: futexCommand},
	}
	n := 0
	for operation := range uint32(futexCommand) {
		if operation == futexWait || absoluteFutex[operation] {
			// the others of these, then the way out, are in between
			body = append(body, seccomp.Jump(unix.BPF_JEQ, operation, len(absoluteFutex)-n+1, 0))
			n++
		}
	}
	body = append(body, seccomp.Return(seccomp.Allow))
	return append(body, waits...)
}
