//go:build unix

package trust

import (
	"errors"
	"os"
	"syscall"

	"github.com/wiemu/wiemu/emulator/statedir"
)

// lock waits until no other process makes a CA in the directory. The lock ends
// with the process, however it ends.
func lock(dir *statedir.Dir) (unlock func(), err error) {
	f, err := dir.OpenFile(".lock", os.O_CREATE|os.O_RDWR)
	if err != nil {
		return nil, err
	}
	for {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, &os.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return func() { _ = f.Close() }, nil
}
