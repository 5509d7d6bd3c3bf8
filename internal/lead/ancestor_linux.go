//go:build amd64 || arm64

package lead

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/lead/shim"
	"github.com/wiemu/wiemu/internal/process"
)

// Where Yama lets processes look into their descendants alone (kernel.yama.ptrace_scope of
// 1), the supervisor has to be an ancestor of all that it decides for. Then another process
// is in between, so that the supervisor may outlive the program, and whoever runs the program
// sees a child that ends as the program does:
//
//	starter → keeper → supervisor → program → its descendants
//
// Orphans become children of the supervisor, which is their subreaper (prctl(2)).

// keep is the keeper's main: it starts the supervisor, which starts the program with the
// keeper's files, and ends as the program does. Signals are for the program: those of the
// process group, which is also the program's, reach it directly, others the Lead hands to
// the supervisor. Arguments: the file that leads to the Lead, and the program's path and
// arguments.
func keep() int {
	ignoreSignals()
	number, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return process.Failed
	}
	ours, theirs, err := process.SocketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		return process.Failed
	}
	cmd := supervisorCommand()
	// In the same session, of which the program is to be. A group that the keeper leads is
	// ended with the program; in one that is the starter's, another group would count as a
	// shell that continues what Ctrl-Z has stopped (orphaned process groups, setpgid(2)).
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: unix.Getpgrp() == os.Getpid()}
	cmd.Args = append(cmd.Args, os.Args[1:]...)
	cmd.Env = os.Environ()
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(number), "control"), theirs}
	for fd := range number { // the program's
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(fd), "file"))
	}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, explain("start the supervisor", err))
		return process.Failed
	}
	for _, f := range cmd.ExtraFiles[:2] { // those of the supervisor, whose end others are to notice
		_ = f.Close()
	}
	var text [16]byte
	var n int
	for {
		if n, err = unix.Read(int(ours.Fd()), text[:]); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	code, err := strconv.Atoi(string(text[:max(n, 0)]))
	if err != nil {
		return killedCode // the supervisor was killed, and the program with it
	}
	return code
}

// killedCode is the exit code of a program that was killed, as a shell has it.
const killedCode = 128 + int(unix.SIGKILL)

// ignoreSignals has this process take no notice of signals that are for others. They are
// not ignored in its children.
func ignoreSignals() {
	signal.Notify(make(chan os.Signal, 1), unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2)
}

// parent is the supervisor as the parent of the program.
type parent struct {
	keeper *os.File

	mu    sync.Mutex
	child int           // 0: it has ended
	ended chan struct{} // closed when it has ended, and its keeper knows
}

// becomeParent starts the program that a supervisor's arguments say, as its own child and
// in the process group of its parent, the keeper. It returns the end of the program's socket
// as well.
func becomeParent(keeper int) (p *parent, program int, err error) {
	ignoreSignals()
	signal.Notify(make(chan os.Signal, 1), unix.SIGTSTP) // others may go on when the program is stopped
	if len(os.Args) < 3 {
		return nil, -1, errors.New("expected a file, a path and arguments")
	}
	files, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return nil, -1, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, -1, err
	}
	ours, theirs, err := process.SocketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, -1, err
	}
	defer theirs.Close()
	// From here on, a descendant that has ended is noticed.
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	group, err := unix.Getpgid(os.Getppid())
	if err != nil {
		return nil, -1, err
	}
	all := make([]*os.File, 0, files+1)
	for n := range files {
		all = append(all, os.NewFile(uintptr(programFile+1+n), "file"))
	}
	all = append(all, theirs)
	p = &parent{keeper: os.NewFile(uintptr(keeper), "keeper"), ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the program is to end with the thread that started it
		child, err := os.StartProcess("/proc/self/exe", append([]string{shim.Name, strconv.Itoa(files), os.Args[2]}, os.Args[3:]...), &os.ProcAttr{
			Files: all, Env: os.Environ(), Sys: &syscall.SysProcAttr{Setpgid: true, Pgid: group, Pdeathsig: syscall.SIGKILL},
		})
		if err == nil {
			p.child = child.Pid
			_ = child.Release() // it is reaped with the others
		}
		started <- err
		if err == nil {
			select {} // keeps the thread
		}
	}()
	if err := <-started; err != nil {
		return nil, -1, err
	}
	for _, f := range all[:files] {
		_ = f.Close() // the program's
	}
	go p.reap(children)
	go func() {
		_, _ = p.keeper.Read(make([]byte, 1)) // until it ends, before the program if it was killed
		p.signal(unix.SIGKILL)
	}()
	fd, err := unix.Dup(int(ours.Fd()))
	if err != nil {
		return nil, -1, err
	}
	unix.CloseOnExec(fd)
	return p, fd, ours.Close()
}

// reap takes the exit status of the program, for its keeper, and of orphans, whenever a
// child has ended.
func (p *parent) reap(children chan os.Signal) {
	for range children {
		for {
			var status unix.WaitStatus
			p.mu.Lock()
			pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
			isProgram := err == nil && pid != 0 && pid == p.child
			if isProgram {
				p.child = 0
			}
			p.mu.Unlock()
			if isProgram {
				p.tell(status)
			}
			if pid <= 0 && !errors.Is(err, unix.EINTR) {
				break
			}
		}
	}
}

// tell says to the keeper how the program has ended.
func (p *parent) tell(status unix.WaitStatus) {
	code := status.ExitStatus()
	if status.Signaled() {
		code = 128 + int(status.Signal())
	}
	releaseOutput()
	_, _ = p.keeper.Write([]byte(strconv.Itoa(code))) // it may have been killed
	close(p.ended)
}

// signal sends a signal to the program.
func (p *parent) signal(s unix.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child != 0 {
		_ = unix.Kill(p.child, s) // it is not reaped yet
	}
}

// wait returns when the program has ended, and its keeper knows.
func (p *parent) wait() { <-p.ended }
