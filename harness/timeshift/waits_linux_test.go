//go:build amd64 || arm64

package timeshift

import (
	"math"
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
	noMono  bool          // it cannot tell its monotonic clock
}

var languages = []language{
	{name: "Go", command: func(_ *testing.T, first time.Duration) []string { return []string{goProgram, seconds(first)} }, late: 10 * time.Second},
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
	{name: "Node", early: time.Millisecond, late: 10 * time.Millisecond, command: func(t *testing.T, first time.Duration) []string {
		return []string{need(t, "node"), filepath.Join("testdata", "waits.js"), seconds(first)}
	}},
	// Its virtual machine looks at the clock twenty times a second: see clock.Lab.Advance.
	{name: "Java", late: 5 * time.Second, command: func(t *testing.T, first time.Duration) []string {
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
			checkOrder(t, c, first, lang)
		})
	}
}

func checkOrder(t *testing.T, c *child, first time.Duration, lang language) {
	t.Helper()
	all := c.events()
	if len(all) < 4 {
		t.Fatalf("it wrote\n%s", c.output())
	}
	for i, e := range all[1:] {
		due := first + time.Duration(i)*time.Minute
		if e.wall < due-lang.early || e.wall > due+lang.late {
			t.Errorf("%s was over at %v, want %v", e.name, e.wall, due)
		}
		// Rounded by the language, and by us.
		if apart := e.mono - e.wall; !lang.noMono && (apart < -5*time.Millisecond || apart > 5*time.Millisecond) {
			t.Errorf("%s: the monotonic clock shows %v, the wall clock %v", e.name, e.mono, e.wall)
		}
	}
}
