package template

import (
	"fmt"
	"slices"
	"strings"
)

// special evaluates the functions that decide themselves which arguments they evaluate.
func (e *environment) special(name string, c call) (v any, ok bool, err error) {
	switch name {
	case "if":
		v, err = e.either(c)
	case "parameters":
		v, err = e.parameter(c)
	case "variables":
		v, err = e.variable(c)
	case "copyindex":
		v, err = e.copyIndex(c)
	case "lambdavariables":
		v, err = e.local(c)
	case "reference":
		v, err = e.reference(c)
	case "references":
		v, err = e.references(c)
	case "resourceinfo":
		v, err = e.resourceInfo(c)
	case "map", "filter", "reduce", "sort", "toobject", "mapvalues":
		v, err = e.loopOver(name, c)
	default:
		return nil, false, nil
	}
	return v, true, err
}

// counted refuses a wrong number of arguments.
func counted(c call, least, most int) error {
	if n := len(c.args); n < least || n > most {
		return failf("Unable to evaluate template language function '%s': function requires %s while %d were provided. Please see https://aka.ms/arm-functions for usage details.", c.name, function{least: least, most: most}.arity(), n)
	}
	return nil
}

// either evaluates the branch of if that counts, and that alone.
func (e *environment) either(c call) (any, error) {
	if err := counted(c, 3, 3); err != nil {
		return nil, err
	}
	condition, err := e.evaluate(c.args[0])
	if err != nil {
		return nil, err
	}
	switch condition := condition.(type) {
	case Unknown:
		for _, branch := range c.args[1:] { // either may be it, with what it refers to
			if _, err := e.evaluate(branch); err != nil {
				return nil, err
			}
		}
		return condition, nil
	case bool:
		if condition {
			return e.evaluate(c.args[1])
		}
		return e.evaluate(c.args[2])
	}
	return nil, failf("Unable to evaluate template language function 'if': the first argument must be a boolean, found '%s'. Please see https://aka.ms/arm-functions#if for usage details.", typeName(condition))
}

// nameOf evaluates the only argument of a function that takes a name.
func (e *environment) nameOf(c call) (string, error) {
	if err := counted(c, 1, 1); err != nil {
		return "", err
	}
	v, err := e.evaluate(c.args[0])
	if err != nil {
		return "", err
	}
	name, ok := v.(string)
	if !ok {
		return "", failf("Unable to evaluate template language function '%s': the argument must be a string, found '%s'. Please see https://aka.ms/arm-functions for usage details.", c.name, typeName(v))
	}
	return name, nil
}

// parameter is in the words of many logs.
func (e *environment) parameter(c call) (any, error) {
	name, err := e.nameOf(c)
	if err != nil {
		return nil, err
	}
	from := e.parameters
	if e.arguments != nil {
		from = e.arguments
	}
	if v, ok := from.Lookup(name); ok {
		return v, nil
	}
	return nil, failf("The template parameter '%s' is not found. Please see https://aka.ms/arm-syntax-parameters for usage details.", name)
}

// variable evaluates a variable when it is first asked for.
func (e *environment) variable(c call) (any, error) {
	name, err := e.nameOf(c)
	if err != nil {
		return nil, err
	}
	if e.arguments != nil {
		return nil, failf("The template function 'variables' is not expected at this location. Please see https://aka.ms/arm-functions for usage details.")
	}
	key := strings.ToLower(name)
	if v, ok := e.variables[key]; ok {
		return v, nil
	}
	if slices.Contains(e.computing, key) {
		return nil, failf("The template variable '%s' is not valid: it refers to itself by way of '%s'.", name, strings.Join(e.computing, ", ")) // text inferred
	}
	from, path, ok := e.template.variable(name)
	if !ok {
		return nil, failf("The template variable '%s' is not found. Please see https://aka.ms/arm-syntax-variables for usage details.", name)
	}
	inner := *e
	inner.computing = append(slices.Clip(e.computing), key)
	inner.loops, inner.locals, inner.live = nil, nil, nil
	var v any
	if l, isLoop := from.(variableLoop); isLoop {
		made := NewObject()
		err = inner.copies(made, l.of, path)
		v = made.Get(name)
	} else {
		v, err = inner.value(from, path)
	}
	if err != nil {
		return nil, err
	}
	e.variables[key] = v
	return v, nil
}

// copyIndex is copyIndex(), copyIndex(offset), copyIndex(name) or copyIndex(name, offset).
func (e *environment) copyIndex(c call) (any, error) {
	if err := counted(c, 0, 2); err != nil {
		return nil, err
	}
	args, err := e.evaluated(c)
	if err != nil {
		return nil, err
	}
	name, named := "", false
	if len(args) > 0 {
		if name, named = args[0].(string); named {
			args = args[1:]
		}
	}
	offset := int64(0)
	if len(args) > 0 {
		if offset, err = integer(args, 0); err != nil {
			return nil, err
		}
	}
	for _, l := range slices.Backward(e.loops) {
		if !named || strings.EqualFold(l.name, name) {
			return l.index + offset, nil
		}
	}
	// Seen in many logs.
	return nil, failf("The template function 'copyIndex' is not expected at this location. The function can only be used in a resource with copy specified. Please see https://aka.ms/arm-copy for usage details.")
}

func (e *environment) local(c call) (any, error) {
	name, err := e.nameOf(c)
	if err != nil {
		return nil, err
	}
	if v, ok := e.locals[strings.ToLower(name)]; ok {
		return v, nil
	}
	return nil, failf("The lambda variable '%s' is not found.", name)
}

// lambda is one whose names are known.
type lambda struct {
	names []string
	body  node
}

