package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/scenario/condition"
	"github.com/wiemu/wiemu/internal/scenario/report"
	"github.com/wiemu/wiemu/internal/userstate"
)

// A run is one scenario while it runs: its session in a backend, and the results of its steps.
type run struct {
	runner   *runner
	backend  backend.Backend
	scenario *Scenario
	outcome  *report.Outcome

	dir       string // of this scenario alone, removed at the end
	session   backend.Session
	control   *control.Client
	began     time.Time       // lab time at first
	now       time.Time       // lab time at the last look
	events    []journal.Event // all that was recorded until then
	workloads map[string]backend.Workload
	results   map[string]condition.Result
	copies    map[string][]byte // tokens, by the name of the copyToken step
	started   map[string]*child // programs, by the name of the start step
	faults    map[string]string // ids, by the name of the fault step
}

// execute runs the steps in a session. Failed expectations are in the outcome, not in the error.
func (r *run) execute(ctx context.Context) (err error) {
	if r.dir, err = userstate.MakeTemp(); err != nil {
		return fmt.Errorf("make the scenario's directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.dir)) }()
	if r.session, err = r.backend.Open(ctx, r.spec()); errors.As(err, new(*backend.Unsupported)) {
		return err
	} else if err != nil {
		return reason(ctx, fmt.Errorf("open the lab: %w", err))
	}
	defer func() { err = errors.Join(err, r.close(ctx)) }()
	r.control = r.session.Control()
	if err := r.look(ctx); err != nil {
		return reason(ctx, err)
	}
	r.began = r.now
	if err := r.admit(ctx); err != nil {
		return reason(ctx, err)
	}
	r.steps(ctx)
	if err := r.lookAfter(ctx); err != nil {
		return err
	}
	r.notice()
	if err := r.missed(ctx); err != nil {
		return err
	}
	r.outcome.Simulated = report.Seconds(r.now.Sub(r.began))
	r.escapes()
	return r.outcome.SetJournal(r.withEnds(), r.dir)
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

func (r *run) steps(ctx context.Context) {
	for i := range r.scenario.Steps {
		s := &r.scenario.Steps[i]
		result, err := r.step(ctx, s)
		if err != nil {
			r.fail(s, reason(ctx, err))
			return
		}
		if len(r.outcome.Failures) > 0 {
			return
		}
		if s.Name != "" {
			r.results[s.Name] = result
		}
	}
}

func (r *run) spec() backend.Spec {
	w := backend.Spec{
		Name: r.scenario.Metadata.Name, Config: r.scenario.lab, File: r.scenario.configFile, Dir: r.dir,
		Start: r.scenario.Clock.Start, Lockstep: r.scenario.Clock.Mode == lockstep, Isolate: r.scenario.Isolate, Seed: faultSeed,
		Network: cmp.Or(r.scenario.Network, r.runner.opts.Network),
	}
	if r.scenario.run > 0 { // the labs of several runs are told apart
		w.Name += fmt.Sprintf("-%d", r.scenario.run)
	}
	w.Config.Chaos = cmp.Or(w.Config.Chaos, r.runner.opts.Chaos)
	for _, a := range r.scenario.specs {
		w.Workloads = append(w.Workloads, a.Spec)
	}
	return w
}

// inContainers reports whether programs run in containers, which take time to start and to remove.
func (r *run) inContainers() bool {
	_, ok := r.backend.(backend.Containers)
	return ok
}

// Wall time.
const (
	closing    = time.Minute // to finish answers under way, and to look once more
	clearingUp = time.Minute // to remove containers and objects of a cluster besides
)

func (r *run) close(ctx context.Context) error {
	patience := closing
	if r.inContainers() {
		patience = clearingUp
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := r.session.Close(ctx); err != nil {
		return fmt.Errorf("close the lab: %w", err)
	}
	return nil
}

// look finds out what time it is, and what was recorded since the last look.
func (r *run) look(ctx context.Context) error {
	status, err := r.control.Status(ctx)
	if err != nil {
		return err
	}
	last := ""
	if n := len(r.events); n > 0 {
		last = r.events[n-1].ID
	}
	events, err := r.control.Events(ctx, last)
	if err != nil {
		return err
	}
	r.now, r.events = status.Now, append(r.events, events...)
	if observe := r.runner.opts.Observe; observe != nil && len(events) > 0 {
		observe(events)
	}
	return nil
}

// lookAfter looks though ctx may have ended.
func (r *run) lookAfter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*closing)
	defer cancel()
	return r.look(ctx)
}

func (r *run) admit(ctx context.Context) error {
	for _, a := range r.scenario.specs {
		w, err := r.session.Workload(ctx, a.Spec)
		if err != nil {
			return fmt.Errorf("workload %s: %w", a.name, err)
		}
		r.workloads[a.name] = w
	}
	return nil
}

func (r *run) step(ctx context.Context, s *Step) (result condition.Result, err error) {
	if err := ctx.Err(); err != nil {
		return condition.Result{}, err
	}
	if err := r.look(ctx); err != nil {
		return condition.Result{}, err
	}
	r.notice()
	before := len(r.events)
	result = condition.Result{Started: r.now}
	defer func() {
		err = errors.Join(err, r.lookAfter(ctx))
		result.Finished, result.Events = r.now, r.events[before:len(r.events):len(r.events)]
	}()
	v, ok := verbOf(s)
	if !ok {
		return result, errors.New("it does nothing, or several things at once")
	}
	return result, v.do(r, ctx, s, &result)
}

// view is what the conditions of a step see now.
func (r *run) view(ctx context.Context, s *Step) condition.View {
	v := condition.View{
		Results: r.results, Journal: r.events, Workloads: make(map[string]condition.Workload, len(r.workloads)),
		Clock: condition.Clock{Now: r.now, Start: r.began, Elapsed: r.now.Sub(r.began)},
	}
	if len(r.started) > 0 {
		v.Results = maps.Clone(r.results)
		for name, c := range r.started {
			result := c.sofar(r.results[name])
			result.Events = c.during(r.events)
			v.Results[name] = result
		}
	}
	tokens := slices.ContainsFunc(s.Expect, func(e Expression) bool { return e.program.UsesWorkloads() })
	for _, a := range r.scenario.specs {
		w := condition.Workload{Namespace: a.Namespace, ServiceAccount: a.ServiceAccount, ClientID: a.ClientID}
		if tokens { // to read a file may take long in a container
			w.Token = r.token(ctx, a.name)
		}
		v.Workloads[a.name] = w
	}
	return v
}

// token returns what a workload's token file holds; what cannot be read is no token.
func (r *run) token(ctx context.Context, workload string) condition.Token {
	content, err := r.workloads[workload].Token(ctx)
	if err != nil {
		return condition.Token{}
	}
	token, _ := condition.ParseToken(content)
	return token
}

// expect evaluates every condition of the step, so that all that fail are seen.
func (r *run) expect(ctx context.Context, s *Step, _ *condition.Result) error {
	now := r.view(ctx, s)
	for i := range s.Expect {
		e := &s.Expect[i]
		r.outcome.Expectations++
		ok, values, err := e.program.Holds(ctx, now)
		if ok {
			continue
		}
		f := report.Failure{File: r.scenario.file, Line: e.line, Message: "expectation failed", Expression: e.Source, Values: values}
		if err != nil {
			f.Message = "expectation cannot be evaluated: " + err.Error()
		}
		r.addEvidence(&f, e.program, now)
		r.outcome.Failures = append(r.outcome.Failures, f)
	}
	return nil
}

func (r *run) fail(s *Step, err error) {
	name := s.Name
	if v, ok := verbOf(s); ok && name == "" {
		name = v.name
	}
	f := report.Failure{File: r.scenario.file, Line: s.line, Message: fmt.Sprintf("step %s: %v", name, err)}
	r.explain(&f, r.events, nil)
	r.outcome.Failures = append(r.outcome.Failures, f)
}

// escapes fails a scenario whose programs tried to reach the outside world.
func (r *run) escapes() {
	if r.scenario.AllowEscapes {
		return
	}
	escaped := slices.DeleteFunc(slices.Clone(r.events), func(e journal.Event) bool { return e.Kind != journal.Escape })
	if len(escaped) == 0 {
		return
	}
	f := report.Failure{
		File:    r.scenario.file,
		Message: fmt.Sprintf("a program tried to reach %s, which is not emulated; allow it with allowEscapes: true", escaped[0].Host),
	}
	r.explain(&f, escaped, nil)
	r.outcome.Failures = append(r.outcome.Failures, f)
}
