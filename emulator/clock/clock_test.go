package clock_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

var start = time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)

func TestAdvanceStopsAtEveryDueTimerInOrder(t *testing.T) {
	lab := clock.Stopped(start)
	var seen []string
	note := func(name string) func() {
		return func() { seen = append(seen, name+" "+lab.Now().Sub(start).String()) }
	}
	lab.AfterFunc(2*time.Hour, note("late"))
	lab.AfterFunc(time.Hour, note("first of two"))
	lab.AfterFunc(time.Hour, note("second of two"))
	lab.AfterFunc(time.Minute, func() {
		note("arms another")()
		lab.AfterFunc(30*time.Minute, note("armed on the way"))
	})
	stopped := lab.AfterFunc(time.Hour, note("stopped"))
	if !stopped.Stop() || stopped.Stop() {
		t.Error("Stop reports true once, then false")
	}
	lab.AfterFunc(5*time.Hour, note("not yet due"))

	if err := lab.Advance(t.Context(), 3*time.Hour); err != nil {
		t.Fatal(err)
	}
	want := []string{"arms another 1m0s", "armed on the way 31m0s", "first of two 1h0m0s", "second of two 1h0m0s", "late 2h0m0s"}
	if !slices.Equal(seen, want) {
		t.Errorf("fired %q, want %q", seen, want)
	}
	if got := lab.Now(); !got.Equal(start.Add(3 * time.Hour)) {
		t.Errorf("the clock stands at %s, want three hours after the start", got)
	}
}

func TestAdvanceRefusesToGoBack(t *testing.T) {
	lab := clock.Stopped(start)
	for name, err := range map[string]error{
		"Advance":   lab.Advance(t.Context(), -time.Second),
		"AdvanceTo": lab.AdvanceTo(t.Context(), start.Add(-time.Second)),
	} {
		if err == nil || !strings.Contains(err.Error(), "never goes backwards") {
			t.Errorf("%s into the past: %v, want a refusal that says why", name, err)
		}
	}
}

func TestLabTimeEndsWithTheCertificates(t *testing.T) {
	lab := clock.Stopped(start)
	if err := lab.Advance(t.Context(), 700_000*time.Hour); err == nil || !strings.Contains(err.Error(), "lab time ends on 2099") {
		t.Errorf("into 2105: %v", err)
	}
	if !lab.Now().Equal(start) {
		t.Errorf("the refused step moved the clock to %s", lab.Now())
	}
}

func TestAdvanceWaitsForRequestsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := clock.Stopped(start)
		end := lab.Begin()
		fired := false
		lab.AfterFunc(time.Minute, func() { fired = true })
		done := make(chan error, 1)
		go func() { done <- lab.Advance(t.Context(), time.Hour) }()
		synctest.Wait()
		if fired || !lab.Now().Equal(start) {
			t.Error("the clock moved while a request was in flight")
		}
		end()
		end() // twice is harmless
		if err := <-done; err != nil || !fired {
			t.Errorf("after the request: error %v, fired %v", err, fired)
		}
	})
}

func TestAdvanceGivesUpWithItsContext(t *testing.T) {
	lab := clock.Stopped(start)
	defer lab.Begin()()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := lab.Advance(ctx, time.Hour); err == nil || !lab.Now().Equal(start) {
		t.Errorf("error %v at %s, want an error and the clock where it was", err, lab.Now())
	}
}

// In a bubble time.Now is fake, so a running lab can be watched without waiting.
func TestRunningClockFollowsWallTimeAndKeepsItsJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := clock.Running()
		if !lab.Now().Equal(time.Now()) {
			t.Errorf("lab time %s, wall time %s: want the same", lab.Now(), time.Now())
		}
		fired := make(chan time.Duration, 3)
		began := lab.Now()
		arm := func(d time.Duration) { lab.AfterFunc(d, func() { fired <- lab.Now().Sub(began) }) }
		arm(10 * time.Minute)
		arm(26 * time.Hour)
		if got := <-fired; got != 10*time.Minute { // wall time passes in the bubble
			t.Errorf("first timer at %v, want 10m", got)
		}
		if err := lab.Advance(t.Context(), 25*time.Hour); err != nil {
			t.Fatal(err)
		}
		if jump := lab.Now().Sub(time.Now().Round(0)); jump != 25*time.Hour {
			t.Errorf("lab is %v ahead of the wall, want 25h", jump)
		}
		if got := <-fired; got != 26*time.Hour {
			t.Errorf("second timer at %v, want 26h of lab time", got)
		}
		if passed := time.Since(began.Add(0)); passed != time.Hour {
			t.Errorf("%v of wall time passed, want 1h: 10m before the jump and 50m after", passed)
		}
	})
}

func ExampleLab_Advance() {
	lab := clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC))
	lab.AfterFunc(48*time.Minute, func() { fmt.Println("refresh at", lab.Now().Format(time.TimeOnly)) })
	_ = lab.Advance(context.Background(), time.Hour)
	fmt.Println("now", lab.Now().Format(time.TimeOnly))
	// Output:
	// refresh at 08:48:00
	// now 09:00:00
}
