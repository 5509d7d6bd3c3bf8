package azurite

import (
	"os"
	"os/exec"
	"syscall"
)

// alone puts the process into a group of its own, so that Ctrl-C ends wiemu first, and has
// the kernel end it when wiemu is gone, also after a crash.
func alone(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// signal sends a signal to the process and its children: npx and node may be both.
func (p *process) signal(s os.Signal) {
	if number, ok := s.(syscall.Signal); ok {
		_ = syscall.Kill(-p.cmd.Process.Pid, number) // it may have ended
	}
}
