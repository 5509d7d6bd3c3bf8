package template

import (
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
		for _, branch := range c.args[1:] { // either may be it, with what it refers to, and the other one need not be possible
			if _, err := e.evaluate(branch); err != nil && e.budget.lasting(err) {
				return nil, err
			}
		}
		return Unknown{}, nil
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
			if l.unknown {
				return Unknown{}, nil
			}
			return l.index + offset, nil
		}
	}
	// Seen in many logs.
	return nil, failf("The template function 'copyIndex' is not expected at this location. The function can only be used in a resource with copy specified. Please see https://aka.ms/arm-copy for usage details.")
}
