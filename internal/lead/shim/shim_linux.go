//go:build amd64 || arm64

// Package shim starts a program whose connections are led: a process of this executable under
// the name [Name] has the kernel ask a supervisor about its system calls, as that wants it,
// and executes the program. What the supervisor asks for and answers is package lead's.
//
// A process starts for each program, so its start has to be cheap. Most of that is what the
// packages of a large executable do in their init, which it does not need. Go initializes
// packages that have all they import in the order of their paths, so what imports little comes
// early: this package imports nothing that imports path/filepath or net, and does its work in
// init. Source: The Go Programming Language Specification, Package initialization.
package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/seccomp"
)

// Name is argv[0] of the process. Its other arguments are the file that leads to the
// supervisor, the program's path, and the program's arguments.
const Name = "wiemu: lead the program's connections"

// ProbeOnly is the path of no program: all is tried and nothing executed.
const ProbeOnly = ""

func init() {
	if len(os.Args) > 0 && os.Args[0] == Name {
		runtime.LockOSThread() // the first thread is the one that gets the filter and becomes the program
		run()
	}
}

// The steps that fail.
const (
	StepConnect = "connect to the supervisor"
	StepFilter  = "install the seccomp filter"
	StepExecute = "execute the program"
)

// A Message is what shim and supervisor say to each other, in this order:
//
//	shim        who it is, and where a word is in its memory
//	supervisor  what to install; or it closes the socket
//	shim        the listener; or what failed
//
// Until the filter is installed nothing is lost.
type Message struct {
	PID      int      `json:"pid,omitempty"`
	Word     uint64   `json:"word,omitempty"` // address
	Plan     *Plan    `json:"plan,omitempty"`
	Killable bool     `json:"killable,omitempty"` // a call that was taken ends early for deadly signals alone
	Failed   *Failure `json:"failed,omitempty"`
}

// A Plan is which filter is installed.
type Plan struct {
	Filter   []unix.SockFilter `json:"filter"`
	Killable bool              `json:"killable,omitempty"` // nothing less will do
}

// Failure is what kept a program from starting.
type Failure struct {
	Step   string `json:"step"`
	Errno  int    `json:"errno,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// NewFailure returns the failure of a step.
func NewFailure(step string, err error) *Failure {
	f := &Failure{Step: step, Detail: err.Error()}
	var number unix.Errno
	if errors.As(err, &number) {
		f.Errno, f.Detail = int(number), ""
	}
	return f
}

// Cause returns the error of the step.
func (f *Failure) Cause() error {
	if f.Errno != 0 {
		return unix.Errno(f.Errno)
	}
	return errors.New(f.Detail)
}

// word is what the supervisor has to find in the shim's memory, and to change. It is not on
// the stack, which may move.
var word = Original

// The word as it is, and as the supervisor changes it.
const (
	Original uint64 = 0x7769656d75206c64
	Changed  uint64 = 0x7769656d75206f6b
)

// Exit codes, as package process has them.
const (
	failed        = 125
	notExecutable = 126
)

// run turns this process into the program, with the filter. It does not return.
func run() {
	fd, step, err := -1, StepConnect, errors.New("expected a file, a path and arguments")
	if len(os.Args) >= 3 {
		if fd, err = strconv.Atoi(os.Args[1]); err == nil {
			step, err = becomeProgram(fd, os.Args[2], os.Args[3:])
		}
	}
	if err == nil {
		os.Exit(0) //nolint:forbidigo // there is no caller
	}
	code := failed
	if step == StepExecute {
		code = notExecutable
	}
	_ = Say(fd, Message{Failed: NewFailure(step, err)}) // fails if the supervisor has ended
	os.Exit(code)                                       //nolint:forbidigo // there is no caller
}

// becomeProgram returns only if something fails: the step and the error; or if nothing is
// to be executed.
func becomeProgram(fd int, path string, args []string) (step string, err error) {
	unix.CloseOnExec(fd)
	if err := Say(fd, Message{PID: os.Getpid(), Word: uint64(uintptr(unsafe.Pointer(&word)))}); err != nil {
		return StepConnect, err
	}
	m, _, err := Hear(fd)
	if err != nil {
		return StepConnect, fmt.Errorf("it is gone: %w", err)
	}
	if m.Plan == nil || len(m.Plan.Filter) == 0 {
		return StepConnect, errors.New("expected a plan with a filter")
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return StepFilter, err
	}
	listener, killable, err := seccomp.Install(m.Plan.Filter, m.Plan.Killable)
	if err != nil {
		return StepFilter, err
	}
	if err := Say(fd, Message{Killable: killable}, listener); err != nil {
		return StepConnect, err
	}
	_ = unix.Close(listener)
	if path == ProbeOnly {
		return "", nil
	}
	// Executing a program may clear it (prctl(2), PR_SET_PDEATHSIG).
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return "tie the program to its starter", err
	}
	return StepExecute, unix.Exec(path, args, os.Environ())
}

// Say sends a message, with files. Another thread does it than this one, which is locked in a
// shim: its own sendmsg(2) may be trapped already, and there is no listener yet. A filter binds
// one thread and what descends from it.
func Say(fd int, m Message, files ...int) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	done := make(chan error)
	go func() { done <- unix.Sendmsg(fd, text, unix.UnixRights(files...), nil, unix.MSG_NOSIGNAL) }()
	return <-done
}

// ErrEnded is that there are no more messages.
var ErrEnded = errors.New("it has ended")

// maxMessage is longer than any message, in bytes: one with a filter has two thousand.
const maxMessage = 16 << 10

// Hear receives a message, and a file with it if there is one.
func Hear(fd int) (m Message, file int, err error) {
	buffer, rights := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(4))
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
		return m, -1, ErrEnded
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
