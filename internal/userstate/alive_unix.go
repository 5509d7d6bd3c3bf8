//go:build unix

package userstate

import (
	"errors"
	"syscall"
)

// alive reports whether a process exists (kill(2): signal 0 only asks).
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
