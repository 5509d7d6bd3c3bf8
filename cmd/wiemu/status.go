package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/cli"
)

func newStatus(stateDir *string) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show whether a server runs, its time, its addresses and its keys",
		Long: `Show whether a server runs, its time, its addresses and its keys. The exit code is
1 if none runs.`,
		Example: "  wiemu status\n  wiemu status -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := runningServer(cmd, *stateDir)
			if err != nil {
				return err
			}
			var now serverStatus
			if client != nil {
				status, err := client.Status(cmd.Context())
				if err != nil {
					return err
				}
				now = serverStatus{Running: true, Status: &status}
			}
			return cli.FailIf(!now.Running, cli.Print(cmd, format, now, now.write))
		},
	}
	addElsewhere(cmd)
	cli.AddOutput(cmd, &format, "text", "json")
	return cmd
}

// serverStatus is what a server says of itself, if there is one.
type serverStatus struct {
	Running bool `json:"running"`
	*control.Status
}

func (s serverStatus) write(out *cli.Lines) {
	if !s.Running {
		out.Print("no server is running; start one with wiemu serve\n")
		return
	}
	out.Print("server    process %d, %d events\ngateway   https://%s\nproxy     %s\nlab time  %s\n",
		s.PID, s.Events, s.Gateway, s.Proxy, s.Now.Format(time.RFC3339))
	for _, how := range howItRuns(*s.Status) {
		out.Print("          %s\n", how)
	}
	for _, i := range s.Issuers {
		out.Print("issuer    %s\ncluster   %s\n", i.URL, clusterURL(*s.Status, i))
	}
	for _, k := range s.Keys {
		out.Print("key       %s\n", cli.KeyLine(k))
	}
}
