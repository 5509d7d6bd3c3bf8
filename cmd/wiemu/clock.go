package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newClock(stateDir *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "clock",
		Short: "Show or move the running server's time",
		Long: `Show or move the running server's time. Only the emulator's clock moves: a program
that caches a token by the machine's clock keeps it although the lab has aged.`,
		Example: `  wiemu clock
  wiemu clock advance 25h`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := needServer(*stateDir)
			if err != nil {
				return err
			}
			status, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), status.Now.Format(time.RFC3339))
			return err
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "advance DURATION",
		Short:   "Move the time forward, stopping at every timer that falls due",
		Example: "  wiemu clock advance 48m",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := needServer(*stateDir)
			if err != nil {
				return err
			}
			status, err := client.Advance(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), status.Now.Format(time.RFC3339))
			return err
		},
	})
	return cmd
}

func newKeys(stateDir *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "keys",
		Short:   "Show or rotate the running server's signing keys",
		Example: "  wiemu keys\n  wiemu keys rotate local",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := needServer(*stateDir)
			if err != nil {
				return err
			}
			status, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			out := &lines{w: cmd.OutOrStdout()}
			for _, i := range status.Issuers {
				for _, k := range i.Keys {
					out.print("%s  %-9s  %s\n", i.Name, k.Stage, k.ID)
				}
			}
			return out.err
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "rotate [ISSUER | entra]",
		Short:   "Let the next key sign; the old one stays published",
		Example: "  wiemu keys rotate",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := needServer(*stateDir)
			if err != nil {
				return err
			}
			ring := strings.Join(args, "")
			if ring == "" {
				status, err := client.Status(cmd.Context())
				if err != nil {
					return err
				}
				ring = status.Issuers[0].Name
			}
			key, err := client.Rotate(cmd.Context(), ring)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), ring, key.Stage, key.ID)
			return err
		},
	})
	return cmd
}
