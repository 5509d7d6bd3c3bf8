//go:build !linux || !(amd64 || arm64)

package lead

import (
	"context"
	"errors"
	"os"
	"os/exec"
)

// errUnsupported means that connections of programs cannot be led on this system.
var errUnsupported = errors.New("a program's connections can be led on Linux only, on amd64 and arm64; use the proxy, or run wiemu in a container or a virtual machine with it")

// Lead is a program whose connections are led; there are none on this system.
type Lead struct{}

// Start fails: see errUnsupported.
func Start(Options) (*Lead, error) { return nil, errUnsupported }

// Prepare fails: see errUnsupported.
func (*Lead) Prepare(*exec.Cmd) error { return errUnsupported }

// StartFailed returns the error.
func (*Lead) StartFailed(err error) error { return err }

// Relay relays nothing.
func (*Lead) Relay(os.Signal) bool { return false }

// Close does nothing.
func (*Lead) Close() error { return nil }

// Report is empty.
func (*Lead) Report() Report { return Report{} }

// Probe fails: see errUnsupported.
func Probe(context.Context) (Way, error) { return "", errUnsupported }

// Suits fails: see errUnsupported.
func Suits(string) error { return errUnsupported }

// IsLed reports false.
func IsLed() bool { return false }
