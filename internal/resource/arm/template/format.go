package template

import (
	"fmt"
	"strconv"
	"strings"
)

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
