package template

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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

	parameters *Object  // values
	secrets    []string // texts in the secure ones
	variables  map[string]any
	computing  []string // variables that are being evaluated, in lower case

	arguments *Object           // of a user function; nil outside one
	loops     []loop            // the innermost last
	locals    map[string]any    // of lambdas, by name in lower case
	namers    map[string]symbol // resources by symbolic name, in lower case
	byID      map[string]*Resource
	byName    map[string][]*Resource // made when it is first asked for
	empty     map[string]bool        // loops that make nothing, by name in lower case
	resources []*Resource

	// live answers the function reference. If nil, it may not be used here.
	live func(r reference) (any, error)
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

// evaluate returns the value of a part of an expression. What is not known is that part, as the
// template has it.
func (e *environment) evaluate(n node) (any, error) {
	v, err := e.part(n)
	if u, unknown := v.(Unknown); unknown && err == nil && u.Expression == "" {
		text := sourceOf(n)
		return Unknown{"[" + text + "]"}, e.budget.take(len(text))
	}
	return v, err
}

func (e *environment) part(n node) (any, error) {
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
		return Unknown{}, nil
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
		return Unknown{}, nil
	}
	switch key := at.(type) {
	case string:
		return member(of, key)
	case int64:
		switch of := of.(type) {
		case Unknown:
			return Unknown{}, nil
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
