//go:build unix

package kept

import (
	"errors"
	"os"
	"syscall"
)

// lock takes a lock that ends with the process, however it ends (flock(2)); taken
// is false if another holds it.
func lock(f *os.File) (taken bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
