package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/emulator/yamlfile"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/kind"
	"github.com/wiemu/wiemu/harness/state"
	"github.com/wiemu/wiemu/scenarios"
)

// placesToRun are where scenarios are run, as flags say it.
type placesToRun struct {
	on       []string
	program  string // path of wiemu-workload
	appImage string
	keep     bool

	stateDir *string
	told     io.Writer // of what takes long
}

func (p *placesToRun) addOn(cmd *cobra.Command, what string) {
	cmd.Flags().StringSliceVar(&p.on, "on", []string{scenarios.OnProcess}, what+": "+strings.Join(scenarios.Places(), ", ")+", or several of these with commas between them")
}

func (p *placesToRun) addFlags(cmd *cobra.Command) {
	p.addOn(cmd, "where to run them")
	cmd.Flags().StringVar(&p.program, "workload", "", "path of wiemu-workload (default: beside wiemu, else in PATH)")
	cmd.Flags().StringVar(&p.appImage, "app-image", "", "on compose and kind: image that programs run in (default: one with wiemu-workload, and "+kind.CommandImage+" for other programs)")
	cmd.Flags().BoolVar(&p.keep, "keep", false, "on kind: leave the cluster for the next run; wiemu kind down --name "+scenarioCluster+" takes it away")
}

// check refuses places that there are not, and says which one was meant.
func (p *placesToRun) check() error {
	known := scenarios.Places()
	if len(p.on) == 0 {
		return usagef("--on: expected one of %s, found nothing", strings.Join(known, ", "))
	}
	for i, name := range p.on {
		if !slices.Contains(known, name) {
			fix := ""
			if meant := yamlfile.Nearest(name, known); meant != "" {
				fix = "; did you mean " + meant + "?"
			}
			return usagef("--on: expected one of %s, found %q%s", strings.Join(known, ", "), name, fix)
		}
		if slices.Contains(p.on[:i], name) {
			return usagef("--on: %s is there twice", name)
		}
	}
	return nil
}

// missing says what scenarios need that the places have not, before anything is run.
func (p *placesToRun) missing(list []scenarios.Scenario) error {
	if slices.Contains(p.on, scenarios.OnProcess) {
		return scenarios.Options{Program: p.program}.Check(list)
	}
	return nil
}

// open makes the places in which any of the scenarios makes sense, and returns all
// of them. Close them, also when there is an error.
func (p *placesToRun) open(ctx context.Context, list []scenarios.Scenario, keys *keyring.Pool) (all places, err error) {
	for _, name := range p.on {
		if !slices.ContainsFunc(list, func(s scenarios.Scenario) bool { return s.WhyNotOn(name) == "" }) {
			all = append(all, place{Place: nowhere(name)})
			continue
		}
		opened, err := p.openers()[name](ctx, keys)
		if err != nil {
			return all, err
		}
		all = append(all, opened)
	}
	return all, nil
}

// openers are how the places are made, by their names.
func (p *placesToRun) openers() map[string]func(context.Context, *keyring.Pool) (place, error) {
	return map[string]func(context.Context, *keyring.Pool) (place, error){scenarios.OnProcess: p.openProcess, scenarios.OnCompose: p.openCompose, scenarios.OnKind: p.openKind}
}

// places are several of them.
type places []place

// place is one, and what removes it; nil: nothing has to be removed.
type place struct {
	harness.Place
	remove func(context.Context) error
}

func (p places) all() []harness.Place {
	all := make([]harness.Place, len(p))
	for i := range p {
		all[i] = p[i].Place
	}
	return all
}

// close removes what the places were made of.
func (p places) close(ctx context.Context) error {
	var errs []error
	for _, one := range p {
		if one.remove != nil {
			errs = append(errs, one.remove(ctx))
		}
	}
	return errors.Join(errs...)
}

// nowhere is a place in which nothing runs, which nobody has to wait for.
type nowhere string

// Name implements harness.Place.
func (n nowhere) Name() string { return string(n) }

// Open implements harness.Place.
func (n nowhere) Open(context.Context, harness.World) (harness.Site, error) {
	return nil, fmt.Errorf("nothing runs on %s", string(n))
}

func (p *placesToRun) openProcess(_ context.Context, keys *keyring.Pool) (place, error) {
	return place{Place: harness.Processes{Keys: keys, Program: p.program}}, nil
}

// scenarioCluster is the name of the cluster that scenarios run in.
const scenarioCluster = "wiemu-scenarios"

// openKind makes a cluster for the run. The user's kubeconfig is left alone.
func (p *placesToRun) openKind(ctx context.Context, _ *keyring.Pool) (place, error) {
	dir, err := state.Open(*p.stateDir)
	if err != nil {
		return place{}, err
	}
	opts := kind.Options{Kubeconfig: filepath.Join(dir.Path(), scenarioCluster+".kubeconfig"), Workload: p.program}
	if err := findPrograms(&opts); err != nil {
		return place{}, err
	}
	host, told, err := openKind(*p.stateDir, p.told)
	if err != nil {
		return place{}, err
	}
	defer told.end()
	if _, err = host.Up(ctx, scenarioCluster, opts); err != nil {
		return place{}, err
	}
	down := func(ctx context.Context) error {
		defer told.end()
		_, err := host.Down(ctx, scenarioCluster)
		return errors.Join(err, os.RemoveAll(opts.Kubeconfig))
	}
	made, err := host.Place(ctx, scenarioCluster, kind.PlaceOptions{Image: p.appImage, Server: opts.Server, Workload: opts.Workload})
	if err != nil {
		return place{}, errors.Join(err, down(context.WithoutCancel(ctx)))
	}
	if p.keep {
		return place{made, made.Close}, nil
	}
	return place{made, down}, nil
}
