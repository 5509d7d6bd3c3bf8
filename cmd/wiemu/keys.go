package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
)

func newKeys(stateDir *string) *cobra.Command {
	var format string
	show := func(cmd *cobra.Command, keys ...control.KeyStatus) error {
		if format == "json" {
			return printJSON(cmd.OutOrStdout(), keys)
		}
		out := &lines{w: cmd.OutOrStdout()}
		for _, k := range keys {
			out.print("%s\n", keyLine(k))
		}
		return out.err
	}
	cmd := &cobra.Command{
		Use:     "keys",
		Short:   "Show or change the running server's signing keys",
		Example: "  wiemu keys\n  wiemu keys publish local\n  wiemu keys rotate local\n  wiemu keys remove local",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, status, err := askServer(cmd, *stateDir)
			if err != nil {
				return err
			}
			return show(cmd, status.Keys...)
		},
	}
	addElsewhere(cmd)
	addOutput(cmd, &format, "text", "json")
	change := func(use, short, example string, most int, do func(cmd *cobra.Command, client *control.Client, ring string, args []string) (control.KeyStatus, error)) {
		sub := &cobra.Command{
			Use: use, Short: short, Example: example, Args: cobra.MaximumNArgs(most),
			RunE: func(cmd *cobra.Command, args []string) error {
				client, status, err := askServer(cmd, *stateDir)
				if err != nil {
					return err
				}
				ring := status.Issuers[0].Name
				if len(args) > 0 {
					ring = args[0]
				}
				key, err := do(cmd, client, ring, args)
				if err != nil {
					return err
				}
				return show(cmd, key)
			},
		}
		addOutput(sub, &format, "text", "json")
		cmd.AddCommand(sub)
	}
	change("rotate [ISSUER | entra]", "Let the next key sign; the old one stays published",
		"  wiemu keys rotate\n  wiemu keys rotate entra", 1,
		func(cmd *cobra.Command, client *control.Client, ring string, _ []string) (control.KeyStatus, error) {
			return client.Rotate(cmd.Context(), ring)
		})
	change("publish [ISSUER | entra]", "Put a new key into the JWKS that does not sign yet",
		"  wiemu keys publish\n  wiemu keys rotate     # lets it sign", 1,
		func(cmd *cobra.Command, client *control.Client, ring string, _ []string) (control.KeyStatus, error) {
			return client.Publish(cmd.Context(), ring)
		})
	change("remove [ISSUER | entra [KEY]]", "Take a key out of the JWKS: the oldest retired one, or the one with an id",
		"  wiemu keys remove\n  wiemu keys remove local signing", 2,
		func(cmd *cobra.Command, client *control.Client, ring string, args []string) (control.KeyStatus, error) {
			return client.RemoveKey(cmd.Context(), ring, strings.Join(args[min(1, len(args)):], ""))
		})
	return cmd
}

func keyLine(k control.KeyStatus) string {
	line := fmt.Sprintf("%s  %-9s  %s", k.Ring, k.Stage, k.ID)
	if k.Unpublished {
		line += "  (not in the JWKS)"
	}
	return line
}
