package template

import "strings"

// shortestSecret is from how many bytes on a secret is looked for within other texts: shorter ones
// are found in everyday words.
const shortestSecret = 4

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

// Redacted returns a template without secrets, which a template in another one has where that has
// evaluated it. In their place is what is no expression, so that nobody deploys it unawares.
func Redacted(root *Object, secrets []string) *Object {
	if len(secrets) == 0 {
		return root
	}
	const instead = "[redacted: secure parameter]"
	whole, pairs := map[string]bool{}, []string{}
	for _, s := range secrets {
		whole[s] = true
		if len(s) >= shortestSecret {
			pairs = append(pairs, s, instead)
		}
	}
	within := strings.NewReplacer(pairs...)
	var redacted func(v any) any
	redacted = func(v any) any {
		switch v := v.(type) {
		case string:
			if whole[v] {
				return instead
			}
			return within.Replace(v)
		case []any:
			made := make([]any, len(v))
			for i, e := range v {
				made[i] = redacted(e)
			}
			return made
		case *Object:
			if v == nil {
				return v
			}
			made := NewObject()
			for i, name := range v.names {
				made.Set(name, redacted(v.values[i]))
			}
			return made
		}
		return v
	}
	made, _ := redacted(root).(*Object)
	return made
}
