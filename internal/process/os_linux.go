package process

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
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

// processes reads the table of processes, without those to be left out. Source: proc_pid_stat(5).
func processes(without map[int]bool) []member {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var all []member
	buffer := make([]byte, 1024) // the fields that are read are within half of it
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || without[pid] {
			continue
		}
		stat, err := readOnce(int(dir.Fd()), name+"/stat", buffer)
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

// readOnce reads a file below a directory that the kernel writes as it is read, into the buffer. Of all
// processes, once for each program that ends, that takes half the processor time of os.ReadFile.
func readOnce(dir int, name string, buffer []byte) ([]byte, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }() // it was only read
	for {
		n, err := unix.Read(fd, buffer)
		switch {
		case err == nil:
			return buffer[:n], nil
		case !errors.Is(err, unix.EINTR):
			return nil, err
		}
	}
}
