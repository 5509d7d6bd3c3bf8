//go:build !linux

package isolation

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
)

// Isolation exists on Linux only; see Start.
type Isolation struct{}

// Start fails: only Linux has namespaces.
func Start(Options) (*Isolation, error) { return nil, unsupported() }

// Probe fails: see Start.
func Probe(context.Context) error { return unsupported() }

func unsupported() error {
	return &Error{
		Step: "make namespaces", Err: errors.ErrUnsupported,
		Remedy: "There are none on " + runtime.GOOS + ": run without --isolate (programs then reach the lab through its proxy), or on Linux or WSL2.",
	}
}

// IsHelperProcess returns false: see Start.
func IsHelperProcess() bool { return false }

// RunHelper is never called.
func RunHelper() {}

// Prepare does nothing.
func (*Isolation) Prepare(*exec.Cmd) error { return nil }

// StartFailed returns err.
func (*Isolation) StartFailed(err error) error { return err }

// Close does nothing.
func (*Isolation) Close() error { return nil }
