//go:build !linux

package local

import "os/exec"

// endWithParent does nothing where the kernel cannot; see reap.
func endWithParent(*exec.Cmd) {}
