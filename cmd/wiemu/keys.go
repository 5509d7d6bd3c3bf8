package main

import (
	"cmp"
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
		Short:   "Show or rotate the running server's signing keys",
		Example: "  wiemu keys\n  wiemu keys rotate local",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, status, err := askServer(cmd, *stateDir)
			if err != nil {
				return err
			}
			return show(cmd, status.Keys...)
		},
	}
	addOutput(cmd, &format, "text", "json")
	rotate := &cobra.Command{
		Use:     "rotate [ISSUER | entra]",
		Short:   "Let the next key sign; the old one stays published",
		Example: "  wiemu keys rotate\n  wiemu keys rotate entra",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, status, err := askServer(cmd, *stateDir)
			if err != nil {
				return err
			}
			ring := cmp.Or(strings.Join(args, ""), status.Issuers[0].Name)
			key, err := client.Rotate(cmd.Context(), ring)
			if err != nil {
				return err
			}
			return show(cmd, key)
		},
	}
	addOutput(rotate, &format, "text", "json")
	cmd.AddCommand(rotate)
	return cmd
}

func keyLine(k control.KeyStatus) string {
	line := fmt.Sprintf("%s  %-9s  %s", k.Ring, k.Stage, k.ID)
	if k.Unpublished {
		line += "  (not in the JWKS)"
	}
	return line
}
