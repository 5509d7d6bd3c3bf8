package main

import (
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/cli/clitest"
)

var line = clitest.CommandLine{NewRoot: newRoot, Containers: true}

// Whatever is mistyped, wherever: exit code 2, and the text says what was meant.
func TestEveryMistypedCommandLine(t *testing.T) {
	clitest.Empty(t)
	if files, missing := line.Mistype(t); files < 7 || missing < 1 {
		t.Errorf("%d flags name files and %d commands want arguments: this test looks for the wrong thing", files, missing)
	}
	line.Says(t, "an example is of the command", "found nothing, such as: wiemu kind load ", "kind", "load")
}

func TestRecipesForCI(t *testing.T) { line.Recipes(t) }

func TestARecipeThatCannotWorkIsFound(t *testing.T) {
	for _, words := range []string{"kind up --nam ci", "kind", "kind up extra"} {
		if err := line.Understand(strings.Fields(words)); err == nil {
			t.Errorf("wiemu %s is understood", words)
		}
	}
}
