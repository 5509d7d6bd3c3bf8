//go:build unix

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/wiemu/wiemu/internal/cli"
)

// A pipe that nobody writes to is read for ever: a signal ends the command all the same.
func TestASignalEndsTheWaitForAFile(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	defer read.Close()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(t.TempDir(), "none.yaml")
	if err := os.WriteFile(manifest, []byte("apiVersion: v1\nkind: List\nitems: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"explain", "--token", "-"}, {"replay", pipe}, {"webhook", "-f", "-"}, {"validate", "-f", "-", "--directory", "wiemu.yaml"},
		{"validate", "-f", manifest, "--directory", pipe}, {"scenario", "check", pipe}, {"scenario", "list", pipe}, {"scenario", "run", pipe}, {"scenario", "from", pipe},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cli.SignalError{Signal: syscall.SIGTERM})
		root := newRoot()
		root.SetArgs(args)
		root.SetIn(read)
		text, code := cli.Ending(ctx, root.ExecuteContext(ctx), args)
		if text != "interrupted" || code != 128+int(syscall.SIGTERM) {
			t.Errorf("wiemu %s: %q, code %d", strings.Join(args, " "), text, code)
		}
	}
}
