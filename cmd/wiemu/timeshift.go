package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/run"
	"github.com/wiemu/wiemu/internal/timeshift"
)

func newTimeshift(stateDir *string) *cobra.Command {
	var at, by, format string
	var speed float64
	var probe bool
	var opts timeshift.Options
	cmd := &cobra.Command{
		Use:   "timeshift [flags] -- COMMAND [ARGUMENT...]",
		Short: "Run an unmodified program on another clock",
		Long: `Run an unmodified program, and all that it starts, on another clock: dates, monotonic
clocks, sleeps, time-outs and timers. It needs no root and nothing in the program: Go, Python,
Node, Java, shells, linked statically or not (Linux, amd64 and arm64).

Without --at, --by and --speed it is the clock of the running server: wiemu clock
advance 25h then moves the program's clock as well, timer by timer. (wiemu run --clock
lockstep does the same, and gives the program an identity.)

Not shifted: times of files, processor time, timerfds where pidfd_getfd(2) is not
permitted, 32-bit programs. Times of files are the machine's: a program that compares them
with its clock, as make and the token cache on disk of Python's msal-extensions do, may take
a file for older or newer than it is. A wait of at most 100 ms may end early while time
stands. On arm64 a clock read takes microseconds instead of nanoseconds. --explain names the
programs that any of this is about, but for times of files and processor time. A debugger
cannot attach. Programs that the command leaves running end with it. The exit code is the
command's.`,
		Example: `  wiemu timeshift --at 2026-12-31T23:59:55Z -- date
  wiemu timeshift --speed 3600 -- sh -c 'date; sleep 7200; date'
  wiemu timeshift -- ./my-app           # on the clock of wiemu serve
  wiemu timeshift --probe               # does it work on this machine?`,
		Args: func(cmd *cobra.Command, args []string) error {
			if !probe && len(args) == 0 {
				return cli.Usagef("expected -- and the command to run, such as: wiemu timeshift --by 25h -- date")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if probe {
				return showProbe(cmd, format)
			}
			if at == "" && by == "" && !cmd.Flags().Changed("speed") {
				client, err := needServer(cmd, *stateDir)
				if err != nil {
					return fmt.Errorf("which clock? give --at, --by or --speed, or start a server: %w", err)
				}
				lab, err := run.FollowClock(cmd.Context(), client)
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
					return cli.Usagef("--speed: %w", err)
				}
			}
			return runShifted(cmd.Context(), lab, opts, args)
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "time at which the program starts: 2026-12-31T23:59:00Z")
	cmd.Flags().StringVar(&by, "by", "", "how far ahead of now (or, with -, behind) the clock is: 25h")
	cmd.Flags().Float64Var(&speed, "speed", 1, "how many times as fast as the machine's clock time runs; 0 stops it")
	cmd.Flags().BoolVar(&opts.WallOnly, "wall-only", false, "shift only dates, not monotonic clocks, sleeps and time-outs")
	cmd.Flags().BoolVar(&opts.Explain, "explain", false, "report at the end what was done to each program")
	cmd.Flags().BoolVar(&probe, "probe", false, "report whether it works on this machine, and what it costs")
	cli.AddOutput(cmd, &format, "text", "json")
	return cmd
}

// startOf is the time at which the program begins.
func startOf(at, by string) (time.Time, error) {
	start := time.Now()
	if at != "" {
		var err error
		if start, err = time.Parse(time.RFC3339, at); err != nil {
			return start, cli.Usagef("--at: expected a time such as 2026-12-31T23:59:00Z, found %q", at)
		}
	}
	if by != "" {
		d, err := time.ParseDuration(by)
		if err != nil {
			return start, cli.Usagef("--by: expected a duration such as 25h or -5m, found %q", by)
		}
		start = start.Add(d)
	}
	return start, nil
}

// runShifted runs a command on a clock, with the caller's environment.
func runShifted(ctx context.Context, source timeshift.Source, opts timeshift.Options, command []string) error {
	p := run.Program{Command: command, Options: run.Options{Clock: source, Shift: opts}}
	if opts.Explain {
		p.Explain = explainShift
	}
	code, err := p.Run(ctx)
	if err != nil {
		return startError(err)
	}
	return cli.PassOn(code)
}

// explainShift prints what was done to the clocks of programs.
func explainShift(r timeshift.Report) {
	for _, line := range r.Lines() {
		fmt.Fprintln(os.Stderr, "wiemu:", line)
	}
}

func showProbe(cmd *cobra.Command, format string) error {
	p, err := timeshift.Probe(cmd.Context())
	if err != nil {
		return startError(err)
	}
	if format == "json" {
		return cli.PrintJSON(cmd.OutOrStdout(), map[string]any{"cost": p.Cost.String(), "bare": p.Bare.String()})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "programs can run on a clock of their own on this machine; reading the time then takes %v instead of %v\n", p.Cost, p.Bare)
	return err
}
