//go:build amd64 || arm64

package lead

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/wiemu/wiemu/internal/lead/shim"
	"github.com/wiemu/wiemu/internal/process"
	"golang.org/x/sys/unix"
)

// Lead is a program whose connections are led, from Start until Close.
type Lead struct {
	conn net.Conn // to the supervisor
	out  *json.Encoder

	orders sync.Mutex // guards out
	shim   *os.File   // what the program's first process inherits: the way to the supervisor, or the supervisor's to us

	ancestor bool // the supervisor is to be the program's parent: see keep

	close sync.Once
	gone  chan struct{} // closed when there will be no more news

	mu     sync.Mutex
	report Report
	failed *shim.Failure // what kept the program from starting
	ended  bool          // the supervisor has said its last word
	pidfd  int           // of the program; -1: not known, or closed

	supervisor int // its process id; 0: not known
}

var errLost = errors.New("the supervisor has ended, and the program with it")

// Start prepares to run one program whose connections are led. Pass the result to
// process.Command as a wrapper, run the command, and call Close.
func Start(opts Options) (*Lead, error) { return start(opts, supervisorCommand()) }

// start is Start with another command for the supervisor.
func start(opts Options, supervisor *exec.Cmd) (*Lead, error) {
	if err := opts.Check(); err != nil {
		return nil, err
	}
	opts.Ancestor = opts.Ancestor || yamaScope() == yamaDescendants
	ours, control, err := process.SocketPair(unix.SOCK_STREAM)
	if err != nil {
		return nil, explain(shim.StepConnect, err)
	}
	defer ours.Close() // FileConn has a copy
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, explain(shim.StepConnect, errors.Join(err, control.Close()))
	}
	l := &Lead{conn: conn, out: json.NewEncoder(conn), shim: control, ancestor: opts.Ancestor, gone: make(chan struct{}), pidfd: -1}
	if !l.ancestor {
		if l.shim, err = startSupervisor(supervisor, control); err != nil {
			return nil, explain("start the supervisor", errors.Join(err, conn.Close()))
		}
	}
	_ = l.out.Encode(order{Begin: &opts}) // a supervisor that has ended is noticed by listen
	go l.listen()
	return l, nil
}

// startSupervisor starts it as a child of this process, and returns the program's end of the
// socket between them. It takes the file that leads from the supervisor to us.
func startSupervisor(supervisor *exec.Cmd, control *os.File) (program *os.File, err error) {
	defer control.Close()
	theirs, program, err := process.SocketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	supervisor.ExtraFiles = []*os.File{control, theirs}
	if err := supervisor.Start(); err != nil {
		return nil, errors.Join(err, program.Close())
	}
	go func() { _ = supervisor.Wait() }() // whenever that is: the program may leave others behind
	return program, nil
}

// supervisorCommand is how a supervisor is started, but for its files.
func supervisorCommand() *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{supervisorName}
	cmd.Env = append(os.Environ(), "GOTRACEBACK=single")
	cmd.Stderr = os.Stderr // a crash is worth seeing
	// Of its own session, so that no key of the terminal reaches it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// Prepare changes the command so that its connections are led: it starts as this program,
// which gets the filter and then executes the command. Nothing else may change the
// command's path and arguments afterwards.
func (l *Lead) Prepare(cmd *exec.Cmd) error {
	fd := 3 + len(cmd.ExtraFiles)
	cmd.ExtraFiles = append(cmd.ExtraFiles, l.shim)
	name := shim.Name
	if l.ancestor {
		name = keeperName
	}
	cmd.Args = append([]string{name, strconv.Itoa(fd), cmd.Path}, cmd.Args...)
	cmd.Path = "/proc/self/exe"
	return nil
}

// Relay hands a signal to the program that was sent to the process that a prepared command
// started; false if that is the program.
func (l *Lead) Relay(s os.Signal) bool {
	number, ok := s.(syscall.Signal)
	if !l.ancestor || !ok {
		return false
	}
	l.orders.Lock()
	defer l.orders.Unlock()
	_ = l.out.Encode(order{Signal: int(number)}) // a supervisor that has ended is noticed by listen
	return true
}

// StartFailed explains why a prepared command did not start.
func (l *Lead) StartFailed(err error) error { return explain("start the program", err) }

// listen takes what the supervisor tells, until its last word or its end.
func (l *Lead) listen() {
	defer close(l.gone)
	in := json.NewDecoder(l.conn)
	for {
		var n news
		if err := in.Decode(&n); err != nil {
			l.killProgram()
			return
		}
		if l.learn(n) {
			return
		}
	}
}

