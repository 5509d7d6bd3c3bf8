package timeshift

import (
	"golang.org/x/sys/unix"
)

const (
	auditArch = 0xC00000B7 // AUDIT_ARCH_AARCH64
	sysTime   = -1         // there is none
	sysAlarm  = -2         // the same
)

var archWaitCalls = map[int32]waitCall{}

type registers = unix.PtraceRegsArm64

const (
	prStatus = 1          // NT_PRSTATUS
	svc      = 0xd4000001 // the instruction of a system call: svc #0
)

func getRegisters(tid int, r *registers) error { return unix.PtraceGetRegSetArm64(tid, prStatus, r) }
func setRegisters(tid int, r *registers) error { return unix.PtraceSetRegSetArm64(tid, prStatus, r) }

func stackPointer(r *registers) uint64      { return r.Sp }
func argumentsOf(r *registers) [6]uint64    { return [6]uint64(r.Regs[:6]) }
func callOf(r *registers) int32             { return int32(r.Regs[8]) }
func returned(r *registers) int64           { return int64(r.Regs[0]) }
func setReturned(r *registers, value int64) { r.Regs[0] = uint64(value) }

// setArgument changes an argument of a call, the first being number 0.
func setArgument(r *registers, n int, value uint64) { r.Regs[n] = value }

// restoreArgument does that when the call is over: the result has taken the place
// of the first, which the kernel keeps itself in case it starts the call again.
func restoreArgument(r *registers, n int, value uint64) {
	if n > 0 {
		r.Regs[n] = value
	}
}

// interrupted makes a wait that was interrupted return value instead; false: the
// thread is not in such a call any more. When a tracer sees an interrupted call,
// the kernel has already gone back to its instruction, unless the call is one
// that is never restarted. Source: arch/arm64/kernel/signal.c, do_signal.
func interrupted(tid int, r *registers, nr int32, value int64) bool {
	if int32(r.Regs[8]) != nr && int32(r.Regs[8]) != unix.SYS_RESTART_SYSCALL {
		return false
	}
	switch {
	case instruction(tid, r.Pc) == svc:
		r.Pc += 4
	case instruction(tid, r.Pc-4) == svc && int64(r.Regs[0]) == -int64(unix.EINTR):
	default:
		return false
	}
	r.Regs[0] = uint64(value)
	return true
}

func instruction(tid int, at uint64) uint32 {
	var code [4]byte
	if n, err := unix.PtracePeekText(tid, uintptr(at), code[:]); err != nil || n != len(code) {
		return 0
	}
	return uint32(code[0]) | uint32(code[1])<<8 | uint32(code[2])<<16 | uint32(code[3])<<24
}

// restartAlways is not possible here: the kernel has decided before a tracer is asked.
func restartAlways(*registers) bool { return false }
