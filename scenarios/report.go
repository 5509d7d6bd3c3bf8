package scenarios

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
)

// The outcomes of a scenario.
const (
	Passed      = "passed"
	Failed      = "failed"
	Skipped     = "skipped"     // not run, because another one failed: see Options.FailFast
	Interrupted = "interrupted" // not run to its end, because the run was ended: see Run
	NotHere     = "not-here"    // not run, because it makes no sense in this place: see Scenario.WhyNotOn
)

// Report is what came of a run.
type Report struct {
	Started     time.Time `json:"started,omitzero"` // on the machine's clock, as is the next
	Wall        Seconds   `json:"seconds"`
	Passed      int       `json:"passed"`
	Failed      int       `json:"failed"`
	Skipped     int       `json:"skipped"`
	NotHere     int       `json:"notHere"`
	Interrupted int       `json:"interrupted,omitempty"` // not run, or not to their end
	Scenarios   []Outcome `json:"scenarios"`             // in the order in which they were given
}

// Flaky is a scenario whose runs were not alike: it passed in some and failed in
// others, or what the journal recorded differs.
type Flaky struct {
	Name     string `json:"name"`
	Place    string `json:"place"`
	Passed   int    `json:"passed"`
	Failed   int    `json:"failed"`
	Journals int    `json:"journals"` // how many different ones there were

	hashes map[string]bool
}

