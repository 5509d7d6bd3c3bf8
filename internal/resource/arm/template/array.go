package template

import (
	"slices"
	"strings"
)

func lists() map[string]function {
	return map[string]function{
		"array": {1, 1, within, func(_ *environment, args []any) (any, error) {
			if list, ok := args[0].([]any); ok {
				return list, nil
			}
			return []any{args[0]}, nil
		}},
		"createarray": {0, -1, anywhere, func(_ *environment, args []any) (any, error) { return args, nil }},
		"createobject": {0, -1, anywhere, func(_ *environment, args []any) (any, error) {
			made := NewObject()
			if len(args)%2 != 0 {
				return nil, failf("the arguments must be names and values in turn.")
			}
			for i := 0; i < len(args); i += 2 {
				if _, unknown := args[i].(Unknown); unknown {
					return Unknown{}, nil
				}
				name, err := stringOf(args, i)
				if err != nil {
					return nil, err
				}
				made.Set(name, args[i+1])
			}
			return made, nil
		}},
		"concat": {1, -1, within, concat},
		"length": {1, 1, within, func(_ *environment, args []any) (any, error) {
			switch v := args[0].(type) {
			case string:
				return int64(len([]rune(v))), nil
			case []any:
				return int64(len(v)), nil
			case *Object:
				return int64(v.Len()), nil
			}
			return nil, failf("the argument must be an array, a string or an object, found '%s'.", typeName(args[0]))
		}},
		"empty": {1, 1, within, func(_ *environment, args []any) (any, error) {
			switch v := args[0].(type) {
			case nil:
				return true, nil
			case string:
				return v == "", nil
			case []any:
				return len(v) == 0, nil
			case *Object:
				return v.Len() == 0, nil
			}
			return nil, failf("the argument must be an array, a string or an object, found '%s'.", typeName(args[0]))
		}},
		"first": {1, 1, within, func(_ *environment, args []any) (any, error) { return edge(args[0], func(int) int { return 0 }) }},
		"last":  {1, 1, within, func(_ *environment, args []any) (any, error) { return edge(args[0], func(n int) int { return n - 1 }) }},
		"take": {2, 2, within, func(_ *environment, args []any) (any, error) {
			return part(args, func(n, of int) (int, int) { return 0, n })
		}},
		"skip": {2, 2, within, func(_ *environment, args []any) (any, error) {
			return part(args, func(n, of int) (int, int) { return n, of })
		}},
		"range":    {2, 2, nowhere, numbersFrom},
		"contains": {2, 2, nowhere, contains}, "union": {2, -1, within, union}, "shallowmerge": {1, 1, within, shallowMerge},
		"intersection": {2, -1, nowhere, intersection},
		"items":        {1, 1, within, items}, "objectkeys": {1, 1, within, objectKeys}, "flatten": {1, 1, within, flatten},
		"tryget": {2, -1, within, tryGet},
	}
}

// concat takes strings and what is written as one, or arrays.
func concat(e *environment, args []any) (any, error) {
	if _, ok := args[0].([]any); ok {
		made := []any{}
		for i, a := range args {
			list, ok := a.([]any)
			if !ok {
				return nil, failf("the argument at position '%d' must be an array, as the first one is, found '%s'.", i+1, typeName(a))
			}
			if err := e.budget.take(16 * len(list)); err != nil {
				return nil, err
			}
			made = append(made, list...)
		}
		return made, nil
	}
	var out strings.Builder
	for i, a := range args {
		switch a.(type) {
		case []any, *Object:
			return nil, failf("the argument at position '%d' must be a string, found '%s'.", i+1, typeName(a))
		}
		text, err := e.string(a)
		if err != nil {
			return nil, err
		}
		if err := e.budget.take(len(text)); err != nil {
			return nil, err
		}
		out.WriteString(text)
	}
	return out.String(), nil
}

func edge(v any, which func(n int) int) (any, error) {
	switch v := v.(type) {
	case string:
		if r := []rune(v); len(r) > 0 {
			return string(r[which(len(r))]), nil
		}
		return "", nil
	case []any:
		if len(v) > 0 {
			return v[which(len(v))], nil
		}
		return nil, nil
	}
	return nil, failf("the argument must be an array or a string, found '%s'.", typeName(v))
}

func part(args []any, which func(n, of int) (from, to int)) (any, error) {
	n, err := integer(args, 1)
	if err != nil {
		return nil, err
	}
	cut := func(of int) (int, int) { return which(int(min(max(n, 0), int64(of))), of) }
	switch v := args[0].(type) {
	case string:
		r := []rune(v)
		from, to := cut(len(r))
		return string(r[from:to]), nil
	case []any:
		from, to := cut(len(v))
		return slices.Clone(v[from:to]), nil
	}
	return nil, failf("the argument at position '1' must be an array or a string, found '%s'.", typeName(args[0]))
}

func contains(_ *environment, args []any) (any, error) {
	switch in := args[0].(type) {
	case []any:
		return slices.ContainsFunc(in, func(v any) bool { return equal(v, args[1]) }), nil
	case *Object:
		if name, ok := args[1].(string); ok {
			_, has := in.Lookup(name)
			return has, nil
		}
	case string:
		if what, ok := args[1].(string); ok {
			return strings.Contains(strings.ToLower(in), strings.ToLower(what)), nil
		}
	}
	return nil, failf("the arguments have types that do not fit: '%s' and '%s'.", typeName(args[0]), typeName(args[1]))
}

