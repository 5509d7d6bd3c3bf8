package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// SocketPair returns both ends of a socket that connects this process with one that it
// starts: of unix.SOCK_STREAM, or SOCK_SEQPACKET for messages. Open files can travel on it.
func SocketPair(kind int) (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket"), nil
}
