// Command wiemu-containers does what takes client-go, kind's library or the compose engine: the
// commands kind, compose and cluster of wiemu, and scenarios on compose and kind. wiemu hands
// them over to it, with the arguments that wiemu was given.
package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/testcontainers/testcontainers-go/log"

	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/containers"
	"github.com/wiemu/wiemu/internal/kind"
	"github.com/wiemu/wiemu/internal/scenario"
	"github.com/wiemu/wiemu/internal/userstate"
)

func main() { cli.Main(newRoot, nil) }

func newRoot() *cobra.Command {
	var stateDir string
	run := &cobra.Command{Use: "scenario", Short: "Run scenarios"}
	run.AddCommand(cli.NewScenarioRun(&stateDir, map[string]cli.OpenBackend{scenario.OnCompose: openComposeBackend, scenario.OnKind: openKindBackend}, nil))
	return cli.NewRoot(&stateDir, newKind(&stateDir), newCompose(), newCluster(), run, newConnect())
}

// openComposeBackend finds Docker. Containers are made for each scenario.
func openComposeBackend(ctx context.Context, p *cli.Backends) (cli.Backend, error) {
	dir, err := userstate.Open(*p.StateDir)
	if err != nil {
		return cli.Backend{}, err
	}
	log.SetDefault(log.NewNoopLogger()) // which Docker it is, Docker itself says
	steps := cli.NewSteps(p.Out)
	defer steps.End()
	steps.Step("images of the emulator and of programs")
	opened, err := containers.Open(ctx, containers.Options{Workload: p.Workload, Base: p.AppImage, Keys: dir.KeyDir()})
	if err != nil {
		return cli.Backend{}, err
	}
	return cli.Backend{Backend: opened, Remove: func(context.Context) error { return opened.Close() }}, nil
}

// openKind makes a cluster for the run. The user's kubeconfig is left alone.
func openKindBackend(ctx context.Context, p *cli.Backends) (cli.Backend, error) {
	dir, err := userstate.Open(*p.StateDir)
	if err != nil {
		return cli.Backend{}, err
	}
	opts := kind.Options{Kubeconfig: filepath.Join(dir.Path(), cli.ScenarioCluster+".kubeconfig"), Workload: p.Workload}
	if err := findPrograms(&opts); err != nil {
		return cli.Backend{}, err
	}
	host, steps, err := openKind(*p.StateDir, p.Out)
	if err != nil {
		return cli.Backend{}, err
	}
	defer steps.End()
	if _, err = host.Up(ctx, cli.ScenarioCluster, opts); err != nil {
		return cli.Backend{}, err
	}
	down := func(ctx context.Context) error {
		defer steps.End()
		_, err := host.Down(ctx, cli.ScenarioCluster)
		return errors.Join(err, os.RemoveAll(opts.Kubeconfig))
	}
	made, err := host.Backend(ctx, cli.ScenarioCluster, kind.BackendOptions{Image: p.AppImage, Server: opts.Server, Workload: opts.Workload})
	if err != nil {
		return cli.Backend{}, errors.Join(err, down(context.WithoutCancel(ctx)))
	}
	if p.Keep {
		return cli.Backend{Backend: made, Remove: made.Close}, nil
	}
	return cli.Backend{Backend: made, Remove: down}, nil
}
