package clitest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/lazyregexp"
)

// Recipes checks that the recipes for CI say what can be typed: every command is one of wiemu's
// with flags that it has, a target of the Makefile, or one of few others. Those of commands that
// this program does not have are left to the other.
func (c CommandLine) Recipes(t *testing.T) {
	t.Helper()
	for _, recipe := range []struct {
		file, script string // the field with what a shell runs
	}{{"github-actions.yml", "run"}, {"azure-pipelines.yml", "script"}} {
		t.Run(recipe.file, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("../../docs/examples/ci", recipe.file))
			if err != nil {
				t.Fatal(err)
			}
			var top yaml.Node
			if err := yaml.Unmarshal(data, &top); err != nil {
				t.Fatal(err)
			}
			targets := matrix(&top)
			if want := []string{"e2e", "e2e-compose", "e2e-kind"}; !slices.Equal(targets, want) {
				t.Errorf("runs %v of wiemu's own, want %v", targets, want)
			}
			scripts := fields(&top, recipe.script)
			for _, want := range []string{"--on process", "--on compose", "wiemu kind up", "wiemu kind apply", "wiemu kind down"} {
				if !slices.ContainsFunc(scripts, func(s string) bool { return strings.Contains(s, want) }) {
					t.Errorf("nothing runs %s", want)
				}
			}
			for _, script := range scripts {
				c.checkScript(t, script, targets)
			}
		})
	}
}

// fields returns the text of every field of a name.
func fields(node *yaml.Node, name string) []string {
	var all []string
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 1 && node.Content[i-1].Value == name && child.Kind == yaml.ScalarNode {
			all = append(all, child.Value)
		}
		all = append(all, fields(child, name)...)
	}
	return all
}

// matrix returns the targets that a matrix names, in a list or one by one.
func matrix(node *yaml.Node) []string {
	var targets []string
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 1 && node.Content[i-1].Value == "target" {
			for _, one := range append(child.Content, child) {
				if one.Kind == yaml.ScalarNode {
					targets = append(targets, one.Value)
				}
			}
		}
		targets = append(targets, matrix(child)...)
	}
	return targets
}

// expression is what a CI system replaces before a shell sees it.
var expression = lazyregexp.New(`\$\{\{ matrix\.target \}\}|\$\(target\)`)

func (c CommandLine) checkScript(t *testing.T, script string, targets []string) {
	t.Helper()
	check := exec.Command("bash", "-n")
	check.Stdin = strings.NewReader(expression().ReplaceAllString(script, "target"))
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("bash does not understand %q: %v\n%s", script, err, out)
	}
	for line := range strings.Lines(script) {
		words := strings.Fields(strings.TrimSpace(line))
		if at := slices.Index(words, ">"); at > 0 {
			words = words[:at]
		}
		switch words[0] {
		case "wiemu":
			if slices.Contains(containers, words[1]) != c.Containers {
				continue
			}
			if err := c.Understand(words[1:]); err != nil {
				t.Errorf("%s: %v", strings.TrimSpace(line), err)
			}
		case "make":
			checkTarget(t, expression().ReplaceAllString(strings.Join(words[3:], " "), "*"), targets)
		case "git", "docker", "echo":
		default:
			t.Errorf("%s: this test does not know whether that can be typed", strings.TrimSpace(line))
		}
	}
}

// containers are the commands that wiemu hands over.
var containers = []string{"kind", "compose", "cluster"}

// Understand parses a command line of wiemu's and runs nothing.
func (c CommandLine) Understand(words []string) error {
	root := c.NewRoot()
	cmd, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if cmd.PreRunE != nil {
		if err := cmd.PreRunE(cmd, cmd.Flags().Args()); err != nil {
			return err
		}
	}
	if !cmd.Runnable() || cmd.Annotations[cli.HelpOnly] != "" {
		return &helpOnly{cmd}
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

type helpOnly struct{ *cobra.Command }

func (c *helpOnly) Error() string { return c.CommandPath() + " does nothing without a subcommand" }

// checkTarget has make plan a target; * stands for those of the matrix.
func checkTarget(t *testing.T, target string, targets []string) {
	t.Helper()
	if target != "*" {
		targets = []string{target}
	}
	for _, target := range targets {
		cmd := exec.Command("make", "-n", target)
		cmd.Dir = "../.."
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("make -n %s: %v\n%s", target, err, out)
		}
	}
}
