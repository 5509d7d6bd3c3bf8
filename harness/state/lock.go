package state

import (
	"errors"
	"fmt"
	"os"
)

// ErrTaken says that another process holds a lock.
var ErrTaken = errors.New("another process holds the lock")

// Lock takes the lock of a file, which it makes, for this process alone. The
// system lets go of it however the process ends. The error is ErrTaken if another
// process holds it.
func Lock(file string) (release func() error, err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("take a lock: %w", err)
	}
	taken, err := lock(f, true)
	if err == nil && !taken {
		err = ErrTaken
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
