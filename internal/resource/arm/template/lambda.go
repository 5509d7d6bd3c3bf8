package template

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

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
	maps.Copy(e.locals, before)
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

// errUnknown says that a function's value is unknown.
var errUnknown = errors.New("the value is unknown")

// loopOver are the functions with lambdas. What they make is unknown if a condition or a name is.
// Source: azure-docs, azure-resource-manager/templates/template-functions-lambda.md
func (e *environment) loopOver(name string, c call) (any, error) {
	v, err := e.looped(name, c)
	if errors.Is(err, errUnknown) {
		return Unknown{}, nil
	}
	return v, err
}

func (e *environment) looped(name string, c call) (any, error) {
	if err := counted(c, 2, 3); err != nil {
		return nil, err
	}
	of, err := e.evaluate(c.args[0])
	if err != nil {
		return nil, err
	}
	if _, unknown := of.(Unknown); unknown {
		return Unknown{}, nil
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
		if name == "map" {
			out, err := e.apply(l, v, int64(i))
			if err != nil {
				return nil, err
			}
			made = append(made, out)
			continue
		}
		accepted, err := e.holds(l, v, int64(i))
		if err != nil {
			return nil, err
		}
		if accepted {
			made = append(made, v)
		}
	}
	return made, nil
}

// holds reports whether a lambda that is a condition is true of values.
func (e *environment) holds(l lambda, values ...any) (bool, error) {
	v, err := e.apply(l, values...)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if _, unknown := v.(Unknown); unknown {
		return false, errUnknown
	}
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
		if _, unknown := k.(Unknown); unknown {
			return nil, errUnknown
		}
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
		before, err := e.holds(l, a, b)
		if before {
			return -1
		}
		after := false
		if err == nil {
			after, err = e.holds(l, b, a)
		}
		if after {
			return 1
		}
		failed = err
		return 0
	})
	return made, failed
}
