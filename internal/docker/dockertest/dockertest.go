// Package dockertest puts a stand-in for the docker command into the PATH of tests.
package dockertest

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Fake puts a docker into the PATH, which is a shell script.
func Fake(t *testing.T, script string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("shell scripts are no programs on Windows")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
}
