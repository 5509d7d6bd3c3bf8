package clock_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

// program is a follower that works every so often, as one in lockstep does.
type program struct {
	lab   *clock.Lab
	every time.Duration // 0: it waits for nothing
	next  time.Time
	work  func(context.Context) error

	mu    sync.Mutex
	turns []time.Duration // since start, of lab time
}

func (p *program) Next() (time.Time, bool) { return p.next, p.every > 0 }

func (p *program) Turn(ctx context.Context, shortest time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turns = append(p.turns, p.lab.Now().Sub(start))
	for p.every > 0 && !p.next.After(p.lab.Now()) {
		p.next = p.next.Add(p.every)
	}
	if p.every < shortest {
		p.next = p.next.Truncate(shortest).Add(shortest)
	}
	if p.work != nil {
		return p.work(ctx)
	}
	return nil
}

func follow(t *testing.T, lab *clock.Lab, every time.Duration) *program {
	t.Helper()
	p := &program{lab: lab, every: every, next: lab.Now().Add(every)}
	t.Cleanup(lab.Follow(p))
	return p
}

func TestFollowersHaveTheirTurnAtEveryStop(t *testing.T) {
	for _, test := range []struct {
		name     string
		every    time.Duration
		timers   []time.Duration
		by       time.Duration
		wantTurn []time.Duration
	}{
		{"one that waits for nothing", 0, nil, time.Hour, []time.Duration{0, time.Hour}},
		{"an advance by nothing", time.Minute, nil, 0, []time.Duration{0}},
		{"at timers, too", 0, []time.Duration{20 * time.Minute, 20 * time.Minute, 40 * time.Minute}, time.Hour, []time.Duration{0, 20 * time.Minute, 40 * time.Minute, time.Hour}},
		{"at its own times", 30 * time.Minute, []time.Duration{45 * time.Minute}, 100 * time.Minute, []time.Duration{0, 30 * time.Minute, 45 * time.Minute, time.Hour, 90 * time.Minute, 100 * time.Minute}},
		{"often, in a short advance", 300 * time.Millisecond, nil, 700 * time.Millisecond, []time.Duration{0, 300 * time.Millisecond, 600 * time.Millisecond, 700 * time.Millisecond}},
	} {
		t.Run(test.name, func(t *testing.T) {
			lab := stopped()
			p := follow(t, lab, test.every)
			for _, d := range test.timers {
				lab.AfterFunc(d, func() {})
			}
			if err := lab.Advance(t.Context(), test.by); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(p.turns, test.wantTurn) {
				t.Errorf("turns at %v, want %v", p.turns, test.wantTurn)
			}
		})
	}
}

// Whether a request is being answered is looked at after what is under way: one that is not under
// way any more, and was answered since, is traffic, after which the follower has another turn.
func TestARequestThatBeginsDuringTheLookIsSeen(t *testing.T) {
	lab := stopped()
	p := follow(t, lab, 0)
	begin := func() {}
	p.work = func(context.Context) error {
		begin = sync.OnceFunc(func() { lab.Begin()() })
		p.work = nil
		return nil
	}
	lab.Traffic(func() (events uint64, underWay bool) {
		begin() // after the first turn
		return 0, false
	})
	if err := lab.Advance(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if want := []time.Duration{0, 0}; !slices.Equal(p.turns, want) {
		t.Errorf("turns at %v, want %v", p.turns, want)
	}
}

// An Advance by zero waits for what is under way, also if nobody follows; what arrives is answered
// at a time that is not over.
func TestAnAdvanceByZeroWaitsForWhatIsUnderWay(t *testing.T) {
	lab := stopped()
	left := 3
	lab.Traffic(func() (events uint64, underWay bool) {
		left--
		return 0, left > 0
	})
	if err := lab.Advance(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if left > 0 {
		t.Errorf("it ended while something was under way: %d looks left", left)
	}
}

func TestABusyFollowerHasSoManyTurnsAtMost(t *testing.T) {
	lab := stopped()
	p := follow(t, lab, time.Second)
	if err := lab.Advance(t.Context(), 1000*time.Hour); err != nil {
		t.Fatal(err)
	}
	if n := len(p.turns); n < 300 || n > 303 {
		t.Errorf("%d turns in 1000 hours, want three hundred on the way", n)
	}
}

// The order at a stop: timers, then everybody is told, then turns; and what a
// follower asks is answered before time moves on.
func TestAFollowerKnowsTheTimeAtItsTurnAndIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := stopped()
		var told, asked time.Time
		defer lab.Watch(func(s clock.Setting) { told = s.Now })()
		var answered, fired atomic.Int32
		lab.AfterFunc(10*time.Minute, func() { fired.Add(1) })
		follow(t, lab, 10*time.Minute).work = func(context.Context) error {
			if !told.Equal(lab.Now()) {
				t.Errorf("a turn at %s, told of %s", lab.Now(), told)
			}
			want := int32(lab.Now().Sub(start) / (10 * time.Minute))
			before := want
			if asked.Equal(lab.Now()) {
				before++
			}
			if min(want, 1) != fired.Load() || answered.Load() != before {
				t.Errorf("at %s: %d timers fired, %d requests answered before", lab.Now(), fired.Load(), answered.Load())
			}
			if asked.Equal(lab.Now()) {
				return nil // its turn after the answer
			}
			at, end := lab.Now(), lab.Begin()
			asked = at
			go func() {
				defer end()
				time.Sleep(time.Second) // of the bubble's wall clock: at once
				if answered.Add(1); !lab.Now().Equal(at) {
					t.Errorf("asked at %s, answered at %s", at, lab.Now())
				}
			}()
			return nil
		}
		if err := lab.Advance(t.Context(), 30*time.Minute); err != nil || answered.Load() != 4 {
			t.Errorf("error %v, %d answered, want four: at the start and every ten minutes", err, answered.Load())
		}
	})
}

func TestFollowersHaveTheirTurnsOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := stopped()
		var turns []string
		for _, name := range []string{"first", "second"} {
			follow(t, lab, 0).work = func(context.Context) error {
				turns = append(turns, name+" begins")
				time.Sleep(time.Second) // of the bubble's wall clock: at once
				turns = append(turns, name+" ends")
				return nil
			}
		}
		if err := lab.Advance(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if want := []string{"first begins", "first ends", "second begins", "second ends"}; !slices.Equal(turns, want) {
			t.Errorf("turns %v, want %v", turns, want)
		}
	})
}

func TestAnAdvanceEndsWithTheFollowerThatFails(t *testing.T) {
	lab := stopped()
	p := follow(t, lab, 10*time.Minute)
	p.work = func(context.Context) error {
		if lab.Now().Sub(start) == 20*time.Minute {
			return errors.New("it was killed")
		}
		return nil
	}
	err := lab.Advance(t.Context(), time.Hour)
	if err == nil || !strings.Contains(err.Error(), "stopped at 2026-01-15T08:20:00Z, 40m0s short: a program on the lab clock: it was killed") {
		t.Errorf("got %v", err)
	}
	if got := lab.Now().Sub(start); got != 20*time.Minute {
		t.Errorf("the clock stands at %v, want where the follower failed", got)
	}
}

func TestAnAdvanceEndsWithItsContextDuringATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := stopped()
		follow(t, lab, 0).work = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := lab.Advance(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want its context's error", err)
		}
	})
}

func TestWhoLeftHasNoTurn(t *testing.T) {
	lab := stopped()
	p := &program{lab: lab}
	lab.Follow(p)()
	if err := lab.Advance(t.Context(), time.Hour); err != nil || len(p.turns) != 0 {
		t.Errorf("error %v, turns %v", err, p.turns)
	}
}

// Whatever a clock does otherwise, an Advance moves it by just so much and lets
// it go on as before.
func TestAdvanceWorksOnEveryClock(t *testing.T) {
	for name, speed := range map[string]float64{"as the machine's": 1, "sped up": 600, "frozen": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lab := clock.Running()
				lab.Freeze()
				if speed != 0 {
					if err := lab.SetSpeed(speed); err != nil {
						t.Fatal(err)
					}
				}
				began := lab.Now()
				follow(t, lab, 0).work = func(context.Context) error {
					if s := lab.Setting(); s.Speed != 0 {
						t.Errorf("it runs at speed %v during a turn", s.Speed)
					}
					time.Sleep(time.Second) // of the bubble's wall clock, which does not pass in the lab
					return nil
				}
				if err := lab.Advance(t.Context(), 25*time.Hour); err != nil {
					t.Fatal(err)
				}
				if got := lab.Now().Sub(began); got != 25*time.Hour {
					t.Errorf("it moved by %v, want 25h", got)
				}
				if got := lab.Setting().Speed; got != speed || lab.Speed() != speed {
					t.Errorf("it goes on at speed %v, want %v", got, speed)
				}
			})
		})
	}
}

func TestAChangeDuringAnAdvanceCountsFromItsEnd(t *testing.T) {
	lab := stopped()
	lab.AfterFunc(time.Minute, func() {
		if err := lab.SetSpeed(2); err != nil {
			t.Error(err)
		}
		if got := lab.Setting().Speed; got != 0 {
			t.Errorf("it runs at speed %v during an Advance", got)
		}
	})
	if err := lab.Advance(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := lab.Setting().Speed; got != 2 {
		t.Errorf("it runs at speed %v after the Advance, want 2", got)
	}
}

func TestTimeNeverGoesBackwards(t *testing.T) {
	lab := clock.Running()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		for i := range 200 {
			_ = lab.SetSpeed(float64(1 + i%7*100))
			_ = lab.Advance(ctx, time.Millisecond)
			lab.Freeze()
		}
		cancel()
	})
	for range 2 {
		all.Go(func() {
			for last := lab.Now(); ctx.Err() == nil; {
				now := lab.Now()
				if now.Before(last) {
					t.Errorf("from %s back to %s", last, now)
					return
				}
				last = now
			}
		})
	}
	all.Wait()
}
