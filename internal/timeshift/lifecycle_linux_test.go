//go:build amd64 || arm64

package timeshift

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/seccomp"
	"github.com/wiemu/wiemu/internal/seccomp/seccomptest"
)

// family starts a program that leaves processes running, in its group and out of
// it, and tells their ids, its own first.
const family = `echo $$; sleep 1000 & echo $!; setsid sleep 1000 & echo $!; setsid sh -c 'sleep 1000 & echo $!'; `

// pids waits for so many ids of processes, one a line.
func (c *child) pids(n int) (all []int) {
	c.t.Helper()
	c.until("processes", func() bool { return strings.Count(c.output(), "\n") >= n })
	for _, text := range c.lines() {
		pid, err := strconv.Atoi(text)
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, pid)
	}
	return all
}

// supervisorOf is the process that traces another.
func supervisorOf(t *testing.T, pid int) int {
	t.Helper()
	_, rest, _ := strings.Cut(procStatus(t, pid), "\nTracerPid:\t")
	line, _, _ := strings.Cut(rest, "\n")
	supervisor, err := strconv.Atoi(line)
	if err != nil || supervisor == 0 {
		t.Fatalf("process %d has no supervisor: %q", pid, line)
	}
	return supervisor
}

// haveEnded waits until processes are no more than zombies of somebody else.
func haveEnded(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		for end := time.Now().Add(guard); ; time.Sleep(time.Millisecond) {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if err != nil || strings.Contains(string(status), "State:\tZ") || strings.Contains(string(status), "State:\tX") {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("process %d goes on:\n%s", pid, status)
			}
		}
	}
}

// own are the files and the children that this process has.
func own(t *testing.T) (files, children []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			if !strings.HasPrefix(target, "/proc/") {
				files = append(files, e.Name()+" "+target)
			}
		}
	}
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		text, _ := os.ReadFile(list) // of a thread that may have ended
		children = append(children, strings.Fields(string(text))...)
	}
	return files, children
}

// Whatever becomes of a program, nothing of it is left after Close.
func TestNothingIsLeft(t *testing.T) {
	for _, test := range []struct {
		name    string
		args    []string
		do      func(t *testing.T, c *child, pids []int)
		wantErr string
	}{
		{name: "a program that ended", args: []string{"true"}},
		{name: "one that left others running", args: []string{"sh", "-c", family}},
		{name: "one that is not there", args: []string{"no-such-program"}, wantErr: "no-such-program"},
		{name: "one that is no program", args: []string{"/etc/passwd"}, wantErr: "/etc/passwd"},
		{name: "one whose context ended", args: []string{"sh", "-c", family + "wait"}, do: func(_ *testing.T, c *child, _ []int) { c.cancel() }, wantErr: "context canceled"},
		{name: "one that ignores that", args: []string{"sh", "-c", "trap '' TERM INT; " + family + "wait"}, do: func(_ *testing.T, c *child, _ []int) { c.cancel() }, wantErr: "context canceled"},
		{name: "one that was busy in its turn", args: []string{"sh", "-c", family + "while :; do :; done"}, do: func(t *testing.T, c *child, _ []int) {
			ctx, cancel := context.WithCancel(t.Context())
			turned := make(chan error)
			go func() { turned <- c.lab.Advance(ctx, time.Hour) }()
			c.until("a turn", func() bool { return c.lab.Setting().Speed == 0 })
			cancel()
			if err := <-turned; !errors.Is(err, context.Canceled) {
				t.Errorf("the turn ended with %v", err)
			}
			began := time.Now()
			c.cancel()
			<-c.done
			if _ = c.shift.Close(); time.Since(began) > 20*time.Second {
				t.Errorf("its end took %v: it was waited for", time.Since(began))
			}
		}, wantErr: "context canceled"},
		{name: "one that was killed", args: []string{"sh", "-c", family + "wait"}, do: func(t *testing.T, _ *child, pids []int) { kill(t, pids[0]) }},
		{name: "one whose supervisor was killed", args: []string{"sh", "-c", family + "wait"}, do: func(t *testing.T, c *child, pids []int) {
			kill(t, supervisorOf(t, pids[0]))
			<-c.done
			if c.code != 137 {
				t.Errorf("exit code %d, want 137", c.code)
			}
		}, wantErr: "its supervisor has ended, and the program with it. it was killed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			files, children := own(t)
			lab := clock.Stopped(start)
			c := launch(t, lab, lab, Options{}, test.args...)
			var pids []int
			if slices.Contains(test.args, "-c") {
				pids = c.pids(4)
				if test.do != nil {
					test.do(t, c, pids)
				}
			}
			<-c.done
			err := errors.Join(c.err, c.shift.Close())
			if test.wantErr == "" && err != nil || test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)) {
				t.Errorf("error %v, want %q", err, test.wantErr)
			}
			if err := c.shift.Close(); (err != nil) != strings.Contains(test.wantErr, "supervisor") {
				t.Errorf("closed again: %v", err)
			}
			_ = errors.Join(c.file.Close(), c.stderr.Close())
			haveEnded(t, pids...)
			filesAfter, childrenAfter := own(t)
			if len(filesAfter) > len(files) || len(childrenAfter) > len(children) {
				t.Errorf("files %q, before %q\nchildren %q, before %q", filesAfter, files, childrenAfter, children)
			}
			if err := lab.Advance(t.Context(), time.Hour); err != nil {
				t.Errorf("the clock does not go on: %v", err)
			}
		})
	}
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// What ends with its program, because nobody tells it lab time any more, is said.
func TestWhatIsLeftBehindIsSaid(t *testing.T) {
	lab := clock.Stopped(start)
	c := launch(t, lab, lab, Options{Explain: true}, "sh", "-c", "setsid sleep 1000 & sleep 1; true")
	c.has("")
	c.advance(time.Second)
	if code := c.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	left := 0
	for _, p := range c.shift.Report().Programs {
		if slices.Contains(p.Note, leftBehind) {
			left++
			if filepath.Base(p.Path) == "sh" {
				t.Errorf("the program itself is said to be left: %+v", p)
			}
		}
	}
	if left != 1 {
		t.Errorf("%d programs are said to be left, want 1: %+v", left, c.shift.Report().Programs)
	}
}

