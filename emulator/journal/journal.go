// Package journal keeps what happened in a lab and explains it. It records and
// renders; which checks are made and what they mean is decided by the rooms that
// make them.
package journal

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal/redact"
)

// Options says where a journal is kept. The zero value keeps it in memory alone.
type Options struct {
	File string // one JSON event a line, appended; created 0600; see ReadFile. "": none
	Keep int    // events kept in memory at most; 0: 2,000

	FileBytes int64 // size of File, in bytes, at which its older half goes; 0: 32 MB
}

// eventBytes is how much memory, in bytes, Keep has for each event: an exchange takes
// some 5,000. Of larger events fewer are kept.
const eventBytes = 10_000

// Journal is the record of one run. It is safe for concurrent use; a nil
// *Journal takes every event and keeps none.
type Journal struct {
	clock   clock.Clock
	keep    int
	secrets redact.Secrets

	mu      sync.Mutex
	last    uint64
	events  []Event // the newest, oldest first; before first there is none any more
	first   int
	size    int // of the events, in bytes
	changed chan struct{}
	watch   func(Event)
	file    *file // nil: none
}

// New opens a journal whose events carry the time of clk.
func New(clk clock.Clock, opts Options) (*Journal, error) {
	j := &Journal{clock: clk, keep: opts.Keep, changed: make(chan struct{})}
	if j.keep <= 0 {
		j.keep = 2_000
	}
	if opts.File == "" {
		return j, nil
	}
	var err error
	j.file, err = openFile(opts.File, opts.FileBytes)
	return j, err
}

// Secrets are the secrets that no event will hold: whoever learns of another one adds
// it. Those of a nil *Journal are nil.
func (j *Journal) Secrets() *redact.Secrets {
	if j == nil {
		return nil
	}
	return &j.secrets
}

// Record adds an event and returns it as it was recorded: with its ID and times, and
// as Bound has it.
func (j *Journal) Record(e Event) Event {
	if j == nil {
		return e
	}
	e = j.Bound(e)
	e.Time = j.clock.Now()
	if lab, ok := j.clock.(*clock.Lab); ok {
		e.Shared = lab.Followed()
	}
	e.Wall = time.Now().Round(0).UTC() // wall time: when it happened on the machine
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	e.ID = strconv.FormatUint(j.last, 10)
	j.add(e)
	j.file.write(e)
	if j.watch != nil {
		j.watch(e)
	}
	close(j.changed)
	j.changed = make(chan struct{})
	return e
}

// add keeps an event in memory, and lets go of the oldest ones; j.mu is held.
func (j *Journal) add(e Event) {
	j.events = append(j.events, e)
	j.size += e.size()
	for n := len(j.events) - j.first; n > j.keep || n > 1 && j.size > j.keep*eventBytes; n-- {
		j.size -= j.events[j.first].size()
		j.events[j.first] = Event{} // lets go of what it holds
		j.first++
	}
	if j.first > j.keep/4+16 {
		kept := copy(j.events, j.events[j.first:])
		clear(j.events[kept:])
		j.events, j.first = j.events[:kept], 0
	}
}

// Events returns the newest events, oldest first: all of the run, until there were
// more than the journal keeps.
func (j *Journal) Events() []Event {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Event(nil), j.events[j.first:]...)
}

// Await returns the first event, recorded already or yet to come, that match
// accepts. It fails when ctx ends first.
func (j *Journal) Await(ctx context.Context, match func(Event) bool) (Event, error) {
	var looked uint64
	for {
		j.mu.Lock()
		changed := j.changed
		var fresh []Event
		if unseen := j.last - looked; unseen > 0 {
			fresh = append(fresh, j.events[max(j.first, len(j.events)-int(unseen)):]...)
		}
		looked = j.last
		j.mu.Unlock()
		for _, e := range fresh {
			if match(e) {
				return e, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Event{}, fmt.Errorf("journal: none of %d events is the awaited one: %w", looked, ctx.Err())
		}
	}
}

// Watch has f told of every event from now on, in order. One f at a time; it must
// not call the journal. nil: nobody is told any more.
func (j *Journal) Watch(f func(Event)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.watch = f
}

// Close ends the file and reports the first failure to write it.
func (j *Journal) Close() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.file.close()
	j.file = nil
	return err
}
