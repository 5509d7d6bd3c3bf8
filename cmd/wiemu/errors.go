package main

import (
	"cmp"
	"fmt"
	"io"
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
  wiemu errors AADSTS700213 -o json
  wiemu errors -o markdown > errors.md`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			entries := aadsts.Catalogue()
			if len(args) == 1 {
				code, err := strconv.Atoi(strings.TrimPrefix(strings.ToUpper(args[0]), "AADSTS"))
				if err != nil {
					return usagef("expected a code such as 700213 or AADSTS700213, found %q", args[0])
				}
				e, ok := aadsts.Lookup(code)
				if !ok {
					return usagef("AADSTS%d is not in the catalogue of %d codes; wiemu errors lists them", code, len(entries))
				}
				entries = []aadsts.Entry{e}
			}
			switch {
			case format == "json":
				return printJSON(cmd.OutOrStdout(), withTelemetry(entries))
			case format == "markdown":
				return printErrorPage(cmd.OutOrStdout(), entries)
			case len(args) == 1:
				return printError(cmd.OutOrStdout(), entries[0])
			}
			out := &lines{w: cmd.OutOrStdout()}
			for _, e := range entries {
				out.print("AADSTS%d  %s, HTTP %d (%s)\n    %s\n", e.Code, e.OAuth, e.Status, e.Confidence, e.Meaning)
			}
			return out.err
		},
	}
	addOutput(cmd, &format, "text", "json", "markdown")
	return cmd
}

// errorEntry is an entry with the header that goes with it.
type errorEntry struct {
	aadsts.Entry
	Telemetry string `json:"x-ms-clitelem"`
}

func withTelemetry(entries []aadsts.Entry) []errorEntry {
	all := make([]errorEntry, len(entries))
	for i, e := range entries {
		all[i] = errorEntry{e, aadsts.Telemetry(e.Code)}
	}
	return all
}

// printError shows all that is known about one code.
func printError(w io.Writer, e aadsts.Entry) error {
	out := &lines{w: w}
	out.print("AADSTS%d  %s, HTTP %d (%s)\n    %s\n", e.Code, e.OAuth, e.Status, e.Confidence, e.Meaning)
	out.print("\nText: %s\n\nWhat to change: %s\n\n", e.Text, e.Remedy)
	out.print("error_uri: %s\nx-ms-clitelem: %s\n\nSource: %s\n", errorURI(e), aadsts.Telemetry(e.Code), e.Source)
	if e.Never != "" {
		out.print("\nwiemu does not give it: %s\n", e.Never)
	}
	return out.err
}

// errorURI is what the reply has as error_uri.
func errorURI(e aadsts.Entry) string {
	if !e.URI {
		return "none"
	}
	return fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", e.Code)
}

// printErrorPage writes docs/errors.md.
func printErrorPage(w io.Writer, entries []aadsts.Entry) error {
	out := &lines{w: w}
	out.print(`# The refusals of Entra ID

<!-- Generated: go test ./cmd/wiemu -run TestErrorPage -update -->

What Entra ID answers a workload that asks for a token, code by code, in the order in
which the codes can be met. wiemu gives the same replies. MSAL clients get
` + "`x-ms-clitelem: 1,CODE,0,,`" + ` with them. How well a fact is known:
*seen* in a recorded reply or a log, *documented* by Microsoft, *inferred* from its neighbours.

| Code | error | HTTP | error_uri | known | given by wiemu |
|---|---|---|---|---|---|
`)
	for _, e := range entries {
		given := cmp.Or(e.Never, "yes")
		uri := "no"
		if e.URI {
			uri = "yes"
		}
		out.print("| [%d](#aadsts%d) | %s | %d | %s | %s | %s |\n", e.Code, e.Code, e.OAuth, e.Status, uri, e.Confidence, given)
	}
	for _, e := range entries {
		out.print("\n## AADSTS%d\n\n```text\n%s\n```\n\n%s\n\n**What to change:** %s\n\nSource: %s.\n", e.Code, e.Text, e.Meaning, e.Remedy, strings.TrimSuffix(e.Source, "."))
	}
	return out.err
}
