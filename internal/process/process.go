// Package process runs a workload as a child process, with exactly the environment
// that it is given, on the caller's terminal, and ends it when wiemu ends. What is in
// the environment is decided by package session; [CleanEnviron] says what must not be.
package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// Exit codes of a command that did not run, as shells and env(1) have them.
const (
	Failed        = 125 // wiemu itself failed
	NotExecutable = 126
	NotFound      = 127
)

// Command says what to run.
type Command struct {
	// Args is the program and its arguments. A program without a slash is
	// looked for in the PATH of Env, as a shell with that environment would.
	Args []string

	Dir string   // defaults to the caller's working directory
	Env []string // the complete environment; if nil, it is empty

	// Files are passed to the child as they are, so that a terminal stays a terminal.
	// If nil, the null device is used.
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	// Background is for a command that runs without a user at the terminal, such as a
	// step of a scenario: it has a process group of its own, gets no signals, and what
	// it leaves running is ended with it.
	Background bool

	// Wrappers change how the child starts, the innermost first: see packages
	// timeshift (on the lab clock) and isolation (in namespaces of its own).
	Wrappers []Wrapper

	// Grace is the time on the wall clock between asking the child to end and killing
	// it. Defaults to 5 s.
	Grace time.Duration
}

// Wrapper prepares a command to start in another way, and explains why it did not.
type Wrapper interface {
	Prepare(*exec.Cmd) error
	StartFailed(error) error
}

// A Relayer is a Wrapper whose child may not be the program itself, but a process that ends
// as the program does.
type Relayer interface {
	// Relay hands a signal for the child to the program; false if the child is the program.
	Relay(os.Signal) bool
}

// Run runs a command and returns its exit code: the child's own, or 128 and the
// number of the signal that ended it. When ctx ends, the child and what it
// started are asked to end, and killed after Grace; the error is then ctx's.
//
// A command that could not be started is an [*Error], with the code a shell
// would give: NotFound, NotExecutable, or Failed.
//
// While a command runs that is not Background, signals are its own. SIGTERM,
// SIGHUP, SIGUSR1 and SIGUSR2 are handed to it. With a terminal it shares wiemu's
// process group, so that job control works and Ctrl-C and Ctrl-\ reach it
// directly; wiemu ignores them. Without one (CI) it leads a group of its own,
// which gets SIGINT and SIGQUIT too and is ended as a whole.
//
// The child does not outlive wiemu, even if wiemu is killed: by parent-death
// signal on Linux, by a job object on Windows; macOS has no such thing.
func Run(ctx context.Context, c Command) (exitCode int, err error) {
	c.Grace = cmp.Or(c.Grace, 5*time.Second)
	if len(c.Args) == 0 {
		return refuse(Failed, "", "nothing to run", "name a command after --")
	}
	if err := ctx.Err(); err != nil {
		return Failed, fmt.Errorf("process: %s was not started: %w", c.Args[0], err)
	}
	if info, err := os.Stat(c.Dir); c.Dir != "" && (err != nil || !info.IsDir()) {
		return refuse(Failed, c.Args[0], "its directory "+c.Dir+" does not exist", "make it or name another one")
	}
	path, err := Find(c)
	if err != nil {
		var e *Error
		errors.As(err, &e)
		return e.Code, err
	}
	type result struct {
		code int
		err  error
	}
	done := make(chan result, 1)
	go func() {
		// On Linux the parent-death signal is sent when the thread that started
		// the child ends, so the thread is kept until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		code, err := run(ctx, c, path)
		done <- result{code, err}
	}()
	r := <-done
	return r.code, r.err
}

// run starts the child, waits for it, and ends what it left running.
func run(ctx context.Context, c Command, path string) (int, error) {
	cmd := &exec.Cmd{
		Path: path, Args: c.Args, Dir: c.Dir, Env: append([]string{}, c.Env...),
		Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr,
		WaitDelay: c.Grace, // a grandchild that holds an output pipe open does not hold us
	}
	tree := newProcessTree(c.Background, c.Wrappers)
	tree.prepare(cmd)
	for _, w := range c.Wrappers {
		if err := w.Prepare(cmd); err != nil {
			return Failed, err
		}
	}
	relay := tree.listen()
	defer relay.stop()
	if err := cmd.Start(); err != nil {
		if n := len(c.Wrappers); n > 0 {
			return Failed, c.Wrappers[n-1].StartFailed(err)
		}
		return startFailure(c.Args[0], path, err)
	}
	if err := tree.adopt(cmd.Process); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return Failed, fmt.Errorf("process: keep hold of %s: %w", c.Args[0], err)
	}
	relay.start()
	waited := make(chan error, 1)
	go func() { waited <- tree.reap(cmd, c.Grace) }()
	var ended error
	select {
	case err := <-waited:
		return exitCode(cmd, err)
	case <-ctx.Done():
		ended = context.Cause(ctx)
	}
	tree.terminate()
	select {
	case err := <-waited:
		code, _ := exitCode(cmd, err)
		return code, fmt.Errorf("process: %s was ended: %w", c.Args[0], ended)
	case <-time.After(c.Grace): // wall time: the child lives in it
	}
	tree.kill()
	code, _ := exitCode(cmd, <-waited)
	return code, fmt.Errorf("process: %s or what it started did not end within %v and was killed: %w", c.Args[0], c.Grace, ended)
}

// exitCode is the child's, once Wait has returned.
func exitCode(cmd *exec.Cmd, err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case cmd.ProcessState == nil:
		return Failed, fmt.Errorf("process: wait for %s: %w", cmd.Args[0], err)
	case err == nil, errors.As(err, &exit), errors.Is(err, exec.ErrWaitDelay):
		return stateCode(cmd.ProcessState), nil
	}
	// The child ran; its input or output could not be copied.
	return stateCode(cmd.ProcessState), fmt.Errorf("process: pass input and output of %s: %w", cmd.Args[0], err)
}
