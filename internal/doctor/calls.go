package doctor

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"syscall"
)

// Calls says which system calls work; an error that is nil means that the call does.
type Calls struct {
	Listener     error // a seccomp filter whose calls another thread answers, or lets go on
	WaitKillable error // the same with SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (Linux 5.19)
	Memory       error // process_vm_readv(2) of a child
	MemoryFile   error // reading /proc/PID/mem of a child
	GetFD        error // pidfd_getfd(2) of a child
}

// errNotLinux is about calls that other systems do not have.
var errNotLinux = errors.New("only Linux has it")

func seccompListener(ctx context.Context, m Machine, f *Finding) {
	c, err := m.Calls(ctx)
	if err == nil {
		err = c.Listener
	}
	switch {
	case err == nil && c.WaitKillable == nil:
		f.Found = "a filter's listener answered a system call"
	case err == nil:
		f.limit("a filter's listener answered a system call, but signals interrupt calls that wait for it", "Linux 5.19 or later waits for them.")
	case errors.Is(err, errNotLinux):
		f.miss(err.Error(), onLinux)
	case errors.Is(err, syscall.EBUSY):
		f.miss("another supervisor listens to the system calls of this process already", "Do not run wiemu in a program that it runs in lockstep, and check what the container's runtime does.")
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSYS):
		f.miss("this kernel has no seccomp user notification: "+err.Error(), "It needs Linux 5.5 or later with CONFIG_SECCOMP_FILTER; some sandboxes (gVisor) do not have it.")
	default:
		f.miss("seccomp(2) is not permitted: "+err.Error(), "In a container, start it with --security-opt seccomp=unconfined, or with a profile that permits seccomp(2).")
	}
}

func readMemory(ctx context.Context, m Machine, f *Finding) {
	c, err := m.Calls(ctx)
	switch {
	case err == nil && c.Memory == nil:
		f.Found = "process_vm_readv(2) read the memory of a child"
	case err == nil && c.MemoryFile == nil:
		f.Found = "/proc/PID/mem read the memory of a child; process_vm_readv(2) did not: " + c.Memory.Error()
	case err != nil:
		f.miss(err.Error(), onLinux)
	case errors.Is(c.Memory, errNotLinux):
		f.miss(c.Memory.Error(), onLinux)
	default:
		f.miss("the memory of a child cannot be read: "+c.Memory.Error(), m.traceRemedy())
	}
}

func pidfdGetfd(ctx context.Context, m Machine, f *Finding) {
	c, err := m.Calls(ctx)
	if err == nil {
		err = c.GetFD
	}
	switch {
	case err == nil:
		f.Found = "pidfd_getfd(2) copied a file of a child"
	case errors.Is(err, errNotLinux):
		f.miss(err.Error(), onLinux)
	case errors.Is(err, syscall.ENOSYS):
		f.miss("this kernel has no pidfd_getfd(2)", "It needs Linux 5.6 or later.")
	default:
		f.miss("pidfd_getfd(2) is not permitted: "+err.Error(), m.traceRemedy())
	}
}

const onLinux = "Run wiemu on Linux, in WSL2, a virtual machine or a container."

// traceRemedy says how to permit what takes the right to trace a child (ptrace(2), "Ptrace
// access mode checking").
func (m Machine) traceRemedy() string {
	switch m.Setting(yama) {
	case "2":
		return "kernel.yama.ptrace_scope is 2, which lets administrators alone look into processes: sudo sysctl -w kernel.yama.ptrace_scope=1, or run as root."
	case "3":
		return "kernel.yama.ptrace_scope is 3, which lets nobody look into processes until the machine is started anew: set kernel.yama.ptrace_scope=1 in /etc/sysctl.d and restart it."
	}
	return "In a container, start it with --cap-add SYS_PTRACE, or with --security-opt seccomp=unconfined."
}

// parseCalls reads what the process that tries calls has printed: lines of a name and an errno,
// 0 if the call works. ended says why lines are missing: a profile may have it killed.
func parseCalls(text string, ended error) Calls {
	c := Calls{ended, ended, ended, ended, ended}
	for line := range strings.Lines(text) {
		name, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		errno, err := strconv.Atoi(number)
		if at := c.named(name); at != nil && err == nil {
			*at = nil
			if errno != 0 {
				*at = syscall.Errno(errno)
			}
		}
	}
	return c
}

// The names of calls in such lines.
const (
	memoryCall       = "memory"
	memoryFileCall   = "memoryFile"
	getfdCall        = "getfd"
	listenerCall     = "listener"
	waitKillableCall = "waitKillable"
)

func (c *Calls) named(name string) *error {
	switch name {
	case memoryCall:
		return &c.Memory
	case memoryFileCall:
		return &c.MemoryFile
	case getfdCall:
		return &c.GetFD
	case listenerCall:
		return &c.Listener
	case waitKillableCall:
		return &c.WaitKillable
	}
	return nil
}
