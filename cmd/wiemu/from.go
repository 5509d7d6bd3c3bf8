package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/scenarios/draft"
)

func newScenarioFrom() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "from FILE",
		Short: "Draft a scenario from a recorded session",
		Long: `Draft a scenario from a session that wiemu record or wiemu serve --record has
written: its workloads, what was done to clock, keys and workloads, and for each token
request a run of wiemu-workload that asks for the same, with what was answered as
expectation. What no step expresses is said in a comment. Put the program that made
the requests in the place of wiemu-workload.`,
		Example: `  wiemu scenario from session.wiemu.json -o my-case.yaml
  wiemu scenario run my-case.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			recorded, err := readRecording(cmd, args[0])
			if err != nil {
				return err
			}
			named := args[0]
			if file != "" {
				named = file
			}
			text, err := draft.From(recorded, scenarioName(named))
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

var notInScenarioNames = regexp.MustCompile(`[^a-z0-9]+`)

// scenarioName is a file's name as that of a scenario.
func scenarioName(file string) string {
	base, _, _ := strings.Cut(strings.ToLower(filepath.Base(file)), ".")
	if name := strings.Trim(notInScenarioNames.ReplaceAllString(base, "-"), "-"); name != "" {
		return name
	}
	return "session"
}
