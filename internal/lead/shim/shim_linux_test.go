//go:build amd64 || arm64

package shim

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/process"
)

// What this package imports is initialized before it, and so is what that waits for. Package net
// waits for a package of vendor/, which is behind almost all that wiemu has, and path/filepath
// is behind protobuf's descriptors.
func TestItIsInitializedEarly(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "golang.org/x/sys/unix") {
		t.Fatalf("expected the packages that it imports, found %q", deps)
	}
	for _, late := range []string{"net", "path/filepath", "os/exec", "regexp", "os/signal"} {
		if slices.Contains(deps, late) {
			t.Errorf("it imports %s, by whatever way, and would be initialized late: each program that is led would start some milliseconds later", late)
		}
	}
}

func TestTheExitCodesAreThoseOfPackageProcess(t *testing.T) {
	if failed != process.Failed || notExecutable != process.NotExecutable {
		t.Errorf("found %d and %d, expected %d and %d", failed, notExecutable, process.Failed, process.NotExecutable)
	}
}

// A message arrives as it was said, with the longest filter that it may have, and with its file.
func TestMessages(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	long := make([]unix.SockFilter, 200)
	for i := range long {
		long[i] = unix.SockFilter{Code: 0xffff, Jt: 0xff, Jf: 0xff, K: uint32(i)}
	}
	if err := Say(fds[0], Message{PID: 7, Plan: &Plan{Filter: long, Killable: true}}, fds[0]); err != nil {
		t.Fatal(err)
	}
	m, file, err := Hear(fds[1])
	if err != nil || file < 0 || m.PID != 7 || m.Plan == nil || !m.Plan.Killable || !slices.Equal(m.Plan.Filter, long) {
		t.Errorf("found %+v, file %d, %v", m, file, err)
	}
	if err := Say(fds[0], Message{Failed: NewFailure(StepFilter, unix.EBUSY)}); err != nil {
		t.Fatal(err)
	}
	if m, file, err = Hear(fds[1]); err != nil || file != -1 || m.Failed == nil || !errors.Is(m.Failed.Cause(), unix.EBUSY) {
		t.Errorf("a failure: found %+v, file %d, %v", m.Failed, file, err)
	}
	_ = unix.Close(fds[0])
}
