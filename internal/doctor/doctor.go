// Package doctor finds out what this machine permits wiemu to do, and says what to change
// where it does not. It tries things instead of reading settings: what would change this
// process is tried in child processes. It changes nothing but that the state directory and the
// cache exist afterwards.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wiemu/wiemu/internal/docker/dockercli"
)

// Status is the result of a check.
type Status string

// The results of a check.
const (
	OK      Status = "ok"
	Limited Status = "limited" // it works, but for what the finding says
	Missing Status = "missing" // what needs it does not work
)

// Finding is what a check found.
type Finding struct {
	Check    string   `json:"check"`              // its name, such as "user-namespaces"; names stay the same in later versions
	Status   Status   `json:"status"`             //
	Required bool     `json:"required,omitempty"` // without it nothing can run
	Optional bool     `json:"optional,omitempty"` // that it is missing is a choice, and nothing that is wrong with this machine
	For      string   `json:"for"`                // what needs it
	Found    string   `json:"found"`
	Remedy   string   `json:"remedy,omitempty"`  // what to change; not empty unless the status is ok
	Runtime  *Runtime `json:"runtime,omitempty"` // of a check of a runtime
}

// Runtime is what runs programs, or fetches something itself, such as node or curl.
type Runtime struct {
	Name    string     `json:"name"`
	Path    string     `json:"path"`
	Version string     `json:"version,omitempty"` // empty if it did not say
	Trust   []Variable `json:"trust"`             // the variables by which its programs trust the lab
}

// Variable is one by which programs find whom to trust.
type Variable struct {
	Name  string `json:"name"`
	Set   bool   `json:"set"`   // by the caller
	Added bool   `json:"added"` // wiemu adds to what the caller has set, instead of replacing it
}

// Report is all that was found.
type Report struct {
	Ready    bool      `json:"ready"` // programs can run
	Findings []Finding `json:"findings"`
}

// Error returns what keeps everything from running; nil if the report is ready.
func (r Report) Error() error {
	var errs []error
	for _, f := range r.Findings {
		if f.Required && f.Status == Missing {
			errs = append(errs, fmt.Errorf("nothing can run on this machine: %s: %s. %s", f.Check, f.Found, f.Remedy))
		}
	}
	return errors.Join(errs...)
}

// Observer is told of the examination as it goes on.
type Observer struct {
	Found   func(Finding)      // each finding, in the order of the report
	Waiting func(check string) // the check that is waited for, once a second
}

// patience is how long a check may take (wall time). Docker Desktop may take seconds to answer.
const patience = 20 * time.Second

// settling is how long programs take to end that are killed (wall time).
const settling = 500 * time.Millisecond

// Examine makes all checks, at the same time, and returns what they found. If ctx ends first it
// ends soon, with the error of ctx.
func Examine(ctx context.Context, m Machine, o Observer) (Report, error) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tryCalls, askDocker := m.Calls, m.Docker // for several checks, once
	calls := sync.OnceValues(func() (Calls, error) { return tryCalls(limited) })
	engine := sync.OnceValues(func() (dockercli.Engine, error) { return askDocker(limited) })
	m.Calls = func(context.Context) (Calls, error) { return calls() }
	m.Docker = func(context.Context) (dockercli.Engine, error) { return engine() }
	all := checks()
	results := make([]chan Finding, len(all))
	for i, c := range all {
		results[i] = make(chan Finding, 1)
		go func() { results[i] <- c.make(limited, m) }() // what does not heed ctx, such as a file system that hangs, goes on
	}
	var r Report
	for i, c := range all {
		f, err := c.wait(ctx, limited, results[i], o.Waiting)
		if err != nil {
			settle(results[i:])
			return r, err
		}
		if f.Found == "" { // there is nothing to say
			continue
		}
		r.Findings = append(r.Findings, f)
		o.Found(f)
	}
	r.Ready = r.Error() == nil
	return r, nil
}

// settle gives checks that heed their context a moment to end the programs that they started.
func settle(results []chan Finding) {
	over := time.After(settling)
	for _, result := range results {
		select {
		case <-result:
		case <-over:
			return
		}
	}
}

// wait returns the result of a check, or says that it did not end.
func (c check) wait(ctx, limited context.Context, result <-chan Finding, waiting func(string)) (Finding, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case f := <-result:
			if ctx.Err() != nil { // it failed because of that
				return Finding{}, context.Cause(ctx)
			}
			return f, nil
		case <-tick.C:
			waiting(c.name)
		case <-limited.Done():
			if ctx.Err() != nil {
				return Finding{}, context.Cause(ctx)
			}
			select {
			case f := <-result:
				return f, nil
			case <-time.After(settling):
			}
			f := c.finding()
			f.Status, f.Found = Missing, fmt.Sprintf("no answer within %v", patience)
			f.Remedy = "Try again when the machine is less busy, and look for a program or a file system that hangs."
			return f, nil
		}
	}
}
