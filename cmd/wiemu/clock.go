package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
)

func newClock(stateDir *string) *cobra.Command {
	var format string
	show := func(cmd *cobra.Command, status control.Status) error {
		if format == "json" {
			return printJSON(cmd.OutOrStdout(), map[string]any{"now": status.Now, "runs": status.Runs})
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), status.Now.Format(time.RFC3339))
		return err
	}
	cmd := &cobra.Command{
		Use:   "clock",
		Short: "Show or move the running server's time",
		Long: `Show or move the running server's time. Only the emulator's clock moves: a program
that caches a token by the machine's clock keeps it although the lab has aged.`,
		Example: `  wiemu clock
  wiemu clock advance 25h`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, status, err := askServer(cmd, *stateDir)
			if err != nil {
				return err
			}
			return show(cmd, status)
		},
	}
	addOutput(cmd, &format, "text", "json")
	advance := &cobra.Command{
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
			return show(cmd, status)
		},
	}
	advance.SetFlagErrorFunc(notBackwards)
	addOutput(advance, &format, "text", "json")
	cmd.AddCommand(advance)
	return cmd
}

// notBackwards answers a negative duration, which is a flag to cobra.
func notBackwards(_ *cobra.Command, err error) error {
	var unknown interface{ GetSpecifiedShortnames() string } // pflag's NotExistError
	if errors.As(err, &unknown) {
		if by, wrong := time.ParseDuration(unknown.GetSpecifiedShortnames()); wrong == nil {
			return fmt.Errorf("advance by -%v: lab time never goes backwards", by)
		}
	}
	return err
}
