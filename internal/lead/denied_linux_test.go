//go:build amd64 || arm64

package lead

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/seccomp"
	"github.com/wiemu/wiemu/internal/seccomp/seccomptest"
)

// deniedName is the name of a process that denies itself system calls, as the profiles of
// containers do, and then is another program, or a probe.
const deniedName = "deny system calls"

// A denial has a system call fail: always, or if an argument has one of some bits.
type denial struct {
	Number   int
	Errno    unix.Errno
	Argument int
	Bits     uint32 // 0: always
}

// What is not permitted, or not known, where programs run.
var (
	docker = []denial{{Number: unix.SYS_PIDFD_GETFD, Errno: unix.EPERM}}
	podman = []denial{{Number: unix.SYS_PROCESS_VM_READV, Errno: unix.EPERM}, {Number: unix.SYS_PROCESS_VM_WRITEV, Errno: unix.EPERM}}
	// Before Linux 5.19: no WAIT_KILLABLE_RECV, no PIDFD_THREAD.
	oldKernel = []denial{
		{Number: unix.SYS_SECCOMP, Errno: unix.EINVAL, Argument: 1, Bits: unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
		{Number: unix.SYS_PIDFD_OPEN, Errno: unix.EINVAL, Argument: 1, Bits: unix.O_EXCL},
	}
	noSeccomp   = []denial{{Number: unix.SYS_SECCOMP, Errno: unix.EPERM}}
	noListeners = []denial{{Number: unix.SYS_SECCOMP, Errno: unix.EINVAL, Argument: 1, Bits: unix.SECCOMP_FILTER_FLAG_NEW_LISTENER}}
	before5_6   = []denial{{Number: unix.SYS_PIDFD_GETFD, Errno: unix.ENOSYS}}
)

// denied has a command of this executable run without some system calls. It is a
// process.Wrapper.
type denied []denial

func (d denied) Prepare(cmd *exec.Cmd) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	cmd.Path = "/proc/self/exe"
	cmd.Args = append([]string{deniedName, string(text)}, cmd.Args...)
	return nil
}

func (denied) StartFailed(err error) error { return err }

// probeName has a denied process say what Probe does.
const probeName = "probe"

// deniedMain takes denials, and the arguments of this executable under another name.
func deniedMain() {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var all []denial
	if err := json.Unmarshal([]byte(os.Args[1]), &all); err != nil {
		fail(err)
	}
	for _, d := range all {
		if err := d.install(); err != nil {
			fail(err)
		}
	}
	if os.Args[2] != probeName {
		fail(unix.Exec("/proc/self/exe", os.Args[2:], os.Environ()))
	}
	way, err := Probe(context.Background())
	if err != nil {
		fail(err)
	}
	fmt.Println(way)
	os.Exit(0)
}

// install gives all threads of this process a filter.
func (d denial) install() error {
	program := []unix.SockFilter{seccomp.Load(seccomp.Number), seccomp.Jump(unix.BPF_JEQ, uint32(d.Number), 1, 0), seccomp.Return(seccomp.Allow)}
	if d.Bits != 0 {
		program = append(program, seccomp.Load(seccomp.Low(d.Argument)), unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: d.Bits, Jt: 1}, seccomp.Return(seccomp.Allow))
	}
	program = append(program, seccomp.Return(unix.SECCOMP_RET_ERRNO|uint32(d.Errno)))
	code := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, _, failed := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&code))); failed != 0 {
		return failed
	}
	return nil
}

// probe runs Probe in a process without some system calls.
func probe(t *testing.T, without []denial, wrappers ...process.Wrapper) (out string) {
	t.Helper()
	seccomptest.NeedListeners(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{probeName}
	for _, w := range append([]process.Wrapper{denied(without)}, wrappers...) {
		if err := w.Prepare(cmd); err != nil {
			t.Fatal(err)
		}
	}
	said, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(said))
}

// The way is chosen, or refused with the reason, before anything is installed.
func TestProbe(t *testing.T) {
	for _, test := range []struct {
		name    string
		without []denial
		want    []string // all of them in one line
	}{
		{"all is permitted", nil, []string{"getfd"}},
		{"Docker's profile", docker, []string{"rewrite"}},
		{"Podman's profile", podman, []string{"getfd"}},
		{"both", slices.Concat(docker, podman), []string{"rewrite"}},
		{"before Linux 5.6", before5_6, []string{"rewrite"}},
		{"before Linux 5.19", oldKernel, []string{"getfd"}},
		{"before Linux 5.19 in Docker", slices.Concat(docker, oldKernel), []string{"install the seccomp filter: ", "needs Linux 5.19 or later", "--cap-add SYS_PTRACE"}},
		{"no seccomp", noSeccomp, []string{"install the seccomp filter: operation not permitted. seccomp(2) is not permitted here"}},
		{"no listeners", noListeners, []string{"install the seccomp filter: invalid argument. ", "needs Linux 5.5 or later", "gVisor"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out := probe(t, test.without)
			for _, want := range test.want {
				if !strings.Contains(out, want) || strings.Contains(out, "\n") {
					t.Errorf("found %q, want one line with %q", out, want)
				}
			}
		})
	}
}

// Nobody needs a privilege.
func TestProbeAsNobody(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("this is not root anyway: the other tests show it")
	}
	seccomptest.NeedListeners(t)
	if scope := yamaScope(); scope > yamaDescendants {
		t.Skipf("Yama lets root alone look into programs: kernel.yama.ptrace_scope is %d", scope)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{deniedName, "[]", probeName}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "getfd\n" {
		t.Errorf("error %v, it said %s", err, out)
	}
}

// Nobody can be led twice, and the probe finds that out.
func TestProbeInsideOfAnother(t *testing.T) {
	seccomptest.NeedListeners(t)
	l, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := probe(t, nil, l)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out, "device or resource busy. Another supervisor listens") {
		t.Errorf("found %q", out)
	}
}

// The program runs once, or not at all: with the way that is permitted, and else the error
// says why.
func TestProgramsInProfiles(t *testing.T) {
	for _, test := range []struct {
		name                string
		supervisor, program []denial
		want                Way
		wantErr             string
	}{
		{name: "Docker's", supervisor: docker, program: docker, want: Rewrite},
		{name: "Podman's", supervisor: podman, program: podman, want: Getfd},
		{name: "both", supervisor: slices.Concat(docker, podman), want: Rewrite},
		{name: "before Linux 5.19", supervisor: oldKernel, program: oldKernel, want: Getfd},
		{name: "before Linux 5.19 in Docker", supervisor: slices.Concat(docker, oldKernel), program: oldKernel, wantErr: "Linux 5.19"},
		{name: "no seccomp", program: noSeccomp, wantErr: "seccomp(2) is not permitted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := startWithout(t, test.supervisor, newLab(t).options())
			r := finish(t, l, []process.Wrapper{l, denied(test.program)}, compiled(t, "get"), "login.example.test")
			if test.wantErr != "" {
				if r.closed == nil || !strings.Contains(r.closed.Error(), test.wantErr) || r.out != "" || r.code != process.Failed {
					t.Errorf("code %d, error %v, output %q; want the error to have %q", r.code, r.closed, r.out, test.wantErr)
				}
				return
			}
			if r.closed != nil || r.report.Way != test.want || r.out != "login.example.test:443 by get\n" {
				t.Errorf("way %s, error %v, output %q", r.report.Way, r.closed, r.out)
			}
		})
	}
}
