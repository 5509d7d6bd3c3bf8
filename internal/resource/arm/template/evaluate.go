package template

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// Unknown is a value that is not known before something has been deployed: what the function
// reference says of a resource that does not exist yet, and what is made of it.
type Unknown struct {
	Expression string // in brackets, as the template has it
}

// MarshalJSON implements json.Marshaler: it is written as what-if does, as the expression.
func (u Unknown) MarshalJSON() ([]byte, error) {
	text, err := compactJSON(u.Expression)
	return []byte(text), err
}

// hasUnknown reports whether something in a value is not known.
func hasUnknown(v any) bool {
	switch v := v.(type) {
	case Unknown:
		return true
	case []any:
		return slices.ContainsFunc(v, hasUnknown)
	case *Object:
		return v != nil && slices.ContainsFunc(v.values, hasUnknown)
	}
	return false
}

// maxWork bounds what one deployment may evaluate, in about bytes of what expressions make: a
// template has 4 MB at most, and expressions that double a value over and over would have no end.
const maxWork = 32 << 20

// maxSharedWork bounds what the deployments may evaluate that come of one, with the deployments in
// its template: it is as much as 16 of them may each.
const maxSharedWork = 16 * maxWork

// Budget bounds what several deployments evaluate together. Its zero value is not usable: see
// NewBudget. It may be used by several goroutines.
type Budget struct{ left atomic.Int64 }

// NewBudget returns the budget of a deployment and of those in its template.
func NewBudget() *Budget {
	b := &Budget{}
	b.left.Store(maxSharedWork)
	return b
}

// budget is what is left of maxWork.
type budget struct {
	left   int
	shared *Budget // with other deployments; nil if there are none
}

func (b *budget) take(n int) error {
	if n < 0 || n > b.left {
		b.left = 0
		return failf("The template's expressions make values that are too large: more than %d bytes for one deployment.", maxWork)
	}
	b.left -= n
	if b.shared != nil && b.shared.left.Add(-int64(n)) < 0 {
		b.left = 0
		return failf("The template's expressions make values that are too large: more than %d bytes for a deployment with those in its template.", maxSharedWork)
	}
	return nil
}

// lasting reports whether an error stands whichever value is chosen: what is not emulated, or what
// the budget does not allow.
func (b *budget) lasting(err error) bool {
	var what *Error
	return b.left == 0 || errors.As(err, &what) && what.Unsupported
}

// size is about how many bytes a value has, but no more than a limit, at which it stops counting.
func size(v any, limit int) int {
	n := 8
	switch v := v.(type) {
	case string:
		n += len(v)
	case []any:
		for _, e := range v {
			if n > limit {
				return n
			}
			n += size(e, limit-n)
		}
	case *Object:
		if v == nil {
			return n
		}
		for i, name := range v.names {
			if n > limit {
				return n
			}
			n += len(name) + size(v.values[i], limit-n)
		}
	}
	return n
}

// Live answers for what exists.
type Live interface {
	// Get returns a resource by its id, as a GET of it would; nil if it does not exist.
	Get(id, apiVersion string) (*Object, error)
	// List does what a function such as listKeys does, a POST of the last part of its name to the
	// resource.
	List(id, function, apiVersion string, body any) (any, error)
}

// environment is what expressions are evaluated in.
type environment struct {
	template   *Template
	deployment *Deployment
	budget     *budget
	depth      int

	parameters *Object // values
	variables  map[string]any
	computing  []string // variables that are being evaluated, in lower case

	arguments *Object           // of a user function; nil outside one
	loops     []loop            // the innermost last
	locals    map[string]any    // of lambdas, by name in lower case
	namers    map[string]symbol // resources by symbolic name, in lower case
	byID      map[string]*Resource
	byName    map[string][]*Resource // made when it is first asked for
	resources []*Resource

	// live answers the function reference. If nil, it may not be used here.
	live func(r reference) (any, error)
}

