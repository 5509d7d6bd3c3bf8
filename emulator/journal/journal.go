// Package journal keeps what happened in a lab and explains it. It records and
// renders; which checks are made and what they mean is decided by the rooms that
// make them.
package journal

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

// Options says where a journal is kept. The zero value keeps it in memory alone.
type Options struct {
	File string // one JSON event a line, appended; created 0600. "": none
	Keep int    // events kept in memory; 0: 2,000, which is some 20 MB of exchanges
}

// Journal is the record of one run. It is safe for concurrent use; a nil
// *Journal takes every event and keeps none.
type Journal struct {
	clock clock.Clock
	keep  int

	mu      sync.Mutex
	last    uint64
	events  []Event // the newest, oldest first; somewhat more than keep, so that cutting is rare
	changed chan struct{}
	watch   func(Event)
	file    *os.File
	failed  error // the first failure to write the file
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
	if err := os.MkdirAll(filepath.Dir(opts.File), 0o700); err != nil {
		return nil, fmt.Errorf("journal: make its directory: %w", err)
	}
	file, err := os.OpenFile(opts.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: open its file: %w", err)
	}
	j.file = file
	return j, nil
}

// Record adds an event and returns it with its ID and times filled in.
func (j *Journal) Record(e Event) Event {
	if j == nil {
		return e
	}
	e.bound()
	e.Time = j.clock.Now()
	if lab, ok := j.clock.(*clock.Lab); ok {
		e.Shared = lab.Followed()
	}
	e.Wall = time.Now().Round(0).UTC() // wall time: when it happened on the machine
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	e.ID = strconv.FormatUint(j.last, 10)
	if most := j.keep + j.keep/4; len(j.events) >= most {
		kept := copy(j.events, j.events[len(j.events)-j.keep+1:])
		clear(j.events[kept:]) // lets go of what they hold
		j.events = j.events[:kept]
	}
	j.events = append(j.events, e)
	j.write(e)
	if j.watch != nil {
		j.watch(e)
	}
	close(j.changed)
	j.changed = make(chan struct{})
	return e
}

// write appends the event to the file; j.mu is held.
func (j *Journal) write(e Event) {
	if j.file == nil || j.failed != nil {
		return
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	if err != nil {
		j.failed = fmt.Errorf("journal: write %s: %w; events are kept in memory only from here on", j.file.Name(), err)
	}
}

// Events returns the newest events, oldest first: all of the run until more than
// Options.Keep were recorded.
func (j *Journal) Events() []Event {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Event(nil), j.events[max(0, len(j.events)-j.keep):]...)
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
			fresh = append(fresh, j.events[max(0, len(j.events)-int(unseen)):]...)
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
	if j.file == nil {
		return nil
	}
	err := errors.Join(j.failed, j.file.Close())
	j.file = nil
	return err
}

// Read returns the events of a journal file. A last line that was cut short, as
// a killed process leaves it, is passed over.
func Read(r io.Reader) ([]Event, error) {
	var events []Event
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return events, nil // a complete line ends in a newline
		}
		if err != nil {
			return events, fmt.Errorf("journal: read: %w", err)
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return events, fmt.Errorf("journal: line %d: expected an event in JSON: %w", n, err)
		}
		events = append(events, e)
	}
}
