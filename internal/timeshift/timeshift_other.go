//go:build !linux || !(amd64 || arm64)

package timeshift

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/lead"
)

// errUnsupported means that programs cannot run on a clock of their own on this system.
var errUnsupported = errors.New("a program's clock can be shifted on Linux only, on amd64 and arm64; run wiemu in a container or a virtual machine with it")

// Shift is a program on the lab clock; there are none on this system.
type Shift struct{}

// Start fails: see errUnsupported.
func Start(Source, Options) (*Shift, error) { return nil, errUnsupported }

// Prepare fails: see errUnsupported.
func (*Shift) Prepare(*exec.Cmd) error { return errUnsupported }

// StartFailed returns the error.
func (*Shift) StartFailed(err error) error { return err }

// Next reports that nothing waits.
func (*Shift) Next() (time.Time, bool) { return time.Time{}, false }

// Turn does nothing.
func (*Shift) Turn(context.Context, time.Duration) error { return nil }

// LetTimePass does nothing.
func (*Shift) LetTimePass() {}

// Report is empty.
func (*Shift) Report() Report { return Report{} }

// Led is empty.
func (*Shift) Led() lead.Report { return lead.Report{} }

// Close does nothing.
func (*Shift) Close() error { return nil }

// Serve closes the connection.
func Serve(conn io.ReadWriteCloser, _ Source) { _ = conn.Close() }

// Remote is a clock in another process; there are none on this system.
type Remote struct{ Source }

// Connect fails: see errUnsupported.
func Connect(io.ReadWriteCloser) (*Remote, error) { return nil, errUnsupported }

// Close does nothing.
func (*Remote) Close() error { return nil }

// Ended is never closed.
func (*Remote) Ended() <-chan struct{} { return nil }

// IsHelperProcess reports false.
func IsHelperProcess() bool { return false }

// RunHelper is never called.
func RunHelper(func(file string) string) {}

// Probe fails: see errUnsupported.
func Probe(context.Context) (Probed, error) { return Probed{}, errUnsupported }

var _ clock.Follower = (*Shift)(nil)
