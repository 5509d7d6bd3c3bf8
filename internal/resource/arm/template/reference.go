package template

import (
	"fmt"
	"slices"
	"strings"
)

// symbol is a resource or the resources of a loop, by its symbolic name.
type symbol struct {
	loop bool
	of   []*Resource
}

// meant is the resource of the template that a symbolic name is of, as NAME or as NAME[INDEX].
func (e *environment) meant(name string) *Resource {
	key := strings.ToLower(name)
	if s, ok := e.namers[key]; ok && !s.loop {
		return s.of[0]
	}
	open := strings.LastIndexByte(key, '[')
	if open < 0 {
		return nil
	}
	s, ok := e.namers[key[:open]]
	var n int
	if _, err := fmt.Sscanf(key[open:], "[%d]", &n); !ok || err != nil || n < 0 || n >= len(s.of) {
		return nil
	}
	return s.of[n]
}

// known evaluates the arguments of a function that asks about resources, of which there are up to
// most; nil if something of them is not known.
func (e *environment) known(c call, most int) ([]any, error) {
	if err := counted(c, 1, most); err != nil {
		return nil, err
	}
	args, err := e.evaluated(c)
	if err != nil || slices.ContainsFunc(args, hasUnknown) {
		return nil, err
	}
	return args, nil
}

// reference is reference(what[, apiVersion[, 'Full']]).
func (e *environment) reference(c call) (any, error) {
	args, err := e.known(c, 3)
	if err != nil || args == nil {
		return Unknown{}, err
	}
	s, err := stringsOf(args)
	if err != nil {
		return nil, named(err, c.name)
	}
	r := reference{function: "reference", id: s[0]}
	if len(s) > 1 {
		r.apiVersion = s[1]
	}
	if len(s) > 2 {
		if r.full = strings.EqualFold(s[2], "Full"); !r.full && !strings.EqualFold(s[2], "Properties") {
			return nil, failf("Unable to evaluate template language function 'reference': the third argument must be 'Full', found '%s'. Please see https://aka.ms/arm-functions#reference for usage details.", s[2])
		}
	}
	return e.ask(r, c.name)
}

// ask answers a reference, if one may be made here.
func (e *environment) ask(r reference, name string) (any, error) {
	if e.live == nil {
		// Seen in many logs.
		return nil, failf("The template function '%s' is not expected at this location. Please see https://aka.ms/arm-functions for usage details.", name)
	}
	r.symbol = e.meant(r.id)
	if r.symbol == nil {
		if all := e.named(r.id); len(all) > 0 {
			r.symbol = all[len(all)-1]
		}
	}
	if r.symbol != nil {
		r.id = r.symbol.ID
		if r.apiVersion == "" {
			r.apiVersion = r.symbol.APIVersion
		}
	}
	if !strings.HasPrefix(r.id, "/") {
		// Seen in many logs.
		return nil, failf("The resource '%s' is not defined in the template. Please see https://aka.ms/arm-syntax for usage details.", r.id)
	}
	return e.live(r)
}

// references is what reference says of each resource of a loop.
func (e *environment) references(c call) (any, error) {
	args, err := e.known(c, 2)
	if err != nil || args == nil {
		return Unknown{}, err
	}
	s, err := stringsOf(args)
	if err != nil {
		return nil, named(err, c.name)
	}
	loop, ok := e.namers[strings.ToLower(s[0])]
	if !ok || !loop.loop {
		return nil, failf("Unable to evaluate template language function 'references': '%s' is no loop of resources. Please see https://aka.ms/arm-functions for usage details.", s[0])
	}
	made := []any{}
	for _, r := range loop.of {
		v, err := e.ask(reference{function: "reference", id: r.ID, full: len(s) > 1 && strings.EqualFold(s[1], "Full")}, c.name)
		if err != nil {
			return nil, err
		}
		made = append(made, v)
	}
	return made, nil
}

// resourceInfo is what is known of a resource before it is deployed.
func (e *environment) resourceInfo(c call) (any, error) {
	name, err := e.nameOf(c)
	if err != nil {
		return nil, err
	}
	r := e.meant(name)
	if r == nil {
		return nil, failf("The resource '%s' is not defined in the template. Please see https://aka.ms/arm-syntax for usage details.", name)
	}
	return NewObject("id", r.ID, "name", r.Name, "type", r.Type, "apiVersion", r.APIVersion), nil
}

// list is one of the functions such as listKeys(resource, apiVersion[, values]).
func (e *environment) list(c call) (any, error) {
	args, err := e.known(c, 3)
	if err != nil || args == nil {
		return Unknown{}, err
	}
	s, err := stringsOf(args[:min(len(args), 2)])
	if err != nil {
		return nil, named(err, c.name)
	}
	r := reference{function: c.name, id: s[0]}
	if len(s) > 1 {
		r.apiVersion = s[1]
	}
	if len(args) > 2 {
		r.body = args[2]
	}
	if id, function, ok := strings.Cut(r.id, "/"); ok && id != "" && strings.EqualFold(c.name, "list") && e.meant(id) != nil { // list('symbol/config', …)
		r.id, r.function = id, function
	}
	return e.ask(r, c.name)
}
