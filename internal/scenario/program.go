package scenario

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/scenario/condition"
	"github.com/wiemu/wiemu/internal/scenario/report"
	"github.com/wiemu/wiemu/internal/truncate"
	"github.com/wiemu/wiemu/internal/workload"
)

// What a program may use.
const (
	defaultTimeout = 30 * time.Second // wall time
	podTimeout     = 2 * time.Minute  // the same where a container or a pod has to start first
	maxOutput      = 1 << 20          // bytes of each stream
	maxQuoted      = 400              // bytes of each stream, in an error
)

// How programs live with the lab clock.
const (
	serverOnly = "server-only"
	lockstep   = "lockstep"
)

// runProgram starts a program and waits for its end and for the emulator's.
func (r *run) runProgram(ctx context.Context, s *Step, result *condition.Result) error {
	usual := defaultTimeout
	if r.inContainers() {
		usual = podTimeout
	}
	timeout := cmp.Or(s.Run.Timeout, usual)
	limited, cancel := limit(ctx, timeout, nil)
	defer cancel()
	c, err := r.launch(limited, &s.Run.ProgramStep)
	if err == nil {
		err = c.await(limited)
		*result = c.sofar(*result)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return fmt.Errorf("%s took longer than %v; if it is to go on running, as a server does, begin it with start: instead of run:, else give it more with timeout:; stdout %q, stderr %q", c.name, timeout, truncate.Bytes(result.Stdout, maxQuoted), truncate.Bytes(result.Stderr, maxQuoted))
	case err != nil:
		return err
	}
	return r.ended(ctx, c)
}

// start starts a program that goes on, and waits until what it does first is recorded.
func (r *run) start(ctx context.Context, s *Step, _ *condition.Result) error {
	c, err := r.launch(context.WithoutCancel(ctx), s.Start)
	if err != nil {
		return err
	}
	if r.started == nil {
		r.started = map[string]*child{}
	}
	c.step, c.before = s.Name, len(r.events)
	r.started[s.Name] = c
	if _, err := r.control.Record(ctx, c.event("was started")); err != nil {
		return err
	}
	if _, err := r.control.Settle(ctx); err != nil {
		return err
	}
	select {
	case <-c.process.Done():
		return c.await(ctx)
	default:
		return nil
	}
}

func (r *run) stop(ctx context.Context, s *Step, result *condition.Result) error {
	c := r.started[s.Stop.Program]
	c.process.Stop()
	if err := c.await(ctx); err != nil {
		return err
	}
	*result = c.sofar(*result)
	if err := r.ended(ctx, c); err != nil {
		return err
	}
	if err := r.look(ctx); err != nil {
		return err
	}
	c.over(r.now, len(r.events))
	return nil
}

// notice finds out which of the programs that start steps began have ended.
func (r *run) notice() {
	for _, c := range r.started {
		select {
		case <-c.process.Done():
			c.over(r.now, len(r.events))
		default:
		}
	}
}

// withEnds are all events, and besides the ends of programs that ended by
// themselves, without an id: when they were noticed is not the same in every run.
func (r *run) withEnds() []journal.Event {
	var ended []*child
	for _, c := range r.started {
		if c.after > 0 && !c.recorded {
			ended = append(ended, c)
		}
	}
	slices.SortFunc(ended, func(a, b *child) int { return cmp.Or(cmp.Compare(b.after, a.after), cmp.Compare(b.before, a.before)) })
	events := slices.Clone(r.events)
	for _, c := range ended { // from the last one to the first
		if code, err := c.process.Wait(context.Background()); err == nil { // it has ended
			c.code = code
			events = slices.Insert(events, c.after, c.end(c.noticed))
		}
	}
	return events
}

// ended records a program's end, once the emulator has recorded its last requests.
func (r *run) ended(ctx context.Context, c *child) error {
	if _, err := r.control.Settle(ctx); err != nil || c.recorded {
		return err
	}
	c.recorded = true
	_, err := r.control.Record(ctx, c.end(time.Time{}))
	return err
}

func (c *child) event(what string) journal.Event {
	e := journal.Event{
		Kind: journal.Run, Outcome: journal.OK, Workload: c.workload.Namespace + "/" + c.workload.ServiceAccount, ClientID: c.workload.ClientID,
		Summary: filepath.Base(c.name) + " " + what, Detail: map[string]string{},
	}
	if c.step != "" {
		e.Detail[journal.DetailProgram] = c.step
	}
	return e
}

func (c *child) end(at time.Time) journal.Event {
	e := c.event(fmt.Sprintf("ended with exit code %d", c.code))
	e.Time, e.Detail[journal.DetailExitCode] = at, strconv.Itoa(c.code)
	return e
}

type child struct {
	workload       workload.Workload
	name           string
	process        backend.Process
	stdout, stderr output
	code           int  // once await has returned without an error
	recorded       bool // its end is in the journal

	// Of one that a start step began: the step's name, how many events there were before it and
	// until its end was noticed, which is 0 while it runs, and when that was in lab time.
	step          string
	before, after int
	noticed       time.Time
}

// over notes that the program has ended, once.
func (c *child) over(now time.Time, events int) {
	if c.after == 0 {
		c.noticed, c.after = now, events
	}
}

// during are the events since the program was started, until now or its end.
func (c *child) during(events []journal.Event) []journal.Event {
	if c.after > 0 {
		events = events[:c.after]
	}
	return events[c.before:len(events):len(events)]
}

