package state

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lock takes a lock that ends with the process (LockFileEx). taken is false if
// somebody holds one that excludes it.
func lock(f *os.File, exclusive bool) (taken bool, err error) {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if exclusive {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}
