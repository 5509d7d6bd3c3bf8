//go:build unix

package state

import (
	"errors"
	"os"
	"syscall"
)

// lock takes an advisory lock that ends with the process (flock(2)). taken is
// false if somebody holds one that excludes it.
func lock(f *os.File, exclusive bool) (taken bool, err error) {
	how := syscall.LOCK_SH
	if exclusive {
		how = syscall.LOCK_EX
	}
	err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
