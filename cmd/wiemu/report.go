package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness/state"
	"github.com/wiemu/wiemu/harness/timeline"
	"github.com/wiemu/wiemu/scenarios"
)

func newReport(stateDir *string) *cobra.Command {
	var last bool
	var format, file string
	cmd := &cobra.Command{
		Use:   "report [RUN | --last]",
		Short: "Draw a run: keys, token files, exchanges and requests over lab time, in one file",
		Long: `Draw what happened in a run, over lab time: keys, the versions of token files,
exchanges, access tokens and requests, and every refusal with its explanation. The
picture is one HTML file that needs no network, or an SVG for a pull request.

RUN is the id of a run, its beginning, or a file with a journal. --last (the default)
is the newest run, which may still be going on.`,
		Example: `  wiemu report
  wiemu report --last -o svg --output-file run.svg
  wiemu report 20260115T080000`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if last && len(args) > 0 {
				return usagef("expected one of RUN and --last, found both")
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
	cmd.Flags().StringVar(&file, "output-file", "", "where to write it, - for standard output (default wiemu-RUN.html here)")
	addElsewhere(cmd)
	addOutput(cmd, &format, string(timeline.HTML), string(timeline.SVG))
	return cmd
}

// readRun returns the name and the events of a run, or of an emulator elsewhere.
func readRun(cmd *cobra.Command, stateDir, id string) (string, []journal.Event, error) {
	if at := steered(cmd); id != "" && at.name != "" {
		return "", nil, usagef("expected one of RUN and --%s, found both", at.flag)
	}
	if at, events, err := eventsElsewhere(cmd, stateDir); at.name != "" || err != nil {
		return at.flag + "-" + at.name, events, err
	}
	dir, err := state.Open(stateDir)
	if err != nil {
		return "", nil, err
	}
	return dir.ReadRun(id)
}

// pictures is what wiemu scenario run draws, as flags say it.
type pictures struct {
	format, dir string
}

func (p *pictures) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.format, "report", "", "draw each scenario: html, also without a value, or --report=svg for a pull request")
	cmd.Flags().Lookup("report").NoOptDefVal = string(timeline.HTML)
	cmd.Flags().StringVar(&p.dir, "report-dir", "wiemu-report", "directory to draw into: NAME.html and index.html, or NAME.svg")
}

func (p *pictures) check(cmd *cobra.Command) error {
	switch {
	case p.format == "" && cmd.Flags().Changed("report-dir"):
		return usagef("--report-dir goes with --report")
	case p.format != "" && !slices.Contains(timeline.Formats(), timeline.Format(p.format)):
		return usagef("--report: expected html or svg, found %q; a directory is named by --report-dir", p.format)
	}
	return nil
}

// draw draws and says where, beside the output that programs read.
func (p *pictures) draw(cmd *cobra.Command, report *scenarios.Report) error {
	if p.format == "" {
		return nil
	}
	if err := report.WritePictures(p.dir, timeline.Format(p.format)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "wiemu: the scenarios are drawn in %s\n", p.dir)
	return err
}
