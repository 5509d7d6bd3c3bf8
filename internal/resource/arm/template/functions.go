package template

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
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

func texts() map[string]function {
	one := func(do func(string) string) function {
		return onTexts(1, 1, func(_ *environment, s []string) (any, error) { return do(s[0]), nil })
	}
	two := func(do func(a, b string) any) function {
		return onTexts(2, 2, func(_ *environment, s []string) (any, error) { return do(s[0], s[1]), nil })
	}
	folded := func(do func(a, b string) bool) function {
		return two(func(a, b string) any { return do(strings.ToLower(a), strings.ToLower(b)) })
	}
	return map[string]function{
		"tolower": one(strings.ToLower), "toupper": one(strings.ToUpper), "trim": one(strings.TrimSpace),
		"startswith": folded(strings.HasPrefix), "endswith": folded(strings.HasSuffix),
		"base64":       one(func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }),
		"uricomponent": one(escaped), "uri": onTexts(2, 2, joinURI),
		"uricomponenttostring": onTexts(1, 1, func(_ *environment, s []string) (any, error) { return unescapedURI(s[0]) }),
		"base64tostring":       onTexts(1, 1, func(_ *environment, s []string) (any, error) { return decoded(s[0]) }),
		"base64tojson": onTexts(1, 1, func(_ *environment, s []string) (any, error) {
			text, err := decoded(s[0])
			if err != nil {
				return nil, err
			}
			return parsedJSON(text)
		}),
		"datauri": one(func(s string) string {
			return "data:text/plain;charset=utf8;base64," + base64.StdEncoding.EncodeToString([]byte(s))
		}),
		"datauritostring": onTexts(1, 1, func(_ *environment, s []string) (any, error) { return dataURIText(s[0]) }),
		"json":            onTexts(1, 1, func(_ *environment, s []string) (any, error) { return parsedJSON(s[0]) }),
		"guid":            onTexts(1, -1, func(_ *environment, s []string) (any, error) { return GUID(s...), nil }),
		"uniquestring":    onTexts(1, -1, func(_ *environment, s []string) (any, error) { return UniqueString(s...), nil }),
		"replace":         onTexts(3, 3, replace),
		"split":           {2, 2, nowhere, split},
		"join":            {2, 2, nowhere, joinTexts},
		"substring":       {2, 3, nowhere, substring},
		"padleft":         {2, 3, nowhere, padLeft},
		"indexof":         {2, 2, nowhere, indexOf(strings.Index, slices.IndexFunc[[]any])},
		"lastindexof":     {2, 2, nowhere, indexOf(strings.LastIndex, lastIndexFunc)},
		"format":          {1, -1, nowhere, format},
		"string":          {1, 1, nowhere, func(e *environment, args []any) (any, error) { return e.string(args[0]) }},
		"newguid": {0, 0, nowhere, func(e *environment, _ []any) (any, error) {
			return e.deployment.newGUID()
		}},
	}
}

// indexOf is where a string is in another one, whatever the case, or a value in an array, in which
// the case of strings counts; -1 if it is nowhere.
// Source: azure-docs, azure-resource-manager/templates/template-functions-array.md and -string.md, "indexOf".
func indexOf(inString func(s, part string) int, inArray func(list []any, holds func(any) bool) int) func(*environment, []any) (any, error) {
	return func(_ *environment, args []any) (any, error) {
		if list, ok := args[0].([]any); ok {
			return int64(inArray(list, func(v any) bool { return equal(v, args[1]) })), nil
		}
		s, err := stringsOf(args)
		if err != nil {
			return nil, err
		}
		in := strings.Map(unicode.ToLower, s[0])
		at := inString(in, strings.Map(unicode.ToLower, s[1]))
		if at < 0 {
			return int64(-1), nil
		}
		return int64(utf8.RuneCountInString(in[:at])), nil // as many as in s[0], of whatever length in bytes
	}
}

func lastIndexFunc(list []any, holds func(any) bool) int {
	for i, v := range slices.Backward(list) {
		if holds(v) {
			return i
		}
	}
	return -1
}

// dataURIText is the text in a data URI, which is base64 or escaped.
// Source: azure-docs, azure-resource-manager/templates/template-functions-string.md, "dataUriToString"; RFC 2397.
func dataURIText(s string) (any, error) {
	head, data, ok := strings.Cut(s, ",")
	media, isData := strings.CutPrefix(strings.ToLower(head), "data:")
	switch {
	case !ok || !isData:
		return nil, failf("'%s' is no data URI.", shortened(s))
	case strings.HasSuffix(media, ";base64"):
		return decoded(data)
	}
	return unescapedURI(data)
}

