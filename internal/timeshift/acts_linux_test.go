//go:build amd64 || arm64

package timeshift

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

// What is hard for whoever answers a program's questions about time; what each
// program does and looks at is in testdata/acts.c.
func TestHardPrograms(t *testing.T) {
	program := compile(t, "acts")
	for _, test := range []struct {
		name     string
		advance  time.Duration // when it is at rest
		together string        // what it writes
	}{
		{"storm", 0, "ok\n"},
		{"interrupts", 0, "ok\n"},
		{"interrupts-restart", 0, "ok\n"},
		{"faults", 0, "ok\n"},
		{"standstill", 0, "ok\n"},
		{"churn", 0, "ok\n"},
		{"families", 0, "ok\n"},
		{"remainders", 5 * time.Hour, "ok\n"},
		{"patience", 10 * time.Minute, "ok\n"},
		{"leaderless", time.Hour, "begin\nok\n"},
		{"naps", time.Hour, "begin\nok\n"},
		{"retries", 26 * time.Hour, "begin\nok\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			lab := clock.Stopped(start)
			c := launch(t, lab, lab, Options{}, program, test.name)
			if test.advance > 0 {
				c.rest()
				c.advance(test.advance)
			}
			if code := c.wait(); code != 0 || c.output() != test.together {
				t.Errorf("exit code %d, wrote %q, want %q\n%s", code, c.output(), test.together, c.said())
			}
		})
	}
}

// Programs at the edges of what they may write; what each does is in testdata/edges.c.
func TestProgramsAtTheEdgesOfTheirMemory(t *testing.T) {
	program := compile(t, "edges")
	for name, advance := range map[string]time.Duration{"stacks": 6 * time.Minute, "standstill": 0, "constants": 3 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := clock.Stopped(start)
			c := launch(t, lab, lab, Options{}, program, name)
			if advance > 0 {
				c.rest()
				c.advance(advance)
			}
			if code := c.wait(); code != 0 || c.output() != "ok\n" {
				t.Errorf("exit code %d, wrote %q\n%s", code, c.output(), c.said())
			}
		})
	}
}

// An Advance gives a program its turn at every time for which it waits.
func TestAnAdvanceStopsWhereAProgramWaits(t *testing.T) {
	program := compile(t, "acts")
	lab := clock.Stopped(start)
	c := launch(t, lab, lab, Options{}, program, "ticker", "10")
	c.has("begin")
	c.advance(10 * time.Minute)
	if c.wait() != 0 {
		t.Fatal(c.said())
	}
	want := "begin\n"
	for i := range 10 {
		want += fmt.Sprintln(start.Add(time.Duration(i+1) * time.Minute).Unix())
	}
	if c.output() != want {
		t.Errorf("got\n%swant\n%s", c.output(), want)
	}
}

// deaf is a clock that does not wait for anybody: programs are busy while it moves.
type deaf struct{ *clock.Lab }

func (deaf) Follow(clock.Follower) (leave func()) { return func() {} }

func TestClocksGoForwards(t *testing.T) {
	goesForwards(t, "acts", "forwards", func(i int) float64 { return float64(1 + i%1000) })
}

// goesForwards has a program read the clock while lab time gets one speed after the other,
// stands and leaps, until it has seen enough.
func goesForwards(t *testing.T, name, act string, speed func(i int) float64) {
	program := compile(t, name)
	lab := clock.Stopped(start)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	c := launchWith(t, lab, deaf{lab}, Options{}, in, program, act)
	c.until("begin", func() bool { return strings.Contains(c.output(), "begin") })
	for i := 0; i < 1000 || !strings.Contains(c.output(), "enough") && !c.ended(); i++ {
		switch i % 4 {
		case 0:
			err = lab.SetSpeed(speed(i))
		case 1:
			lab.Freeze()
		default:
			err = lab.Advance(t.Context(), time.Duration(i%1000)*time.Millisecond)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	_ = out.Close()
	if code := c.wait(); code != 0 || !strings.Contains(c.output(), "ok") {
		t.Errorf("exit code %d\n%s", code, c.said())
	}
}

func TestAStoppedProgramStaysStopped(t *testing.T) {
	for _, sleep := range []string{"sleep 60", "exec python3 -c 'import time; time.sleep(60); print(\"over\", flush=True)'"} {
		t.Run(strings.Fields(sleep)[1], func(t *testing.T) {
			if strings.Contains(sleep, "python3") {
				need(t, "python3")
			}
			t.Parallel()
			lab := clock.Stopped(start)
			c := launch(t, lab, lab, Options{}, "sh", "-c", "echo pid $$; "+sleep+"; echo over")
			c.has("pid ")
			pid, err := strconv.Atoi(strings.Fields(c.lines()[0])[1])
			if err != nil {
				t.Fatal(err)
			}
			kill := func(signal syscall.Signal) {
				if err := syscall.Kill(-pid, signal); err != nil { // it leads a group
					t.Fatal(err)
				}
			}
			kill(syscall.SIGSTOP)
			c.until("stop", func() bool { return strings.Contains(procStatus(t, pid), "(tracing stop)") })
			began := time.Now()
			for range 20 { // each would take two seconds if a stopped program was a busy one
				c.advance(10 * time.Second)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("20 advances took %v", took)
			}
			if strings.Contains(c.output(), "over") {
				t.Error("it did not stay stopped")
			}
			kill(syscall.SIGCONT)
			if c.wait() != 0 || !strings.Contains(c.output(), "over") {
				t.Errorf("it wrote %q", c.output())
			}
		})
	}
}

func procStatus(t *testing.T, pid int) string {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	return string(status)
}

func TestExitCodesAreThePrograms(t *testing.T) {
	for _, test := range []struct {
		shell string
		want  int
	}{
		{"exit 0", 0}, {"exit 1", 1}, {"exit 42", 42}, {"exit 255", 255},
		{"kill -9 $$", 137}, {"kill -TERM $$", 143}, {"kill -ABRT $$", 134}, {"kill -SEGV $$", 139},
		{"no-such-program", 127}, {"exec no-such-program", 127}, {"/etc/passwd", 126},
		{"i=0; while [ $i -lt 100 ]; do i=$((i+1)); (exit $i); [ $? = $i ] || exit 1; done; exit 9", 9},
		{"echo text | cat | (read -r t; [ \"$t\" = text ] && exit 8)", 8},
		{"i=0; while [ $i -lt 150 ]; do i=$((i+1)); [ \"$(date +%s)\" = " + strconv.FormatInt(start.Unix(), 10) + " ] || exit 1; done; exit 6", 6},
		{"trap 'exit 3' USR1; kill -USR1 $$; exit 4", 3},
	} {
		t.Run(test.shell, func(t *testing.T) {
			lab := clock.Stopped(start)
			if got := launch(t, lab, lab, Options{}, "sh", "-c", test.shell).wait(); got != test.want {
				t.Errorf("exit code %d, want %d", got, test.want)
			}
		})
	}
}
