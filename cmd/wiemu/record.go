package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/recording"
	"github.com/wiemu/wiemu/internal/server"
)

func newRecord(stateDir *string) *cobra.Command {
	var s selection
	var flags runFlags
	var file string
	var keys bool
	cmd := &cobra.Command{
		Use:   "record [flags] [COMPONENT] -- COMMAND [ARGUMENT...]",
		Short: "Run an application and record the session in one file",
		Long: `Run an application as wiemu run does, in a lab of its own, and record the session in
one file: the lab's configuration, every request with its lab time, and the responses.
The file contains no tokens, secrets or private keys, only their ordinals, unless
--keys includes keys and secrets. wiemu replay FILE repeats the session anywhere.

To record a session in which the clock moves, keys rotate or several applications
take part, use wiemu serve --record FILE. The exit code is the application's; 125 if
wiemu itself failed.`,
		Example: `  wiemu record -o session.wiemu.json -f radixconfig.yaml --env dev web -- ./my-app
  wiemu replay session.wiemu.json
  wiemu scenario from session.wiemu.json -o my-case.yaml`,
		Args: runArguments,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if file == "" {
				return cli.Usagef("-o: expected the file to write the session into, such as -o session.wiemu.json")
			}
			if flags.record, err = createRecording(file, keys); err != nil {
				return err
			}
			defer flags.record.Abandon()
			flags.own = true
			dash := cmd.ArgsLenAtDash()
			if _, err := exec.LookPath(args[dash]); err != nil { // a session of nothing would take the place of an earlier one
				fmt.Fprintf(cmd.ErrOrStderr(), "wiemu: nothing was recorded: %v\n", err)
				return cli.ExitCode(process.NotFound)
			}
			return s.run(cmd, *stateDir, strings.Join(args[:dash], ""), args[dash:], flags)
		},
	}
	addRunFlags(cmd, &s, &flags)
	cmd.Flags().StringVarP(&file, "output", "o", "", "file to write the session into")
	cmd.Flags().BoolVar(&keys, "keys", false, "include private keys and secrets in the file, so that tokens are identical on replay")
	return cmd
}

// createRecording returns the file of --record and --keys, or nil if the name is "". Whether
// the file can be written is found out at once.
func createRecording(name string, keys bool) (*recording.File, error) {
	switch {
	case name != "":
		return recording.CreateFile(name, keys)
	case keys:
		return nil, cli.Usagef("--keys: it needs --record FILE")
	}
	return nil, nil
}

// writeRecording writes what was recorded until now into the file, if there is one, and
// tells what is in it.
func writeRecording(ctx context.Context, f *recording.File, r *recording.Recorder) error {
	if f == nil {
		return nil
	}
	recorded, err := f.Write(ctx, r)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(recorded.Inputs, func(in recording.Input) bool { return in.Endpoint != server.ControlEndpoint }) {
		fmt.Fprintf(os.Stderr, "wiemu: %s: the session contains no request of a program\n", f.Name)
		return nil
	}
	refused := map[string]int{}
	for _, in := range recorded.Inputs {
		if in.Outcome.Refused() {
			refused[in.Outcome.Short()]++
		}
	}
	fmt.Fprintf(os.Stderr, "wiemu: %s: %s; wiemu replay %s repeats it\n", f.Name, requests(len(recorded.Inputs), refused), f.Name)
	return nil
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
