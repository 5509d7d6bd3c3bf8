package main

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/cli/clitest"
)

var line = clitest.CommandLine{NewRoot: newRoot, Typed: negativesLast, Behind: behind}

// Whatever is mistyped, wherever: exit code 2, and the text says what was meant.
func TestEveryMistypedCommandLine(t *testing.T) {
	clitest.Empty(t)
	says := func(name, want string, args ...string) {
		t.Helper()
		line.Says(t, name, want, args...)
	}
	files, missing := line.Mistype(t)
	for _, args := range [][]string{{"replay", "mien.yaml"}, {"scenario", "from", "mien.yaml"}, {"scenario", "run", "mien.yaml"}, {"scenario", "check", "mien.yaml"}, {"scenario", "list", "mien.yaml"}} {
		says("a file that is not there", "did you mean mine.yaml?", args...)
	}
	says("a directory that is not there", "there is no directory no", "run", "-f", "no/mine.yaml", "web", "--", "true")
	says("too much", `wiemu serve takes no argument, found "web"`, "serve", "web")
	says("a number that is none", `--count: expected a whole number, found "x"`, "scenario", "run", "--count", "x")
	says("a duration that is none", "--timeout: expected a duration such as", "scenario", "run", "--timeout", "x")
	says("what is missing is named, with an example", "wiemu clock advance: expected DURATION, found nothing, such as: wiemu clock advance 48m", "clock", "advance")
	says("a format", "--output: expected one of", "status", "-o", "jsn")
	says("a fault, once", "--fault throttld: name: expected the name of a fault, which wiemu fault list shows, found throttld; did you mean throttled?", "serve", "--fault", "throttld")
	if text, _ := line.Run(t, "serve", "--fault", "throttld"); strings.Contains(text, "\n") {
		t.Errorf("a fault's error is there twice: %s", text)
	}
	if files < 8 || missing < 6 {
		t.Errorf("%d flags name files and %d commands want arguments: this test looks for the wrong thing", files, missing)
	}
}

// behind is what commands want beside their files.
var behind = map[string][]string{"run": {"web", "--", "true"}, "record": {"-o", "session.wiemu.json", "web", "--", "true"}, "move": {"web", "--to", "local"}, "explain": {"--token", "mien.yaml", "--client-id", "b96d264b-7053-4465-a4a7-32be5b0fec49"}}

// A signal is told apart from what failed because of it.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cli.SignalError{Signal: os.Interrupt})
	if text, code := cli.Ending(ctx, context.Canceled, nil); text != "interrupted" || code != 130 {
		t.Errorf("%q, %d", text, code)
	}
	if text, code := cli.Ending(ctx, cli.ExitCode(7), nil); text != "" || code != 7 {
		t.Errorf("a program's own code: %q, %d", text, code)
	}
	if text, code := cli.Ending(t.Context(), io.EOF, nil); text != "EOF" || code != cli.Failed {
		t.Errorf("%q, %d", text, code)
	}
}
