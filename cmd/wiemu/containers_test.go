package main

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// What is handed over says how to get the program that does it, and nothing else is hurt.
func TestWithoutTheContainersProgram(t *testing.T) {
	c := newCommand(t)
	c.env = append(c.env, "PATH="+t.TempDir())
	for _, words := range []string{"kind up", "compose --help", "help cluster", "scenario run --on compose token-rotated", "keys --compose shop", "status --cluster here"} {
		out, err := c.prepare(c.path, strings.Fields(words)...).CombinedOutput()
		var ended *exec.ExitError
		if !errors.As(err, &ended) || ended.ExitCode() != 127 || !strings.Contains(string(out), "wiemu-containers, which does this, was not found beside wiemu or in PATH: go install github.com/wiemu/wiemu/cmd/...@latest") {
			t.Errorf("wiemu %s: %v, %s", words, err, out)
		}
	}
	help := c.output(c.path, "--help")
	for _, name := range []string{"kind", "compose", "cluster"} {
		if !slices.ContainsFunc(strings.Split(help, "\n"), func(line string) bool { return strings.HasPrefix(line, "  "+name+" ") }) {
			t.Errorf("wiemu --help does not list %s:\n%s", name, help)
		}
	}
}
