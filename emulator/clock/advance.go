package clock

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Follower is somebody outside of this process who lives on the lab's time, such
// as a program in lockstep.
type Follower interface {
	// Next returns the earliest lab time at which it has something to do, if it
	// waits for a time.
	Next() (time.Time, bool)
	// Turn is called when lab time has moved, after every Watch was told, and
	// returns when the follower has done what it had to do then. It must not
	// advance the clock. Next then leaves out what is shorter than shortest: for
	// whatever waits less than that again and again it returns the next multiple of it.
	Turn(ctx context.Context, shortest time.Duration) error
}

// follower is one Follow: the same Follower may follow twice.
type follower struct{ Follower }

// Follow lets f take part in every Advance until leave is called.
func (l *Lab) Follow(f Follower) (leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry := &follower{f}
	l.followers = append(l.followers, entry)
	l.joined++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.followers = slices.DeleteFunc(l.followers, func(other *follower) bool { return other == entry })
	}
}

// Followed reports whether somebody follows: a program in lockstep.
func (l *Lab) Followed() bool { return len(l.following()) > 0 }

// Joined is how often Follow was called.
func (l *Lab) Joined() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.joined
}

func (l *Lab) following() []*follower {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.followers)
}

// Advance moves lab time forward by d, whether the clock runs or stands still,
// and lets it do the same afterwards. On the way it stops at every timer that
// falls due and at every time for which a follower waits. While it stops, Now()
// stands; the timers' callbacks run in order, each after the requests in flight
// are answered; then the followers have their turn, one after another, and what they
// asked is answered. An Advance by zero is one such stop, before which what programs have sent
// arrives, and connections that they have ended are ended here.
//
// What followers wait for again and again, less than a three-hundredth of d each time, ends at
// multiples of that: a program that looks at the clock ten times a second is not given its turn a
// million times on the way to the next day. Longer waits end at their time.
//
// Advance returns early, with the clock where it got to, when ctx ends or a
// follower fails. A negative d is refused: lab time never goes backwards.
func (l *Lab) Advance(ctx context.Context, d time.Duration) error {
	return l.move(ctx, func(now time.Time) (time.Time, error) {
		switch {
		case d < 0:
			return now, fmt.Errorf("advance the lab clock by %v: lab time never goes backwards", d)
		case now.Add(d).After(end):
			return now, fmt.Errorf("advance the lab clock by %v: lab time ends on %s, with the certificates", d, end.Format(time.DateOnly))
		}
		return now.Add(d), nil
	})
}

// AdvanceTo moves lab time forward to the given time, as Advance does.
func (l *Lab) AdvanceTo(ctx context.Context, at time.Time) error {
	at = at.Round(0).UTC()
	return l.move(ctx, func(now time.Time) (time.Time, error) {
		switch {
		case at.Before(now):
			return now, fmt.Errorf("set the lab clock to %s: it is %s already, and lab time never goes backwards", at.Format(time.RFC3339), now.Format(time.RFC3339))
		case at.After(end):
			return now, fmt.Errorf("set the lab clock to %s: lab time ends on %s, with the certificates", at.Format(time.RFC3339), end.Format(time.DateOnly))
		}
		return at, nil
	})
}

// AdvanceToNext lets f and everybody else do what there is to do now, and then
// moves to the time for which f waits; it reports whether f waits for one.
func (l *Lab) AdvanceToNext(ctx context.Context, f Follower) (moved bool, err error) {
	l.advance.Lock()
	defer l.advance.Unlock()
	l.hold(true)
	defer l.hold(false)
	if err := l.stop(ctx, 0); err != nil {
		return false, fmt.Errorf("advance the lab clock: stopped at %s: %w", l.Now().Format(time.RFC3339), err)
	}
	next, waits := f.Next()
	if !waits {
		return false, nil
	}
	return true, l.through(ctx, next, 0)
}

// move advances to what goal makes of the present time.
func (l *Lab) move(ctx context.Context, goal func(now time.Time) (time.Time, error)) error {
	l.advance.Lock()
	defer l.advance.Unlock()
	now := l.Now()
	target, err := goal(now)
	if err != nil {
		return err
	}
	l.hold(true)
	defer l.hold(false)
	if target.Equal(now) {
		l.arrive()
	}
	return l.through(ctx, target, target.Sub(now)/stops)
}

// arrive waits until what is under way has arrived, or that takes too long.
func (l *Lab) arrive() (t traffic) {
	t = l.traffic()
	for n, began := 0, time.Now(); t.underWay && (n < maxArrival || time.Since(began) < arrivalTime); n++ {
		time.Sleep(50 * time.Microsecond) // wall time: what is sent arrives in it
		t = l.traffic()
	}
	return t
}

