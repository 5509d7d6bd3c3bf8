package isolation

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

	"golang.org/x/sys/unix"
)

// Isolation is a program's view of the world, from Start until Close.
type Isolation struct {
	plan    plan
	control *os.File // our end of the socket to the program's namespaces
	inside  *os.File // theirs, until the program has started
	publish *publisher

	mu     sync.Mutex
	closed bool
	failed error   // what kept the program from starting
	served *served // once the program's sockets are here
	ready  sync.WaitGroup
}

// Start prepares what lives outside the namespaces. Prepare a command with it,
// run it, and close it.
func Start(opts Options) (*Isolation, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	p, err := newPlan(opts)
	if err != nil {
		return nil, err
	}
	control, inside, err := socketPair("control")
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

// socketPair connects two processes by messages, with which open files travel.
func socketPair(name string) (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name), nil
}

// Prepare has the command start in namespaces of its own: as this program, which
// lays them out and then becomes the command (see Inside).
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
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET
	cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = uids, gids
	cmd.SysProcAttr.GidMappingsEnableSetgroups = len(gids) > 0 && mayMapAll()
	cmd.SysProcAttr.AmbientCaps = layoutCapabilities()
	i.ready.Go(i.serve)
	return nil
}

// StartFailed explains why a prepared command did not start.
func (i *Isolation) StartFailed(err error) error {
	return explain("make user, mount and network namespaces", err)
}

// serve takes the sockets that the namespaces send, begins to answer on them,
// and lets the program start.
func (i *Isolation) serve() {
	files, err := receiveSockets(i.control)
	if err == nil && files == nil {
		return // the program did not start, or the isolation was closed before
	}
	var s *served
	if err == nil {
		s, err = serveInside(files, i.plan)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.failed, i.served = err, s
	if err == nil && !i.closed {
		_ = unix.Send(int(i.control.Fd()), []byte("go"), unix.MSG_NOSIGNAL) // a program that has gone needs no leave
	}
}

// Close ends what served the program, waits until every escape is written down,
// and returns what kept the program from starting, if something did.
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
	errs := []error{i.failed, i.control.Close()}
	if i.publish != nil {
		errs = append(errs, i.publish.close())
	}
	if i.served != nil {
		errs = append(errs, i.served.close())
	}
	return errors.Join(errs...)
}

// report is what the namespaces say about themselves.
type report struct {
	Step    string   `json:"step,omitempty"` // that failed
	Problem string   `json:"problem,omitempty"`
	Errno   int      `json:"errno,omitempty"`
	Sockets []string `json:"sockets,omitempty"` // names of the files sent along
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
	if r.Step != "" {
		cause := errors.New(r.Problem)
		if r.Errno != 0 {
			cause = fmt.Errorf("%s: %w", r.Problem, syscall.Errno(r.Errno))
			if r.Problem == "" {
				cause = syscall.Errno(r.Errno)
			}
		}
		return nil, explain(r.Step, cause)
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

// receive reads one message.
func receive(socket *os.File, message, rights []byte) (n, rn int, err error) {
	for {
		n, rn, _, _, err = unix.Recvmsg(int(socket.Fd()), message, rights, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			return n, rn, err
		}
	}
}

// filesOf opens what came along with a message.
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

// dialer is net.Dial with a context that never ends; connections end with their
// other side.
func dialer(network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(context.Background(), network, address)
}
