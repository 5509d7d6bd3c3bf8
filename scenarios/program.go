package scenarios

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
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
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := st.launch(limited, &r.ProgramStep)
	if err != nil {
		return err
	}
	err = c.await(limited)
	*result = c.sofar(*result)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return fmt.Errorf("%s took longer than %v; stdout %q, stderr %q", c.name, timeout, shorten(result.Stdout), shorten(result.Stderr))
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
	st.started[name] = c
	if err := st.record(ctx, c, fmt.Sprintf("%s was started", filepath.Base(c.name)), nil); err != nil {
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
	return st.ended(ctx, c)
}

// ended writes a program's end down, and waits for what the emulator was still
// writing down when the program got its answer.
func (st *stage) ended(ctx context.Context, c *child) error {
	if !c.recorded {
		c.recorded = true
		summary, code := fmt.Sprintf("%s ended with exit code %d", filepath.Base(c.name), c.code), strconv.Itoa(c.code)
		if err := st.record(ctx, c, summary, map[string]string{"exitCode": code}); err != nil {
			return err
		}
	}
	_, err := st.control.Settle(ctx)
	return err
}

func (st *stage) record(ctx context.Context, c *child, summary string, detail map[string]string) error {
	w := c.workload
	_, err := st.control.Record(ctx, journal.Event{
		Kind: journal.Run, Outcome: journal.OK, Workload: w.Namespace + "/" + w.ServiceAccount, ClientID: w.ClientID, Summary: summary, Detail: detail,
	})
	return err
}

// A child is a program that was started.
type child struct {
	workload       workload.Workload
	name           string
	process        harness.Process
	stdout, stderr output
	code           int  // once await has returned without an error
	recorded       bool // its end is in the journal
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
const ending = 10 * time.Second

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
