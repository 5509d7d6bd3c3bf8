package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// lives plays the client's scenarios of lockstep/, in which the program client
// is this client. What must be true then is in the scenarios.
func (d *driver) lives(ctx context.Context, c Client, dir string) (err error) {
	bin, err := os.MkdirTemp("", "wiemu-conformance-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(bin)) }()
	script := fmt.Sprintf("#!/usr/bin/env bash\ncd '%s'\nexec %s \"$@\"\n", strings.ReplaceAll(dir, "'", `'\''`), strings.TrimSpace(c.Run))
	if err := os.WriteFile(filepath.Join(bin, "client"), []byte(script), 0o755); err != nil {
		return err
	}
	args := []string{"scenario", "run", "--parallel", "1"}
	for _, name := range c.Lockstep {
		args = append(args, filepath.Join(d.root, "scenarios", "conformance", "lockstep", name+".yaml"))
	}
	ctx, cancel := context.WithTimeout(ctx, patience*time.Duration(len(c.Lockstep)))
	defer cancel()
	cmd := exec.CommandContext(ctx, d.wiemu, args...)
	cmd.Dir = bin
	cmd.Env = slices.Concat(d.environ, []string{"WIEMU_STATE_DIR=" + filepath.Join(bin, "state"), "PATH=" + bin + string(os.PathListSeparator) + filepath.Dir(d.wiemu) + string(os.PathListSeparator) + os.Getenv("PATH")})
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("wiemu scenario run: %w\n%s", err, lastLines(string(out), 120))
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "✓") {
			d.say("    %s: %s", c.Name, strings.TrimSpace(line))
		}
	}
	return nil
}

// probeLockstep tells why this machine cannot put programs on the lab clock.
func (d *driver) probeLockstep() error {
	cmd := exec.Command(d.wiemu, "timeshift", "--probe")
	cmd.Env = d.environ
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("wiemu timeshift does not work here: %s", strings.TrimSpace(string(out)))
	}
	return nil
}
