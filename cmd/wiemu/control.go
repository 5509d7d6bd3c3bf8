package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/kind/records"
	"github.com/wiemu/wiemu/internal/userstate"
)

// addElsewhere adds the flags that choose another emulator than the running server's.
func addElsewhere(cmd *cobra.Command) {
	cmd.PersistentFlags().String("kind", "", "use the emulator in this kind cluster (see wiemu kind) instead of the running server (default $WIEMU_KIND)")
	cmd.PersistentFlags().String("compose", "", "use the emulator of this compose project (see wiemu compose) instead of the running server (default $WIEMU_COMPOSE)")
	cmd.PersistentFlags().String("cluster", "", "use the emulator in the cluster of this kubeconfig context (see wiemu cluster) instead of the running server (default $WIEMU_CLUSTER)")
}

// elsewhere is the emulator that a command controls; the name is "" for the running server's.
type elsewhere struct {
	flag, name string // kind, compose or cluster; the cluster, the project or the context
}

// controlled is what the flags of a command say, or else the environment.
func controlled(cmd *cobra.Command) elsewhere {
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

func (e elsewhere) control(ctx context.Context, dir *userstate.Dir) (*control.Client, error) {
	if e.flag == "kind" {
		return records.Of(dir.Path()).Control(e.name)
	}
	return connect(ctx, e)
}

// orCluster suggests --kind where a command has it and there is a cluster.
func orCluster(cmd *cobra.Command, stateDir string) string {
	if cmd.Flag("kind") == nil {
		return ""
	}
	dir, err := userstate.Open(stateDir)
	if err != nil {
		return ""
	}
	known, err := records.Of(dir.Path()).Known()
	if err != nil || len(known) == 0 {
		return ""
	}
	return ", or add --kind " + known[0] + " for the emulator in that kind cluster"
}

// eventsElsewhere returns the events of that emulator; the name is "" for the running server.
func eventsElsewhere(cmd *cobra.Command, stateDir string) (at elsewhere, events []journal.Event, err error) {
	if at = controlled(cmd); at.name == "" {
		return at, nil, nil
	}
	client, err := runningServer(cmd, stateDir)
	if err != nil {
		return at, nil, err
	}
	events, err = client.Events(cmd.Context(), "")
	return at, events, err
}

// runningServer returns a client for the running server, or nil if there is none; with
// --kind, --compose or --cluster it is the emulator there.
func runningServer(cmd *cobra.Command, stateDir string) (*control.Client, error) {
	dir, err := userstate.Open(stateDir)
	if err != nil {
		return nil, err
	}
	if at := controlled(cmd); at.name != "" {
		return at.control(cmd.Context(), dir)
	}
	s, running, err := dir.Server()
	if err != nil || !running {
		return nil, err
	}
	return &control.Client{URL: s.URL, Token: s.Token}, nil
}

// needServer is runningServer for commands that make no sense without one.
func needServer(cmd *cobra.Command, stateDir string) (*control.Client, error) {
	c, err := runningServer(cmd, stateDir)
	if err == nil && c == nil {
		err = fmt.Errorf("no server is running; start one in another terminal with wiemu serve%s", orCluster(cmd, stateDir))
	}
	return c, err
}

// onServer is what [cli.Show] asks of the running server.
func onServer[T any](stateDir *string, ask func(context.Context, *control.Client, []string) (T, error)) func(*cobra.Command, []string) (T, error) {
	return func(cmd *cobra.Command, args []string) (result T, err error) {
		client, err := needServer(cmd, *stateDir)
		if err != nil {
			return result, err
		}
		return ask(cmd.Context(), client, args)
	}
}

// askServer returns the running server with what it says of itself.
func askServer(cmd *cobra.Command, stateDir string) (*control.Client, control.Status, error) {
	client, err := needServer(cmd, stateDir)
	if err != nil {
		return nil, control.Status{}, err
	}
	status, err := client.Status(cmd.Context())
	return client, status, err
}
