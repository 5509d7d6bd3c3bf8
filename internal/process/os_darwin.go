package process

import (
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dieWithParent is not to be had on macOS.
func dieWithParent(*syscall.SysProcAttr) {}

// reap waits for the child and ends what it left.
func (t *processTree) reap(cmd *exec.Cmd, grace time.Duration) error {
	err := cmd.Wait()
	t.sweep(grace)
	return err
}

// processes reads the table of processes, all at once. Source: sysctl(3), <sys/proc.h>.
func processes(map[int]bool) []member {
	const zombie = 5 // SZOMB
	table, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil
	}
	all := make([]member, len(table))
	for i, p := range table {
		all[i] = member{
			pid: int(p.Proc.P_pid), parent: int(p.Eproc.Ppid), group: int(p.Eproc.Pgid),
			incarnation: incarnation{start: p.Proc.P_starttime.Nano(), program: unix.ByteSliceToString(p.Proc.P_comm[:])},
			ended:       p.Proc.P_stat == zombie,
		}
	}
	return all
}
