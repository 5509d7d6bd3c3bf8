package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/timeline"
	"github.com/wiemu/wiemu/internal/userstate"
)

func newReport(stateDir *string) *cobra.Command {
	var last bool
	var format, file string
	cmd := &cobra.Command{
		Use:   "report [RUN | --last]",
		Short: "Draw a run: keys, token files, exchanges and requests over lab time, in one file",
		Long: `Draw what happened in a run over lab time: keys, the versions of token files,
exchanges, access tokens and requests, and every refusal with its explanation. The
report is one HTML file that needs no network, or an SVG for a pull request.

RUN is the id of a run, a prefix of it, or a file with a journal. --last (the default)
selects the newest run, which may still be running.`,
		Example: `  wiemu report
  wiemu report --last -o svg --output-file run.svg
  wiemu report 20260115T080000`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if last && len(args) > 0 {
				return cli.Usagef("expected one of RUN and --last, found both")
			}
			name, events, err := readRun(cmd, *stateDir, strings.Join(args, ""))
			if err != nil {
				return err
			}
			var picture bytes.Buffer
			if err := timeline.Write(&picture, timeline.Format(format), timeline.About{Title: "Run " + name}, events); err != nil {
				return err
			}
			if file == "-" {
				_, err := picture.WriteTo(cmd.OutOrStdout())
				return err
			}
			file = cmp.Or(file, "wiemu-"+name+"."+format)
			if err := os.WriteFile(file, picture.Bytes(), 0o644); err != nil {
				return fmt.Errorf("write the picture: %w", err)
			}
			if absolute, err := filepath.Abs(file); err == nil {
				file = absolute
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), file)
			return err
		},
	}
	cmd.Flags().BoolVar(&last, "last", false, "draw the newest run (default)")
	cmd.Flags().StringVar(&file, "output-file", "", "file to write, - for standard output (default wiemu-RUN.html)")
	addElsewhere(cmd)
	cli.AddOutput(cmd, &format, string(timeline.HTML), string(timeline.SVG))
	return cmd
}

// readRun returns the name and the events of a run, or of an emulator elsewhere.
func readRun(cmd *cobra.Command, stateDir, id string) (string, []journal.Event, error) {
	if at := controlled(cmd); id != "" && at.name != "" {
		return "", nil, cli.Usagef("expected one of RUN and --%s, found both", at.flag)
	}
	if at, events, err := eventsElsewhere(cmd, stateDir); at.name != "" || err != nil {
		return at.flag + "-" + at.name, events, err
	}
	dir, err := userstate.Open(stateDir)
	if err != nil {
		return "", nil, err
	}
	return dir.ReadRun(id)
}
