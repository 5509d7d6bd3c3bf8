//go:build amd64 || arm64

package timeshift

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

// A timer that sends a signal does so when lab time says so; what each program does and looks at
// is in testdata/signals.c.
func TestTimersThatSendSignals(t *testing.T) {
	runTimed(t, "signals", []timedAct{
		{act: "rounds", advance: time.Minute},
		{act: "alarms", advance: 5 * time.Hour},
		{act: "intervals", advance: time.Hour},
		{act: "creates", advance: 2 * time.Hour},
		{act: "overruns", advance: time.Hour},
		{act: "passes", advance: 5 * time.Hour},
		{act: "wrong"},
		{act: "running", speed: 2000},
		{act: "storm", speed: 1},
	})
}

// A timedAct is something that a program does with timers; see its file in testdata.
type timedAct struct {
	act     string
	advance time.Duration // of lab time, once the program waits
	speed   float64       // of lab time; 0: it stands
}

// runTimed has a program do all of them. No timer may follow the machine's clock.
func runTimed(t *testing.T, name string, acts []timedAct) {
	program := compile(t, name)
	for _, test := range acts {
		t.Run(test.act, func(t *testing.T) {
			t.Parallel()
			lab := clock.Stopped(start)
			if test.speed != 0 {
				if err := lab.SetSpeed(test.speed); err != nil {
					t.Fatal(err)
				}
			}
			c := launch(t, lab, lab, Options{Explain: true}, program, test.act)
			if test.advance > 0 {
				c.rest()
				c.advance(test.advance)
			}
			if code := c.wait(); code != 0 || c.output() != "ok\n" {
				t.Errorf("exit code %d, it wrote %q\n%s", code, c.output(), c.said())
			}
			if notes := strings.Join(c.shift.Report().Programs[0].Note, "\n"); strings.Contains(notes, "machine's clock") {
				t.Errorf("the report says %q", notes)
			}
		})
	}
}

// So do those that programs of the field set.
func TestProgramsWithAlarms(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string // what it writes; lab time in seconds since the start is in it
	}{
		{"timeout", []string{"sh", "-c", "timeout 600 sleep 3600; echo $? $(date +%s)"}, "124 600"},
		{"timeout that kills", []string{"sh", "-c", `timeout -k 60 600 sh -c 'trap "" TERM; sleep 3600; sleep 3600'; echo $? $(date +%s)`}, "137 660"},
		{"bash", []string{"bash", "-c", "sleep 7200 | { read -t 600; echo $? $(date +%s); }"}, "142 600"},
		{"perl", []string{"perl", "-e", `$SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 600; sleep 7200 }; print $@ =~ s/\n//r, " ", time, "\n"`}, "alarm 600"},
		{"Python", []string{"python3", "-c", pythonAlarms}, "alarm 600\ntick 660\ntick 700\ntick 740\nleft 25.0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			need(t, test.args[0])
			t.Parallel()
			lab := clock.Stopped(start)
			c := launch(t, lab, lab, Options{Explain: true}, test.args...)
			c.rest()
			c.advance(3 * time.Hour)
			if code := c.wait(); code != 0 {
				t.Fatalf("exit code %d\n%s", code, c.said())
			}
			got := c.output()
			for at := range 1000 {
				got = strings.ReplaceAll(got, fmt.Sprint(start.Unix()+int64(at)), fmt.Sprint(at))
			}
			if strings.TrimSpace(got) != test.want {
				t.Errorf("it wrote %q, want %q\n%s", got, test.want, c.said())
			}
		})
	}
}

const pythonAlarms = `
import signal, time
def say(what): print(what, int(time.time()), flush=True)
signal.signal(signal.SIGALRM, lambda *_: say("alarm"))
signal.alarm(600)
signal.pause()
signal.signal(signal.SIGALRM, lambda *_: say("tick"))
signal.setitimer(signal.ITIMER_REAL, 60, 40)
for _ in range(3): signal.pause()
signal.setitimer(signal.ITIMER_REAL, 25)
print("left", signal.getitimer(signal.ITIMER_REAL)[0])
`

func FuzzTimers(f *testing.F) {
	for _, text := range []string{
		"ID: 3\nsignal: 14/0000000000000000\nnotify: signal/pid.19146\nClockID: -6\n",
		"ID: 1\nsignal: 0/0000000000000000\nnotify: none/pid.19146\nClockID: 7\nID: 0\nsignal: 32/0000560a58957460\nnotify: signal/tid.19147\nClockID: 1\n",
		"ID: 1\nsignal: 0/\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseTimers([]byte(text))
		if err == nil && len(all) != (strings.Count(strings.TrimSuffix(text, "\n"), "\n")+4)/4 && text != "" {
			t.Errorf("%d timers in %q", len(all), text)
		}
	})
}

func TestTimersOfAProcess(t *testing.T) {
	all, err := parseTimers([]byte("ID: 2\nsignal: 0/0000000000000000\nnotify: none/pid.19146\nClockID: 7\nID: 0\nsignal: 32/0000560a58957460\nnotify: signal/tid.19147\nClockID: 1\n"))
	want := []createdTimer{{id: 2, clock: clockBoottime}, {clock: clockMonotonic, signal: 32, thread: 19147, value: 0x560a58957460}}
	if err != nil || !slices.Equal(all, want) {
		t.Errorf("found %+v, error %v", all, err)
	}
	if _, err := parseTimers([]byte("ID: 2\nsignal: x\n")); err == nil || !strings.Contains(err.Error(), "expected a timer in four lines") {
		t.Errorf("error %v", err)
	}
}
