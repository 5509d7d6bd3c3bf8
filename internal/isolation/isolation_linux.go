package isolation

import (
	"cmp"
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

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/process"
)

// Isolation is the namespaces of one program and what serves them from outside, from
// Start until Close.
type Isolation struct {
	plan    plan
	control *os.File // our end of the socket to the program's namespaces
	inside  *os.File // theirs, until the program has started
	publish *publisher

	mu        sync.Mutex
	closed    bool
	failed    error      // what kept the program from starting
	responder *responder // once the program's sockets are here
	ready     sync.WaitGroup
}

// Start prepares what serves the namespaces from outside. Pass the result to
// process.Command as a wrapper, run the command, and call Close.
func Start(opts Options) (*Isolation, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	p, err := newPlan(opts)
	if err != nil {
		return nil, err
	}
	control, inside, err := process.SocketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, fmt.Errorf("isolate the program: %w", err)
	}
	i := &Isolation{plan: p, control: control, inside: inside}
	if len(opts.Publish) > 0 {
		if i.publish, err = newPublisher(opts.Publish); err != nil {
			return nil, errors.Join(err, control.Close(), inside.Close())
		}
	}
	return i, nil
}

// Prepare changes the command so that it starts in namespaces of its own: as this
// program, which sets them up and then executes the command (see RunHelper).
func (i *Isolation) Prepare(cmd *exec.Cmd) error {
	uids, gids, err := mappings()
	if err != nil {
		return err
	}
	i.plan.Command = cmd.Path
	message, err := json.Marshal(i.plan)
	if err != nil {
		return err
	}
	if err := unix.Send(int(i.control.Fd()), message, 0); err != nil {
		return fmt.Errorf("isolate the program: %w", err)
	}
	cmd.Path = "/proc/self/exe"
	cmd.Args = append([]string{insideName, strconv.Itoa(3 + len(cmd.ExtraFiles))}, cmd.Args...)
	cmd.ExtraFiles = append(cmd.ExtraFiles, i.inside)
	if i.publish != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, i.publish.inside)
	}
	cmd.SysProcAttr = cmp.Or(cmd.SysProcAttr, &syscall.SysProcAttr{})
	cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET
	cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = uids, gids
	cmd.SysProcAttr.GidMappingsEnableSetgroups = len(gids) > 0 && mayMapAll()
	cmd.SysProcAttr.AmbientCaps = setupCapabilities()
	i.ready.Go(i.serve)
	return nil
}

// StartFailed explains why a prepared command did not start.
func (i *Isolation) StartFailed(err error) error {
	return explain("make user, mount and network namespaces", err)
}

// serve takes the namespaces' sockets, answers on them, and lets the program start.
func (i *Isolation) serve() {
	files, err := receiveSockets(i.control)
	if err == nil && files == nil {
		return // the program did not start, or the isolation was closed before
	}
	var s *responder
	if err == nil {
		s, err = serveInside(files, i.plan)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.failed, i.responder = err, s
	if err == nil && !i.closed {
		_ = unix.Send(int(i.control.Fd()), []byte("go"), unix.MSG_NOSIGNAL) // fails if the program has ended
	}
}

// Close stops serving the program, waits until every escape is in the journal, and returns the
// error that kept the program from starting, if there is one. It is idempotent.
func (i *Isolation) Close() error {
	i.mu.Lock()
	if i.closed {
		i.mu.Unlock()
		return nil
	}
	i.closed = true
	i.mu.Unlock()
	_ = i.inside.Close()                                   // so that serve sees the end, if nothing started
	_ = unix.Shutdown(int(i.control.Fd()), unix.SHUT_RDWR) // the same
	i.ready.Wait()
	if i.failed == nil {
		i.failed = lateFailure(i.control)
	}
	errs := []error{i.failed, i.control.Close()}
	if i.publish != nil {
		errs = append(errs, i.publish.close())
	}
	if i.responder != nil {
		errs = append(errs, i.responder.close())
	}
	return errors.Join(errs...)
}

type report struct {
	Step    string   `json:"step,omitempty"` // that failed
	Problem string   `json:"problem,omitempty"`
	Errno   int      `json:"errno,omitempty"`
	Sockets []string `json:"sockets,omitempty"` // names of the files sent along
}

// failure returns the error that it is about, if it is about one.
func (r report) failure() error {
	cause := errors.New(r.Problem)
	switch {
	case r.Step == "":
		return nil
	case r.Errno != 0 && r.Problem != "":
		cause = fmt.Errorf("%s: %w", r.Problem, syscall.Errno(r.Errno))
	case r.Errno != 0:
		cause = syscall.Errno(r.Errno)
	}
	return explain(r.Step, cause)
}

// lateFailure returns what failed after the sockets were handed over, if that was sent.
func lateFailure(control *os.File) error {
	message := make([]byte, 64<<10)
	n, _, _, _, err := unix.Recvmsg(int(control.Fd()), message, nil, unix.MSG_DONTWAIT)
	var r report
	if err != nil || n == 0 || json.Unmarshal(message[:n], &r) != nil {
		return nil //nolint:nilerr // nothing was sent: the program was executed
	}
	return r.failure()
}

// receiveSockets waits for the sockets, by name; nil when there will be none.
func receiveSockets(control *os.File) (map[string]*os.File, error) {
	message, rights := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4*64))
	n, rn, err := receive(control, message, rights)
	if err != nil || n == 0 {
		return nil, nil //nolint:nilerr // the other end is gone: the program did not start, which its exit says
	}
	files, err := filesOf(rights[:rn])
	if err != nil {
		return nil, fmt.Errorf("isolate the program: take its sockets: %w", err)
	}
	var r report
	if err := json.Unmarshal(message[:n], &r); err != nil {
		return nil, errors.Join(fmt.Errorf("isolate the program: %w", err), closeAll(files))
	}
	if err := r.failure(); err != nil {
		return nil, err
	}
	if len(files) != len(r.Sockets) {
		return nil, errors.Join(fmt.Errorf("isolate the program: expected %d sockets, found %d", len(r.Sockets), len(files)), closeAll(files))
	}
	named := map[string]*os.File{}
	for n, name := range r.Sockets {
		named[name] = files[n]
	}
	return named, nil
}

func receive(socket *os.File, message, rights []byte) (n, rn int, err error) {
	for {
		n, rn, _, _, err = unix.Recvmsg(int(socket.Fd()), message, rights, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			return n, rn, err
		}
	}
}

func filesOf(rights []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, errors.Join(err, closeAll(files))
		}
		for _, fd := range fds {
			_ = unix.SetNonblock(fd, true) // so that reads can be ended; they are sockets, which all can
			files = append(files, os.NewFile(uintptr(fd), "socket"))
		}
	}
	return files, nil
}

// dialer is net.Dial with a context that never ends; connections end with their other side.
func dialer(network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(context.Background(), network, address)
}