// launch starts a program, which ends with ctx.
func (r *run) launch(ctx context.Context, p *ProgramStep) (*child, error) {
	program := backend.Program{Command: p.Command, Env: p.Env}
	if p.Shell != "" {
		program.Command = []string{"sh", "-c", p.Shell}
	}
	if copied, ok := r.copies[p.Token]; ok {
		program.Token = copied
	} else if p.Token != "" {
		program.TokenOf = r.workloads[p.Token]
	}
	c := &child{workload: r.scenario.workload(p.Workload).Workload, name: program.Command[0]}
	program.Stdout, program.Stderr = &c.stdout, &c.stderr
	var err error
	c.process, err = r.workloads[p.Workload].Start(ctx, program)
	return c, err
}

// ending is how long (wall time) a program may take to end when asked to.
const ending = 30 * time.Second

// await waits for a program's end, also for that of one that ends because ctx has.
func (c *child) await(ctx context.Context) (err error) {
	c.code, err = c.process.Wait(ctx)
	if ctx.Err() != nil {
		select {
		case <-c.process.Done():
			c.code, err = c.process.Wait(context.WithoutCancel(ctx))
		case <-time.After(ending):
		}
	}
	return err
}

// sofar adds what the program has written, and how it ended if it has.
func (c *child) sofar(r condition.Result) condition.Result {
	stdout, stderr := c.stdout.bytes(), c.stderr.bytes()
	r.Stdout, r.Stderr, r.JSON, r.Lines = string(stdout), string(stderr), condition.DecodeJSON(stdout), condition.DecodeLines(stdout)
	r.ExitCode, r.Running = -1, true
	select {
	case <-c.process.Done():
		if code, err := c.process.Wait(context.Background()); err == nil { // it has ended
			r.ExitCode = code
		}
		r.Running = false
	default:
	}
	return r
}

// output keeps the beginning of what a program writes.
type output struct {
	mu   sync.Mutex
	kept bytes.Buffer // not embedded: its ReadFrom would take everything
}

func (o *output) bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.kept.Bytes())
}

// Write takes everything and keeps what fits.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if room := maxOutput - o.kept.Len(); room > 0 {
		_, _ = o.kept.Write(p[:min(room, len(p))]) // a bytes.Buffer does not fail
	}
	return len(p), nil
}

// maxEvents is how many events a failure shows.
const maxEvents = 8

// addEvidence adds what helps to understand a failed expectation: the output of the runs that it
// names and what the journal recorded during them, or else what it recorded last.
func (r *run) addEvidence(f *report.Failure, p *condition.Condition, now condition.View) {
	during, of := map[string]bool{}, map[string]bool{}
	for _, step := range p.Steps() {
		result, ok := now.Results[step]
		if !ok {
			continue
		}
		for _, e := range result.Events {
			during[e.ID] = true
		}
		if program := r.program(step); program != nil {
			w := r.scenario.workload(program.Workload).Workload
			of[w.Namespace+"/"+w.ServiceAccount], of[w.ClientID] = true, true
			f.Runs = append(f.Runs, report.RunOutput{Step: step, ExitCode: result.ExitCode, Running: result.Running, Stdout: ends(result.Stdout), Stderr: ends(result.Stderr)})
		}
	}
	// Programs that go on while others run have seen the same events.
	events := slices.DeleteFunc(slices.Clone(now.Journal), func(e journal.Event) bool { return !during[e.ID] })
	if len(events) == 0 {
		events = now.Journal
	}
	r.explain(f, events, slices.DeleteFunc(slices.Clone(events), func(e journal.Event) bool { return !of[cmp.Or(e.Workload, e.ClientID)] }))
}

// program is what the step of a name runs or starts, nil if it does neither.
func (r *run) program(name string) *ProgramStep {
	for _, s := range r.scenario.Steps {
		if s.Name == name {
			return s.program()
		}
	}
	return nil
}

// explain adds the last of the events, and why the last refusal among them was made, or the last
// grant if a run that is named had only grants. A refusal of the programs that it is about goes
// before another's. One explanation is enough for a scenario.
func (r *run) explain(f *report.Failure, events, own []journal.Event) {
	f.Events = slices.Clone(events[max(0, len(events)-maxEvents):])
	last, found := explain.Last(own)
	if !found || last.Outcome != journal.Denied && last.Outcome != journal.Failed {
		last, found = explain.Last(events)
	}
	explained := slices.ContainsFunc(r.outcome.Failures, func(f report.Failure) bool { return f.Explanation != "" })
	if !found || explained || last.Outcome == journal.Granted && len(f.Runs) == 0 {
		return
	}
	var b strings.Builder
	if explain.Write(&b, last, r.events) == nil { // a strings.Builder does not fail
		f.Explanation = b.String()
	}
}

// maxShownOutput is how much is shown of what a program printed, in bytes.
const maxShownOutput = 8000

// ends leaves out the middle of what is too long.
func ends(text string) string {
	if len(text) <= maxShownOutput {
		return text
	}
	head, tail := text[:maxShownOutput/2], text[len(text)-maxShownOutput/2:]
	if line, _, ok := strings.Cut(tail, "\n"); ok && len(line)+1 < len(tail) { // whole lines, where there are some
		tail = tail[len(line)+1:]
	}
	if i := strings.LastIndexByte(head, '\n'); i >= 0 {
		head = head[:i+1]
	}
	return strings.ToValidUTF8(head, "") + "…\n" + strings.ToValidUTF8(tail, "")
}
