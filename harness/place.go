package harness

import (
	"context"
	"io"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
)

// Place is where workloads run, and the emulator that answers them: processes of
// this machine ([Processes]), containers, a cluster.
type Place interface {
	// Name is what people call the place: process, compose or kind.
	Name() string

	// Open starts an emulator for a world. When ctx ends, so does opening; what is
	// open then goes on until Close.
	Open(ctx context.Context, w World) (Site, error)
}

// OneByOne is a place in which one world can be open at a time; opening another
// one waits.
type OneByOne interface {
	Place
	OneByOne()
}

// World is what an emulator of a place is told: who there is, and when it is.
type World struct {
	Name   string        // lower-case letters, digits and hyphens: tells worlds that are open at the same time apart
	Config config.Config // complete, with the faults that are there from the start
	File   string        // where Config was read from: for error texts and the certificate files it names
	Dir    string        // for files of this world alone; whoever made it removes it after Close

	// Start is the lab time at first, which stands still from then on. A place
	// whose time is real, such as a cluster, takes no notice.
	Start time.Time

	Lockstep  bool       // programs live on the lab clock; see package timeshift
	Seed      uint64     // decides about faults with a probability that name none
	Workloads []Declared // whom Site.Workload will be asked for, in this order
}

// Site is a world that is open in a place. Close it.
type Site interface {
	// Control steers the emulator.
	Control() *control.Client

	// Workload admits one of the world's workloads: its service account exists, and
	// it has a token file.
	Workload(ctx context.Context, d Declared) (Runner, error)

	// Close ends what runs, and removes what Open and Workload made. It waits
	// for answers under way until ctx ends.
	Close(ctx context.Context) error
}

// Runner is a workload, in which programs can be started.
type Runner interface {
	// Token is what the workload's token file holds now; nil when there is no file.
	Token(ctx context.Context) ([]byte, error)

	// Start starts a program as a new pod of the workload would: with the
	// environment that the webhook injects at this moment. What the program needs of
	// its own, such as wiemu-workload, is in the PATH there. When ctx ends, so
	// does the program.
	Start(ctx context.Context, p Program) (Process, error)
}

// WorkloadProgram is the name of the client of our own that every place has in
// its PATH; see cmd/wiemu-workload.
const WorkloadProgram = "wiemu-workload"

// Program is what a workload runs.
type Program struct {
	Command []string          // the program and its arguments
	Env     map[string]string // adds to the workload's environment, and replaces what is there

	// TokenOf is a workload of the same site whose token file the program reads,
	// instead of its own. A place in which nobody can see another's file gives a
	// copy of what it holds at the start.
	TokenOf Runner

	// Token is what the token file of this program holds, however the workload's
	// own changes. nil: it reads the workload's own, or TokenOf's.
	Token []byte

	Stdout, Stderr io.Writer // written to while the program runs; no longer when Wait has returned
}

// Process is a program that was started.
type Process interface {
	// Done is closed when the program has ended.
	Done() <-chan struct{}

	// Wait waits for the end of the program, and in lockstep lets time go by when the program
	// waits for it. The error says why there is no exit code: the program could
	// not be started, or the place failed.
	Wait(ctx context.Context) (exitCode int, err error)

	// Stop asks the program to end (SIGTERM), and makes it after a moment. It
	// does not wait for that.
	Stop()
}
