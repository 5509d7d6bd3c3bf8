//go:build amd64 || arm64

package timeshift

import "golang.org/x/sys/unix"

// A timeForm is the form in which a system call takes its time-out.
type timeForm int

const (
	millis   timeForm = iota // an int; negative: for ever
	timespec                 // a pointer to seconds and nanoseconds; nil: for ever
	timeval                  // a pointer to seconds and microseconds; nil: for ever
)

// A waitCall is a system call that waits at most for a time.
type waitCall struct {
	name    string
	timeout int // which argument says how long
	form    timeForm
	expired int64 // what it returns when the time is over
}

// waitCalls are the system calls with a relative time-out, besides nanosleep,
// clock_nanosleep and futex, which each have something of their own. Those that
// only one architecture has are in archWaitCalls.
func waitCalls() map[int32]waitCall {
	calls := map[int32]waitCall{
		unix.SYS_PPOLL:           {"ppoll", 2, timespec, 0},
		unix.SYS_PSELECT6:        {"pselect6", 4, timespec, 0},
		unix.SYS_EPOLL_PWAIT:     {"epoll_pwait", 3, millis, 0},
		unix.SYS_EPOLL_PWAIT2:    {"epoll_pwait2", 3, timespec, 0},
		unix.SYS_RT_SIGTIMEDWAIT: {"rt_sigtimedwait", 2, timespec, -int64(unix.EAGAIN)},
		unix.SYS_SEMTIMEDOP:      {"semtimedop", 3, timespec, -int64(unix.EAGAIN)},
		unix.SYS_NANOSLEEP:       {"nanosleep", 0, timespec, 0},
	}
	for nr, c := range archWaitCalls {
		calls[nr] = c
	}
	return calls
}

// The operations of futex(2) that wait. Those in absoluteFutex say until when,
// FUTEX_WAIT for how long.
const (
	futexWait      = 0
	futexCommand   = 0x7f // without the flags
	futexRealtime  = 0x100
	futexTimeout   = 3 // argument
	futexOperation = 1 // argument
)

// futexCall waits as its operation says.
var futexCall = waitCall{"futex", futexTimeout, timespec, -int64(unix.ETIMEDOUT)}

// Arguments of clock_nanosleep(2): the clock, then whether the time is absolute.
const (
	sleepFlags    = 1 // argument
	timerAbsolute = 1 // TIMER_ABSTIME
)

var sleepCall = waitCall{"clock_nanosleep", 2, timespec, 0}

var absoluteFutex = map[uint32]bool{6: true, 9: true, 11: true, 13: true} // LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2

// futexLockPI has its time-out on CLOCK_REALTIME whatever its flags.
const futexLockPI = 6

// The clocks that are shifted. Source: linux/time.h.
const (
	clockRealtime       = 0
	clockMonotonic      = 1
	clockMonotonicRaw   = 4
	clockRealtimeCoarse = 5
	clockMonotonicRough = 6
	clockBoottime       = 7
	clockRealtimeAlarm  = 8
	clockBoottimeAlarm  = 9
	clockTAI            = 11
)

// isWall reports whether a clock shows the date.
func isWall(id int32) bool {
	return id == clockRealtime || id == clockRealtimeCoarse || id == clockRealtimeAlarm || id == clockTAI
}

// isMonotonic reports whether a clock counts from some startOrder, whatever the date.
func isMonotonic(id int32) bool {
	return id == clockMonotonic || id == clockMonotonicRaw || id == clockMonotonicRough || id == clockBoottime || id == clockBoottimeAlarm
}

// What an interrupted system call returns to the kernel itself. Source:
// include/linux/errno.h.
const (
	restartSys    = -512
	restartNoIntr = -513
	restartNoHand = -514
	restartBlock  = -516
)
