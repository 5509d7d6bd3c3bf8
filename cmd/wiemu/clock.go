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
	"github.com/wiemu/wiemu/internal/cli"
)

func newClock(stateDir *string) *cobra.Command {
	var format string
	show := func(cmd *cobra.Command, status control.Status) error {
		fields := map[string]any{"now": status.Now, "runs": status.Runs, "speed": status.Speed, "skews": status.Skews}
		return cli.Print(cmd, format, fields, func(out *cli.Lines) {
			out.Print("%s\n", status.Now.Format(time.RFC3339))
			for _, line := range howItRuns(status) {
				out.Print("%s\n", line)
			}
		})
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
		cli.AddOutput(cmd, &format, "text", "json")
		return cmd
	}
	cmd := &cobra.Command{
		Use:   "clock",
		Short: "Show or change the running server's time",
		Long: `Show or change the running server's time. Programs started with --clock lockstep run
on it: advance stops at each time that they wait for, and lets them run there. Other
programs run on the machine's clock: what they have cached does not expire when lab
time moves.
Lab time never goes backwards; a skew makes the clock of one component of the lab wrong.`,
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
	cli.AddOutput(cmd, &format, "text", "json")
	cmd.AddCommand(
		change(&cobra.Command{
			Use: "advance DURATION", Short: "Move the time forward, stopping at every timer that is due",
			Example: "  wiemu clock advance 48m", Args: cobra.ExactArgs(1),
		}, func(cmd *cobra.Command, client *control.Client, args []string) (control.Status, error) {
			return client.Advance(cmd.Context(), args[0])
		}),
		change(&cobra.Command{
			Use: "set TIME", Short: "Move the time forward to a given time, as advance does",
			Example: "  wiemu clock set 2030-01-05T09:00:00Z", Args: cobra.ExactArgs(1),
		}, func(cmd *cobra.Command, client *control.Client, args []string) (control.Status, error) {
			return client.Set(cmd.Context(), args[0])
		}),
		change(&cobra.Command{
			Use: "freeze", Short: "Stop the clock",
			Example: "  wiemu clock freeze\n  wiemu clock speed 1   # it continues from where it stopped", Args: cobra.NoArgs,
		}, func(cmd *cobra.Command, client *control.Client, _ []string) (control.Status, error) {
			return client.Freeze(cmd.Context())
		}),
		change(&cobra.Command{
			Use: "speed NUMBER", Short: "Set how many times as fast as the machine's clock the time runs",
			Example: "  wiemu clock speed 600   # ten minutes pass in a second\n  wiemu clock speed 1", Args: cobra.ExactArgs(1),
		}, func(cmd *cobra.Command, client *control.Client, args []string) (control.Status, error) {
			rate, err := strconv.ParseFloat(args[0], 64)
			if err != nil {
				return control.Status{}, cli.Usagef("expected a number such as 600, found %q", args[0])
			}
			return client.SetSpeed(cmd.Context(), rate)
		}),
		change(&cobra.Command{
			Use: "skew COMPONENT DURATION", Short: "Make the clock of one component of the lab wrong",
			Long: `Set the clock of one component of the lab ahead of lab time, or behind it. Components are
entra (the token service), resources (what access tokens open, such as vaults),
workloads (programs on the lab clock) and the issuers, by name. 0s corrects a clock.`,
			Example: `  wiemu clock skew entra +5m
  wiemu clock skew entra -5m
  wiemu clock skew entra 0s`, Args: cobra.ExactArgs(2),
		}, func(cmd *cobra.Command, client *control.Client, args []string) (control.Status, error) {
			return client.Skew(cmd.Context(), args[0], args[1])
		}),
	)
	return cmd
}

// statusTimeout bounds how long (wall time) an interrupted command waits for a status.
const statusTimeout = 15 * time.Second

// whereItStopped adds how far the clock came if the user interrupted the command.
func whereItStopped(ctx context.Context, client *control.Client, err error) error {
	if ctx.Err() == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statusTimeout)
	defer cancel()
	status, asked := client.Status(ctx)
	if asked != nil {
		return err
	}
	return fmt.Errorf("interrupted; the clock stopped at %s", status.Now.Format(time.RFC3339))
}

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

// negativesLast moves negative durations of clock commands behind --: to cobra they are flags.
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
