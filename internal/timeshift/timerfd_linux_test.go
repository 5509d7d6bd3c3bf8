//go:build amd64 || arm64

package timeshift

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/emulator/clock"
)

// A timer of timerfd_create(2) expires when lab time says so; what each program does and looks at
// is in testdata/timers.c.
func TestTimerfds(t *testing.T) {
	runTimed(t, "timers", []timedAct{
		{act: "once", advance: 5 * time.Hour},
		{act: "again", advance: 30 * time.Minute},
		{act: "told", advance: 2 * time.Hour},
		{act: "closed", advance: time.Hour},
		{act: "wrong"},
		{act: "running", speed: 2000},
	})
}

// deniedTimersProgram is the name under which this program runs another, its argument, that sets
// timers, where their files cannot be fetched.
const deniedTimersProgram = "test: set timers where they cannot be fetched"

func deniedTimersMain() {
	deny(unix.SYS_PIDFD_GETFD, uint32(unix.EPERM))
	shift, err := Start(clock.Stopped(start), Options{Explain: true})
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(os.Args[1], "wrong")
	err = shift.Prepare(cmd)
	if err == nil {
		err = cmd.Run()
	}
	fmt.Println(errors.Join(err, shift.Close()), shift.Report().Lines())
}

// Where a container does not permit what it takes, timers are the kernel's, and that is said.
func TestTimerfdsThatCannotBeFetched(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Args = []string{deniedTimersProgram, compile(t, "timers")}
	out, err := cmd.CombinedOutput()
	const want = "its timers of timerfd_create(2) follow the machine's clock: pidfd_getfd(2): operation not permitted"
	if err != nil || !strings.HasPrefix(string(out), "<nil>") || !strings.Contains(string(out), want) {
		t.Errorf("error %v, it said %s\nwant %s", err, out, want)
	}
}

// So is a short wait, which the kernel ends.
func TestShortWaitsAreSaid(t *testing.T) {
	lab := clock.Stopped(start)
	c := launch(t, lab, lab, Options{Explain: true}, "sleep", "0.05")
	if code := c.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, c.said())
	}
	if notes := c.shift.Report().Programs[0].Note; !slices.Contains(notes, briefNote) {
		t.Errorf("the report says %q, want %q", notes, briefNote)
	}
}
