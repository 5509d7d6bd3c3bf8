package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/harness"
)

func newEnv(stateDir *string) *cobra.Command {
	var s selection
	var format string
	var leave bool
	cmd := &cobra.Command{
		Use:   "env [COMPONENT]",
		Short: "Print a workload's environment for a shell or an IDE",
		Long: `Print the variables that make the programs of a shell or an IDE the workload, and
unset those of the caller that would lead elsewhere. The server (wiemu serve) keeps
the token file fresh as long as it runs.`,
		Example: `  eval "$(wiemu env web --env dev)"
  eval "$(wiemu env --unset)"
  wiemu env web --env dev -o dotenv > .env
  wiemu env web --env dev --credential certificate`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if leave {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "unset", strings.Join(harness.Variables(), " "))
				return err
			}
			files, err := s.read(cmd)
			if err != nil {
				return err
			}
			client, err := needServer(cmd, *stateDir)
			if err != nil {
				return err
			}
			x, err := s.attach(cmd.Context(), client, files)
			if err != nil {
				return err
			}
			d, err := s.pick(x.files, x.declared, strings.Join(args, " "))
			if err != nil {
				return err
			}
			env, err := harness.Attach(cmd.Context(), client, d, x.files.Workloads())
			if err != nil {
				return err
			}
			set, unset := env.Changes(os.Environ())
			return printEnv(cmd.OutOrStdout(), format, set, unset)
		},
	}
	s.addFlags(cmd)
	s.addAccessFlags(cmd)
	cmd.Flags().BoolVar(&leave, "unset", false, "print what takes the variables away again; a server is not needed")
	addOutput(cmd, &format, "shell", "dotenv", "json")
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
		return printJSON(w, variables)
	}
	if format == "shell" && len(unset) > 0 {
		fmt.Fprintln(&lines, "unset", strings.Join(unset, " "))
	}
	_, err := io.WriteString(w, lines.String())
	return err
}

// quote makes a value one word of a POSIX shell.
func quote(value string) string { return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'" }
