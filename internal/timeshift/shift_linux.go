//go:build amd64 || arm64

package timeshift

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/process"
)

// Shift is a program on the lab clock, from Start until Close. It is a clock.Follower:
// it takes part in the advances of its source.
type Shift struct {
	*link
	supervisor *exec.Cmd
	shim       *os.File // the program's end of its socket, until it has started
	unfollow   func()
	close      sync.Once
	lost       bool // the supervisor ended with an error
}

var errLost = errors.New("its supervisor has ended, and the program with it")

// Start prepares to run one program on the clock of source. Pass the result to
// process.Command as a wrapper, run the command, and call Close.
func Start(source Source, opts Options) (_ *Shift, err error) {
	fail := func(step string, err error) (*Shift, error) { return nil, explain(step, err) }
	if opts.Lead != nil {
		if err := opts.Lead.Check(); err != nil {
			return nil, err
		}
	}
	ours, theirs, err := process.SocketPair(unix.SOCK_STREAM)
	if err != nil {
		return fail("connect to the supervisor", err)
	}
	defer theirs.Close()
	defer ours.Close() // FileConn has a copy
	orders, err := net.FileConn(ours)
	if err != nil {
		return fail("connect to the supervisor", err)
	}
	traced, shim, err := process.SocketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		return fail("connect to the supervisor", errors.Join(err, orders.Close()))
	}
	defer traced.Close()
	s := &Shift{link: newLink(orders, source), shim: shim, supervisor: exec.Command("/proc/self/exe")}
	s.supervisor.Args = []string{supervisorName}
	if opts.Explain {
		s.supervisor.Args = append(s.supervisor.Args, kindsArgument)
	}
	// One processor to look whether the program rests, and one to answer it meanwhile: with one
	// for both they wait for each other, and with more some are woken for nothing.
	s.supervisor.Env = append(os.Environ(), "GOMAXPROCS=2", "GOTRACEBACK=single")
	s.supervisor.Stderr = os.Stderr // a crash is worth seeing
	s.supervisor.ExtraFiles = []*os.File{theirs, traced}
	// Of its own session, so that no key of the terminal reaches it; the program's
	// life ends with its own.
	s.supervisor.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := s.supervisor.Start(); err != nil {
		return fail("start the supervisor", errors.Join(err, orders.Close(), shim.Close()))
	}
	go s.listen()
	begin := &startOrder{WallOnly: opts.WallOnly, Explain: opts.Explain, Arrival: opts.Arrival, Lead: opts.Lead}
	s.unfollow = s.follow(func(r reading) order {
		if begin == nil {
			return setOrder(r)
		}
		first := order{Begin: begin}
		first.Begin.Clock, begin = r, nil
		return first
	})
	return s, nil
}

// Prepare changes the command so that it starts on the lab clock: as this program, which
// is traced and then executes the command. Nothing else may change the command's path
// and arguments afterwards, unless it starts them as they are (see isolation).
func (s *Shift) Prepare(cmd *exec.Cmd) error {
	fd := 3 + len(cmd.ExtraFiles)
	cmd.ExtraFiles = append(cmd.ExtraFiles, s.shim)
	cmd.Args = append([]string{shimName, strconv.Itoa(fd), cmd.Path}, cmd.Args...)
	cmd.Path = "/proc/self/exe"
	return nil
}

// StartFailed explains why a prepared command did not start.
func (s *Shift) StartFailed(err error) error { return explain("start the program", err) }

// LetTimePass has time go by for the program as on the machine from now on, whatever the clock
// of its source does: for one that is asked to end, and may wait for a time before it does.
func (s *Shift) LetTimePass() {
	s.unfollow()
	s.runFreely()
}

// reportTimeout is how long (wall time) a supervisor may take to send its report, or the
// error that kept the program from starting. It allows for a busy machine.
const reportTimeout = 10 * time.Second

// Close ends what is left of the program and returns the error that kept it from
// starting, if there is one. Report is complete afterwards.
func (s *Shift) Close() error {
	s.close.Do(func() {
		s.unfollow()
		_ = s.shim.Close() // if nothing started
		s.tell(order{End: true})
		select {
		case <-s.gone:
		case <-time.After(reportTimeout):
			_ = s.supervisor.Process.Kill() // it may be stopped; what it traces ends with it
		}
		_ = s.conn.Close() // the supervisor ends with it
		<-s.gone
		s.lost = s.supervisor.Wait() != nil
	})
	if s.failed != nil {
		return s.failed.explain()
	}
	if s.lost {
		return &Error{Step: "answer its questions", Err: errLost, Remedy: "it was killed, perhaps by the system because memory ran out, or it crashed and wrote why to standard error"}
	}
	return nil
}

// Report returns what was done to the program. It is empty before Close.
func (s *Shift) Report() Report {
	select {
	case <-s.gone:
		return s.report
	default:
		return Report{}
	}
}

// Led returns what became of the program's connections if Options have them led. It is empty
// before Close.
func (s *Shift) Led() lead.Report {
	select {
	case <-s.gone:
		return s.led
	default:
		return lead.Report{}
	}
}

func (f *failure) explain() error {
	cause := errors.New(f.Detail)
	if f.Errno != 0 {
		cause = unix.Errno(f.Errno)
	}
	return explain(f.Step, cause)
}

// explain adds what to do.
func explain(step string, err error) error {
	e := &Error{Step: step, Err: err}
	switch {
	case step == stepTrace && errors.Is(err, unix.EPERM) && isTraced():
		e.Remedy = "this process is already traced: do not run a program in lockstep inside of one in lockstep, nor under a debugger or strace"
	case step == stepTrace && errors.Is(err, unix.EPERM):
		e.Remedy = "ptrace(2) is not allowed here: check that kernel.yama.ptrace_scope is 0 or 1, that no debugger or strace is attached, and in a container that its seccomp profile allows ptrace (Docker's does since Linux 4.8; else --cap-add SYS_PTRACE)"
	case step == stepFilter && errors.Is(err, unix.EBUSY):
		e.Remedy = "another supervisor listens to this process's system calls already: do not run a program in lockstep inside of one in lockstep, and check what the container's runtime does"
	case step == stepFilter && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS)):
		e.Remedy = "seccomp user notification needs Linux 5.5 or later, with CONFIG_SECCOMP_FILTER; some sandboxes (gVisor) do not have it"
	case step == stepFilter:
		e.Remedy = "seccomp(2) is not allowed here: in a container, check its seccomp profile"
	case step == stepExecute:
		return &process.NotExecuted{Err: err}
	}
	return e
}

// isTraced reports whether this process has a tracer, which its children then have, too.
func isTraced() bool {
	status, err := os.ReadFile("/proc/self/status")
	return err == nil && !bytes.Contains(status, []byte("\nTracerPid:\t0\n"))
}
