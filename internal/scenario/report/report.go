// Package report has the outcomes of scenarios and writes them: as text, JSON, JUnit XML, a
// job's summary in Markdown, annotations of GitHub Actions, journals and timelines. The
// name of the format is the name of its file. It runs nothing; see package scenario.
package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/scenario/condition"
)

// The outcomes of a scenario.
const (
	Passed      = "passed"
	Failed      = "failed"
	Skipped     = "skipped"     // not run, because another one failed: see scenario.Options.FailFast
	Interrupted = "interrupted" // not run to its end, because the run was ended: see scenario.Run
	Unsupported = "not-here"    // not run, because its backend does not support it: see scenario.Scenario.UnsupportedReason
)

// defaultBackend is where scenarios run unless --on names another.
const defaultBackend = "process"

// Report is what came of a run.
type Report struct {
	Started     time.Time `json:"started,omitzero"` // on the machine's clock, as is the next
	Wall        Seconds   `json:"seconds"`
	Passed      int       `json:"passed"`
	Failed      int       `json:"failed"`
	Skipped     int       `json:"skipped"`
	Unsupported int       `json:"notHere"`
	Interrupted int       `json:"interrupted,omitempty"` // not run, or not to their end
	Scenarios   []Outcome `json:"scenarios"`             // in the order in which they were given
}

// Flaky is a scenario whose runs were not alike: it passed in some and failed in
// others, or what the journal recorded differs.
type Flaky struct {
	Name     string `json:"name"`
	Backend  string `json:"place"`
	Passed   int    `json:"passed"`
	Failed   int    `json:"failed"`
	Journals int    `json:"journals"` // how many different ones there were

	hashes map[string]bool
}

// Flaky lists the scenarios whose runs were not alike, in their order.
func (r Report) Flaky() []Flaky {
	var all []Flaky
	for _, o := range r.Scenarios {
		i := slices.IndexFunc(all, func(f Flaky) bool { return f.Name == o.Name && f.Backend == o.Backend })
		if i < 0 {
			i, all = len(all), append(all, Flaky{Name: o.Name, Backend: o.Backend, hashes: map[string]bool{}})
		}
		switch f := &all[i]; o.Outcome {
		case Passed:
			f.Passed++
		case Failed:
			f.Failed++
		}
		if o.JournalHash != "" {
			all[i].hashes[o.JournalHash] = true
			all[i].Journals = len(all[i].hashes)
		}
	}
	return slices.DeleteFunc(all, func(f Flaky) bool { return (f.Passed == 0 || f.Failed == 0) && f.Journals < 2 })
}

// Title is how the rest of the report calls it.
func (f Flaky) Title() string { return Outcome{Name: f.Name, Backend: f.Backend}.Title() }

// String says in what the runs differ.
func (f Flaky) String() string {
	if f.Passed == 0 || f.Failed == 0 {
		return fmt.Sprintf("%d runs have %d different journals", f.Passed+f.Failed, f.Journals)
	}
	return fmt.Sprintf("passed %d of %d times", f.Passed, f.Passed+f.Failed)
}

// Outcome is what came of one scenario.
type Outcome struct {
	Name         string    `json:"name"`
	Run          int       `json:"run,omitempty"` // which one of several runs, from 1; 0: the only one
	File         string    `json:"file"`
	Backend      string    `json:"place"`                 // where it ran: process, compose or kind
	Outcome      string    `json:"outcome"`               // passed, failed, skipped, not-here or interrupted
	Reason       string    `json:"reason,omitempty"`      // why it makes no sense in this place
	Expectations int       `json:"expectations"`          // that were looked at
	Simulated    Seconds   `json:"simulatedSeconds"`      // lab time that went by
	Wall         Seconds   `json:"seconds"`               // on the machine's clock
	JournalHash  string    `json:"journalHash,omitempty"` // sha256:HEX of what WriteJournal writes
	Picture      string    `json:"picture,omitempty"`     // the file that WriteTimelines wrote
	Failures     []Failure `json:"failures,omitempty"`
	Notes        []string  `json:"notes,omitempty"` // what is odd about it and fails nothing: faults that hit nothing

	Journal     []journal.Event `json:"-"` // everything that was recorded, and without an id when a program was seen to have ended by itself
	dir         string          // of the lab, which has been removed
	Description string          `json:"-"` // of the scenario
}

