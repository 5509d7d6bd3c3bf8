package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/harness/state"
	"github.com/wiemu/wiemu/scenarios"
	"github.com/wiemu/wiemu/scenarios/library"
)

func newScenario(stateDir *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "scenario",
		Example: "  wiemu scenario run\n  wiemu scenario list",
		Short:   "Run scenarios: files that say what should happen",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newScenarioRun(stateDir), newScenarioList())
	return cmd
}

func newScenarioRun(stateDir *string) *cobra.Command {
	var opts scenarios.Options
	var format string
	cmd := &cobra.Command{
		Use:   "run [FILE...]",
		Short: "Run scenario files, or without any the ones that are built in",
		Long: `Run scenarios, each in a lab of its own whose clock moves only by the scenario's
steps. The exit code is 0 if all passed, 1 if one failed, 2 if a file is wrong,
130 if they were interrupted.`,
		Example: `  wiemu scenario run
  wiemu scenario run scenarios/library/*.yaml
  wiemu scenario run --parallel 1 -o junit my.yaml > report.xml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.Parallel < 0 {
				return fmt.Errorf("--parallel: expected a number of scenarios, or 0 for that of the processors, found %d", opts.Parallel)
			}
			list, err := loadScenarios(cmd, args)
			if err != nil {
				return err
			}
			if err := opts.Check(list); err != nil {
				return err
			}
			dir, err := state.Open(*stateDir)
			if err != nil {
				return err
			}
			if opts.Keys, err = keyring.OpenPool(dir.KeyDir(), keyring.PoolOptions{}); err != nil {
				return err
			}
			defer func() {
				if err := opts.Keys.Close(); err != nil {
					fmt.Fprintln(cmd.ErrOrStderr(), "wiemu: while cleaning up:", err)
				}
			}()
			out := cmd.OutOrStdout()
			if format == "table" {
				opts.Out = out
			}
			report := scenarios.Run(cmd.Context(), list, opts)
			if cmd.Context().Err() != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "wiemu: interrupted")
				return exitCode(130)
			}
			write := map[string]func(io.Writer) error{"table": report.WriteEnd, "json": report.WriteJSON, "junit": report.WriteJUnit}[format]
			if err := write(out); err != nil {
				return err
			}
			return passOn(report.ExitCode())
		},
	}
	cmd.Flags().IntVar(&opts.Parallel, "parallel", 0, "scenarios at a time (default: the number of processors)")
	cmd.Flags().StringVar(&opts.Program, "workload", "", "path of wiemu-workload (default: beside wiemu, else in PATH)")
	addOutput(cmd, &format, "table", "json", "junit")
	return cmd
}

func newScenarioList() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "list [FILE...]",
		Short:   "List scenarios with what they show",
		Long:    "List scenarios with what they show. The exit code is 2 if a file is wrong.",
		Example: "  wiemu scenario list\n  wiemu scenario list my.yaml -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := loadScenarios(cmd, args)
			if err != nil {
				return err
			}
			if format == "json" {
				return printJSON(cmd.OutOrStdout(), list)
			}
			out := &lines{w: cmd.OutOrStdout()}
			for _, s := range list {
				title, _, _ := strings.Cut(s.Description, ". ")
				out.print("%s\n    %s\n", s.Metadata.Name, strings.TrimSpace(title))
			}
			return out.err
		},
	}
	addOutput(cmd, &format, "table", "json")
	return cmd
}

// loadScenarios reads files, or without any the built-in library. What is wrong
// in files is told, and ends with an exit code of its own.
func loadScenarios(cmd *cobra.Command, files []string) ([]scenarios.Scenario, error) {
	if len(files) == 0 {
		return scenarios.LoadFS(library.Files())
	}
	list, err := scenarios.Load(files...)
	if err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "wiemu:", err)
		return nil, exitCode(2)
	}
	return list, nil
}
