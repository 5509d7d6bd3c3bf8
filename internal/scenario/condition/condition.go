// Package condition checks and evaluates the conditions of expect steps: expressions in
// CEL (https://cel.dev) over the variables of a [View]. Their types are checked, and what
// an evaluation may cost is bounded.
package condition

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Language is CEL with the variables of a [View].
type Language struct {
	env *cel.Env

	// For suggestions:
	names  []string            // variables, functions and macros
	fields map[string][]string // of each type, by the type's name; "": of all
}

// NewLanguage sets up CEL. It takes milliseconds: use one for many conditions.
func NewLanguage() (*Language, error) {
	object := func(t reflect.Type) *cel.Type { return cel.ObjectType(t.String()) }
	views := []reflect.Type{
		reflect.TypeFor[Result](), reflect.TypeFor[Workload](), reflect.TypeFor[Clock](),
		reflect.TypeFor[Token](), reflect.TypeFor[journal.Event](), reflect.TypeFor[journal.Check](),
		reflect.TypeFor[journal.Nearest](), reflect.TypeFor[journal.Difference](),
	}
	native := []any{ext.ParseStructTag("json")}
	for _, t := range views {
		native = append(native, t)
	}
	limits, err := bounded()
	if err != nil {
		return nil, fmt.Errorf("set up CEL: %w", err)
	}
	variables := map[string]*cel.Type{
		"results":   cel.MapType(cel.StringType, object(reflect.TypeFor[Result]())),
		"journal":   cel.ListType(object(reflect.TypeFor[journal.Event]())),
		"workloads": cel.MapType(cel.StringType, object(reflect.TypeFor[Workload]())),
		"clock":     object(reflect.TypeFor[Clock]()),
	}
	options := append([]cel.EnvOption{
		ext.NativeTypes(native...),
		cel.OptionalTypes(), ext.Strings(), ext.Lists(ext.ListsMaxRangeSize(maxElements)), ext.Sets(), ext.Math(), ext.Encoders(), ext.Bindings(),
		cel.CrossTypeNumericComparisons(true), cel.DefaultUTCTimeZone(true),
		cel.EnableMacroCallTracking(), // so that a failing expression can be shown as it was written
		cel.ParserExpressionSizeLimit(10_000), cel.ExpressionNestingDepthLimit(50),
	}, limits...)
	for name, of := range variables {
		options = append(options, cel.Variable(name, of))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("set up CEL: %w", err)
	}
	l := &Language{env: env, names: slices.Collect(maps.Keys(variables)), fields: map[string][]string{}}
	for _, t := range views {
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			l.fields[t.String()] = append(l.fields[t.String()], name)
			l.fields[""] = append(l.fields[""], name)
		}
	}
	for name := range env.Functions() {
		if !strings.ContainsAny(name, "_@!-") {
			l.names = append(l.names, name)
		}
	}
	l.names = append(l.names, macros...)
	slices.Sort(l.names)
	return l, nil
}

// Condition is an expression that has been checked.
type Condition struct {
	ast  *ast.AST
	eval cel.Program
}

// Problem is something wrong in an expression.
type Problem struct {
	Line, Column         int // in the expression, from 1
	Expected, Found, Fix string
	Variable             string // results or workloads, if it has no element of the name that is used
}

