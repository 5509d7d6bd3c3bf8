package harness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/emulator/trust"
	"github.com/wiemu/wiemu/harness/process"
	"github.com/wiemu/wiemu/harness/timeshift"
)

// Processes is the place in which workloads are processes of this machine, and the
// emulator is in this program. The zero value will do.
type Processes struct {
	Keys    *keyring.Pool // where signing keys come from; nil: every world makes its own, which takes long
	Program string        // path of wiemu-workload; "": beside the running program, else in PATH
	Environ []string      // what programs inherit before it is cleaned; nil: os.Environ()
}

// Name implements Place.
func (Processes) Name() string { return "process" }

// allEvents is more than the journal of a world comes to that somebody looks at to
// its end.
const allEvents = 1_000_000

// Open implements Place.
func (p Processes) Open(ctx context.Context, w World) (_ Site, err error) {
	s := &processes{world: w, environ: p.Environ}
	if s.environ == nil {
		s.environ = os.Environ()
	}
	s.program, _ = p.FindProgram() // whoever starts it is told
	opts := Options{
		Emulator: emulator.Options{
			Config: w.Config, ConfigFile: w.File, Clock: clock.Stopped(w.Start), KeepEvents: allEvents, Seed: w.Seed,
			StateDir: filepath.Join(w.Dir, "state"),
		},
		Dir:    filepath.Join(w.Dir, "lab"),
		Bundle: trust.BundleOptions{SystemRoots: len(w.Config.AllowHosts) > 0},
	}
	if p.Keys != nil {
		s.keys = p.Keys.Lease()
		opts.Emulator.Keys = s.keys
	}
	if s.lab, err = Start(ctx, opts); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return s, nil
}

// release gives the keys back.
func (s *processes) release() error {
	if s.keys == nil {
		return nil
	}
	return s.keys.Close()
}

// FindProgram is where wiemu-workload is: where it is installed, beside wiemu, or in
// PATH, unless Program says where. The error says how to get it.
func (p Processes) FindProgram() (string, error) {
	if p.Program != "" {
		absolute, err := filepath.Abs(p.Program) // programs run in directories of their own
		if err != nil {
			absolute = p.Program
		}
		if _, err := exec.LookPath(absolute); err != nil {
			return absolute, fmt.Errorf("find %s: %w", WorkloadProgram, err)
		}
		return absolute, nil
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), WorkloadProgram)
		if runtime.GOOS == "windows" {
			beside += ".exe"
		}
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	if found, err := exec.LookPath(WorkloadProgram); err == nil || errors.Is(err, exec.ErrDot) {
		if absolute, err := filepath.Abs(found); err == nil {
			return absolute, nil
		}
	}
	return "", errNoProgram
}

// errNoProgram says how to get the client.
var errNoProgram = fmt.Errorf("%s was not found beside this program nor in PATH; build it with make build or go build github.com/wiemu/wiemu/cmd/%[1]s, or name it (wiemu scenario run --workload)", WorkloadProgram)

// processes is an open world.
type processes struct {
	world   World
	environ []string
	program string // path of wiemu-workload; "": there is none
	keys    *keyring.Pool
	lab     *Lab

	mu      sync.Mutex
	running []*child
	files   int // token files of programs of their own, so far
}

// Control implements Site.
func (s *processes) Control() *control.Client { return s.lab.Emulator().Steering() }

// Workload implements Site.
func (s *processes) Workload(ctx context.Context, d Declared) (Runner, error) {
	w, err := s.lab.Workload(ctx, d.Workload, d.Identity)
	if err != nil {
		return nil, err
	}
	return &processRunner{s, w}, nil
}

// Close implements Site.
func (s *processes) Close(ctx context.Context) error {
	s.mu.Lock()
	running := s.running
	s.mu.Unlock()
	for _, c := range running {
		c.Stop()
	}
	for _, c := range running {
		<-c.done
	}
	return errors.Join(s.lab.Close(ctx), s.release())
}

// processRunner is a workload whose programs are processes.
type processRunner struct {
	site     *processes
	workload *Workload
}

// Token implements Runner.
func (r *processRunner) Token(context.Context) ([]byte, error) {
	content, err := os.ReadFile(r.workload.Environment.TokenFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the token file: %w", err)
	}
	return content, nil
}

// grace is how long a process has, on the wall clock, between being asked to end
// and being killed: as docker stop has it, for machines that are busy.
const grace = 10 * time.Second

