//go:build amd64 || arm64

package timeshift

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

// A program that does something every second, and something every hour: a day later
// the former is not exact any more, the latter is.
func TestALongWaitIsExactAmongManyShortOnes(t *testing.T) {
	start := time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)
	lab := clock.Stopped(start)
	c := launch(t, lab, lab, Options{}, "bash", "-c", `(while true; do sleep 1; echo tick; done) & while true; do sleep 3600; date -u +%H:%M:%S; done`)
	c.rest()
	c.advance(24 * time.Hour)
	c.rest()
	var hours, ticks []string
	for _, line := range c.lines() {
		if line == "tick" {
			ticks = append(ticks, line)
		} else {
			hours = append(hours, line)
		}
	}
	if len(ticks) < 300 || len(ticks) > 700 {
		t.Errorf("%d ticks, want some hundreds: not one a second for a day, and not none", len(ticks))
	}
	want := "09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 00 01 02 03 04 05 06 07 08"
	if got := strings.ReplaceAll(strings.Join(hours, " "), ":00:00", ""); got != want {
		t.Errorf("the full hours came at %s, want %s", got, want)
	}
}

// A program that waits for the last moment of a time looks at the clock, finds that it
// is not over, and waits for what is left. Where lab time stands that has no end; the
// program is at rest all the same.
func TestWhoWaitsForTheLastMomentIsAtRest(t *testing.T) {
	lab := clock.Stopped(time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC))
	c := launch(t, lab, lab, Options{}, need(t, "python3"), "-c", `
import os, select, time
ends, _ = os.pipe()
due = time.monotonic() + 0.0001
while time.monotonic() < due:
    select.select([ends], [], [], due - time.monotonic())
print("over", flush=True)
due = time.monotonic() + 0.001
p = select.epoll()
while time.monotonic() < due:
    p.poll(due - time.monotonic())
print("over again", flush=True)
`)
	for _, says := range []string{"over", "over again"} {
		c.rest()
		c.advance(10 * time.Millisecond)
		c.has(says)
	}
	if code := c.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, c.output())
	}
}

// A program that looks every millisecond whether a time has come is at rest while lab time
// stands, is not given a million turns on the way there, and sees the time when it has come.
func TestPollersSeeTheirTime(t *testing.T) {
	program := compile(t, "acts")
	for _, way := range []string{"usleep", "epoll_wait", "poll", "select", "futex"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			lab := clock.Stopped(start)
			c := launch(t, lab, lab, Options{}, program, "poller", way)
			c.has("begin\n")
			c.advance(20 * time.Minute)
			if c.ended() {
				t.Errorf("it ended early: %s", c.output())
			}
			c.advance(20 * time.Minute)
			if code := c.wait(); code != 0 {
				t.Fatalf("exit code %d: %s", code, c.said())
			}
			var took int
			if _, err := fmt.Sscanf(c.lines()[1], "%d", &took); err != nil {
				t.Fatal(err)
			}
			if took < 1800 || took > 1804 {
				t.Errorf("it saw the end of half an hour after %d s", took)
			}
		})
	}
}
