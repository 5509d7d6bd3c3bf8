package scenarios

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/workload"
)

// What a program may use.
const (
	defaultTimeout = 30 * time.Second // wall time
	podTimeout     = 2 * time.Minute  // the same where a container or a pod has to start first
	maxOutput      = 1 << 20          // bytes of each stream
)

// How programs live with the lab clock.
const (
	serverOnly = "server-only"
	lockstep   = "lockstep"
)

// run starts a program and waits for its end and for the emulator's.
func (st *stage) run(ctx context.Context, r *RunStep, result *Result) error {
	usual := defaultTimeout
	if st.place.Name() != OnProcess {
		usual = podTimeout
	}
	timeout := cmp.Or(r.Timeout, usual)
	limited, cancel := limit(ctx, timeout, nil)
	defer cancel()
	c, err := st.launch(limited, &r.ProgramStep)
	if err == nil {
		err = c.await(limited)
		*result = c.sofar(*result)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return fmt.Errorf("%s took longer than %v; if it is to go on running, as a server does, begin it with start: instead of run:, else give it more with timeout:; stdout %q, stderr %q", c.name, timeout, shorten(result.Stdout), shorten(result.Stderr))
	case err != nil:
		return err
	}
	return st.ended(ctx, c)
}

// begin starts a program that later steps find running, and lets it do what it
// does first.
func (st *stage) begin(ctx context.Context, name string, p *ProgramStep) error {
	c, err := st.launch(context.WithoutCancel(ctx), p)
	if err != nil {
		return err
	}
	if st.started == nil {
		st.started = map[string]*child{}
	}
	c.step, c.before = name, len(st.events)
	st.started[name] = c
	if _, err := st.control.Record(ctx, c.event("was started")); err != nil {
		return err
	}
	if _, err := st.control.Settle(ctx); err != nil {
		return err
	}
	select {
	case <-c.process.Done():
		return c.await(ctx)
	default:
		return nil
	}
}

// stop ends a program that begin started, and waits for its end.
func (st *stage) stop(ctx context.Context, s *StopStep, result *Result) error {
	c := st.started[s.Program]
	c.process.Stop()
	if err := c.await(ctx); err != nil {
		return err
	}
	*result = c.sofar(*result)
	if err := st.ended(ctx, c); err != nil {
		return err
	}
	if err := st.look(ctx); err != nil {
		return err
	}
	c.over(st.now, len(st.events))
	return nil
}

// notice finds out which of the programs that start steps began have ended.
func (st *stage) notice() {
	for _, c := range st.started {
		select {
		case <-c.process.Done():
			c.over(st.now, len(st.events))
		default:
		}
	}
}

// withEnds are all events, and besides the ends of programs that ended by
// themselves, without an id: when they were noticed is not the same in every run.
func (st *stage) withEnds() []journal.Event {
	var ended []*child
	for _, c := range st.started {
		if c.after > 0 && !c.recorded {
			ended = append(ended, c)
		}
	}
	slices.SortFunc(ended, func(a, b *child) int { return cmp.Or(cmp.Compare(b.after, a.after), cmp.Compare(b.before, a.before)) })
	events := slices.Clone(st.events)
	for _, c := range ended { // from the last one to the first
		if code, err := c.process.Wait(context.Background()); err == nil { // it has ended
			c.code = code
			events = slices.Insert(events, c.after, c.end(c.noticed))
		}
	}
	return events
}

// ended writes a program's end down, and waits for what the emulator was still
// writing down when the program got its answer.
func (st *stage) ended(ctx context.Context, c *child) error {
	if !c.recorded {
		c.recorded = true
		if _, err := st.control.Record(ctx, c.end(time.Time{})); err != nil {
			return err
		}
	}
	_, err := st.control.Settle(ctx)
	return err
}

// event is what the journal says of the program.
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

// end is the event of the program's end.
func (c *child) end(at time.Time) journal.Event {
	e := c.event(fmt.Sprintf("ended with exit code %d", c.code))
	e.Time, e.Detail[journal.DetailExitCode] = at, strconv.Itoa(c.code)
	return e
}

// A child is a program that was started.
type child struct {
	workload       workload.Workload
	name           string
	process        harness.Process
	stdout, stderr output
	code           int  // once await has returned without an error
	recorded       bool // its end is in the journal

	// Of one that a start step began: the step's name, how many events there were
	// before it and until its end was noticed, which is 0 while it runs, and when
	// that was in lab time.
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
func (st *stage) launch(ctx context.Context, p *ProgramStep) (*child, error) {
	program := harness.Program{Command: p.Command, Env: p.Env}
	if p.Shell != "" {
		program.Command = []string{"sh", "-c", p.Shell}
	}
	if copied, is := st.copies[p.Token]; is {
		program.Token = copied
	} else if p.Token != "" {
		program.TokenOf = st.workloads[p.Token]
	}
	c := &child{workload: st.actor(p.Workload).Workload, name: program.Command[0]}
	program.Stdout, program.Stderr = &c.stdout, &c.stderr
	var err error
	c.process, err = st.workloads[p.Workload].Start(ctx, program)
	return c, err
}

// ending is how long a program that was asked to end may take for it, on the wall
// clock, before it is left alone.
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
func (c *child) sofar(r Result) Result {
	stdout, stderr := c.stdout.bytes(), c.stderr.bytes()
	r.Stdout, r.Stderr, r.JSON, r.Lines = string(stdout), string(stderr), decodeJSON(stdout), decodeLines(stdout)
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

// decodeJSON reads an object or a list, with whole numbers as such; nil for
// anything else.
func decodeJSON(text []byte) any {
	if text = bytes.TrimSpace(text); len(text) == 0 || text[0] != '{' && text[0] != '[' {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	if decoder.Decode(&v) != nil || decoder.More() {
		return nil
	}
	return wholeNumbers(v)
}

// decodeLines reads an object or a list a line; nil if there is a line of anything
// else, but for a last one that is not finished yet.
func decodeLines(text []byte) []any {
	lines := bytes.SplitAfter(text, []byte("\n"))
	var values []any
	for i, line := range lines {
		v := decodeJSON(line)
		if v == nil && i == len(lines)-1 {
			break
		}
		if v == nil {
			return nil
		}
		values = append(values, v)
	}
	return values
}

func wholeNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, element := range v {
			v[key] = wholeNumbers(element)
		}
	case []any:
		for i, element := range v {
			v[i] = wholeNumbers(element)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return math.Inf(1)
	}
	return v
}
