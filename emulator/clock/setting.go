package clock

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Setting is how a clock runs: at wall time At (with its monotonic reading) lab
// time was Now, and since then it has gone Speed times as fast as the machine's
// clock. Speed 0: it stands still.
type Setting struct {
	At    time.Time
	Now   time.Time
	Speed float64
}

// Time is the lab's time at a moment of wall time.
func (s Setting) Time(wall time.Time) time.Time {
	passed := wall.Sub(s.At)
	switch {
	case s.Speed == 0 || passed <= 0: // wall time without a monotonic reading may go backwards
		return s.Now
	case s.Speed != 1: // whose hundred days of nanoseconds a float64 holds exactly
		passed = time.Duration(min(float64(passed)*s.Speed, float64(math.MaxInt64/2)))
	}
	return earliest(s.Now.Add(passed), latest(s.Now, end))
}

// until is the wall time from a moment of lab time, now, to a later one.
func (s Setting) until(due, now time.Time) time.Duration {
	return time.Duration(min(math.Ceil(float64(due.Sub(now))/s.Speed), float64(math.MaxInt64/2)))
}

// end is the last day of lab time: the CA is valid until the end of 2099, and a
// certificate made then has to outlive a week (see package trust).
var end = time.Date(2099, 12, 1, 0, 0, 0, 0, time.UTC)

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// maxSpeed is a day in less than a second. Beyond it a program that talks to the
// lab could not renew a token within its lifetime.
const maxSpeed = 100_000

// Setting returns how the clock runs now. During an Advance it stands still.
func (l *Lab) Setting() Setting {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.setting
}

// Speed returns how fast the clock runs when no Advance moves it; 0: it stands
// still.
func (l *Lab) Speed() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.speed
}

// Runs reports whether the clock moves by itself.
func (l *Lab) Runs() bool { return l.Speed() != 0 }

// Freeze lets the clock stand still from now on, or from the end of the Advance
// that is under way.
func (l *Lab) Freeze() { l.pace(0) }

// SetSpeed lets the clock run (again), rate times as fast as the machine's. Its
// timers fall due that much sooner. During an Advance it counts from its end.
func (l *Lab) SetSpeed(rate float64) error {
	if err := CheckSpeed(rate); err != nil {
		return err
	}
	l.pace(rate)
	return nil
}

// CheckSpeed says what is wrong with a speed.
func CheckSpeed(rate float64) error {
	if rate > 0 && rate <= maxSpeed { // which NaN is not
		return nil
	}
	return fmt.Errorf("run the lab clock at speed %v: expected a number greater than 0 and at most %d, such as 600 (ten minutes in a second) or 1 (as the machine's clock); freeze it to let it stand still", rate, maxSpeed)
}

func (l *Lab) pace(rate float64) {
	l.change(func(s *Setting) {
		l.speed = rate
		if l.held == 0 {
			s.Speed = rate
		}
	})
}

type watcher struct{ f func(Setting) }

// Watch tells f the present setting, and then every change of it, in order: also
// each stop of an Advance, and a change of a skew, which leaves the setting as it
// is. The clock changes no further before f returns; f must not change it.
func (l *Lab) Watch(f func(Setting)) (stop func()) {
	l.order.Lock()
	defer l.order.Unlock()
	w := &watcher{f}
	l.watchers = append(l.watchers, w)
	f(l.Setting())
	return func() {
		l.order.Lock()
		defer l.order.Unlock()
		l.watchers = slices.DeleteFunc(l.watchers, func(other *watcher) bool { return other == w })
	}
}

// change lets f alter the setting as it is at this moment, with l.mu held, and
// tells the watchers if it did.
func (l *Lab) change(f func(*Setting)) {
	l.order.Lock()
	defer l.order.Unlock()
	l.mu.Lock()
	wall := time.Now()
	before := Setting{At: wall, Now: l.setting.Time(wall), Speed: l.setting.Speed}
	l.setting = before
	f(&l.setting)
	after := l.setting
	l.setAlarm()
	l.mu.Unlock()
	if after != before {
		l.tell(after)
	}
}

// tell tells the watchers; l.order is held.
func (l *Lab) tell(s Setting) {
	for _, w := range l.watchers {
		w.f(s)
	}
}
