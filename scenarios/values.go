package scenarios

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/wiemu/wiemu/emulator/journal"
)

// NamedValue is a part of a failed expectation and what it was.
type NamedValue struct {
	Expression string `json:"expression"`
	Value      string `json:"value"`
}

// values lists the parts of the expression that somebody wants to see who asks
// why it is false: what is compared, but no literals and nothing inside of
// macros, whose variables have many values.
func (p *program) values(details *cel.EvalDetails) []NamedValue {
	if details == nil || details.State() == nil {
		return nil
	}
	var named []NamedValue
	seen := map[string]bool{}
	add := func(e ast.Expr) {
		value, evaluated := details.State().Value(e.ID())
		if !evaluated {
			return
		}
		source, err := cel.ExprToString(e, p.ast.SourceInfo(), cel.FormatWrapOnColumn(maxShownText))
		if err != nil || seen[source] {
			return
		}
		seen[source] = true
		named = append(named, NamedValue{Expression: source, Value: show(value)})
	}
	var walk func(ast.Expr)
	walk = func(e ast.Expr) {
		switch e.Kind() {
		case ast.SelectKind, ast.IdentKind, ast.ComprehensionKind:
			add(e)
		case ast.ListKind:
			for _, element := range e.AsList().Elements() {
				walk(element)
			}
		case ast.CallKind:
			c := e.AsCall()
			if !structural[c.FunctionName()] {
				add(e)
			}
			if c.FunctionName() == operators.Index {
				return
			}
			if c.IsMemberFunction() && c.Target().Kind() != ast.ComprehensionKind {
				walk(c.Target())
			}
			for _, argument := range c.Args() {
				walk(argument)
			}
		}
	}
	walk(p.ast.Expr())
	return named
}

// structural are the operators whose own value says nothing that their operands'
// do not.
var structural = map[string]bool{
	operators.LogicalAnd: true, operators.LogicalOr: true, operators.LogicalNot: true, operators.Conditional: true,
	operators.Equals: true, operators.NotEquals: true, operators.In: true,
	operators.Less: true, operators.LessEquals: true, operators.Greater: true, operators.GreaterEquals: true,
	"timestamp": true, "duration": true,
}

// How much of a value is shown.
const (
	maxShownText     = 400  // bytes
	maxShownOutput   = 2000 // bytes, of what a program printed
	maxShownElements = 8
)

// show writes a value for a person.
func show(value ref.Val) string {
	switch v := value.(type) {
	case nil, types.Null:
		return "null"
	case types.String:
		return strconv.Quote(shorten(string(v)))
	case types.Timestamp:
		return v.Format(time.RFC3339)
	case types.Duration:
		return v.String()
	case *types.Err:
		return "error: " + v.String()
	case traits.Lister:
		return showList(v)
	case traits.Mapper:
		return showMap(v)
	}
	switch v := value.Value().(type) {
	case journal.Event:
		return showEvent(v)
	case *journal.Event:
		return showEvent(*v)
	default:
		if encoded, err := json.Marshal(v); err == nil {
			return shorten(string(encoded))
		}
		return shorten(fmt.Sprint(v))
	}
}

func showList(list traits.Lister) string {
	var shown []string
	more := ""
	for it := list.Iterator(); it.HasNext() == types.True; {
		if len(shown) == maxShownElements {
			more = fmt.Sprintf(", … %v in all", list.Size().Value())
			break
		}
		shown = append(shown, show(it.Next()))
	}
	return "[" + strings.Join(shown, ", ") + more + "]"
}

func showMap(m traits.Mapper) string {
	var shown []string
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		shown = append(shown, show(key)+": "+show(m.Get(key)))
	}
	sort.Strings(shown)
	if len(shown) > maxShownElements {
		shown = append(shown[:maxShownElements], fmt.Sprintf("… %d in all", len(shown)))
	}
	return "{" + strings.Join(shown, ", ") + "}"
}

func showEvent(e journal.Event) string {
	return fmt.Sprintf("event %s (%s %s: %s)", e.ID, e.Kind, e.Outcome, e.Summary)
}

func shorten(text string) string { return shortenTo(maxShownText, text) }

// ends leaves out the middle of what is too long.
func ends(limit int, text string) string {
	if len(text) <= limit {
		return text
	}
	head, tail := text[:limit/2], text[len(text)-limit/2:]
	if line, _, ok := strings.Cut(tail, "\n"); ok && len(line)+1 < len(tail) { // whole lines, where there are some
		tail = tail[len(line)+1:]
	}
	if i := strings.LastIndexByte(head, '\n'); i >= 0 {
		head = head[:i+1]
	}
	return strings.ToValidUTF8(head, "") + "…\n" + strings.ToValidUTF8(tail, "")
}

func shortenTo(limit int, text string) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
