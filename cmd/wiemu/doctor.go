package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/doctor"
)

func newDoctor(stateDir *string) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Show what this machine permits wiemu to do, and what to change where it does not",
		Long: `Show what this machine permits wiemu to do, and what to change where it does not:
directories, listeners, system calls, namespaces, Docker, the programs of wiemu, and
how the runtimes that are found trust the lab. Everything is tried, and nothing is
changed.

  ✓ works    ! works, with a limitation    ✗ does not work    – optional, not there

The exit code is 0 unless nothing can run on this machine: then it is 1. Values of
environment variables are never printed.`,
		Example: "  wiemu doctor\n  wiemu doctor -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := &cli.Lines{W: cmd.OutOrStdout()}
			observer := doctor.Observer{
				Found: func(f doctor.Finding) {
					if format == "text" {
						printFinding(out, f)
					}
				},
				Waiting: func(check string) { fmt.Fprintf(cmd.ErrOrStderr(), "wiemu: waiting for %s\n", check) },
			}
			report, err := doctor.Examine(cmd.Context(), doctor.This(*stateDir), observer)
			if err == nil && format == "json" {
				err = cli.PrintJSON(cmd.OutOrStdout(), report)
			}
			if err == nil {
				err = out.Err
			}
			if err == nil && !report.Ready {
				err = notReady(cmd.ErrOrStderr(), report)
			}
			return err
		},
	}
	cli.AddOutput(cmd, &format, "text", "json")
	return cmd
}

// notReady says why nothing can run.
func notReady(w io.Writer, r doctor.Report) error {
	if _, err := fmt.Fprintln(w, "wiemu:", r.Error()); err != nil {
		return err
	}
	return cli.ExitCode(1)
}

// printFinding prints what a check found on one line, and on others who needs it and what to
// change.
func printFinding(out *cli.Lines, f doctor.Finding) {
	marks := map[doctor.Status]string{doctor.OK: "✓", doctor.Limited: "!", doctor.Missing: "✗"}
	mark := marks[f.Status]
	if f.Optional && f.Status == doctor.Missing {
		mark = "–"
	}
	out.Print("%s %-22s %s\n", mark, f.Check, oneLine(f.Found))
	if f.Status == doctor.OK {
		return
	}
	if f.Status == doctor.Missing {
		out.Print("%25sneeded for: %s\n", "", f.For)
	}
	out.Print("%25s→ %s\n", "", oneLine(f.Remedy))
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
