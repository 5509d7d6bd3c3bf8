//go:build amd64 || arm64

package seccomp

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrOld is the error of Install where calls cannot be made killable.
var ErrOld = errors.New("writing into a program that waits needs Linux 5.19 or later")

// Install gives this thread, and what descends from it, a filter, and returns the file on
// which the kernel tells of its system calls. It wants PR_SET_NO_NEW_PRIVS. killable says
// that a call which was taken ends early for deadly signals alone: whoever writes into the
// memory of a thread that waits has to ask for that, so that nothing is written late.
// Source: seccomp(2), seccomp_unotify(2).
func Install(filter []unix.SockFilter, mustBeKillable bool) (listener int, killable bool, err error) {
	code := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// SPEC_ALLOW: before Linux 5.16 a filter turns on a mitigation of Spectre that slows
	// just-in-time compilers. WAIT_KILLABLE_RECV is of Linux 5.19.
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	for _, more := range []uintptr{unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, 0} {
		if more == 0 && mustBeKillable {
			return -1, false, ErrOld
		}
		fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags|more, uintptr(unsafe.Pointer(&code)))
		if errno == 0 {
			return int(fd), more != 0, nil
		}
		if err = errno; errno != unix.EINVAL {
			break
		}
	}
	return -1, false, err
}

// TakeTurns says that a listener's thread and the one whose call it answers may as well share
// a processor: one waits for the other. Before Linux 6.6 that fails, and is a bit slower.
func TakeTurns(listener int) {
	const setFlags, syncWakeUp = 0x40082104, 1 // SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(listener), setFlags, syncWakeUp)
}

// ReceivedFile returns the one file that came along with a message (SCM_RIGHTS), such as a
// listener.
func ReceivedFile(rights []byte) (int, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(messages) != 1 {
		return -1, fmt.Errorf("expected one message with a file: %w", err)
	}
	files, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(files) != 1 {
		return -1, fmt.Errorf("expected one file: %w", err)
	}
	return files[0], nil
}
