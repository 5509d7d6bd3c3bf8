package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness/kind"
	"github.com/wiemu/wiemu/harness/state"
)

// addElsewhere lets a command and those below it steer the emulator of a kind
// cluster, of a compose project, or of a cluster that was there already.
func addElsewhere(cmd *cobra.Command) {
	cmd.PersistentFlags().String("kind", "", "name of a kind cluster (see wiemu kind) whose emulator is meant, instead of the running server (default $WIEMU_KIND)")
	cmd.PersistentFlags().String("compose", "", "name of a compose project (see wiemu compose) whose emulator is meant, instead of the running server (default $WIEMU_COMPOSE)")
	cmd.PersistentFlags().String("cluster", "", "context of the kubeconfig ($KUBECONFIG) with the cluster (see wiemu cluster) whose emulator is meant, instead of the running server (default $WIEMU_CLUSTER)")
}

// elsewhere is whose emulator a command is to steer, if not the running server; the
// name is "" when it is that.
type elsewhere struct {
	flag, name string // kind, compose or cluster; the cluster, the project or the context
}

// steered is what the flags of a command say, or else the environment.
func steered(cmd *cobra.Command) elsewhere {
	for _, from := range []func(flag string) string{
		func(flag string) string { return cmd.Flag(flag).Value.String() },
		func(flag string) string { return os.Getenv("WIEMU_" + strings.ToUpper(flag)) },
	} {
		for _, flag := range []string{"kind", "compose", "cluster"} {
			if cmd.Flag(flag) == nil {
				continue
			}
			if name := from(flag); name != "" {
				return elsewhere{flag, name}
			}
		}
	}
	return elsewhere{}
}

// String names it for people.
func (e elsewhere) String() string {
	if e.flag == "compose" {
		return "project " + e.name
	}
	return "cluster " + e.name
}

// control is how it is steered.
func (e elsewhere) control(ctx context.Context, dir *state.Dir) (*control.Client, error) {
	switch e.flag {
	case "kind":
		return clusters(dir).Control(e.name)
	case "cluster":
		return controlInstalled(ctx, e.name)
	}
	return controlProject(ctx, e.name)
}

// clusters is where kind clusters are, for commands that only look at them.
func clusters(dir *state.Dir) *kind.Host { return kind.NewHost(kindDir(dir), kind.HostOptions{}) }

func kindDir(dir *state.Dir) string { return filepath.Join(dir.Path(), "kind") }

// orCluster suggests --kind where a command has it and there is a cluster.
func orCluster(cmd *cobra.Command, stateDir string) string {
	if cmd.Flag("kind") == nil {
		return ""
	}
	dir, err := state.Open(stateDir)
	if err != nil {
		return ""
	}
	known, err := clusters(dir).Known()
	if err != nil || len(known) == 0 {
		return ""
	}
	return ", or add --kind " + known[0] + " for the emulator in that kind cluster"
}

// eventsElsewhere returns the events that the emulator keeps which is steered; the
// name is "" when that is the running server.
func eventsElsewhere(cmd *cobra.Command, stateDir string) (at elsewhere, events []journal.Event, err error) {
	if at = steered(cmd); at.name == "" {
		return at, nil, nil
	}
	client, err := server(cmd, stateDir)
	if err != nil {
		return at, nil, err
	}
	events, err = client.Events(cmd.Context(), "")
	return at, events, err
}
