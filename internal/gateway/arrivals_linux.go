package gateway

import (
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// received is how many bytes the kernel has received on a connection, read or not, and whether its
// client has ended it; nothing if the kernel does not say. Source: tcp(7), TCP_INFO.
func received(conn syscall.RawConn) (bytes uint64, ended bool) {
	const closeWait = 8                 // TCP_CLOSE_WAIT of Linux's include/net/tcp_states.h
	_ = conn.Control(func(fd uintptr) { // a closed one has nothing to read
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			bytes, ended = info.Bytes_received, info.State == closeWait
		}
	})
	return bytes, ended
}

func connectionWaits(listener syscall.RawConn) (waits bool) {
	_ = listener.Control(func(fd uintptr) { // a closed one has none
		files := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(files, 0)
		waits = err == nil && n > 0
	})
	return waits
}

// acknowledge tells the client at once what has arrived, and not 40 ms later: until
// then a client that has not set TCP_NODELAY holds back what it sends next, and it
// looks as if it waited for us. Source: tcp(7), TCP_QUICKACK.
func acknowledge(conn syscall.RawConn) {
	_ = conn.Control(func(fd uintptr) { // a closed one has nothing to tell
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
}

// readiness waits for connections without taking them, on a copy of their listener: what is
// taken has left the kernel's queue before anybody here knows of it.
type readiness struct {
	file *os.File
	raw  syscall.RawConn
}

func newReadiness(l *net.TCPListener) (*readiness, error) {
	file, err := l.File()
	if err != nil {
		return nil, err
	}
	raw, err := file.SyscallConn()
	return &readiness{file, raw}, err
}

// await returns when a connection waits, or the readiness is closed. Before it looks, it says
// that one may wait.
func (r *readiness) await(says func(waits bool)) {
	_ = r.raw.Read(func(fd uintptr) bool { // a closed one has none
		says(true)
		files := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(files, 0)
		if err == nil && n == 0 {
			says(false)
			return false
		}
		return true
	})
}

func (r *readiness) close() error { return r.file.Close() }