// escaped is Uri.EscapeDataString of .NET: RFC 3986's unreserved characters stay.
func escaped(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func unescapedURI(s string) (any, error) {
	text, err := url.PathUnescape(s)
	if err != nil {
		return nil, failf("'%s' is no escaped string.", shortened(s))
	}
	return text, nil
}

func decoded(s string) (string, error) {
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", failf("the argument is no valid base64 string.")
	}
	return string(data), nil
}

func parsedJSON(s string) (any, error) {
	v, err := ParseJSON([]byte(s))
	if err != nil {
		return nil, failf("the argument is no valid JSON: %v.", err)
	}
	return v, nil
}

func joinURI(_ *environment, s []string) (any, error) {
	base, err := url.Parse(s[0])
	if err != nil || !base.IsAbs() {
		return nil, failf("'%s' is no absolute URI.", shortened(s[0]))
	}
	relative, err := url.Parse(s[1])
	if err != nil {
		return nil, failf("'%s' is no URI.", shortened(s[1]))
	}
	return base.ResolveReference(relative).String(), nil
}

func replace(e *environment, s []string) (any, error) {
	if s[1] == "" {
		return nil, failf("the string that is replaced must not be empty.")
	}
	if err := e.budget.take(len(s[0]) + strings.Count(s[0], s[1])*len(s[2])); err != nil {
		return nil, err
	}
	return strings.ReplaceAll(s[0], s[1], s[2]), nil
}

func split(e *environment, args []any) (any, error) {
	s, err := stringOf(args, 0)
	if err != nil {
		return nil, err
	}
	by, ok := args[1].([]any)
	if !ok {
		by = []any{args[1]}
	}
	delimiters, err := stringsOf(by)
	if err != nil {
		return nil, err
	}
	each := 24
	for _, d := range delimiters {
		each += 1 + len(d)/16 // each is looked for at each place
	}
	if err := e.budget.take(each * len(s)); err != nil {
		return nil, err
	}
	return splitBy(s, delimiters), nil
}

func splitBy(s string, delimiters []string) []any {
	made, from := []any{}, 0
next:
	for i := 0; i < len(s); {
		for _, d := range delimiters {
			if d != "" && strings.HasPrefix(s[i:], d) {
				made = append(made, s[from:i])
				i += len(d)
				from = i
				continue next
			}
		}
		i++
	}
	return append(made, s[from:])
}

func joinTexts(e *environment, args []any) (any, error) {
	list, ok := args[0].([]any)
	if !ok {
		return nil, failf("the argument at position '1' must be an array, found '%s'.", typeName(args[0]))
	}
	by, err := stringOf(args, 1)
	if err != nil {
		return nil, err
	}
	parts := make([]string, len(list))
	for i, v := range list {
		if parts[i], err = e.string(v); err != nil {
			return nil, err
		}
		if err := e.budget.take(len(parts[i]) + len(by)); err != nil {
			return nil, err
		}
	}
	return strings.Join(parts, by), nil
}

func substring(_ *environment, args []any) (any, error) {
	s, err := stringOf(args, 0)
	if err != nil {
		return nil, err
	}
	r := []rune(s)
	from, err := integer(args, 1)
	if err != nil {
		return nil, err
	}
	length := int64(len(r)) - from
	if len(args) == 3 && args[2] != nil {
		if length, err = integer(args, 2); err != nil {
			return nil, err
		}
	}
	if from < 0 || length < 0 || from > int64(len(r)) || length > int64(len(r))-from {
		return nil, failf("the index and length parameters must refer to a location within the string. The index parameter: '%d', the length parameter: '%d', the length of the string parameter: '%d'.", from, length, len(r)) // seen in many logs
	}
	return string(r[from : from+length]), nil
}

