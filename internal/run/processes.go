package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/isolation"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/resource/postgres/local"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

// Processes is the backend whose workloads are processes of this machine, with the
// emulator in this process. The zero value is ready to use.
type Processes struct {
	Keys    *keyring.Pool // signing keys; if nil, every session generates its own, which is slow
	Program string        // path of wiemu-workload. Defaults to the one beside this program, else in PATH
	Environ []string      // what programs inherit, before it is cleaned; defaults to os.Environ()

	// Chosen is called for each program, as that of Options is. If nil, it is not called.
	Chosen func(Choice)

	// Probe returns which way programs can be led here. If nil, each session finds out, once.
	Probe func() (lead.Way, error)
}

// ProbeOnce finds out which way programs can be led here when it is first asked, for
// Processes.Probe.
func ProbeOnce(ctx context.Context) func() (lead.Way, error) {
	return sync.OnceValues(func() (lead.Way, error) { return lead.Probe(context.WithoutCancel(ctx)) })
}

// Name implements backend.Backend.
func (Processes) Name() string { return "process" }

// allEvents is more events than any scenario records: its journal is read to the end.
const allEvents = 1_000_000

// Open implements backend.Backend.
func (p Processes) Open(ctx context.Context, spec backend.Spec) (_ backend.Session, err error) {
	if spec.Isolate {
		if err := isolation.Probe(ctx); err != nil {
			return nil, &backend.Unsupported{Reason: err}
		}
	}
	s := &processes{spec: spec, environ: p.Environ, chosen: p.Chosen, probe: p.Probe}
	if s.probe == nil {
		s.probe = ProbeOnce(ctx)
	}
	if spec.Network == backend.Transparent && !spec.Isolate {
		if _, err := s.probe(); err != nil {
			return nil, &backend.Unsupported{Reason: err}
		}
	}
	if s.environ == nil {
		s.environ = os.Environ()
	}
	s.program, _ = p.FindProgram() // starting it returns the error
	opts := session.Options{
		Emulator: server.Options{
			// Without a StateDir: the CA is this session's alone.
			Config: spec.Config, Options: lab.Options{ConfigFile: spec.File, Clock: clock.Stopped(spec.Start), KeepEvents: allEvents, Seed: spec.Seed},
		},
		Dir:    filepath.Join(spec.Dir, "lab"),
		Bundle: ca.BundleOptions{SystemRoots: len(spec.Config.AllowHosts) > 0},
	}
	if p.Keys != nil {
		s.keys = p.Keys.Lease()
		opts.Emulator.Keys = s.keys
	}
	s.session, err = session.Start(ctx, opts)
	switch {
	case errors.Is(err, local.ErrMissing):
		return nil, errors.Join(&backend.Unsupported{Reason: err}, s.release())
	case err != nil:
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
			return absolute, fmt.Errorf("find %s: %w", backend.WorkloadProgram, err)
		}
		return absolute, nil
	}
	if found := process.Locate(backend.WorkloadProgram); found != "" {
		return found, nil
	}
	return "", errNoProgram
}

// errNoProgram says how to get the client.
var errNoProgram = fmt.Errorf("%s was not found beside this program nor in PATH; build it with make build or go build github.com/wiemu/wiemu/cmd/%[1]s, or name it (wiemu scenario run --workload)", backend.WorkloadProgram)

type processes struct {
	spec    backend.Spec
	environ []string
	program string // path of wiemu-workload; "": there is none
	keys    *keyring.Pool
	session *session.Session
	chosen  func(Choice)
	probe   func() (lead.Way, error)

	mu      sync.Mutex
	running []*child
	files   int // token files of programs of their own, so far
}

// Control implements backend.Session.
func (s *processes) Control() *control.Client { return s.session.Emulator().ControlClient() }

// Workload implements backend.Session.
func (s *processes) Workload(ctx context.Context, d workload.Spec) (backend.Workload, error) {
	w, err := s.session.Workload(ctx, d)
	if err != nil {
		return nil, err
	}
	return &processWorkload{s, w}, nil
}

// Close implements backend.Session.
func (s *processes) Close(ctx context.Context) error {
	s.mu.Lock()
	running := s.running
	s.mu.Unlock()
	for _, c := range running {
		c.Stop()
		if c.wrappers.shift != nil { // the scenario is over, and nobody advances its clock any more
			c.wrappers.shift.LetTimePass()
		}
	}
	for _, c := range running {
		<-c.Over
	}
	return errors.Join(s.session.Close(ctx), s.release())
}

// processWorkload is a workload whose programs are processes.
type processWorkload struct {
	in       *processes
	workload *session.Workload
}

