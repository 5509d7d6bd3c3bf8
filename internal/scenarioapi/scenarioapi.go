// Package scenarioapi adds scenarios to the control API of a server: it lists them, runs one
// in a lab of its own, tells how the run goes, and drafts one of what happened in the server's
// session. What they are is package scenario's.
package scenarioapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/entra/aadsts"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/scenario"
	"github.com/wiemu/wiemu/internal/scenario/report"
)

// Options say how scenarios are run.
type Options struct {
	KeyDir  string // of keys generated ahead; if empty, they are generated in memory
	Program string // path of wiemu-workload; see scenario.Options
}

// Library is a list of scenarios with the runs of them. It is safe for concurrent use.
type Library struct {
	load   func() ([]scenario.Scenario, error) // reads them once
	opts   Options
	ctx    context.Context // of the runs
	cancel func()
	going  sync.WaitGroup

	mu       sync.Mutex
	keys     *keyring.Pool // opened by the first run
	runs     []*run        // oldest first
	last     int           // number of the newest run
	recorded Recorded      // the session; nil if it is not recorded
}

// New returns the library of the scenarios that load returns; it is called when they are first
// asked for. Their runs end with ctx, or when the library is closed.
func New(ctx context.Context, load func() ([]scenario.Scenario, error), opts Options) *Library {
	l := &Library{load: sync.OnceValues(load), opts: opts}
	l.ctx, l.cancel = context.WithCancel(ctx)
	return l
}

// Close interrupts the runs and waits until their labs are closed.
func (l *Library) Close() error {
	l.mu.Lock()
	l.cancel() // so that no run begins any more
	l.mu.Unlock()
	l.going.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		return nil
	}
	return l.keys.Close()
}

// Paths of the API.
const (
	ListPath = "/v1/scenarios"
	RunPath  = "/v1/scenarios/{name}/run"
	ShowPath = "/v1/scenario-runs/{id}"
)

// Handle adds the library to a control API.
func (l *Library) Handle(s *controlapi.Server) {
	s.Handle(http.MethodGet, ListPath, l.all)
	s.Handle(http.MethodPost, RunPath, l.begin)
	s.Handle(http.MethodGet, ShowPath, l.show)
	s.Handle(http.MethodGet, SavePath, l.save)
}

// Listed is a scenario of the library.
type Listed struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"` // the symptom
	Cause       string   `json:"cause,omitempty"`
	Links       []string `json:"links,omitempty"`
	Codes       []int    `json:"codes,omitempty"`       // AADSTS codes that are seen in it
	Unsupported string   `json:"unsupported,omitempty"` // why it makes no sense as processes of this machine
}

func (l *Library) all(*http.Request) (any, error) {
	list, err := l.load()
	all := []Listed{}
	for i := range list {
		all = append(all, describe(&list[i]))
	}
	return all, err
}

// codeInScenario finds codes in texts and in expectations such as results.old.json.code == 700024.
var codeInScenario = lazyregexp.New(`(?:AADSTS|code == )(\d{5,8})\b`)

func describe(s *scenario.Scenario) Listed {
	listed := Listed{Name: s.Metadata.Name, Description: s.Description, Cause: s.Cause, Links: s.Links, Unsupported: s.UnsupportedReason(scenario.OnProcess)}
	var texts []string
	for i := range s.Steps {
		for _, e := range s.Steps[i].Expect {
			texts = append(texts, e.Source)
		}
	}
	for _, text := range append(texts, s.Description, s.Cause) {
		for _, found := range codeInScenario().FindAllStringSubmatch(text, -1) {
			code, _ := strconv.Atoi(found[1]) // digits
			if _, ok := aadsts.Lookup(code); ok {
				listed.Codes = append(listed.Codes, code)
			}
		}
	}
	slices.Sort(listed.Codes)
	listed.Codes = slices.Compact(listed.Codes)
	return listed
}

// Running is the outcome of a run that has not ended.
const Running = "running"

