package main

import (
	"strings"
	"testing"
)

func TestRecipesForCI(t *testing.T) { line.Recipes(t) }

func TestARecipeThatCannotWorkIsFound(t *testing.T) {
	for _, words := range []string{"knd up", "trust -o yaml", "scenario run --on"} {
		if err := line.Understand(strings.Fields(words)); err == nil {
			t.Errorf("wiemu %s is understood", words)
		}
	}
}