// Token implements backend.Workload.
func (w *processWorkload) Token(context.Context) ([]byte, error) {
	content, err := os.ReadFile(w.workload.Env.TokenFile)
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

// Start implements backend.Workload. It returns before the program runs; Wait returns what
// became of it.
func (w *processWorkload) Start(ctx context.Context, p backend.Program) (backend.Process, error) {
	s := w.in
	args := slices.Clone(p.Command)
	if len(args) > 0 && args[0] == backend.WorkloadProgram {
		if s.program == "" {
			return nil, errNoProgram
		}
		args[0] = s.program
	}
	opts := Options{
		Isolate: s.spec.Isolate, Network: s.spec.Network, Chosen: s.chosen,
		Unled: func(u lead.Unled) {
			s.session.Journal().Record(unled(w.workload.Namespace+"/"+w.workload.ServiceAccount, u))
		},
		Probe: func(context.Context) (lead.Way, error) { return s.probe() },
	}
	if s.spec.Lockstep {
		opts.Clock = s.session.Clock()
	}
	var err error
	if opts.tokenFile, err = w.tokenFile(p); err != nil {
		return nil, err
	}
	work := filepath.Join(s.spec.Dir, "work")
	if err := os.MkdirAll(work, 0o700); err != nil {
		return nil, fmt.Errorf("make a working directory: %w", err)
	}
	command := process.Command{Args: args, Dir: work, Stdout: p.Stdout, Stderr: p.Stderr, Background: true, Grace: grace}
	pod := w.workload.Injected()
	command.Env = s.environ
	wrapped, inside, err := opts.wrap(ctx, &command, &pod, s.environ)
	if err != nil {
		return nil, err
	}
	command.Env = inside.Environ(s.environ)
	if opts.tokenFile != "" {
		command.Env = process.SetVariables(command.Env, "AZURE_FEDERATED_TOKEN_FILE="+inside.TokenFile)
	}
	if command.Env, err = s.environment(command.Env, p.Env); err != nil {
		return nil, errors.Join(err, wrapped.close())
	}
	c := &child{session: s.session, wrappers: wrapped, End: backend.End{Over: make(chan struct{})}}
	s.mu.Lock()
	s.running = append(s.running, c)
	s.mu.Unlock()
	c.start(ctx, command)
	return c, nil
}

// tokenFile returns the file that the program reads instead of its workload's token file,
// or "" if it reads that.
func (w *processWorkload) tokenFile(p backend.Program) (string, error) {
	switch {
	case p.Token != nil:
		return w.in.keep(p.Token)
	case p.TokenOf != nil:
		other, ok := p.TokenOf.(*processWorkload)
		if !ok {
			return "", fmt.Errorf("the token of a workload of another backend: expected one of %s", Processes{}.Name())
		}
		return other.workload.Env.TokenFile, nil
	}
	return "", nil
}

// environment adds to a program's environment the path of wiemu-workload, and what the
// program is given.
func (s *processes) environment(env []string, given map[string]string) ([]string, error) {
	if s.program != "" {
		bin, err := s.bin()
		if err != nil {
			return nil, err
		}
		if rest := process.Variable(env, "PATH"); rest != "" {
			bin += string(os.PathListSeparator) + rest
		}
		env = process.SetVariables(env, "PATH="+bin)
	}
	for name, v := range given {
		env = process.SetVariables(env, name+"="+v)
	}
	return env, nil
}

// keep writes a token file that is not refreshed.
func (s *processes) keep(token []byte) (file string, err error) {
	s.mu.Lock()
	s.files++
	file = filepath.Join(s.spec.Dir, "copies", fmt.Sprint(s.files), azwi.TokenFile)
	s.mu.Unlock()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, token, 0o600)); err != nil {
		return "", fmt.Errorf("write the copy of a token: %w", err)
	}
	return file, nil
}

// bin returns a directory that contains only wiemu-workload, so that a shell finds that one,
// and everything else where it would without wiemu. Where links need a
// privilege (Windows) it is the program's own directory.
func (s *processes) bin() (string, error) {
	bin := filepath.Join(s.spec.Dir, "bin")
	switch err := os.Mkdir(bin, 0o700); {
	case errors.Is(err, fs.ErrExist):
		return bin, nil
	case err != nil:
		return "", fmt.Errorf("put %s into the path: %w", backend.WorkloadProgram, err)
	}
	if os.Symlink(s.program, filepath.Join(bin, filepath.Base(s.program))) != nil {
		return filepath.Dir(s.program), os.Remove(bin)
	}
	return bin, nil
}

// A child is a process that was started.
type child struct {
	backend.End
	session  *session.Session
	wrappers *wrappers
	end      context.CancelFunc
}

func (c *child) start(ctx context.Context, command process.Command) {
	own, end := context.WithCancel(ctx)
	c.end = end
	go func() {
		defer end()
		defer close(c.Over)
		c.Code, c.Err = process.Run(own, command)
		c.Err = errors.Join(c.wrappers.close(), c.Err)
		if own.Err() != nil && errors.Is(c.Err, own.Err()) {
			c.Err = nil // it was asked to end, and did
		}
		if c.Err != nil {
			c.Err = fmt.Errorf("start %s: %w", command.Args[0], c.Err)
		}
	}()
}

// Stop implements backend.Process.
func (c *child) Stop() { c.end() }

// Wait implements backend.Process. In lockstep lab time advances while the program waits for
// a time, and stands still while it does anything else.
func (c *child) Wait(ctx context.Context) (exitCode int, err error) {
	for c.wrappers.shift != nil {
		moved, err := c.session.Clock().AdvanceToNext(ctx, c.wrappers.shift)
		if err != nil {
			break // ctx has ended; the program ends with its own
		}
		pause := time.Duration(0)
		if !moved {
			pause = time.Millisecond // wall time: it computes, or waits for what is not ours
		}
		select {
		case <-c.Over:
			return c.Code, c.Err
		case <-time.After(pause):
		}
	}
	return c.End.Wait(ctx)
}
