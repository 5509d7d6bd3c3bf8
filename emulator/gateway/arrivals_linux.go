package gateway

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// bytesReceived is how many bytes the kernel has received on a connection, read or not;
// 0 if it does not say. Source: tcp(7), TCP_INFO.
func bytesReceived(conn syscall.RawConn) (bytes uint64) {
	_ = conn.Control(func(fd uintptr) { // a closed one has nothing to read
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			bytes = info.Bytes_received
		}
	})
	return bytes
}

// connectionWaits tells whether a connection waits to be accepted.
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
