package condition

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
)

// What an expression makes is bounded, in the middle of it, too: CEL's cost limit counts calls and
// not what they allocate, so that ten replacements, one inside the other, would allocate gigabytes.
const (
	maxText     = 1 << 20 // bytes of a text
	maxElements = 100_000 // of a list
)

// bounded are CEL's functions whose result can be many times as large as what they are
// given. Those that at most double it are stopped by callCost.
func bounded() ([]cel.EnvOption, error) {
	inner, err := cel.NewEnv(ext.Strings(), ext.Lists(),
		cel.Variable("text", cel.StringType), cel.Variable("old", cel.StringType), cel.Variable("new", cel.StringType), cel.Variable("n", cel.IntType),
		cel.Variable("texts", cel.ListType(cel.StringType)), cel.Variable("values", cel.ListType(cel.DynType)), cel.Variable("lists", cel.ListType(cel.ListType(cel.DynType))))
	if err != nil {
		return nil, err
	}
	lists, element := cel.ListType(cel.ListType(cel.TypeParamType("T"))), cel.ListType(cel.TypeParamType("T"))
	var options []cel.EnvOption
	for _, f := range []struct {
		name, overload, source string
		names                  []string
		args                   []*cel.Type
		result                 *cel.Type
		size                   func(args []ref.Val) int
		most                   int
	}{
		{"replace", "string_replace_string_string", "text.replace(old, new)", []string{"text", "old", "new"}, []*cel.Type{cel.StringType, cel.StringType, cel.StringType}, cel.StringType, replaced, maxText},
		{"replace", "string_replace_string_string_int", "text.replace(old, new, n)", []string{"text", "old", "new", "n"}, []*cel.Type{cel.StringType, cel.StringType, cel.StringType, cel.IntType}, cel.StringType, replaced, maxText},
		{"join", "list_join", "texts.join()", []string{"texts"}, []*cel.Type{cel.ListType(cel.StringType)}, cel.StringType, joined, maxText},
		{"join", "list_join_string", "texts.join(old)", []string{"texts", "old"}, []*cel.Type{cel.ListType(cel.StringType), cel.StringType}, cel.StringType, joined, maxText},
		{"format", "string_format", "text.format(values)", []string{"text", "values"}, []*cel.Type{cel.StringType, cel.ListType(cel.DynType)}, cel.StringType, formatted, maxText},
		{"flatten", "list_flatten", "lists.flatten()", []string{"lists"}, []*cel.Type{lists}, element, flattened, maxElements},
		{"flatten", "list_flatten_int", "values.flatten(n)", []string{"values", "n"}, []*cel.Type{cel.ListType(cel.DynType), cel.IntType}, cel.ListType(cel.DynType), flattened, maxElements},
	} {
		checked, issues := inner.Compile(f.source)
		if issues.Err() != nil {
			return nil, issues.Err()
		}
		call, err := inner.Program(checked)
		if err != nil {
			return nil, err
		}
		options = append(options, cel.Function(f.name, cel.MemberOverload(f.overload, f.args, f.result, cel.FunctionBinding(func(args ...ref.Val) ref.Val {
			if f.size(args) > f.most {
				return types.NewErr("%s: its result would be larger than %d", f.name, f.most)
			}
			values := map[string]any{}
			for i, name := range f.names {
				values[name] = args[i]
			}
			result, _, err := call.Eval(values)
			if err != nil {
				return types.WrapErr(err)
			}
			return result
		}))))
	}
	return options, nil
}

func replaced(args []ref.Val) int {
	text, old, with := string(args[0].(types.String)), string(args[1].(types.String)), string(args[2].(types.String))
	return len(text) + strings.Count(text, old)*len(with)
}

func joined(args []ref.Val) int {
	separator := 0
	if len(args) > 1 {
		separator = len(args[1].(types.String))
	}
	return sizeOf(args[0], separator, maxText)
}

func formatted(args []ref.Val) int {
	return len(args[0].(types.String)) + sizeOf(args[1], 0, maxText)
}

// flattened is more than the elements that a list has in the end.
func flattened(args []ref.Val) int { return elements(args[0], maxElements) }

func elements(v ref.Val, most int) int {
	list, ok := v.(traits.Lister)
	if !ok {
		return 1
	}
	n := 1
	for it := list.Iterator(); it.HasNext() == types.True && n <= most; {
		n += elements(it.Next(), most-n)
	}
	return n
}

// sizeOf is about how long a value is as a text, or more than most. Each element of a
// list has a separator.
func sizeOf(v ref.Val, separator, most int) int {
	switch v := v.(type) {
	case types.String:
		return len(v)
	case types.Bytes:
		return 4 * len(v)
	case traits.Mapper:
		n := 2
		for it := v.Iterator(); it.HasNext() == types.True && n <= most; {
			key := it.Next()
			n += 4 + sizeOf(key, 0, most-n)
			n += sizeOf(v.Get(key), 0, most-n)
		}
		return n
	case traits.Lister:
		n := 2
		for it := v.Iterator(); it.HasNext() == types.True && n <= most; {
			n += separator + 2 + sizeOf(it.Next(), 0, most-n)
		}
		return n
	}
	return 100 // a number, a time
}

// callCost has texts cost what they take. It is how + and quote, which can double them
// as often as they are nested, come to an end.
type callCost struct{}

func (callCost) CallCost(_, _ string, _ []ref.Val, result ref.Val) *uint64 {
	size := 0
	switch r := result.(type) {
	case types.String:
		size = len(r)
	case types.Bytes:
		size = len(r)
	default:
		return nil // what CEL thinks
	}
	cost := 1 + uint64(size)
	return &cost
}

// costLimit is how many calls an expression may make, and bytes of texts.
const costLimit = 10_000_000
