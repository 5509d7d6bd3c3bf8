package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/process"
	"github.com/wiemu/wiemu/harness/timeshift"
)

// What is in the directory of -lockstep, which containers mount whose program is to
// live on the lab clock: their entrypoint becomes
//
//	DIRECTORY/wiemu-server timeshift -- ENTRYPOINT COMMAND...
const (
	lockstepProgram = "wiemu-server"
	lockstepControl = "control.json" // a control.Client: whose clock it is, with a token for that alone
)

// publishLockstep fills the directory of -lockstep.
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
	if err := putFile(filepath.Join(dir, lockstepControl), 0o644, bytes.NewReader(data)); err != nil {
		return fmt.Errorf("-lockstep: %w", err)
	}
	return nil
}

// copyFile puts a copy in place of what is there.
func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return putFile(to, mode, in)
}

// putFile puts a file in place of what is there, which may be running, or a symbolic
// link, which is not followed.
func putFile(to string, mode os.FileMode, in io.Reader) (err error) {
	out, err := os.CreateTemp(filepath.Dir(to), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(out.Name()))
		}
	}()
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Close())
	}
	if err := errors.Join(out.Chmod(mode), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}

// runLockstep runs a command on the clock of the server whose -lockstep directory
// this program is in, and returns the command's exit code.
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
		return process.Failed, fmt.Errorf("timeshift: whose clock? %w; start this program from the directory of a running wiemu-server -lockstep", err)
	}
	var client control.Client
	if err := json.Unmarshal(data, &client); err != nil {
		return process.Failed, fmt.Errorf("timeshift: %s: %w", file, err)
	}
	lab, err := harness.FollowClock(ctx, &client)
	if err != nil {
		return process.Failed, fmt.Errorf("timeshift: %w", err)
	}
	defer func() { _ = lab.Close() }() // the lab's end of it may be gone
	shift, err := timeshift.Start(lab, timeshift.Options{})
	if err != nil {
		return process.Failed, err
	}
	// Signals are the command's own: see process.Run.
	code, err := process.Run(context.WithoutCancel(ctx), process.Command{
		Args: args, Env: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Wrappers: []process.Wrapper{shift},
	})
	if start := (*process.Error)(nil); errors.As(err, &start) {
		code = start.Code
	}
	if why := shift.Close(); why != nil {
		return process.Failed, why
	}
	return code, err
}
