package store

import (
	"errors"
	"os"
	"syscall"
)

// syncData waits until what was written to a file is on disk; times and the like may not be.
func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
