package template

import (
	"fmt"
	"slices"
	"strings"
)

// connect finds what each resource depends on: what it says, and what it refers to.
func (p *Plan) connect() error {
	for _, r := range p.Resources {
		e := p.env
		e.loops = r.loops
		found, err := p.declared(r)
		if err == nil && !r.Existing && !r.Skipped {
			e.live = func(to reference) (any, error) {
				if to.symbol != nil && !slices.Contains(found, to.symbol) {
					found = append(found, to.symbol)
				}
				return Unknown{}, nil
			}
			_, err = p.body(r)
		}
		e.loops, e.live = nil, nil
		if err != nil {
			return p.invalid(r.source, r.Path, err)
		}
		r.DependsOn = found
	}
	return nil
}

// declared are those of dependsOn: symbolic names, names of loops, ids, and names of resources.
func (p *Plan) declared(r *Resource) (found []*Resource, err error) {
	found = slices.Clone(r.after)
	seen := map[*Resource]bool{}
	for _, o := range found {
		seen[o] = true
	}
	for i, v := range r.source.List("dependsOn") {
		path := fmt.Sprintf("%s.dependsOn[%d]", r.Path, i)
		v, err := p.env.value(v, path)
		if err != nil {
			return nil, err
		}
		text, ok := v.(string)
		u, unknown := v.(Unknown)
		if unknown && p.env.deployment.Assume {
			text, ok = u.Expression, true
		}
		if !ok {
			return nil, at(failf("A dependency must be a string, found '%s'", typeName(v)), path)
		}
		named := p.env.named(text)
		if err := p.env.budget.take(8 * len(named)); err != nil {
			return nil, at(err, path)
		}
		if named == nil && unknown {
			continue // it may be any of them
		}
		if named == nil {
			// Azure/azure-quickstart-templates and many others; F5Networks/f5-azure-arm-templates#230.
			return nil, at(invalidf("The resource '%s' is not defined in the template. Please see https://aka.ms/arm-syntax for usage details.", text), path)
		}
		for _, o := range named {
			if !seen[o] {
				seen[o] = true
				found = append(found, o)
			}
		}
	}
	return found, nil
}

// named are the resources that a text means: a symbolic name, the name of a loop, an id, or a name
// with or without the type; nil if it means nothing, rather than a loop that makes none.
func (e *environment) named(text string) []*Resource {
	key := strings.ToLower(text)
	if s, ok := e.namers[key]; ok && len(s.of) > 0 {
		return s.of
	} else if ok {
		return []*Resource{}
	}
	if r := e.meant(text); r != nil {
		return []*Resource{r}
	}
	if r, ok := e.byID[key]; ok {
		return []*Resource{r}
	}
	if e.byName == nil {
		e.index()
	}
	if found := e.byName[key]; found != nil || !e.empty[key] {
		return found
	}
	return []*Resource{}
}

// index notes the resources by the names that they have in the template.
func (e *environment) index() {
	e.byName = map[string][]*Resource{}
	scope := strings.ToLower(e.deployment.Scope) + "/providers/"
	for _, r := range e.resources {
		names := []string{strings.ToLower(r.copyName), strings.ToLower(r.Name), strings.ToLower(r.Type + "/" + r.Name), strings.TrimPrefix(strings.ToLower(r.ID), scope)}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if name != "" {
				e.byName[name] = append(e.byName[name], r)
			}
		}
	}
}

// order sorts the resources, each after those that it depends on, and otherwise as the template
// has them.
func (p *Plan) order() error {
	const visiting, done = 1, 2
	state := map[*Resource]int{}
	var sorted []*Resource
	var visit func(r *Resource) error
	visit = func(r *Resource) error {
		switch state[r] {
		case done:
			return nil
		case visiting:
			// Source: microsoft/startstopv2-deployments#14, akshata29/entaoai#15 and polymind-inc/acmebot#1089,
			// which have the newer link.
			err := invalidf("Circular dependency detected on resource: '%s'. Please see https://aka.ms/arm-syntax-resources for usage details.", r.ID)
			err.Path = r.Path
			return err
		}
		state[r] = visiting
		for _, o := range r.DependsOn {
			if err := visit(o); err != nil {
				return err
			}
		}
		state[r] = done
		sorted = append(sorted, r)
		return nil
	}
	for _, r := range p.Resources {
		if err := visit(r); err != nil {
			return err
		}
	}
	p.Resources = sorted
	return nil
}
