package lazyregexp_test

import (
	"testing"

	"github.com/wiemu/wiemu/internal/lazyregexp"
)

// A pattern that does not compile is found by the tests of its package, whatever they use of it.
func TestABadPatternPanicsInTests(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("nothing happened")
		}
	}()
	lazyregexp.New(`(`)
}
