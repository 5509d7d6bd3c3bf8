//go:build unix

package process_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wiemu/wiemu/internal/process"
)

// The tests run themselves as wiemu: TestMain runs a command and passes its exit
// code on when it is told to.
const asWiemu = "PROCESS_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(asWiemu) == "" {
		os.Exit(m.Run())
	}
	code, err := process.Run(context.Background(), process.Command{
		Args: os.Args[1:], Env: []string{"PATH=" + os.Getenv("PATH")}, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// wiemu is a process that runs a shell script as wiemu would.
func wiemu(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "/bin/sh", "-c", script)
	cmd.Env = append(os.Environ(), asWiemu+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal, whoever runs the test
	return cmd
}

func sh(script string) process.Command {
	return process.Command{Args: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}, Background: true}
}

func TestExitCodesPassThrough(t *testing.T) {
	for _, test := range []struct {
		name, script string
		want         int
	}{
		{"success is 0", "exit 0", 0},
		{"any code is the child's", "exit 7", 7},
		{"the largest too", "exit 255", 255},
		{"a killed child is 128 and the signal", "kill -KILL $$", 137},
		{"a terminated one too", "kill -TERM $$", 143},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, background := range []bool{false, true} {
				c := sh(test.script)
				c.Background = background
				if code, err := process.Run(t.Context(), c); code != test.want || err != nil {
					t.Errorf("code %d, error %v, want %d", code, err, test.want)
				}
			}
		})
	}
}

func TestTheEnvironmentIsExactlyTheGivenOne(t *testing.T) {
	printenv, err := exec.LookPath("env")
	if err != nil {
		t.Skip("left out: there is no env here")
	}
	t.Setenv("AZURE_CLIENT_SECRET", "the caller's")
	for want, given := range map[string][]string{"": nil, "A=b\nC=d e\n": {"A=b", "C=d e"}} {
		var out bytes.Buffer
		code, err := process.Run(t.Context(), process.Command{Args: []string{printenv}, Env: given, Stdout: &out, Background: true})
		if code != 0 || err != nil || out.String() != want {
			t.Errorf("code %d, error %v, environment %q, want %q", code, err, out.String(), want)
		}
	}
}

func TestInputAndOutputPassThrough(t *testing.T) {
	var out, errs bytes.Buffer
	c := sh("cat; echo problem >&2; pwd")
	c.Stdin, c.Stdout, c.Stderr, c.Dir = strings.NewReader("input\n"), &out, &errs, "/"
	if code, err := process.Run(t.Context(), c); code != 0 || err != nil || out.String() != "input\n/\n" || errs.String() != "problem\n" {
		t.Errorf("code %d, error %v, output %q, errors %q", code, err, out.String(), errs.String())
	}
}