func TestACloseWithoutAProgram(t *testing.T) {
	seccomptest.NeedListeners(t)
	files, children := own(t)
	lab := clock.Stopped(start)
	for range 20 {
		shift, err := Start(lab, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := shift.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if filesAfter, childrenAfter := own(t); len(filesAfter) > len(files) || len(childrenAfter) > len(children) {
		t.Errorf("files %q, before %q\nchildren %q, before %q", filesAfter, files, childrenAfter, children)
	}
}

// starterProgram is the name under which this program is killed while it runs
// another in lockstep.
const starterProgram = "test: start a program"

func starterMain() {
	shift, err := Start(clock.Stopped(start), Options{})
	if err != nil {
		panic(err)
	}
	_, err = process.Run(context.Background(), process.Command{
		Args: []string{"sh", "-c", family + "wait"}, Env: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr, Wrappers: []process.Wrapper{shift},
	})
	panic(err) // it does not get here
}

func TestNothingIsLeftOfWhoeverIsKilled(t *testing.T) {
	seccomptest.NeedListeners(t)
	starter := exec.Command("/proc/self/exe")
	starter.Args = []string{starterProgram}
	out, err := starter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	lines := bufio.NewScanner(out)
	for len(pids) < 4 && lines.Scan() {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	supervisor := supervisorOf(t, pids[0])
	kill(t, starter.Process.Pid)
	_ = starter.Wait()
	haveEnded(t, append(pids, supervisor)...)
}

// Signals that whoever starts us has blocked are blocked in the supervisor, too, which wakes its tracer
// by one.
func TestASignalThatIsBlockedWakesTheTracer(t *testing.T) {
	seccomptest.NeedListeners(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, signalSet(wakeUpSignal), nil); err != nil {
		t.Fatal(err)
	}
	lab := clock.Stopped(start)
	c := launch(t, lab, lab, Options{}, need(t, "sleep"), "3600")
	if err := unix.PthreadSigmask(unix.SIG_UNBLOCK, signalSet(wakeUpSignal), nil); err != nil {
		t.Fatal(err)
	}
	c.rest()
	c.advance(time.Hour)
	if c.wait() != 0 {
		t.Error(c.said())
	}
}

// A process has one memory, however many threads ask.
func TestOneMemoryFileAProcess(t *testing.T) {
	program := compile(t, "acts")
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	lab := clock.Stopped(start)
	c := launchWith(t, lab, deaf{lab}, Options{}, in, "sh", "-c", "echo $$; exec "+program+" forwards")
	c.until("answers", func() bool { return strings.Contains(c.output(), "enough") })
	pid, err := strconv.Atoi(c.lines()[0])
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]int{}
	for _, fd := range filesOf(t, supervisorOf(t, pid)) {
		if strings.HasSuffix(fd, "/mem") {
			open[fd]++
		}
	}
	if memory := fmt.Sprintf("/proc/%d/mem", pid); len(open) != 1 || open[memory] != 1 {
		t.Errorf("open: %v, want %s once", open, memory)
	}
	_ = out.Close()
	if c.wait() != 0 {
		t.Error(c.said())
	}
}

func filesOf(t *testing.T, pid int) (targets []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			targets = append(targets, target)
		}
	}
	return targets
}

