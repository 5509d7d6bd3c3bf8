package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
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
		Example: "  wiemu scenario run\n  wiemu scenario new old-token\n  wiemu scenario check scenarios/\n  wiemu scenario list",
		Short:   "Write, check and run scenarios: files that say what should happen",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newScenarioRun(stateDir), newScenarioNew(), newScenarioFrom(), newScenarioCheck(), newScenarioList())
	return cmd
}

func newScenarioRun(stateDir *string) *cobra.Command {
	var opts scenarios.Options
	var chosen choice
	on := placesToRun{stateDir: stateDir}
	var format, journals, chaos string
	var pictures pictures
	cmd := &cobra.Command{
		Use:   "run [FILE|DIRECTORY|NAME...]",
		Short: "Run scenario files, or without any the ones that are built in",
		Long: `Run scenarios, each in a lab of its own whose clock moves only by the scenario's
steps. A directory stands for the YAML files in it, and NAME is a built-in one. The exit code is 0 if all
passed, 1 if one failed, 2 if a file or what was typed is wrong or none was selected,
130 if they were interrupted.

With --on they run elsewhere: in containers (compose), or as pods of a cluster
(kind). Where a scenario makes no sense it is not run, and the report says why.

In GitHub Actions, failures are also annotations at the lines of the files, and
the job's summary has them.

Two runs of a scenario record the same journal, machine times and made-up ids
aside: -o json has a hash of it, --journal writes it, and --count tells where two
runs differ.`,
		Example: `  wiemu scenario run
  wiemu scenario run token-rotated
  wiemu scenario run scenarios/ --run '^key-' --fail-fast
  wiemu scenario run scenarios/ --shard 2/5 -o junit > report.xml
  wiemu scenario run my.yaml --count 20
  wiemu scenario run my.yaml --on process,kind
  wiemu scenario run my.yaml --chaos random
  wiemu scenario run scenarios/ --report --report-dir pictures`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.Parallel < 0 {
				return usagef("--parallel: expected a number of scenarios, or 0 for that of the processors, found %d", opts.Parallel)
			}
			if err := pictures.check(cmd); err != nil {
				return err
			}
			if err := on.check(); err != nil {
				return err
			}
			if opts.Timeout < 0 {
				return usagef("--timeout: expected a duration above zero, found %v", opts.Timeout)
			}
			selection, err := chosen.parse()
			if err != nil {
				return err
			}
			list, err := loadScenarios(cmd, args)
			if err != nil {
				return err
			}
			if list, err = selection.Of(list); err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "wiemu:", err)
				return exitCode(2)
			}
			if err := on.missing(list); err != nil {
				return err
			}
			if opts.Chaos, err = chaosSeed(chaos, cmd.ErrOrStderr()); err != nil {
				return err
			}
			dir, err := state.Open(*stateDir)
			if err != nil {
				return err
			}
			keys, err := keyring.OpenPool(dir.KeyDir(), keyring.PoolOptions{})
			if err != nil {
				return err
			}
			on.told = cmd.ErrOrStderr()
			places, err := on.open(cmd.Context(), list, keys)
			defer func() {
				if err := errors.Join(places.close(context.WithoutCancel(cmd.Context())), keys.Close()); err != nil {
					fmt.Fprintln(cmd.ErrOrStderr(), "wiemu: while cleaning up:", err)
				}
			}()
			if err := interrupted(cmd, err); err != nil {
				return err
			}
			opts.Places = places.all()
			out := cmd.OutOrStdout()
			var line *progress
			if format == "table" {
				opts.Out = out
				if line = newProgress(out); line != nil {
					opts.Out, opts.Progress = line, line.show
				}
			}
			report := scenarios.Run(cmd.Context(), list, opts)
			line.end()
			if cmd.Context().Err() != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "wiemu: interrupted: %s\n", report.Counts())
				return exitCode(130)
			}
			write := map[string]func(io.Writer) error{"table": report.WriteEnd, "json": report.WriteJSON, "junit": report.WriteJUnit}[format]
			if journals != "" {
				if err := report.WriteJournals(journals); err != nil {
					return err
				}
			}
			if err := pictures.draw(cmd, &report); err != nil {
				return err
			}
			if err := errors.Join(write(out), newGitHub(cmd.ErrOrStderr()).report(report)); err != nil {
				return err
			}
			if report.NotHere > 0 && report.NotHere == len(report.Scenarios) {
				fmt.Fprintf(cmd.ErrOrStderr(), "wiemu: nothing was run: none of the scenarios makes sense on %s; run them on another place with --on\n", strings.Join(on.on, ", "))
				return exitCode(2)
			}
			return passOn(report.ExitCode())
		},
	}
	cmd.Flags().IntVar(&opts.Parallel, "parallel", 0, "scenarios at a time (default: the number of processors)")
	cmd.Flags().DurationVar(&opts.Timeout, "timeout", 0, "how long a scenario may take on the machine's clock (default 10m)")
	cmd.Flags().BoolVar(&opts.FailFast, "fail-fast", false, "begin no further scenario after one has failed")
	chosen.addFlags(cmd)
	on.addFlags(cmd)
	cmd.Flags().StringVar(&journals, "journal", "", "directory to write each scenario's journal to, without machine times and with ids by ordinal, so that two runs can be compared")
	pictures.addFlags(cmd)
	addChaos(cmd, &chaos)
	addOutput(cmd, &format, "table", "json", "junit")
	return cmd
}

// choice is which scenarios are run, as flags say it.
type choice struct {
	run, shard string
	count      int
}

func (c *choice) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.run, "run", "", "only scenarios whose name matches this regular expression")
	cmd.Flags().StringVar(&c.shard, "shard", "", "only this part of them, such as 2/5: the second of five")
	cmd.Flags().IntVar(&c.count, "count", 1, "run each this often, to find those that fail now and then")
}

func (c *choice) parse() (s scenarios.Selection, err error) {
	if c.run != "" {
		if s.Names, err = regexp.Compile(c.run); err != nil {
			return s, usagef("--run: expected a regular expression: %w", err)
		}
	}
	if c.shard != "" {
		if s.Shard, err = scenarios.ParseShard(c.shard); err != nil {
			return s, usagef("--shard: %w", err)
		}
	}
	if c.count < 1 {
		return s, usagef("--count: expected a number above zero, found %d", c.count)
	}
	s.Count = c.count
	return s, nil
}

func newScenarioList() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "list [FILE|NAME...]",
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
				for _, place := range scenarios.Places() {
					if why := s.WhyNotOn(place); why != "" {
						out.print("    not on %s: %s\n", place, why)
					}
				}
			}
			return out.err
		},
	}
	addOutput(cmd, &format, "table", "json")
	return cmd
}

// loadScenarios reads files and built-in scenarios by name, or without any name all of
// the built-in library. What is wrong
// in files is told, and ends with an exit code of its own.
func loadScenarios(cmd *cobra.Command, files []string) ([]scenarios.Scenario, error) {
	if len(files) == 0 {
		return scenarios.LoadFS(library.Files())
	}
	list, err := scenarios.LoadNamed(library.Files(), files...)
	if err != nil {
		return nil, tellProblems(cmd, err)
	}
	return list, nil
}

// tellProblems says what is wrong in files, one problem a line.
func tellProblems(cmd *cobra.Command, err error) error {
	err = newGitHub(cmd.ErrOrStderr()).problems(err)
	fmt.Fprintln(cmd.ErrOrStderr(), "wiemu:", err)
	return exitCode(2)
}