// Start implements Runner. It returns before the program runs: what becomes of it
// is what Wait says.
func (r *processRunner) Start(ctx context.Context, p Program) (Process, error) {
	s := r.site
	args := slices.Clone(p.Command)
	if len(args) > 0 && args[0] == WorkloadProgram {
		if s.program == "" {
			return nil, errNoProgram
		}
		args[0] = s.program
	}
	env, err := r.env(p)
	if err != nil {
		return nil, err
	}
	work := filepath.Join(s.world.Dir, "work")
	if err := os.MkdirAll(work, 0o700); err != nil {
		return nil, fmt.Errorf("make a working directory: %w", err)
	}
	command := process.Command{Args: args, Dir: work, Env: env, Stdout: p.Stdout, Stderr: p.Stderr, Background: true, Grace: grace}
	c := &child{lab: s.lab, done: make(chan struct{})}
	if s.world.Lockstep {
		if c.shift, err = timeshift.Start(s.lab.Clock(), timeshift.Options{}); err != nil {
			return nil, err
		}
		command.Wrappers = []process.Wrapper{c.shift}
	}
	s.mu.Lock()
	s.running = append(s.running, c)
	s.mu.Unlock()
	c.start(ctx, command)
	return c, nil
}

// env is what a program is told: what the workload tells it, and what it is given.
func (r *processRunner) env(p Program) ([]string, error) {
	env := r.workload.Environ(r.site.environ)
	if r.site.program != "" {
		bin, err := r.site.bin()
		if err != nil {
			return nil, err
		}
		if rest := value(env, "PATH"); rest != "" {
			bin += string(os.PathListSeparator) + rest
		}
		env = set(env, "PATH="+bin)
	}
	switch {
	case p.Token != nil:
		file, err := r.site.keep(p.Token)
		if err != nil {
			return nil, err
		}
		env = set(env, "AZURE_FEDERATED_TOKEN_FILE="+file)
	case p.TokenOf != nil:
		other, ours := p.TokenOf.(*processRunner)
		if !ours {
			return nil, fmt.Errorf("the token of a workload of another place: expected one of %s", Processes{}.Name())
		}
		env = set(env, "AZURE_FEDERATED_TOKEN_FILE="+other.workload.Environment.TokenFile)
	}
	for name, v := range p.Env {
		env = set(env, name+"="+v)
	}
	return env, nil
}

// keep writes a token file that nobody refreshes.
func (s *processes) keep(token []byte) (file string, err error) {
	s.mu.Lock()
	s.files++
	file = filepath.Join(s.world.Dir, "copies", fmt.Sprint(s.files), "azure-identity-token")
	s.mu.Unlock()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, token, 0o600)); err != nil {
		return "", fmt.Errorf("write the copy of a token: %w", err)
	}
	return file, nil
}

// bin is a directory with nothing but wiemu-workload in it, so that a shell finds
// that one and everything else where it would without us. Where links need a
// privilege (Windows) it is the program's own directory.
func (s *processes) bin() (string, error) {
	bin := filepath.Join(s.world.Dir, "bin")
	switch err := os.Mkdir(bin, 0o700); {
	case errors.Is(err, fs.ErrExist):
		return bin, nil
	case err != nil:
		return "", fmt.Errorf("put %s into the path: %w", WorkloadProgram, err)
	}
	if os.Symlink(s.program, filepath.Join(bin, filepath.Base(s.program))) != nil {
		return filepath.Dir(s.program), os.Remove(bin)
	}
	return bin, nil
}

// A child is a process that was started.
type child struct {
	lab   *Lab
	shift *timeshift.Shift // nil: it lives on the machine's clock
	end   context.CancelFunc
	done  chan struct{} // closed at its end; the rest is readable then
	code  int
	err   error
}

func (c *child) start(ctx context.Context, command process.Command) {
	own, end := context.WithCancel(ctx)
	c.end = end
	go func() {
		defer end()
		defer close(c.done)
		c.code, c.err = process.Run(own, command)
		if c.shift != nil {
			c.err = errors.Join(c.shift.Close(), c.err)
		}
		if own.Err() != nil && errors.Is(c.err, own.Err()) {
			c.err = nil // it was asked to end, and did
		}
		if c.err != nil {
			c.err = fmt.Errorf("start %s: %w", command.Args[0], c.err)
		}
	}()
}

// Done implements Process.
func (c *child) Done() <-chan struct{} { return c.done }

// Stop implements Process.
func (c *child) Stop() { c.end() }

// Wait implements Process. In lockstep time goes by while the program waits for time,
// and does not while it does anything else.
func (c *child) Wait(ctx context.Context) (exitCode int, err error) {
	for c.shift != nil {
		moved, err := c.lab.Clock().AdvanceToNext(ctx, c.shift)
		if err != nil {
			break // ctx has ended; the program ends with its own
		}
		pause := time.Duration(0)
		if !moved {
			pause = time.Millisecond // wall time: it computes, or waits for what is not ours
		}
		select {
		case <-c.done:
			return c.code, c.err
		case <-time.After(pause):
		}
	}
	select {
	case <-c.done:
		return c.code, c.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}
