package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/yamlfile"
	"github.com/wiemu/wiemu/scenarios"
	"github.com/wiemu/wiemu/scenarios/library"
)

func newScenarioNew() *cobra.Command {
	var workload, from string
	var draft scenarios.Blank
	cmd := &cobra.Command{
		Use:   "new NAME [-- PROGRAM ARGUMENT...]",
		Short: "Write a scenario file to begin with",
		Long: `Write a commented scenario file, NAME.yaml, that is green as it is: a program runs in
a workload, an hour goes by, and it runs again with another token. The program is
wiemu-workload, or yours behind --; with --start it goes on running while the hour goes
by, as a server does (Linux: it lives on the lab clock). With --from-library the file is a copy of a case
that is built in. A file that is there already is left alone.`,
		Example: `  wiemu scenario new old-token
  wiemu scenario new scenarios/old-token -- ./my-app --once
  wiemu scenario new a-day --start -- my-daemon
  wiemu scenario new my-rotation --from-library key-removed-too-early`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || cmd.ArgsLenAtDash() == 0 {
				return fmt.Errorf("what is it called? name it by what happens, such as wiemu scenario new old-token")
			}
			if len(args) > 1 && cmd.ArgsLenAtDash() != 1 {
				return usagef("expected one name, found %d; a program comes behind --", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			draft.File = strings.TrimSuffix(args[0], ".yaml") + ".yaml"
			var text []byte
			var err error
			if from != "" {
				if len(args) > 1 || workload != "" || draft.ClientID != "" || draft.Start {
					return usagef("--from-library: expected no program, --start, --workload or --client-id beside it: the case has them")
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
	cmd.Flags().BoolVar(&draft.Start, "start", false, "the program goes on running, as a server does: the scenario starts it and lets an hour go by")
	cmd.Flags().StringVar(&from, "from-library", "", "copy this case; wiemu scenario list has their names")
	return cmd
}

// draftFor is a draft for a workload and a program, which scenarios start in
// directories of their own.
func draftFor(d scenarios.Blank, workload string, command []string) ([]byte, error) {
	if workload != "" {
		var both bool
		if d.Namespace, d.ServiceAccount, both = strings.Cut(workload, "/"); !both {
			return nil, usagef("--workload: expected NAMESPACE/SERVICEACCOUNT, such as shop/web-sa, found %q", workload)
		}
	}
	if d.Command = command; len(command) > 0 && command[0] != scenarios.Program {
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

// copyCase is a case of the library under another name.
func copyCase(name, file string) ([]byte, error) {
	text, err := fs.ReadFile(library.Files(), name+".yaml")
	if err == nil {
		return scenarios.Copy(text, file)
	}
	files, err := fs.Glob(library.Files(), "*.yaml")
	if err != nil {
		return nil, err
	}
	for i := range files {
		files[i] = strings.TrimSuffix(files[i], ".yaml")
	}
	fix := "wiemu scenario list has their names"
	if meant := yamlfile.Nearest(name, files); meant != "" {
		fix = "did you mean " + meant + "?"
	}
	return nil, usagef("--from-library: expected a case of the library, found %q; %s", name, fix)
}

// writeNew writes a file that is not there yet.
func writeNew(name string, text []byte) (err error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s is there already; choose another name, or remove it", name)
	case err != nil:
		return fmt.Errorf("write the scenario: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = file.Write(text)
	return err
}

func newScenarioCheck() *cobra.Command {
	var format string
	var on placesToRun
	cmd := &cobra.Command{
		Use:   "check FILE|DIRECTORY...",
		Short: "Say what is wrong in scenario files, without running them",
		Long: `Check scenario files as run does before it begins: fields, steps, names, and the types
of all expressions. Everything that is wrong is told, with file, line, column and what
to write instead. With --on it is told, too, which scenarios cannot run there without
saying so, which is no mistake. The exit code is 0 if nothing is wrong, 2 if something is.`,
		Example: `  wiemu scenario check my.yaml
  wiemu scenario check my.yaml --on compose,kind
  wiemu scenario check scenarios/ -o json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := on.check(); err != nil {
				return err
			}
			list, err := scenarios.Load(args...)
			var problems yamlfile.Problems
			if err != nil && !errors.As(err, &problems) {
				return err
			}
			if format == "json" {
				if problems == nil {
					problems = yamlfile.Problems{}
				}
				return errors.Join(printJSON(cmd.OutOrStdout(), map[string]any{"problems": problems}), wrong(problems))
			}
			if err != nil {
				return tellProblems(cmd, err)
			}
			out := &lines{w: cmd.OutOrStdout()}
			out.print("checked %d, and nothing is wrong\n", len(list))
			for _, s := range list {
				for place, why := range s.Undeclared().All() {
					if !slices.Contains(on.on, place) {
						continue
					}
					out.print("%s: makes no sense on %s, and does not say so: %s; add notOn: {%s: \"…\"}\n", s.Metadata.Name, place, why, place)
				}
			}
			return out.err
		},
	}
	on.addOn(cmd, "where they are to run")
	addOutput(cmd, &format, "text", "json")
	return cmd
}

// wrong is the exit code for files in which something is wrong.
func wrong(problems yamlfile.Problems) error {
	if len(problems) > 0 {
		return exitCode(2)
	}
	return nil
}
