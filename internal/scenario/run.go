package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/keyring"
	programs "github.com/wiemu/wiemu/internal/run"
	"github.com/wiemu/wiemu/internal/scenario/condition"
	"github.com/wiemu/wiemu/internal/scenario/report"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Program is the name of the client that scenarios start; see cmd/wiemu-workload.
const Program = backend.WorkloadProgram

// Options say how scenarios are run. The zero value runs as many at a time as
// there are processors and prints nothing.
type Options struct {
	// Backends are where they run, one after the other. If nil, they run as processes of
	// this machine, for which the next three are; see programs.Processes.
	Backends []backend.Backend
	Program  string        // path of wiemu-workload. If empty, it is looked up beside the running program, then in PATH
	Keys     *keyring.Pool // where signing keys come from. If nil, a pool in memory
	Environ  []string      // what programs inherit before it is cleaned. If nil, os.Environ()

	// Network is how the programs of scenarios that do not say reach the lab, as processes of
	// this machine. Defaults to what backend.DefaultNetwork returns.
	Network backend.Network

	Parallel int       // scenarios at a time. Defaults to GOMAXPROCS and one: each waits now and then
	Out      io.Writer // a line for each scenario, in order, as soon as it and those before it are done; may be nil
	Chaos    uint64    // seed of the chaos of scenarios that have none of their own; see fault.Chaos

	Timeout  time.Duration // how long a scenario may take on the machine's clock. Defaults to 10 minutes
	FailFast bool          // after a failure no further scenario is begun: they are skipped

	// FailOnMissing says that a scenario for which this machine lacks something, such as
	// PostgreSQL, has failed. By default it is report.Unsupported, as on a backend on which it
	// makes no sense.
	FailOnMissing bool

	Progress func(Progress) // called, once at a time, when a scenario begins or ends; may be nil

	// Observe receives the events of the scenarios' labs while they run, those of a step when it
	// has ended. If nil, nothing is observed.
	Observe func([]journal.Event)
}

// Progress is how far a run has come.
type Progress struct {
	Scenarios int // to run
	Done      int
	Failed    int      // of those that are done
	Running   []string // their names, the one that began first in front
}

const defaultPatience = 10 * time.Minute // wall time, for a scenario

// Run runs scenarios, each in a lab of its own, and returns what came of them
// in the order given, backend by backend. Those that a backend does not support are
// [report.Unsupported], with the reason. When ctx ends, programs that are running are killed, and
// the scenarios that are not finished are [Interrupted]. It ends, too, when nobody
// reads what Options.Out gets.
func Run(ctx context.Context, list []Scenario, opts Options) report.Report {
	began := time.Now() // wall time: when it was and what it cost
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r := &runner{opts: opts, stop: stop, backends: opts.Backends, report: report.Report{Started: began.UTC().Truncate(time.Millisecond)}}
	if r.backends == nil {
		keys := opts.Keys
		if keys == nil {
			var err error
			if keys, err = keyring.OpenPool("", keyring.PoolOptions{}); err != nil {
				return r.failed(list, err)
			}
			defer func() { _ = keys.Close() }() // in memory: there is nothing to lose
		}
		r.backends = []backend.Backend{programs.Processes{Keys: keys, Program: opts.Program, Environ: opts.Environ, Probe: programs.ProbeOnce(ctx)}}
	}
	r.report.Scenarios, r.finished = make([]report.Outcome, len(r.backends)*len(list)), make([]bool, len(r.backends)*len(list))
	for n, on := range r.backends {
		r.runAll(ctx, on, list, n*len(list))
	}
	r.report.Wall = report.Seconds(time.Since(began))
	return r.report
}

func (r *runner) runAll(ctx context.Context, on backend.Backend, list []Scenario, first int) {
	var group errgroup.Group // no context: one failure stops no other scenario
	group.SetLimit(cmp.Or(max(r.opts.Parallel, 0), runtime.GOMAXPROCS(0)+1))
	if _, ok := on.(backend.Exclusive); ok {
		group.SetLimit(1)
	}
	var order []int
	for _, long := range []bool{true, false} { // what takes longest begins first, so that none is left at the end
		for i := range list {
			if (list[i].Clock.Mode == lockstep) == long {
				order = append(order, i)
			}
		}
	}
	for _, i := range order {
		group.Go(func() error {
			r.finish(ctx, first+i, r.runOne(ctx, on, &list[i]))
			return nil
		})
	}
	_ = group.Wait() // no function returns an error
}

