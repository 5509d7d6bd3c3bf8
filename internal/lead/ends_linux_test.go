//go:build amd64 || arm64

package lead

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/seccomp/seccomptest"
)

// starterName is the name of a process that runs a led program, to be killed.
const starterName = "run a led program"

// starterMain takes Options and the program's arguments.
func starterMain() {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var opts Options
	if err := json.Unmarshal([]byte(os.Args[1]), &opts); err != nil {
		fail(err)
	}
	l, err := Start(opts)
	if err != nil {
		fail(err)
	}
	code, err := process.Run(context.Background(), process.Command{
		Args: os.Args[2:], Env: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr, Background: os.Getenv(foreground) == "", Wrappers: []process.Wrapper{l},
	})
	if err != nil {
		fail(err)
	}
	fmt.Println("code", code, l.Close())
	os.Exit(0)
}

// foreground is a variable that has the program of starterMain run as that of a user.
const foreground = "WIEMU_LEAD_TEST_FOREGROUND"

// until waits for something that happens in another process.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(guard); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

// isRunning reports whether a process is there, and no zombie.
func isRunning(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !strings.Contains(string(status), "State:\tZ") && !strings.Contains(string(status), "State:\tX")
}

// A daemon is a program that its parent leaves behind, and that connects when it is told
// to, after other commands if there are any.
type daemon struct {
	t                *testing.T
	script           string // starts it
	wait, pid, wrote string // paths
	local            string
}

func newDaemon(t *testing.T, first ...string) daemon {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	dir := t.TempDir()
	d := daemon{t: t, wait: filepath.Join(dir, "wait"), pid: filepath.Join(dir, "pid"), wrote: filepath.Join(dir, "wrote")}
	if err := os.WriteFile(d.wait, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, d.local, _ = net.SplitHostPort(l.Addr().String())
	d.script = fmt.Sprintf(`setsid sh -c 'echo $$ >%s.new; mv %[1]s.new %[1]s; while [ -e %s ]; do sleep 0.01; done
		%s
		(%s login.example.test; %s 127.0.0.1 %s 203.0.113.7 80) >%s.new 2>&1; mv %[7]s.new %[7]s' >/dev/null 2>&1 &
		while [ ! -e %[1]s ]; do sleep 0.01; done; `, d.pid, d.wait, strings.Join(first, "\n"), compiled(t, "get"), compiled(t, "reach"), d.local, d.wrote)
	t.Cleanup(func() {
		if pid := d.id(); pid > 0 {
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
	})
	return d
}

func (d daemon) id() int {
	text, _ := os.ReadFile(d.pid)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// goesOn looks whether the daemon is refused the emulated name, and everything else goes
// on.
func (d daemon) goesOn() {
	d.t.Helper()
	if err := os.Remove(d.wait); err != nil {
		d.t.Fatal(err)
	}
	var text []byte
	until(d.t, "the daemon", func() (ok bool) {
		var err error
		text, err = os.ReadFile(d.wrote)
		return err == nil
	})
	found := string(text)
	want := fmt.Sprintf("login.example.test: Connection refused\n127.0.0.1 %s: TCP EINPROGRESS\n203.0.113.7 80: TCP E", d.local)
	if !strings.HasPrefix(found, want) || strings.Contains(found, "ECONNREFUSED") {
		d.t.Errorf("found\n%s\nwant\n%s", found, want)
	}
}

// What a program leaves behind is led no more after Close, and lives on; the supervisor ends
// with it.
func TestDaemons(t *testing.T) {
	for _, test := range []struct {
		name     string
		without  []denial
		ancestor bool
	}{{"getfd", nil, false}, {"rewrite", docker, false}, {"ancestor", nil, true}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDaemon(t)
			opts := newLab(t).options()
			opts.Ancestor = test.ancestor
			l := startWithout(t, test.without, opts)
			r := finish(t, l, []process.Wrapper{l}, "sh", "-c", d.script+compiled(t, "get")+" login.example.test")
			if want := "login.example.test:443 by get\n"; r.out != want || r.code != 0 || r.closed != nil {
				t.Fatalf("found %q, code %d, %v; want %q", r.out, r.code, r.closed, want)
			}
			if !isRunning(d.id()) || !isRunning(l.supervisor) {
				t.Fatal("the daemon or its supervisor has ended with the program")
			}
			d.goesOn()
			until(t, "the supervisor's end", func() bool { return !isRunning(l.supervisor) })
		})
	}
}

// shapes runs a test with the supervisor beside the program, and as its parent.
func shapes(t *testing.T, test func(t *testing.T, opts Options)) {
	seccomptest.NeedListeners(t)
	for name, ancestor := range map[string]bool{"beside": false, "parent": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := newLab(t).options()
			opts.Ancestor = ancestor
			test(t, opts)
		})
	}
}

