package template

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

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
