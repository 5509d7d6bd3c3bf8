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

// Regexp is a regular expression. Its methods are those of package regexp, safe for concurrent use.
type Regexp struct{ compiled func() *regexp.Regexp }

var isTest = len(os.Args) > 0 && strings.HasSuffix(strings.TrimSuffix(os.Args[0], ".exe"), ".test")

// New returns the expression of a pattern, for a variable of a package. One that does not compile
// panics, in tests at once and elsewhere when it is used.
func New(pattern string) Regexp {
	r := Regexp{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })}
	if isTest {
		r.compiled()
	}
	return r
}

// MatchString is that of package regexp.
func (r Regexp) MatchString(s string) bool {
	return r.compiled().MatchString(s)
}

// FindString is that of package regexp.
func (r Regexp) FindString(s string) string {
	return r.compiled().FindString(s)
}

// FindStringSubmatch is that of package regexp.
func (r Regexp) FindStringSubmatch(s string) []string {
	return r.compiled().FindStringSubmatch(s)
}

// FindAllString is that of package regexp.
func (r Regexp) FindAllString(s string, n int) []string {
	return r.compiled().FindAllString(s, n)
}

// FindAllStringIndex is that of package regexp.
func (r Regexp) FindAllStringIndex(s string, n int) [][]int {
	return r.compiled().FindAllStringIndex(s, n)
}

// FindAllStringSubmatch is that of package regexp.
func (r Regexp) FindAllStringSubmatch(s string, n int) [][]string {
	return r.compiled().FindAllStringSubmatch(s, n)
}

// FindSubmatchIndex is that of package regexp.
func (r Regexp) FindSubmatchIndex(b []byte) []int {
	return r.compiled().FindSubmatchIndex(b)
}

// ReplaceAllString is that of package regexp.
func (r Regexp) ReplaceAllString(s, by string) string {
	return r.compiled().ReplaceAllString(s, by)
}

// ReplaceAllStringFunc is that of package regexp.
func (r Regexp) ReplaceAllStringFunc(s string, by func(string) string) string {
	return r.compiled().ReplaceAllStringFunc(s, by)
}
