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
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness/process"
)

// What a program may use.
const (
	defaultTimeout = 30 * time.Second // wall time
	grace          = time.Second      // wall time, between being asked to end and being killed
	maxOutput      = 1 << 20          // bytes of each stream
)

// run starts a program and waits for its end and for the emulator's.
func (st *stage) run(ctx context.Context, r *RunStep, result *Result) error {
	timeout := cmp.Or(r.Timeout, defaultTimeout)
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	args := r.Command
	if r.Shell != "" {
		args = []string{"sh", "-c", r.Shell}
	}
	if args[0] == Program {
		if st.runner.opts.Program == "" {
			return errNoProgram
		}
		args = append([]string{st.runner.opts.Program}, args[1:]...)
	}
	stdout, stderr := &output{}, &output{}
	env, err := st.environ(r)
	if err != nil {
		return err
	}
	work := filepath.Join(st.dir, "work")
	if err := os.MkdirAll(work, 0o700); err != nil {
		return fmt.Errorf("make a working directory: %w", err)
	}
	code, err := process.Run(limited, process.Command{
		Args: args, Dir: work, Env: env, Stdout: stdout, Stderr: stderr, Background: true, Grace: grace,
	})
	*result = Result{Started: result.Started, ExitCode: code, Stdout: stdout.kept.String(), Stderr: stderr.kept.String()}
	result.JSON, result.Lines = decodeJSON(stdout.kept.Bytes()), decodeLines(stdout.kept.Bytes())
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return fmt.Errorf("%s took longer than %v; stdout %q, stderr %q", args[0], timeout, shorten(result.Stdout), shorten(result.Stderr))
	case err != nil:
		return fmt.Errorf("start %s: %w", args[0], err)
	}
	w := st.workloads[r.Workload]
	st.lab.Journal().Record(journal.Event{
		Kind: journal.Run, Outcome: journal.OK, Workload: w.Namespace + "/" + w.ServiceAccount, ClientID: w.ClientID,
		Summary: fmt.Sprintf("%s ended with exit code %d", filepath.Base(args[0]), code), Detail: map[string]string{"exitCode": strconv.Itoa(code)},
	})
	// What the emulator was still writing down when the program got its answer.
	return st.lab.Clock().Advance(ctx, 0)
}

// environ is what a program is told: what the workload tells it, and the step.
func (st *stage) environ(r *RunStep) ([]string, error) {
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
	kept bytes.Buffer // not embedded: its ReadFrom would take everything
}

// Write takes everything and keeps what fits.
func (o *output) Write(p []byte) (int, error) {
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
