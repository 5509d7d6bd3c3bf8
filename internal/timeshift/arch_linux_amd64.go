package timeshift

import "golang.org/x/sys/unix"

const (
	auditArch = 0xC000003E // AUDIT_ARCH_X86_64
	sysTime   = unix.SYS_TIME
	sysAlarm  = unix.SYS_ALARM
)

var archWaitCalls = map[int32]waitCall{
	unix.SYS_POLL:       {"poll", 2, millis, 0},
	unix.SYS_SELECT:     {"select", 4, timeval, 0},
	unix.SYS_EPOLL_WAIT: {"epoll_wait", 3, millis, 0},
}

type registers = unix.PtraceRegs

func getRegisters(tid int, r *registers) error { return unix.PtraceGetRegs(tid, r) }
func setRegisters(tid int, r *registers) error { return unix.PtraceSetRegs(tid, r) }

func stackPointer(r *registers) uint64      { return r.Rsp }
func argumentsOf(r *registers) [6]uint64    { return [6]uint64{r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9} }
func callOf(r *registers) int32             { return int32(r.Orig_rax) }
func returned(r *registers) int64           { return int64(r.Rax) }
func setReturned(r *registers, value int64) { r.Rax = uint64(value) }

// setArgument changes an argument of a call, the first being number 0.
func setArgument(r *registers, n int, value uint64) {
	*[...]*uint64{&r.Rdi, &r.Rsi, &r.Rdx, &r.R10, &r.R8, &r.R9}[n] = value
}

func restoreArgument(r *registers, n int, value uint64) { setArgument(r, n, value) }

// interrupted makes a wait that was interrupted return value instead; false: the
// thread is not in such a call any more.
func interrupted(_ int, r *registers, nr int32, value int64) bool {
	if int32(r.Orig_rax) != nr && int32(r.Orig_rax) != unix.SYS_RESTART_SYSCALL {
		return false
	}
	switch int64(r.Rax) {
	case restartSys, restartNoIntr, restartNoHand, restartBlock, -int64(unix.EINTR):
	default:
		return false
	}
	r.Rax = uint64(value)
	r.Orig_rax = ^uint64(0) // it is not to be restarted
	return true
}

// restartAlways has a call that a signal interrupted begin again after the
// signal's handler, whatever the handler says of itself: reading a clock never
// fails with EINTR. It reports whether registers were changed.
func restartAlways(r *registers) bool {
	if int64(r.Rax) != restartSys {
		return false
	}
	const always = restartNoIntr
	r.Rax = uint64(int64(always)&0xffffffff) | 0xffffffff00000000
	return true
}
