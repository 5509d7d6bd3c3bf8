//go:build amd64 || arm64

package timeshift

import (
	"context"
	"encoding/json"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/lead"
)

// A link connects to what runs on a clock, and is its clock.Follower here: a
// supervisor, or a Remote in another process.
type link struct {
	conn   io.ReadWriteCloser
	source Source

	write sync.Mutex // guards what is below
	out   *json.Encoder
	now   reading  // that was told last
	stop  *reading // told with the next turn; nil: none

	mu      sync.Mutex
	turns   uint64
	waiting map[uint64]chan answer

	next atomic.Int64 // lab time for which it waited when it came to rest at its last turn; 0: none, or it did not

	gone   chan struct{} // closed when there will be no more answers
	failed *failure      // readable when gone
	report Report        // the same
	led    lead.Report   // the same
}

func newLink(conn io.ReadWriteCloser, source Source) *link {
	return &link{conn: conn, source: source, out: json.NewEncoder(conn), waiting: map[uint64]chan answer{}, gone: make(chan struct{})}
}

// follow tells of every setting of the clock and takes part in its advances, until
// the returned function is called.
func (l *link) follow(say func(reading) order) (stop func()) {
	unwatch := l.watch(say)
	leave := l.source.Follow(l)
	return sync.OnceFunc(func() { leave(); unwatch() })
}

// watch tells of every setting of the clock, until the returned function is called.
func (l *link) watch(say func(reading) order) (stop func()) {
	return l.source.Watch(func(now clock.Setting) { l.set(readingOf(now, l.source.Skews()[clock.Workloads]), say) })
}

func setOrder(r reading) order { return order{Set: &r} }

// set tells how the clock runs now. A stop of an Advance, at which time has jumped and stands
// still, is told with the turn that follows: the programs of one lab are not to act on it in
// whatever order they happen to wake.
func (l *link) set(now reading, say func(reading) order) {
	const jump = int64(time.Millisecond)
	l.write.Lock()
	defer l.write.Unlock()
	if now.Speed == 0 && l.now.Mono != 0 && now.Lab-l.now.at(kernelTime(clockMonotonic)) > jump {
		l.stop = &now
		return
	}
	l.now, l.stop = now, nil
	_ = l.out.Encode(say(now)) // as below
}

// runFreely has the clock go on from where it is, as fast as the machine's.
func (l *link) runFreely() {
	l.write.Lock()
	defer l.write.Unlock()
	if l.stop != nil {
		l.now, l.stop = *l.stop, nil
	}
	mono := kernelTime(clockMonotonic)
	l.now.Mono, l.now.Lab, l.now.Speed = mono, l.now.at(mono), 1
	_ = l.out.Encode(setOrder(l.now)) // as below
}

func (l *link) tell(o order) {
	l.write.Lock()
	defer l.write.Unlock()
	if o.Turn != 0 && l.stop != nil {
		o.Set, l.now, l.stop = l.stop, *l.stop, nil
	}
	_ = l.out.Encode(o) // of the end of the other one, listen tells
}

// listen takes what the other end says, until it is gone or has reported.
func (l *link) listen() {
	defer close(l.gone)
	release, leave := func() {}, func() {}
	defer func() { release(); leave() }()
	in := json.NewDecoder(l.conn)
	for {
		var a answer
		if err := in.Decode(&a); err != nil {
			return
		}
		if a.Hold != nil {
			release()
			if release = func() {}; *a.Hold {
				release = l.source.Hold()
			}
		}
		if a.Joins {
			leave()
			leave = l.source.Follow(l)
		}
		if a.Failed != nil && l.failed == nil {
			l.failed = a.Failed
		}
		if a.Led != nil {
			l.led = *a.Led
		}
		if a.Report != nil {
			l.report = *a.Report
			return
		}
		l.mu.Lock()
		to := l.waiting[a.Turn]
		delete(l.waiting, a.Turn)
		l.mu.Unlock()
		if to != nil {
			to <- a
		}
	}
}

// Turn lets the waits end that are over by now, and returns when the program has
// nothing more to do, or has been busy for half a minute (wall time).
func (l *link) Turn(ctx context.Context, shortest time.Duration) error {
	l.mu.Lock()
	l.turns++
	number, reply := l.turns, make(chan answer, 1)
	l.waiting[number] = reply
	l.mu.Unlock()
	l.next.Store(0)
	l.tell(order{Turn: number, Shortest: shortest.Nanoseconds()})
	select {
	case a := <-reply:
		if a.Quiet {
			l.next.Store(a.Next)
		}
		return nil
	case <-l.gone:
		return nil // a program that has ended had its turn
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Next is the earliest lab time for which a thread of the program waits, as of its
// last turn: since then it has been at rest. While it is busy, time is not what it
// waits for.
func (l *link) Next() (time.Time, bool) {
	next := l.next.Load()
	return time.Unix(0, next).UTC(), next != 0
}

// readingOf is a setting in the terms of the kernel's clock.
func readingOf(s clock.Setting, skew time.Duration) reading {
	mono := kernelTime(clockMonotonic) - time.Since(s.At).Nanoseconds()
	return reading{Mono: mono, Lab: s.Now.UnixNano(), Speed: s.Speed, Skew: skew.Nanoseconds()}
}

// setting is a reading in the terms of package clock.
func (r reading) setting() clock.Setting {
	now, mono := time.Now(), kernelTime(clockMonotonic)
	return clock.Setting{At: now.Add(time.Duration(r.Mono - mono)), Now: time.Unix(0, r.Lab).UTC(), Speed: r.Speed}
}
