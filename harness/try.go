package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Try runs a test where there is no go test: in an Example, or in a program. It
// returns nil when the test has passed, else all that it said.
func Try(test func(t TB)) error {
	t := &trial{}
	ctx, end := context.WithCancel(context.Background())
	t.context = ctx
	done := make(chan struct{})
	go func() { // ends with the test, which Fatalf ends by runtime.Goexit
		defer close(done)
		defer t.clean()
		defer end()
		test(t)
	}()
	<-done
	if !t.Failed() {
		return nil
	}
	return errors.New(strings.TrimSpace(t.said.String()))
}

type trial struct {
	context context.Context

	mu       sync.Mutex
	failed   bool
	said     strings.Builder
	cleanups []func()
}

func (t *trial) Helper()                  {}
func (t *trial) Name() string             { return "Try" }
func (t *trial) Context() context.Context { return t.context }

func (t *trial) Logf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(&t.said, format+"\n", args...)
}

func (t *trial) Errorf(format string, args ...any) {
	t.Logf(format, args...)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = true
}

func (t *trial) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

func (t *trial) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

func (t *trial) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}

// clean runs the cleanups, the last first, also those that they add.
func (t *trial) clean() {
	for {
		t.mu.Lock()
		n := len(t.cleanups)
		if n == 0 {
			t.mu.Unlock()
			return
		}
		last := t.cleanups[n-1]
		t.cleanups = slices.Delete(t.cleanups, n-1, n)
		t.mu.Unlock()
		last()
	}
}

func (t *trial) TempDir() string {
	dir, err := os.MkdirTemp("", "wiemu-try-")
	if err != nil {
		t.Fatalf("make a temporary directory: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("%v", err)
		}
	})
	return dir
}

func (t *trial) Setenv(name, value string) {
	before, was := os.LookupEnv(name)
	must(t, os.Setenv(name, value))
	t.Cleanup(func() {
		if was {
			_ = os.Setenv(name, before) // it was there: the name is a good one
		} else {
			_ = os.Unsetenv(name)
		}
	})
}
