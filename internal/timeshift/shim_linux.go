//go:build amd64 || arm64

package timeshift

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/seccomp"
)

// The names under which this program is executed again.
const (
	shimName       = "wiemu: put the program on the lab clock"
	supervisorName = "wiemu: answer what time it is"
	probeName      = "wiemu: ask what time it is"
)

// kindsArgument is the argument of a supervisor that tells the kinds of programs.
const kindsArgument = "kinds"

// init does the work of the shim, and of a supervisor that need not know of programs what they are.
// Both start with each program, and most of what that costs is what the packages of a large
// executable do in their init: this is before most of them. See package shim of lead.
func init() {
	if len(os.Args) == 0 {
		return
	}
	switch {
	case os.Args[0] == shimName:
		runtime.LockOSThread() // the first thread is the one that is traced and becomes the program
		shim()
	case os.Args[0] == supervisorName && len(os.Args) == 1:
		go func() { // as in main: what runs in init is bound to a thread, and is slower to go on
			os.Exit(supervise(nil)) //nolint:forbidigo // there is no caller
		}()
		select {}
	}
}

// IsHelperProcess reports whether a Shift started this process to do what RunHelper does. A
// program that shifts others checks this first in main, and calls RunHelper if so.
func IsHelperProcess() bool {
	return len(os.Args) > 0 && (os.Args[0] == supervisorName || os.Args[0] == probeName)
}

// RunHelper does the work of such a process. It does not return. kindOf says of a program's file
// what it is, for Options.Explain; if nil, the report does not say it.
func RunHelper(kindOf func(file string) string) {
	if os.Args[0] == supervisorName {
		os.Exit(supervise(kindOf)) //nolint:forbidigo // there is no caller
	}
	os.Exit(probed()) //nolint:forbidigo // there is no caller
}

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
	code := process.Failed
	if step == stepExecute {
		code = process.NotExecutable
	}
	f := failure{Step: step, Detail: err.Error()}
	var number unix.Errno
	if errors.As(err, &number) {
		f.Errno, f.Detail = int(number), ""
	}
	if message, err := json.Marshal(f); err == nil {
		_ = unix.Send(fd, message, unix.MSG_NOSIGNAL) // fails if the supervisor has ended
	}
	os.Exit(code) //nolint:forbidigo // there is no caller
}

// The steps that have remedies; see explain.
const (
	stepTrace   = "trace the program"
	stepFilter  = "install the seccomp filter"
	stepExecute = "execute the program"
)

// becomeProgram returns only if something fails: the step and the error.
func becomeProgram(fd int, path string, args []string) (step string, err error) {
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
	// The supervisor is no ancestor: Yama wants to know that it may trace us. Where
	// there is no Yama this fails, and is not needed.
	message := make([]byte, 256)
	n, err := unix.Read(fd, message)
	if err != nil || n == 0 {
		return "connect to the supervisor", fmt.Errorf("it is gone: %w", err)
	}
	var hs handshake
	if err := json.Unmarshal(message[:n], &hs); err != nil {
		return "connect to the supervisor", err
	}
	_ = unix.Prctl(unix.PR_SET_PTRACER, uintptr(hs.PID), 0, 0, 0)
	if err := unix.Send(fd, []byte(strconv.Itoa(os.Getpid())), unix.MSG_NOSIGNAL); err != nil {
		return "connect to the supervisor", err
	}
	if n, err = unix.Read(fd, message); err != nil || n == 0 {
		return stepTrace, fmt.Errorf("the supervisor is gone: %w", err)
	}
	var reply attached
	if err := json.Unmarshal(message[:n], &reply); err != nil {
		return stepTrace, err
	}
	if reply.Errno != 0 {
		return stepTrace, unix.Errno(reply.Errno)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return stepFilter, err
	}
	listener, killable, err := seccomp.Install(filter(hs.WallOnly, hs.Secret, reply.Way), reply.Way == lead.Rewrite)
	if err != nil {
		return stepFilter, err
	}
	// Another thread hands it over: sendmsg(2) of this one may be among the calls that wait
	// for an answer already, and there is no listener yet.
	handed := make(chan error)
	go func() {
		text := listenerMessage
		if killable {
			text = killableMessage
		}
		handed <- unix.Sendmsg(fd, []byte(text), unix.UnixRights(listener), nil, unix.MSG_NOSIGNAL)
	}()
	if err := <-handed; err != nil {
		return stepFilter, err
	}
	_ = unix.Close(listener)
	// Executing a program may clear it (prctl(2), PR_SET_PDEATHSIG).
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return "tie the program to wiemu", err
	}
	return stepExecute, unix.Exec(path, args, os.Environ())
}

// handshake is the first message of the supervisor.
type handshake struct {
	PID      int    `json:"pid"`
	WallOnly bool   `json:"wallOnly"`
	Secret   uint64 `json:"secret"` // a clock read with it shows the kernel's time
}

// attached is the second message of the supervisor.
type attached struct {
	Errno int      `json:"errno,omitempty"` // why it could not trace the program
	Way   lead.Way `json:"way,omitempty"`   // in which connections are led; "": they are not
}

// What the shim says with the listener: whether a call that was taken ends early for deadly
// signals alone.
const (
	listenerMessage = "listener"
	killableMessage = "killable listener"
)