// Compile checks an expression. Steps are the names of the steps before it, workloads
// those of the scenario.
func (l *Language) Compile(source string, steps, workloads []string) (*Condition, []Problem) {
	checked, issues := l.env.Compile(source)
	if issues.Err() != nil {
		var errs []Problem
		for _, e := range issues.Errors() {
			errs = append(errs, l.explain(source, e))
			if strings.HasPrefix(e.Message, syntaxError) || l.misspeltMacro(e) {
				break // what comes next follows from it
			}
		}
		return nil, errs
	}
	p := &Condition{ast: checked.NativeRep()}
	if t := checked.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, []Problem{{Line: 1, Column: 1, Expected: "an expression that is true or false", Found: "one of type " + t.String(), Fix: "compare it with something"}}
	}
	errs := p.checkKeys("results", "a named step before this one:", steps, "give the step whose result is meant a name")
	errs = append(errs, p.checkKeys("workloads", "a workload of this scenario:", workloads, "declare it in workloads")...)
	errs = append(errs, p.checkConstants()...)
	if len(errs) > 0 {
		return nil, errs
	}
	eval, err := l.env.Program(checked,
		cel.EvalOptions(cel.OptTrackState), // the values of sub-expressions explain a failure
		cel.InterruptCheckFrequency(1000), cel.CostLimit(costLimit), cel.CostTracking(callCost{}),
	)
	if err != nil {
		return nil, []Problem{{Line: 1, Column: 1, Expected: "an expression in CEL", Found: err.Error()}}
	}
	p.eval = eval
	return p, nil
}

// How CEL words what is wrong.
const syntaxError = "Syntax error: "

var (
	quotedName = lazyregexp.New(`(undeclared reference to|undefined field) '([^']+)'`)
	noOverload = lazyregexp.New(`no matching overload for '([^']+)' applied to '([^']+)'`)
	stumbled   = lazyregexp.New(`(?:at: |input |at )'([^']+)'`)
)

// explain makes CEL's error one of ours.
func (l *Language) explain(source string, e *common.Error) Problem {
	x := Problem{Line: max(e.Location.Line(), 1), Column: e.Location.Column() + 1, Expected: "an expression in CEL"}
	if syntax, ok := strings.CutPrefix(e.Message, syntaxError); ok {
		x.Found, _, _ = strings.Cut(syntax, " expecting ")
		if word := stumbled().FindStringSubmatch(x.Found); word != nil {
			x.Fix = otherLanguages[strings.TrimSpace(word[1])]
		}
		return x
	}
	if call := noOverload().FindStringSubmatch(e.Message); call != nil {
		x.Expected = "values of types that go together"
		x.Found, x.Fix = mismatch(call[1], call[2])
		return x
	}
	x.Found, _, _ = strings.Cut(e.Message, " (")
	name := quotedName().FindStringSubmatch(e.Message)
	if name == nil {
		return x
	}
	known := l.names
	if x.Fix = "an expression knows results, journal, workloads and clock"; name[1] == "undefined field" {
		x.Column++ // CEL places it at its dot
		if of := l.typeBefore(source, e.ExprID); of != "" {
			known = l.fields[of]
			x.Fix = "there are " + strings.Join(known, ", ")
		} else {
			known = l.fields[""]
			x.Fix = "docs/scenarios.md lists the fields"
		}
	}
	if meant := yamlfile.Nearest(name[2], known); meant != "" && meant != name[2] {
		x.Fix = fmt.Sprintf("did you mean %s?", meant)
	}
	return x
}

// typeBefore is the name of the type of what a field is taken of, "" where that
// is not known, as for the variable of a macro.
func (l *Language) typeBefore(source string, field int64) (name string) {
	parsed, issues := l.env.Parse(source)
	if issues.Err() != nil {
		return ""
	}
	tree := parsed.NativeRep()
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.ID() != field || e.Kind() != ast.SelectKind {
			return
		}
		operand, err := cel.ExprToString(e.AsSelect().Operand(), tree.SourceInfo())
		if err != nil {
			return
		}
		if checked, issues := l.env.Compile(operand); issues.Err() == nil {
			name = checked.OutputType().TypeName()
		}
	}))
	if l.fields[name] == nil {
		return ""
	}
	return name
}

// misspeltMacro reports whether a name was meant for a macro, whose variables are
// unknown then, too.
func (l *Language) misspeltMacro(e *common.Error) bool {
	name := quotedName().FindStringSubmatch(e.Message)
	return name != nil && slices.Contains(macros, yamlfile.Nearest(name[2], l.names))
}

// macros look like functions, but are not among them.
var macros = []string{"all", "exists", "exists_one", "existsOne", "filter", "map", "has"}

