//go:build light

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// become runs a program in the place of this process, which Windows cannot replace.
func become(program string, args []string) error {
	cmd := exec.Command(program, args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return exitCode(ended.ExitCode())
	}
	if err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	return exitCode(0)
}