type loop struct {
	name    string
	index   int64
	unknown bool // how often it runs is not known, and this copy stands for all of them
}

// reference is one use of reference, list… or references.
type reference struct {
	function, id, apiVersion string
	full                     bool
	body                     any
	symbol                   *Resource // the resource of this template that is meant, if it is one
}

// value evaluates all expressions in a value of the template.
func (e *environment) value(v any, path string) (any, error) {
	if err := e.budget.take(16); err != nil {
		return nil, at(err, path)
	}
	switch v := v.(type) {
	case string:
		return e.text(v, path)
	case []any:
		made := make([]any, len(v))
		for i := range v {
			var err error
			if made[i], err = e.value(v[i], fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return nil, err
			}
		}
		return made, nil
	case *Object:
		return e.object(v, path)
	}
	return v, nil
}

func (e *environment) text(s, path string) (any, error) {
	text, ok := expression(s)
	if !ok {
		return unescaped(s), nil
	}
	n, err := parse(text)
	if err == nil {
		if err = e.budget.take(len(text)); err == nil {
			var v any
			if v, err = e.evaluate(n); err == nil {
				if _, unknown := v.(Unknown); unknown {
					v = Unknown{s}
				}
				err = e.budget.take(size(v, e.budget.left))
				if err == nil {
					return v, nil
				}
			}
		}
	}
	return nil, at(err, path)
}

// at adds the place to an error that has none.
func at(err error, path string) error {
	var what *Error
	if errors.As(err, &what) && what.Path == "" {
		placed := *what
		placed.Path = path
		return &placed
	}
	return err
}

// object evaluates an object, and makes the arrays of its copy loops.
func (e *environment) object(o *Object, path string) (any, error) {
	made := NewObject()
	for i, name := range o.names {
		if loops, ok := o.values[i].([]any); ok && strings.EqualFold(name, "copy") && isCopy(loops) {
			for n, l := range loops {
				if err := e.copies(made, l.(*Object), fmt.Sprintf("%s.copy[%d]", path, n)); err != nil {
					return nil, err
				}
			}
			continue
		}
		key := name
		if _, ok := expression(name); ok { // Bicep writes names that are made so
			v, err := e.text(name, path)
			if err != nil {
				return nil, err
			}
			text, ok := v.(string)
			if u, unknown := v.(Unknown); unknown {
				text, ok = u.Expression, true
			}
			if !ok {
				return nil, &Error{Code: "InvalidTemplate", Message: fmt.Sprintf("The name of a property is of type '%s'. A property has a string for a name.", typeName(v)), Path: path}
			}
			key = text
		}
		v, err := e.value(o.values[i], join(path, name))
		if err != nil {
			return nil, err
		}
		made.Set(key, v)
	}
	return made, nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// isCopy tells copy loops from an array that is called copy.
func isCopy(list []any) bool {
	for _, l := range list {
		o, ok := l.(*Object)
		if !ok || o.Get("name") == nil || o.Get("count") == nil {
			return false
		}
	}
	return len(list) > 0
}

// maxCopies is how often a loop may run.
// Source: azure-docs, azure-resource-manager/templates/copy-resources.md, "Copy limits".
const maxCopies = 800

// count is how often a loop runs: as an Unknown if that is not known. The text of a count above the
// limit is inferred; that below 0 too.
func (e *environment) count(v any, path string) (n int, unknown any, err error) {
	v, err = e.value(v, path)
	if err != nil {
		return 0, nil, err
	}
	if _, ok := v.(Unknown); ok {
		return 0, v, nil
	}
	whole, ok := v.(int64)
	switch {
	case !ok:
		return 0, nil, at(failf("The copy count is of type '%s'. The expected type is 'Integer'.", typeName(v)), path)
	case whole < 0 || whole > maxCopies:
		return 0, nil, at(failf("The copy count '%d' is not valid. It must be between '0' and '%d'.", whole, maxCopies), path)
	}
	return int(whole), nil, nil
}

// copies makes the array of a loop in properties or variables.
func (e *environment) copies(into, l *Object, path string) error {
	name, err := e.value(l.Get("name"), path+".name")
	if err != nil {
		return err
	}
	text, _ := name.(string)
	n, unknown, err := e.count(l.Get("count"), path+".count")
	if err != nil {
		return err
	}
	if unknown != nil {
		_, err := e.input(l, path, loop{name: text, unknown: true}) // for what it refers to
		into.Set(text, unknown)
		if err != nil && e.budget.lasting(err) {
			return err
		}
		return nil
	}
	made := make([]any, n)
	for i := range made {
		if made[i], err = e.input(l, path, loop{name: text, index: int64(i)}); err != nil {
			return err
		}
	}
	into.Set(text, made)
	return nil
}

// input evaluates what a loop in properties or variables makes once.
func (e *environment) input(l *Object, path string, in loop) (any, error) {
	e.loops = append(e.loops, in)
	defer func() { e.loops = e.loops[:len(e.loops)-1] }()
	return e.value(l.Get("input"), path+".input")
}

// evaluate returns the value of a part of an expression.
func (e *environment) evaluate(n node) (any, error) {
	if e.depth > 4*maxDepth {
		return nil, failf("The expressions of the template are nested deeper than %d levels.", 4*maxDepth)
	}
	e.depth++
	defer func() { e.depth-- }()
	if err := e.budget.take(8); err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case literal:
		return n.value, nil
	case call:
		return e.call(n)
	case property:
		of, err := e.evaluate(n.of)
		if err != nil {
			return nil, err
		}
		return member(of, n.name)
	case element:
		of, err := e.evaluate(n.of)
		if err != nil {
			return nil, err
		}
		at, err := e.evaluate(n.at)
		if err != nil {
			return nil, err
		}
		return elementOf(of, at)
	}
	return nil, failf("The language expression is not valid.")
}

