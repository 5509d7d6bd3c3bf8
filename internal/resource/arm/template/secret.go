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

// Secrets are the texts and the numbers in the values of the parameters that are secure.
func (p *Plan) Secrets() []string { return p.secrets }

// textsIn adds the strings and the numbers in a value to others.
func textsIn(v any, all []string) []string {
	switch v := v.(type) {
	case string, int64, float64:
		if text := textOf(v); text != "" {
			all = append(all, text)
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

// textOf is a string, or a number as JSON has it; "" for what is neither.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64, float64:
		text, _ := compactJSON(v) // what was read can be written
		return text
	}
	return ""
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
		if s.texts[textOf(v)] {
			return instead
		}
		if text, ok := v.(string); ok {
			return s.within.Replace(text)
		}
		return v
	}, nil).(*Object)
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
// object, if not nil, sees each object with its copy.
func changed(v any, one func(any) any, object func(was, made *Object)) any {
	switch v := v.(type) {
	case []any:
		made := make([]any, len(v))
		for i, e := range v {
			made[i] = changed(e, one, object)
		}
		return made
	case *Object:
		if v == nil {
			return v
		}
		made := NewObject()
		for i, name := range v.names {
			made.Set(name, changed(v.values[i], one, object))
		}
		if object != nil {
			object(v, made)
		}
		return made
	}
	return one(v)
}

// WithoutGiven returns a template without what people wrote into it for secure parameters: default
// values, and what it gives to the templates in it. Expressions stay.
func (t *Template) WithoutGiven() *Object {
	made, _ := changed(t.root, func(v any) any { return v }, func(was, made *Object) {
		parameters := made.Object("parameters")
		(&Template{was}).redact(parameters, "defaultValue")
		(&Template{was.Object("template")}).redact(parameters, "value")
	}).(*Object)
	return made
}

// redact redacts a field of those parameters that are secure in the template.
func (t *Template) redact(parameters *Object, field string) {
	declared := t.root.Object("parameters")
	for _, name := range declared.Names() {
		one := parameters.Object(name)
		if v, ok := one.Lookup(field); ok && secure(t.declared(declared.Object(name)).Text("type")) {
			one.Set(field, changed(v, redactedLiteral, nil))
		}
	}
}

// redactedLiteral is a value without what is no expression. An empty text is no secret.
func redactedLiteral(v any) any {
	text := textOf(v)
	if _, ok := expression(text); ok || text == "" {
		return v
	}
	return instead
}
