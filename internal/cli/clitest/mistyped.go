// Package clitest tests the command lines of wiemu and wiemu-containers.
package clitest

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/wiemu/wiemu/internal/cli"
)

// A CommandLine is that of one of the programs.
type CommandLine struct {
	NewRoot func() *cobra.Command
	Typed   func(*cobra.Command, []string) []string // as that of [cli.Main]
	Behind  map[string][]string                     // what commands want beside their files

	Containers bool // it is that of wiemu-containers
}

// Run runs a command line in this process and returns what it says, and its exit code.
func (c CommandLine) Run(t *testing.T, args ...string) (text string, code int) {
	t.Helper()
	var said strings.Builder
	root := c.NewRoot()
	root.SetOut(io.Discard)
	root.SetErr(&said)
	root.SetArgs(args)
	if c.Typed != nil {
		root.SetArgs(c.Typed(root, args))
	}
	text, code = cli.Ending(t.Context(), root.ExecuteContext(t.Context()), args)
	return said.String() + text, code
}

// Says checks that a command line ends with exit code 2 and that it says what is wanted.
func (c CommandLine) Says(t *testing.T, name, want string, args ...string) {
	t.Helper()
	text, code := c.Run(t, args...)
	if code != cli.Misused || !strings.Contains(text, want) || strings.Contains(text, "arg(s)") || strings.Contains(text, "no such file") {
		t.Errorf("%s: wiemu %s: exit code %d, want %d; it says %q, want %q", name, strings.Join(args, " "), code, cli.Misused, text, want)
	}
}

// commands are all of them, whatever is below what.
func commands(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, below := range cmd.Commands() {
		all = append(all, commands(below)...)
	}
	return all
}

func path(cmd *cobra.Command) []string { return strings.Fields(cmd.CommandPath())[1:] }

// Empty changes into a directory with the file mine.yaml alone, where neither Docker nor a
// cluster is found.
func Empty(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("WIEMU_STATE_DIR", filepath.Join(dir, "state"))
	t.Setenv("KUBECONFIG", filepath.Join(dir, "none"))
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(dir, "none.sock"))
	if err := os.WriteFile("mine.yaml", nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Mistype mistypes every command and flag, but those that are handed over, and checks that the
// exit code is 2 and that what was meant is named. It returns how many flags name files, and how
// many commands want arguments.
func (c CommandLine) Mistype(t *testing.T) (files, missing int) {
	t.Helper()
	for _, cmd := range commands(c.NewRoot()) {
		if cmd.DisableFlagParsing || cmd.Name() == "help" || cmd.Name() == "completion" || cmd.HasParent() && cmd.Parent().Name() == "completion" {
			continue
		}
		c.Says(t, "a flag that there is not", "has no flag --stat-dir; did you mean --state-dir?", append(path(cmd), "--stat-dir", "x")...)
		for _, below := range cmd.Commands() {
			if below.Hidden || len(below.Name()) < 3 {
				continue
			}
			slip := below.Name()[:1] + below.Name()[2:] // a letter is missing
			if !slices.ContainsFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == slip }) {
				c.Says(t, "a command that there is not", "has no command \""+slip+"\"; did you mean wiemu ", append(path(cmd), slip)...)
				c.Says(t, "with a flag, which is that command's", "has no command \""+slip+"\"; did you mean wiemu ", append(path(cmd), slip, "--no-such-flag", "-f", "x")...)
				c.Says(t, "help for it", "has no command \""+slip+"\"; did you mean wiemu ", slices.Concat([]string{"help"}, path(cmd), []string{slip})...)
			}
		}
		if cmd.Args != nil && cmd.Args(cmd, nil) != nil {
			missing++
			c.Says(t, "an argument is missing", "", path(cmd)...)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Annotations[cobra.BashCompOneRequiredFlag] != nil {
				c.Says(t, "a flag is missing", "--"+f.Name, path(cmd)...)
			}
			if f.NoOptDefVal == "" {
				c.Says(t, "a flag without its value", "--"+f.Name+": expected a value", append(path(cmd), "--"+f.Name)...)
			}
			if f.Name == "file" || f.Name == "token" && cmd.Name() == "explain" {
				files++
				c.Says(t, "a file that is not there", "did you mean mine.yaml?", slices.Concat(path(cmd), []string{"--" + f.Name, "mien.yaml"}, c.Behind[cmd.Name()])...)
			}
		})
	}
	return files, missing
}