// member is in the words of F5Networks/f5-azure-arm-templates#238 and many other logs.
func member(of any, name string) (any, error) {
	switch of := of.(type) {
	case Unknown:
		return of, nil
	case *Object:
		if v, ok := of.Lookup(name); ok {
			return v, nil
		}
		return nil, failf("The language expression property '%s' doesn't exist, available properties are '%s'.", name, strings.Join(of.Names(), ", "))
	}
	return nil, failf("The language expression property '%s' can't be evaluated, property name must belong to an object, and it belongs to a value of type '%s'.", name, typeName(of))
}

// elementOf is one of an array by its place, or a member by its name. The texts are those of many
// logs, of which the first is seen best.
func elementOf(of, at any) (any, error) {
	if _, ok := at.(Unknown); ok {
		return at, nil
	}
	switch key := at.(type) {
	case string:
		return member(of, key)
	case int64:
		switch of := of.(type) {
		case Unknown:
			return of, nil
		case []any:
			if key < 0 || key >= int64(len(of)) {
				return nil, failf("The language expression property array index '%d' is out of bounds.", key)
			}
			return of[key], nil
		}
		return nil, failf("The language expression property '%d' can't be evaluated, array index must belong to an array, and it belongs to a value of type '%s'.", key, typeName(of))
	}
	return nil, failf("The language expression property can't be evaluated: expected an integer or a string in brackets, found '%s'.", typeName(at))
}

