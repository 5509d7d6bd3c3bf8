//go:build amd64 || arm64

package timeshift

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The names under which this program is executed again.
const (
	shimName       = "wiemu: put the program on the lab clock"
	supervisorName = "wiemu: answer what time it is"
	probeName      = "wiemu: ask what time it is"
)

func init() {
	if len(os.Args) > 0 && os.Args[0] == shimName {
		runtime.LockOSThread() // the first thread is the one that is traced and becomes the program
	}
}

// IsOwn reports whether this process is one that a Shift started. Whoever shifts
// programs asks this first thing in main, and if so calls Main.
func IsOwn() bool {
	return len(os.Args) > 0 && (os.Args[0] == shimName || os.Args[0] == supervisorName || os.Args[0] == probeName)
}

// Main is what such a process does. It does not return.
func Main() {
	switch os.Args[0] {
	case supervisorName:
		os.Exit(supervise()) //nolint:forbidigo // there is no caller
	case probeName:
		os.Exit(probed()) //nolint:forbidigo // there is no caller
	}
	shim()
}

// Exit codes of a shim that did not become the program; see package process.
const (
	shimFailed        = 125
	shimNotExecutable = 126
)

// shim turns this process into the program: traced, with the filter, executed.
// Arguments: the file that leads to the supervisor, the program's path, and the
// program's arguments.
func shim() {
	step, err := "read the arguments", errors.New("expected a file, a path and arguments")
	fd := -1
	if len(os.Args) >= 4 {
		if fd, err = strconv.Atoi(os.Args[1]); err == nil {
			step, err = becomeProgram(fd, os.Args[2], os.Args[3:])
		}
	}
	code := shimFailed
	if step == stepExecute {
		code = shimNotExecutable
	}
	f := failure{Step: step, Detail: err.Error()}
	var number unix.Errno
	if errors.As(err, &number) {
		f.Errno, f.Detail = int(number), ""
	}
	if message, err := json.Marshal(f); err == nil {
		_ = unix.Send(fd, message, unix.MSG_NOSIGNAL) // nobody else to tell
	}
	os.Exit(code) //nolint:forbidigo // there is no caller
}

// The steps that have remedies; see explain.
const (
	stepTrace   = "trace the program"
	stepFilter  = "install the seccomp filter"
	stepExecute = "execute the program"
)

// becomeProgram returns only what went wrong, and in which step.
func becomeProgram(fd int, path string, args []string) (step string, err error) {
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
	// The supervisor is no ancestor: Yama wants to know that it may trace us. Where
	// there is no Yama this fails, and is not needed.
	message := make([]byte, 64)
	n, err := unix.Read(fd, message)
	if err != nil || n == 0 {
		return "meet the supervisor", fmt.Errorf("it is gone: %w", err)
	}
	var hello greeting
	if err := json.Unmarshal(message[:n], &hello); err != nil {
		return "meet the supervisor", err
	}
	_ = unix.Prctl(unix.PR_SET_PTRACER, uintptr(hello.PID), 0, 0, 0)
	if err := unix.Send(fd, []byte(strconv.Itoa(os.Getpid())), unix.MSG_NOSIGNAL); err != nil {
		return "meet the supervisor", err
	}
	if n, err = unix.Read(fd, message); err != nil || n == 0 {
		return stepTrace, fmt.Errorf("the supervisor is gone: %w", err)
	}
	if number, err := strconv.Atoi(string(message[:n])); err != nil || number != 0 {
		return stepTrace, unix.Errno(number)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return stepFilter, err
	}
	listener, err := installFilter(filter(hello.WallOnly))
	if err != nil {
		return stepFilter, err
	}
	if err := unix.Sendmsg(fd, []byte("listener"), unix.UnixRights(listener), nil, unix.MSG_NOSIGNAL); err != nil {
		return stepFilter, err
	}
	_ = unix.Close(listener)
	// Executing a program may clear it (prctl(2), PR_SET_PDEATHSIG).
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return "tie the program to wiemu", err
	}
	return stepExecute, unix.Exec(path, args, os.Environ())
}

// greeting is what the supervisor says first.
type greeting struct {
	PID      int  `json:"pid"`
	WallOnly bool `json:"wallOnly"`
}

// installFilter gives this thread the filter and returns the file on which the
// kernel tells of its system calls. Source: seccomp(2), seccomp_unotify(2).
func installFilter(p []unix.SockFilter) (int, error) {
	const waitKillable = 1 << 5 // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Linux 5.19
	code := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	for _, flags := range []uintptr{unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | waitKillable, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER} {
		fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&code)))
		if errno == 0 {
			return int(fd), nil
		}
		if errno != unix.EINVAL {
			return 0, errno
		}
	}
	return 0, unix.EINVAL
}
