package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/run"
	"github.com/wiemu/wiemu/internal/scenario"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Backends are where scenarios run, as flags say it.
type Backends struct {
	On       []string
	Workload string // path of wiemu-workload
	AppImage string
	Keep     bool
	StateDir *string
	Out      io.Writer // is told what takes long

	openers map[string]OpenBackend
}

// OpenBackend opens what scenarios run on.
type OpenBackend func(context.Context, *Backends) (Backend, error)

// A Backend is one of them.
type Backend struct {
	backend.Backend

	Remove func(context.Context) error // If nil, nothing has to be removed.
}

// ScenarioCluster is the name of the cluster that scenarios run in, and AppImage the image there
// of programs that bring none.
const (
	ScenarioCluster = "wiemu-scenarios"
	AppImage        = "curlimages/curl:8.11.1"
)

// AddOn adds the flag --on alone; what says what it is for.
func (p *Backends) AddOn(cmd *cobra.Command, what string) {
	cmd.Flags().StringSliceVar(&p.On, "on", []string{scenario.OnProcess}, what+": "+strings.Join(scenario.Backends(), ", ")+", or several of these with commas between them")
}

func (p *Backends) addFlags(cmd *cobra.Command) {
	p.AddOn(cmd, "where to run them")
	cmd.Flags().StringVar(&p.Workload, "workload", "", "path of wiemu-workload (default: beside wiemu, else in PATH)")
	cmd.Flags().StringVar(&p.AppImage, "app-image", "", "on compose and kind: image that programs run in (default: one with wiemu-workload, and "+AppImage+" for other programs)")
	cmd.Flags().BoolVar(&p.Keep, "keep", false, "on kind: leave the cluster for the next run; wiemu kind down --name "+ScenarioCluster+" takes it away")
}

// Check refuses names that there are not, and says which one was meant.
func (p *Backends) Check() error {
	known := scenario.Backends()
	if len(p.On) == 0 {
		return Usagef("--on: expected one of %s, found nothing", strings.Join(known, ", "))
	}
	for i, name := range p.On {
		if !slices.Contains(known, name) {
			fix := ""
			if meant := yamlfile.Nearest(name, known); meant != "" {
				fix = "; did you mean " + meant + "?"
			}
			return Usagef("--on: expected one of %s, found %q%s", strings.Join(known, ", "), name, fix)
		}
		if slices.Contains(p.On[:i], name) {
			return Usagef("--on: %s is there twice", name)
		}
	}
	return nil
}

// missing says what scenarios need that is not there, before anything is run.
func (p *Backends) missing(list []scenario.Scenario) error {
	if slices.Contains(p.On, scenario.OnProcess) {
		return scenario.Options{Program: p.Workload}.Check(list)
	}
	return nil
}

func needs(list []scenario.Scenario, name string) bool {
	return slices.ContainsFunc(list, func(s scenario.Scenario) bool { return s.UnsupportedReason(name) == "" })
}

// canOpen reports whether this program can open all backends that the scenarios need.
func (p *Backends) canOpen(list []scenario.Scenario) bool {
	return !slices.ContainsFunc(p.On, func(name string) bool {
		return name != scenario.OnProcess && p.openers[name] == nil && needs(list, name)
	})
}

// open opens the backends on which any of the scenarios runs, and returns all of them. Close
// them, also when there is an error.
func (p *Backends) open(ctx context.Context, list []scenario.Scenario, keys *keyring.Pool) (all backends, err error) {
	for _, name := range p.On {
		switch {
		case !needs(list, name):
			all = append(all, Backend{Backend: skipped(name)})
		case name == scenario.OnProcess:
			all = append(all, Backend{Backend: run.Processes{Keys: keys, Program: p.Workload, Chosen: tellOnce(p.Out), Probe: run.ProbeOnce(ctx)}})
		default:
			opened, err := p.openers[name](ctx, p)
			if err != nil {
				return all, err
			}
			all = append(all, opened)
		}
	}
	return all, nil
}

type backends []Backend

func (p backends) all() []backend.Backend {
	all := make([]backend.Backend, len(p))
	for i := range p {
		all[i] = p[i].Backend
	}
	return all
}

func (p backends) close(ctx context.Context) error {
	var errs []error
	for _, one := range p {
		if one.Remove != nil {
			errs = append(errs, one.Remove(ctx))
		}
	}
	return errors.Join(errs...)
}

// skipped is a backend on which nothing runs, and which therefore is not opened.
type skipped string

func (s skipped) Name() string { return string(s) }

func (s skipped) Open(context.Context, backend.Spec) (backend.Session, error) {
	return nil, fmt.Errorf("nothing runs on %s", string(s))
}
