//go:build unix

package process

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const separators = "/"

func sameVariable(a, b string) bool { return a == b }

func candidates(path string, _ []string) []string { return []string{path} }

func executable(path string, info fs.FileInfo) bool {
	return info.Mode().Perm()&0o111 != 0 && unix.Access(path, unix.X_OK) == nil
}

func stateCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}
