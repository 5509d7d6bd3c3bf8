package clock_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

// What a clock shows, an hour of wall time at a time; in a bubble nobody waits.
func TestAClockRunsAtItsSpeed(t *testing.T) {
	for _, test := range []struct {
		name  string
		do    func(*clock.Lab) error // after the first hour
		first func() *clock.Lab
		shows [2]time.Duration // lab time passed after one hour, and after two
	}{
		{"as the machine's", func(*clock.Lab) error { return nil }, clock.Running, [2]time.Duration{time.Hour, 2 * time.Hour}},
		{"frozen", func(l *clock.Lab) error { l.Freeze(); return nil }, clock.Running, [2]time.Duration{time.Hour, time.Hour}},
		{"sped up", func(l *clock.Lab) error { return l.SetSpeed(600) }, clock.Running, [2]time.Duration{time.Hour, 601 * time.Hour}},
		{"slowed down", func(l *clock.Lab) error { return l.SetSpeed(0.5) }, clock.Running, [2]time.Duration{time.Hour, 90 * time.Minute}},
		{"stopped", func(*clock.Lab) error { return nil }, stopped, [2]time.Duration{0, 0}},
		{"started", func(l *clock.Lab) error { return l.SetSpeed(1) }, stopped, [2]time.Duration{0, time.Hour}},
		{"at the end of lab time", func(l *clock.Lab) error { return l.SetSpeed(100_000) }, func() *clock.Lab {
			return clock.Stopped(time.Date(2099, 11, 30, 0, 0, 0, 0, time.UTC))
		}, [2]time.Duration{0, 24 * time.Hour}},
		{"after the end of lab time", func(l *clock.Lab) error { return l.SetSpeed(1) }, func() *clock.Lab {
			return clock.Stopped(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))
		}, [2]time.Duration{0, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lab := test.first()
				began := lab.Now()
				time.Sleep(time.Hour) // of the bubble's wall clock: at once
				first := lab.Now().Sub(began)
				if err := test.do(lab); err != nil {
					t.Fatal(err)
				}
				if after := lab.Now().Sub(began); after != first {
					t.Errorf("the change itself moved the clock from %v to %v", first, after)
				}
				time.Sleep(time.Hour) // of the bubble's wall clock: at once
				if got := [2]time.Duration{first, lab.Now().Sub(began)}; got != test.shows {
					t.Errorf("it shows %v, want %v", got, test.shows)
				}
			})
		})
	}
}

func stopped() *clock.Lab { return clock.Stopped(start) }

func TestASpeedThatIsNoneIsRefused(t *testing.T) {
	for _, rate := range []float64{0, -1, math.NaN(), math.Inf(1), 100_001} {
		lab := stopped()
		if err := lab.SetSpeed(rate); err == nil || !strings.Contains(err.Error(), "expected a number greater than 0") {
			t.Errorf("speed %v: %v", rate, err)
		}
		if lab.Runs() {
			t.Errorf("speed %v was refused and yet the clock runs", rate)
		}
	}
}

func TestTimersFallDueByTheSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := clock.Running()
		began, wall := lab.Now(), time.Now()
		var seen []string
		arm := func(name string, d time.Duration) {
			lab.AfterFunc(d, func() {
				seen = append(seen, name+" at "+lab.Now().Sub(began).Round(time.Second).String()+" after "+time.Since(wall).Round(time.Millisecond).String())
			})
		}
		arm("b", 20*time.Hour)
		arm("a", 10*time.Hour)
		arm("b's twin", 20*time.Hour)
		arm("c", 30*time.Hour)
		if err := lab.SetSpeed(3600); err != nil { // an hour in a second
			t.Fatal(err)
		}
		time.Sleep(25 * time.Second)
		lab.Freeze()
		time.Sleep(100 * time.Hour)
		if err := lab.SetSpeed(5 * 3600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		want := []string{"a at 10h0m0s after 10s", "b at 20h0m0s after 20s", "b's twin at 20h0m0s after 20s", "c at 30h0m0s after 100h0m26s"}
		if !slices.Equal(seen, want) {
			t.Errorf("fired %q, want %q", seen, want)
		}
	})
}

func TestWatchersAreToldEveryChangeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := stopped()
		lab.AfterFunc(time.Hour, func() {})
		var told []string
		stop := lab.Watch(func(s clock.Setting) {
			if !s.At.Equal(time.Now()) {
				t.Errorf("told at %s of a setting of %s", time.Now(), s.At)
			}
			told = append(told, s.Now.Sub(start).String())
			if s.Speed != 0 {
				told = append(told, "runs")
			}
		})
		steps := []func() error{
			func() error { return lab.Advance(t.Context(), 2*time.Hour) },
			func() error { return lab.Advance(t.Context(), 0) }, // changes nothing
			func() error { return lab.SetSpeed(60) },
			func() error { time.Sleep(time.Minute); return lab.Advance(t.Context(), time.Hour) },
			func() error { lab.Freeze(); return nil },
			func() error { return lab.Skew("entra", time.Minute) },
		}
		for _, step := range steps {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		lab.Freeze()
		if err := lab.SetSpeed(1); err != nil {
			t.Fatal(err)
		}
		want := []string{"0s", "1h0m0s", "2h0m0s", "2h0m0s", "runs", "3h0m0s", "4h0m0s", "4h0m0s", "runs", "4h0m0s", "4h0m0s"}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

// A clock that is held stands until the last who holds it lets go, whatever its speed becomes
// meanwhile, and an Advance moves it all the same.
func TestAHeldClockStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := stopped()
		if err := lab.SetSpeed(600); err != nil {
			t.Fatal(err)
		}
		first, second := lab.Hold(), lab.Hold()
		shows := func(want time.Duration) {
			t.Helper()
			time.Sleep(time.Hour) // of the bubble's wall clock: at once
			if passed := lab.Now().Sub(start); passed != want {
				t.Errorf("%v have passed, want %v", passed, want)
			}
		}
		shows(0)
		first()
		first()
		shows(0)
		if err := lab.SetSpeed(2); err != nil {
			t.Fatal(err)
		}
		shows(0)
		if err := lab.Advance(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		shows(time.Minute)
		second()
		shows(2*time.Hour + time.Minute)
	})
}
