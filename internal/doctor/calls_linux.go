package doctor

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/seccomp"
)

// The names under which this program is executed again: one process tries the calls, on another.
const (
	probeName  = "wiemu: try system calls"
	targetName = "wiemu: be looked into"
	leaderName = "wiemu: try to lead a program"
)

// Every program that links this package can be such a process, test binaries included; their
// main does not run then.
func init() {
	if len(os.Args) == 0 {
		return
	}
	switch os.Args[0] {
	case probeName:
		probe()
	case targetName:
		target()
	case leaderName:
		leader()
	default:
		return
	}
	os.Exit(0) //nolint:forbidigo // there is no caller
}

// tryCalls has a child process try them: a filter cannot be taken off again, and a profile may
// kill who makes such a call.
func tryCalls(ctx context.Context) (Calls, error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{probeName}
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	if ctx.Err() != nil {
		return Calls{}, context.Cause(ctx)
	}
	if err == nil {
		err = errors.New("the process that tries it did not say")
	}
	return parseCalls(out.String(), err), nil
}

// led is what package lead's probe says in another process.
type led struct {
	Way                   lead.Way
	Step, Problem, Remedy string
}

// tryLead has a child process do what starting a led program takes, for the same reason.
func tryLead(ctx context.Context) (lead.Way, error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{leaderName}
	out, err := cmd.Output()
	var l led
	if err == nil {
		err = json.Unmarshal(out, &l)
	}
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return "", err
	case l.Problem != "":
		return "", &lead.Error{Step: l.Step, Err: errors.New(l.Problem), Remedy: l.Remedy}
	}
	return l.Way, nil
}

// leader is the main of that process.
func leader() {
	way, err := lead.Probe(context.Background())
	l := led{Way: way}
	var step *lead.Error
	switch {
	case errors.As(err, &step):
		l.Step, l.Problem, l.Remedy = step.Step, step.Err.Error(), step.Remedy
	case err != nil:
		l.Step, l.Problem = "start the probe", err.Error()
	}
	_ = json.NewEncoder(os.Stdout).Encode(l) // fails if wiemu has ended
}

// probe is the main of the process that tries calls. It prints each result at once.
func probe() {
	say := func(name string, err error) {
		var errno unix.Errno
		if err != nil && !errors.As(err, &errno) {
			errno = unix.EIO
		}
		fmt.Println(name, int(errno))
	}
	if end, err := lookInto(say); err == nil {
		end()
	}
	flags := uintptr(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	const waitKillable = 1 << 5 // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	err := listen(flags | waitKillable)
	say(waitKillableCall, err)
	if errors.Is(err, unix.EINVAL) {
		err = listen(flags)
	}
	say(listenerCall, err)
}

// memory is what is read in the target.
var memory = [16]byte{'w', 'i', 'e', 'm', 'u'}

// lookInto tries the calls that look into a child, which ends with end.
func lookInto(say func(string, error)) (end func(), err error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{targetName}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var at uintptr
	if _, err := fmt.Fscan(bufio.NewReader(out), &at); err != nil {
		return nil, err
	}
	pid := cmd.Process.Pid
	say(memoryCall, readMemoryOf(pid, at))
	say(memoryFileCall, readMemoryFileOf(pid, at))
	say(getfdCall, copyFileOf(pid))
	return func() { _, _ = in.Close(), cmd.Wait() }, nil
}

// target is the main of the process that is looked into. It ends when its input does.
func target() {
	fmt.Println(uintptr(unsafe.Pointer(&memory[0])))
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func readMemoryOf(pid int, at uintptr) error {
	var found [len(memory)]byte
	local := []unix.Iovec{{Base: &found[0], Len: uint64(len(found))}}
	n, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: at, Len: len(found)}}, 0)
	return compare(found[:max(n, 0)], err)
}

func readMemoryFileOf(pid int, at uintptr) error {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return err
	}
	defer f.Close()
	var found [len(memory)]byte
	n, err := f.ReadAt(found[:], int64(at))
	return compare(found[:n], err)
}

func compare(found []byte, err error) error {
	if err == nil && !bytes.Equal(found, memory[:]) {
		return unix.EFAULT
	}
	return err
}

// copyFileOf copies the standard input of a process.
func copyFileOf(pid int) error {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(process) }()
	fd, err := unix.PidfdGetfd(process, 0, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// listen installs a filter on a thread, which ends with this process, and answers its getppid.
// Source: seccomp_unotify(2).
func listen(flags uintptr) error {
	type made struct {
		listener int
		err      error
	}
	ready, parent := make(chan made), make(chan uintptr, 1)
	go func() {
		runtime.LockOSThread() // without unlocking it, the thread ends with this function
		listener, err := installFilter(flags)
		ready <- made{listener, err}
		if err == nil {
			id, _, _ := unix.Syscall(unix.SYS_GETPPID, 0, 0, 0)
			parent <- id
		}
	}()
	m := <-ready
	if m.err != nil {
		return m.err
	}
	defer func() { _ = unix.Close(m.listener) }() // lets the thread go, if it was not answered
	if err := letGoOn(m.listener); err != nil {
		return err
	}
	if id := <-parent; int(id) != os.Getppid() {
		return unix.EIO
	}
	return nil
}

// letGoOn waits for a call and has the kernel go on with it, which takes Linux 5.5.
func letGoOn(listener int) error {
	var asked seccomp.Notification
	if errno := seccomp.Receive(listener, &asked); errno != 0 {
		return errno
	}
	answer := seccomp.Response{ID: asked.ID, Flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	if errno := seccomp.Send(listener, &answer); errno != 0 {
		return errno
	}
	return nil
}

// installFilter gives this thread a filter that asks about getppid alone, and returns its
// listener.
func installFilter(flags uintptr) (int, error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	const number = 0 // in struct seccomp_data; the thread makes calls of one architecture only
	return setFilter(flags,
		bpf.LoadAbsolute{Off: number, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_GETPPID, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_USER_NOTIF},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW},
	)
}

// setFilter installs a filter; its result is that of seccomp(2).
func setFilter(flags uintptr, instructions ...bpf.Instruction) (int, error) {
	program, err := seccomp.Program(instructions...)
	if err != nil {
		return 0, err
	}
	result, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(program)))
	if errno != 0 {
		return 0, errno
	}
	return int(result), nil
}
