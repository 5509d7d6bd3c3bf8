package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// denyVariable lists the system calls, as NUMBER=ERRNO, that fail in this process: it examines the
// machine and prints the report.
const denyVariable = "WIEMU_DOCTOR_TEST_DENY"

func TestMain(m *testing.M) {
	denied := os.Getenv(denyVariable)
	if denied == "" {
		os.Exit(m.Run())
	}
	if err := deny(denied); err != nil {
		panic(err)
	}
	observer := Observer{Found: func(Finding) {}, Waiting: func(string) {}}
	_ = os.Unsetenv(denyVariable) // not for the programs that it starts
	r, err := Examine(context.Background(), This(os.Getenv("WIEMU_STATE_DIR")), observer)
	if err != nil {
		panic(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		panic(err)
	}
}

// deny has system calls fail in all threads, and in all processes that they start.
func deny(calls string) error {
	const number = 0 // in struct seccomp_data
	filter := []bpf.Instruction{bpf.LoadAbsolute{Off: number, Size: 4}}
	for call := range strings.SplitSeq(calls, ",") {
		nr, errno, _ := strings.Cut(call, "=")
		n, err := strconv.ParseUint(nr, 10, 32)
		if err != nil {
			return err
		}
		result := uint32(unix.SECCOMP_RET_KILL_PROCESS)
		if errno != "kill" {
			e, err := strconv.ParseUint(errno, 10, 16)
			if err != nil {
				return err
			}
			result = unix.SECCOMP_RET_ERRNO | uint32(e)
		}
		filter = append(filter, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(n), SkipTrue: 1}, bpf.RetConstant{Val: result})
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, err := setFilter(unix.SECCOMP_FILTER_FLAG_TSYNC, append(filter, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})...)
	return err
}

// Under profiles as containers have them, the lines say what is refused.
func TestUnderDeniedSystemCalls(t *testing.T) {
	call := func(nr int, errno string) string { return strconv.Itoa(nr) + "=" + errno }
	refuse := func(nr int, errno unix.Errno) string { return call(nr, strconv.Itoa(int(errno))) }
	for _, row := range []struct {
		name, denied string
		want         map[string]string // check, and what is found
	}{
		{"Docker's default profile", refuse(unix.SYS_PIDFD_GETFD, unix.EPERM), map[string]string{
			"seccomp-listener": "a filter's listener answered", "read-memory": "process_vm_readv(2) read", "pidfd-getfd": "pidfd_getfd(2) is not permitted: operation not permitted",
			"transparent-network": "connections of a program were led to the lab, but not of one",
		}},
		{"an old kernel", refuse(unix.SYS_PIDFD_GETFD, unix.ENOSYS) + "," + refuse(unix.SYS_SECCOMP, unix.ENOSYS), map[string]string{
			"seccomp-listener": "this kernel has no seccomp user notification", "pidfd-getfd": "this kernel has no pidfd_getfd(2)", "lockstep": "install the seccomp filter: ",
		}},
		{"seccomp is refused", refuse(unix.SYS_SECCOMP, unix.EPERM), map[string]string{
			"seccomp-listener": "seccomp(2) is not permitted: operation not permitted", "read-memory": "process_vm_readv(2) read", "pidfd-getfd": "pidfd_getfd(2) copied",
			"transparent-network": "install the seccomp filter: operation not permitted",
			"lockstep":            "install the seccomp filter: operation not permitted", "user-namespaces": "refuse system calls that lead out: ",
		}},
		{"memory by the file only, as with Podman", refuse(unix.SYS_PROCESS_VM_READV, unix.EPERM), map[string]string{
			"read-memory": "/proc/PID/mem read the memory of a child; process_vm_readv(2) did not: operation not permitted",
		}},
		{"ptrace is refused", refuse(unix.SYS_PTRACE, unix.EPERM), map[string]string{"lockstep": "trace the program: operation not permitted", "seccomp-listener": "a filter's listener answered"}},
		{"whoever makes the call is killed", call(unix.SYS_PROCESS_VM_READV, "kill"), map[string]string{
			"read-memory": "the memory of a child cannot be read: signal: bad system call", "user-namespaces": "a program ran", "transparent-network": "signal: bad system call",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), denyVariable+"="+row.denied, "WIEMU_STATE_DIR="+t.TempDir(), "XDG_CACHE_HOME="+t.TempDir(), "DOCKER_HOST=unix:///nowhere")
			var complaint bytes.Buffer
			cmd.Stderr = &complaint
			out, err := cmd.Output()
			var r Report
			if err == nil {
				err = json.Unmarshal(out, &r)
			}
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, out, complaint.String())
			}
			for check, found := range row.want {
				if f := finding(t, r, check); !strings.HasPrefix(f.Found, found) {
					t.Errorf("%s: expected %q, found %+v", check, found, f)
				}
			}
			if !r.Ready {
				t.Errorf("programs cannot run: %v", r.Error())
			}
		})
	}
}
