package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/process"
	"github.com/wiemu/wiemu/harness/timeshift"
)

func newTimeshift(stateDir *string) *cobra.Command {
	var at, by, format string
	var speed float64
	var probe, explain bool
	var opts timeshift.Options
	cmd := &cobra.Command{
		Use:   "timeshift [flags] -- COMMAND [ARGUMENT...]",
		Short: "Run an unmodified program on another clock",
		Long: `Run an unmodified program, and all that it starts, on another clock: dates, monotonic
clocks, sleeps and time-outs. It needs no root and nothing in the program: Go, Python,
Node, Java, shells, linked statically or not (Linux, amd64 and arm64).

Without --at, --by and --speed it is the clock of the running server: wiemu clock
advance 25h then moves the program, too, timer by timer. (wiemu run --clock lockstep
does the same, and gives it an identity.)

Not shifted: times of files, processor time, signals of alarm(2) and timer_create(2),
timerfds, 32-bit programs. A debugger cannot attach. Programs that the command leaves
running end with it. The exit code is the command's.`,
		Example: `  wiemu timeshift --at 2026-12-31T23:59:55Z -- date
  wiemu timeshift --speed 3600 -- sh -c 'date; sleep 7200; date'
  wiemu timeshift -- ./my-app           # on the clock of wiemu serve
  wiemu timeshift --probe               # does it work on this machine?`,
		Args: func(cmd *cobra.Command, args []string) error {
			if !probe && len(args) == 0 {
				return usagef("expected -- and the command to run, such as: wiemu timeshift --by 25h -- date")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if probe {
				return showProbe(cmd, format)
			}
			opts.Explain = explain
			if at == "" && by == "" && !cmd.Flags().Changed("speed") {
				client, err := needServer(cmd, *stateDir)
				if err != nil {
					return fmt.Errorf("whose clock? give --at, --by or --speed, or follow a server: %w", err)
				}
				lab, err := harness.FollowClock(cmd.Context(), client)
				if err != nil {
					return err
				}
				defer func() { _ = lab.Close() }() // the lab's end of it may be gone
				return runShifted(cmd.Context(), lab, opts, args)
			}
			start, err := startOf(at, by)
			if err != nil {
				return err
			}
			lab := clock.Stopped(start)
			if speed != 0 {
				if err := lab.SetSpeed(speed); err != nil {
					return usagef("--speed: %w", err)
				}
			}
			return runShifted(cmd.Context(), lab, opts, args)
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "when it is: 2026-12-31T23:59:00Z")
	cmd.Flags().StringVar(&by, "by", "", "how much later (or, with -, earlier) than now it is: 25h")
	cmd.Flags().Float64Var(&speed, "speed", 1, "how fast time goes by; 0: not at all")
	cmd.Flags().BoolVar(&opts.WallOnly, "wall-only", false, "shift dates alone, and leave monotonic clocks, sleeps and time-outs as they are")
	cmd.Flags().BoolVar(&explain, "explain", false, "tell afterwards what was done to which program")
	cmd.Flags().BoolVar(&probe, "probe", false, "tell whether it works on this machine, and what it costs")
	addOutput(cmd, &format, "text", "json")
	return cmd
}

// startOf is the time at which the program begins.
func startOf(at, by string) (time.Time, error) {
	start := time.Now()
	if at != "" {
		var err error
		if start, err = time.Parse(time.RFC3339, at); err != nil {
			return start, usagef("--at: expected a time such as 2026-12-31T23:59:00Z, found %q", at)
		}
	}
	if by != "" {
		d, err := time.ParseDuration(by)
		if err != nil {
			return start, usagef("--by: expected a duration such as 25h or -5m, found %q", by)
		}
		start = start.Add(d)
	}
	return start, nil
}

// runShifted runs a command on a clock, with the caller's environment.
func runShifted(ctx context.Context, source timeshift.Source, opts timeshift.Options, command []string) error {
	c := process.Command{Args: command, Env: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	end, err := shiftTime(&c, source, opts)
	if err != nil {
		return err
	}
	code, err := startProgram(ctx, c)
	if why := end(); why != nil {
		return why
	}
	if err != nil {
		return err
	}
	return passOn(code)
}

// shiftTime prepares a command to run on a clock. The returned function cleans
// up, tells what was done if that is wanted, and returns what kept the command
// from starting.
func shiftTime(c *process.Command, source timeshift.Source, opts timeshift.Options) (end func() error, err error) {
	shift, err := timeshift.Start(source, opts)
	if err != nil {
		return nil, err
	}
	c.Wrappers = append(c.Wrappers, shift)
	return func() error {
		err := shift.Close()
		if err == nil && opts.Explain {
			for _, line := range shift.Report().Lines() {
				fmt.Fprintln(os.Stderr, "wiemu:", line)
			}
		}
		return err
	}, nil
}

func showProbe(cmd *cobra.Command, format string) error {
	p, err := timeshift.Probe(cmd.Context())
	if err != nil {
		return err
	}
	if format == "json" {
		return printJSON(cmd.OutOrStdout(), map[string]any{"cost": p.Cost.String(), "bare": p.Bare.String()})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "programs can run on a clock of their own here; asking for the time then takes %v instead of %v\n", p.Cost, p.Bare)
	return err
}