func TestWhatCannotBeRunIsToldAsAShellWould(t *testing.T) {
	dir := t.TempDir()
	for name, file := range map[string]struct {
		content string
		mode    os.FileMode
	}{
		"text":    {"hello\n", 0o644},
		"garbage": {"\x7fELF nonsense", 0o755},
		"lost":    {"#!/nowhere/interpreter\n", 0o755},
		"works":   {"#!/bin/sh\nexit 3\n", 0o755},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(file.content), file.mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=/nowhere:" + dir}
	for _, test := range []struct {
		name string
		args []string
		dir  string
		code int
		want string // in the error; "" for none
	}{
		{"a name in PATH is found", []string{"works"}, "", 3, ""},
		{"a path is taken from the child's directory", []string{"./works"}, dir, 3, ""},
		{"an absolute path is taken as it is", []string{filepath.Join(dir, "works")}, "/", 3, ""},
		{"a name that is nowhere", []string{"my-app"}, "", 127, "my-app: command not found; check its spelling and PATH"},
		{"a name that is in the directory but not in PATH", []string{"process.go"}, ".", 127, "process.go: command not found; did you mean ./process.go?"},
		{"a path that is not there", []string{"./my-app"}, dir, 127, "./my-app: no such file"},
		{"a file that may not be run", []string{"text"}, "", 126, "text: is not executable; allow it: chmod +x " + filepath.Join(dir, "text")},
		{"a directory", []string{"./sub"}, dir, 126, "./sub: is a directory"},
		{"a file that is no program", []string{"garbage"}, "", 126, "garbage: is no program of this machine, nor a script with a #! line"},
		{"a script whose interpreter is missing", []string{"lost"}, "", 126, "lost: its interpreter or dynamic loader is missing"},
		{"an empty name", []string{""}, "", 127, "an empty command name"},
		{"no command", nil, "", 125, "nothing to run; name a command after --"},
		{"no directory", []string{"works"}, "/nowhere", 125, "works: its directory /nowhere does not exist"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, err := process.Run(t.Context(), process.Command{Args: test.args, Dir: test.dir, Env: env, Background: true})
			var told *process.Error
			switch {
			case code != test.code:
				t.Errorf("code %d, error %v, want %d", code, err, test.code)
			case test.want == "" && err != nil:
				t.Errorf("error %v", err)
			case test.want != "" && (!errors.As(err, &told) || told.Code != code || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

// pipe gives a file that processes hold open, and a function that waits until
// none of them is left.
func pipe(t *testing.T) (held *os.File, lines *bufio.Reader) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	if err := r.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil { // wall time: of the test
		t.Fatal(err)
	}
	return w, bufio.NewReader(r)
}

func expect(t *testing.T, lines *bufio.Reader, want string) {
	t.Helper()
	if line, err := lines.ReadString('\n'); err != nil || line != want+"\n" {
		t.Fatalf("read %q, error %v, want %q", line, err, want)
	}
}

// allGone waits until nobody holds the other end of the pipe any more.
func allGone(t *testing.T, held *os.File, lines *bufio.Reader) {
	t.Helper()
	held.Close()
	if rest, err := io.ReadAll(lines); err != nil {
		t.Errorf("somebody is left: %v after %q", err, rest)
	}
}

func TestTheWholeTreeEndsWithTheContext(t *testing.T) {
	const stubborn = `trap "" TERM; echo ready; while :; do sleep 60; done`
	for _, test := range []struct {
		name, script string
		grace        time.Duration
		code         int
		want         string
	}{
		{"a child that cleans up gets to", `trap "exit 3" TERM; echo ready; while :; do sleep 60 & wait; done`, time.Minute, 3, "was ended: context canceled"},
		{"a child that does not listen is killed", stubborn, 50 * time.Millisecond, 137, "or what it started did not end within 50ms and was killed: context canceled"},
		{"grandchildren end too", `sh -c 'echo ready; sleep 60 & sleep 60' & wait`, time.Minute, 143, "was ended"},
		{"also in another session", `setsid sh -c 'echo ready; sleep 60' & wait`, time.Minute, 143, "was ended"},
		{"also when they do not listen", `setsid sh -c '` + stubborn + `' & wait`, 50 * time.Millisecond, 143, "was killed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := exec.LookPath("setsid"); err != nil && strings.Contains(test.script, "setsid") {
				t.Skip("left out: there is no setsid here")
			}
			for _, background := range []bool{true, false} {
				held, lines := pipe(t)
				ctx, cancel := context.WithCancel(t.Context())
				c := sh(test.script)
				c.Stdout, c.Grace, c.Background = held, test.grace, background
				done := make(chan struct{})
				go func() {
					defer close(done)
					code, err := process.Run(ctx, c)
					if code != test.code || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), test.want) {
						t.Errorf("code %d, error %v, want %d, %s", code, err, test.code, test.want)
					}
				}()
				expect(t, lines, "ready")
				cancel()
				<-done
				allGone(t, held, lines)
			}
		})
	}
}

func TestABackgroundCommandLeavesNothing(t *testing.T) {
	held, lines := pipe(t)
	c := sh(`sh -c 'sleep 60' & exit 4`)
	c.Stdout, c.Grace = held, time.Minute
	if code, err := process.Run(t.Context(), c); code != 4 || err != nil {
		t.Errorf("code %d, error %v", code, err)
	}
	allGone(t, held, lines)
}

func TestAContextThatHasEndedStartsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code, err := process.Run(ctx, sh("exit 0")); code != process.Failed || !errors.Is(err, context.Canceled) {
		t.Errorf("code %d, error %v", code, err)
	}
}

func TestSignalsAreHandedToTheChild(t *testing.T) {
	for _, s := range []struct {
		name   string
		signal syscall.Signal
	}{{"TERM", syscall.SIGTERM}, {"HUP", syscall.SIGHUP}, {"USR1", syscall.SIGUSR1}, {"USR2", syscall.SIGUSR2}, {"INT", syscall.SIGINT}, {"QUIT", syscall.SIGQUIT}} {
		t.Run(s.name, func(t *testing.T) {
			held, lines := pipe(t)
			cmd := wiemu(t, `trap "echo got `+s.name+`; exit 9" `+s.name+`; echo ready; while :; do sleep 60 & wait; done`)
			cmd.Stdout = held
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			expect(t, lines, "ready")
			if err := cmd.Process.Signal(s.signal); err != nil {
				t.Fatal(err)
			}
			expect(t, lines, "got "+s.name)
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 9 {
				t.Errorf("wiemu ended with %v", err)
			}
			allGone(t, held, lines)
		})
	}
}
