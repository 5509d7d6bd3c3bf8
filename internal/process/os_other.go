//go:build unix && !linux && !darwin

package process

import (
	"os/exec"
	"syscall"
	"time"
)

func dieWithParent(*syscall.SysProcAttr) {}

func (t *processTree) reap(cmd *exec.Cmd, _ time.Duration) error { return cmd.Wait() }

// processes are reached through the child's process group alone.
func processes(map[int]bool) []member { return nil }
