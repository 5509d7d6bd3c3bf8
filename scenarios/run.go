package scenarios

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/harness"
)

// Program is the name of the client that scenarios start; see cmd/wiemu-workload.
const Program = harness.WorkloadProgram

// Options say how scenarios are run. The zero value runs as many at a time as
// there are processors and prints nothing.
type Options struct {
	// Places are where they run, one place after the other. nil: processes of this
	// machine, for which the next three are; see harness.Processes.
	Places  []harness.Place
	Program string        // path of wiemu-workload; "": beside the running program, else in PATH
	Keys    *keyring.Pool // where signing keys come from; nil: a pool in memory
	Environ []string      // what programs inherit before it is cleaned; nil: os.Environ()

	Parallel int       // scenarios at a time; 0: GOMAXPROCS
	Out      io.Writer // a line for each scenario, in order, as soon as it and those before it are done; nil: none
	Chaos    uint64    // seed of the chaos of scenarios that have none of their own; see fault.Chaos

	Timeout  time.Duration  // how long a scenario may take on the machine's clock; 0: 10 minutes
	FailFast bool           // after a failure no further scenario is begun: they are skipped
	Progress func(Progress) // told, one call at a time, when a scenario begins or ends; nil: nobody is
}

// Progress is how far a run has come.
type Progress struct {
	Scenarios int // to run
	Done      int
	Failed    int      // of those that are done
	Running   []string // their names, the one that began first in front
}

const defaultPatience = 10 * time.Minute // wall time, for a scenario

// Run plays scenarios, each in a lab of its own, and returns what came of them
// in the order given, place by place. Those that make no sense in a place are
// [NotHere], with the reason. When ctx ends, programs that are running are killed, and
// the scenarios that are not finished are [Interrupted]. It ends, too, when nobody
// reads what Options.Out gets.
func Run(ctx context.Context, list []Scenario, opts Options) Report {
	began := time.Now() // wall time: when it was and what it cost
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r := &runner{opts: opts, stop: stop, places: opts.Places, report: Report{Started: began.UTC().Truncate(time.Millisecond)}}
	if r.places == nil {
		keys := opts.Keys
		if keys == nil {
			var err error
			if keys, err = keyring.OpenPool("", keyring.PoolOptions{}); err != nil {
				return r.failed(list, err)
			}
			defer func() { _ = keys.Close() }() // in memory: there is nothing to lose
		}
		r.places = []harness.Place{harness.Processes{Keys: keys, Program: opts.Program, Environ: opts.Environ}}
	}
	r.report.Scenarios, r.finished = make([]Outcome, len(r.places)*len(list)), make([]bool, len(r.places)*len(list))
	for p, place := range r.places {
		r.in(ctx, place, list, p*len(list))
	}
	r.report.Wall = Seconds(time.Since(began))
	return r.report
}

// in plays scenarios in a place. Their outcomes begin at first.
func (r *runner) in(ctx context.Context, place harness.Place, list []Scenario, first int) {
	var group errgroup.Group // no context: one failure stops no other scenario
	group.SetLimit(cmp.Or(max(r.opts.Parallel, 0), runtime.GOMAXPROCS(0)))
	if _, is := place.(harness.OneByOne); is {
		group.SetLimit(1)
	}
	for i := range list {
		group.Go(func() error {
			r.finish(ctx, first+i, r.play(ctx, place, &list[i]))
			return nil
		})
	}
	_ = group.Wait() // no function returns an error
}

type runner struct {
	opts   Options
	places []harness.Place
	stop   func()

	mu       sync.Mutex
	report   Report
	finished []bool // which outcomes of the report are known
	printed  int
	done     int
	running  []string
}

// play runs one scenario from beginning to end.
func (r *runner) play(ctx context.Context, place harness.Place, s *Scenario) Outcome {
	began := time.Now() // wall time: what the scenario cost
	o := s.outcome(place)
	if err := ctx.Err(); err != nil {
		o.Outcome, o.Failures = Interrupted, []Failure{{File: s.file, Message: "not run: " + err.Error()}}
		return o
	} else if o.Reason = s.WhyNotOn(place.Name()); o.Reason != "" {
		o.Outcome = NotHere
		return o
	} else if !r.begin(o) {
		o.Outcome = Skipped
		return o
	} else {
		patience := cmp.Or(max(r.opts.Timeout, 0), defaultPatience)
		ctx, cancel := limit(ctx, patience, fmt.Errorf("the scenario took longer than %v", patience))
		defer cancel()
		st := stage{runner: r, place: place, scenario: s, outcome: &o, workloads: map[string]harness.Runner{}, results: map[string]Result{}, copies: map[string][]byte{}, faults: map[string]string{}}
		if err := st.play(ctx); err != nil {
			o.Failures = append(o.Failures, Failure{File: s.file, Message: err.Error()})
		}
	}
	switch {
	case len(o.Failures) == 0:
		o.Outcome = Passed
	case ctx.Err() != nil:
		o.Outcome = Interrupted
	default:
		o.Outcome = Failed
	}
	o.Wall = Seconds(time.Since(began))
	return o
}

// outcome is what the report says of the scenario before it has run.
func (s *Scenario) outcome(in harness.Place) Outcome {
	return Outcome{Name: s.Metadata.Name, Run: s.run, Place: in.Name(), File: s.file, description: s.Description}
}

// begin reports whether the scenario is to be run, and tells that it is.
func (r *runner) begin(o Outcome) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.opts.FailFast && r.report.Failed > 0 {
		return false
	}
	r.running = append(r.running, o.title())
	r.progress()
	return true
}

// progress tells how far the run has come; r.mu is held.
func (r *runner) progress() {
	if r.opts.Progress != nil {
		r.opts.Progress(Progress{Scenarios: len(r.report.Scenarios), Done: r.done, Failed: r.report.Failed, Running: slices.Clone(r.running)})
	}
}

// finish keeps an outcome and prints those that are due. Scenarios that did not
// come to their end have nothing to show.
func (r *runner) finish(ctx context.Context, i int, o Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Scenarios[i], r.finished[i] = o, true
	r.report.count(o)
	r.done++
	r.running = slices.DeleteFunc(r.running, func(name string) bool { return name == o.title() })
	for ; r.opts.Out != nil && ctx.Err() == nil && r.printed < len(r.finished) && r.finished[r.printed]; r.printed++ {
		p := printer{w: r.opts.Out}
		if r.report.Scenarios[r.printed].writeRow(&p); p.err != nil {
			r.stop()
		}
	}
	if ctx.Err() == nil {
		r.progress()
	}
}

// failed is the report of a run that could not begin.
func (r *runner) failed(list []Scenario, err error) Report {
	for i := range list {
		o := list[i].outcome(harness.Processes{})
		o.Outcome, o.Failures = Failed, []Failure{{File: o.File, Message: err.Error()}}
		r.report.Scenarios = append(r.report.Scenarios, o)
		r.report.count(o)
	}
	return r.report
}

// Check tells what scenarios need and Run would not find. Run itself fails the
// steps that need it.
func (o Options) Check(list []Scenario) error {
	if o.Places != nil || !slices.ContainsFunc(list, Scenario.startsProgram) {
		return nil
	}
	_, err := harness.Processes{Program: o.Program}.FindProgram()
	return err
}

// startsProgram reports whether a step starts wiemu-workload.
func (s Scenario) startsProgram() bool {
	return slices.ContainsFunc(s.Steps, func(s Step) bool {
		p := s.program()
		return p != nil && (len(p.Command) > 0 && p.Command[0] == Program || strings.Contains(p.Shell, Program))
	})
}
