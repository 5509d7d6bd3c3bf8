// Package timeshift runs unmodified programs on the lab clock: whatever they and
// their children ask the kernel for the time, they are told lab time, and what
// they wait for ends when lab time says so. It does not say what time it is; see
// package clock of the emulator.
//
// It works for every program, statically linked or not, without root and without
// a library inside it: the program is given no vDSO (so that it asks the kernel),
// a seccomp filter hands its questions about time to a supervisor, which answers
// them, and its waits with a time-out are ended by the supervisor where the
// kernel, which knows nothing of lab time, would end them at the wrong moment.
// Sources: seccomp_unotify(2), ptrace(2), vdso(7).
//
// Three processes take part: the one that starts a [Shift]; the supervisor, which
// traces and answers; and the program itself, a child of whoever starts it, with
// its own exit code, signals, terminal and job control. The first two are this
// same program under other names, so whoever uses the package asks [IsOwn] first
// thing in main and calls [Main] if so.
//
// A wait of at most a tenth of a second that is told as a duration may end a little
// early: the kernel ends it, too, though lab time stands.
//
// What it cannot shift is said in [Report]: times of files, CPU clocks, signals
// of kernel timers (alarm, setitimer, timer_create), timerfds, and 32-bit
// programs. A program that is traced cannot be attached to by a debugger.
package timeshift

import (
	"errors"
	"fmt"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

// Source is a clock to live on: a *clock.Lab, or one that is far away.
type Source interface {
	// Setting is how the clock runs now.
	Setting() clock.Setting
	// Watch tells of every change, until stop.
	Watch(func(clock.Setting)) (stop func())
	// Follow gives a program its turn whenever time has moved, until leave.
	Follow(clock.Follower) (leave func())
	// Skews says how far the parts of the lab are ahead; ours is clock.Workloads.
	Skews() map[string]time.Duration
}

// Options say how a program lives on a clock. The zero value is for most.
type Options struct {
	// WallOnly leaves monotonic clocks and waits alone, as if only the system's
	// date was set: for programs that do not bear more.
	WallOnly bool
	// Explain has the report say what kind of program each was.
	Explain bool
}

// Probed is what Probe found.
type Probed struct {
	Cost time.Duration `json:"cost"` // of one question about time, on the wall clock
	Bare time.Duration `json:"bare"` // the same without us
}

// ErrUnsupported says that programs cannot be run on a clock of their own here.
var ErrUnsupported = errors.New("a program's clock can be shifted on Linux only, on amd64 and arm64; run wiemu in a container or a virtual machine with it")

// Error says what failed when a program was put on the lab clock, and what to do.
type Error struct {
	Step   string // what was being done, such as "trace the program"
	Err    error
	Remedy string
}

// Error gives step, cause and remedy on one line.
func (e *Error) Error() string {
	text := fmt.Sprintf("put the program on the lab clock: %s: %v", e.Step, e.Err)
	if e.Remedy != "" {
		text += ". " + e.Remedy
	}
	return text
}

// Unwrap returns the system's error.
func (e *Error) Unwrap() error { return e.Err }

// Report tells what was done to a program and how often.
type Report struct {
	Programs []Program `json:"programs"` // as they were executed, in order
	Reads    uint64    `json:"reads"`    // questions about time that were answered
	Waits    uint64    `json:"waits"`    // waits with a time-out that were watched
	Ended    uint64    `json:"ended"`    // of them, those that ended because lab time moved
}

// Program is one execution of a program that was put on the lab clock.
type Program struct {
	PID  int      `json:"pid"`
	Path string   `json:"path"`
	Kind string   `json:"kind"` // such as "Go 1.26.8", or "an ELF program"
	Note []string `json:"notes,omitempty"`
}

// Lines explains the report to people.
func (r Report) Lines() []string {
	lines := make([]string, 0, len(r.Programs)+1)
	for _, p := range r.Programs {
		lines = append(lines, fmt.Sprintf("%s (process %d, %s)", p.Path, p.PID, p.Kind))
		for _, n := range p.Note {
			lines = append(lines, "    "+n)
		}
	}
	return append(lines, fmt.Sprintf("%d questions about time were answered; of %d waits with a time-out, %d ended because lab time moved", r.Reads, r.Waits, r.Ended))
}