type runner struct {
	opts     Options
	backends []backend.Backend
	stop     func()

	mu       sync.Mutex
	report   report.Report
	finished []bool // which outcomes of the report are known
	printed  int
	done     int
	running  []string
}

func (r *runner) runOne(ctx context.Context, on backend.Backend, s *Scenario) report.Outcome {
	began := time.Now() // wall time: what the scenario cost
	o := s.outcome(on)
	if err := ctx.Err(); err != nil {
		o.Outcome, o.Failures = report.Interrupted, []report.Failure{{File: s.file, Message: "not run: " + err.Error()}}
		return o
	} else if o.Reason = s.UnsupportedReason(on.Name()); o.Reason != "" {
		o.Outcome = report.Unsupported
		return o
	} else if !r.begin(o) {
		o.Outcome = report.Skipped
		return o
	} else {
		patience := cmp.Or(max(r.opts.Timeout, 0), defaultPatience)
		ctx, cancel := limit(ctx, patience, fmt.Errorf("the scenario took longer than %v", patience))
		defer cancel()
		one := run{runner: r, backend: on, scenario: s, outcome: &o, workloads: map[string]backend.Workload{}, results: map[string]condition.Result{}, copies: map[string][]byte{}, faults: map[string]string{}}
		if err := one.execute(ctx); errors.As(err, new(*backend.Unsupported)) && !r.opts.FailOnMissing {
			o.Outcome, o.Reason = report.Unsupported, err.Error()
			return o
		} else if err != nil {
			o.Failures = append(o.Failures, report.Failure{File: s.file, Message: err.Error()})
		}
	}
	switch {
	case len(o.Failures) == 0:
		o.Outcome = report.Passed
	case ctx.Err() != nil:
		o.Outcome = report.Interrupted
	default:
		o.Outcome = report.Failed
	}
	o.Wall = report.Seconds(time.Since(began))
	return o
}

func (s *Scenario) outcome(in backend.Backend) report.Outcome {
	return report.Outcome{Name: s.Metadata.Name, Run: s.run, Backend: in.Name(), File: s.file, Description: s.Description}
}

// begin reports whether the scenario is to be run, and tells that it is.
func (r *runner) begin(o report.Outcome) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.opts.FailFast && r.report.Failed > 0 {
		return false
	}
	r.running = append(r.running, o.Title())
	r.progress()
	return true
}

// progress tells how far the run has come; r.mu is held.
func (r *runner) progress() {
	if r.opts.Progress != nil {
		r.opts.Progress(Progress{Scenarios: len(r.report.Scenarios), Done: r.done, Failed: r.report.Failed, Running: slices.Clone(r.running)})
	}
}

// finish stores an outcome and prints those that are due, unless the run was interrupted.
func (r *runner) finish(ctx context.Context, i int, o report.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Scenarios[i], r.finished[i] = o, true
	r.report.Count(o)
	r.done++
	r.running = slices.DeleteFunc(r.running, func(name string) bool { return name == o.Title() })
	for ; r.opts.Out != nil && ctx.Err() == nil && r.printed < len(r.finished) && r.finished[r.printed]; r.printed++ {
		if err := r.report.Scenarios[r.printed].WriteRow(r.opts.Out); err != nil {
			r.stop()
		}
	}
	if ctx.Err() == nil {
		r.progress()
	}
}

// failed is the report of a run that could not begin.
func (r *runner) failed(list []Scenario, err error) report.Report {
	for i := range list {
		o := list[i].outcome(programs.Processes{})
		o.Outcome, o.Failures = report.Failed, []report.Failure{{File: o.File, Message: err.Error()}}
		r.report.Scenarios = append(r.report.Scenarios, o)
		r.report.Count(o)
	}
	return r.report
}

