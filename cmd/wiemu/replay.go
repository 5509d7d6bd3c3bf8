package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/recording"
	"github.com/wiemu/wiemu/harness/state"
)

func newReplay(stateDir *string) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Send the requests of a recorded session again and compare the answers",
		Long: `Send the requests of a recorded session again, in a lab that is made from the file
alone, at the lab times of then, with tokens signed anew; and compare: status, codes,
bodies, the claims of tokens, failed checks, and what rotated and was renewed by
itself. Ids and keys are compared by ordinal.

A session that failed fails again, in the same way: that is the same. The exit code is
0 if everything is the same, 1 if something differs, 2 if the file is wrong, 125 if
wiemu itself failed. Afterwards wiemu explain tells why a request was refused.`,
		Example: `  wiemu replay session.wiemu.json
  wiemu replay session.wiemu.json -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			recorded, err := readRecording(cmd, args[0])
			if err != nil {
				return err
			}
			dir, err := state.Open(*stateDir)
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
			result, err := recording.Replay(cmd.Context(), recorded, harness.Options{
				Emulator: emulator.Options{StateDir: filepath.Join(run.Dir, "state"), Keys: keys, JournalFile: run.Journal}, Dir: run.Dir,
			})
			for _, cleaned := range []error{run.Close(err == nil), keys.Close()} {
				if cleaned != nil {
					fmt.Fprintln(cmd.ErrOrStderr(), "wiemu: while cleaning up:", cleaned)
				}
			}
			if cmd.Context().Err() != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "wiemu: interrupted")
				return exitCode(130)
			}
			if err != nil {
				return err
			}
			if format == "json" {
				err = printJSON(cmd.OutOrStdout(), result)
			} else {
				err = printReplay(cmd.OutOrStdout(), result)
			}
			if err == nil && !result.Same {
				err = exitCode(1)
			}
			return err
		},
	}
	addOutput(cmd, &format, "text", "json")
	return cmd
}

// readRecording reads a session's file. What is wrong in it is told, and ends with
// an exit code of its own.
func readRecording(cmd *cobra.Command, name string) (*recording.Recording, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the session: %w", err)
	}
	recorded, err := recording.Parse(name, data)
	if err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "wiemu:", err)
		return nil, exitCode(2)
	}
	return recorded, nil
}

// printReplay writes a line for each refusal and everything that differs.
func printReplay(w io.Writer, r *recording.Result) error {
	out := &lines{w: w}
	different := 0
	for _, c := range r.Inputs {
		who := c.Request
		if c.Workload != "" {
			who += " of " + c.Workload
		}
		switch {
		case !c.Same:
			different++
			out.print("✗ %3d  +%v  %s: recorded %s, now %s\n", c.ID, c.At, who, c.Recorded, c.Now)
			for _, d := range c.Differences {
				printDifference(out, d)
			}
			if c.Explanation != "" {
				out.print("      why it is so now:\n        %s\n", strings.ReplaceAll(strings.TrimSpace(c.Explanation), "\n", "\n        "))
			}
		case c.Refused:
			out.print("✓ %3d  +%v  %s: %s, as recorded\n", c.ID, c.At, who, c.Now)
		}
	}
	for _, d := range r.Events {
		out.print("✗ what happened by itself differs\n")
		printDifference(out, d)
	}
	verdict := "the same as recorded"
	if !r.Same {
		verdict = fmt.Sprintf("%d differ from what was recorded", different)
		if different == 0 {
			verdict = "the same as recorded, but not what happened by itself"
		}
	}
	out.print("%s over %v of lab time from %s: %s\n", requests(r.Requests, r.Refusals), r.Length, r.Start.Format(time.RFC3339), verdict)
	return out.err
}

func printDifference(out *lines, d recording.Difference) {
	out.print("      %s\n        recorded  %s\n        now       %s\n", d.Field, shown(d.Recorded), shown(d.Now))
}

// shown is a value in one line that no terminal obeys.
func shown(value string) string {
	const most = 400
	if len(value) > most {
		value = strings.ToValidUTF8(value[:most], "") + "…"
	}
	return journal.Printable(strings.ReplaceAll(value, "\n", " "))
}
