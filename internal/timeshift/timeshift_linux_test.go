//go:build amd64 || arm64

package timeshift

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/programkind"
	"github.com/wiemu/wiemu/internal/seccomp/seccomptest"
)

func TestMain(m *testing.M) {
	switch {
	case IsHelperProcess():
		RunHelper(programkind.Of)
	case os.Args[0] == goProgram:
		goWaitsMain()
		return
	case os.Args[0] == deniedProgram:
		deniedMain()
		return
	case os.Args[0] == deniedTimersProgram:
		deniedTimersMain()
		return
	case os.Args[0] == deniedNetworkProgram:
		deniedNetworkMain()
		return
	case os.Args[0] == noLabProgram:
		noLabMain()
		return
	case os.Args[0] == starterProgram:
		starterMain()
		return
	}
	// The race detector has programs sleep before they end, which takes for ever where time stands.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0")
	os.Exit(m.Run())
}

// A program that waits for a time before it ends, as the JVM does, ends though lab time stands.
func TestTimePassesForAProgramThatIsToEnd(t *testing.T) {
	lab := clock.Stopped(start)
	c := launch(t, lab, lab, Options{}, need(t, "python3"), "-c", "import time; time.sleep(0.2); print(int(time.time()) // 3600)")
	if err := lab.Advance(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	c.shift.LetTimePass()
	if code := c.wait(); code != 0 || strings.TrimSpace(c.output()) != fmt.Sprint(start.Unix()/3600) {
		t.Errorf("exit code %d: %s %s", code, c.output(), c.said())
	}
	if now := lab.Now(); now != start {
		t.Errorf("the lab's clock went on by %v", now.Sub(start))
	}
}

func TestProbe(t *testing.T) {
	seccomptest.NeedListeners(t)
	p, err := Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v a question, %v without us", p.Cost, p.Bare)
}

// start is lab time when a test begins.
var start = time.Date(2031, 3, 1, 12, 0, 0, 0, time.UTC)

// guard is how long, on the wall clock, anything may take that does not hang.
const guard = 10 * time.Minute

// A child is a program on a lab clock. Its output goes to a file, so that what it
// has written before its turn is over can be read then.
type child struct {
	t      *testing.T
	lab    *clock.Lab
	shift  *Shift
	file   *os.File
	stderr *os.File
	cancel context.CancelFunc
	done   chan struct{}
	code   int   // when done
	err    error // the same
}

// launch runs a program on lab's clock, which it follows as source does.
func launch(t *testing.T, lab *clock.Lab, source Source, opts Options, args ...string) *child {
	t.Helper()
	return launchWith(t, lab, source, opts, nil, args...)
}

// launchWith runs a program with a standard input; nil: none.
func launchWith(t *testing.T, lab *clock.Lab, source Source, opts Options, stdin io.Reader, args ...string) *child {
	t.Helper()
	seccomptest.NeedListeners(t)
	c := &child{t: t, lab: lab, done: make(chan struct{})}
	var err error
	if c.file, err = os.Create(filepath.Join(t.TempDir(), "out")); err != nil {
		t.Fatal(err)
	}
	if c.stderr, err = os.Create(c.file.Name() + ".err"); err != nil {
		t.Fatal(err)
	}
	if c.shift, err = Start(source, opts); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, c.cancel = context.WithTimeout(context.Background(), guard)
	command := process.Command{
		Args: args, Env: os.Environ(), Stdin: stdin, Stdout: c.file, Stderr: c.stderr, Background: true,
		Wrappers: []process.Wrapper{c.shift}, Grace: 200 * time.Millisecond,
	}
	if args[0] == goProgram {
		command.Args = append([]string{"/proc/self/exe"}, args[1:]...)
		command.Wrappers = []process.Wrapper{named{goProgram}, c.shift}
	}
	go func() {
		defer close(c.done)
		c.code, c.err = process.Run(ctx, command)
	}()
	t.Cleanup(func() {
		c.cancel()
		<-c.done
		_ = c.shift.Close()
		_ = errors.Join(c.file.Close(), c.stderr.Close())
		if said := c.said(); t.Failed() && said != "" {
			t.Logf("its standard error:\n%s", said)
		}
	})
	return c
}

// named starts a program under another name.
type named struct{ name string }

func (n named) Prepare(cmd *exec.Cmd) error { cmd.Args[0] = n.name; return nil }
func (n named) StartFailed(err error) error { return err }
func (c *child) output() string             { data, _ := os.ReadFile(c.file.Name()); return string(data) }
func (c *child) said() string               { data, _ := os.ReadFile(c.stderr.Name()); return string(data) }
func (c *child) lines() []string            { return strings.Split(strings.TrimSpace(c.output()), "\n") }
func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// until waits for something that comes without lab time moving on.
func (c *child) until(what string, is func() bool) {
	c.t.Helper()
	for end := time.Now().Add(guard); !is(); time.Sleep(time.Millisecond) {
		over := time.Now().After(end)
		if over || c.ended() && !is() {
			c.t.Fatalf("no %s; ended: %v, code %d, error %v; output:\n%s", what, c.ended(), c.code, c.err, c.output())
		}
	}
}

// has waits for an output, and then until the program is at rest.
func (c *child) has(text string) {
	c.t.Helper()
	c.until(fmt.Sprintf("%q", text), func() bool { return strings.Contains(c.output(), text) })
	c.rest()
}

// rest waits until the program has nothing to do but to wait for a time.
func (c *child) rest() {
	c.t.Helper()
	c.until("rest", func() bool {
		if err := c.shift.Turn(c.t.Context(), 0); err != nil {
			c.t.Fatal(err)
		}
		_, waits := c.shift.Next()
		return waits || c.ended()
	})
}

func (c *child) advance(d time.Duration) {
	c.t.Helper()
	if err := c.lab.Advance(c.t.Context(), d); err != nil {
		c.t.Fatal(err)
	}
}

// wait waits for the program's end, closes it and returns its exit code.
func (c *child) wait() int {
	c.t.Helper()
	<-c.done
	if err := errors.Join(c.err, c.shift.Close()); err != nil {
		c.t.Fatalf("exit code %d, %v\n%s", c.code, err, c.said())
	}
	return c.code
}

// need leaves a test out when something that it needs is missing, or fails it
// where everything must run.
func need(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	message := fmt.Sprintf("left out, because %s is missing: %v", program, err)
	if os.Getenv("WIEMU_REQUIRE") != "" {
		t.Fatal(message + " (WIEMU_REQUIRE is set)")
	}
	t.Skip(message)
	return ""
}

// compile makes a C program of testdata.
func compile(t testing.TB, name string, flags ...string) string {
	t.Helper()
	seccomptest.NeedListeners(t)
	program := filepath.Join(t.TempDir(), filepath.Base(name))
	args := append([]string{"-Wall", "-O1", "-pthread", "-o", program, filepath.Join("testdata", name+".c")}, flags...)
	if out, err := exec.Command(need(t, "cc"), args...).CombinedOutput(); err != nil {
		t.Fatalf("compile %s: %v\n%s", name, err, out)
	}
	return program
}
