package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/console"
)

func newConsole(stateDir *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Print a link to web pages that show and change the running server's lab",
		Long: `Print a link that opens the console of the running server in a browser: workloads and
the trust that they meet, app registrations and managed identities with their federated
credentials, every event as it happens with the reason of each refusal, a token looked
at, the clock, keys and faults, the built-in scenarios.

The link works once, in one browser, which then stays signed in until the server ends.
The console listens where the control API does, on loopback, and asks nobody else.`,
		Example: `  wiemu console
  wiemu console --kind wiemu   # of the emulator in that kind cluster
  wiemu serve --console        # print the link when the server starts`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := needServer(cmd, *stateDir)
			if err != nil {
				return err
			}
			link, err := consoleLink(cmd.Context(), client)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), link)
			if at := controlled(cmd); at.flag == "compose" || at.flag == "cluster" {
				fmt.Fprintln(cmd.ErrOrStderr(), "wiemu: the link works while this command runs; Ctrl-C ends it")
				<-cmd.Context().Done()
			}
			return nil
		},
	}
	addElsewhere(cmd)
	return cmd
}

func consoleLink(ctx context.Context, client *control.Client) (string, error) {
	var link console.Link
	if err := client.Do(ctx, http.MethodPost, console.LinkPath, nil, &link); err != nil {
		return "", err
	}
	return client.URL + link.Path, nil
}