// otherLanguages are words that CEL has others for.
var otherLanguages = map[string]string{
	"=": "write == to compare", "and": "write && for and", "or": "write || for or", "not": "write ! for not",
	"&": "write && for and", "|": "write || for or", "===": "write == to compare", "<>": "write != for unequal",
}

// mismatch shows the types that an operator or a function was applied to.
func mismatch(function, types string) (found, fix string) {
	types = strings.Trim(types, "()")
	operator, ok := operators.FindReverse(function)
	left, right, two := strings.Cut(types, ", ")
	if !ok || !two || strings.Contains(types, "(") {
		return function + "(" + types + ")", ""
	}
	found = left + " " + operator + " " + right
	if right != "string" {
		left, right = right, left
	}
	switch {
	case right != "string":
	case left == "int" || left == "double" || left == "uint" || left == "bool":
		fix = "write it without quotes"
	case left == "timestamp":
		fix = "write timestamp('2026-01-05T08:00:00Z')"
	case left == "duration":
		fix = "write duration('55m')"
	}
	return found, fix
}

// A reference is a place where an expression takes an element of a variable by a
// constant key: results.read, workloads["web-dev"].
type reference struct {
	expr ast.Expr
	key  string
}

// references are the elements of a variable that the expression names, in order.
func (p *Condition) references(variable string) []reference {
	var found []reference
	ast.PreOrderVisit(p.ast.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		var of ast.Expr
		var key string
		switch e.Kind() {
		case ast.SelectKind:
			of, key = e.AsSelect().Operand(), e.AsSelect().FieldName()
		case ast.CallKind:
			c := e.AsCall()
			if c.FunctionName() != operators.Index || c.Args()[1].Kind() != ast.LiteralKind {
				return
			}
			of, key = c.Args()[0], fmt.Sprint(c.Args()[1].AsLiteral().Value())
		default:
			return
		}
		if of.Kind() == ast.IdentKind && of.AsIdent() == variable {
			found = append(found, reference{e, key})
		}
	}))
	return found
}

// checkKeys refuses keys of a variable that will never be there. ifNone says what to do if there
// are none at all.
func (p *Condition) checkKeys(variable, expected string, known []string, ifNone string) []Problem {
	var errs []Problem
	for _, r := range p.references(variable) {
		if slices.Contains(known, r.key) {
			continue
		}
		x := p.at(r.expr)
		x.Expected, x.Found = expected+" "+strings.Join(known, ", "), variable+"."+r.key
		x.Fix = yamlfile.DidYouMean(r.key, known)
		x.Variable = variable
		if len(known) == 0 {
			x.Expected, x.Fix = strings.TrimSuffix(expected, ":")+" (there is none)", ifNone
		}
		errs = append(errs, x)
	}
	return errs
}

// Steps are the names of the steps whose results the condition names, each once.
func (p *Condition) Steps() []string {
	var names []string
	for _, r := range p.references("results") {
		if !slices.Contains(names, r.key) {
			names = append(names, r.key)
		}
	}
	return names
}

// UsesWorkloads reports whether the condition names a workload.
func (p *Condition) UsesWorkloads() bool { return len(p.references("workloads")) > 0 }

// CheckFields refuses fields of a result that its step never has: a condition about them
// would never fail, or always. FieldsOf returns the verb of a step and the fields of its
// result besides those of every result; ok is false if any field may be there.
func (p *Condition) CheckFields(fieldsOf func(step string) (verb string, fields []string, ok bool)) []Problem {
	steps := map[int64]string{} // the step that a part of the expression is the result of
	for _, r := range p.references("results") {
		steps[r.expr.ID()] = r.key
	}
	var errs []Problem
	ast.PreOrderVisit(p.ast.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.SelectKind {
			return
		}
		step, isResult := steps[e.AsSelect().Operand().ID()]
		if !isResult {
			return
		}
		verb, fields, ok := fieldsOf(step)
		fields = slices.Concat(fields, []string{"events", "started", "finished"})
		if field := e.AsSelect().FieldName(); ok && !slices.Contains(fields, field) {
			x := p.at(e)
			x.Expected = fmt.Sprintf("a field that %s steps have: %s", verb, strings.Join(fields, ", "))
			x.Found, x.Fix = "results."+step+"."+field, "name the step that has it"
			errs = append(errs, x)
		}
	}))
	return errs
}

