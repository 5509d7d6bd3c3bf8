package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// driver runs clients.
type driver struct {
	options
	cache    *Cache
	environ  []string
	progress io.Writer

	mu       sync.Mutex // progress
	isolated func() error
	shifted  func() error
}

func newDriver(o options, progress io.Writer) (*driver, error) {
	if !exists(o.wiemu) {
		return nil, fmt.Errorf("%s is missing; make build makes it", o.wiemu)
	}
	d := &driver{options: o, progress: progress}
	// The wiemu under test first, and with it the kubectl that make kubectl builds.
	d.environ = append(os.Environ(), "PATH="+filepath.Dir(o.wiemu)+string(os.PathListSeparator)+os.Getenv("PATH"))
	d.isolated = sync.OnceValue(d.probe)
	d.shifted = sync.OnceValue(d.probeLockstep)
	var err error
	d.cache, err = openCache(o.cache, d.environ)
	return d, err
}

// say writes a line of progress.
func (d *driver) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.progress, format+"\n", args...)
}

// update pins every client to the newest version that runs here, one after the
// other: those in Go share a go.mod.
func (d *driver) update(ctx context.Context, clients []Client) error {
	for _, c := range clients {
		if strings.TrimSpace(c.Update) == "" {
			continue
		}
		if missing := d.missing(c); len(missing) > 0 {
			return fmt.Errorf("update %s: %s is missing", c.Name, strings.Join(missing, ", "))
		}
		d.say("update   %s", c.Name)
		if out, err := d.cache.bash(ctx, c, c.Dir, c.Update); err != nil {
			return fmt.Errorf("update %s: %w\n%s", c.Name, err, lastLines(out, 30))
		}
	}
	return nil
}

// all runs the clients, a few at once, and returns their results in order.
func (d *driver) all(ctx context.Context, clients []Client) []Result {
	rows := make([][]Result, len(clients))
	var group errgroup.Group
	group.SetLimit(d.jobs)
	for i, c := range clients {
		group.Go(func() error {
			rows[i] = d.one(ctx, c)
			return nil
		})
	}
	_ = group.Wait() // what failed is in the results
	return slices.Concat(rows...)
}

// one installs a client and runs it in each of its modes, and with each of its
// credentials.
func (d *driver) one(ctx context.Context, c Client) (rows []Result) {
	r := Result{Client: c.Name, Credential: c.Federated, Package: c.Package, Refusal: c.Refusal, WithoutProxy: c.WithoutProxy, Note: c.Note, Modes: map[Mode]ModeResult{}}
	dir, outcome, err := d.prepare(ctx, c, &r)
	if c.Refusal == "" {
		return d.credentials(ctx, c, r, dir, outcome, err)
	}
	for _, m := range d.modes {
		if !slices.Contains(c.Modes, m) {
			r.Modes[m] = ModeResult{Outcome: NotMeant}
			continue
		}
		result := ModeResult{Outcome: outcome}
		if err != nil {
			result.Why = err.Error()
		} else {
			result = d.mode(ctx, c, m, dir)
		}
		r.Modes[m] = result
		d.say("%-8s %-72s %-18s %-8s %5.1fs", result.Outcome, c.Name+", "+c.Federated, r.Version, m, result.Seconds)
		if result.Why != "" {
			d.say("    %s", strings.ReplaceAll(result.Why, "\n", "\n    "))
		}
	}
	return append([]Result{r}, d.credentials(ctx, c, r, dir, outcome, err)...)
}

// prepare installs the client and asks for versions. The outcome is of all its
// modes, if there is an error.
func (d *driver) prepare(ctx context.Context, c Client, r *Result) (dir string, outcome Outcome, err error) {
	if missing := d.missing(c); len(missing) > 0 {
		return "", LeftOut, fmt.Errorf("this machine has no %s", strings.Join(missing, ", "))
	}
	if c.Runtime != "" {
		out, err := d.cache.bash(ctx, c, c.Dir, c.Runtime)
		if err != nil {
			return "", Failed, fmt.Errorf("runtime: %w\n%s", err, out)
		}
		r.Runtime = strings.TrimSpace(out)
	}
	start := time.Now() // wall time, for people
	dir, before, err := d.cache.installed(ctx, c, r.Runtime)
	r.InstallSeconds = time.Since(start).Seconds()
	if err != nil {
		return "", Failed, err
	}
	if !before {
		d.say("install  %-80s %5.1fs", c.Name, r.InstallSeconds)
	}
	out, err := d.cache.bash(ctx, c, dir, c.Version)
	if err != nil {
		return "", Failed, fmt.Errorf("version: %w\n%s", err, out)
	}
	r.Version = strings.TrimPrefix(strings.TrimSpace(out), "v")
	return dir, "", nil
}

// missing are the programs that the client needs and this machine lacks. Beside
// PATH they are looked for beside wiemu, and where WIEMU_KUBECTL or its like says.
func (d *driver) missing(c Client) (programs []string) {
	for _, p := range c.Needs {
		if exists(filepath.Join(filepath.Dir(d.wiemu), p)) || exists(os.Getenv("WIEMU_"+strings.ToUpper(p))) {
			continue
		}
		if _, err := exec.LookPath(p); err != nil {
			programs = append(programs, p)
		}
	}
	return programs
}

func (d *driver) mode(ctx context.Context, c Client, m Mode, dir string) (result ModeResult) {
	if m == Isolate {
		if err := d.isolated(); err != nil {
			return ModeResult{Outcome: LeftOut, Why: err.Error()}
		}
	}
	if m == Lockstep {
		if err := d.shifted(); err != nil {
			return ModeResult{Outcome: LeftOut, Why: err.Error()}
		}
	}
	start := time.Now() // wall time, for people
	defer func() { result.Seconds = time.Since(start).Seconds() }()
	if m == Lockstep {
		if err := d.lives(ctx, c, dir); err != nil {
			return ModeResult{Outcome: Failed, Why: err.Error()}
		}
		return ModeResult{Outcome: Passed, Checked: Checked{Rotated: true}}
	}
	l, err := startLab(ctx, d.wiemu, d.environ, filepath.Join(d.root, "docs", "examples", "radixconfig.yaml"), c)
	if err != nil {
		return ModeResult{Outcome: Failed, Why: err.Error()}
	}
	checked, err := check(ctx, l, c, m, dir)
	if err = errors.Join(err, l.Close()); err != nil {
		return ModeResult{Outcome: Failed, Why: err.Error(), Checked: checked}
	}
	return ModeResult{Outcome: Passed, Checked: checked}
}

// probe tells why this machine cannot isolate.
func (d *driver) probe() error {
	dir, err := os.MkdirTemp("", "wiemu-conformance-")
	if err != nil {
		return err
	}
	cmd := exec.Command(d.wiemu, "run", "--isolate", "--namespace", "probe", "--service-account", "probe", "--", "true")
	cmd.Dir, cmd.Env = dir, slices.Concat(d.environ, []string{"WIEMU_STATE_DIR=" + dir})
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("wiemu run --isolate does not work here: %s", strings.TrimSpace(string(out))), os.RemoveAll(dir))
	}
	return os.RemoveAll(dir)
}
