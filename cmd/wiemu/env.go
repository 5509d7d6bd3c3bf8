package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/session"
)

func newEnv(stateDir *string) *cobra.Command {
	var s selection
	var format string
	var leave bool
	cmd := &cobra.Command{
		Use:   "env [COMPONENT]",
		Short: "Print a workload's environment for a shell or an IDE",
		Long: `Print the variables with which programs of a shell or an IDE run as the workload, and
unset the caller's that would point to other identities or hosts. The server (wiemu
serve) refreshes the token file as long as it runs.`,
		Example: `  eval "$(wiemu env web --env dev)"
  eval "$(wiemu env --unset)"
  wiemu env web --env dev -o dotenv > .env
  wiemu env web --env dev --credential certificate`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if leave {
				_, err := io.WriteString(cmd.OutOrStdout(), restore(os.Getenv(savedNames)))
				return err
			}
			x, d, err := s.pickInServer(cmd, *stateDir, args)
			if err != nil {
				return err
			}
			env, err := session.Admit(cmd.Context(), x.client, d, x.files.WorkloadsAlone().Workloads())
			if err != nil {
				return err
			}
			set, unset := env.Changes(os.Environ())
			set = slices.DeleteFunc(set, pointsAtNothing)
			return printEnv(cmd.OutOrStdout(), format, set, unset)
		},
	}
	s.addFlags(cmd)
	s.addAccessFlags(cmd)
	cmd.Flags().BoolVar(&leave, "unset", false, "print commands that restore the previous variables; needs no server")
	cli.AddOutput(cmd, &format, "shell", "dotenv", "json")
	return cmd
}

func printEnv(w io.Writer, format string, set, unset []string) error {
	variables := map[string]string{}
	var lines strings.Builder
	for _, v := range set {
		name, value, _ := strings.Cut(v, "=")
		variables[name] = value
		switch format {
		case "shell":
			fmt.Fprintf(&lines, "export %s=%s\n", name, quote(value))
		case "dotenv":
			fmt.Fprintf(&lines, "%s=%s\n", name, quote(value))
		}
	}
	if format == "json" {
		return cli.PrintJSON(w, variables)
	}
	unset = slices.DeleteFunc(unset, func(name string) bool { return !shellName().MatchString(name) })
	if format == "shell" {
		if _, err := io.WriteString(w, save(os.Getenv(savedNames), slices.Concat(slices.Collect(maps.Keys(variables)), unset))); err != nil {
			return err
		}
		if len(unset) > 0 {
			fmt.Fprintln(&lines, "unset", strings.Join(unset, " "))
		}
	}
	_, err := io.WriteString(w, lines.String())
	return err
}

// The previous values are saved in shell variables that programs do not inherit: one for
// each that was set, and an exported one with the names of all that were changed.
const (
	savedNames = "WIEMU_SAVED"
	savedValue = savedNames + "_"
)

var shellName = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

// save returns shell code that saves the values of variables before they change. Names in
// remembered are saved already: their present values are wiemu's.
func save(remembered string, names []string) string {
	var b strings.Builder
	all := strings.Fields(remembered)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if slices.Contains(all, name) {
			continue
		}
		all = append(all, name)
		if before, ok := os.LookupEnv(name); ok {
			fmt.Fprintf(&b, "%s%s=%s\n", savedValue, name, quote(before))
		}
	}
	fmt.Fprintf(&b, "export %s=%s\n", savedNames, quote(strings.Join(all, " ")))
	return b.String()
}

// restore returns shell code that restores the saved variables. Without saved ones it
// unsets everything that wiemu env may have set.
func restore(remembered string) string {
	names := slices.DeleteFunc(strings.Fields(remembered), func(name string) bool { return !shellName().MatchString(name) })
	if len(names) == 0 {
		return "unset " + strings.Join(slices.DeleteFunc(session.Variables(), func(name string) bool { return name == kubeconfig }), " ") + "\n"
	}
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "if [ \"${%[1]s%[2]s+set}\" ]; then export %[2]s=\"$%[1]s%[2]s\"; unset %[1]s%[2]s; else unset %[2]s; fi\n", savedValue, name)
	}
	fmt.Fprintln(&b, "unset", savedNames)
	return b.String()
}

const kubeconfig = "KUBECONFIG"

// pointsAtNothing reports whether a variable names a missing kubeconfig: a shell keeps its own.
func pointsAtNothing(variable string) bool {
	file, ok := strings.CutPrefix(variable, kubeconfig+"=")
	if !ok {
		return false
	}
	_, err := os.Stat(file)
	return err != nil
}

// quote makes a value one word of a POSIX shell.
func quote(value string) string { return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'" }
