//go:build amd64 || arm64

package lead

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/seccomp"
)

// The names under which this program is executed again.
const (
	shimName       = "wiemu: lead the program's connections"
	supervisorName = "wiemu: decide where connections lead"
	keeperName     = "wiemu: end as the program does"
)

func init() {
	if len(os.Args) > 0 && os.Args[0] == shimName {
		runtime.LockOSThread() // the first thread is the one that gets the filter and becomes the program
	}
}

// IsHelperProcess reports whether a Lead started this process. A program that leads others
// checks this first in main, and calls RunHelper if so.
func IsHelperProcess() bool {
	return len(os.Args) > 0 && (os.Args[0] == shimName || os.Args[0] == supervisorName || os.Args[0] == keeperName)
}

// RunHelper does the work of such a process. It does not return.
func RunHelper() {
	switch os.Args[0] {
	case supervisorName:
		os.Exit(supervise()) //nolint:forbidigo // there is no caller
	case keeperName:
		os.Exit(keep()) //nolint:forbidigo // there is no caller
	}
	shim()
}

// The steps that have remedies; see explain.
const (
	stepConnect = "connect to the supervisor"
	stepRead    = "read the program's memory"
	stepWay     = "copy the program's sockets, or write its memory"
	stepFilter  = "install the seccomp filter"
	stepExecute = "execute the program"
)

// A message is what shim and supervisor say to each other, in this order:
//
//	shim        who it is, and where a word is in its memory
//	supervisor  what to install; or it closes the socket
//	shim        the listener; or what failed
//
// Until the filter is installed nothing is lost.
type message struct {
	PID      int      `json:"pid,omitempty"`
	Word     uint64   `json:"word,omitempty"` // address
	Plan     *plan    `json:"plan,omitempty"`
	Killable bool     `json:"killable,omitempty"` // a call that was taken ends early for deadly signals alone
	Failed   *failure `json:"failed,omitempty"`
}

// A plan is which filter is installed.
type plan struct {
	Receive  bool `json:"receive,omitempty"`
	Killable bool `json:"killable,omitempty"` // nothing less will do
}

// failure is what kept a program from starting.
type failure struct {
	Step   string `json:"step"`
	Errno  int    `json:"errno,omitempty"`
	Detail string `json:"detail,omitempty"`
}

func newFailure(step string, err error) *failure {
	f := &failure{Step: step, Detail: err.Error()}
	var number unix.Errno
	if errors.As(err, &number) {
		f.Errno, f.Detail = int(number), ""
	}
	return f
}

// word is what the supervisor has to find in the shim's memory, and to change. It is not on
// the stack, which may move.
var word = original

const (
	original uint64 = 0x7769656d75206c64
	changed  uint64 = 0x7769656d75206f6b
)

// probeOnly is the path of no program: all is tried and nothing executed.
const probeOnly = ""

// shim turns this process into the program, with the filter. Arguments: the file that leads
// to the supervisor, the program's path, and the program's arguments.
func shim() {
	fd, step, err := -1, stepConnect, errors.New("expected a file, a path and arguments")
	if len(os.Args) >= 3 {
		if fd, err = strconv.Atoi(os.Args[1]); err == nil {
			step, err = becomeProgram(fd, os.Args[2], os.Args[3:])
		}
	}
	if err == nil {
		os.Exit(0) //nolint:forbidigo // there is no caller
	}
	code := process.Failed
	if step == stepExecute {
		code = process.NotExecutable
	}
	_ = say(fd, message{Failed: newFailure(step, err)}) // fails if the supervisor has ended
	os.Exit(code)                                       //nolint:forbidigo // there is no caller
}

