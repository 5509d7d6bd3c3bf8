package file

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/gofrs/flock"
)

// ErrLocked means that another process holds the lock.
var ErrLocked = errors.New("another process holds the lock")

// Lock is a held lock on a file. The system releases it when the process ends,
// however it ends.
type Lock struct{ flock *flock.Flock }

// WaitForLock locks a file exclusively, and blocks until no other process holds a lock
// on it. A missing file is created (0600).
func WaitForLock(name string) (*Lock, error) {
	l := flock.New(name)
	for {
		if err := l.Lock(); !errors.Is(err, syscall.EINTR) {
			return newLock(l, err)
		}
	}
}

// TryLock locks a file exclusively. The error is [ErrLocked] if another process holds a
// lock on it. A missing file is created (0600).
func TryLock(name string) (*Lock, error) {
	l := flock.New(name)
	locked, err := l.TryLock()
	if err == nil && !locked {
		err = ErrLocked
	}
	return newLock(l, err)
}

// TryShare is [TryLock] for a lock that other processes may share.
func TryShare(name string) (*Lock, error) {
	l := flock.New(name)
	locked, err := l.TryRLock()
	if err == nil && !locked {
		err = ErrLocked
	}
	return newLock(l, err)
}

func newLock(l *flock.Flock, err error) (*Lock, error) {
	var at *fs.PathError
	switch {
	case err == nil:
		return &Lock{l}, nil
	case !errors.Is(err, ErrLocked) && !errors.As(err, &at):
		err = &fs.PathError{Op: "lock", Path: l.Path(), Err: err}
	}
	return nil, errors.Join(err, l.Close())
}

// Release releases the lock.
func (l *Lock) Release() error { return l.flock.Close() }

// Stat describes the locked file, whatever its path has come to mean since.
func (l *Lock) Stat() (os.FileInfo, error) { return l.flock.Stat() }
