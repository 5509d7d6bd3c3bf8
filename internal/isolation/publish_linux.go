package isolation

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/process"
)

// publisher makes ports of the program reachable from outside: it accepts there,
// and a process in the namespaces connects (see dialHelper).
type publisher struct {
	control   *os.File // our end of the socket to the process inside
	inside    *os.File // its end, until it has started
	listeners []net.Listener
	serving   sync.WaitGroup

	asking sync.Mutex // one question at a time
	conns  connections
}

func newPublisher(all []Publication) (*publisher, error) {
	p := &publisher{}
	var err error
	if p.control, p.inside, err = process.SocketPair(unix.SOCK_SEQPACKET); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	for _, one := range all {
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", one.Listen)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("publish port %d of the program on %s: %w; choose another port, or stop what uses this one", one.Port, one.Listen, err), p.close())
		}
		p.listeners = append(p.listeners, l)
		p.serving.Go(func() { p.accept(l, one.Port) })
	}
	return p, nil
}

func (p *publisher) accept(l net.Listener, port uint16) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		p.serving.Go(func() {
			server, err := p.connect(port)
			if err != nil {
				reset(client) // nothing listens inside, as for a port that is not published
				return
			}
			defer p.conns.drop(client)
			defer p.conns.drop(server)
			if p.conns.keep(client) && p.conns.keep(server) {
				hostmux.Join(client, server, cut)
			}
		})
	}
}

// connect has a connection to a port inside made there.
func (p *publisher) connect(port uint16) (net.Conn, error) {
	p.asking.Lock()
	defer p.asking.Unlock()
	if err := unix.Send(int(p.control.Fd()), binary.BigEndian.AppendUint16(nil, port), unix.MSG_NOSIGNAL); err != nil {
		return nil, err
	}
	answer, rights := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	n, rn, err := receive(p.control, answer, rights)
	if err != nil || n == 0 {
		return nil, errors.Join(err, net.ErrClosed)
	}
	files, err := filesOf(rights[:rn])
	if err != nil || len(files) != 1 {
		return nil, errors.Join(err, errors.New("nothing listens"), closeAll(files))
	}
	defer files[0].Close() // net.FileConn has its own
	return net.FileConn(files[0])
}

func (p *publisher) close() error {
	p.conns.closeAll()
	_ = unix.Shutdown(int(p.control.Fd()), unix.SHUT_RDWR) // ends a question under way
	err := errors.Join(closeAll(p.listeners), p.inside.Close())
	p.serving.Wait()
	return errors.Join(err, p.control.Close())
}

// dialFile is the socket to the publisher, which is all that the dialer inherits.
const dialFile = 3

// dialHelper connects to ports on loopback, as it is asked from outside, until
// the other end is closed. It does not return.
func dialHelper() {
	if len(os.Args) > 1 && os.Args[1] == "start" {
		cmd := exec.Command("/proc/self/exe")
		cmd.Args = []string{dialName}
		cmd.ExtraFiles = []*os.File{os.NewFile(dialFile, "publish")}
		cmd.SysProcAttr = &syscall.SysProcAttr{}
		if err := cmd.Start(); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	control := os.NewFile(dialFile, "publish") // one: an os.File that nobody has any more closes its number
	question := make([]byte, 2)
	for {
		n, _, err := receive(control, question, nil)
		if err != nil || n == 0 {
			os.Exit(0)
		}
		var rights []byte
		file := connectedTo(binary.BigEndian.Uint16(question))
		if file != nil {
			rights = unix.UnixRights(int(file.Fd()))
		}
		_ = unix.Sendmsg(int(control.Fd()), []byte{0}, rights, nil, unix.MSG_NOSIGNAL) // if it fails, the end is read next
		if file != nil {
			_ = file.Close() // the receiver's now
		}
	}
}

// connectedTo is a connection to a port on loopback; nil if nothing listens there.
func connectedTo(port uint16) *os.File {
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := dialer("tcp", net.JoinHostPort(host, portText(port)))
		if err != nil {
			continue
		}
		file, err := conn.(*net.TCPConn).File()
		_ = conn.Close() // the file is another reference to it
		if err == nil {
			return file
		}
	}
	return nil
}