// Run is a run of a scenario, as far as it has come.
type Run struct {
	ID               string          `json:"id"`
	Scenario         string          `json:"scenario"`
	Outcome          string          `json:"outcome"`          // running, passed, failed, not-here or interrupted
	Reason           string          `json:"reason,omitempty"` // why it was not run here
	Expectations     int             `json:"expectations"`     // that were looked at; known at the end
	SimulatedSeconds report.Seconds  `json:"simulatedSeconds"` // lab time that went by
	Failures         []string        `json:"failures,omitempty"`
	Notes            []string        `json:"notes,omitempty"`
	Events           []journal.Event `json:"events"` // of the scenario's lab, after the one asked for
}

// run is a run with everything that was recorded.
type run struct {
	mu  sync.Mutex
	now Run
}

// maxRuns is how many runs are kept; the oldest that has ended makes room.
const maxRuns = 8

// makeRoom drops a run for another; l.mu is held.
func (l *Library) makeRoom() error {
	if len(l.runs) < maxRuns {
		return nil
	}
	n := slices.IndexFunc(l.runs, func(r *run) bool { return r.outcome() != Running })
	if n < 0 {
		return &control.StatusError{Status: http.StatusTooManyRequests, Err: fmt.Errorf("%d scenarios run already; try again when one of them has ended", maxRuns)}
	}
	l.runs = slices.Delete(l.runs, n, n+1)
	return nil
}

// begin starts a run and answers with it.
func (l *Library) begin(r *http.Request) (any, error) {
	list, err := l.load()
	if err != nil {
		return nil, err
	}
	name := mux.Vars(r)["name"]
	i := slices.IndexFunc(list, func(s scenario.Scenario) bool { return s.Metadata.Name == name })
	if i < 0 {
		return nil, &control.StatusError{Status: http.StatusNotFound, Err: fmt.Errorf("scenario %q: expected the name of a built-in one; wiemu scenario list has them", name)}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return nil, errors.New("the server is ending")
	}
	if n := slices.IndexFunc(l.runs, func(r *run) bool { return r.now.Scenario == name && r.outcome() == Running }); n >= 0 {
		return l.runs[n].after(0), nil // it is watched, not run twice
	}
	if err := l.makeRoom(); err != nil {
		return nil, err
	}
	if l.keys == nil {
		keys, err := keyring.OpenPool(l.opts.KeyDir, keyring.PoolOptions{})
		if err != nil {
			return nil, err
		}
		l.keys = keys
	}
	l.last++
	one := &run{now: Run{ID: strconv.Itoa(l.last), Scenario: name, Outcome: Running, Events: []journal.Event{}}}
	l.runs = append(l.runs, one)
	l.going.Go(func() {
		one.end(scenario.Run(l.ctx, list[i:i+1], scenario.Options{Keys: l.keys, Program: l.opts.Program, Parallel: 1, Observe: one.add}))
	})
	return one.after(0), nil
}

// show answers with a run; ?after= is how many of its events the caller has.
func (l *Library) show(r *http.Request) (any, error) {
	id := mux.Vars(r)["id"]
	after := 0
	if given := r.URL.Query().Get("after"); given != "" {
		n, err := strconv.Atoi(given)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("after: expected how many events are known, found %q", given)
		}
		after = n
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.runs {
		if one.now.ID == id {
			return one.after(after), nil
		}
	}
	return nil, &control.StatusError{Status: http.StatusNotFound, Err: fmt.Errorf("run %q: expected one of the newest %d of this server", id, maxRuns)}
}

// add takes the events of the scenario's lab.
func (r *run) add(events []journal.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.Events = append(r.now.Events, events...)
}

func (r *run) end(whole report.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range whole.Scenarios {
		r.now.Outcome, r.now.Reason, r.now.Expectations, r.now.SimulatedSeconds, r.now.Notes = o.Outcome, o.Reason, o.Expectations, o.Simulated, o.Notes
		for _, f := range o.Failures {
			r.now.Failures = append(r.now.Failures, f.Text())
		}
	}
}

func (r *run) outcome() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now.Outcome
}

// after is the run with the events after the first n.
func (r *run) after(n int) Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now
	now.Events = append([]journal.Event{}, now.Events[min(n, len(now.Events)):]...) // not null in JSON
	return now
}
