package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/draft"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/scenario"
)

func newScenario(stateDir *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "scenario",
		Example: "  wiemu scenario run\n  wiemu scenario new old-token\n  wiemu scenario check scenarios/\n  wiemu scenario list",
		Short:   "Write, check and run scenarios: files with steps and expectations",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(cli.NewScenarioRun(stateDir, nil, handOver), newScenarioNew(), newScenarioFrom(), newScenarioCheck(), newScenarioList())
	return cmd
}

func newScenarioList() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "list [FILE|NAME...]",
		Short:   "List scenarios with what they show",
		Long:    "List scenarios with what they show. The exit code is 2 if a file is invalid.",
		Example: "  wiemu scenario list\n  wiemu scenario list my.yaml -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := cli.LoadScenarios(cmd, args)
			if err != nil {
				return err
			}
			return cli.Print(cmd, format, list, func(out *cli.Lines) {
				for _, s := range list {
					title, _, _ := strings.Cut(s.Description, ". ")
					out.Print("%s\n    %s\n", s.Metadata.Name, strings.TrimSpace(title))
					for _, backend := range scenario.Backends() {
						if why := s.UnsupportedReason(backend); why != "" {
							out.Print("    not on %s: %s\n", backend, why)
						}
					}
				}
			})
		},
	}
	cli.AddOutput(cmd, &format, "table", "json")
	return cmd
}

func newScenarioFrom() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "from FILE",
		Short: "Draft a scenario from a recorded session",
		Long: `Draft a scenario from a session that wiemu record or wiemu serve --record has
written: its workloads, the changes to clock, keys and workloads, and for each token
request a run of wiemu-workload that makes the same request, with the recorded response
as expectation. A comment names what no step can express. Replace wiemu-workload by
the program that made the requests.`,
		Example: `  wiemu scenario from session.wiemu.json -o my-case.yaml
  wiemu scenario run my-case.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			recorded, err := readRecording(cmd, args[0])
			if err != nil {
				return err
			}
			text, err := draft.From(recorded, scenarioName(cmp.Or(file, args[0])))
			if err != nil {
				return err
			}
			if file == "" {
				_, err = cmd.OutOrStdout().Write(text)
				return err
			}
			if err := os.WriteFile(file, text, 0o644); err != nil {
				return fmt.Errorf("write the scenario: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "file to write (default: standard output)")
	return cmd
}

var notInScenarioNames = lazyregexp.New(`[^a-z0-9]+`)

func scenarioName(file string) string {
	base, _, _ := strings.Cut(strings.ToLower(filepath.Base(file)), ".")
	if name := strings.Trim(notInScenarioNames().ReplaceAllString(base, "-"), "-"); name != "" {
		return name
	}
	return "session"
}