func (e *environment) lambda(n node) (lambda, error) {
	c, ok := n.(call)
	if !ok || !strings.EqualFold(c.name, "lambda") || len(c.args) == 0 {
		return lambda{}, failf("The last argument must be a lambda.")
	}
	var made lambda
	for _, a := range c.args[:len(c.args)-1] {
		l, _ := a.(literal)
		name, ok := l.value.(string)
		if !ok {
			return lambda{}, failf("The names of a lambda's variables must be strings.")
		}
		made.names = append(made.names, strings.ToLower(name))
	}
	made.body = c.args[len(c.args)-1]
	return made, nil
}

// apply evaluates a lambda with values for its variables; it need not have all.
func (e *environment) apply(l lambda, values ...any) (any, error) {
	if len(l.names) > len(values) {
		return nil, failf("The lambda has %d variables, and there are %d values.", len(l.names), len(values))
	}
	before := e.locals
	e.locals = make(map[string]any, len(before)+len(l.names))
	for name, v := range before {
		e.locals[name] = v
	}
	for i, name := range l.names {
		e.locals[name] = values[i]
	}
	v, err := e.evaluate(l.body)
	e.locals = before
	if err == nil {
		err = e.budget.take(16 + size(v, e.budget.left))
	}
	return v, err
}

// loopOver are the functions with lambdas.
// Source: azure-docs, azure-resource-manager/templates/template-functions-lambda.md
func (e *environment) loopOver(name string, c call) (any, error) {
	if err := counted(c, 2, 3); err != nil {
		return nil, err
	}
	of, err := e.evaluate(c.args[0])
	if err != nil {
		return nil, err
	}
	if _, unknown := of.(Unknown); unknown {
		return of, nil
	}
	if name == "mapvalues" {
		return e.mapValues(c, of)
	}
	list, ok := of.([]any)
	if !ok {
		return nil, failf("Unable to evaluate template language function '%s': the first argument must be an array, found '%s'. Please see https://aka.ms/arm-functions for usage details.", c.name, typeName(of))
	}
	if name == "reduce" {
		return e.reduce(c, list)
	}
	l, err := e.lambda(c.args[1])
	if err != nil {
		return nil, err
	}
	switch name {
	case "toobject":
		return e.toObject(c, list, l)
	case "sort":
		return e.sort(list, l)
	}
	made := []any{}
	for i, v := range list {
		out, err := e.apply(l, v, int64(i))
		if err != nil {
			return nil, err
		}
		if name == "map" {
			made = append(made, out)
			continue
		}
		if accepted, err := truth(out); err != nil {
			return nil, err
		} else if accepted {
			made = append(made, v)
		}
	}
	return made, nil
}

func truth(v any) (bool, error) {
	b, ok := v.(bool)
	if !ok {
		return false, failf("The lambda must be a condition, found '%s'.", typeName(v))
	}
	return b, nil
}

func (e *environment) mapValues(c call, of any) (any, error) {
	o, ok := of.(*Object)
	if !ok {
		return nil, failf("Unable to evaluate template language function 'mapValues': the first argument must be an object, found '%s'. Please see https://aka.ms/arm-functions for usage details.", typeName(of))
	}
	l, err := e.lambda(c.args[1])
	if err != nil {
		return nil, err
	}
	made := NewObject()
	for i, name := range o.Names() {
		v, err := e.apply(l, o.values[i])
		if err != nil {
			return nil, err
		}
		made.Set(name, v)
	}
	return made, nil
}

func (e *environment) reduce(c call, list []any) (any, error) {
	if err := counted(c, 3, 3); err != nil {
		return nil, err
	}
	total, err := e.evaluate(c.args[1])
	if err != nil {
		return nil, err
	}
	l, err := e.lambda(c.args[2])
	if err != nil {
		return nil, err
	}
	for i, v := range list {
		if total, err = e.apply(l, total, v, int64(i)); err != nil {
			return nil, err
		}
	}
	return total, nil
}

func (e *environment) toObject(c call, list []any, key lambda) (any, error) {
	value := lambda{names: []string{"\x00"}}
	if len(c.args) == 3 {
		var err error
		if value, err = e.lambda(c.args[2]); err != nil {
			return nil, err
		}
	}
	made := NewObject()
	for _, v := range list {
		k, err := e.apply(key, v)
		if err != nil {
			return nil, err
		}
		name, ok := k.(string)
		if !ok {
			return nil, failf("The names that toObject makes must be strings, found '%s'.", typeName(k))
		}
		if value.body != nil {
			if v, err = e.apply(value, v); err != nil {
				return nil, err
			}
		}
		made.Set(name, v)
	}
	return made, nil
}

func (e *environment) sort(list []any, l lambda) (any, error) {
	made := slices.Clone(list)
	var failed error
	slices.SortStableFunc(made, func(a, b any) int {
		if failed != nil {
			return 0
		}
		before, err := e.apply(l, a, b)
		if err == nil {
			var is bool
			if is, err = truth(before); is {
				return -1
			}
		}
		if err == nil {
			var after any
			if after, err = e.apply(l, b, a); err == nil {
				var is bool
				if is, err = truth(after); is {
					return 1
				}
			}
		}
		failed = err
		return 0
	})
	return made, failed
}

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

// reference is reference(what[, apiVersion[, 'Full']]).
func (e *environment) reference(c call) (any, error) {
	if err := counted(c, 1, 3); err != nil {
		return nil, err
	}
	args, err := e.evaluated(c)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(args, hasUnknown) {
		return Unknown{}, nil
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
	if err := counted(c, 1, 2); err != nil {
		return nil, err
	}
	args, err := e.evaluated(c)
	if err != nil {
		return nil, err
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
	if err := counted(c, 1, 3); err != nil {
		return nil, err
	}
	args, err := e.evaluated(c)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(args, hasUnknown) {
		return Unknown{}, nil
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