// becomeProgram returns only if something fails: the step and the error; or if nothing is
// to be executed.
func becomeProgram(fd int, path string, args []string) (step string, err error) {
	unix.CloseOnExec(fd)
	if err := say(fd, message{PID: os.Getpid(), Word: uint64(uintptr(unsafe.Pointer(&word)))}); err != nil {
		return stepConnect, err
	}
	m, _, err := hear(fd)
	if err != nil {
		return stepConnect, fmt.Errorf("it is gone: %w", err)
	}
	if m.Plan == nil {
		return stepConnect, errors.New("expected a plan")
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return stepFilter, err
	}
	listener, killable, err := seccomp.Install(filter(m.Plan.Receive), m.Plan.Killable)
	if err != nil {
		return stepFilter, err
	}
	if err := say(fd, message{Killable: killable}, listener); err != nil {
		return stepConnect, err
	}
	_ = unix.Close(listener)
	if path == probeOnly {
		return "", nil
	}
	// Executing a program may clear it (prctl(2), PR_SET_PDEATHSIG).
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return "tie the program to its starter", err
	}
	return stepExecute, unix.Exec(path, args, os.Environ())
}

// say sends a message, with files. Another thread does it than this one, which is locked: its
// own sendmsg(2) may be trapped already, and there is no listener yet. A filter binds one thread
// and what descends from it.
func say(fd int, m message, files ...int) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	done := make(chan error)
	go func() { done <- unix.Sendmsg(fd, text, unix.UnixRights(files...), nil, unix.MSG_NOSIGNAL) }()
	return <-done
}

// errEnded is that there are no more messages.
var errEnded = errors.New("it has ended")

// hear receives a message, and a file with it if there is one.
func hear(fd int) (m message, file int, err error) {
	buffer, rights := make([]byte, 4<<10), make([]byte, unix.CmsgSpace(4))
	var n, size int
	for {
		n, size, _, _, err = unix.Recvmsg(fd, buffer, rights, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	switch {
	case err != nil:
		return m, -1, err
	case n == 0:
		return m, -1, errEnded
	}
	if err := json.Unmarshal(buffer[:n], &m); err != nil {
		return m, -1, err
	}
	if size == 0 {
		return m, -1, nil
	}
	file, err = seccomp.ReceivedFile(rights[:size])
	return m, file, err
}

// A meeting is what supervisor and shim have agreed on.
type meeting struct {
	pid      int
	way      Way
	killable bool
	listener int
}

// meet finds out with the shim at the other end of a socket, which is what the program will
// be, what is permitted here, has it install the filter, and takes the listener. The error
// of the socket's end is errEnded: there was no program.
func meet(fd int) (meeting, *failure, error) {
	m, _, err := hear(fd)
	if err != nil {
		return meeting{}, nil, err
	}
	met := meeting{pid: m.PID}
	if err := canRead(m.PID, m.Word); err != nil {
		return met, newFailure(stepRead, err), nil
	}
	if met.way, err = wayTo(m.PID, m.Word); err != nil {
		return met, newFailure(stepWay, err), nil
	}
	if err := say(fd, message{Plan: &plan{Receive: met.way == Getfd, Killable: met.way == Rewrite}}); err != nil {
		return met, nil, err
	}
	if m, met.listener, err = hear(fd); err != nil {
		return met, nil, err
	}
	if m.Failed == nil && met.listener < 0 {
		return met, nil, errors.New("expected the listener")
	}
	met.killable = m.Killable
	return met, m.Failed, nil
}

func canRead(pid int, at uint64) error {
	var found [8]byte
	if err := readMemory(pid, at, found[:]); err != nil {
		return err
	}
	if binary.NativeEndian.Uint64(found[:]) != original {
		return errors.New("found something else in it")
	}
	return nil
}

// wayTo returns the better one of the ways that are permitted with a process.
func wayTo(pid int, at uint64) (Way, error) {
	way, err := WayTo(pid)
	if way == Getfd {
		return way, nil
	}
	if failed := writeMemory(pid, at, binary.NativeEndian.AppendUint64(nil, changed)); failed != nil {
		return "", fmt.Errorf("%w; write: %w", err, failed)
	}
	return way, nil
}

// WayTo returns Getfd if that is permitted with a process, and else Rewrite with why not:
// that its memory may be written is not tried.
func WayTo(pid int) (Way, error) {
	const standardError = 2
	dup, err := copyOf(pid, standardError)
	if err == nil {
		_ = unix.Close(dup)
	}
	if err == nil || errors.Is(err, unix.EBADF) { // it may be closed
		return Getfd, nil
	}
	return Rewrite, err
}
