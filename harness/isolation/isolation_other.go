//go:build !linux

package isolation

import (
	"errors"
	"os/exec"
	"runtime"
)

// Isolation is a program's view of the world; see Start. It exists on Linux only.
type Isolation struct{}

// Start fails: namespaces are Linux'.
func Start(Options) (*Isolation, error) {
	return nil, &Error{
		Step: "make namespaces", Err: errors.ErrUnsupported,
		Remedy: "There are none on " + runtime.GOOS + ": run without --isolate (programs then reach the lab through its proxy), or on Linux or WSL2.",
	}
}

// IsInside is false: see Start.
func IsInside() bool { return false }

// Inside is never called.
func Inside() {}

// Prepare does nothing.
func (*Isolation) Prepare(*exec.Cmd) error { return nil }

// StartFailed returns err.
func (*Isolation) StartFailed(err error) error { return err }

// Close does nothing.
func (*Isolation) Close() error { return nil }
