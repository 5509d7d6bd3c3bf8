package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness/kind"
	"github.com/wiemu/wiemu/harness/state"
)

// addKind lets a command and those below it steer the emulator of a kind cluster.
func addKind(cmd *cobra.Command) {
	cmd.PersistentFlags().String("kind", "", "name of a kind cluster (see wiemu kind) whose emulator is meant, instead of the running server (default $WIEMU_KIND)")
}

// steeredCluster is the cluster whose emulator a command is to steer; "": none.
func steeredCluster(cmd *cobra.Command) string {
	flag := cmd.Flag("kind")
	if flag == nil {
		return ""
	}
	if name := flag.Value.String(); name != "" {
		return name
	}
	return os.Getenv("WIEMU_KIND")
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

// clusterEvents returns the events that the emulator of the steered cluster keeps;
// the name is "" when there is none to steer.
func clusterEvents(cmd *cobra.Command, stateDir string) (name string, events []journal.Event, err error) {
	if name = steeredCluster(cmd); name == "" {
		return "", nil, nil
	}
	client, err := server(cmd, stateDir)
	if err != nil {
		return "", nil, err
	}
	events, err = client.Events(cmd.Context(), "")
	return name, events, err
}
