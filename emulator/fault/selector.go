package fault

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

type selected struct{ name, value string }

func (s Selector) fields() []selected {
	return []selected{
		{selectClient, s.Client}, {selectIssuer, s.Issuer}, {selectKid, s.Kid}, {selectResource, s.Resource}, {selectWorkload, s.Workload},
	}
}

// matches reports whether the call is one that the selector is for. Issuers are
// URLs by name.
func (s Selector) matches(about Subject, issuers map[string]string, names Names) bool {
	issuer := s.Issuer
	if url, named := issuers[issuer]; named {
		issuer = url
	}
	return same(s.Kid, about.Kid) && same(issuer, about.Issuer, about.IssuerName) &&
		names.Client.called(s.Client, about.Client) && names.Workload.called(s.Workload, about.Workload) &&
		names.Resource.called(s.Resource, about.Part, about.Host, about.Resource)
}

// same reports whether what is wanted is one of what there is; a final slash
// counts in neither.
func same(wanted string, is ...string) bool {
	return wanted == "" || slices.ContainsFunc(is, func(s string) bool {
		return strings.EqualFold(strings.TrimSuffix(s, "/"), strings.TrimSuffix(wanted, "/"))
	})
}

// String tells the fault as it is given on the command line.
func (f Fault) String() string {
	words := []string{f.Name}
	for _, name := range sortedKeys(f.Parameters) {
		words = append(words, name+"="+f.Parameters[name])
	}
	for _, s := range f.For.fields() {
		if s.value != "" {
			words = append(words, "--for "+s.name+"="+s.value)
		}
	}
	for _, w := range f.When.words() {
		words = append(words, "--"+w.name+" "+w.value)
	}
	return strings.Join(words, " ")
}

func (l Limits) words() (words []selected) {
	add := func(given bool, name string, value any) {
		if given {
			words = append(words, selected{name, fmt.Sprint(value)})
		}
	}
	add(l.Nth > 1, "nth", l.Nth)
	add(l.Every > 1, "every", l.Every)
	add(l.Count > 0, "count", l.Count)
	add(l.After > 0, "after", l.After)
	add(l.Until > 0, "until", l.Until)
	add(l.Probability > 0, "probability", l.Probability)
	add(l.Probability > 0 && l.Seed != 0, "seed", l.Seed)
	return words
}
