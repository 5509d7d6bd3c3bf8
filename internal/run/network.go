package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/lead/handover"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/session"
)

// Choice is how the connections of a program reach the lab.
type Choice struct {
	Way    lead.Way // if not empty, they are led there: see package lead
	Reason error    // why they are not, if it was left to wiemu
}

// NotLedError says why a program is not led to the lab, although that was asked for.
type NotLedError struct{ Reason error }

// Error returns the reason.
func (e *NotLedError) Error() string { return e.Reason.Error() }

// Unwrap returns the reason.
func (e *NotLedError) Unwrap() error { return e.Reason }

// errNoLeading is why no program of a lab is led.
var errNoLeading = errors.New("the lab has no socket for programs that are led to it: its server is an older wiemu, or does not run on Linux")

type leading struct {
	options lead.Options
	way     lead.Way
}

// network is how the program's connections reach the lab.
func (o Options) network() backend.Network { return cmp.Or(o.Network, backend.DefaultNetwork()) }

// leading returns what leads the command's connections to the lab; nil if they go by the
// proxy. base is what the program inherits.
func (o Options) leading(ctx context.Context, c *process.Command, env session.PodEnv, base []string) (*leading, Choice, error) {
	if o.network() == backend.ByProxy {
		return nil, Choice{}, nil
	}
	l, err := o.permitted(ctx, c, env, base)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, Choice{}, fmt.Errorf("%w: %w", ErrInterrupted, ctx.Err())
	case err != nil && o.network() == backend.Transparent:
		return nil, Choice{}, &NotLedError{err}
	case err != nil:
		return nil, Choice{Reason: err}, nil //nolint:nilerr // the proxy takes its place
	}
	return l, Choice{Way: l.way}, nil
}

// ProbeAhead begins to find out which way programs can be led here, for Options.Probe.
func ProbeAhead(ctx context.Context) func(context.Context) (lead.Way, error) {
	var way lead.Way
	var err error
	found := make(chan struct{})
	go func() { // ends with ctx at the latest
		defer close(found)
		way, err = lead.Probe(ctx)
	}()
	return func(ctx context.Context) (lead.Way, error) {
		select {
		case <-found:
			return way, err
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func (o Options) chosen(c Choice) {
	if o.Chosen != nil && (c.Way != "" || c.Reason != nil) {
		o.Chosen(c)
	}
}

// permitted returns what leads the command. The error says why it cannot be led.
func (o Options) permitted(ctx context.Context, c *process.Command, env session.PodEnv, base []string) (*leading, error) {
	if env.Leading == nil {
		return nil, errNoLeading
	}
	lab, err := handover.Dial(env.Leading.Handover) // it may be another user's, or of another network namespace
	if err != nil {
		return nil, err
	}
	_ = lab.Close() // only whether it is there
	named := *c
	named.Env = env.Environ(base)
	if path, err := process.Find(named); err == nil { // else starting it says why
		if err := lead.Suits(path); err != nil {
			return nil, err
		}
	}
	probe := o.Probe
	if probe == nil {
		probe = lead.Probe
	}
	way, err := probe(ctx)
	if err != nil {
		return nil, err
	}
	literals, err := env.Literals()
	if err != nil {
		return nil, err
	}
	return &leading{lead.Options{Names: env.Leading.Hosts, Literals: literals, Handover: env.Leading.Handover}, way}, nil
}

func isUnled(e journal.Event) bool {
	return e.Kind == journal.Run && e.Outcome == journal.Failed && e.Program != nil
}

// unled is the event that a program of a workload was not led to the lab.
func unled(workload string, u lead.Unled) journal.Event {
	name := cmp.Or(u.Name, u.Executable, "a program")
	if u.Executable != "" && u.Executable != name {
		name += " (" + u.Executable + ")"
	}
	return journal.Event{
		Kind: journal.Run, Outcome: journal.Failed, Workload: workload,
		Program: &journal.Program{PID: u.PID, Executable: u.Executable, Name: u.Name},
		Summary: fmt.Sprintf("cannot lead %s: %s", name, u.Reason),
		Meaning: "Its connections were not led to the lab: it reached the real hosts, and wiemu did not see its requests.",
		Remedy:  "Run it with --network proxy, if it heeds HTTPS_PROXY, or with --isolate.",
	}
}
