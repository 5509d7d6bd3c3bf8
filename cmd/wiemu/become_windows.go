package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/wiemu/wiemu/internal/cli"
)

// become runs a program in the place of this process, which Windows cannot replace.
func become(program string, args []string) error {
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return cli.ExitCode(0)
	case errors.As(err, &ended):
		return cli.ExitCode(ended.ExitCode())
	}
	return fmt.Errorf("start %s: %w", program, err)
}
