package scenarios

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/trust"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/state"
)

// A stage is where one scenario is played: its lab and what came of its steps.
type stage struct {
	runner   *runner
	scenario *Scenario
	outcome  *Outcome

	dir       string // of this scenario alone, removed at the end
	lab       *harness.Lab
	start     time.Time
	workloads map[string]*harness.Workload
	results   map[string]Result
	copies    map[string]string // files, by the name of the copyToken step
	started   map[string]*child // programs, by the name of the start step
	faults    map[string]string // ids, by the name of the fault step
}

// allEvents is more than a scenario's journal comes to: expectations speak of
// all of it.
const allEvents = 1_000_000

// play opens a lab, goes through the steps and cleans up. Failed expectations
// are in the outcome; the error is about the lab itself.
func (st *stage) play(ctx context.Context) (err error) {
	if st.dir, err = state.MakeTemp(); err != nil {
		return fmt.Errorf("make the scenario's directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(st.dir)) }()
	st.start = st.scenario.Clock.Start
	keys := st.runner.keys.Lease()
	defer func() { err = errors.Join(err, keys.Close()) }()
	if st.lab, err = harness.Start(ctx, harness.Options{
		Emulator: emulator.Options{Config: st.world(), ConfigFile: st.scenario.file, Keys: keys, Clock: clock.Stopped(st.start), KeepEvents: allEvents, Seed: faultSeed, StateDir: filepath.Join(st.dir, "state")},
		Dir:      filepath.Join(st.dir, "lab"),
		Bundle:   trust.BundleOptions{SystemRoots: len(st.scenario.world.AllowHosts) > 0},
	}); err != nil {
		return fmt.Errorf("open the lab: %w", err)
	}
	defer func() { err = errors.Join(err, st.close(ctx)) }()
	defer st.endPrograms()
	if err := st.admit(ctx); err != nil {
		return err
	}
	for i := range st.scenario.Steps {
		s := &st.scenario.Steps[i]
		result, err := st.step(ctx, s)
		if err != nil {
			if ctx.Err() != nil { // say what ended it, not what was under way
				err = context.Cause(ctx)
			}
			st.fail(s, err)
			break
		}
		if len(st.outcome.Failures) > 0 {
			break
		}
		if s.Name != "" {
			st.results[s.Name] = result
		}
	}
	st.outcome.Simulated = Seconds(st.lab.Clock().Now().Sub(st.start))
	st.escapes()
	return st.outcome.keep(st.lab.Journal().Events(), st.dir)
}

// world is the scenario's, with the chaos that the run wants.
func (st *stage) world() config.Config {
	c := st.scenario.world
	c.Chaos = cmp.Or(c.Chaos, st.runner.opts.Chaos)
	return c
}

// closing is how long a lab may take to finish answers under way: wall time.
const closing = 5 * time.Second

func (st *stage) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	if err := st.lab.Close(ctx); err != nil {
		return fmt.Errorf("close the lab: %w", err)
	}
	return nil
}

// admit lets the workloads in, in the order of the file.
func (st *stage) admit(ctx context.Context) error {
	st.workloads = make(map[string]*harness.Workload, len(st.scenario.actors))
	for _, a := range st.scenario.actors {
		w, err := st.lab.Workload(ctx, a.workload, a.identity)
		if err != nil {
			return fmt.Errorf("workload %s: %w", a.name, err)
		}
		st.workloads[a.name] = w
	}
	return nil
}

// step does one step and returns what came of it.
func (st *stage) step(ctx context.Context, s *Step) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	before := st.lab.Journal().Events()
	result := Result{Started: st.lab.Clock().Now()}
	var err error
	switch {
	case s.Run != nil:
		err = st.run(ctx, s.Run, &result)
	case s.Start != nil:
		err = st.begin(ctx, s.Name, s.Start)
	case s.Stop != nil:
		err = st.stop(ctx, s.Stop, &result)
	case s.Advance != nil:
		err = st.lab.Emulator().Time().Advance(ctx, *s.Advance)
	case s.SetClock != nil:
		err = st.lab.Emulator().Time().Set(ctx, *s.SetClock)
	case s.Freeze:
		st.lab.Emulator().Time().Freeze()
	case s.Speed != nil:
		err = st.lab.Emulator().Time().SetSpeed(*s.Speed)
	case s.Skew != nil:
		err = st.lab.Emulator().Time().Skew(s.Skew.Part, s.Skew.By)
	case s.Rotate != nil:
		err = st.rotate(ctx, s.Rotate, &result)
	case s.Publish != nil:
		err = st.publish(ctx, s.Publish, &result)
	case s.RemoveKey != nil:
		err = st.removeKey(s.RemoveKey, &result)
	case s.Set != nil:
		err = st.set(s.Set)
	case s.CopyToken != nil:
		err = st.copyToken(s.Name, s.CopyToken, &result)
	case s.MoveWorkload != nil:
		err = st.moveWorkload(ctx, s.MoveWorkload)
	case s.Fault != nil:
		err = st.inject(s, &result)
	case s.ClearFault != "":
		st.clearFault(s.ClearFault)
	case s.Expect != nil:
		st.expect(ctx, s)
	}
	result.Finished = st.lab.Clock().Now()
	result.Events = since(before, st.lab.Journal().Events())
	return result, err
}

