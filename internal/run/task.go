package run

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/secretsstore"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

// Task is a program to run as a workload of a lab.
type Task struct {
	Command  []string // the program and its arguments
	Workload workload.Spec

	// Options say how the program runs. Their clock is the lab's if Lockstep is set, and
	// need not be given.
	Options
	Lockstep bool

	// Mounted is called before the program starts, if the workload has mounted key vaults whose
	// files are not where Radix mounts them. If nil, it is not called.
	Mounted func([]secretsstore.Volume)

	// Admitted is called when the workload is in the lab, before the program starts. If it
	// returns an error, the program is not started. If nil, the program starts at once.
	Admitted func() error
}

// Run runs a program in the session to its end; see [Program.Run] for how it starts and
// ends. The result has the events of the whole session.
func (s *Session) Run(ctx context.Context, t Task) (Result, error) {
	env, err := session.Admit(ctx, s.Emulator().ControlClient(), t.Workload, nil) // as a request, which a recorder sees
	if err != nil {
		return Result{}, err
	}
	if err := t.admitted(); err != nil {
		return Result{}, err
	}
	t.tellMounted(env)
	if t.Lockstep {
		t.Clock = s.Clock()
	}
	t.Unled = func(u lead.Unled) { s.Journal().Record(unled(t.name(), u)) }
	choice := t.noteChoice()
	t.starting = func() error {
		s.Journal().Record(t.started(*choice))
		return nil
	}
	code, err := t.program(env).Run(ctx)
	return Result{code, s.Journal().Events(), s.Emulator().Traffic(), s.Emulator().Faults().Missed(), *choice}, err
}

// Attachment is a running server's lab in which a program runs as a workload.
type Attachment struct {
	Server *control.Client
	Beside []workload.Spec // workloads that the server is to know as well; see session.Admit

	// ClockLost is called if the server ends while a program runs on its clock. If nil,
	// nothing is.
	ClockLost func()
}

// Run runs a program in the server's lab to its end; see [Program.Run] for how it starts
// and ends. The result has the events since then, those of other programs included.
func (a Attachment) Run(ctx context.Context, t Task) (Result, error) {
	before, err := a.Server.Status(ctx)
	if err != nil {
		return Result{}, err
	}
	earlier, err := a.Server.Events(ctx, "")
	if err != nil {
		return Result{}, err
	}
	env, err := session.Admit(ctx, a.Server, t.Workload, a.Beside)
	if err != nil {
		return Result{}, err
	}
	if t.Lockstep {
		remote, err := FollowClock(ctx, a.Server)
		if err != nil {
			return Result{}, err
		}
		defer func() { _ = remote.Close() }() // the lab's end of it may be gone
		t.Clock = remote
		ran := make(chan struct{})
		defer close(ran)
		go func() {
			select {
			case <-remote.Ended():
				if a.ClockLost != nil {
					a.ClockLost()
				}
			case <-ran:
			}
		}()
	}
	if err := t.admitted(); err != nil {
		return Result{}, err
	}
	t.tellMounted(env)
	var untold []error
	t.Unled = func(u lead.Unled) {
		if _, err := a.Server.Record(context.WithoutCancel(ctx), unled(t.name(), u)); err != nil {
			untold = append(untold, err)
		}
	}
	choice := t.noteChoice()
	t.starting = func() error {
		_, err := a.Server.Record(ctx, t.started(*choice))
		return err
	}
	code, err := t.program(env).Run(ctx)
	if err = errors.Join(append(untold, err)...); err != nil {
		return Result{}, err
	}
	result, err := a.result(context.WithoutCancel(ctx), code, before, earlier)
	result.Choice = *choice
	return result, err
}

// result is what came of a run; before and earlier are the lab's status and events when it
// began.
func (a Attachment) result(ctx context.Context, code int, before control.Status, earlier []journal.Event) (Result, error) {
	last := ""
	if len(earlier) > 0 {
		last = earlier[len(earlier)-1].ID
	}
	events, err := a.Server.Events(ctx, last)
	if err != nil {
		return Result{}, err
	}
	now, err := a.Server.Status(ctx)
	return Result{ExitCode: code, Events: events, Traffic: now.Traffic.Since(before.Traffic)}, err
}

// noteChoice returns where the choice will be that is made for the program.
func (t *Task) noteChoice() *Choice {
	made, tell := &Choice{}, t.Chosen
	t.Chosen = func(c Choice) {
		*made = c
		if tell != nil {
			tell(c)
		}
	}
	return made
}

func (t Task) admitted() error {
	if t.Admitted == nil {
		return nil
	}
	return t.Admitted()
}

func (t Task) tellMounted(env session.PodEnv) {
	if t.Mounted != nil && len(env.Volumes) > 0 && !t.Isolate {
		t.Mounted(env.Volumes)
	}
}

func (t Task) program(env session.PodEnv) Program {
	return Program{Command: t.Command, Pod: &env, Options: t.Options}
}

// name is the workload's, as events have it.
func (t Task) name() string { return t.Workload.Namespace + "/" + t.Workload.ServiceAccount }

// started is the event that the program was started for its workload.
func (t Task) started(c Choice) journal.Event {
	e := journal.Event{
		Kind: journal.Run, Outcome: journal.OK, Workload: t.name(),
		Summary: "started " + filepath.Base(t.Command[0]),
	}
	if c.Way != "" || t.Isolate {
		e.Detail = map[string]string{explain.DetailNetwork: explain.Led}
	}
	return e
}
