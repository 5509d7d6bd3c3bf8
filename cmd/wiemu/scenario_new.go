package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/scenario"
	"github.com/wiemu/wiemu/internal/yamlfile"
	"github.com/wiemu/wiemu/scenarios"
)

func newScenarioNew() *cobra.Command {
	var workload, from string
	var draft scenario.Blank
	cmd := &cobra.Command{
		Use:   "new NAME [-- PROGRAM ARGUMENT...]",
		Short: "Write a scenario file to start from",
		Long: `Write a commented scenario file, NAME.yaml, that passes as it is: a program runs as a
workload, an hour passes, and it runs again with another token. The program is
wiemu-workload, or yours behind --; with --start it keeps running during that hour, as
a server does (Linux: on the lab clock). With --from-library the file is a copy of a
built-in scenario. An existing file is not overwritten.`,
		Example: `  wiemu scenario new old-token
  wiemu scenario new scenarios/old-token -- ./my-app --once
  wiemu scenario new a-day --start -- my-daemon
  wiemu scenario new my-rotation --from-library key-removed-too-early`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || cmd.ArgsLenAtDash() == 0 {
				return fmt.Errorf("expected a name that says what happens, such as wiemu scenario new old-token")
			}
			if len(args) > 1 && cmd.ArgsLenAtDash() != 1 {
				return cli.Usagef("expected one name, found %d; a program comes behind --", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			draft.File = strings.TrimSuffix(args[0], ".yaml") + ".yaml"
			var text []byte
			var err error
			if from != "" {
				if len(args) > 1 || workload != "" || draft.ClientID != "" || draft.Start {
					return cli.Usagef("--from-library: expected no program, --start, --workload or --client-id beside it: the case has them")
				}
				text, err = copyCase(from, draft.File)
			} else {
				text, err = draftFor(draft, workload, args[1:])
			}
			if err != nil {
				return err
			}
			if err := writeNew(draft.File, text); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s; next:\n  wiemu scenario run %[1]s\n", draft.File)
			return err
		},
	}
	cmd.Flags().StringVar(&workload, "workload", "", "NAMESPACE/SERVICEACCOUNT of the workload (default shop/web-sa)")
	cmd.Flags().StringVar(&draft.ClientID, "client-id", "", "client id of its identity (default: a new one)")
	cmd.Flags().BoolVar(&draft.Start, "start", false, "the program keeps running, as a server does: the scenario starts it and lets an hour pass")
	cmd.Flags().StringVar(&from, "from-library", "", "copy this built-in scenario; wiemu scenario list has their names")
	return cmd
}

// draftFor returns a draft; paths become absolute, as programs run in another directory.
func draftFor(d scenario.Blank, workload string, command []string) ([]byte, error) {
	if workload != "" {
		var both bool
		if d.Namespace, d.ServiceAccount, both = strings.Cut(workload, "/"); !both {
			return nil, cli.Usagef("--workload: expected NAMESPACE/SERVICEACCOUNT, such as shop/web-sa, found %q", workload)
		}
	}
	if d.Command = command; len(command) > 0 && command[0] != scenario.Program {
		found, err := exec.LookPath(command[0])
		if err != nil {
			return nil, fmt.Errorf("the program: %w", err)
		}
		if strings.ContainsRune(command[0], filepath.Separator) {
			if d.Command[0], err = filepath.Abs(found); err != nil {
				return nil, err
			}
		}
	}
	return d.Text()
}

func copyCase(name, file string) ([]byte, error) {
	text, err := fs.ReadFile(scenarios.Library(), name+".yaml")
	if err == nil {
		return scenario.Copy(text, file)
	}
	files, err := fs.Glob(scenarios.Library(), "*.yaml")
	if err != nil {
		return nil, err
	}
	for i := range files {
		files[i] = strings.TrimSuffix(files[i], ".yaml")
	}
	fix := cmp.Or(yamlfile.DidYouMean(name, files), "wiemu scenario list has their names")
	return nil, cli.Usagef("--from-library: expected a case of the library, found %q; %s", name, fix)
}

func writeNew(name string, text []byte) (err error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist):
		return isThere(name)
	case err != nil:
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = file.Write(text)
	return err
}

func isThere(name string) error {
	return fmt.Errorf("%s is there already; choose another name, or remove it", name)
}

func newScenarioCheck() *cobra.Command {
	var format string
	var on cli.Backends
	cmd := &cobra.Command{
		Use:   "check FILE|DIRECTORY...",
		Short: "Check scenario files without running them",
		Long: `Check scenario files as run does before it begins: fields, steps, names, and the types
of all expressions. Every problem is reported with file, line, column and what to
write instead. With --on, scenarios that cannot run there and do not say so with notOn
are listed as well, which is not an error. The exit code is 0 if there are no
problems, else 2.`,
		Example: `  wiemu scenario check my.yaml
  wiemu scenario check my.yaml --on compose,kind
  wiemu scenario check scenarios/ -o json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := on.Check(); err != nil {
				return err
			}
			list, err := file.ReadContext(cmd.Context(), func() ([]scenario.Scenario, error) { return scenario.Load(args...) })
			var problems yamlfile.Problems
			if err != nil && !errors.As(err, &problems) {
				return err
			}
			var warnings []yamlfile.Problem
			for _, s := range list {
				warnings = append(warnings, s.Warnings()...)
			}
			if format == "json" {
				all := append(append(yamlfile.Problems{}, problems...), warnings...)
				return errors.Join(cli.PrintJSON(cmd.OutOrStdout(), map[string]any{"problems": all}), wrong(problems))
			}
			if err != nil {
				return cli.TellProblems(cmd, err)
			}
			cli.TellWarnings(cmd, warnings)
			out := &cli.Lines{W: cmd.OutOrStdout()}
			out.Print("checked %d, no problems\n", len(list))
			for _, s := range list {
				for place, why := range s.Undeclared().All() {
					if slices.Contains(on.On, place) {
						out.Print("%s: is not supported on %s, and does not say so: %s; add notOn: {%s: \"…\"}\n", s.Metadata.Name, place, why, place)
					}
				}
			}
			return out.Err
		},
	}
	on.AddOn(cmd, "where they will run")
	cli.AddOutput(cmd, &format, "text", "json")
	return cmd
}

// wrong is the exit code for files in which something is wrong.
func wrong(problems yamlfile.Problems) error {
	if len(problems) > 0 {
		return cli.ExitCode(2)
	}
	return nil
}
