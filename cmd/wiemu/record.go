package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/harness/process"
	"github.com/wiemu/wiemu/harness/recording"
)

func newRecord(stateDir *string) *cobra.Command {
	var s selection
	var flags runFlags
	var file string
	var keys bool
	cmd := &cobra.Command{
		Use:   "record [flags] [COMPONENT] -- COMMAND [ARGUMENT...]",
		Short: "Run an application and keep the session in one file",
		Long: `Run an application as wiemu run does, in a lab of its own, and keep the session in
one file: what was there, every request with its lab time, and what was answered.
The file has no token, secret or private key in it, only their ordinals, unless
--keys asks for keys and secrets. wiemu replay FILE plays it again anywhere.

To record a session in which the clock moves, keys rotate or several applications
take part, use wiemu serve --record FILE. The exit code is the application's; 125 if
wiemu itself failed.`,
		Example: `  wiemu record -o session.wiemu.json -f radixconfig.yaml --env dev web -- ./my-app
  wiemu replay session.wiemu.json
  wiemu scenario from session.wiemu.json -o my-case.yaml`,
		Args: runArguments,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if file == "" {
				return usagef("-o: expected the file to write the session into, such as -o session.wiemu.json")
			}
			if flags.record, err = newSessionFile(file, keys); err != nil {
				return err
			}
			defer flags.record.abandon()
			flags.own = true
			dash := cmd.ArgsLenAtDash()
			if _, err := exec.LookPath(args[dash]); err != nil { // a session of nothing would take the place of an earlier one
				fmt.Fprintf(cmd.ErrOrStderr(), "wiemu: nothing was recorded: %v\n", err)
				return exitCode(process.NotFound)
			}
			return s.run(cmd, *stateDir, strings.Join(args[:dash], ""), args[dash:], flags)
		},
	}
	addRunFlags(cmd, &s, &flags)
	cmd.Flags().StringVarP(&file, "output", "o", "", "file to write the session into")
	cmd.Flags().BoolVar(&keys, "keys", false, "let the file carry private keys and secrets, so that tokens are the same to the letter")
	return cmd
}

// sessionFile is the file that a session is written into when it ends. A nil one
// is none.
type sessionFile struct {
	name string
	keys bool
	file *os.File // beside it, until it is whole
}

// newSessionFile finds out at once whether the file can be written; "" is none.
func newSessionFile(name string, keys bool) (*sessionFile, error) {
	if name == "" {
		if keys {
			return nil, usagef("--keys: it goes with --record FILE")
		}
		return nil, nil
	}
	file, err := os.CreateTemp(filepath.Dir(name), ".wiemu-recording-*") // 0600
	if err != nil {
		return nil, fmt.Errorf("write the session into %s: %w", name, err)
	}
	return &sessionFile{name: name, keys: keys, file: file}, nil
}

func (f *sessionFile) options() *recording.Options {
	if f == nil {
		return nil
	}
	return &recording.Options{Keys: f.keys}
}

// write writes the lab's session until now and tells what is in it.
func (f *sessionFile) write(ctx context.Context, l *lab) error {
	if f == nil {
		return nil
	}
	recorded, err := l.recorder.Recording(context.WithoutCancel(ctx))
	if err == nil {
		err = recorded.Write(f.file)
	}
	if err = errors.Join(err, f.file.Close()); err == nil {
		err = os.Rename(f.file.Name(), f.name)
	}
	if err != nil {
		return fmt.Errorf("write the session into %s: %w", f.name, err)
	}
	f.file = nil
	refused := map[string]int{}
	if !slices.ContainsFunc(recorded.Inputs, func(in recording.Input) bool { return in.Door != emulator.ControlDoor }) {
		fmt.Fprintf(os.Stderr, "wiemu: %s: a session without a request of a program\n", f.name)
		return nil
	}
	for _, in := range recorded.Inputs {
		if in.Outcome.Refused() {
			refused[in.Outcome.Short()]++
		}
	}
	fmt.Fprintf(os.Stderr, "wiemu: %s: %s; wiemu replay %s plays it again\n", f.name, requests(len(recorded.Inputs), refused), f.name)
	return nil
}

// abandon removes what was not written to its end.
func (f *sessionFile) abandon() {
	if f == nil || f.file == nil {
		return
	}
	_ = f.file.Close()
	_ = os.Remove(f.file.Name()) // it is empty, and hidden
}

// requests counts requests and refusals in words.
func requests(n int, refused map[string]int) string {
	text := fmt.Sprintf("%d requests", n)
	if n == 1 {
		text = "1 request"
	}
	var codes []string
	for _, code := range slices.Sorted(maps.Keys(refused)) {
		codes = append(codes, fmt.Sprintf("%s (%d)", code, refused[code]))
	}
	if len(codes) == 0 {
		return text + ", none refused"
	}
	return text + ", refused: " + strings.Join(codes, ", ")
}
