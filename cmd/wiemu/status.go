package main

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
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
			client, err := server(cmd, *stateDir)
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
			if format == "json" {
				err = printJSON(cmd.OutOrStdout(), now)
			} else {
				err = now.write(cmd.OutOrStdout())
			}
			if err == nil && !now.Running {
				err = exitCode(1)
			}
			return err
		},
	}
	addElsewhere(cmd)
	addOutput(cmd, &format, "text", "json")
	return cmd
}

// serverStatus is what a server says of itself, if there is one.
type serverStatus struct {
	Running bool `json:"running"`
	*control.Status
}

func (s serverStatus) write(w io.Writer) error {
	out := &lines{w: w}
	if !s.Running {
		out.print("no server is running; start one with wiemu serve\n")
		return out.err
	}
	out.print("server    process %d, %d events\ngateway   https://%s\nproxy     %s\nlab time  %s\n",
		s.PID, s.Events, s.Gateway, s.Proxy, s.Now.Format(time.RFC3339))
	for _, how := range howItRuns(*s.Status) {
		out.print("          %s\n", how)
	}
	for _, i := range s.Issuers {
		out.print("issuer    %s\ncluster   %s\n", i.URL, clusterURL(*s.Status, i))
	}
	for _, k := range s.Keys {
		out.print("key       %s\n", keyLine(k))
	}
	return out.err
}
