//go:build amd64 || arm64

package timeshift

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wakeUpSignal ends the tracer's wait4(2). The runtime has a handler for it, which does nothing.
const wakeUpSignal = unix.SIGIO

// kernelSigaction is struct sigaction of the kernel (arch/x86 and arm64, uapi/asm/signal.h); on
// arm64 the restorer is there as well.
type kernelSigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

const restartsCalls = 0x10000000 // SA_RESTART

// prepareSignals prepares the process for a tracer that waits in wait4(2). SIGCHLD is ignored, as it is by
// default, so that a traced thread that stops interrupts no other thread. wakeUpSignal interrupts wait4(2):
// it does not restart calls, as the runtime has it, and is not blocked, as whoever started us may
// have had it. Call it on the tracer's thread.
func prepareSignals() error {
	if err := sigaction(unix.SIGCHLD, func(a *kernelSigaction) { a.handler = 0 }); err != nil { // SIG_DFL
		return err
	}
	if err := sigaction(wakeUpSignal, func(a *kernelSigaction) { a.flags &^= restartsCalls }); err != nil {
		return err
	}
	return unix.PthreadSigmask(unix.SIG_UNBLOCK, signalSet(wakeUpSignal), nil)
}

func signalSet(signal unix.Signal) *unix.Sigset_t {
	var set unix.Sigset_t
	bit := uint(signal) - 1
	set.Val[bit/64] |= 1 << (bit % 64)
	return &set
}

// sigaction changes what is done at a signal.
func sigaction(signal unix.Signal, change func(*kernelSigaction)) error {
	var action kernelSigaction
	const size = unsafe.Sizeof(action.mask)
	if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(signal), 0, uintptr(unsafe.Pointer(&action)), size, 0, 0); errno != 0 {
		return errno
	}
	change(&action)
	if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(signal), uintptr(unsafe.Pointer(&action)), 0, size, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// wakeUp ends the tracer's wait, if it waits; false: it does not trace any more.
func (t *tracer) wakeUp() bool {
	thread := t.thread.Load()
	return thread != 0 && unix.Tgkill(os.Getpid(), int(thread), wakeUpSignal) == nil
}
