package harness

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/timeline"
	"github.com/wiemu/wiemu/internal/userstate"
)

// Journal returns the record of what happens in the lab.
func (l *Lab) Journal() *Journal { return &Journal{l.t, l.session.Journal()} }

// Journal is the record of what happens in a lab. Of an expected event only the fields
// that are set count; see [journal.Event.Mismatches]:
//
//	journal.Event{Kind: journal.Exchange, Outcome: journal.Denied, Code: 700213}
type Journal struct {
	t       TB
	journal *journals.Journal
}

// All returns the events that are as expected, oldest first; of journal.Event{}, all.
func (j *Journal) All(expected journal.Event) []journal.Event {
	return explain.Match(j.journal.Events(), expected)
}

// Await returns the first event that is as expected. If none has happened, it blocks
// until one does, for at most the given time on the machine's clock (or the bubble's),
// which defaults to ten seconds (only the first of within counts), and never beyond the test's deadline. Then it fails the
// test with the events that come nearest, and the fields in which they differ.
func (j *Journal) Await(expected journal.Event, within ...time.Duration) journal.Event {
	j.t.Helper()
	ctx, cancel := context.WithTimeout(j.t.Context(), j.until(append(within, 10*time.Second)[0]))
	defer cancel()
	e, err := j.journal.Await(ctx, func(e journal.Event) bool { return len(explain.Mismatches(e, expected)) == 0 })
	if err != nil {
		var why strings.Builder
		_ = explain.WriteMissing(&why, expected, j.journal.Events()) // into memory
		j.t.Fatalf("%v\n%s", err, why.String())
	}
	return e
}

// until returns how long to wait; a second of the test's time is left to report what is missing.
func (j *Journal) until(within time.Duration) time.Duration {
	if at, has := deadline(j.t); has {
		return min(within, time.Until(at)-time.Second) // wall time, as the deadline is
	}
	return within
}

func deadline(t TB) (at time.Time, has bool) {
	limited, ok := t.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return time.Time{}, false
	}
	defer func() { _ = recover() }() // testing.T panics in a bubble, whose time has no deadline
	return limited.Deadline()
}

// Never reports an error for each event that is as unwanted: with Outcome journal.Denied, for each
// refusal. The first request of Key Vault's clients, which has no token, does not count.
func (j *Journal) Never(unwanted journal.Event) {
	j.t.Helper()
	for _, e := range j.All(unwanted) {
		if e.Detail["challenge"] == "" {
			j.t.Errorf("unexpected:\n%s", explanation(e, j.journal.Events()))
		}
	}
}

// Explain returns why the last request was refused, or, if none was, how the last
// exchange or access went.
func (j *Journal) Explain() string {
	all := j.journal.Events()
	e, ok := explain.Last(all)
	if !ok {
		return "nobody has asked for a token or been refused"
	}
	return explanation(e, all)
}

func explanation(e journal.Event, all []journal.Event) string {
	var text strings.Builder
	_ = explain.Write(&text, e, all) // into memory
	return text.String()
}

// explain logs what happened in the lab of a test that has failed.
func (l *Lab) explain() {
	l.t.Helper()
	l.t.Logf("what the lab says:\n%s", l.Journal().Explain())
	file, err := l.report()
	if err != nil {
		l.t.Logf("the report of the lab: %v", err)
		return
	}
	l.t.Logf("everything that happened in the lab: file://%s", file)
}

// report writes a report of what happened, and returns the path of the file.
func (l *Lab) report() (string, error) {
	f, err := l.createReport()
	if err != nil {
		return "", err
	}
	about := timeline.About{Title: l.t.Name(), Verdict: "failed"}
	if err := errors.Join(timeline.Write(f, timeline.HTML, about, l.session.Journal().Events()), f.Close()); err != nil {
		return "", fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return f.Name(), nil
}

// createReport makes a file that outlives the test: among the test's artifacts
// where go test -artifacts asks for them, else in the state directory.
func (l *Lab) createReport() (*os.File, error) {
	if t, ok := l.t.(interface{ ArtifactDir() string }); ok && artifactsWanted() {
		return os.CreateTemp(t.ArtifactDir(), "timeline-*.html")
	}
	dir, err := userstate.Open("")
	if err != nil {
		return nil, err
	}
	return dir.CreateReport(l.t.Name())
}

// artifactsWanted reports whether the files of ArtifactDir outlive the test: without
// the flag it is a temporary directory (Go: testing, 1.26).
func artifactsWanted() bool {
	f := flag.Lookup("test.artifacts")
	return f != nil && f.Value.String() == "true"
}
