package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// typed runs a command line in this process and returns what it says, and its exit code.
func typed(t *testing.T, args ...string) (text string, code int) {
	t.Helper()
	var said strings.Builder
	root := newRoot()
	root.SetOut(io.Discard)
	root.SetErr(&said)
	root.SetArgs(negativesLast(root, args))
	text, code = ending(t.Context(), root.ExecuteContext(t.Context()), args)
	return said.String() + text, code
}

// commands are all of them, whatever is below what.
func commands(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, below := range cmd.Commands() {
		all = append(all, commands(below)...)
	}
	return all
}

// path is how a command is typed, without wiemu.
func path(cmd *cobra.Command) []string { return strings.Fields(cmd.CommandPath())[1:] }

// Whatever is mistyped, wherever: exit code 2, and the text says what was meant.
func TestEveryMistypedCommandLine(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("WIEMU_STATE_DIR", filepath.Join(dir, "state"))
	t.Setenv("KUBECONFIG", filepath.Join(dir, "none"))
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(dir, "none.sock"))
	if err := os.WriteFile("mine.yaml", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	says := func(name, want string, args ...string) {
		t.Helper()
		text, code := typed(t, args...)
		if code != misused || !strings.Contains(text, want) || strings.Contains(text, "arg(s)") || strings.Contains(text, "no such file") {
			t.Errorf("%s: wiemu %s: exit code %d, want %d; it says %q, want %q", name, strings.Join(args, " "), code, misused, text, want)
		}
	}
	files, missing := 0, 0
	for _, cmd := range commands(newRoot()) {
		if cmd.Name() == "help" || cmd.Name() == "completion" || cmd.HasParent() && cmd.Parent().Name() == "completion" {
			continue
		}
		says("a flag that there is not", "has no flag --stat-dir; did you mean --state-dir?", append(path(cmd), "--stat-dir", "x")...)
		for _, below := range cmd.Commands() {
			if below.Hidden || len(below.Name()) < 3 {
				continue
			}
			slip := below.Name()[:1] + below.Name()[2:] // a letter is missing
			if !slices.ContainsFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == slip }) {
				says("a command that there is not", "has no command \""+slip+"\"; did you mean wiemu ", append(path(cmd), slip)...)
				says("with a flag, which is that command's", "has no command \""+slip+"\"; did you mean wiemu ", append(path(cmd), slip, "--no-such-flag", "-f", "x")...)
				says("help for it", "has no command \""+slip+"\"; did you mean wiemu ", slices.Concat([]string{"help"}, path(cmd), []string{slip})...)
			}
		}
		if cmd.Args != nil && cmd.Args(cmd, nil) != nil {
			missing++
			says("an argument is missing", "", path(cmd)...)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Annotations[cobra.BashCompOneRequiredFlag] != nil {
				says("a flag is missing", "--"+f.Name, path(cmd)...)
			}
			if f.NoOptDefVal == "" {
				says("a flag without its value", "--"+f.Name+": expected a value", append(path(cmd), "--"+f.Name)...)
			}
			if f.Name == "file" || f.Name == "token" && cmd.Name() == "explain" {
				files++
				says("a file that is not there", "did you mean mine.yaml?", slices.Concat(path(cmd), []string{"--" + f.Name, "mien.yaml"}, behind[cmd.Name()])...)
			}
		})
	}
	for _, args := range [][]string{{"replay", "mien.yaml"}, {"scenario", "from", "mien.yaml"}, {"scenario", "run", "mien.yaml"}, {"scenario", "check", "mien.yaml"}, {"scenario", "list", "mien.yaml"}} {
		says("a file that is not there", "did you mean mine.yaml?", args...)
	}
	says("a directory that is not there", "there is no directory no", "run", "-f", "no/mine.yaml", "web", "--", "true")
	says("too much", `wiemu serve takes no argument, found "web"`, "serve", "web")
	says("a number that is none", `--count: expected a whole number, found "x"`, "scenario", "run", "--count", "x")
	says("a duration that is none", "--timeout: expected a duration such as", "scenario", "run", "--timeout", "x")
	says("what is missing is named, with an example", "wiemu clock advance: expected DURATION, found nothing, such as: wiemu clock advance 48m", "clock", "advance")
	says("an example is of the command", "found nothing, such as: wiemu kind load ", "kind", "load")
	says("a format", "--output: expected one of", "status", "-o", "jsn")
	says("a fault, once", "--fault throttld: name: expected the name of a fault, which wiemu fault list shows, found throttld; did you mean throttled?", "serve", "--fault", "throttld")
	if text, _ := typed(t, "serve", "--fault", "throttld"); strings.Contains(text, "\n") {
		t.Errorf("a fault's error is there twice: %s", text)
	}
	if files < 8 || missing < 8 {
		t.Errorf("%d flags name files and %d commands want arguments: this test looks for the wrong thing", files, missing)
	}
}

// behind is what commands want beside their files.
var behind = map[string][]string{"run": {"web", "--", "true"}, "record": {"-o", "session.wiemu.json", "web", "--", "true"}, "move": {"web", "--to", "local"}, "explain": {"--token", "mien.yaml", "--client-id", "b96d264b-7053-4465-a4a7-32be5b0fec49"}}

// A signal is told apart from what failed because of it.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(signalled{os.Interrupt})
	if text, code := ending(ctx, context.Canceled, nil); text != "interrupted" || code != 130 {
		t.Errorf("%q, %d", text, code)
	}
	if text, code := ending(ctx, exitCode(7), nil); text != "" || code != 7 {
		t.Errorf("a program's own code: %q, %d", text, code)
	}
	if text, code := ending(t.Context(), io.EOF, nil); text != "EOF" || code != failed {
		t.Errorf("%q, %d", text, code)
	}
}