// learn notes news; true: they were the last.
func (l *Lead) learn(n news) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.PID != 0 {
		l.report.Way, l.supervisor = n.Way, n.Own
		if pidfd, err := unix.PidfdOpen(n.PID, 0); err == nil { // else it has ended
			l.pidfd = pidfd
		}
	}
	if n.Unled != nil {
		l.report.Unled = append(l.report.Unled, *n.Unled)
	}
	if n.Failed != nil && l.failed == nil {
		l.failed = n.Failed
	}
	l.ended = l.ended || n.Ended
	return n.Ended
}

// killProgram ends a program whose supervisor has ended: none of its connections would
// work any more, the local ones included.
func (l *Lead) killProgram() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pidfd >= 0 {
		_ = unix.PidfdSendSignal(l.pidfd, unix.SIGKILL, nil, 0) // it may have ended
	}
}

// endTimeout is how long, in wall time, a supervisor may take to say its last word. It
// allows for a busy machine.
const endTimeout = 10 * time.Second

// Close returns when every connection that the program made has been handed over, and with
// it the error that kept the program from starting, if there is one. Call it when the
// program has ended, and before whoever answers for the names stops: processes that the
// program left behind are refused their connections to those from here on.
func (l *Lead) Close() error {
	l.close.Do(func() {
		_ = l.shim.Close() // if nothing started
		_ = l.conn.SetWriteDeadline(time.Now().Add(endTimeout))
		l.orders.Lock()
		_ = l.out.Encode(order{End: true}) // a supervisor that has ended is noticed by listen
		l.orders.Unlock()
		select {
		case <-l.gone:
		case <-time.After(endTimeout):
		}
		_ = l.conn.Close()
		<-l.gone
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.pidfd >= 0 {
			_ = unix.Close(l.pidfd)
			l.pidfd = -1
		}
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return explain(l.failed.Step, l.failed.Cause())
	}
	if !l.ended && (!l.ancestor || l.report.Way != "") { // without a way it was not started, and its keeper said why
		return &Error{Step: "decide where its connections lead", Err: errLost, Remedy: "It was killed, perhaps by the system because memory ran out, or it crashed and wrote why to standard error"}
	}
	return nil
}

// Report returns what became of the program so far; it is complete after Close.
func (l *Lead) Report() Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.report
	r.Unled = append([]Unled(nil), r.Unled...)
	return r
}

// explain adds what to do.
func explain(step string, err error) error {
	if step == shim.StepExecute {
		return &process.NotExecuted{Err: err}
	}
	return &Error{Step: step, Err: err, Remedy: remedy(step, err)}
}

func remedy(step string, err error) string {
	switch {
	case step == shim.StepFilter && errors.Is(err, unix.EBUSY):
		return "Another supervisor listens to this process's system calls already: do not run it inside of another such run or of one in lockstep, and check what the container's runtime does"
	case step == shim.StepFilter && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS)):
		return "Seccomp user notification needs Linux 5.5 or later, with CONFIG_SECCOMP_FILTER; some sandboxes (gVisor) do not have it"
	case step == shim.StepFilter && isRefused(err):
		return "seccomp(2) is not permitted here: in a container, permit it in its seccomp profile"
	case step == shim.StepFilter:
		return "In a container, start it with --cap-add SYS_PTRACE, or use Linux 5.19 or later"
	case (step == stepRead || step == stepWay) && yamaScope() >= yamaAdmin:
		return fmt.Sprintf("Yama lets nobody look into other processes (kernel.yama.ptrace_scope is %d): set it to 1 (sudo sysctl -w kernel.yama.ptrace_scope=1), or run as root", yamaScope())
	case step == stepRead, step == stepWay:
		return "Looking into the program's process is not permitted: in a container, start it with --cap-add SYS_PTRACE, or permit process_vm_readv and pidfd_getfd in its seccomp profile"
	}
	return ""
}

// Values of kernel.yama.ptrace_scope. Source: Documentation/admin-guide/LSM/Yama.rst.
const (
	yamaDescendants = 1 // a process may look into its descendants
	yamaAdmin       = 2 // only one with CAP_SYS_PTRACE may look into others; 3: none may
)

// yamaScope is kernel.yama.ptrace_scope; 0 without Yama.
func yamaScope() int {
	text, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if err != nil || len(text) == 0 {
		return 0
	}
	return int(text[0] - '0')
}
