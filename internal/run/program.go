// Package run runs programs as workloads of a lab: processes of this machine, with the
// environment of their pod, and if wanted on the lab clock (lockstep) and in namespaces
// of their own (isolation). wiemu run, scenarios and Go tests share it: [Session.Run] is
// wiemu run with a lab of its own, [Attachment.Run] is wiemu run in a running server's,
// [Program] is a program in the foreground, and [Processes] is the backend of scenarios.
package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/isolation"
	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/timeshift"
	"github.com/wiemu/wiemu/internal/userstate"
)

// Program is a program that runs in the foreground, with the files and signals of this
// process.
type Program struct {
	Command []string // the program and its arguments

	// Pod is the environment of the workload that the program runs as. If nil, the
	// program inherits this process's environment unchanged.
	Pod *session.PodEnv

	Options
}

// Options say how a program runs. The zero value is a program on the machine's clock that
// is not isolated.
type Options struct {
	Clock timeshift.Source  // if nil, the program runs on the machine's clock
	Shift timeshift.Options // with Clock

	// Explain receives the report on what was done to the program's clock. If nil, there
	// is no report.
	Explain func(timeshift.Report)

	Isolate bool                    // run in namespaces of its own; needs a Pod (Linux)
	Publish []isolation.Publication // with Isolate: ports of the program that can be reached from outside

	// Network says how the program's connections reach the lab, unless it is isolated or has no
	// Pod. Defaults to what backend.DefaultNetwork returns.
	Network backend.Network

	// Chosen is called before the program starts, if Network left the choice to wiemu or asked
	// for what was done. If nil, it is not called.
	Chosen func(Choice)

	// Unled is called, when the program has ended, for each program that could not be led. If
	// nil, it is not called.
	Unled func(lead.Unled)

	// Probe returns which way programs can be led here. Defaults to lead.Probe.
	Probe func(context.Context) (lead.Way, error)

	starting func() error // called just before the program starts; if nil, nothing is

	tokenFile string // if not empty, what the program reads instead of its workload's token file
}

// ErrNoIsolatedProxy means that the lab has no proxy for isolated programs, because its
// server is an older wiemu.
var ErrNoIsolatedProxy = errors.New("the lab has no proxy for isolated programs")

// ErrLedAlready means that this process is itself a program whose connections are led to a lab,
// which those from another network namespace are not: the lab would not be reached.
var ErrLedAlready = errors.New("this is inside of a wiemu run that leads connections to its lab, from which an isolated application is cut off; start the outer one with --network proxy")

// ErrInterrupted means that the context of a program ended before it was started.
var ErrInterrupted = errors.New("interrupted before the program started")

