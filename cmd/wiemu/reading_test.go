package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

// A pipe that nobody writes to is read for ever: a signal ends the command all the same.
func TestASignalEndsTheWaitForAFile(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	defer read.Close()
	for _, args := range [][]string{{"webhook", "-f", "-"}, {"validate", "-f", "-", "--directory", "wiemu.yaml"}} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(signalled{syscall.SIGTERM})
		root := newRoot()
		root.SetArgs(args)
		root.SetIn(read)
		text, code := ending(ctx, root.ExecuteContext(ctx), args)
		if text != "interrupted" || code != 128+int(syscall.SIGTERM) {
			t.Errorf("wiemu %s: %q, code %d", strings.Join(args, " "), text, code)
		}
	}
	if n, err := reading(t.Context(), func() (int, error) { return 1, errors.New("unreadable") }); n != 1 || err == nil {
		t.Errorf("without a signal: %d, %v", n, err)
	}
}
