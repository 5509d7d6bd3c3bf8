package template

import (
	"fmt"
	"math"
	"sync"
)

// function is one whose arguments are all evaluated before.
type function struct {
	least, most int // arguments; most is -1 if there is no limit
	unknown     unknowns
	do          func(e *environment, args []any) (any, error)
}

// unknowns says where a function takes an Unknown. Elsewhere, its value is one too.
type unknowns int

const (
	nowhere  unknowns = iota
	within            // in an array or an object that it takes
	anywhere          // also as an argument
)

func (f function) arity() string {
	switch {
	case f.least == f.most:
		return fmt.Sprintf("%d argument(s)", f.least)
	case f.most < 0:
		return fmt.Sprintf("at least %d argument(s)", f.least)
	}
	return fmt.Sprintf("%d to %d arguments", f.least, f.most)
}

// functions are those of Azure, by name in lower case.
// Source: azure-docs, azure-resource-manager/templates/template-functions-*.md, for what each does.
var functions = sync.OnceValue(func() map[string]function {
	all := map[string]function{}
	for _, group := range []map[string]function{logic(), numbers(), texts(), lists(), scopes(), dates()} {
		for name, f := range group {
			all[name] = f
		}
	}
	return all
})

// integer is an argument that has to be one.
func integer(args []any, i int) (int64, error) {
	if f, ok := args[i].(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f), nil
	}
	n, ok := args[i].(int64)
	if !ok {
		return 0, failf("the argument at position '%d' must be an integer, found '%s'.", i+1, typeName(args[i]))
	}
	return n, nil
}

// stringOf is an argument that has to be a string.
func stringOf(args []any, i int) (string, error) {
	s, ok := args[i].(string)
	if !ok {
		return "", failf("the argument at position '%d' must be a string, found '%s'.", i+1, typeName(args[i]))
	}
	return s, nil
}

// stringsOf are arguments that have to be strings.
func stringsOf(args []any) ([]string, error) {
	made := make([]string, len(args))
	for i := range args {
		var err error
		if made[i], err = stringOf(args, i); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// onTexts is a function of strings alone.
func onTexts(least, most int, do func(e *environment, s []string) (any, error)) function {
	return function{least, most, nowhere, func(e *environment, args []any) (any, error) {
		s, err := stringsOf(args)
		if err != nil {
			return nil, err
		}
		return do(e, s)
	}}
}
