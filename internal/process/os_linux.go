package process

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dieWithParent has the kernel kill the child when wiemu is gone.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// reap waits for the child, ends what it left and takes its exit status. In this
// order the child's id, which is that of its group, cannot have been reused yet.
func (t *processTree) reap(cmd *exec.Cmd, grace time.Duration) error {
	for errors.Is(unix.Waitid(unix.P_PID, t.child.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		continue
	}
	t.sweep(grace)
	return cmd.Wait()
}

// processes reads the table of processes. Source: proc_pid_stat(5).
func processes() []member {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var all []member
	var buffer [512]byte // what is looked at is at most half as long
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		stat, err := readStat(int(dir.Fd()), name, buffer[:])
		if err != nil {
			continue // it has ended
		}
		// PID (NAME) STATE PARENT GROUP …, and a name may hold anything.
		open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
		if open < 0 || end < open {
			continue
		}
		fields := bytes.Fields(stat[end+1:])
		if len(fields) < 20 {
			continue
		}
		number := func(i int) int64 { n, _ := strconv.ParseInt(string(fields[i]), 10, 64); return n }
		all = append(all, member{
			pid: pid, parent: int(number(1)), group: int(number(2)),
			incarnation: incarnation{start: number(19), program: string(stat[open+1 : end])},
			ended:       fields[0][0] == 'Z' || fields[0][0] == 'X',
		})
	}
	return all
}

// lastProcess is the process or thread of this machine that was made last; known is false where the
// kernel does not tell. Source: proc_loadavg(5).
func lastProcess() (id string, known bool) {
	load, _ := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(load))
	if len(fields) < 5 {
		return "", false
	}
	return fields[4], true
}

// readStat reads what the kernel tells of a process into the buffer. There are hundreds of them, of
// which package os would take twice as long.
func readStat(proc int, process string, buffer []byte) ([]byte, error) {
	fd, err := unix.Openat(proc, process+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }() // it was read only
	n, err := unix.Read(fd, buffer)
	return buffer[:max(n, 0)], err
}
