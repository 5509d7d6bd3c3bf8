package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/cli"
)

func newRevoke(stateDir *string) *cobra.Command {
	var everywhere bool
	cmd := cli.Show(&cobra.Command{
		Use:   "revoke IDENTITY",
		Short: "Revoke the access tokens that an identity has been given",
		Long: `Revoke all access tokens that an application, a managed identity, or the identity of a
workload was given until now. A resource that evaluates access
continuously answers them with 401 and a claims challenge (error="insufficient_claims");
a client that understands it comes back with a new token, which is let in.

In Azure, Microsoft Graph alone evaluates the access of workloads, that of applications
whose client says that it understands the challenge (cp1, as the Azure SDKs do). All
other tokens, of managed identities, too, are good until they expire. --everywhere lets
every resource refuse them, to see how a program copes.`,
		Example: `  wiemu revoke web
  wiemu revoke web --everywhere`,
		Args: cobra.ExactArgs(1),
	}, onServer(stateDir, func(ctx context.Context, client *control.Client, args []string) (control.Changed, error) {
		return client.ChangeDirectory(ctx, control.DirectoryChange{Identity: args[0], Revoked: true, Everywhere: everywhere})
	}), func(out *cli.Lines, c control.Changed) { out.Print("%s\n", c.Summary) })
	addElsewhere(cmd)
	cmd.Flags().BoolVar(&everywhere, "everywhere", false, "let every resource refuse them, not only Microsoft Graph")
	return cmd
}
