package template

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// shortestSecret is from how many bytes on a secret is looked for within other texts: shorter ones
// are found in everyday words.
const shortestSecret = 4

// instead takes the place of a secret. It is no expression, so that nobody deploys it unawares.
const instead = "[redacted: secure parameter]"

// Secrets are the texts in the values of the parameters that are secure.
func (p *Plan) Secrets() []string { return p.secrets }

// textsIn adds the strings in a value to others.
func textsIn(v any, all []string) []string {
	switch v := v.(type) {
	case string:
		if v != "" {
			all = append(all, v)
		}
	case []any:
		for _, e := range v {
			all = textsIn(e, all)
		}
	case *Object:
		if v != nil {
			for _, e := range v.values {
				all = textsIn(e, all)
			}
		}
	}
	return all
}

// Secrets are texts that a template has where another one has evaluated it. The zero value has none.
// It is safe for concurrent use.
type Secrets struct {
	mu     sync.Mutex
	texts  map[string]bool
	within *strings.Replacer // of those that are long enough; nil if some were added since
}

// Add adds texts.
func (s *Secrets) Add(texts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.texts == nil {
		s.texts = map[string]bool{}
	}
	for _, text := range texts {
		if !s.texts[text] {
			s.texts[text], s.within = true, nil
		}
	}
}

// Redacted returns a template without them.
func (s *Secrets) Redacted(root *Object) *Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.texts) == 0 {
		return root
	}
	if s.within == nil {
		s.within = s.replacer()
	}
	made, _ := changed(root, func(v any) any {
		switch text, ok := v.(string); {
		case !ok:
			return v
		case s.texts[text]:
			return instead
		default:
			return s.within.Replace(text)
		}
	}).(*Object)
	return made
}

// replacer looks for the longest first: of one that begins with another, the rest would stay.
func (s *Secrets) replacer() *strings.Replacer {
	var pairs []string
	for _, text := range slices.SortedFunc(maps.Keys(s.texts), func(a, b string) int { return len(b) - len(a) }) {
		if len(text) >= shortestSecret {
			pairs = append(pairs, text, instead)
		}
	}
	return strings.NewReplacer(pairs...)
}

// changed is a copy of a value with another one in place of each that is neither an object nor an array.
func changed(v any, one func(any) any) any {
	switch v := v.(type) {
	case []any:
		made := make([]any, len(v))
		for i, e := range v {
			made[i] = changed(e, one)
		}
		return made
	case *Object:
		if v == nil {
			return v
		}
		made := NewObject()
		for i, name := range v.names {
			made.Set(name, changed(v.values[i], one))
		}
		return made
	}
	return one(v)
}