func padLeft(e *environment, args []any) (any, error) {
	s, err := e.string(args[0])
	if err != nil {
		return nil, err
	}
	width, err := integer(args, 1)
	if err != nil {
		return nil, err
	}
	with := " "
	if len(args) == 3 {
		if with, err = stringOf(args, 2); err != nil {
			return nil, err
		}
		if len([]rune(with)) != 1 {
			return nil, failf("the argument at position '3' must be one character.")
		}
	}
	n := width - int64(len([]rune(s)))
	if n <= 0 {
		return s, nil
	}
	if n > maxWork {
		n = maxWork + 1
	}
	if err := e.budget.take(int(n) * len(with)); err != nil {
		return nil, err
	}
	return strings.Repeat(with, int(n)) + s, nil
}

// string is a value as text: .NET's words for booleans, JSON for arrays and objects.
func (e *environment) string(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool:
		if v {
			return "True", nil
		}
		return "False", nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	}
	if err := e.budget.take(2 * size(v, e.budget.left)); err != nil {
		return "", err
	}
	text, err := compactJSON(v)
	if err != nil {
		return "", failf("the value cannot be converted to a string.")
	}
	return text, nil
}

// format is .NET's composite formatting.
func format(e *environment, args []any) (any, error) {
	pattern, err := stringOf(args, 0)
	if err != nil {
		return nil, err
	}
	var out strings.Builder
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case (c == '{' || c == '}') && i+1 < len(pattern) && pattern[i+1] == c:
			i++
		case c == '}':
			return nil, failf("the format string '%s' is not valid.", shortened(pattern))
		case c == '{':
			end := strings.IndexByte(pattern[i:], '}')
			if end < 0 {
				return nil, failf("the format string '%s' is not valid.", shortened(pattern))
			}
			text, err := e.formatted(pattern[i+1:i+end], args[1:])
			if err != nil {
				return nil, err
			}
			if err := e.budget.take(len(text)); err != nil {
				return nil, err
			}
			out.WriteString(text)
			i += end
			continue
		}
		out.WriteByte(c)
	}
	return out.String(), nil
}

// formatted is one item of a format, INDEX[,WIDTH][:FORMAT].
func (e *environment) formatted(item string, args []any) (string, error) {
	item, how, _ := strings.Cut(item, ":")
	index, width, aligned := strings.Cut(item, ",")
	n, err := strconv.Atoi(strings.TrimSpace(index))
	if err != nil || n < 0 || n >= len(args) {
		return "", failf("the format item '{%s}' names no argument.", item)
	}
	text, err := e.string(args[n])
	if number, ok := args[n].(int64); ok && how != "" {
		text, err = formatNumber(number, how)
	}
	if err != nil || !aligned {
		return text, err
	}
	w, err := strconv.Atoi(strings.TrimSpace(width))
	if err != nil || w > maxExpression || w < -maxExpression {
		return "", failf("the format item '{%s}' has no valid width.", item)
	}
	pad := strings.Repeat(" ", max(0, max(w, -w)-len([]rune(text))))
	if w < 0 {
		return text + pad, nil
	}
	return pad + text, nil
}

func formatNumber(n int64, how string) (string, error) {
	digits := 0
	if len(how) > 1 {
		var err error
		if digits, err = strconv.Atoi(how[1:]); err != nil || digits < 0 || digits > 99 {
			return "", unsupportedf("The format '%s' of a number", how)
		}
	}
	switch how[0] {
	case 'D', 'd':
		text := strconv.FormatInt(n, 10)
		sign := ""
		if n < 0 {
			sign, text = "-", text[1:]
		}
		return sign + strings.Repeat("0", max(0, digits-len(text))) + text, nil
	case 'X':
		return fmt.Sprintf("%0*X", digits, uint64(n)), nil //nolint:gosec // two's complement, as in .NET
	case 'x':
		return fmt.Sprintf("%0*x", digits, uint64(n)), nil //nolint:gosec // two's complement, as in .NET
	}
	return "", unsupportedf("The format '%s' of a number", how)
}

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
	o, ok := args[0].(*Object)
	if !ok {
		return nil, failf("the argument must be an object, found '%s'.", typeName(args[0]))
	}
	made := []any{}
	for _, name := range slices.Sorted(slices.Values(o.Names())) {
		made = append(made, NewObject("key", name, "value", o.Get(name)))
	}
	return made, nil
}

func objectKeys(_ *environment, args []any) (any, error) {
	o, ok := args[0].(*Object)
	if !ok {
		return nil, failf("the argument must be an object, found '%s'.", typeName(args[0]))
	}
	made := []any{}
	for _, name := range slices.Sorted(slices.Values(o.Names())) {
		made = append(made, name)
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
			return of, nil
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