// When the starter is killed the program ends with it, as without being led, and what it
// left behind lives on.
func TestStarterIsKilled(t *testing.T) {
	shapes(t, func(t *testing.T, opts Options) {
		// Nobody waits for the supervisor, which has to see first that the starter is gone.
		d := newDaemon(t, "until "+compiled(t, "get")+" login.example.test 2>&1 | grep -q refused; do sleep 0.01; done")
		text, err := json.Marshal(opts)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/proc/self/exe")
		cmd.Args = []string{starterName, string(text), "sh", "-c", d.script + "echo $$; exec sleep 1000"}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var pid int
		if _, err := fmt.Fscan(out, &pid); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		until(t, "the program's end", func() bool { return !isRunning(pid) })
		if !isRunning(d.id()) {
			t.Fatal("the daemon has ended with the program")
		}
		d.goesOn()
	})
}

// When a program that reads no answer has ended, and its Lead is closed, the lab has every
// connection that it made: what it tried counts.
func TestEverythingHasArrived(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		if os.Getenv("WIEMU_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip("bash is missing, which connects without any program")
	}
	shapes(t, func(t *testing.T, opts Options) {
		lab := newLab(t)
		opts.Handover = lab.listener.Address()
		const times = 100
		mustRun(t, Getfd, opts, "bash", "-c", fmt.Sprintf("for i in {1..%d}; do exec 3<>/dev/tcp/login.example.test/8443; done", times))
		if arrived, _ := lab.seen(); len(arrived) != times {
			t.Errorf("%d connections have arrived, want %d", len(arrived), times)
		}
	})
}

// Without its supervisor a program would lose all its connections: it ends, and the error
// says why.
func TestSupervisorIsKilled(t *testing.T) {
	shapes(t, func(t *testing.T, opts Options) {
		l, err := Start(opts)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			until(t, "the program", func() bool { return l.Report().Way != "" })
			_ = syscall.Kill(l.supervisor, syscall.SIGKILL)
		}()
		r := finish(t, l, []process.Wrapper{l}, "sleep", "1000")
		if r.code != 128+int(syscall.SIGKILL) || r.closed == nil || !strings.Contains(r.closed.Error(), "the supervisor has ended, and the program with it") {
			t.Errorf("code %d, error %v", r.code, r.closed)
		}
	})
}

// A program that is to end, and what it has started, ends within the grace; nothing of it is
// left.
func TestProgramIsEnded(t *testing.T) {
	shapes(t, func(t *testing.T, opts Options) {
		for name, trap := range map[string]string{"as it is asked to": "trap 'echo asked; exit 3' TERM", "by force": "trap '' TERM"} {
			grace := map[string]time.Duration{"as it is asked to": 20 * time.Second, "by force": 500 * time.Millisecond}[name]
			t.Run(name, func(t *testing.T) {
				l, err := Start(opts)
				if err != nil {
					t.Fatal(err)
				}
				pids := filepath.Join(t.TempDir(), "pids")
				ctx, cancel := context.WithTimeout(t.Context(), guard)
				defer cancel()
				go func() {
					until(t, "the program", func() bool {
						text, _ := os.ReadFile(pids)
						return strings.Count(string(text), "\n") == 2
					})
					cancel()
				}()
				var out bytes.Buffer
				_, err = process.Run(ctx, process.Command{
					Args: []string{"sh", "-c", trap + "; setsid sleep 1000 & echo $! >>" + pids + "; echo $$ >>" + pids + "; while :; do sleep 0.01; done"},
					Env:  os.Environ(), Stdout: &out, Background: true, Wrappers: []process.Wrapper{l}, Grace: grace,
				})
				if !errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
				_ = l.Close() // the supervisor may have been killed with the program
				if want := map[bool]string{true: "asked\n", false: ""}[name == "as it is asked to"]; out.String() != want {
					t.Errorf("it was asked to end: %q, want %q", out.String(), want)
				}
				text, _ := os.ReadFile(pids)
				for pid := range strings.FieldsSeq(string(text)) {
					number, _ := strconv.Atoi(pid)
					until(t, "the end of "+pid, func() bool { return !isRunning(number) })
				}
				until(t, "the supervisor's end", func() bool { return !isRunning(l.supervisor) })
			})
		}
	})
}

