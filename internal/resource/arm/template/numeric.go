package template

import (
	"math"
	"strconv"
	"strings"
)

func numbers() map[string]function {
	calculate := func(do func(a, b int64) (int64, bool)) function {
		return function{2, 2, nowhere, func(_ *environment, args []any) (any, error) {
			a, err := integer(args, 0)
			if err != nil {
				return nil, err
			}
			b, err := integer(args, 1)
			if err != nil {
				return nil, err
			}
			n, ok := do(a, b)
			if !ok {
				return nil, failf("the result of %d and %d is no integer.", a, b)
			}
			return n, nil
		}}
	}
	extreme := func(better func(a, b int64) bool) function {
		return function{1, -1, nowhere, func(_ *environment, args []any) (any, error) {
			if list, ok := args[0].([]any); ok && len(args) == 1 {
				args = list
			}
			var best int64
			for i := range args {
				n, err := integer(args, i)
				if err != nil {
					return nil, err
				}
				if i == 0 || better(n, best) {
					best = n
				}
			}
			return best, nil
		}}
	}
	return map[string]function{
		"add": calculate(func(a, b int64) (int64, bool) { return a + b, (a+b > a) == (b > 0) }),
		"sub": calculate(func(a, b int64) (int64, bool) { return a - b, (a-b < a) == (b > 0) }),
		"mul": calculate(func(a, b int64) (int64, bool) {
			if a == 0 || b == 0 {
				return 0, true
			}
			n := a * b
			return n, n/b == a && (a != -1 || b != math.MinInt64) && (b != -1 || a != math.MinInt64)
		}),
		"div": calculate(func(a, b int64) (int64, bool) {
			if b == 0 || a == math.MinInt64 && b == -1 {
				return 0, false
			}
			return a / b, true
		}),
		"mod": calculate(func(a, b int64) (int64, bool) {
			if b == 0 {
				return 0, false
			}
			return a % b, true
		}),
		"min": extreme(func(a, b int64) bool { return a < b }), "max": extreme(func(a, b int64) bool { return a > b }),
		"int": {1, 1, nowhere, func(_ *environment, args []any) (any, error) {
			switch v := args[0].(type) {
			case int64:
				return v, nil
			case float64:
				return int64(v), nil
			case string:
				if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err == nil {
					return n, nil
				}
			}
			return nil, failf("the value cannot be converted to an integer.")
		}},
		"float": {1, 1, nowhere, func(_ *environment, args []any) (any, error) {
			switch v := args[0].(type) {
			case int64:
				return float64(v), nil
			case float64:
				return v, nil
			case string:
				if f, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
					return f, nil
				}
			}
			return nil, failf("the value cannot be converted to a floating point number.")
		}},
	}
}

// numbersFrom is the function range, which makes 10,000 numbers at most.
// Source: azure-docs, azure-resource-manager/templates/template-functions-numeric.md, "range".
func numbersFrom(_ *environment, args []any) (any, error) {
	from, err := integer(args, 0)
	if err != nil {
		return nil, err
	}
	n, err := integer(args, 1)
	if err != nil {
		return nil, err
	}
	if n < 0 || n > 10000 || from > math.MaxInt32 || from < math.MinInt32 {
		return nil, failf("the count must be between '0' and '10000', and the numbers integers of 32 bits.")
	}
	made := make([]any, n)
	for i := range made {
		made[i] = from + int64(i)
	}
	return made, nil
}
