package condition

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// nested is an expression that makes a value of another one, which is called x, again
// and again.
func nested(depth int, first, next string) string {
	expression := fmt.Sprintf("size(x%d) == 0", depth-1)
	for i := depth - 1; i >= 0; i-- {
		value := first
		if i > 0 {
			value = strings.ReplaceAll(next, "x", fmt.Sprintf("x%d", i-1))
		}
		expression = fmt.Sprintf("cel.bind(x%d, %s, %s)", i, value, expression)
	}
	return expression
}

func TestWhatAnExpressionMakesIsBounded(t *testing.T) {
	language, err := NewLanguage()
	if err != nil {
		t.Fatal(err)
	}
	hundred := "[" + strings.Repeat("x, ", 99) + "x]"
	for name, source := range map[string]string{
		"replace":             "size('aaaaaaaaaa'" + strings.Repeat(".replace('a', 'aaaaaaaaaa')", 12) + ") == 0",
		"replace by the dot":  "size('aaaaaaaaaa'" + strings.Repeat(".replace('', 'aaaaaaaaaa')", 12) + ") == 0",
		"replace n":           "size('aaaaaaaaaa'" + strings.Repeat(".replace('a', 'aaaaaaaaaa', -1)", 12) + ") == 0",
		"join":                nested(8, "'aaaaaaaaaa'", hundred+".join()"),
		"join with":           nested(8, "'aaaaaaaaaa'", "['', '', '', '', ''].join(x + x)"),
		"format":              nested(8, "'aaaaaaaaaa'", "'"+strings.Repeat("%s", 100)+"'.format("+hundred+")"),
		"format a list":       nested(8, "['aaaaaaaaaa']", "['%s'.format(["+hundred+"])]"),
		"plus":                nested(40, "'aaaaaaaaaa'", "x + x"),
		"bytes":               nested(40, "b'aaaaaaaaaa'", "x + x"),
		"quote":               nested(40, `'\"\\\"\"'`, "strings.quote(x)"),
		"range":               "lists.range(1000000000).size() == 0",
		"flatten":             nested(6, "lists.range(1000)", hundred+".flatten()"),
		"flatten all the way": nested(6, "lists.range(1000)", "dyn("+hundred+").flatten(3)"),
		"precision":           "('%.1000000000' + 'f').format([1.5]).size() == 0",
	} {
		p, errs := language.Compile(source, nil, nil)
		if errs != nil {
			t.Errorf("%s: %+v\n%s", name, errs, source)
			continue
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := p.Holds(context.Background(), View{})
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: it was evaluated", name)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 200<<20 {
			t.Errorf("%s: %d MB were allocated", name, allocated>>20)
		}
	}
	for _, source := range []string{
		"'a-b'.replace('-', '+') == 'a+b' && 'aaa'.replace('a', 'b', 2) == 'bba'",
		"['a', 'b'].join() == 'ab' && ['a', 'b'].join(', ') == 'a, b'",
		"'%s is %d, %s'.format(['a', 1, ['b', {'c': 2}]]) == 'a is 1, [b, {c: 2}]'",
		"[[1], [2, 3]].flatten() == [1, 2, 3] && [1, [2, [3]]].flatten(2) == [1, 2, 3]",
		"lists.range(3) == [0, 1, 2]",
	} {
		p, errs := language.Compile(source, nil, nil)
		if errs != nil {
			t.Errorf("%s: %+v", source, errs)
			continue
		}
		if held, _, err := p.Holds(context.Background(), View{}); !held || err != nil {
			t.Errorf("%s: %v %v", source, held, err)
		}
	}
}
