// Package lead runs an unmodified program whose connections to emulated host names arrive
// at a lab on this machine: without a proxy variable, without namespaces and without root.
// It knows nothing of labs. It is given the names, and a socket (package handover) on which
// whoever answers for them is handed the connections.
//
// A seccomp filter has the kernel ask a supervisor about every connect(2) of the program
// and of its descendants, and about sending and receiving with an address. The supervisor
// answers questions about emulated names itself (DNS), with addresses of 127.77.0.0/17, and
// has connections to those arrive at a listener of its own, of which each is handed over.
// Everything else goes on as the program asked for, but for TCP to public addresses on
// ports 443 and 80, and datagrams that are sent to 443 there with an address: whoever answers
// decides whether that is permitted. So it is with names
// that no resolver knows, which lead nowhere in any case. Sources:
// seccomp_unotify(2), pidfd_getfd(2).
//
// It is a convenience, not a boundary: what a pointer leads to is read once by the
// supervisor and once more by the kernel.
//
// Three processes take part: the one that starts a [Lead]; the supervisor, which lives until
// the last descendant of the program has ended; and the program, a child of its starter,
// where Yama permits that and else of the supervisor. The supervisor is the starter's executable,
// and so is at first the program's process: this package and package shim do their work in
// init, and main does not run then. When the starter is gone, connections to emulated names
// are refused, and everything else goes on.
//
// Not led are: what is no descendant of the program (daemons that run already, containers),
// 32-bit programs, and those that the supervisor may not look into (another user's, such as
// not dumpable ones); [Report] names them. Programs that gain privileges by being executed
// do not: see [Suits].
//
// A signal that arrives in the moment before the supervisor takes a connect(2), and whose
// handler has no SA_RESTART, ends it with EINTR before anything was sent. Whoever has a tracer
// has it begin again: see [NotBegun].
package lead

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Options say what is led where.
type Options struct {
	// Names are the emulated names, in lower case and without a final dot: a whole name, or
	// ".suffix" for all names below it.
	Names []string `json:"names"`

	// Literals are addresses of TCP that programs use without a name, such as
	// 169.254.169.254:80, and where on this machine each is answered.
	Literals map[netip.AddrPort]netip.AddrPort `json:"literals"`

	// Handover is the address of the socket on which connections to emulated names are handed
	// over, and which decides about escapes: see package handover. Required, unless there
	// are no Names.
	Handover string `json:"handover"`

	// Ancestor has the supervisor be the parent of the program, which Yama wants
	// (kernel.yama.ptrace_scope of 1, the default of Ubuntu), also where nothing wants it.
	Ancestor bool `json:"ancestor"`
}

// Way is how a connection of the program is made to arrive elsewhere.
type Way string

const (
	// Getfd connects a copy of the program's socket (pidfd_getfd): everything works.
	Getfd Way = "getfd"

	// Rewrite changes the address in the program's memory: programs with a resolver of their
	// own that looks at who answered (c-ares) do not work. For where pidfd_getfd is not
	// permitted, such as in containers with Docker's default profile.
	Rewrite Way = "rewrite"
)

// Report is what became of a program.
type Report struct {
	Way   Way     `json:"way"`
	Unled []Unled `json:"unled,omitempty"` // in the order in which they were found
}

// Unled is a program that could not be led, or not in everything that it did. Each is
// reported once for each reason.
type Unled struct {
	PID        int    `json:"pid"`
	Executable string `json:"executable,omitempty"` // its path; "" if that cannot be read
	Name       string `json:"name,omitempty"`       // argv[0]; "" likewise
	Reason     string `json:"reason"`
}

// String is one line.
func (u Unled) String() string {
	name := u.Name
	if name == "" {
		name = fmt.Sprintf("process %d", u.PID)
	}
	if u.Executable != "" && u.Executable != name {
		name += " (" + u.Executable + ")"
	}
	return "cannot lead " + name + ": " + u.Reason
}

// Error says at which step programs cannot be led, and what to do.
type Error struct {
	Step   string // what was being done, such as "install the seccomp filter"
	Err    error
	Remedy string
}

// Error returns step, cause and remedy on one line.
func (e *Error) Error() string {
	text := fmt.Sprintf("lead the program's connections: %s: %v", e.Step, e.Err)
	if e.Remedy != "" {
		text += ". " + e.Remedy
	}
	return text
}

// Unwrap returns the system's error.
func (e *Error) Unwrap() error { return e.Err }

// Check says what is wrong with the options.
func (o Options) Check() error {
	if len(o.Names) > 0 && o.Handover == "" {
		return errors.New("lead the program's connections: Handover is required with Names")
	}
	for _, name := range o.Names {
		if name == "" || name == "." || strings.ToLower(strings.TrimSuffix(name, ".")) != name {
			return fmt.Errorf("lead the program's connections: expected a name in lower case and without a final dot, or .SUFFIX, found %q", name)
		}
	}
	for from, to := range o.Literals {
		if !from.IsValid() || from.Port() == 0 || !to.IsValid() || to.Port() == 0 {
			return fmt.Errorf("lead the program's connections: expected literal addresses with ports, found %v for %v", to, from)
		}
		if !to.Addr().IsLoopback() || from.Addr().Unmap().Is4() != to.Addr().Unmap().Is4() {
			return fmt.Errorf("lead the program's connections: expected %v to be answered on loopback and by the same version of IP, found %v", from, to)
		}
	}
	return nil
}
