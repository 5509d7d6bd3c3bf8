//go:build amd64 || arm64

package timeshift

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/lead"
)

// held returns lookups of a lab, which asks the lab as a supervisor does, through a link.
func held(lab *clock.Lab, open *atomic.Bool) *lookups {
	l := &lookups{clocks: newClocks(startOrder{Clock: readingOf(lab.Setting(), 0)}, nil), open: open.Load, ran: func() (time.Duration, bool) { return 0, true }}
	lab.Watch(func(s clock.Setting) { l.clocks.set(readingOf(s, 0)) })
	release := func() {}
	l.hold = func(holds bool) {
		if release(); holds {
			release = lab.Hold()
		}
	}
	return l
}

// Lab time stands from before a question leaves until it has been answered, and goes on then.
func TestLabTimeStandsWhileANameIsLookedUp(t *testing.T) {
	for _, test := range []struct {
		speed float64
		holds bool
	}{{3600, true}, {1.5, true}, {1, false}, {0.5, false}} {
		t.Run(fmt.Sprint(test.speed), func(t *testing.T) {
			lab := clock.Stopped(start)
			if err := lab.SetSpeed(test.speed); err != nil {
				t.Fatal(err)
			}
			var open atomic.Bool
			l := held(lab, &open)
			open.Store(true)
			l.about()
			if stands := lab.Setting().Speed == 0; stands != test.holds {
				t.Fatalf("with an open question it stands: %v", stands)
			}
			if !test.holds {
				return
			}
			at := lab.Now()
			time.Sleep(3 * lookupSettle) // wall time: long enough for what does not know of the question
			l.about()                    // another one, meanwhile
			if now := lab.Now(); now != at {
				t.Errorf("with an open question it went on by %v", now.Sub(at))
			}
			open.Store(false)
			for lab.Setting().Speed == 0 { // the test's time-out tells that it never goes on
				time.Sleep(lookupPoll)
			}
			if lab.Speed() != test.speed {
				t.Errorf("it went on at speed %v", lab.Speed())
			}
		})
	}
}

// A program that others keep from running has not taken the answer: time goes on when it has.
func TestLabTimeStandsUntilTheProgramCouldTakeTheAnswer(t *testing.T) {
	lab := clock.Stopped(start)
	if err := lab.SetSpeed(3600); err != nil {
		t.Fatal(err)
	}
	var open, rests atomic.Bool
	var looks atomic.Int64
	l := held(lab, &open)
	l.ran = func() (time.Duration, bool) { looks.Add(1); return 0, rests.Load() }
	l.about()
	at := lab.Now()
	for enough, began := looks.Load()+int64(2*lookupSettle/lookupPoll), time.Now(); looks.Load() < enough && time.Since(began) < lookupMost/2; { // twice as many as are enough where it rests
		time.Sleep(lookupPoll)
	}
	if now := lab.Now(); now != at {
		t.Errorf("while it could not run, time went on by %v", now.Sub(at))
	}
	rests.Store(true)
	for lab.Setting().Speed == 0 { // the test's time-out tells that it never goes on
		time.Sleep(lookupPoll)
	}
}

// Who looks names up one after another and does nothing else sees time pass.
func TestLookupsWithoutEndDoNotStopTheClock(t *testing.T) {
	lab := clock.Stopped(start)
	if err := lab.SetSpeed(3600); err != nil {
		t.Fatal(err)
	}
	var open atomic.Bool
	l := held(lab, &open)
	for lab.Now().Before(start.Add(time.Minute)) { // the test's time-out tells that it never is
		l.about() // it connects
		open.Store(true)
		l.about() // the question has arrived
		open.Store(false)
		time.Sleep(2 * lookupPause)
	}
}

// A resolver's five seconds are a quarter of a millisecond of wall time here.
func TestNamesAreLookedUpWhereTimeRunsFast(t *testing.T) {
	at, found := serve(t)
	lab := clock.Stopped(start)
	if err := lab.SetSpeed(20_000); err != nil {
		t.Fatal(err)
	}
	options := Options{Lead: &lead.Options{Names: []string{"login.example.test"}, Handover: at}}
	c := launch(t, lab, lab, options, need(t, "python3"), "-c", `
import socket
for _ in range(20):
    with socket.socket() as s:
        s.connect(socket.getaddrinfo("login.example.test", 443, type=socket.SOCK_STREAM)[0][4])
print("done")
`)
	if code := c.wait(); code != 0 || strings.TrimSpace(c.output()) != "done" {
		t.Errorf("exit code %d: %s %s", code, c.output(), c.said())
	}
	if all := found(); len(all) != 20 {
		t.Errorf("%d connections were handed over, want 20", len(all))
	}
}

// The clock of another process stands as well, and goes on when who held it is gone.
func TestHoldOfARemoteClock(t *testing.T) {
	lab := clock.Stopped(start)
	if err := lab.SetSpeed(3600); err != nil {
		t.Fatal(err)
	}
	theirs, ours := net.Pipe()
	go Serve(theirs, lab)
	remote, err := Connect(ours)
	if err != nil {
		t.Fatal(err)
	}
	first, second := remote.Hold(), remote.Hold()
	for remote.Setting().Speed != 0 { // as above, and below
		time.Sleep(lookupPoll)
	}
	first()
	first()
	if lab.Setting().Speed != 0 {
		t.Error("it went on although somebody holds it")
	}
	second()
	for remote.Setting().Speed == 0 {
		time.Sleep(lookupPoll)
	}
	remote.Hold()
	for lab.Setting().Speed != 0 {
		time.Sleep(lookupPoll)
	}
	if err := remote.Close(); err != nil {
		t.Fatal(err)
	}
	for lab.Setting().Speed == 0 {
		time.Sleep(lookupPoll)
	}
}

// A clock is followed from a Remote's first program on, not from its connection.
func TestARemoteJoinsWithItsFirstProgram(t *testing.T) {
	lab := clock.Stopped(start)
	theirs, ours := net.Pipe()
	served := make(chan struct{})
	go func() { defer close(served); Serve(theirs, lab) }()
	remote, err := Connect(ours)
	if err != nil {
		t.Fatal(err)
	}
	remote.Hold()() // which arrives before what comes next
	if lab.Joined() != 0 || lab.Followed() {
		t.Error("it is followed by nobody's program")
	}
	c := launch(t, lab, remote, Options{}, need(t, "python3"), "-c", "import time; time.sleep(3600); print(int(time.time()))")
	for lab.Joined() != 1 { // the test's time-out tells that it never does
		time.Sleep(lookupPoll)
	}
	c.advance(2 * time.Hour)
	if code := c.wait(); code != 0 || strings.TrimSpace(c.output()) != fmt.Sprint(start.Add(time.Hour).Unix()) {
		t.Errorf("exit code %d: %s %s", code, c.output(), c.said())
	}
	if err := remote.Close(); err != nil {
		t.Fatal(err)
	}
	<-served
	if lab.Followed() {
		t.Error("it is followed by who has gone")
	}
}
