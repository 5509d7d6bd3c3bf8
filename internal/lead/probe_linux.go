//go:build amd64 || arm64

package lead

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/lead/shim"
	"github.com/wiemu/wiemu/internal/process"
)

// Probe finds out which way programs can be led here. A child of this process tries all that
// it takes and ends; nothing is changed in this one. The error says on one line what is not
// permitted, and what to do.
func Probe(ctx context.Context) (Way, error) {
	ours, theirs, err := process.SocketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		return "", explain(shim.StepConnect, err)
	}
	defer ours.Close()
	defer theirs.Close()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{shim.Name, strconv.Itoa(3), shim.ProbeOnly}
	cmd.ExtraFiles = []*os.File{theirs}
	if err := cmd.Start(); err != nil {
		return "", explain("start the probe", err)
	}
	_ = theirs.Close() // so that the child's end is noticed
	met, failed, err := meet(int(ours.Fd()))
	_ = ours.Close() // the child ends, if it has not
	if err == nil && failed == nil {
		_ = unix.Close(met.listener)
	}
	ran := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case failed != nil:
		return "", explain(failed.Step, failed.Cause())
	case err != nil:
		return "", explain(shim.StepConnect, errors.Join(err, ran))
	}
	return met.way, nil
}
