package faults

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Names say what selectors can name in a lab, field by field. With the zero value
// anything may be named.
type Names struct {
	Client   Naming // ids are client ids
	Issuer   Naming // ids are URLs; their names are set by SetIssuers
	Resource Naming // ids are hosts and identifiers of what tokens are for
	Workload Naming // ids are NAMESPACE/SERVICE-ACCOUNT

	Components []string // that answer, for error messages
}

// Naming is what one field of a selector can name. Names need not be unique: a
// selector selects everything that has the name.
type Naming struct {
	// Aliases returns the names that something has besides its id, the best first. It is called for
	// every call that a selector may select, and must not call the set of faults.
	Aliases func(id string) []string
	// Has reports whether something has this id or name. If nil, anything may be named.
	Has func(value string) bool
	// Known returns all names and ids; a mistake suggests the nearest.
	Known func() []string
}

// matches reports whether a selector selects a call. Issuers are URLs by name.
func matches(s fault.Selector, about Subject, issuers map[string]string, names Names) bool {
	issuer := s.Issuer
	if url, ok := issuers[issuer]; ok {
		issuer = url
	}
	return same(s.Kid, about.Kid) && same(issuer, about.Issuer, about.IssuerName) &&
		names.Client.matches(s.Client, about.Client) && names.Workload.matches(s.Workload, about.Workload) &&
		names.Resource.matches(s.Resource, about.Component, about.Host, about.Resource)
}

// same reports whether nothing is wanted or wanted is one of the values, ignoring case
// and a final slash.
func same(wanted string, values ...string) bool {
	return wanted == "" || slices.ContainsFunc(values, func(s string) bool {
		return strings.EqualFold(strings.TrimSuffix(s, "/"), strings.TrimSuffix(wanted, "/"))
	})
}

// matches reports whether wanted is one of the ids, or a name of one of them.
func (n Naming) matches(wanted string, ids ...string) bool {
	if same(wanted, ids...) {
		return true
	}
	return n.Aliases != nil && slices.ContainsFunc(ids, func(id string) bool {
		return id != "" && slices.ContainsFunc(n.Aliases(id), func(name string) bool { return strings.EqualFold(name, wanted) })
	})
}

// listed is how many names a mistake lists at most if none is near.
const listed = 8

// mistakes are the fields of a selector that name nothing. Any kid may be named: a client
// may sign with a key of its own.
func (n Names) mistakes(s fault.Selector) (found []*fault.Mistake) {
	for _, f := range []struct {
		name, value, expected string
		naming                Naming
	}{
		{"client", s.Client, "the client id or name of an application or managed identity", n.Client},
		{"issuer", s.Issuer, "the URL or name of an issuer", n.Issuer},
		{"resource", s.Resource, strings.Join(append(slices.Clone(n.Components), "the name of a vault or an application", "a host that is emulated, or what a token is for"), ", "), n.Resource},
		{"workload", s.Workload, "NAMESPACE/SERVICE-ACCOUNT or the name of a component or workload", n.Workload},
	} {
		if f.value == "" || f.naming.Has == nil || f.naming.Has(f.value) {
			continue
		}
		m := &fault.Mistake{Field: "for." + f.name, Expected: f.expected, Found: f.value}
		if f.naming.Known != nil {
			m.Fix = nearest(f.value, f.naming.Known())
		}
		found = append(found, m)
	}
	return found
}

// nearest suggests the known name that is most likely meant, or else lists known names.
func nearest(value string, known []string) string {
	if fix := yamlfile.DidYouMean(value, known); fix != "" {
		return fix
	}
	if _, name, ok := strings.Cut(value, "/"); ok { // the account of another namespace
		for _, k := range known {
			if _, other, ok := strings.Cut(k, "/"); ok && yamlfile.Nearest(name, []string{other}) != "" {
				return "did you mean " + k + "?"
			}
		}
	}
	switch {
	case len(known) == 0:
		return "there is none"
	case len(known) > listed:
		return fmt.Sprintf("there are %s and %d more", strings.Join(known[:listed], ", "), len(known)-listed)
	}
	return "there is " + strings.Join(known, ", ")
}

// SetNames sets what selectors can name. From then on Inject refuses a selector that
// names nothing.
func (s *Set) SetNames(n Names) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = n
}

// CheckNames returns an error that joins a [*fault.Mistake] for each selector of an
// injected fault that names nothing: for faults that were injected before SetNames.
func (s *Set) CheckNames() error {
	s.mu.Lock()
	names := s.names
	s.mu.Unlock()
	var errs []error
	for _, a := range s.Active() {
		for _, m := range names.mistakes(a.For) {
			errs = append(errs, fmt.Errorf("fault %s: %w", a.Name, m))
		}
	}
	return errors.Join(errs...)
}

// Check returns what is wrong with a fault of a file, in which it is the given field. It may
// name one of the issuers, or Entra ID.
func Check(file, field string, f fault.Fault, issuers []string) yamlfile.Problems {
	var found yamlfile.Problems
	for _, m := range f.Check(append([]string{clock.Entra}, issuers...)) {
		found = append(found, yamlfile.Problem{File: file, Field: field + "." + m.Field, Expected: m.Expected, Found: cmp.Or(m.Found, "nothing"), Fix: m.Fix})
	}
	return found
}
