package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/timeshift"
)

// The files in the directory of -lockstep. Containers with a program that runs on
// the lab clock mount it; their entrypoint becomes
//
//	DIRECTORY/wiemu-server timeshift -- ENTRYPOINT COMMAND...
const (
	lockstepProgram = "wiemu-server"
	lockstepControl = "control.json" // a control.Client for the lab with the clock, with a token for that alone
)

func publishLockstep(dir string, client control.Client) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("-lockstep: find this program: %w", err)
	}
	if err := copyFile(self, filepath.Join(dir, lockstepProgram), 0o755); err != nil {
		return fmt.Errorf("-lockstep: %w", err)
	}
	data, err := json.Marshal(client)
	if err != nil {
		return err
	}
	// Readable by any user: that of the other container is none of ours. Its token is
	// good for the clock's stream alone.
	if err := file.Replace(filepath.Join(dir, lockstepControl), bytes.NewReader(data), 0o644); err != nil {
		return fmt.Errorf("-lockstep: %w", err)
	}
	return nil
}

func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return file.Replace(to, in, mode)
}

// arrival is what a program in a container is given for packets that pass Docker's bridge.
const arrival = 5 * time.Millisecond

// runLockstep runs a command on the clock of the server with the -lockstep directory
// that this program is in, and returns the command's exit code.
func runLockstep(ctx context.Context, args []string) (int, error) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return process.Failed, errors.New("timeshift: expected -- and the command to run on the lab clock")
	}
	self, err := os.Executable()
	if err != nil {
		return process.Failed, fmt.Errorf("timeshift: find this program: %w", err)
	}
	file := filepath.Join(filepath.Dir(self), lockstepControl)
	data, err := os.ReadFile(file)
	if err != nil {
		return process.Failed, fmt.Errorf("timeshift: which clock? %w; start this program from the directory of a running wiemu-server -lockstep", err)
	}
	var client control.Client
	if err := json.Unmarshal(data, &client); err != nil {
		return process.Failed, fmt.Errorf("timeshift: %s: %w", file, err)
	}
	conn, err := client.FollowClock(ctx)
	if err != nil {
		return process.Failed, fmt.Errorf("timeshift: %w", err)
	}
	lab, err := timeshift.Connect(conn)
	if err != nil {
		return process.Failed, fmt.Errorf("timeshift: %w", err)
	}
	defer func() { _ = lab.Close() }() // the lab's end of it may be gone
	// Not package run, which does the same for more: its isolation and recordings would
	// be part of every container's image.
	shift, err := timeshift.Start(lab, timeshift.Options{Arrival: arrival})
	if err != nil {
		return process.Failed, err
	}
	code, err := process.Run(context.WithoutCancel(ctx), process.Command{ // signals are the command's own: see process.Run
		Args: args, Env: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Wrappers: []process.Wrapper{shift},
	})
	if why := shift.Close(); why != nil { // says more than the exit code of what did not start
		return process.Failed, why
	}
	return code, err
}
