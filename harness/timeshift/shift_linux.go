//go:build amd64 || arm64

package timeshift

import (
	"context"
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

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/emulator/clock"
)

// Shift is a program on the lab clock, from Start until Close. It is a
// clock.Follower: its source gives it its turn.
type Shift struct {
	supervisor *exec.Cmd
	orders     net.Conn // to the supervisor
	shim       *os.File // the program's end of its socket, until it has started
	unfollow   func()

	write sync.Mutex
	out   *json.Encoder

	mu      sync.Mutex
	asked   uint64
	waiting map[uint64]chan answer
	failed  *failure
	report  Report
	told    chan struct{} // closed when the last report is here, or the supervisor gone
	closed  bool
}

// Start prepares to run one program on the clock of source: prepare a command
// with it, run it, and close it.
func Start(source Source, opts Options) (_ *Shift, err error) {
	s := &Shift{waiting: map[uint64]chan answer{}, told: make(chan struct{})}
	fail := func(step string, err error) (*Shift, error) { return nil, explain(step, err) }
	ours, theirs, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		return fail("connect to the supervisor", err)
	}
	defer theirs.Close()
	defer ours.Close() // FileConn has a copy
	if s.orders, err = net.FileConn(ours); err != nil {
		return fail("connect to the supervisor", err)
	}
	traced, shim, err := socketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		_ = s.orders.Close()
		return fail("connect to the supervisor", err)
	}
	defer traced.Close()
	s.shim = shim
	s.out = json.NewEncoder(s.orders)
	s.supervisor = exec.Command("/proc/self/exe")
	s.supervisor.Args = []string{supervisorName}
	s.supervisor.Env = []string{"GOTRACEBACK=single"}
	s.supervisor.Stderr = os.Stderr // a crash is worth seeing
	s.supervisor.ExtraFiles = []*os.File{theirs, traced}
	// Of its own session, so that no key of the terminal reaches it; the program's
	// life ends with its own.
	s.supervisor.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := s.supervisor.Start(); err != nil {
		return fail("start the supervisor", errors.Join(err, s.orders.Close(), shim.Close()))
	}
	go s.listen()
	first := true
	stop := source.Watch(func(now clock.Setting) {
		r := readingOf(now, source.Skews()[clock.Workloads])
		if first {
			first = false
			s.tell(order{Begin: &beginning{Clock: r, WallOnly: opts.WallOnly, Explain: opts.Explain}})
			return
		}
		s.tell(order{Set: &r})
	})
	leave := source.Follow(s)
	s.unfollow = func() { leave(); stop() }
	return s, nil
}

func socketPair(kind int) (one, other *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "timeshift"), os.NewFile(uintptr(fds[1]), "timeshift"), nil
}

// readingOf is a setting in the terms of the kernel's clock, which the supervisor
// knows, too.
func readingOf(s clock.Setting, skew time.Duration) reading {
	mono := kernelTime(clockMonotonic) - time.Since(s.At).Nanoseconds()
	return reading{Mono: mono, Lab: s.Now.UnixNano(), Speed: s.Speed, Skew: skew.Nanoseconds()}
}

// Prepare has the command start on the lab clock: as this program, which is
// traced and then becomes the command. Nothing else may change the command's path
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

func (s *Shift) tell(o order) {
	s.write.Lock()
	defer s.write.Unlock()
	_ = s.out.Encode(o) // a supervisor that has gone is told of by listen
}

// listen takes what the supervisor says.
func (s *Shift) listen() {
	defer close(s.told)
	in := json.NewDecoder(s.orders)
	for {
		var a answer
		if err := in.Decode(&a); err != nil {
			return
		}
		s.mu.Lock()
		if a.Failed != nil && s.failed == nil {
			s.failed = a.Failed
		}
		if to := s.waiting[a.To]; a.To != 0 && to != nil {
			delete(s.waiting, a.To)
			to <- a
		}
		if a.Report != nil {
			s.report = *a.Report
		}
		s.mu.Unlock()
		if a.Report != nil {
			return
		}
	}
}

// errGone says that nobody answers for the program any more.
var errGone = errors.New("its supervisor has ended")

// ask asks the supervisor, after giving the program its turn if that is wanted.
func (s *Shift) ask(ctx context.Context, turn bool) (answer, error) {
	s.mu.Lock()
	s.asked++
	number, reply := s.asked, make(chan answer, 1)
	s.waiting[number] = reply
	s.mu.Unlock()
	s.tell(order{Ask: number, Turn: turn})
	select {
	case a := <-reply:
		return a, nil
	case <-s.told:
		return answer{}, errGone
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

// Turn lets the waits end that are over by now, and returns when the program has
// nothing more to do, or has been busy for two seconds (wall time).
func (s *Shift) Turn(ctx context.Context) error {
	if _, err := s.ask(ctx, true); err != nil && !errors.Is(err, errGone) {
		return err
	}
	return nil // a program that has ended had its turn
}

// Next is the earliest lab time for which a thread of the program waits.
func (s *Shift) Next() (time.Time, bool) {
	a, err := s.ask(context.Background(), false)
	if err != nil || a.Next == 0 {
		return time.Time{}, false
	}
	return time.Unix(0, a.Next).UTC(), true
}

// Quiet reports whether no thread of the program has anything to do now.
func (s *Shift) Quiet(ctx context.Context) (bool, error) {
	a, err := s.ask(ctx, false)
	if errors.Is(err, errGone) {
		return true, nil
	}
	return a.Quiet, err
}

// lastWords is how long a supervisor may take to say what it did: wall time.
const lastWords = time.Second

// Close ends what is left of the program and returns what kept it from starting,
// if something did. Then Report is complete.
func (s *Shift) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.unfollow()
	_ = s.shim.Close() // if nothing started
	s.tell(order{End: true})
	select {
	case <-s.told:
	case <-time.After(lastWords):
	}
	_ = s.orders.Close() // the supervisor ends with it
	<-s.told
	_ = s.supervisor.Wait() // it says nothing by its exit
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed.explain()
	}
	return nil
}

// Report is what was done to the program; complete after Close.
func (s *Shift) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.report
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
	case step == stepTrace && errors.Is(err, unix.EPERM):
		e.Remedy = "ptrace(2) is not allowed here: check that kernel.yama.ptrace_scope is 0 or 1, that no debugger or strace is attached, and in a container that its seccomp profile allows ptrace (Docker's does since Linux 4.8; else --cap-add SYS_PTRACE)"
	case step == stepFilter && errors.Is(err, unix.EBUSY):
		e.Remedy = "another supervisor listens to this process's system calls already: do not run a program in lockstep inside of one in lockstep, and check what the container's runtime does"
	case step == stepFilter && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS)):
		e.Remedy = "seccomp user notification needs Linux 5.5 or later, with CONFIG_SECCOMP_FILTER; some sandboxes (gVisor) do not have it"
	case step == stepFilter:
		e.Remedy = "seccomp(2) is not allowed here: in a container, check its seccomp profile"
	case step == stepExecute:
		return fmt.Errorf("%s: %w", step, err)
	}
	return e
}
