package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "version",
		Example: "  wiemu version\n  wiemu version -o json",
		Short:   "Print the version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := version()
			if format == "json" {
				return printJSON(cmd.OutOrStdout(), v)
			}
			out := &lines{w: cmd.OutOrStdout()}
			out.print("wiemu %s", v.Version)
			if v.Revision != "" {
				out.print(" %s", v.Revision)
			}
			out.print(" %s %s\n", v.Go, v.Platform)
			return out.err
		},
	}
	addOutput(cmd, &format, "text", "json")
	return cmd
}

// build is which wiemu this is.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the repository
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func version() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: fmt.Sprintf("%s/%s", runtime.GOOS, runtime.GOARCH)}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.Version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
	}
	return b
}
