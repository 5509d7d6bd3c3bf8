package template

import (
	"cmp"
	"strings"
)

func logic() map[string]function {
	compare := func(holds func(int) bool) function {
		return function{2, 2, nowhere, func(_ *environment, args []any) (any, error) {
			switch a := args[0].(type) {
			case int64:
				if b, ok := args[1].(int64); ok {
					return holds(cmp.Compare(a, b)), nil
				}
			case string:
				if b, ok := args[1].(string); ok {
					return holds(strings.Compare(a, b)), nil
				}
			}
			return nil, failf("the arguments must be two integers or two strings, found '%s' and '%s'.", typeName(args[0]), typeName(args[1]))
		}}
	}
	all := func(stop bool) function {
		return function{2, -1, nowhere, func(_ *environment, args []any) (any, error) {
			for _, a := range args {
				if b, ok := a.(bool); !ok {
					return nil, failf("the arguments must be booleans, found '%s'.", typeName(a))
				} else if b == stop {
					return stop, nil
				}
			}
			return !stop, nil
		}}
	}
	constant := func(v any) function {
		return function{0, 0, nowhere, func(*environment, []any) (any, error) { return v, nil }}
	}
	return map[string]function{
		"and": all(false), "or": all(true), "true": constant(true), "false": constant(false), "null": constant(nil),
		"not": {1, 1, nowhere, func(_ *environment, args []any) (any, error) {
			b, ok := args[0].(bool)
			if !ok {
				return nil, failf("the argument must be a boolean, found '%s'.", typeName(args[0]))
			}
			return !b, nil
		}},
		"bool":   {1, 1, nowhere, func(_ *environment, args []any) (any, error) { return toBool(args[0]) }},
		"equals": {2, 2, nowhere, func(_ *environment, args []any) (any, error) { return equal(args[0], args[1]), nil }},
		"less":   compare(func(n int) bool { return n < 0 }), "lessorequals": compare(func(n int) bool { return n <= 0 }),
		"greater": compare(func(n int) bool { return n > 0 }), "greaterorequals": compare(func(n int) bool { return n >= 0 }),
		"coalesce": {1, -1, anywhere, func(_ *environment, args []any) (any, error) {
			for _, a := range args {
				if a != nil {
					return a, nil
				}
			}
			return nil, nil
		}},
	}
}

func toBool(v any) (any, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case int64:
		return v != 0, nil
	case string:
		switch strings.ToLower(v) {
		case "true", "1":
			return true, nil
		case "false", "0":
			return false, nil
		}
	}
	return nil, failf("the value cannot be converted to a boolean.")
}
