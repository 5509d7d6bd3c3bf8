package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/process"
)

// containersProgram links client-go, kind and the compose engine, which would double wiemu's size.
const containersProgram = "wiemu-containers"

// handedOver returns a command that wiemu-containers does, which has its commands, flags and help.
func handedOver(use, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, DisableFlagParsing: true, // --help is handed over, too
		RunE: func(*cobra.Command, []string) error { return handOver() },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			if program := process.Locate(containersProgram); program != "" {
				_ = become(program, os.Args[1:]) // if it cannot be started, there is nothing to complete
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.SetHelpFunc(func(*cobra.Command, []string) { // wiemu help compose up
		text, code := cli.Ending(context.Background(), handOver(), nil)
		if text != "" {
			fmt.Fprintln(os.Stderr, "wiemu:", text)
		}
		os.Exit(code)
	})
	return cmd
}

// handOver lets wiemu-containers do what this program was asked for.
func handOver() error {
	program, err := findContainersProgram()
	if err != nil {
		return err
	}
	return become(program, os.Args[1:])
}

// connect has wiemu-containers find the emulator of a compose project or of a cluster, and keep
// what leads to it open until this program ends.
func connect(ctx context.Context, to elsewhere) (*control.Client, error) {
	program, err := findContainersProgram()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, "connect", "--"+to.flag, to.name)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // it ends with this program
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	var client control.Client
	if err := json.NewDecoder(out).Decode(&client); err == nil {
		return &client, nil
	}
	err = cmd.Wait()
	var ended *exec.ExitError
	if ctx.Err() == nil && errors.As(err, &ended) { // it has said why
		return nil, cli.ExitCode(ended.ExitCode())
	}
	return nil, fmt.Errorf("find the emulator of %s: %w", to, errors.Join(context.Cause(ctx), err))
}

// findContainersProgram returns the program's file; if there is none, it prints that.
func findContainersProgram() (string, error) {
	if found := process.Locate(containersProgram); found != "" {
		return found, nil
	}
	fmt.Fprintf(os.Stderr, "wiemu: %s, which does this, was not found beside wiemu or in PATH: go install github.com/wiemu/wiemu/cmd/...@latest installs all programs of wiemu, and make build-all builds them in its repository\n", containersProgram)
	return "", cli.ExitCode(process.NotFound)
}