// call evaluates a function: a user's, one that decides itself which arguments it evaluates, or
// any other one.
// Source: the text of a function that there is not is that of microsoft/vscode-azurearmtools#531
// (2020), with the newer link.
func (e *environment) call(c call) (any, error) {
	if strings.Contains(c.name, ".") {
		return e.userFunction(c)
	}
	name := strings.ToLower(c.name)
	if strings.HasPrefix(name, "list") {
		return e.list(c)
	}
	if v, ok, err := e.special(name, c); ok {
		return v, err
	}
	f, ok := functions()[name]
	if !ok {
		if slices.Contains(elsewhere, name) {
			return nil, unsupportedf("The template function '%s'", c.name)
		}
		return nil, failf("The template function '%s' is not valid. Please see https://aka.ms/arm-functions for usage details.", c.name)
	}
	args, err := e.evaluated(c)
	if err != nil {
		return nil, err
	}
	if len(args) < f.least || f.most >= 0 && len(args) > f.most {
		return nil, failf("Unable to evaluate template language function '%s': function requires %s while %d were provided. Please see https://aka.ms/arm-functions#%s for usage details.", c.name, f.arity(), len(args), name)
	}
	if unknown, err := e.looked(f, args); unknown || err != nil {
		return Unknown{}, err
	}
	v, err := f.do(e, args)
	if err != nil {
		return nil, named(err, c.name)
	}
	return v, e.budget.take(size(v, e.budget.left))
}

// looked takes from the budget what it costs to look at arguments, and reports whether one is unknown
// on which the value depends.
func (e *environment) looked(f function, args []any) (unknown bool, err error) {
	for _, a := range args {
		_, unknown := a.(Unknown)
		s, isText := a.(string)
		switch {
		case unknown && f.unknown != anywhere:
			return true, nil
		case isText:
			err = e.budget.take(len(s) / 8)
		case f.unknown == nowhere:
			err = e.budget.take(size(a, 8*e.budget.left) / 8)
		}
		if err != nil || f.unknown == nowhere && hasUnknown(a) {
			return err == nil, err
		}
	}
	return false, nil
}

// elsewhere are functions of Azure that are not emulated.
var elsewhere = strings.Fields("pickzones providers managementgroup deployer secret externalinput managementgroupresourceid parsecidr cidrsubnet cidrhost tologicalzone tologicalzones tophysicalzone tophysicalzones")

// named says which function an error is about.
func named(err error, name string) error {
	var what *Error
	if errors.As(err, &what) && !what.Unsupported && !strings.HasPrefix(what.Message, "Unable to evaluate") && !strings.HasPrefix(what.Message, "The template's") {
		made := *what
		made.Message = fmt.Sprintf("Unable to evaluate template language function '%s': %s Please see https://aka.ms/arm-functions for usage details.", name, what.Message)
		return &made
	}
	return err
}

// evaluated evaluates the arguments of a call.
func (e *environment) evaluated(c call) ([]any, error) {
	args := make([]any, len(c.args))
	for i := range c.args {
		var err error
		if args[i], err = e.evaluate(c.args[i]); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// userFunction evaluates a function of the template's own, which sees its parameters alone.
// Source: azure-docs, azure-resource-manager/templates/user-defined-functions.md
func (e *environment) userFunction(c call) (any, error) {
	namespace, name, _ := strings.Cut(c.name, ".")
	for n, v := range e.template.root.List("functions") {
		o, _ := v.(*Object)
		if !strings.EqualFold(o.Text("namespace"), namespace) {
			continue
		}
		f := o.Object("members").Object(name)
		if f == nil {
			break
		}
		args, err := e.evaluated(c)
		if err != nil {
			return nil, err
		}
		path := fmt.Sprintf("functions[%d].members.%s", n, name)
		names := f.List("parameters")
		if len(names) != len(args) {
			return nil, failf("Unable to evaluate template language function '%s': function requires %d argument(s) while %d were provided. Please see https://aka.ms/arm-functions for usage details.", c.name, len(names), len(args))
		}
		inner := *e
		inner.arguments, inner.variables, inner.loops, inner.locals, inner.live = NewObject(), nil, nil, nil, nil
		for i, p := range names {
			p, _ := p.(*Object)
			inner.arguments.Set(p.Text("name"), args[i])
		}
		return inner.value(f.Object("output").Get("value"), path+".output.value")
	}
	return nil, failf("The template function '%s' is not valid. Please see https://aka.ms/arm-functions for usage details.", c.name)
}
