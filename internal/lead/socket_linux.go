//go:build amd64 || arm64

package lead

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// copy returns a copy of the call's socket, which is closed before the call is answered: the
// program's is the last then, by which it leaves epoll(7) when the program closes it.
func (c *call) copy() (int, error) {
	var err error
	if !c.copied {
		c.dup, err = copyOf(int(c.Thread), c.file())
		c.copied = err == nil
	}
	return c.dup, err
}

// closeCopy closes the copy, if there is one.
func (c *call) closeCopy() {
	if c.copied {
		_ = unix.Close(c.dup)
		c.copied = false
	}
}

// isStream reports whether a call is about a socket of TCP: by a copy, which is had anyway for
// what is led, or else by what /proc tells, which takes longer.
func (n *Network) isStream(c *call) bool {
	if n.way == Getfd {
		if dup, err := c.copy(); err == nil {
			kind, _ := unix.GetsockoptInt(dup, unix.SOL_SOCKET, unix.SO_TYPE)
			protocol, _ := unix.GetsockoptInt(dup, unix.SOL_SOCKET, unix.SO_PROTOCOL)
			return kind == unix.SOCK_STREAM && (protocol == unix.IPPROTO_TCP || protocol == unix.IPPROTO_MPTCP)
		}
	}
	protocol := protocolOf(int(c.Thread), c.file())
	return strings.HasPrefix(protocol, "TCP") || strings.HasPrefix(protocol, "MPTCP")
}

// A namespace is one of the network.
type namespace struct {
	cookie uint64 // 0: before Linux 5.14
	inode  uint64 // 0: it is not told
}

// ownNamespace is that of this process.
func ownNamespace() namespace {
	own := namespace{inode: networkOf("self")}
	if fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil {
		own.cookie = cookieOf(fd)
		_ = unix.Close(fd)
	}
	return own
}

// isElsewhere reports whether a call is about another network namespace.
func (n *Network) isElsewhere(c *call) bool {
	if n.way == Getfd {
		if dup, err := c.copy(); err == nil && cookieOf(dup) != 0 {
			return cookieOf(dup) != n.namespace.cookie
		}
	}
	theirs := networkOf(strconv.Itoa(int(c.Thread)))
	return theirs != 0 && n.namespace.inode != 0 && theirs != n.namespace.inode
}

// cookieOf names the network namespace of a socket; 0 before Linux 5.14.
func cookieOf(fd int) uint64 {
	cookie, _ := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	return cookie
}

// networkOf is the network namespace of a process, "self" or its id; 0 if that is not told.
func networkOf(process string) uint64 {
	var st unix.Stat_t
	if unix.Stat("/proc/"+process+"/ns/net", &st) != nil {
		return 0
	}
	return st.Ino
}

// socketOf names a thread's socket: "socket:[INODE]".
func socketOf(tid, fd int) string {
	name, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tid, fd)) // "" if it is none: the kernel says so
	return name
}

// protocolOf is the protocol of a thread's socket, such as TCP or TCPv6; "" if its file is
// none. It is an attribute of the file, which needs no copy of it. Source: sockfs_xattr_get,
// net/socket.c.
func protocolOf(tid, fd int) string {
	var protocol [16]byte
	n, err := unix.Getxattr(fmt.Sprintf("/proc/%d/fd/%d", tid, fd), "system.sockprotoname", protocol[:])
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(protocol[:n]), "\x00")
}

// NotBegun reports whether a connect(2) of a thread that a signal interrupted has done nothing
// yet: it waited for us to decide. Of UDP it does not wait for anything else, and of TCP its
// socket is in no table then. Source: proc_pid_net(5).
func NotBegun(tid, fd int) bool {
	switch protocol := protocolOf(tid, fd); protocol {
	case "UDP", "UDPv6":
		return true
	case "TCP", "TCPv6":
		table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", tid, map[string]string{"TCP": "tcp", "TCPv6": "tcp6"}[protocol]))
		inode := strings.TrimSuffix(strings.TrimPrefix(socketOf(tid, fd), "socket:["), "]")
		return err == nil && inode != "" && !inTable(table, inode)
	}
	return false
}

// inTable reports whether a table of sockets has one with an inode.
func inTable(table []byte, inode string) bool {
	const column = 9
	for line := range bytes.Lines(table) {
		if fields := bytes.Fields(line); len(fields) > column && string(fields[column]) == inode {
			return true
		}
	}
	return false
}
