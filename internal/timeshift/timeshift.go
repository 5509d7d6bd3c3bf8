// Package timeshift runs unmodified programs on the lab clock: when they or their
// children ask the kernel for the time, they get lab time, and their waits end when lab
// time reaches the end of the wait. What lab time is, is decided by package
// emulator/clock.
//
// It works for every program, statically linked or not, without root and without
// a library inside it. The functions of its vDSO that read a clock are replaced by code
// that reads a page of memory, which a supervisor keeps up to date, so that a clock read
// takes nanoseconds. A seccomp filter hands clock reads by system calls to the
// supervisor, which answers them, and its waits with a time-out are ended by the
// supervisor where the kernel, which knows nothing of lab time, would end them at the
// wrong moment. Sources: seccomp_unotify(2), ptrace(2), vdso(7).
//
// On arm64, where the kernel's vDSO is not as expected, and where a program cannot attach
// shared memory, it makes system calls instead, which takes microseconds; [Report] says
// why.
//
// Three processes take part: the one that starts a [Shift]; the supervisor, which
// traces and answers; and the program itself, a child of its starter, with
// its own exit code, signals, terminal and job control. The first two are the same
// executable under other names, so a program that uses this package checks
// [IsHelperProcess] first in main, and calls [RunHelper] if so.
//
// A wait of at most 100 ms that is given as a duration may end a little early: the
// kernel ends it, too, although lab time stands still.
//
// Timers expire at lab time, too: those of alarm(2), setitimer(2), timer_create(2), and of
// timerfd_create(2) where pidfd_getfd(2) is permitted (in containers: by their seccomp
// profile). The last two need a kernel with CONFIG_CHECKPOINT_RESTORE.
//
// Not shifted are times of files (no client of scenarios/conformance compares them with the clock),
// CPU clocks and timers that count by them, and 32-bit programs. [Report] names the programs of 32 bits, and those that have timers which could not
// be shifted. A debugger cannot attach to a traced program.
package timeshift

import (
	"fmt"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/lead"
)

// Source is the clock that programs run on: a *clock.Lab, or a [Remote] one.
type Source interface {
	// Setting returns how the clock runs now.
	Setting() clock.Setting
	// Watch calls the function with every change until stop is called.
	Watch(func(clock.Setting)) (stop func())
	// Follow lets the follower take part in every advance until leave is called.
	Follow(clock.Follower) (leave func())
	// Hold lets the clock stand still until release is called.
	Hold() (release func())
	// Skews returns how far the components of the lab are ahead; clock.Workloads is used.
	Skews() map[string]time.Duration
}

// Options configure a Shift. The zero value suits most programs.
type Options struct {
	// WallOnly leaves monotonic clocks and waits unchanged, as if only the system's date
	// was set: for programs that cannot cope with more.
	WallOnly bool
	// Explain adds the kind of each program to the report, if RunHelper was given who knows it.
	Explain bool
	// Lead has the program's connections led as package lead does, which cannot do it beside
	// a Shift; if nil, they are not. Ancestor has no meaning here.
	Lead *lead.Options
	// Arrival is how long, in wall time, a program at rest is given for what may be on its
	// way to it before its turn is over: in containers packets pass a bridge, which nobody
	// here sees. A resolver that it has asked has longer. If 0, its turn is over at once.
	Arrival time.Duration
}

// Probed is the result of Probe.
type Probed struct {
	Cost time.Duration `json:"cost"` // wall time of one call that reads the clock
	Bare time.Duration `json:"bare"` // the same without timeshift
}

// Error says which step failed when a program was put on the lab clock, and what to do.
type Error struct {
	Step   string // what was being done, such as "trace the program"
	Err    error
	Remedy string
}

// Error returns step, cause and remedy on one line.
func (e *Error) Error() string {
	text := fmt.Sprintf("put the program on the lab clock: %s: %v", e.Step, e.Err)
	if e.Remedy != "" {
		text += ". " + e.Remedy
	}
	return text
}

// Unwrap returns the system's error.
func (e *Error) Unwrap() error { return e.Err }

// Report counts what was done to a program.
type Report struct {
	Programs []Program `json:"programs"` // as they were executed, in order
	Reads    uint64    `json:"reads"`    // system calls that read a clock
	Waits    uint64    `json:"waits"`    // waits with a time-out, and timers that were set
	Ended    uint64    `json:"ended"`    // of these, those that ended because lab time moved
}

// Program is one execution of a program that was put on the lab clock.
type Program struct {
	PID  int      `json:"pid"`
	Path string   `json:"path"`
	Kind string   `json:"kind"` // such as "Go 1.26.8", or "an ELF program"
	Note []string `json:"notes,omitempty"`
}

// Lines returns the report as text.
func (r Report) Lines() []string {
	lines := make([]string, 0, len(r.Programs)+1)
	for _, p := range r.Programs {
		lines = append(lines, fmt.Sprintf("%s (process %d, %s)", p.Path, p.PID, p.Kind))
		for _, n := range p.Note {
			lines = append(lines, "    "+n)
		}
	}
	return append(lines,
		fmt.Sprintf("%d clock reads were system calls; of %d waits with a time-out and timers, %d ended because lab time moved", r.Reads, r.Waits, r.Ended),
		"times of files and processor time were the machine's")
}