// deniedProgram is the name under which this program probes where a system call
// is denied: its arguments are the call's number and the error.
const deniedProgram = "test: probe where something is denied"

func deniedMain() {
	for i := 1; i+1 < len(os.Args); i += 2 {
		nr, _ := strconv.Atoi(os.Args[i])
		errno, _ := strconv.Atoi(os.Args[i+1])
		deny(uint32(nr), uint32(errno))
	}
	_, err := Probe(context.Background())
	fmt.Println(err)
}

// deny has every thread of this process, and its children, refused a system call.
func deny(nr, errno uint32) {
	p := program{seccomp.Load(seccomp.Number), seccomp.Jump(unix.BPF_JEQ, nr, 0, 1), seccomp.Return(unix.SECCOMP_RET_ERRNO | errno), seccomp.Return(seccomp.Allow)}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	if err := setFilter(p); err != nil {
		panic(err)
	}
}

func TestWhatIsDeniedIsSaid(t *testing.T) {
	seccomptest.NeedListeners(t)
	const filtered = "install the seccomp filter: "
	for _, test := range []struct {
		name  string
		nr    int
		errno syscall.Errno
		want  string
	}{
		{"nothing", -1, 0, "<nil>"},
		{"ptrace", unix.SYS_PTRACE, syscall.EPERM, "trace the program: operation not permitted. ptrace(2) is not allowed here: check that kernel.yama.ptrace_scope"},
		{"ptrace, by a kernel without it", unix.SYS_PTRACE, syscall.ENOSYS, "trace the program: function not implemented"},
		{"seccomp", unix.SYS_SECCOMP, syscall.EPERM, filtered + "operation not permitted. seccomp(2) is not allowed here: in a container"},
		{"seccomp, by an old kernel", unix.SYS_SECCOMP, syscall.ENOSYS, filtered + "function not implemented. seccomp user notification needs Linux 5.5"},
		{"notification", unix.SYS_SECCOMP, syscall.EINVAL, filtered + "invalid argument. seccomp user notification needs Linux 5.5"},
		{"a second supervisor", unix.SYS_SECCOMP, syscall.EBUSY, filtered + "device or resource busy. another supervisor listens"},
		{"shared memory", unix.SYS_SHMGET, syscall.ENOSYS, "<nil>"},                    // programs ask then
		{"shared memory, later", unix.SYS_SHMAT, syscall.EPERM, "<nil>"},               // the same
		{"the supervisor's reply", unix.SYS_PROCESS_VM_WRITEV, syscall.EPERM, "<nil>"}, // as in Docker: it is not needed
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
			cmd.Args = []string{deniedProgram}
			if test.nr >= 0 {
				cmd.Args = append(cmd.Args, strconv.Itoa(test.nr), strconv.Itoa(int(test.errno)))
			}
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), test.want) {
				t.Errorf("error %v, it said\n%s\nwant %s", err, out, test.want)
			}
		})
	}
}

// It needs no privilege.
func TestAsNobody(t *testing.T) {
	seccomptest.NeedListeners(t)
	if os.Getuid() != 0 {
		t.Skip("this is not root anyway: the other tests show it")
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Args = []string{deniedProgram}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "<nil>\n" {
		t.Errorf("error %v, it said %s", err, out)
	}
}

func TestLockstepInsideOfLockstepIsRefused(t *testing.T) {
	seccomptest.NeedListeners(t)
	shift, err := Start(clock.Running(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Args = []string{deniedProgram}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = shift.Prepare(cmd)
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(errors.Join(err, shift.Close()))
	}
	said, _ := io.ReadAll(out)
	if err := errors.Join(cmd.Wait(), shift.Close()); err != nil {
		t.Error(err)
	}
	const want = "trace the program: operation not permitted. this process is already traced: do not run a program in lockstep inside of one in lockstep"
	if !strings.Contains(string(said), want) {
		t.Errorf("it said %s\nwant %s", said, want)
	}
}
