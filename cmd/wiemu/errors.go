package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/entra/aadsts"
)

func newErrors() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "errors [CODE]",
		Short: "Say what an AADSTS code means and what to change",
		Example: `  wiemu errors
  wiemu errors 700213
  wiemu errors AADSTS700213 -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			entries := aadsts.Catalogue()
			if len(args) == 1 {
				code, err := strconv.Atoi(strings.TrimPrefix(strings.ToUpper(args[0]), "AADSTS"))
				if err != nil {
					return fmt.Errorf("expected a code such as 700213 or AADSTS700213, found %q", args[0])
				}
				e, ok := aadsts.Lookup(code)
				if !ok {
					return fmt.Errorf("AADSTS%d is not in the catalogue of %d codes; wiemu errors lists them", code, len(entries))
				}
				entries = []aadsts.Entry{e}
			}
			if format == "json" {
				return printJSON(cmd.OutOrStdout(), entries)
			}
			out := &lines{w: cmd.OutOrStdout()}
			for _, e := range entries {
				out.print("AADSTS%d  %s, HTTP %d (%s)\n    %s\n", e.Code, e.OAuth, e.Status, e.Confidence, e.Meaning)
				if len(args) == 1 {
					out.print("\nText: %s\n\nWhat to change: %s\n\nSource: %s\n", e.Text, e.Remedy, e.Source)
				}
			}
			return out.err
		},
	}
	addOutput(cmd, &format, "text", "json")
	return cmd
}
