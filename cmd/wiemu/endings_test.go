//go:build linux

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/wiemu/wiemu/internal/cli"
)

// left lists what runs have left behind.
func (c *command) left() []string {
	c.t.Helper()
	entries, err := os.ReadDir(filepath.Join(c.dir, "runtime"))
	if err != nil {
		c.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// started is a wiemu run whose child says ready and its process id, then waits.
type started struct {
	*exec.Cmd
	ended chan error
	child int
	said  *bytes.Buffer
}

func (c *command) startRun(mode, child string) started {
	c.t.Helper()
	s := started{
		Cmd:   c.prepare(c.path, slices.Concat([]string{"run"}, strings.Fields(mode), []string{"-f", "radixconfig.yaml", "--env", "dev", "web", "--", "bash", "-c", child})...),
		ended: make(chan error, 1), said: &bytes.Buffer{},
	}
	ready := &waiter{seen: make(chan string, 1), text: []byte("ready\n"), into: s.said}
	s.Stdout, s.Stderr = ready, ready
	s.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C goes to a process group
	if err := s.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() { s.ended <- s.Wait() }()
	var said string
	select {
	case said = <-ready.seen:
	case err := <-s.ended:
		c.t.Fatalf("wiemu run ended early: %v\n%s", err, s.said)
	}
	line, _, _ := strings.Cut(said, "\n")
	s.child, _ = strconv.Atoi(strings.TrimSuffix(line, " ready"))
	return s
}

// code waits for the end and returns the exit code, or 128 plus the signal.
func (s started) code() int {
	err := <-s.ended
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0
	}
	if status := exit.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}

func TestEndings(t *testing.T) {
	c := newCommand(t)
	for _, ending := range []struct {
		name, child string
		end         func(s started) error
		want        int
	}{
		{
			"Ctrl-C ends a child that lets it", "echo $$ ready; exec sleep 600",
			func(s started) error { return syscall.Kill(-s.Process.Pid, syscall.SIGINT) }, 130,
		},
		{
			"Ctrl-C is the child's to answer", "trap 'exit 3' INT; echo $$ ready; while :; do sleep 0.01; done",
			func(s started) error { return syscall.Kill(-s.Process.Pid, syscall.SIGINT) }, 3,
		},
		{
			"SIGTERM is passed on", "trap 'exit 4' TERM; echo $$ ready; while :; do sleep 0.01; done",
			func(s started) error { return s.Process.Signal(syscall.SIGTERM) }, 4,
		},
		{
			"the child is killed", "echo $$ ready; exec sleep 600",
			func(s started) error { return syscall.Kill(s.child, syscall.SIGKILL) }, 137,
		},
	} {
		for _, mode := range modes {
			t.Run(ending.name+mode, func(t *testing.T) {
				s := c.startRun(mode, ending.child)
				if len(c.left()) == 0 {
					t.Error("the run has no directory while it runs: this test looks in the wrong place")
				}
				if err := ending.end(s); err != nil {
					t.Fatal(err)
				}
				if got := s.code(); got != ending.want {
					t.Errorf("exit code %d, want %d\n%s", got, ending.want, s.said)
				}
				if left := c.left(); len(left) > 0 {
					t.Errorf("left behind: %q", left)
				}
			})
		}
	}
}

// modes are the flags with which children end in the same way.
var modes = []string{"", " --isolate"}

// A killed wiemu cannot clean up; its child dies with it, and the next run
// removes what it left.
func TestKilledRunIsCleanedUpByTheNext(t *testing.T) {
	for _, mode := range modes {
		t.Run("run"+mode, func(t *testing.T) { testKilledRun(t, mode) })
	}
}

func testKilledRun(t *testing.T, mode string) {
	c := newCommand(t)
	s := c.startRun(mode, "echo $$ ready; exec sleep 600")
	if err := s.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if got := s.code(); got != 137 {
		t.Errorf("exit code %d", got)
	}
	c.output(c.path, "run", "-f", "radixconfig.yaml", "--env", "dev", "web", "--", "true")
	if left := c.left(); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if stat, err := os.ReadFile("/proc/" + strconv.Itoa(s.child) + "/stat"); err == nil && !strings.Contains(string(stat), ") Z") {
		t.Errorf("the child outlived wiemu: %s", stat)
	}
}

// Where token files go is full: the message names the file and what to do, and
// nothing is left. It needs a file system of its own, so a user namespace.
func TestFullDisk(t *testing.T) {
	c := newCommand(t)
	c.output(c.path, "run", "-f", "radixconfig.yaml", "--env", "dev", "web", "--", "true") // the CA and keys are there
	script := `mount -t tmpfs -o size=64k none runtime && head -c 56k /dev/zero > runtime/filler || exit 99
"$0" run -f radixconfig.yaml --env dev web -- true; code=$?; rm runtime/filler; echo; echo "left: $(ls -A runtime)"; exit $code`
	cmd := c.prepare("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, c.path)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() == 99 || exit.ExitCode() == 1 {
		need(t, errors.New(string(out)), "a user namespace with mounts")
	}
	said, left, _ := strings.Cut(string(out), "\nleft: ")
	if exit.ExitCode() != cli.Failed || !strings.Contains(said, "azure-identity-token: no space left on device; the disk is full: free some space") {
		t.Errorf("exit code %d\n%s", exit.ExitCode(), said)
	}
	if left != "\n" {
		t.Errorf("left behind: %s", left)
	}
}
