// Package handover passes connections from the supervisor of a program, which runs in a
// process of its own, to the lab that answers them, over a socket of this machine (Linux):
// each with the host and the port that the program asked for, and which program it was. The
// supervisor asks there, too, whether a program may connect to an address outside. What is
// emulated, and what may be reached, the lab decides: see package gateway.
//
// The lab's end is [Listen] and [Serve], the supervisor's is [Dial]. Only processes of the
// lab's own user, and root's, are listened to. The socket is an abstract one (unix(7)): it
// is no file, so nothing is left of a lab that was killed, and it is reached where loopback
// is the lab's, which led connections need anyway.
package handover

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"

	"github.com/wiemu/wiemu/emulator/journal"
)

// Program is a process that connects.
type Program = journal.Program

// Target is where a program connects to.
type Target struct {
	Host string `json:"host"` // a name in lower case without a final dot, or an address
	Port uint16 `json:"port"`
}

// String returns host:port.
func (t Target) String() string { return net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))) }

// Receiver is what the lab does with what it is handed. Its methods are called by several
// goroutines, in the order of the messages of each supervisor, and must not wait for
// programs: what a supervisor sends next waits for them.
type Receiver interface {
	// Accept takes a connection, which it owns.
	Accept(conn net.Conn, to Target, by Program)

	// Permits reports whether a program may connect to an address outside the lab. If not, it
	// has tried to.
	Permits(to Target, by Program) bool

	// Allows reports whether programs may connect to a host outside the lab, on whatever port.
	Allows(host string) bool
}

// errUnsupported is what systems say that have no programs to lead.
func errUnsupported() error {
	return fmt.Errorf("hand connections over between processes on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
