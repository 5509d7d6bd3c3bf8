package harness

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness/state"
	"github.com/wiemu/wiemu/harness/timeline"
)

// Journal is what happens in the lab.
func (l *TestLab) Journal() *Journal { return &Journal{l.t, l.lab.Journal(), 10 * time.Second} }

// Journal is the record of a test's lab. An expected event is one of which only
// what is set counts; see [journal.Event.Mismatches]:
//
//	journal.Event{Kind: journal.Exchange, Outcome: journal.Denied, Code: 700213}
type Journal struct {
	t        TB
	journal  *journal.Journal
	patience time.Duration
}

// Events are all that have happened, oldest first.
func (j *Journal) Events() []journal.Event { return j.journal.Events() }

// All are those that are as expected.
func (j *Journal) All(expected journal.Event) []journal.Event {
	return journal.Match(j.journal.Events(), expected)
}

// Within is the same journal for an Await that waits up to that long.
func (j *Journal) Within(patience time.Duration) *Journal {
	return &Journal{j.t, j.journal, patience}
}

// Await returns the first event that is as expected, of those that have happened or
// are yet to come. It waits for ten seconds, or as Within says, but not beyond
// the test's deadline. If there is none it fails the test with the events that come
// nearest, and the fields in which they differ. It waits on the time of the
// machine, or of the bubble, and lab time goes by as it does without it.
func (j *Journal) Await(expected journal.Event) journal.Event {
	j.t.Helper()
	ctx, cancel := context.WithTimeout(j.t.Context(), j.until())
	defer cancel()
	e, err := j.journal.Await(ctx, func(e journal.Event) bool { return len(e.Mismatches(expected)) == 0 })
	if err != nil {
		var why strings.Builder
		_ = journal.ExplainMissing(&why, expected, j.journal.Events()) // into memory
		j.t.Fatalf("%v\n%s", err, why.String())
	}
	return e
}

// until is how long there is to wait: a second before the test's deadline there has
// to be time to say what is missing.
func (j *Journal) until() time.Duration {
	if at, has := deadline(j.t); has {
		return min(j.patience, time.Until(at)-time.Second) // wall time, as the deadline is
	}
	return j.patience
}

// deadline is the test's, if it has one.
func deadline(t TB) (at time.Time, has bool) {
	limited, ok := t.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return time.Time{}, false
	}
	defer func() { _ = recover() }() // testing.T panics in a bubble, whose time has no deadline
	return limited.Deadline()
}

// Never fails the test, and lets it go on, if something has happened that is as
// expected: with Outcome journal.Denied, any refusal. What every client of Key Vault asks
// for first, without a token, is none.
func (j *Journal) Never(expected journal.Event) {
	j.t.Helper()
	for _, e := range j.All(expected) {
		if e.Detail["challenge"] == "" {
			j.t.Errorf("unexpected:\n%s", explanation(e, j.journal.Events()))
		}
	}
}

// Explain says why the last refusal was one; where there is none, how the last
// exchange or access went.
func (j *Journal) Explain() string {
	all := j.journal.Events()
	e, ok := journal.Last(all)
	if !ok {
		return "nobody has asked for a token or been refused"
	}
	return explanation(e, all)
}

func explanation(e journal.Event, all []journal.Event) string {
	var text strings.Builder
	_ = journal.Explain(&text, e, all) // into memory
	return text.String()
}

// explain tells of a test that has failed what happened in its lab.
func (l *TestLab) explain() {
	l.t.Helper()
	l.t.Logf("what the lab says:\n%s", l.Journal().Explain())
	file, err := l.report()
	if err != nil {
		l.t.Logf("the report of the lab: %v", err)
		return
	}
	l.t.Logf("everything that happened in the lab: file://%s", file)
}

// report draws what happened, and returns the file.
func (l *TestLab) report() (string, error) {
	f, err := l.createReport()
	if err != nil {
		return "", err
	}
	about := timeline.About{Title: l.t.Name(), Verdict: "failed"}
	err = timeline.Write(f, timeline.HTML, about, l.lab.Journal().Events())
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return f.Name(), nil
}

// createReport makes a file that outlives the test: among the test's artifacts
// where go test -artifacts asks for them, else in the state directory.
func (l *TestLab) createReport() (*os.File, error) {
	if t, ok := l.t.(interface{ ArtifactDir() string }); ok && artifactsWanted() {
		return os.CreateTemp(t.ArtifactDir(), "timeline-*.html")
	}
	dir, err := state.Open("")
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
