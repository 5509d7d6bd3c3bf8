package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/cli"
)

func newKeys(stateDir *string) *cobra.Command {
	show := func(out *cli.Lines, keys []control.KeyStatus) {
		for _, k := range keys {
			out.Print("%s\n", cli.KeyLine(k))
		}
	}
	cmd := cli.Show(&cobra.Command{
		Use:     "keys",
		Short:   "Show or change the running server's signing keys",
		Example: "  wiemu keys\n  wiemu keys publish local\n  wiemu keys rotate local\n  wiemu keys remove local",
		Args:    cobra.NoArgs,
	}, onServer(stateDir, func(ctx context.Context, client *control.Client, _ []string) ([]control.KeyStatus, error) {
		status, err := client.Status(ctx)
		return status.Keys, err
	}), show)
	addElsewhere(cmd)
	change := func(use, short, example string, most int, do func(cmd *cobra.Command, client *control.Client, ring string, args []string) (control.KeyStatus, error)) {
		sub := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.MaximumNArgs(most)}
		cmd.AddCommand(cli.Show(sub, func(cmd *cobra.Command, args []string) ([]control.KeyStatus, error) {
			client, status, err := askServer(cmd, *stateDir)
			if err != nil {
				return nil, err
			}
			ring := status.Issuers[0].Name
			if len(args) > 0 {
				ring = args[0]
			}
			key, err := do(cmd, client, ring, args)
			return []control.KeyStatus{key}, err
		}, show))
	}
	change("rotate [ISSUER | entra]", "Sign with the next key; the old one stays published",
		"  wiemu keys rotate\n  wiemu keys rotate entra", 1,
		func(cmd *cobra.Command, client *control.Client, ring string, _ []string) (control.KeyStatus, error) {
			return client.Rotate(cmd.Context(), ring)
		})
	change("publish [ISSUER | entra]", "Add a new key to the JWKS that does not sign yet",
		"  wiemu keys publish\n  wiemu keys rotate     # makes it the signing key", 1,
		func(cmd *cobra.Command, client *control.Client, ring string, _ []string) (control.KeyStatus, error) {
			return client.Publish(cmd.Context(), ring)
		})
	change("remove [ISSUER | entra [KEY]]", "Remove a key from the JWKS: the oldest retired one, or the one with the given id",
		"  wiemu keys remove\n  wiemu keys remove local signing", 2,
		func(cmd *cobra.Command, client *control.Client, ring string, args []string) (control.KeyStatus, error) {
			return client.RemoveKey(cmd.Context(), ring, strings.Join(args[min(1, len(args)):], ""))
		})
	return cmd
}
