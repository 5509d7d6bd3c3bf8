package main

import (
	"cmp"
	"embed"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/entra/aadsts"
)

func newErrors() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "errors [CODE]",
		Short: "Explain what an AADSTS code means and what to change",
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
					return cli.Usagef("expected a code such as 700213 or AADSTS700213, found %q", args[0])
				}
				e, ok := aadsts.Lookup(code)
				if !ok {
					return cli.Usagef("AADSTS%d is not in the catalogue of %d codes; wiemu errors lists them", code, len(entries))
				}
				entries = []aadsts.Entry{e}
			}
			switch {
			case format == "json":
				return cli.PrintJSON(cmd.OutOrStdout(), withTelemetry(entries))
			case format == "markdown":
				return printPage(cmd.OutOrStdout(), "errors", entries)
			case len(args) == 1:
				return printError(cmd.OutOrStdout(), entries[0])
			}
			out := &cli.Lines{W: cmd.OutOrStdout()}
			for _, e := range entries {
				out.Print("AADSTS%d  %s, HTTP %d (%s)\n    %s\n", e.Code, e.OAuth, e.Status, e.Confidence, e.Meaning)
			}
			return out.Err
		},
	}
	cli.AddOutput(cmd, &format, "text", "json", "markdown")
	return cmd
}

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

func printError(w io.Writer, e aadsts.Entry) error {
	out := &cli.Lines{W: w}
	out.Print("AADSTS%d  %s, HTTP %d (%s)\n    %s\n", e.Code, e.OAuth, e.Status, e.Confidence, e.Meaning)
	out.Print("\nText: %s\n\nWhat to change: %s\n\n", e.Text, e.Remedy)
	out.Print("error_uri: %s\nx-ms-clitelem: %s\n\nSource: %s\n", errorURI(e), aadsts.Telemetry(e.Code), e.Source)
	if e.NotEmitted != "" {
		out.Print("\nwiemu does not emit it: %s\n", e.NotEmitted)
	}
	return out.Err
}

func errorURI(e aadsts.Entry) string {
	if !e.URI {
		return "none"
	}
	return fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", e.Code)
}

//go:embed pages
var pages embed.FS

// printPage writes the page docs/NAME.md.
func printPage(w io.Writer, name string, entries any) error {
	page, err := template.New(name+".tmpl").Funcs(template.FuncMap{
		"type": parameterType, "default": func(p fault.Parameter) string { return cmp.Or(p.Default, "none") }, "join": strings.Join,
		"capital":    func(text string) string { return strings.ToUpper(text[:1]) + text[1:] },
		"withoutDot": func(text string) string { return strings.TrimSuffix(text, ".") },
	}).ParseFS(pages, "pages/"+name+".tmpl")
	if err != nil {
		return err
	}
	return page.Execute(w, entries)
}
