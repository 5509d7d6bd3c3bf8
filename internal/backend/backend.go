// Package backend is what can run workloads: a [Backend] opens a [Session], an emulator
// with the workloads of a [Spec], and starts programs in them. Processes of this machine
// are [github.com/wiemu/wiemu/internal/run.Processes]; containers and a cluster have
// packages of their own.
package backend

import (
	"context"
	"io"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/workload"
)

// Backend is where workloads run, and the emulator that answers them: processes of
// this machine (run.Processes), containers, a cluster.
type Backend interface {
	// Name is what people call the backend: process, compose or kind.
	Name() string

	// Open starts a session. When ctx ends, so does opening; what is open then goes on until Close.
	Open(ctx context.Context, w Spec) (Session, error)
}

// Exclusive is a backend in which one session can be open at a time; opening another one waits.
type Exclusive interface {
	Backend
	Exclusive()
}

// Containers is a backend whose programs run in containers: to start and to remove one
// takes seconds.
type Containers interface {
	Backend
	Containers()
}

// Spec describes a session: its configuration, its workloads, and the time at which it starts.
type Spec struct {
	Name   string        // lower-case letters, digits and hyphens: tells sessions that are open at the same time apart
	Config config.Config // complete, with the faults that are there from the start
	File   string        // where Config was read from: for error texts and the certificate files it names
	Dir    string        // for files of this session alone; the caller removes it after Close

	// Start is the lab time at first, which stands still from then on. A backend
	// whose time is real, such as a cluster, ignores it.
	Start time.Time

	Lockstep  bool            // programs run on the lab clock; see package timeshift
	Isolate   bool            // programs run in namespaces of their own; see package isolation
	Network   Network         // how else their connections reach the lab. Defaults to what DefaultNetwork returns
	Seed      uint64          // decides about faults with a probability that name none
	Workloads []workload.Spec // whom Session.Workload will be asked for, in this order
}

// Unsupported means that a backend cannot open a session on this machine.
type Unsupported struct{ Reason error }

// Error returns the reason.
func (u *Unsupported) Error() string { return u.Reason.Error() }

// Unwrap returns the reason.
func (u *Unsupported) Unwrap() error { return u.Reason }

// Session is an open session of a backend. Close it.
type Session interface {
	// Control returns a client of the emulator's control API.
	Control() *control.Client

	// Workload admits one of the workloads of the Spec: its service account exists, and
	// it has a token file.
	Workload(ctx context.Context, d workload.Spec) (Workload, error)

	// Close ends what runs, and removes what Open and Workload made. It waits
	// for answers under way until ctx ends.
	Close(ctx context.Context) error
}

// Workload is a workload, in which programs can be started.
type Workload interface {
	// Token returns the content of the workload's token file, or nil if there is no file.
	Token(ctx context.Context) ([]byte, error)

	// Start starts a program as a new pod of the workload would: with the environment that the
	// webhook injects at this moment. What the program needs of its own, such as wiemu-workload, is
	// in the PATH there. When ctx ends, so does the program.
	Start(ctx context.Context, p Program) (Process, error)
}

// WorkloadProgram is the name of the client of our own that every backend has
// in its PATH; see cmd/wiemu-workload.
const WorkloadProgram = "wiemu-workload"

// Program is what a workload runs.
type Program struct {
	Command []string          // the program and its arguments
	Env     map[string]string // adds to the workload's environment, and replaces what is there

	// TokenOf is a workload of the same session whose token file the program reads,
	// instead of its own. A backend in which workloads cannot see each other's
	// files copies what it holds at the start.
	TokenOf Workload

	// Token is what the token file of this program holds, however the workload's
	// own changes. If nil, the program reads the workload's own, or TokenOf's.
	Token []byte

	Stdout, Stderr io.Writer // written to while the program runs; no longer when Wait has returned
}

// Process is a program that was started.
type Process interface {
	// Done is closed when the program has ended.
	Done() <-chan struct{}

	// Wait blocks until the program has ended; in lockstep lab time advances while the
	// program waits for it. The error says why there is no exit code: the program could
	// not be started, or the backend failed.
	Wait(ctx context.Context) (exitCode int, err error)

	// Stop asks the program to end (SIGTERM), and kills it after a grace period. It does not block.
	Stop()
}

// End is how a program ended, for what implements [Process].
type End struct {
	Over chan struct{} // closed when it has ended; the fields below are set then
	Code int
	Err  error
}

// Done implements [Process].
func (e *End) Done() <-chan struct{} { return e.Over }

// Wait implements [Process].
func (e *End) Wait(ctx context.Context) (exitCode int, err error) {
	select {
	case <-e.Over:
		return e.Code, e.Err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}
