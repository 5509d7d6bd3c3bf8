// Package lazyregexp has regular expressions that are compiled when they are first used. A process of
// wiemu starts for every command and every program on the lab clock, and uses few of the hundred there
// are: compiling them all took a fifth of what starting costs. Go's own commands do the same
// (internal/lazyregexp).
package lazyregexp

import (
	"os"
	"regexp"
	"strings"
	"sync"
)

// Regexp returns a regular expression, which it compiles when it is first called. It is safe for
// concurrent use.
type Regexp func() *regexp.Regexp

var isTest = len(os.Args) > 0 && strings.HasSuffix(strings.TrimSuffix(os.Args[0], ".exe"), ".test")

// New returns the expression of a pattern, for a variable of a package. One that does not compile
// panics, in tests at once and elsewhere when it is used.
func New(pattern string) Regexp {
	r := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
	if isTest {
		r()
	}
	return r
}