// union merges objects member by member, however deep, and arrays without doubles.
func union(e *environment, args []any) (any, error) {
	switch first := args[0].(type) {
	case *Object:
		made := first
		for i, a := range args[1:] {
			o, ok := a.(*Object)
			if !ok {
				return nil, failf("the argument at position '%d' must be an object, as the first one is, found '%s'.", i+2, typeName(a))
			}
			if err := e.budget.take(size(made, e.budget.left)); err != nil {
				return nil, err
			}
			made = merged(made, o)
		}
		return made, nil
	case []any:
		made := []any{}
		for i, a := range args {
			list, ok := a.([]any)
			if !ok {
				return nil, failf("the argument at position '%d' must be an array, as the first one is, found '%s'.", i+1, typeName(a))
			}
			for _, v := range list {
				if err := e.budget.take(8 * (len(made) + 1)); err != nil {
					return nil, err
				}
				if !slices.ContainsFunc(made, func(o any) bool { return equal(o, v) }) {
					made = append(made, v)
				}
			}
		}
		return made, nil
	}
	return nil, failf("the arguments must be arrays or objects, found '%s'.", typeName(args[0]))
}

func merged(a, b *Object) *Object {
	made := a.without()
	for i, name := range b.names {
		old, isObject := made.Get(name).(*Object)
		if new, ok := b.values[i].(*Object); ok && isObject {
			made.Set(name, merged(old, new))
			continue
		}
		made.Set(name, b.values[i])
	}
	return made
}

func shallowMerge(_ *environment, args []any) (any, error) {
	list, ok := args[0].([]any)
	made := NewObject()
	for _, v := range list {
		o, isObject := v.(*Object)
		ok = ok && isObject
		for i, name := range o.Names() {
			made.Set(name, o.values[i])
		}
	}
	if !ok {
		return nil, failf("the argument must be an array of objects.")
	}
	return made, nil
}

func intersection(e *environment, args []any) (any, error) {
	switch first := args[0].(type) {
	case *Object:
		made := NewObject()
		for i, name := range first.names {
			if everywhere(args[1:], func(a any) bool {
				o, ok := a.(*Object)
				v, has := o.Lookup(name)
				return ok && has && equal(v, first.values[i])
			}) {
				made.Set(name, first.values[i])
			}
		}
		return made, nil
	case []any:
		made := []any{}
		for _, v := range first {
			same := func(o any) bool { return equal(o, v) }
			if err := e.budget.take(8 * size(args, e.budget.left/8)); err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(made, same) && everywhere(args[1:], func(a any) bool { list, _ := a.([]any); return slices.ContainsFunc(list, same) }) {
				made = append(made, v)
			}
		}
		return made, nil
	}
	return nil, failf("the arguments must be arrays or objects, found '%s'.", typeName(args[0]))
}

func everywhere(args []any, holds func(any) bool) bool {
	return !slices.ContainsFunc(args, func(a any) bool { return !holds(a) })
}

// items are the members of an object, sorted by name.
func items(_ *environment, args []any) (any, error) {
	return listed(args[0], func(name string, value any) any { return NewObject("key", name, "value", value) })
}

func objectKeys(_ *environment, args []any) (any, error) {
	return listed(args[0], func(name string, _ any) any { return name })
}

// listed is an array of what one makes of the members of an object, sorted by name.
func listed(v any, one func(name string, value any) any) (any, error) {
	o, ok := v.(*Object)
	if !ok {
		return nil, failf("the argument must be an object, found '%s'.", typeName(v))
	}
	made := []any{}
	for _, name := range slices.Sorted(slices.Values(o.Names())) {
		made = append(made, one(name, o.Get(name)))
	}
	return made, nil
}

func flatten(e *environment, args []any) (any, error) {
	list, ok := args[0].([]any)
	made := []any{}
	for _, v := range list {
		inner, isList := v.([]any)
		ok = ok && isList
		if err := e.budget.take(16 * len(inner)); err != nil {
			return nil, err
		}
		made = append(made, inner...)
	}
	if !ok {
		return nil, failf("the argument must be an array of arrays.")
	}
	return made, nil
}

// tryGet follows names and places, and has no value where there is nothing.
func tryGet(_ *environment, args []any) (any, error) {
	v := args[0]
	for _, key := range args[1:] {
		switch of := v.(type) {
		case nil:
			return nil, nil
		case Unknown:
			return Unknown{}, nil
		case *Object:
			name, ok := key.(string)
			if !ok {
				return nil, failf("an object has members by name, found '%s'.", typeName(key))
			}
			v = of.Get(name)
		case []any:
			n, ok := key.(int64)
			if !ok {
				return nil, failf("an array has elements by place, found '%s'.", typeName(key))
			}
			if n < 0 || n >= int64(len(of)) {
				return nil, nil
			}
			v = of[n]
		default:
			return nil, failf("a value of type '%s' has no members.", typeName(v))
		}
	}
	return v, nil
}
