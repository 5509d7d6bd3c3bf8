//go:build unix

package main

import (
	"context"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/wiemu/wiemu/internal/cli"
)

// A pipe that nobody writes to is read for ever: a signal ends the command all the same.
func TestASignalEndsTheWaitForAFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"kind", "apply", "-f", pipe, "--dry-run"}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cli.SignalError{Signal: syscall.SIGTERM})
	root := newRoot()
	root.SetArgs(args)
	text, code := cli.Ending(ctx, root.ExecuteContext(ctx), args)
	if text != "interrupted" || code != 128+int(syscall.SIGTERM) {
		t.Errorf("%q, code %d", text, code)
	}
}
