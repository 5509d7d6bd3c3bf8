package scenarios

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
)

// The outcomes of a scenario.
const (
	Passed  = "passed"
	Failed  = "failed"
	Skipped = "skipped" // not run, because another one failed: see Options.FailFast
)

// Report is what came of a run.
type Report struct {
	Started   time.Time `json:"started,omitzero"` // on the machine's clock, as is the next
	Wall      Seconds   `json:"seconds"`
	Passed    int       `json:"passed"`
	Failed    int       `json:"failed"`
	Skipped   int       `json:"skipped"`
	Scenarios []Outcome `json:"scenarios"` // in the order in which they were given
}

// Flaky is a scenario that passed in some of its runs and failed in others.
type Flaky struct {
	Name   string `json:"name"`
	Passed int    `json:"passed"`
	Failed int    `json:"failed"`
}

// Flaky lists the scenarios that both passed and failed, in their order.
func (r Report) Flaky() []Flaky {
	var all []Flaky
	for _, o := range r.Scenarios {
		i := slices.IndexFunc(all, func(f Flaky) bool { return f.Name == o.Name })
		if i < 0 {
			i, all = len(all), append(all, Flaky{Name: o.Name})
		}
		switch o.Outcome {
		case Passed:
			all[i].Passed++
		case Failed:
			all[i].Failed++
		}
	}
	return slices.DeleteFunc(all, func(f Flaky) bool { return f.Passed == 0 || f.Failed == 0 })
}

// Outcome is what came of one scenario.
type Outcome struct {
	Name         string    `json:"name"`
	Run          int       `json:"run,omitempty"` // which one of several runs, from 1; 0: the only one
	File         string    `json:"file"`
	Outcome      string    `json:"outcome"`          // passed, failed or skipped
	Expectations int       `json:"expectations"`     // that were looked at
	Simulated    Seconds   `json:"simulatedSeconds"` // lab time that went by
	Wall         Seconds   `json:"seconds"`          // on the machine's clock
	Failures     []Failure `json:"failures,omitempty"`
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
	ExitCode int    `json:"exitCode"`
	Stdout   string `json:"stdout,omitempty"` // the beginning
	Stderr   string `json:"stderr,omitempty"` // the beginning
}

// Seconds is a duration that is a number of seconds in JSON.
type Seconds time.Duration

// MarshalJSON writes seconds with their fraction.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(s).Round(time.Millisecond).Seconds())
}

// ExitCode is 0 when every scenario passed, 1 otherwise. (A file that cannot be
// read never comes to a report; for that wiemu exits with 2.)
func (r Report) ExitCode() int {
	if r.Failed > 0 {
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
	default:
		r.Failed++
	}
}

// title tells the runs of a scenario apart.
func (o Outcome) title() string {
	if o.Run == 0 {
		return o.Name
	}
	return fmt.Sprintf("%s#%d", o.Name, o.Run)
}

// maxEvents is how many events a failure shows.
const maxEvents = 8

// witness adds what helps to understand a failed expectation: the output of the
// runs that it names and what the journal recorded during them, or else what it
// recorded last.
func (st *stage) witness(f *Failure, p *program, now view) {
	var events []journal.Event
	var named []string
	for _, r := range p.references("results") {
		result, ok := now.Results[r.key]
		if !ok || slices.Contains(named, r.key) {
			continue
		}
		named = append(named, r.key)
		events = append(events, result.Events...)
		if st.ran(r.key) {
			f.Runs = append(f.Runs, RunOutput{Step: r.key, ExitCode: result.ExitCode, Stdout: shortenTo(maxShownOutput, result.Stdout), Stderr: shortenTo(maxShownOutput, result.Stderr)})
		}
	}
	if len(events) == 0 {
		events = now.Journal
	}
	st.explain(f, events)
}

func (st *stage) ran(name string) bool {
	return slices.ContainsFunc(st.scenario.Steps, func(s Step) bool { return s.Name == name && s.Run != nil })
}

// explain adds the last of the events, and why the last refusal among them was
// made, or the last grant if a run that is named had only grants. One explanation
// is enough for a scenario.
func (st *stage) explain(f *Failure, events []journal.Event) {
	f.Events = slices.Clone(events[max(0, len(events)-maxEvents):])
	last, found := journal.Last(events)
	explained := slices.ContainsFunc(st.outcome.Failures, func(f Failure) bool { return f.Explanation != "" })
	if !found || explained || last.Outcome == journal.Granted && len(f.Runs) == 0 {
		return
	}
	var b strings.Builder
	if journal.Explain(&b, last, st.lab.Journal().Events()) == nil { // a strings.Builder does not fail
		f.Explanation = b.String()
	}
}
