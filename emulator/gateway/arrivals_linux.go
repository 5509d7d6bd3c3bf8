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
