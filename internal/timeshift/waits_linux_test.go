//go:build amd64 || arm64

package timeshift

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

// A language is what a program of the table is written in: its program waits in
// many ways at once, each a minute longer than the one before.
type language struct {
	name    string
	command func(t *testing.T, first time.Duration) []string
	early   time.Duration // by how much it rounds down
	late    time.Duration // ... and up
	busy    bool          // its runtime asks for so many turns that it is late for some; see clock.Lab.Advance
	noMono  bool          // it cannot tell its monotonic clock
}

var languages = []language{
	{name: "Go", command: func(_ *testing.T, first time.Duration) []string { return []string{goProgram, seconds(first)} }, busy: true},
	{name: "C, linked dynamically", command: func(t *testing.T, first time.Duration) []string {
		return []string{compile(t, "waits"), seconds(first)}
	}},
	{name: "C, linked statically", command: func(t *testing.T, first time.Duration) []string {
		return []string{compile(t, "waits", "-static"), seconds(first)}
	}},
	{name: "a shell", noMono: true, command: func(t *testing.T, first time.Duration) []string {
		return []string{need(t, "sh"), filepath.Join("testdata", "waits.sh"), seconds(first)}
	}},
	{name: "Python", late: 10 * time.Millisecond, command: func(t *testing.T, first time.Duration) []string {
		return []string{need(t, "python3"), filepath.Join("testdata", "waits.py"), seconds(first)}
	}},
	{name: "Node", early: time.Millisecond, busy: true, command: func(t *testing.T, first time.Duration) []string {
		return []string{need(t, "node"), filepath.Join("testdata", "waits.js"), seconds(first)}
	}},
	// Its virtual machine looks at the clock twenty times a second.
	{name: "Java", busy: true, command: func(t *testing.T, first time.Duration) []string {
		dir := t.TempDir()
		if out, err := exec.Command(need(t, "javac"), "-d", dir, filepath.Join("testdata", "Waits.java")).CombinedOutput(); err != nil {
			t.Fatalf("compile Waits.java: %v\n%s", err, out)
		}
		return []string{need(t, "java"), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", dir, "Waits", seconds(first)}
	}},
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

// A line of a program's output says when something happened, by two clocks.
type line struct {
	name       string
	wall, mono time.Duration // since start; since the program began
}

// events reads what a program wrote: when it began, and when which wait was over.
func (c *child) events() (all []line) {
	c.t.Helper()
	var begun float64
	for i, text := range c.lines() {
		fields := strings.Fields(text)
		if len(fields) != 3 {
			c.t.Fatalf("expected a name and two times, found %q in\n%s", text, c.output())
		}
		// A float64 of seconds since 1970 is good for a microsecond.
		whole, part, _ := strings.Cut(fields[1], ".")
		unix, err := strconv.ParseInt(whole, 10, 64)
		nanos, err2 := strconv.ParseInt((part + "000000000")[:9], 10, 64)
		mono, err3 := strconv.ParseFloat(fields[2], 64)
		if err != nil || err2 != nil || err3 != nil {
			c.t.Fatalf("expected a name and two times, found %q", text)
		}
		if i == 0 {
			begun = mono
		}
		all = append(all, line{fields[0], time.Unix(unix, nanos).Sub(start), time.Duration(math.Round((mono-begun)*1e6)) * time.Microsecond})
	}
	return all
}

// However a program waits, and whatever the lab clock does, the wait is over when
// lab time says so: not before, not after, and in order.
func TestAWaitIsOverWhenLabTimeSaysSo(t *testing.T) {
	for _, lang := range languages {
		t.Run(lang.name, func(t *testing.T) {
			t.Parallel()
			const first = 20 * time.Minute
			lab := clock.Stopped(start)
			c := launch(t, lab, lab, Options{}, lang.command(t, first)...)
			c.has("begin ")
			for _, d := range []time.Duration{time.Nanosecond, time.Second, 10*time.Minute - time.Second, 9*time.Minute + 59*time.Second - time.Nanosecond} {
				if c.advance(d); len(c.lines()) != 1 {
					t.Fatalf("at %v it wrote\n%s", lab.Now().Sub(start), c.output())
				}
			}
			c.advance(30 * time.Minute)
			if code := c.wait(); code != 0 {
				t.Fatalf("exit code %d\n%s", code, c.output())
			}
			checkOrder(t, c, first, 30*time.Minute, lang)
		})
	}
}

// Whatever makes lab time go on.
func TestWaitsOnEveryClock(t *testing.T) {
	const first = 20 * time.Minute
	set := func(at time.Duration) func(*testing.T, *child) {
		return func(t *testing.T, c *child) {
			if err := c.lab.AdvanceTo(t.Context(), start.Add(at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name  string
		speed float64
		skew  time.Duration
		move  func(t *testing.T, c *child) // nil: it moves by itself
		exact bool
	}{
		{name: "one that is set", move: set(2 * time.Hour), exact: true},
		{name: "one that is set again and again", exact: true, move: func(t *testing.T, c *child) {
			for at := 10 * time.Minute; at < time.Hour; at += 7 * time.Minute {
				set(at)(t, c)
			}
		}},
		{name: "one that goes forward by 26 hours", move: func(_ *testing.T, c *child) { c.advance(26 * time.Hour) }},
		{name: "one that programs see five minutes ahead", skew: 5 * time.Minute, move: set(2 * time.Hour), exact: true},
		{name: "one that programs see an hour behind", skew: -time.Hour, move: set(2 * time.Hour), exact: true},
		{name: "one that runs, and is set", speed: 1, move: set(2 * time.Hour)},
		{name: "one that runs 20000 times as fast", speed: 20000},
		{name: "one that runs 600 times as fast, and is set", speed: 600, move: set(20 * time.Hour)},
		{name: "one that freezes", speed: 1000, exact: true, move: func(_ *testing.T, c *child) { c.lab.Freeze(); c.advance(2 * time.Hour) }},
	} {
		for _, lang := range languages {
			if lang.name == "Java" || lang.name == "C, linked statically" {
				continue // the one because it takes long, the other because it is the same
			}
			t.Run(test.name+"/"+lang.name, func(t *testing.T) {
				t.Parallel()
				lab := clock.Stopped(start)
				if err := lab.Skew(clock.Workloads, test.skew); err != nil {
					t.Fatal(err)
				}
				c := launch(t, lab, lab, Options{}, lang.command(t, first)...)
				c.has("begin ")
				if len(c.lines()) != 1 {
					t.Fatalf("at the beginning it wrote\n%s", c.output())
				}
				if test.speed > 0 {
					if err := lab.SetSpeed(test.speed); err != nil {
						t.Fatal(err)
					}
				}
				if test.move != nil {
					test.move(t, c)
				}
				if code := c.wait(); code != 0 {
					t.Fatalf("exit code %d\n%s", code, c.output())
				}
				if all := c.events(); all[0].wall != test.skew {
					t.Errorf("it began at %v, want %v", all[0].wall, test.skew)
				}
				if test.exact {
					checkOrder(t, c, first, c.lab.Now().Sub(start), lang)
					return
				}
				for _, e := range c.events()[1:] {
					if due := first + test.skew - lang.early; e.wall < due {
						t.Errorf("%s was over at %v, before %v", e.name, e.wall, due)
					}
				}
			})
		}
	}
}

func TestWallClocksAlone(t *testing.T) {
	program := compile(t, "acts")
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	lab := clock.Stopped(start)
	c := launchWith(t, lab, lab, Options{WallOnly: true}, in, program, "tell")
	jumps := []time.Duration{0, 10 * time.Minute, time.Nanosecond, 26 * time.Hour}
	var want time.Duration
	began := time.Now()
	for i, jump := range jumps {
		c.until("answer", func() bool { return strings.Count(c.output(), "\n") == i+1 })
		all := c.events()
		if got := all[i]; got.wall != want || got.mono < 0 || got.mono > time.Since(began)+time.Second {
			t.Errorf("the wall clock shows %v, want %v; the monotonic clock has gone by %v", got.wall, want, got.mono)
		}
		c.advance(jump)
		want += jump
		if _, err := out.WriteString("\n"); err != nil {
			t.Fatal(err)
		}
	}
	_ = out.Close()
	if c.wait() != 0 {
		t.Error(c.said())
	}
	if notes := c.shift.Report().Programs[0].Note; len(notes) != 1 || !strings.Contains(notes[0], "monotonic clocks and waits are left alone") {
		t.Errorf("the report says %q", notes)
	}
}

// checkOrder looks whether every wait was over in time, after an advance by so much.
func checkOrder(t *testing.T, c *child, first, advanced time.Duration, lang language) {
	t.Helper()
	late := lang.late
	if lang.busy {
		late = advanced/300 + time.Second
	}
	all := c.events()
	if len(all) < 4 {
		t.Fatalf("it wrote\n%s", c.output())
	}
	for i, e := range all[1:] {
		due := first + time.Duration(i)*time.Minute + all[0].wall
		if e.wall < due-lang.early || e.wall > due+late {
			t.Errorf("%s was over at %v, want %v", e.name, e.wall, due)
		}
		// Rounded by the language, and by us.
		if apart := e.mono - (e.wall - all[0].wall); !lang.noMono && (apart < -5*time.Millisecond || apart > 5*time.Millisecond) {
			t.Errorf("%s: the monotonic clock shows %v, the wall clock %v", e.name, e.mono, e.wall)
		}
	}
}
