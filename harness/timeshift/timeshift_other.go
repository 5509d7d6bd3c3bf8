//go:build !linux || !(amd64 || arm64)

package timeshift

import (
	"context"
	"io"
	"os/exec"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
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
func (*Shift) Turn(context.Context, time.Duration) error { return nil }

// Report is empty.
func (*Shift) Report() Report { return Report{} }

// Close does nothing.
func (*Shift) Close() error { return nil }

// Serve closes the connection.
func Serve(conn io.ReadWriteCloser, _ Source) { _ = conn.Close() }

// Remote is a clock in another process; there are none on this system.
type Remote struct{ Source }

// Connect returns ErrUnsupported.
func Connect(io.ReadWriteCloser) (*Remote, error) { return nil, ErrUnsupported }

// Close does nothing.
func (*Remote) Close() error { return nil }

// Ended is never closed.
func (*Remote) Ended() <-chan struct{} { return nil }

// IsOwn reports false.
func IsOwn() bool { return false }

// Main is never called.
func Main() {}

// Probe returns ErrUnsupported.
func Probe(context.Context) (Probed, error) { return Probed{}, ErrUnsupported }

var _ clock.Follower = (*Shift)(nil)