// Run runs the program to its end and returns its exit code. Signals are the program's
// (see process.Run), so the end of ctx does not end it; if ctx has ended before, the
// program is not started, and the error is ErrInterrupted. A program that could not be
// started is a *process.Error.
func (p Program) Run(ctx context.Context) (exitCode int, err error) {
	if err := ctx.Err(); err != nil {
		return process.Failed, fmt.Errorf("%w: %w", ErrInterrupted, err)
	}
	c := process.Command{Args: p.Command, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	c.Env = os.Environ()
	w, pod, err := p.wrap(ctx, &c, p.Pod, c.Env)
	if err != nil {
		return process.Failed, err
	}
	if pod != nil {
		c.Env = pod.Environ(c.Env)
	}
	if p.starting != nil {
		if err := p.starting(); err != nil {
			return process.Failed, errors.Join(err, w.close())
		}
	}
	exitCode, err = process.Run(context.WithoutCancel(ctx), c)
	if why := w.close(); why != nil { // says more than the exit code of what did not start
		if unexecuted := (*process.NotExecuted)(nil); errors.As(why, &unexecuted) {
			return unexecuted.Explain(c)
		}
		return process.Failed, why
	}
	return exitCode, err
}

// wrappers are what a command is started through. Close them when it has ended.
type wrappers struct {
	shift     *timeshift.Shift // nil: the machine's clock
	explain   func(timeshift.Report)
	isolation *isolation.Isolation // nil: not isolated
	dir       string               // of the isolation
	leading   *lead.Lead           // nil: not led
	unled     func(lead.Unled)
}

// wrap has the command start on the clock, in namespaces and led to the lab, as the options
// say. It returns the pod's environment as the program sees it. base is what the program
// inherits.
func (o Options) wrap(ctx context.Context, c *process.Command, pod *session.PodEnv, base []string) (w *wrappers, inside *session.PodEnv, err error) {
	w = &wrappers{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
		w.explain, w.unled = o.Explain, o.Unled
	}()
	var env session.PodEnv
	var led *leading
	var choice Choice
	if pod != nil {
		if env = *pod; o.tokenFile != "" {
			env.TokenFile = o.tokenFile
		}
		inside = &env
		if !o.Isolate {
			if led, choice, err = o.leading(ctx, c, env, base); err != nil {
				return w, nil, err
			}
		}
	}
	err = w.start(c, led, o)
	switch {
	case err != nil && led != nil && o.network() == backend.Auto:
		choice = Choice{Reason: err}
		err = w.start(c, nil, o)
	case err != nil && led != nil:
		err = &NotLedError{err}
	}
	if err != nil {
		return w, nil, err
	}
	if choice.Way != "" {
		env = env.Led(choice.Way == lead.Rewrite) // then what has a resolver of its own may heed the proxy
	}
	o.chosen(choice)
	if pod != nil && o.Isolate {
		if env, err = w.isolate(env, o); err != nil {
			return w, nil, err
		}
		c.Wrappers = append(c.Wrappers, w.isolation)
	}
	return w, inside, nil
}

// start starts what the command is started through on the clock, and led. One process does
// both, since a program has one supervisor.
func (w *wrappers) start(c *process.Command, led *leading, o Options) (err error) {
	switch {
	case o.Clock != nil:
		shift := o.Shift
		if led != nil {
			shift.Lead = &led.options
		}
		if w.shift, err = timeshift.Start(o.Clock, shift); err != nil {
			return err
		}
		c.Wrappers = append(c.Wrappers, w.shift)
	case led != nil:
		if w.leading, err = lead.Start(led.options); err != nil {
			return err
		}
		c.Wrappers = append(c.Wrappers, w.leading)
	}
	return nil
}

// isolate prepares namespaces for a program with the environment, and returns the
// environment as it is inside.
func (w *wrappers) isolate(env session.PodEnv, o Options) (inside session.PodEnv, err error) {
	if env.IsolatedProxy == "" {
		return env, ErrNoIsolatedProxy
	}
	if lead.IsLed() {
		return env, ErrLedAlready
	}
	if w.dir, err = userstate.MakeTemp(); err != nil {
		return env, fmt.Errorf("make a directory for the isolated application: %w", err)
	}
	if env.HidesTokenFile() && o.tokenFile == "" { // then the pod has no token volume either
		env.TokenFile = filepath.Join(w.dir, "none", azwi.TokenFile)
		if err := os.Mkdir(filepath.Dir(env.TokenFile), 0o755); err != nil {
			return env, fmt.Errorf("make a directory for the isolated application: %w", err)
		}
	}
	volumes := map[string]string{}
	for _, v := range env.Volumes {
		volumes[v.Path] = v.Dir
	}
	opts := isolation.Options{
		Volumes: volumes,
		Dir:     w.dir, Tokens: filepath.Dir(env.TokenFile), TokenFile: filepath.Base(env.TokenFile),
		Roots: env.Bundle.Roots, Proxy: env.IsolatedProxy, Ports: env.OpenPorts, Forwards: env.Relays(), Publish: o.Publish, LabClock: o.Clock != nil,
	}
	if w.isolation, err = isolation.Start(opts); err != nil {
		return env, err
	}
	return env.Inside(opts.TokenPath()), nil
}

// close ends what the command was started through and returns what kept it from starting,
// if something did.
func (w *wrappers) close() error {
	var errs []error
	if w.isolation != nil {
		errs = append(errs, w.isolation.Close())
	}
	if w.dir != "" {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	var report lead.Report
	if w.leading != nil {
		errs = append(errs, w.leading.Close())
		report = w.leading.Report()
	}
	if w.shift != nil {
		err := w.shift.Close()
		errs = append(errs, err)
		if err == nil && w.explain != nil {
			w.explain(w.shift.Report())
		}
		report = w.shift.Led()
	}
	for _, u := range report.Unled {
		if w.unled != nil {
			w.unled(u)
		}
	}
	return errors.Join(errs...)
}

// FollowClock returns the clock of the running lab that the client controls, for programs
// of this process to run on. Close it.
func FollowClock(ctx context.Context, c *control.Client) (*timeshift.Remote, error) {
	conn, err := c.FollowClock(ctx)
	if err != nil {
		return nil, err
	}
	return timeshift.Connect(conn)
}
