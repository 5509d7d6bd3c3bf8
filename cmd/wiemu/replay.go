package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/recording"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/truncate"
	"github.com/wiemu/wiemu/internal/userstate"
)

func newReplay(stateDir *string) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Send the requests of a recorded session again and compare the answers",
		Long: `Send the requests of a recorded session again, in a lab that is created from the file
alone, at the recorded lab times, with newly signed tokens; and compare status, codes,
bodies, the claims of tokens, failed checks, and automatic rotations and refreshes. Ids
and keys are compared by ordinal.

A session that failed is expected to fail again in the same way. The exit code is 0 if
everything is the same, 1 if something differs, 2 if the file is invalid, 125 if wiemu
itself failed. Afterwards wiemu explain says why a request was refused.`,
		Example: `  wiemu replay session.wiemu.json
  wiemu replay session.wiemu.json -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			recorded, err := readRecording(cmd, args[0])
			if err != nil {
				return err
			}
			dir, err := userstate.Open(*stateDir)
			if err != nil {
				return err
			}
			keys, err := keyring.OpenPool(dir.KeyDir(), keyring.PoolOptions{})
			if err != nil {
				return err
			}
			run, err := dir.NewRun()
			if err != nil {
				return err
			}
			opts := session.Options{Dir: run.Dir}
			opts.Emulator.StateDir, opts.Emulator.Keys, opts.Emulator.JournalFile = filepath.Join(run.Dir, "state"), keys, run.Journal
			result, err := recording.Replay(cmd.Context(), recorded, opts)
			cli.CleanUp(cmd, func() error { return run.Close(err == nil) })
			cli.CleanUp(cmd, keys.Close)
			if cmd.Context().Err() != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "wiemu: interrupted")
				return cli.ExitCode(130)
			}
			if err != nil {
				return err
			}
			return cli.FailIf(!result.Same, cli.Print(cmd, format, result, func(out *cli.Lines) { printReplay(out, result) }))
		},
	}
	cli.AddOutput(cmd, &format, "text", "json")
	return cmd
}

// readRecording reads a session's file; problems are printed and end with exit code 2.
func readRecording(cmd *cobra.Command, name string) (*recording.Recording, error) {
	data, err := file.ReadContext(cmd.Context(), func() ([]byte, error) { return os.ReadFile(name) })
	if err != nil {
		return nil, fmt.Errorf("read the session: %w", err)
	}
	recorded, err := recording.Parse(name, data)
	if err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "wiemu:", err)
		return nil, cli.ExitCode(2)
	}
	return recorded, nil
}

// printReplay writes a line for each refusal and everything that differs.
func printReplay(out *cli.Lines, r *recording.Result) {
	different := 0
	for _, c := range r.Inputs {
		who := c.Request
		if c.Workload != "" {
			who += " of " + c.Workload
		}
		switch {
		case !c.Same:
			different++
			out.Print("✗ %3d  +%v  %s: recorded %s, now %s\n", c.ID, c.At, who, c.Recorded, c.Now)
			for _, d := range c.Differences {
				printDifference(out, d)
			}
			if c.Explanation != "" {
				out.Print("      why it is different now:\n        %s\n", strings.ReplaceAll(strings.TrimSpace(c.Explanation), "\n", "\n        "))
			}
		case c.Refused:
			out.Print("✓ %3d  +%v  %s: %s, as recorded\n", c.ID, c.At, who, c.Now)
		}
	}
	for _, d := range r.Events {
		out.Print("✗ automatic rotations or refreshes differ\n")
		printDifference(out, d)
	}
	verdict := "the same as recorded"
	if !r.Same {
		verdict = fmt.Sprintf("%d differ from what was recorded", different)
		if different == 0 {
			verdict = "the same as recorded, except for automatic rotations or refreshes"
		}
	}
	out.Print("%s over %v of lab time from %s: %s\n", requests(r.Requests, r.Refusals), r.Length, r.Start.Format(time.RFC3339), verdict)
}

func printDifference(out *cli.Lines, d recording.Difference) {
	out.Print("      %s\n        recorded  %s\n        now       %s\n", d.Field, shown(d.Recorded), shown(d.Now))
}

// shown is a value in one line that no terminal obeys.
func shown(value string) string {
	const most = 400
	value = truncate.Bytes(value, most)
	return explain.Printable(strings.ReplaceAll(value, "\n", " "))
}
