//go:build !linux || !(amd64 || arm64)

package timeshift

import (
	"context"
	"os/exec"
	"time"
)

// Shift is a program on the lab clock; there are none on this system.
type Shift struct{}

// Start returns ErrUnsupported.
func Start(Source, Options) (*Shift, error) { return nil, ErrUnsupported }

// Prepare returns ErrUnsupported.
func (*Shift) Prepare(*exec.Cmd) error { return ErrUnsupported }

// StartFailed returns the error.
func (*Shift) StartFailed(err error) error { return err }

// Next reports that nothing waits.
func (*Shift) Next() (time.Time, bool) { return time.Time{}, false }

// Turn does nothing.
func (*Shift) Turn(context.Context) error { return nil }

// Quiet reports true.
func (*Shift) Quiet(context.Context) (bool, error) { return true, nil }

// Report is empty.
func (*Shift) Report() Report { return Report{} }

// Close does nothing.
func (*Shift) Close() error { return nil }

// IsOwn reports false.
func IsOwn() bool { return false }

// Main is never called.
func Main() {}

// Probe returns ErrUnsupported.
func Probe(context.Context) (Probed, error) { return Probed{}, ErrUnsupported }
