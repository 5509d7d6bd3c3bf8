//go:build amd64 || arm64

package lead

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/lead/shim"
)

// The names under which this program is executed again, besides [shim.Name].
const (
	supervisorName = "wiemu: decide where connections lead"
	keeperName     = "wiemu: end as the program does"
)

// What a Lead starts is done in init, so that it is before a large executable's other packages
// are initialized (see package shim), and its main does not run then. Every program that links
// this package can lead programs, test binaries included.
func init() {
	if len(os.Args) == 0 {
		return
	}
	switch os.Args[0] {
	case supervisorName:
		os.Exit(supervise()) //nolint:forbidigo // there is no caller
	case keeperName:
		os.Exit(keep()) //nolint:forbidigo // there is no caller
	}
}

// The steps that have remedies, besides those of package shim; see explain.
const (
	stepRead = "read the program's memory"
	stepWay  = "copy the program's sockets, or write its memory"
)

// A meeting is what supervisor and shim have agreed on.
type meeting struct {
	pid      int
	way      Way
	killable bool
	listener int
}

// meet finds out with the shim at the other end of a socket, which is what the program will
// be, what is permitted here, has it install the filter, and takes the listener. The error
// of the socket's end is shim.ErrEnded: there was no program.
func meet(fd int) (meeting, *shim.Failure, error) {
	m, _, err := shim.Hear(fd)
	if err != nil {
		return meeting{}, nil, err
	}
	met := meeting{pid: m.PID}
	if err := canRead(m.PID, m.Word); err != nil {
		return met, shim.NewFailure(stepRead, err), nil
	}
	if met.way, err = wayTo(m.PID, m.Word); err != nil {
		return met, shim.NewFailure(stepWay, err), nil
	}
	if err := shim.Say(fd, shim.Message{Plan: &shim.Plan{Filter: filter(met.way == Getfd), Killable: met.way == Rewrite}}); err != nil {
		return met, nil, err
	}
	if m, met.listener, err = shim.Hear(fd); err != nil {
		return met, nil, err
	}
	if m.Failed == nil && met.listener < 0 {
		return met, nil, errors.New("expected the listener")
	}
	met.killable = m.Killable
	return met, m.Failed, nil
}

func canRead(pid int, at uint64) error {
	var found [8]byte
	if err := readMemory(pid, at, found[:]); err != nil {
		return err
	}
	if binary.NativeEndian.Uint64(found[:]) != shim.Original {
		return errors.New("found something else in it")
	}
	return nil
}

// wayTo returns the better one of the ways that are permitted with a process.
func wayTo(pid int, at uint64) (Way, error) {
	way, err := WayTo(pid)
	if way == Getfd {
		return way, nil
	}
	if failed := writeMemory(pid, at, binary.NativeEndian.AppendUint64(nil, shim.Changed)); failed != nil {
		return "", fmt.Errorf("%w; write: %w", err, failed)
	}
	return way, nil
}

// WayTo returns Getfd if that is permitted with a process, and else Rewrite with why not:
// that its memory may be written is not tried.
func WayTo(pid int) (Way, error) {
	const standardError = 2
	dup, err := copyOf(pid, standardError)
	if err == nil {
		_ = unix.Close(dup)
	}
	if err == nil || errors.Is(err, unix.EBADF) { // it may be closed
		return Getfd, nil
	}
	return Rewrite, err
}