// The words that events have for their kind and outcome, in the order in which messages list them.
var (
	Kinds = []string{
		string(journal.Admission), string(journal.Run), string(journal.KeyRotation), string(journal.Mint), string(journal.Projection),
		string(journal.Discovery), string(journal.TokenReview), string(journal.Exchange), string(journal.Access),
		string(journal.Escape), string(journal.Directory), string(journal.Clock), string(journal.Fault),
	}
	Outcomes = []string{
		string(journal.OK), string(journal.Granted), string(journal.Denied), string(journal.Failed),
		string(journal.Passed), string(journal.Skipped),
	}
)

// checkConstants refuses to compare an event's kind or outcome with a word that
// none has: such an expectation would never fail, or always.
func (p *Condition) checkConstants() []Problem {
	var errs []Problem
	ast.PreOrderVisit(p.ast.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		field, literals := compared(e.AsCall())
		if field == nil {
			return
		}
		var known []string
		switch of := p.ast.GetType(field.AsSelect().Operand().ID()).TypeName(); {
		case field.AsSelect().FieldName() == "kind" && of == reflect.TypeFor[journal.Event]().String():
			known = Kinds
		case field.AsSelect().FieldName() == "outcome" && (of == reflect.TypeFor[journal.Event]().String() || of == reflect.TypeFor[journal.Check]().String()):
			known = Outcomes
		default:
			return
		}
		for _, literal := range literals {
			word, ok := literal.AsLiteral().(types.String)
			if !ok || slices.Contains(known, string(word)) {
				continue
			}
			x := p.at(literal)
			x.Expected, x.Found = "one of "+strings.Join(known, ", "), fmt.Sprintf("'%s'", word)
			if meant := yamlfile.Nearest(string(word), known); meant != "" {
				x.Fix = fmt.Sprintf("did you mean '%s'?", meant)
			}
			errs = append(errs, x)
		}
	}))
	return errs
}

// compared is the field that ==, != or in compares with literals; nil if the call is another one.
func compared(c ast.CallExpr) (field ast.Expr, literals []ast.Expr) {
	switch c.FunctionName() {
	case operators.Equals, operators.NotEquals:
		field, literals = c.Args()[0], c.Args()[1:]
		if field.Kind() == ast.LiteralKind {
			field, literals = c.Args()[1], c.Args()[:1]
		}
	case operators.In:
		if c.Args()[1].Kind() != ast.ListKind {
			return nil, nil
		}
		field, literals = c.Args()[0], c.Args()[1].AsList().Elements()
	default:
		return nil, nil
	}
	if field.Kind() != ast.SelectKind {
		return nil, nil
	}
	return field, slices.DeleteFunc(slices.Clone(literals), func(e ast.Expr) bool { return e.Kind() != ast.LiteralKind })
}

func (p *Condition) at(e ast.Expr) Problem {
	place := p.ast.SourceInfo().GetStartLocation(e.ID())
	x := Problem{Line: max(place.Line(), 1), Column: place.Column() + 1}
	if e.Kind() == ast.SelectKind { // CEL places it at its dot
		x.Column++
	}
	return x
}

// Holds reports whether the condition is true now. If it is not, it returns the values
// of what it names; if it cannot be evaluated, an error.
func (p *Condition) Holds(ctx context.Context, now View) (bool, []Value, error) {
	value, details, err := p.eval.ContextEval(ctx, map[string]any{
		"results": now.Results, "journal": now.Journal, "workloads": now.Workloads, "clock": now.Clock,
	})
	if err == nil && value == types.True {
		return true, nil, nil
	}
	named := p.values(details)
	if err != nil {
		return false, named, err
	}
	if _, ok := value.(types.Bool); !ok {
		return false, named, fmt.Errorf("expected true or false, got %s", show(value))
	}
	return false, named, nil
}
