package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
)

func newClock(stateDir *string) *cobra.Command {
	var format string
	show := func(cmd *cobra.Command, status control.Status) error {
		if format == "json" {
			return printJSON(cmd.OutOrStdout(), map[string]any{"now": status.Now, "runs": status.Runs, "speed": status.Speed, "skews": status.Skews})
		}
		out := &lines{w: cmd.OutOrStdout()}
		out.print("%s\n", status.Now.Format(time.RFC3339))
		for _, line := range howItRuns(status) {
			out.print("%s\n", line)
		}
		return out.err
	}
	// change is a command that changes the time and shows it as it is then.
	change := func(cmd *cobra.Command, ask func(cmd *cobra.Command, client *control.Client, args []string) (control.Status, error)) *cobra.Command {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			client, err := needServer(cmd, *stateDir)
			if err != nil {
				return err
			}
			before, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			status, err := ask(cmd, client, args)
			if err != nil {
				return whereItStopped(cmd.Context(), client, err)
			}
			tellLifetimes(cmd.ErrOrStderr(), status, status.Now.Sub(before.Now))
			return show(cmd, status)
		}
		addOutput(cmd, &format, "text", "json")
		return cmd
	}
	cmd := &cobra.Command{
		Use:   "clock",
		Short: "Show or change the running server's time",
		Long: `Show or change the running server's time. Programs that
run with --clock lockstep live on it: advance stops wherever they wait for a time, and
gives them their turn there. Others have the machine's clock: they keep what they have
cached by it, although the lab has aged.
Lab time never goes backwards; a skew lets one part of the lab be wrong about it.`,
		Example: `  wiemu clock
  wiemu clock advance 25h
  wiemu clock speed 600
  wiemu clock skew entra -5m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, status, err := askServer(cmd, *stateDir)
			if err != nil {
				return err
			}
			return show(cmd, status)
		},
	}
	addElsewhere(cmd)
	addOutput(cmd, &format, "text", "json")
	cmd.AddCommand(
		change(&cobra.Command{
			Use: "advance DURATION", Short: "Move the time forward, stopping at every timer that falls due",
			Example: "  wiemu clock advance 48m", Args: cobra.ExactArgs(1),
		}, func(cmd *cobra.Command, client *control.Client, args []string) (control.Status, error) {
			return client.Advance(cmd.Context(), args[0])
		}),
		change(&cobra.Command{
			Use: "set TIME", Short: "Move the time forward to a moment, as advance does",
			Example: "  wiemu clock set 2030-01-05T09:00:00Z", Args: cobra.ExactArgs(1),
		}, func(cmd *cobra.Command, client *control.Client, args []string) (control.Status, error) {
			return client.Set(cmd.Context(), args[0])
		}),
		change(&cobra.Command{
			Use: "freeze", Short: "Let the time stand still",
			Example: "  wiemu clock freeze\n  wiemu clock speed 1   # it goes on from where it stood", Args: cobra.NoArgs,
		}, func(cmd *cobra.Command, client *control.Client, _ []string) (control.Status, error) {
			return client.Freeze(cmd.Context())
		}),
		change(&cobra.Command{
			Use: "speed NUMBER", Short: "Let the time run so many times as fast as the machine's clock",
			Example: "  wiemu clock speed 600   # ten minutes in a second\n  wiemu clock speed 1", Args: cobra.ExactArgs(1),
		}, func(cmd *cobra.Command, client *control.Client, args []string) (control.Status, error) {
			rate, err := strconv.ParseFloat(args[0], 64)
			if err != nil {
				return control.Status{}, usagef("expected a number such as 600, found %q", args[0])
			}
			return client.SetSpeed(cmd.Context(), rate)
		}),
		change(&cobra.Command{
			Use: "skew PART DURATION", Short: "Let the clock of one part of the lab be wrong",
			Long: `Let the clock of one part of the lab go ahead of the lab's, or behind it. Parts are
entra (the token service), resources (vaults, Graph, Resource Manager), workloads
(programs on the lab clock) and the issuers, by name. 0s puts a clock right.`,
			Example: `  wiemu clock skew entra +5m
  wiemu clock skew entra -5m
  wiemu clock skew entra 0s`, Args: cobra.ExactArgs(2),
		}, func(cmd *cobra.Command, client *control.Client, args []string) (control.Status, error) {
			return client.Skew(cmd.Context(), args[0], args[1])
		}),
	)
	return cmd
}

// whereItStopped says how far the clock came that was on its way when the user ended
// the command.
func whereItStopped(ctx context.Context, client *control.Client, err error) error {
	if ctx.Err() == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
	defer cancel()
	status, asked := client.Status(ctx)
	if asked != nil {
		return err
	}
	return fmt.Errorf("interrupted; the clock stopped at %s", status.Now.Format(time.RFC3339))
}

// howItRuns says of a clock what is not as it is with the machine's.
func howItRuns(s control.Status) []string {
	var all []string
	switch s.Speed {
	case 1:
	case 0:
		all = append(all, "it stands still")
	default:
		all = append(all, fmt.Sprintf("it runs %g times as fast as the machine's clock", s.Speed))
	}
	for _, part := range slices.Sorted(maps.Keys(s.Skews)) {
		if by, behind := strings.CutPrefix(s.Skews[part], "-"); behind {
			all = append(all, fmt.Sprintf("%s is %s behind", part, by))
		} else {
			all = append(all, fmt.Sprintf("%s is %s ahead", part, by))
		}
	}
	return all
}

// negativesLast lets the commands about the clock take a negative duration, which
// is a flag to cobra: it goes behind --.
func negativesLast(root *cobra.Command, args []string) []string {
	cmd, _, err := root.Find(args)
	if err != nil || !cmd.HasParent() || cmd.Parent().Name() != "clock" || slices.Contains(args, "--") {
		return args
	}
	for i, arg := range args {
		if d, err := time.ParseDuration(arg); err == nil && d < 0 {
			return slices.Concat(args[:i], args[i+1:], []string{"--", arg})
		}
	}
	return args
}
