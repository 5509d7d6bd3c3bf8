// Package journals records the events of a lab: in memory up to a bound, in a file, without
// tokens and secrets. What an event is, is said in emulator/journal; what a run of events
// means to a reader, in internal/explain.
package journals

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/redact"
)

// Options says where a journal is stored. The zero value keeps it in memory only.
type Options struct {
	File string // gets one event in JSON a line, appended; created with mode 0600; see [ReadFile]. If empty, none.
	Keep int    // how many events are kept in memory at most. Defaults to 2,000.

	FileBytes int64 // size of File, in bytes, at which its older half is removed. Defaults to 32 MB.
}

// eventBytes is the memory, in bytes, for each event of Keep: an exchange takes about
// 5,000. If events are larger, fewer are kept.
const eventBytes = 10_000

// Journal is the record of one run. It is safe for concurrent use. A nil *Journal discards
// events.
type Journal struct {
	clock   clock.Clock
	keep    int
	secrets redact.Secrets

	mu      sync.Mutex
	last    uint64
	events  []bounded // oldest first; those before first are gone
	first   int
	size    int // of the events, in bytes
	changed chan struct{}
	watch   func(journal.Event)
	file    *file // may be nil
}

// New opens a journal. Its events carry the time of clk.
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

// Secrets returns the secrets that are redacted from events, to add more. If j is nil, so
// are they.
func (j *Journal) Secrets() *redact.Secrets {
	if j == nil {
		return nil
	}
	return &j.secrets
}

// Record adds an event and returns it as it was recorded: with its ID and times, redacted
// and cut; see [Journal.Bound].
func (j *Journal) Record(e journal.Event) journal.Event {
	if j == nil {
		return e
	}
	bounded := j.bound(e)
	e = bounded.Event
	e.Time = j.clock.Now()
	if lab, ok := j.clock.(*clock.Lab); ok {
		e.Shared = lab.Followed()
	}
	e.Wall = time.Now().Round(0).UTC() // wall time: when it happened on the machine
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	e.ID = strconv.FormatUint(j.last, 10)
	bounded.Event = e
	j.add(bounded)
	j.file.write(e)
	if j.watch != nil {
		j.watch(e)
	}
	close(j.changed)
	j.changed = make(chan struct{})
	return e
}

// add keeps an event in memory and drops the oldest ones; j.mu is held.
func (j *Journal) add(e bounded) {
	j.events = append(j.events, e)
	j.size += e.size
	for n := len(j.events) - j.first; n > j.keep || n > 1 && j.size > j.keep*eventBytes; n-- {
		j.size -= j.events[j.first].size
		j.events[j.first] = bounded{} // frees what it holds
		j.first++
	}
	if j.first > j.keep/4+16 {
		kept := copy(j.events, j.events[j.first:])
		clear(j.events[kept:])
		j.events, j.first = j.events[:kept], 0
	}
}

// Events returns the newest events, oldest first: all events of the run unless there were
// more than Options.Keep.
func (j *Journal) Events() []journal.Event {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return unwrapped(j.events[j.first:])
}

// After returns the events recorded after the one with an ordinal, oldest first; 0 is before
// the first. Missed is how many of them are not kept any more. More is closed when there is
// another event.
func (j *Journal) After(last uint64) (events []journal.Event, missed uint64, more <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	kept := j.events[j.first:]
	before := j.last - uint64(len(kept)) // the ordinal before the oldest that is kept
	switch {
	case last >= j.last:
		return nil, 0, j.changed
	case last < before:
		return unwrapped(kept), before - last, j.changed
	}
	return unwrapped(kept[last-before:]), 0, j.changed
}

func unwrapped(all []bounded) []journal.Event {
	var events []journal.Event
	for _, e := range all {
		events = append(events, e.Event)
	}
	return events
}

// Await blocks until there is an event that match accepts, recorded earlier or later, and
// returns it. It fails if ctx ends first.
func (j *Journal) Await(ctx context.Context, match func(journal.Event) bool) (journal.Event, error) {
	var looked uint64
	for {
		j.mu.Lock()
		changed := j.changed
		fresh := unwrapped(j.events[max(j.first, len(j.events)-int(j.last-looked)):])
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
			return journal.Event{}, fmt.Errorf("journal: none of %d events is the awaited one: %w", looked, ctx.Err())
		}
	}
}

// Watch calls f with every event from now on, in order, instead of the f before it. If f is
// nil, nothing is called. F must not call the journal.
func (j *Journal) Watch(f func(journal.Event)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.watch = f
}

// Close closes the file and returns the first failure to write it.
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
