//go:build amd64 || arm64

package timeshift

import (
	"errors"
	"net/netip"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/lead/handover"
)

// What passes the filter by is told of programs on the lab clock, too: io_uring is refused, and
// a 32-bit program is named, once.
func TestCallsThatPassBy(t *testing.T) {
	listener, err := handover.Listen()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- handover.Serve(listener, &arrivals{}) }()
	defer func() {
		if err := errors.Join(listener.Close(), <-served); err != nil {
			t.Error(err)
		}
	}()
	program := compile(t, "../../lead/testdata/calls")
	lab := clock.Stopped(start)
	c := launch(t, lab, lab, Options{Lead: &lead.Options{Names: []string{"login.example.test"}, Handover: listener.Address(), Literals: map[netip.AddrPort]netip.AddrPort{}}}, program)
	if code := c.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, c.said())
	}
	want, unled := "io_uring_setup: ENOSYS\n", 0
	if runtime.GOARCH == "amd64" { // the program has 32-bit calls there alone
		want, unled = want+"32-bit connect: EBADF\n", 1
	}
	if c.output() != want {
		t.Errorf("it said %q, want %q", c.output(), want)
	}
	found := c.shift.Led().Unled
	if len(found) != unled {
		t.Fatalf("not led were %v", found)
	}
	for _, u := range found {
		if u.PID <= 0 || filepath.Base(u.Name) != "calls" || u.Executable != program || u.Reason != "it is a 32-bit program" {
			t.Errorf("found %+v", u)
		}
	}
}
