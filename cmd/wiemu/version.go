package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/internal/cli"
)

func newVersion() *cobra.Command {
	return cli.Show(&cobra.Command{
		Use:     "version",
		Example: "  wiemu version\n  wiemu version -o json",
		Short:   "Print the version",
		Args:    cobra.NoArgs,
	}, func(*cobra.Command, []string) (build, error) { return version(), nil }, func(out *cli.Lines, v build) {
		out.Print("wiemu %s", v.Version)
		if v.Revision != "" {
			out.Print(" %s", v.Revision)
		}
		out.Print(" %s %s\n", v.Go, v.Platform)
	})
}

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