// WriteJournal writes what was recorded in a form that is the same for two runs
// of a scenario that behave alike: see journal.WriteComparable.
func (o Outcome) WriteJournal(w io.Writer) error {
	recorded := slices.DeleteFunc(slices.Clone(o.Journal), func(e journal.Event) bool { return e.ID == "" })
	return journals.WriteComparable(w, recorded, o.dir)
}

// WriteJournals writes the journal of each scenario that was run into a directory
// as NAME.jsonl, so that two runs can be compared with diff -r.
func (r Report) WriteJournals(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the journals: %w", err)
	}
	for _, o := range r.Scenarios {
		if !o.ran() {
			continue
		}
		var text bytes.Buffer
		err := o.WriteJournal(&text)
		if err := errors.Join(err, os.WriteFile(filepath.Join(dir, o.Title()+".jsonl"), text.Bytes(), 0o644)); err != nil {
			return fmt.Errorf("write the journal of %s: %w", o.Title(), err)
		}
	}
	return nil
}

// SetJournal adds the journal of a scenario that has ended, whose lab was in dir.
func (o *Outcome) SetJournal(events []journal.Event, dir string) error {
	o.Journal, o.dir = events, dir
	sum := sha256.New()
	if err := o.WriteJournal(sum); err != nil {
		return err
	}
	o.JournalHash = fmt.Sprintf("sha256:%x", sum.Sum(nil))
	return nil
}

// Failure is why a scenario failed: an expectation that was not met, a step that
// could not be done, or an escape.
type Failure struct {
	File        string            `json:"file"`
	Line        int               `json:"line,omitempty"` // 0: the scenario as a whole
	Message     string            `json:"message"`
	Expression  string            `json:"expression,omitempty"`  // the expectation
	Values      []condition.Value `json:"values,omitempty"`      // of what the expression names
	Runs        []RunOutput       `json:"runs,omitempty"`        // of the steps that the expression names
	Events      []journal.Event   `json:"events,omitempty"`      // what the journal says to it, the last ones
	Explanation string            `json:"explanation,omitempty"` // of the last refusal among the events, check by check
}

// RunOutput is what a program printed.
type RunOutput struct {
	Step     string `json:"step"`
	ExitCode int    `json:"exitCode"` // -1 while it runs
	Running  bool   `json:"running,omitempty"`
	Stdout   string `json:"stdout,omitempty"` // the beginning and the end
	Stderr   string `json:"stderr,omitempty"` // the beginning and the end
}

// Seconds is a duration that is a number of seconds in JSON.
type Seconds time.Duration

// MarshalJSON writes seconds with their fraction.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(s).Round(time.Millisecond).Seconds())
}

// ExitCode is 0 when every scenario passed, 1 when one failed or was interrupted. (A file that cannot be
// read never comes to a report; for that wiemu exits with 2.)
func (r Report) ExitCode() int {
	if r.Failed > 0 || r.Interrupted > 0 {
		return 1
	}
	return 0
}

// Count adds the outcome of one scenario to the counts.
func (r *Report) Count(o Outcome) {
	switch o.Outcome {
	case Passed:
		r.Passed++
	case Skipped:
		r.Skipped++
	case Unsupported:
		r.Unsupported++
	case Interrupted:
		r.Interrupted++
	default:
		r.Failed++
	}
}

// Title tells the runs of a scenario apart: NAME@BACKEND#RUN, without @process and without
// the number of the only run.
func (o Outcome) Title() string {
	title := o.Name
	if o.Backend != "" && o.Backend != defaultBackend {
		title += "@" + o.Backend
	}
	if o.Run > 0 {
		title += fmt.Sprintf("#%d", o.Run)
	}
	return title
}

func (o Outcome) ran() bool { return o.Outcome != Skipped && o.Outcome != Unsupported }
