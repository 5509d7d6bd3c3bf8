// Package scenarios checks and runs scenario files: YAML files that say which workloads
// there are, what happens to them and what is expected.
//
//	apiVersion: wiemu.dev/v1
//	kind: Scenario
//	metadata:
//	  name: token-outlives-its-file
//	workloads:
//	  - {name: web, namespace: shop, serviceAccount: web-sa, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}
//	steps:
//	  - name: read
//	    run: {workload: web, command: [wiemu-workload, secret, get, mykeyvault, mysecret]}
//	  - advance: 55m
//	  - expect:
//	      - results.read.exitCode == 0
//	      - journal.exists(e, e.kind == 'exchange' && e.outcome == 'granted')
//
// [Load] reads and checks them, [Run] runs each in a lab of its own and returns a
// [Report]. Programs run as processes of this machine; wiemu scenario run --on also runs
// them in containers and in a cluster. docs/scenarios.md describes the format, and
// docs/schema/scenario.schema.json is its JSON Schema.
package scenarios

import (
	"context"
	"embed"
	"io"
	"io/fs"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/scenario"
	"github.com/wiemu/wiemu/internal/scenario/report"
	"github.com/wiemu/wiemu/internal/timeline"
)

//go:embed library/*.yaml
var library embed.FS

// Library returns the scenario files that come with wiemu, for [LoadFS].
func Library() fs.FS {
	files, err := fs.Sub(library, "library")
	if err != nil {
		panic(err) // the path is constant and valid
	}
	return files
}

// Scenario is a scenario that has been read and checked.
type Scenario struct{ scenario scenario.Scenario }

// Name returns the scenario's metadata.name.
func (s Scenario) Name() string { return s.scenario.Metadata.Name }

// Description returns what one sees when it happens, as the file describes it; it may be empty.
func (s Scenario) Description() string { return s.scenario.Description }

// Load reads scenario files in the order given; a directory stands for the YAML files in it. The
// error lists everything that is wrong in all of them, a line each, with file, line, field and fix.
func Load(paths ...string) ([]Scenario, error) { return wrap(scenario.Load(paths...)) }

// LoadFS is [Load] for all scenario files at the top of a file system.
func LoadFS(files fs.FS) ([]Scenario, error) { return wrap(scenario.LoadFS(files)) }

// Parse reads one scenario; file is the name that errors and reports use.
func Parse(file string, data []byte) (Scenario, error) {
	s, err := scenario.Parse(file, data)
	return Scenario{s}, err
}

func wrap(list []scenario.Scenario, err error) ([]Scenario, error) {
	var wrapped []Scenario
	for _, s := range list {
		wrapped = append(wrapped, Scenario{s})
	}
	return wrapped, err
}

// Option changes how scenarios are run.
type Option struct{ apply func(*scenario.Options) }

// WithParallel sets how many scenarios run at a time. Defaults to GOMAXPROCS.
func WithParallel(n int) Option { return Option{func(o *scenario.Options) { o.Parallel = n }} }

// WithTimeout sets how long a scenario may take on the machine's clock. Defaults to 10 minutes.
func WithTimeout(d time.Duration) Option { return Option{func(o *scenario.Options) { o.Timeout = d }} }

// WithFailFast skips the scenarios that have not begun when one fails.
func WithFailFast() Option { return Option{func(o *scenario.Options) { o.FailFast = true }} }

// WithOutput writes a line for each scenario, in order, once it and those before it have
// ended. A write that fails ends the run.
func WithOutput(w io.Writer) Option { return Option{func(o *scenario.Options) { o.Out = w }} }

// WithChaos seeds the chaos of scenarios that do not seed their own.
func WithChaos(seed uint64) Option { return Option{func(o *scenario.Options) { o.Chaos = seed }} }

// WithProgram sets the path of wiemu-workload. Defaults to the one beside the running
// program, else in PATH.
func WithProgram(path string) Option { return Option{func(o *scenario.Options) { o.Program = path }} }

// WithEnviron sets the variables that programs inherit, of which those of an identity are
// removed. Defaults to os.Environ.
func WithEnviron(environ []string) Option {
	return Option{func(o *scenario.Options) { o.Environ = environ }}
}

// Run runs scenarios, each in a lab of its own, and returns their outcomes in the order
// given. When ctx ends, programs that are running are killed, and the scenarios that have
// not ended are [Interrupted].
func Run(ctx context.Context, list []Scenario, options ...Option) Report {
	var o scenario.Options
	for _, option := range options {
		option.apply(&o)
	}
	run := make([]scenario.Scenario, len(list))
	for i, s := range list {
		run[i] = s.scenario
	}
	r := Report{report: scenario.Run(ctx, run, o)}
	r.Passed, r.Failed = r.report.Passed, r.report.Failed
	for _, o := range r.report.Scenarios {
		r.Outcomes = append(r.Outcomes, Outcome{
			Name: o.Name, File: o.File, Outcome: o.Outcome, Reason: o.Reason, Failures: o.Texts(), Notes: o.Notes, Journal: o.Journal,
		})
	}
	return r
}

// The outcomes of a scenario.
const (
	Passed      = report.Passed
	Failed      = report.Failed
	Skipped     = report.Skipped     // not run, because another one failed: see [WithFailFast]
	Interrupted = report.Interrupted // not run to its end, because the context ended
	Unsupported = report.Unsupported // not run, because it makes no sense with processes of one machine
)

// Report has the outcomes of a run.
type Report struct {
	Passed, Failed int
	Outcomes       []Outcome // in the order in which the scenarios were given

	report report.Report
}

// Outcome is what came of one scenario.
type Outcome struct {
	Name     string
	File     string
	Outcome  string          // one of the constants
	Reason   string          // why it is unsupported
	Failures []string        // each with the expectation, what it named, what programs printed, and an explanation
	Notes    []string        // what is odd and fails nothing, such as a fault that hit nothing
	Journal  []journal.Event // everything that was recorded
}

// ExitCode returns 0 if every scenario passed, 1 if one failed or was interrupted.
func (r Report) ExitCode() int { return r.report.ExitCode() }

// WriteText writes a line for each scenario, then why those that failed did, then how many passed.
func (r Report) WriteText(w io.Writer) error { return r.report.WriteTable(w) }

// WriteJSON writes the report as one JSON object; docs/scenarios.md describes it.
func (r Report) WriteJSON(w io.Writer) error { return r.report.WriteJSON(w) }

// WriteJUnit writes the report as JUnit XML, one test case a scenario.
func (r Report) WriteJUnit(w io.Writer) error { return r.report.WriteJUnit(w) }

// WriteJournals writes the journal of each scenario that was run to dir/NAME.jsonl. Two
// runs of a scenario that behave alike write the same.
func (r Report) WriteJournals(dir string) error { return r.report.WriteJournals(dir) }

// WriteTimelines draws each scenario that was run to dir/NAME.html, and lists them in
// dir/index.html.
func (r Report) WriteTimelines(dir string) error { return r.report.WriteTimelines(dir, timeline.HTML) }