// Flaky lists the scenarios whose runs were not alike, in their order.
func (r Report) Flaky() []Flaky {
	var all []Flaky
	for _, o := range r.Scenarios {
		i := slices.IndexFunc(all, func(f Flaky) bool { return f.Name == o.Name && f.Place == o.Place })
		if i < 0 {
			i, all = len(all), append(all, Flaky{Name: o.Name, Place: o.Place, hashes: map[string]bool{}})
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

// title is how the rest of the report calls it.
func (f Flaky) title() string { return Outcome{Name: f.Name, Place: f.Place}.title() }

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
	Place        string    `json:"place"`                 // where it ran: process, compose or kind
	Outcome      string    `json:"outcome"`               // passed, failed, skipped, not-here or interrupted
	Reason       string    `json:"reason,omitempty"`      // why it makes no sense in this place
	Expectations int       `json:"expectations"`          // that were looked at
	Simulated    Seconds   `json:"simulatedSeconds"`      // lab time that went by
	Wall         Seconds   `json:"seconds"`               // on the machine's clock
	JournalHash  string    `json:"journalHash,omitempty"` // sha256:HEX of what WriteJournal writes
	Picture      string    `json:"picture,omitempty"`     // the file that WritePictures wrote
	Failures     []Failure `json:"failures,omitempty"`
	Notes        []string  `json:"notes,omitempty"` // what is odd about it and fails nothing: faults that hit nothing

	Journal     []journal.Event `json:"-"` // everything that was recorded, and without an id when a program was seen to have ended by itself
	dir         string          // of the lab, which is gone
	description string
}

// WriteJournal writes what was recorded in a form that is the same for two runs
// of a scenario that behave alike: see journal.WriteComparable.
func (o Outcome) WriteJournal(w io.Writer) error {
	recorded := slices.DeleteFunc(slices.Clone(o.Journal), func(e journal.Event) bool { return e.ID == "" })
	return journal.WriteComparable(w, recorded, o.dir)
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
		if err := errors.Join(err, os.WriteFile(filepath.Join(dir, o.title()+".jsonl"), text.Bytes(), 0o644)); err != nil {
			return fmt.Errorf("write the journal of %s: %w", o.title(), err)
		}
	}
	return nil
}

// keep takes the journal of a scenario that has ended.
func (o *Outcome) keep(events []journal.Event, dir string) error {
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
	File        string          `json:"file"`
	Line        int             `json:"line,omitempty"` // 0: the scenario as a whole
	Message     string          `json:"message"`
	Expression  string          `json:"expression,omitempty"`  // the expectation
	Values      []NamedValue    `json:"values,omitempty"`      // of what the expression names
	Runs        []RunOutput     `json:"runs,omitempty"`        // of the steps that the expression names
	Events      []journal.Event `json:"events,omitempty"`      // what the journal says to it, the last ones
	Explanation string          `json:"explanation,omitempty"` // of the last refusal among the events, check by check
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

func (r *Report) count(o Outcome) {
	switch o.Outcome {
	case Passed:
		r.Passed++
	case Skipped:
		r.Skipped++
	case NotHere:
		r.NotHere++
	case Interrupted:
		r.Interrupted++
	default:
		r.Failed++
	}
}

// title tells the runs of a scenario apart. Where it ran goes without saying if
// that is where scenarios run that nobody says anything about.
func (o Outcome) title() string {
	title := o.Name
	if o.Place != "" && o.Place != OnProcess {
		title += "@" + o.Place
	}
	if o.Run > 0 {
		title += fmt.Sprintf("#%d", o.Run)
	}
	return title
}

// worldName tells the labs of the runs apart.
func (o Outcome) worldName() string {
	if o.Run == 0 {
		return o.Name
	}
	return fmt.Sprintf("%s-%d", o.Name, o.Run)
}

// ran reports whether the scenario was begun.
func (o Outcome) ran() bool { return o.Outcome != Skipped && o.Outcome != NotHere }

// maxEvents is how many events a failure shows.
const maxEvents = 8

// witness adds what helps to understand a failed expectation: the output of the
// runs that it names and what the journal recorded during them, or else what it
// recorded last.
func (st *stage) witness(f *Failure, p *program, now view) {
	named, during, of := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, r := range p.references("results") {
		result, ok := now.Results[r.key]
		if !ok || named[r.key] {
			continue
		}
		named[r.key] = true
		for _, e := range result.Events {
			during[e.ID] = true
		}
		if program := st.program(r.key); program != nil {
			w := st.actor(program.Workload).Workload
			of[w.Namespace+"/"+w.ServiceAccount], of[w.ClientID] = true, true
			f.Runs = append(f.Runs, RunOutput{Step: r.key, ExitCode: result.ExitCode, Running: result.Running, Stdout: ends(maxShownOutput, result.Stdout), Stderr: ends(maxShownOutput, result.Stderr)})
		}
	}
	// Programs that go on while others run have seen the same events.
	events := slices.DeleteFunc(slices.Clone(now.Journal), func(e journal.Event) bool { return !during[e.ID] })
	if len(events) == 0 {
		events = now.Journal
	}
	st.explain(f, events, slices.DeleteFunc(slices.Clone(events), func(e journal.Event) bool { return !of[cmp.Or(e.Workload, e.ClientID)] }))
}

// program is what the step of a name runs or starts, nil if it does neither.
func (st *stage) program(name string) *ProgramStep {
	for _, s := range st.scenario.Steps {
		if s.Name == name {
			return s.program()
		}
	}
	return nil
}

// explain adds the last of the events, and why the last refusal among them was
// made, or the last grant if a run that is named had only grants. A refusal of
// the programs that it is about goes before another's. One explanation is enough
// for a scenario.
func (st *stage) explain(f *Failure, events, own []journal.Event) {
	f.Events = slices.Clone(events[max(0, len(events)-maxEvents):])
	last, found := journal.Last(own)
	if !found || last.Outcome != journal.Denied && last.Outcome != journal.Failed {
		last, found = journal.Last(events)
	}
	explained := slices.ContainsFunc(st.outcome.Failures, func(f Failure) bool { return f.Explanation != "" })
	if !found || explained || last.Outcome == journal.Granted && len(f.Runs) == 0 {
		return
	}
	var b strings.Builder
	if journal.Explain(&b, last, st.events) == nil { // a strings.Builder does not fail
		f.Explanation = b.String()
	}
}
