//go:build !linux

package azurite

import (
	"os"
	"os/exec"
)

// alone does nothing where the kernel cannot.
func alone(*exec.Cmd) {}

func (p *process) signal(s os.Signal) {
	if p.cmd.Process.Signal(s) != nil {
		_ = p.cmd.Process.Kill() // it may have ended
	}
}