// Check tells what scenarios need and Run would not find. Run itself fails the steps that need it.
func (o Options) Check(list []Scenario) error {
	if o.Backends != nil || !slices.ContainsFunc(list, Scenario.startsProgram) {
		return nil
	}
	_, err := programs.Processes{Program: o.Program}.FindProgram()
	return err
}

// startsProgram reports whether a step starts wiemu-workload.
func (s Scenario) startsProgram() bool {
	return slices.ContainsFunc(s.Steps, func(s Step) bool {
		p := s.program()
		return p != nil && (len(p.Command) > 0 && p.Command[0] == Program || strings.Contains(p.Shell, Program))
	})
}

// Selection says which scenarios are run, and how often. The zero value is all of them, once.
type Selection struct {
	Names *regexp.Regexp // what a scenario's name matches, anywhere in it; nil: every name
	Shard Shard          // which part of them; the zero value: all
	Count int            // how often each is run; 0: once
}

// Shard is one of several parts that are all scenarios together. Each scenario is
// in one of them, and always in the same one as long as the scenarios are the same.
type Shard struct {
	Number int // from 1
	Of     int // how many parts there are; 0: the scenarios are not divided
}

// ParseShard reads a shard such as 2/5.
func ParseShard(text string) (Shard, error) {
	number, of, _ := strings.Cut(text, "/")
	n, err := strconv.ParseUint(number, 10, 16)
	m, err2 := strconv.ParseUint(of, 10, 16)
	if err != nil || err2 != nil || n < 1 || n > m {
		return Shard{}, fmt.Errorf("expected a part and how many there are, such as 2/5, found %q", text)
	}
	return Shard{Number: int(n), Of: int(m)}, nil
}

// Of returns the selected scenarios in the order of the list, and all of them
// again for each further run. A selection of nothing is an error.
func (s Selection) Of(list []Scenario) ([]Scenario, error) {
	named := list
	if s.Names != nil {
		named = slices.DeleteFunc(slices.Clone(list), func(sc Scenario) bool { return !s.Names.MatchString(sc.Metadata.Name) })
		if len(named) == 0 {
			return nil, s.matchesNone(list)
		}
	}
	chosen := s.Shard.of(named)
	if len(chosen) == 0 {
		return nil, fmt.Errorf("shard %d/%d is empty, as there are %d scenarios; divide them into %[3]d parts at most", s.Shard.Number, s.Shard.Of, len(named))
	}
	if s.Count < 2 {
		return chosen, nil
	}
	var repeated []Scenario
	for run := range s.Count {
		for _, sc := range chosen {
			sc.run = run + 1
			repeated = append(repeated, sc)
		}
	}
	return repeated, nil
}

// matchesNone says which names there are, or the one that was meant.
func (s Selection) matchesNone(list []Scenario) error {
	names := namesOf(list, func(sc Scenario) string { return sc.Metadata.Name })
	if meant := yamlfile.Nearest(s.Names.String(), names); meant != "" {
		return fmt.Errorf("no scenario's name matches %s; did you mean %s?", s.Names, meant)
	}
	slices.Sort(names)
	return fmt.Errorf("no scenario's name matches %s; there are %s", s.Names, strings.Join(names, ", "))
}

// of returns the shard's part: the longest scenarios first, each to the part with least to do.
func (s Shard) of(list []Scenario) []Scenario {
	if s.Of < 2 {
		return list
	}
	order := slices.SortedFunc(slices.Values(list), func(a, b Scenario) int {
		return cmp.Or(cmp.Compare(b.cost(), a.cost()), strings.Compare(a.Metadata.Name, b.Metadata.Name))
	})
	load := make([]int, s.Of)
	mine := map[string]bool{}
	for _, sc := range order {
		least := slices.Index(load, slices.Min(load))
		load[least] += sc.cost()
		if least == s.Number-1 {
			mine[sc.Metadata.Name] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(list), func(sc Scenario) bool { return !mine[sc.Metadata.Name] })
}

// cost is what a scenario takes, roughly: a lab costs about as much as a program.
func (s Scenario) cost() int {
	cost := 1
	for _, step := range s.Steps {
		if step.program() != nil {
			cost++
		}
	}
	return cost
}
