package trust

import (
	"os"

	"golang.org/x/sys/windows"

	"github.com/wiemu/wiemu/emulator/statedir"
)

// lock waits until no other process makes a CA in the directory. The lock ends
// with the process, however it ends.
func lock(dir *statedir.Dir) (unlock func(), err error) {
	f, err := dir.OpenFile(".lock", os.O_CREATE|os.O_RDWR)
	if err != nil {
		return nil, err
	}
	if err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, new(windows.Overlapped)); err != nil {
		_ = f.Close()
		return nil, &os.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return func() { _ = f.Close() }, nil
}