// since returns the events that all has and before has not.
func since(before, all []journal.Event) []journal.Event {
	if len(before) == 0 {
		return all
	}
	last := before[len(before)-1].ID
	i := slices.IndexFunc(all, func(e journal.Event) bool { return e.ID == last })
	return all[i+1:] // all of them, should the journal have forgotten the last one
}

// view is what expectations see now.
func (st *stage) view() view {
	now := st.lab.Clock().Now()
	v := view{
		Results: st.results, Journal: st.lab.Journal().Events(), Workloads: make(map[string]WorkloadView, len(st.workloads)),
		Clock: ClockView{Now: now, Start: st.start, Elapsed: now.Sub(st.start)},
	}
	if len(st.started) > 0 {
		v.Results = maps.Clone(st.results)
		for name, c := range st.started {
			v.Results[name] = c.sofar(st.results[name])
		}
	}
	for name, w := range st.workloads {
		token, err := readToken(w.Environment.TokenFile)
		if err != nil { // what cannot be read is no token, as what is not there
			token = Token{}
		}
		v.Workloads[name] = WorkloadView{Namespace: w.Namespace, ServiceAccount: w.ServiceAccount, ClientID: w.ClientID, Token: token}
	}
	return v
}

// expect evaluates every condition of the step, so that all that fail are seen.
func (st *stage) expect(ctx context.Context, s *Step) {
	now := st.view()
	for i := range s.Expect {
		e := &s.Expect[i]
		st.outcome.Expectations++
		ok, values, err := e.program.holds(ctx, now)
		if ok {
			continue
		}
		f := Failure{File: st.scenario.file, Line: e.line, Message: "expectation failed", Expression: e.Source, Values: values}
		if err != nil {
			f.Message = "expectation cannot be evaluated: " + err.Error()
		}
		st.witness(&f, e.program, now)
		st.outcome.Failures = append(st.outcome.Failures, f)
	}
}

// fail reports a step that could not be done.
func (st *stage) fail(s *Step, err error) {
	name := s.Name
	for _, v := range verbs {
		if name == "" && v.given(s) {
			name = v.name
		}
	}
	f := Failure{File: st.scenario.file, Line: s.line, Message: fmt.Sprintf("step %s: %v", name, err)}
	st.explain(&f, st.lab.Journal().Events())
	st.outcome.Failures = append(st.outcome.Failures, f)
}

// escapes fails a scenario whose programs tried to reach the outside world.
func (st *stage) escapes() {
	if st.scenario.AllowEscapes {
		return
	}
	all := st.lab.Journal().Events()
	escaped := slices.DeleteFunc(slices.Clone(all), func(e journal.Event) bool { return e.Kind != journal.Escape })
	if len(escaped) == 0 {
		return
	}
	f := Failure{
		File:    st.scenario.file,
		Message: fmt.Sprintf("a program tried to reach %s, which is not emulated; allow it with allowEscapes: true", escaped[0].Host),
	}
	st.explain(&f, escaped)
	st.outcome.Failures = append(st.outcome.Failures, f)
}
