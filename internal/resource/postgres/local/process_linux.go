package local

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel shut PostgreSQL down when wiemu is gone, also after a crash.
func endWithParent(c *exec.Cmd) { c.SysProcAttr.Pdeathsig = syscall.SIGQUIT }
