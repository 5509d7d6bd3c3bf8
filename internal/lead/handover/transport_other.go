//go:build !linux

package handover

import (
	"net"
	"os"
	"sync/atomic"
	"syscall"
)

// Programs are led on Linux only.
const supported = false

func sendWith(*net.UnixConn, []byte, *os.File) error { return errUnsupported() }

func receiveWith(syscall.RawConn, *atomic.Bool, []byte) (int, []*os.File, error) {
	return 0, nil, errUnsupported()
}

func userOf(syscall.RawConn) (int, error) { return -1, errUnsupported() }

func hasUnread(syscall.RawConn) bool { return false }
