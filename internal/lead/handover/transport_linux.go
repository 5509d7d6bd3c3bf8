package handover

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

const supported = true

// sendWith sends data, and with its first byte a file, unless that is nil.
func sendWith(conn *net.UnixConn, data []byte, file *os.File) error {
	if file == nil {
		_, err := conn.Write(data)
		return err
	}
	raw, err := file.SyscallConn() // Fd would make it blocking, for its other users as well
	if err != nil {
		return err
	}
	var n int
	var failed error
	if err := raw.Control(func(fd uintptr) {
		n, _, failed = conn.WriteMsgUnix(data, unix.UnixRights(int(fd)), nil)
	}); err != nil {
		return err
	}
	if failed != nil || n == len(data) {
		return failed
	}
	_, err = conn.Write(data[n:])
	return err
}

// receiveWith waits for bytes and the files that come with them; one that could not be taken,
// because too many are open, is nil. It sets busy before it takes
// them, and clears it when there are none: whoever looks sees that bytes are unread, or busy.
func receiveWith(raw syscall.RawConn, busy *atomic.Bool, into []byte) (n int, files []*os.File, err error) {
	rights := make([]byte, unix.CmsgSpace(4*maxFiles))
	var rightsSize, flags int
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		busy.Store(true)
		for {
			n, rightsSize, flags, _, failed = unix.Recvmsg(int(fd), into, rights, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
			if !errors.Is(failed, unix.EINTR) {
				break
			}
		}
		if errors.Is(failed, unix.EAGAIN) {
			busy.Store(false)
			return false
		}
		return true
	})
	if err = errors.Join(err, failed); err != nil {
		return 0, nil, err
	}
	files, err = filesIn(rights[:rightsSize])
	if flags&unix.MSG_CTRUNC != 0 && len(files) == 0 { // this process has too many open files
		return n, []*os.File{nil}, err
	}
	if flags&unix.MSG_CTRUNC != 0 {
		err = errors.Join(err, errors.New("expected fewer files"))
	}
	return n, files, err
}

// filesIn returns the files that came along with a message.
func filesIn(rights []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return files, err
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "connection"))
		}
	}
	return files, nil
}

// userOf returns the user at the other end of a connection: of a supervisor, when it
// connected; of a lab, when it began to listen. Source: unix(7), SO_PEERCRED.
func userOf(conn syscall.RawConn) (user int, err error) {
	var peer *unix.Ucred
	if controlled := conn.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); controlled != nil {
		return -1, controlled
	}
	if err != nil {
		return -1, err
	}
	return int(peer.Uid), nil
}

// hasUnread reports whether bytes, or the end, of a connection wait to be read, or a
// connection of a listener to be accepted.
func hasUnread(conn syscall.RawConn) (unread bool) {
	_ = conn.Control(func(fd uintptr) { unread = isReadable(fd) }) // a closed one has none
	return unread
}

func isReadable(fd uintptr) bool {
	files := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(files, 0)
	return err == nil && n > 0
}