// Signals that the starter hands on reach the program once.
func TestSignalsAreRelayed(t *testing.T) {
	shapes(t, func(t *testing.T, opts Options) {
		text, err := json.Marshal(opts)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/proc/self/exe")
		cmd.Args = []string{starterName, string(text), "sh", "-c", `trap 'echo got' USR1; trap 'echo end; exit 5' TERM; echo begun; while :; do sleep 0.01; done`}
		cmd.Env = append(os.Environ(), foreground+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // without a terminal
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for _, step := range []struct {
			want string
			send syscall.Signal
		}{{"begun", syscall.SIGUSR1}, {"got", syscall.SIGTERM}, {"end", 0}, {"code 5 <nil>", 0}} {
			if !lines.Scan() || lines.Text() != step.want {
				t.Fatalf("it said %q, want %q", lines.Text(), step.want)
			}
			if step.send != 0 {
				_ = cmd.Process.Signal(step.send)
			}
		}
		_ = cmd.Wait()
	})
}

// Exit codes and errors are those of a program that is not led.
func TestExits(t *testing.T) {
	noFormat := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(noFormat, []byte("\x00\x01"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		args    []string
		code    int
		wantErr string
	}{
		{"success", []string{"true"}, 0, ""},
		{"an exit code", []string{"sh", "-c", "exit 7"}, 7, ""},
		{"a signal", []string{"sh", "-c", "kill -TERM $$"}, 128 + 15, ""},
		{"stopped for a while", []string{"sh", "-c", `(until grep -q 'State:.T' /proc/$$/status; do sleep 0.01; done; kill -CONT $$) & kill -STOP $$; "$0" login.example.test`, compiled(t, "get")}, 0, ""},
		{"no program", []string{noFormat}, process.NotExecutable, "execute the program: exec format error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			shapes(t, func(t *testing.T, opts Options) {
				r := launch(t, Getfd, opts, test.args...)
				if r.code != test.code || (test.wantErr == "") != (r.closed == nil) || r.closed != nil && !strings.Contains(r.closed.Error(), test.wantErr) {
					t.Errorf("code %d, error %v; want %d, %q\n%s", r.code, r.closed, test.code, test.wantErr, r.out)
				}
			})
		})
	}
	t.Run("not found", func(t *testing.T) {
		r := launch(t, Getfd, newLab(t).options(), "no-such-program")
		if r.code != process.NotFound || r.closed != nil {
			t.Errorf("code %d, error %v", r.code, r.closed)
		}
	})
}

// A lab that is not there is told before anything starts.
func TestNoLab(t *testing.T) {
	r := launch(t, Getfd, Options{Names: emulated, Handover: filepath.Join(t.TempDir(), "none")}, "echo", "started")
	if r.closed == nil || !strings.Contains(r.closed.Error(), "connect to the lab") || r.out != "" || r.code != process.Failed {
		t.Errorf("code %d, error %v, output %q", r.code, r.closed, r.out)
	}
}

// Nothing is left of a run: no file, no process.
func TestNothingIsLeft(t *testing.T) {
	lab := newLab(t)
	leftovers := func() (files, children int) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		lists, _ := filepath.Glob("/proc/self/task/*/children")
		for _, list := range lists {
			text, _ := os.ReadFile(list) // of a thread that may have ended
			children += len(strings.Fields(string(text)))
		}
		return len(entries), children
	}
	mustRun(t, Getfd, lab.options(), compiled(t, "get"), "login.example.test") // what is made once is made
	var files, children int
	until(t, "the first supervisor's end", func() bool { files, children = leftovers(); return children == 0 })
	for range 3 {
		mustRun(t, Getfd, lab.options(), compiled(t, "get"), "login.example.test")
		if _, err := Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var nowFiles, nowChildren int
	until(t, "the end of files and processes", func() bool {
		nowFiles, nowChildren = leftovers()
		return nowFiles <= files && nowChildren <= children
	})
}

// Options that make no sense are refused.
func TestOptions(t *testing.T) {
	for text, opts := range map[string]Options{
		"Handover is required":                {Names: emulated},
		`found "Login.example"`:               {Names: []string{"Login.example"}, Handover: "x"},
		`found "login.example."`:              {Names: []string{"login.example."}, Handover: "x"},
		`found ""`:                            {Names: []string{""}, Handover: "x"},
		"literal addresses with ports":        {Literals: addresses("169.254.169.254:0", "127.0.0.1:80")},
		"on loopback":                         {Literals: addresses("169.254.169.254:80", "192.0.2.1:80")},
		"by the same version of IP, found [:": {Literals: addresses("169.254.169.254:80", "[::1]:80")},
	} {
		if l, err := Start(opts); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: found %v, want %q", opts, err, text)
			if err == nil {
				_ = l.Close()
			}
		}
	}
}

func addresses(from, to string) map[netip.AddrPort]netip.AddrPort {
	return map[netip.AddrPort]netip.AddrPort{netip.MustParseAddrPort(from): netip.MustParseAddrPort(to)}
}