// stops is how many stops waits that are short for an Advance make at most. Go's
// runtime, which collects garbage every two minutes, and HTTP/2 connections that are
// tested every ten seconds make many of them expensive.
const stops = 300

// through goes to a time by way of its stops; waits are exact that are not shorter
// than shortest.
func (l *Lab) through(ctx context.Context, target time.Time, shortest time.Duration) error {
	for {
		if err := l.stop(ctx, shortest); err != nil {
			return fmt.Errorf("advance the lab clock: stopped at %s, %v short: %w", l.Now().Format(time.RFC3339), target.Sub(l.Now()), err)
		}
		if !l.step(target) {
			return nil
		}
	}
}

// Hold lets the clock stand still until the returned function is called, and go on then as
// it did: for what takes wall time of which none is to pass in the lab. An Advance moves it
// all the same. Calling that function twice is harmless.
func (l *Lab) Hold() (release func()) {
	l.hold(true)
	return sync.OnceFunc(func() { l.hold(false) })
}

// hold lets the clock stand still, such as for an Advance, and go on as it did after it.
// The time that the Advance takes does not pass in the lab.
func (l *Lab) hold(still bool) {
	l.change(func(s *Setting) {
		if still {
			l.held++
		} else {
			l.held--
		}
		s.Speed = l.speed
		if l.held > 0 {
			s.Speed = 0
		}
	})
}

// stop lets everything happen that happens at the time at which the clock stands.
func (l *Lab) stop(ctx context.Context, shortest time.Duration) error {
	for {
		if err := l.settle(ctx); err != nil {
			return err
		}
		t := l.due()
		if t == nil {
			break
		}
		t.f()
	}
	return l.turns(ctx, shortest)
}

// turns lets the followers do what they have to do, one after another, so that what
// happens at one moment happens in the same order every time.
func (l *Lab) turns(ctx context.Context, shortest time.Duration) error {
	for _, f := range l.following() {
		if err := l.turn(ctx, f, shortest); err != nil {
			return err
		}
	}
	return nil
}

// turn lets a follower do what it has to do, and answers what it asks, until nothing
// was sent or received while it had its turn. Nothing can keep the clock from moving:
// whoever still asks after maxTurns is not waited for.
func (l *Lab) turn(ctx context.Context, f *follower, shortest time.Duration) error {
	for range maxTurns {
		before := l.traffic()
		if err := f.Turn(ctx, shortest); err != nil {
			return fmt.Errorf("a program on the lab clock: %w", err)
		}
		after := l.arrive()
		if after == before && after.open == 0 {
			break
		}
		if err := l.settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

// maxTurns is at how many requests in a row a program has asked enough for one stop.
const maxTurns = 100

// How often is looked whether what is under way has arrived, and how long at least (wall time): who answers may
// have no processor. A client whose request comes in pieces does not stop the clock.
const (
	maxArrival  = 4000
	arrivalTime = time.Second
)

// traffic is what a lab's listeners have to do with.
type traffic struct {
	events   uint64 // how much there has been of it
	underWay bool   // something arrives, or is on its way out
	open     int    // requests that are being answered
}

// Traffic lets somebody who listens for requests tell how much was received and
// sent so far, in steps of any kind, and whether something is under way, so that an
// Advance does not move on before it is there.
func (l *Lab) Traffic(observe func() (events uint64, underWay bool)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.observers = append(l.observers, observe)
}

func (l *Lab) traffic() (t traffic) {
	l.mu.Lock()
	observers := slices.Clone(l.observers)
	l.mu.Unlock()
	for _, observe := range observers {
		events, underWay := observe()
		t.events += events
		t.underWay = t.underWay || underWay
	}
	l.mu.Lock() // last, so that a request that is under way no more, or has just begun, is counted
	defer l.mu.Unlock()
	t.events += l.begun
	if l.requests != nil {
		t.open = l.requests.open
	}
	return t
}

// step moves on to the next stop; it reports whether there is one by target.
func (l *Lab) step(target time.Time) bool {
	until := target
	for _, f := range l.following() {
		if next, waits := f.Next(); waits {
			until = earliest(until, latest(next, l.Now().Add(time.Nanosecond))) // never without end at one time
		}
	}
	more := false
	l.change(func(s *Setting) {
		if len(l.waiting) > 0 && !l.waiting[0].due.After(until) {
			until, more = l.waiting[0].due, true
		}
		more = more || until.After(s.Now)
		s.Now = latest(s.Now, until)
	})
	return more
}
