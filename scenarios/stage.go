package scenarios

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/state"
)

// A stage is where one scenario is played: its site in a place, and what came of
// its steps.
type stage struct {
	runner   *runner
	place    harness.Place
	scenario *Scenario
	outcome  *Outcome

	dir       string // of this scenario alone, removed at the end
	site      harness.Site
	control   *control.Client
	start     time.Time       // lab time at first
	now       time.Time       // lab time when somebody looked last
	events    []journal.Event // all that was recorded until then
	workloads map[string]harness.Runner
	results   map[string]Result
	copies    map[string][]byte // tokens, by the name of the copyToken step
	started   map[string]*child // programs, by the name of the start step
	faults    map[string]string // ids, by the name of the fault step
}

// play opens a site, goes through the steps and cleans up. Failed expectations
// are in the outcome; the error is about the site itself.
func (st *stage) play(ctx context.Context) (err error) {
	if st.dir, err = state.MakeTemp(); err != nil {
		return fmt.Errorf("make the scenario's directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(st.dir)) }()
	if st.site, err = st.place.Open(ctx, st.world()); err != nil {
		return reason(ctx, fmt.Errorf("open the lab: %w", err))
	}
	defer func() { err = errors.Join(err, st.close(ctx)) }()
	st.control = st.site.Control()
	if err := st.look(ctx); err != nil {
		return reason(ctx, err)
	}
	st.start = st.now
	if err := st.admit(ctx); err != nil {
		return reason(ctx, err)
	}
	st.steps(ctx)
	if err := st.lookAfter(ctx); err != nil {
		return err
	}
	st.notice()
	if err := st.missed(ctx); err != nil {
		return err
	}
	st.outcome.Simulated = Seconds(st.now.Sub(st.start))
	st.escapes()
	return st.outcome.keep(st.withEnds(), st.dir)
}

// limit is a context that ends after a time of the wall clock, for a reason. It has
// no deadline that whoever gets it could see: what is under way then would tell of the
// time-out itself, in its own words, if it looks at its watch a moment earlier.
func limit(ctx context.Context, patience time.Duration, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(patience, func() { cancel(cause) })
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// reason is why ctx has ended, if it has, instead of what was under way.
func reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// steps goes through the steps until one fails.
func (st *stage) steps(ctx context.Context) {
	for i := range st.scenario.Steps {
		s := &st.scenario.Steps[i]
		result, err := st.step(ctx, s)
		if err != nil {
			st.fail(s, reason(ctx, err))
			return
		}
		if len(st.outcome.Failures) > 0 {
			return
		}
		if s.Name != "" {
			st.results[s.Name] = result
		}
	}
}

// world is what the place is told of the scenario.
func (st *stage) world() harness.World {
	w := harness.World{
		Name: st.outcome.worldName(), Config: st.configuration(), File: st.scenario.configFile, Dir: st.dir,
		Start: st.scenario.Clock.Start, Lockstep: st.scenario.Clock.Mode == lockstep, Seed: faultSeed,
	}
	for _, a := range st.scenario.actors {
		w.Workloads = append(w.Workloads, a.Declared)
	}
	return w
}

// configuration is the scenario's, with the chaos that the run wants.
func (st *stage) configuration() config.Config {
	c := st.scenario.world
	c.Chaos = cmp.Or(c.Chaos, st.runner.opts.Chaos)
	return c
}

// Wall time.
const (
	closing    = 15 * time.Second // to finish answers under way, and to look once more
	clearingUp = time.Minute      // to remove containers and objects of a cluster besides
)

func (st *stage) close(ctx context.Context) error {
	patience := closing
	if st.place.Name() != OnProcess {
		patience = clearingUp
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := st.site.Close(ctx); err != nil {
		return fmt.Errorf("close the lab: %w", err)
	}
	return nil
}

// look finds out what time it is, and what was recorded since the last look.
func (st *stage) look(ctx context.Context) error {
	status, err := st.control.Status(ctx)
	if err != nil {
		return err
	}
	last := ""
	if n := len(st.events); n > 0 {
		last = st.events[n-1].ID
	}
	events, err := st.control.Events(ctx, last)
	if err != nil {
		return err
	}
	st.now, st.events = status.Now, append(st.events, events...)
	return nil
}

// lookAfter looks though ctx may have ended.
func (st *stage) lookAfter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*closing)
	defer cancel()
	return st.look(ctx)
}

// admit lets the workloads in, in the order of the file.
func (st *stage) admit(ctx context.Context) error {
	for _, a := range st.scenario.actors {
		w, err := st.site.Workload(ctx, a.Declared)
		if err != nil {
			return fmt.Errorf("workload %s: %w", a.name, err)
		}
		st.workloads[a.name] = w
	}
	return nil
}

// step does one step and returns what came of it.
func (st *stage) step(ctx context.Context, s *Step) (result Result, err error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if err := st.look(ctx); err != nil {
		return Result{}, err
	}
	st.notice()
	before := len(st.events)
	result = Result{Started: st.now}
	defer func() {
		err = errors.Join(err, st.lookAfter(ctx))
		result.Finished, result.Events = st.now, st.events[before:len(st.events):len(st.events)]
	}()
	switch {
	case s.Run != nil:
		err = st.run(ctx, s.Run, &result)
	case s.Start != nil:
		err = st.begin(ctx, s.Name, s.Start)
	case s.Stop != nil:
		err = st.stop(ctx, s.Stop, &result)
	case s.Rotate != nil:
		err = st.onKey(&result)(st.control.Rotate(ctx, st.ring(s.Rotate)))
	case s.Publish != nil:
		err = st.onKey(&result)(st.control.Publish(ctx, st.ring(s.Publish)))
	case s.RemoveKey != nil:
		err = st.onKey(&result)(st.control.RemoveKey(ctx, st.ring(&s.RemoveKey.KeyStep), s.RemoveKey.Key))
	case s.Set != nil:
		err = st.set(ctx, s.Set)
	case s.CopyToken != nil:
		err = st.copyToken(ctx, s.Name, s.CopyToken, &result)
	case s.MoveWorkload != nil:
		err = st.moveWorkload(ctx, s.MoveWorkload)
	case s.Fault != nil:
		err = st.inject(ctx, s, &result)
	case s.ClearFault != "":
		err = st.clearFault(ctx, s.ClearFault)
	case s.Expect != nil:
		st.expect(ctx, s)
	default:
		err = st.changeTime(ctx, s)
	}
	return result, err
}

// changeTime does a step about the lab clock.
func (st *stage) changeTime(ctx context.Context, s *Step) (err error) {
	switch {
	case s.Advance != nil:
		_, err = st.control.Advance(ctx, s.Advance.String())
	case s.SetClock != nil:
		_, err = st.control.Set(ctx, s.SetClock.Format(time.RFC3339Nano))
	case s.Freeze:
		_, err = st.control.Freeze(ctx)
	case s.Speed != nil:
		_, err = st.control.SetSpeed(ctx, *s.Speed)
	case s.Skew != nil:
		_, err = st.control.Skew(ctx, s.Skew.Part, s.Skew.By.String())
	}
	return err
}

// view is what the conditions of a step see now.
func (st *stage) view(ctx context.Context, s *Step) view {
	v := view{
		Results: st.results, Journal: st.events, Workloads: make(map[string]WorkloadView, len(st.workloads)),
		Clock: ClockView{Now: st.now, Start: st.start, Elapsed: st.now.Sub(st.start)},
	}
	if len(st.started) > 0 {
		v.Results = maps.Clone(st.results)
		for name, c := range st.started {
			r := c.sofar(st.results[name])
			r.Events = c.during(st.events)
			v.Results[name] = r
		}
	}
	tokens := slices.ContainsFunc(s.Expect, func(e Expression) bool { return len(e.program.references("workloads")) > 0 })
	for _, a := range st.scenario.actors {
		w := WorkloadView{Namespace: a.Workload.Namespace, ServiceAccount: a.Workload.ServiceAccount, ClientID: a.Workload.ClientID}
		if tokens { // to read a file may take long in some places
			w.Token = st.token(ctx, a.name)
		}
		v.Workloads[a.name] = w
	}
	return v
}

// token is what a workload's token file holds. What cannot be read is no token,
// as what is not there.
func (st *stage) token(ctx context.Context, workload string) Token {
	content, err := st.workloads[workload].Token(ctx)
	if err != nil {
		return Token{}
	}
	token, err := parseToken(content)
	if err != nil {
		return Token{}
	}
	return token
}

// expect evaluates every condition of the step, so that all that fail are seen.
func (st *stage) expect(ctx context.Context, s *Step) {
	now := st.view(ctx, s)
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
	st.explain(&f, st.events, nil)
	st.outcome.Failures = append(st.outcome.Failures, f)
}

// escapes fails a scenario whose programs tried to reach the outside world.
func (st *stage) escapes() {
	if st.scenario.AllowEscapes {
		return
	}
	escaped := slices.DeleteFunc(slices.Clone(st.events), func(e journal.Event) bool { return e.Kind != journal.Escape })
	if len(escaped) == 0 {
		return
	}
	f := Failure{
		File:    st.scenario.file,
		Message: fmt.Sprintf("a program tried to reach %s, which is not emulated; allow it with allowEscapes: true", escaped[0].Host),
	}
	st.explain(&f, escaped, nil)
	st.outcome.Failures = append(st.outcome.Failures, f)
}
