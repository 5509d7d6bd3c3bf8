package scenarios

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness/process"
	"github.com/wiemu/wiemu/harness/timeshift"
)

// What a program may use.
const (
	defaultTimeout = 30 * time.Second // wall time
	grace          = time.Second      // wall time, between being asked to end and being killed
	maxOutput      = 1 << 20          // bytes of each stream
)

// How programs live with the lab clock.
const (
	serverOnly = "server-only"
	lockstep   = "lockstep"
)

// run starts a program and waits for its end and for the emulator's.
func (st *stage) run(ctx context.Context, r *RunStep, result *Result) error {
	timeout := cmp.Or(r.Timeout, defaultTimeout)
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := st.launch(limited, &r.ProgramStep)
	if err != nil {
		return err
	}
	st.await(limited, c)
	*result = c.sofar(*result)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return fmt.Errorf("%s took longer than %v; stdout %q, stderr %q", c.args[0], timeout, shorten(result.Stdout), shorten(result.Stderr))
	case c.err != nil:
		return fmt.Errorf("start %s: %w", c.args[0], c.err)
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
	st.record(c, fmt.Sprintf("%s was started", filepath.Base(c.args[0])), nil)
	if err := st.lab.Clock().Advance(ctx, 0); err != nil {
		return err
	}
	select {
	case <-c.done:
		if c.err != nil {
			return fmt.Errorf("start %s: %w", c.args[0], c.err)
		}
	default:
	}
	return nil
}

// stop ends a program that begin started, and waits for its end.
func (st *stage) stop(ctx context.Context, s *StopStep, result *Result) error {
	c := st.started[s.Program]
	c.end()
	st.await(ctx, c)
	*result = c.sofar(*result)
	return st.ended(ctx, c)
}

// endPrograms ends what the steps have left running.
func (st *stage) endPrograms() {
	for _, c := range st.started {
		c.end()
	}
	for _, c := range st.started {
		<-c.done
	}
}

// ended writes a program's end down, and waits for what the emulator was still
// writing down when the program got its answer.
func (st *stage) ended(ctx context.Context, c *child) error {
	if !c.recorded {
		c.recorded = true
		st.record(c, fmt.Sprintf("%s ended with exit code %d", filepath.Base(c.args[0]), c.code), map[string]string{"exitCode": strconv.Itoa(c.code)})
	}
	return st.lab.Clock().Advance(ctx, 0)
}

func (st *stage) record(c *child, summary string, detail map[string]string) {
	w := st.workloads[c.workload]
	st.lab.Journal().Record(journal.Event{
		Kind: journal.Run, Outcome: journal.OK, Workload: w.Namespace + "/" + w.ServiceAccount, ClientID: w.ClientID, Summary: summary, Detail: detail,
	})
}

// A child is a program that was started.
type child struct {
	workload       string
	args           []string
	stdout, stderr output
	shift          *timeshift.Shift // nil: it lives on the machine's clock
	end            func()           // asks it to end
	done           chan struct{}    // closed at its end; the rest is readable then
	code           int
	err            error // it was not started
	recorded       bool  // its end is in the journal
}

// launch starts a program, which ends with ctx.
func (st *stage) launch(ctx context.Context, p *ProgramStep) (*child, error) {
	c := &child{workload: p.Workload, args: p.Command, done: make(chan struct{})}
	if p.Shell != "" {
		c.args = []string{"sh", "-c", p.Shell}
	}
	if c.args[0] == Program {
		if st.runner.opts.Program == "" {
			return nil, errNoProgram
		}
		c.args = append([]string{st.runner.opts.Program}, c.args[1:]...)
	}
	env, err := st.environ(p)
	if err != nil {
		return nil, err
	}
	work := filepath.Join(st.dir, "work")
	if err := os.MkdirAll(work, 0o700); err != nil {
		return nil, fmt.Errorf("make a working directory: %w", err)
	}
	command := process.Command{Args: c.args, Dir: work, Env: env, Stdout: &c.stdout, Stderr: &c.stderr, Background: true, Grace: grace}
	if st.scenario.Clock.Mode == lockstep {
		if c.shift, err = timeshift.Start(st.lab.Clock(), timeshift.Options{}); err != nil {
			return nil, err
		}
		command.Wrappers = []process.Wrapper{c.shift}
	}
	var own context.Context
	own, c.end = context.WithCancel(ctx)
	go func() {
		defer close(c.done)
		c.code, c.err = process.Run(own, command)
		if c.shift != nil {
			c.err = errors.Join(c.shift.Close(), c.err)
		}
		if own.Err() != nil && errors.Is(c.err, own.Err()) {
			c.err = nil // it was asked to end, and did
		}
	}()
	return c, nil
}

// await waits for a program's end. In lockstep time goes by while it waits for
// time, and does not while it does anything else.
func (st *stage) await(ctx context.Context, c *child) {
	for c.shift != nil {
		moved, err := st.lab.Clock().AdvanceToNext(ctx, c.shift)
		if err != nil {
			break // ctx has ended, and the program ends with it
		}
		pause := time.Duration(0)
		if !moved {
			pause = time.Millisecond // wall time: it computes, or waits for what is not ours
		}
		select {
		case <-c.done:
			return
		case <-time.After(pause):
		}
	}
	<-c.done
}

// sofar adds what the program has written, and how it ended if it has.
func (c *child) sofar(r Result) Result {
	stdout, stderr := c.stdout.bytes(), c.stderr.bytes()
	r.Stdout, r.Stderr, r.JSON, r.Lines = string(stdout), string(stderr), decodeJSON(stdout), decodeLines(stdout)
	select {
	case <-c.done:
		r.ExitCode, r.Running = c.code, false
	default:
		r.ExitCode, r.Running = -1, true
	}
	return r
}

// environ is what a program is told: what the workload tells it, and the step.
func (st *stage) environ(r *ProgramStep) ([]string, error) {
	env := st.workloads[r.Workload].Environ(st.runner.environ)
	set := func(name, value string) {
		env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
		env = append(env, name+"="+value)
	}
	if st.runner.opts.Program != "" {
		bin, err := st.bin()
		if err != nil {
			return nil, err
		}
		path := bin
		for _, v := range env {
			if rest, ok := strings.CutPrefix(v, "PATH="); ok && rest != "" {
				path += string(os.PathListSeparator) + rest
			}
		}
		set("PATH", path)
	}
	if r.Token != "" {
		file, copied := st.copies[r.Token]
		if !copied {
			file = st.workloads[r.Token].Environment.TokenFile
		}
		set("AZURE_FEDERATED_TOKEN_FILE", file)
	}
	for name, value := range r.Env {
		set(name, value)
	}
	return env, nil
}

// bin is a directory with nothing but wiemu-workload in it, so that a shell finds
// that one and everything else where it would without us. Where links need a
// privilege (Windows) it is the program's own directory.
func (st *stage) bin() (string, error) {
	program := st.runner.opts.Program
	bin := filepath.Join(st.dir, "bin")
	switch err := os.Mkdir(bin, 0o700); {
	case errors.Is(err, fs.ErrExist):
		return bin, nil
	case err != nil:
		return "", fmt.Errorf("put %s into the path: %w", Program, err)
	}
	if os.Symlink(program, filepath.Join(bin, filepath.Base(program))) != nil {
		return filepath.Dir(program), os.Remove(bin)
	}
	return bin, nil
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
