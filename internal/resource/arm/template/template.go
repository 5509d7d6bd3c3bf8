// Package template is the language of Azure Resource Manager's templates, as `bicep build` writes
// them and as people do: parameters, variables, functions, copy loops, conditions, dependencies,
// outputs and the expressions in brackets. It does not deploy anything:
//
//	t, err := template.New(root)                 // what is wrong with the template whatever the parameters
//	plan, err := t.Expand(deployment)            // the resources with their ids, in an order that works
//	body, err := plan.Definition(r, live, false) // what a resource is to be, once what it refers to exists
//	outputs, err := plan.Outputs(live)
//
// What is not emulated is refused by its name and its place. How much a deployment may evaluate is
// bounded, so that a template neither loops for ever nor makes values without end.
package template

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The limits of templates.
// Source: azure-docs, azure-resource-manager/templates/best-practices.md, "Template limits".
const (
	MaxSize       = 4 << 20 // bytes, of the template and of its parameters together
	maxParameters = 256
	maxVariables  = 256
	maxResources  = 800 // copies included
	maxOutputs    = 64
)

const (
	deploymentType = "Microsoft.Resources/deployments"
	groupType      = "Microsoft.Resources/resourceGroups"
)

// Template is one that was read.
type Template struct{ root *Object }

// Root is the template as it was read.
func (t *Template) Root() *Object { return t.root }

// New takes a template that was read, and refuses what is wrong with it whatever the parameters.
func New(root *Object) (*Template, error) {
	t := &Template{root}
	schema := strings.ToLower(root.Text("$schema"))
	if !strings.Contains(schema, "deploymenttemplate.json") && !strings.Contains(schema, "deploymentparameters.json") { // the latter in azure-cli's recordings
		return nil, &Error{Code: "InvalidTemplate", Path: "$schema", Message: fmt.Sprintf("Deployment template validation failed: 'The template schema '%s' is not supported.'.", root.Text("$schema"))} // text seen in many logs, without the list behind it
	}
	for _, at := range [][]any{{"parameters", maxParameters}, {"variables", maxVariables}, {"outputs", maxOutputs}} {
		name, most := at[0].(string), at[1].(int)
		v := root.Get(name)
		o, ok := v.(*Object)
		if v != nil && !ok {
			return nil, &Error{Code: "InvalidTemplate", Path: name, Message: fmt.Sprintf("Deployment template validation failed: 'Expected an object at '%s', found '%s'.'.", name, typeName(v))}
		}
		if o.Len() > most {
			return nil, limit(name, most, o.Len())
		}
	}
	if imports := root.Object("extensions").Len() + root.Object("imports").Len(); imports > 0 {
		return nil, at(unsupportedf("What a template takes from elsewhere (extensions, imports)"), "extensions")
	}
	return t, t.checkResources()
}

func (t *Template) checkResources() error {
	switch t.root.Get("resources").(type) {
	case nil, *Object, []any:
	default:
		return &Error{Code: "InvalidTemplate", Path: "resources", Message: fmt.Sprintf("Deployment template validation failed: 'Expected an array or an object at 'resources', found '%s'.'.", typeName(t.root.Get("resources")))}
	}
	return nil
}

// limit is in the words of many logs, with the link inferred.
func limit(what string, most, actual int) error {
	return invalidf("The number of template %s limit exceeded. Limit: '%d' and actual: '%d'. Please see https://aka.ms/arm-syntax for usage details.", what, most, actual)
}

// invalidf refuses a template in the words around each such refusal.
func invalidf(format string, args ...any) *Error {
	return &Error{Code: "InvalidTemplate", Message: "Deployment template validation failed: '" + fmt.Sprintf(format, args...) + "'."}
}

// variable is what a variable is made of.
func (t *Template) variable(name string) (v any, path string, ok bool) {
	all := t.root.Object("variables")
	if v, ok := all.Lookup(name); ok && !strings.EqualFold(name, "copy") {
		return v, "variables." + name, true
	}
	for i, l := range all.List("copy") {
		if o, ok := l.(*Object); ok && strings.EqualFold(o.Text("name"), name) {
			return variableLoop{o}, fmt.Sprintf("variables.copy[%d]", i), true
		}
	}
	return nil, "", false
}

// variableLoop is a variable that a loop makes.
type variableLoop struct{ of *Object }

// Deployment is what is deployed where, by whom and with what.
type Deployment struct {
	// Scope is the id of the subscription or the resource group.
	Scope string
	// Environment, Tenant, Subscription and Group are what the functions of these names return.
	// Group is nil for a deployment to a subscription. Self is that of the function deployment.
	Environment, Tenant, Subscription, Group, Self *Object
	// Parameters are those of the request: {name: {value: …}}.
	Parameters *Object
	Now        time.Time     // for utcNow
	NewGUID    func() string // for newGuid
	Budget     *Budget       // of this and other deployments together; nil if there are no others
	// Assume says that a parameter without a value is unknown rather than refused, for who looks
	// at a template before it is deployed.
	Assume bool

	defaults bool // default values of parameters are being evaluated
}

func (d *Deployment) newGUID() (any, error) {
	if !d.defaults {
		return nil, failf("the function is not expected at this location: it may only be used in default values of parameters.")
	}
	return d.NewGUID(), nil
}

// types are those of parameters and outputs as Resource Manager spells them.
var types = map[string]string{"string": "String", "securestring": "SecureString", "int": "Int", "bool": "Bool", "object": "Object", "secureobject": "SecureObject", "array": "Array"}

func secure(kind string) bool { return strings.HasPrefix(strings.ToLower(kind), "secure") }

// declared is a parameter's or an output's declaration, with what its $ref leads to.
func (t *Template) declared(o *Object) *Object {
	for range 10 {
		ref, ok := strings.CutPrefix(o.Text("$ref"), "#/definitions/")
		if !ok {
			return o
		}
		definition := t.root.Object("definitions").Object(ref)
		if definition == nil {
			return o
		}
		o = merged(definition, o.without("$ref"))
	}
	return o
}

// parameters are the values of all parameters, and how an answer shows them.
// Source: azure-cli, test_group_deployment.yaml of its recordings, for what is shown; the texts of
// the refusals are those of many logs.
func (e *environment) setParameters() (shown *Object, err error) {
	declared, given, d := e.template.root.Object("parameters"), e.deployment.Parameters, e.deployment
	e.parameters, shown = NewObject(), NewObject()
	for _, name := range given.Names() {
		if _, ok := declared.Lookup(name); !ok {
			err := invalidf("The template parameters '%s' in the parameters file are not valid; they are not present in the original template and can therefore not be provided at deployment time. The only supported parameters for this template are '%s'. Please see https://aka.ms/arm-pass-parameter-values for usage details.", name, strings.Join(declared.Names(), ", "))
			err.Path = "parameters." + name
			return nil, err
		}
	}
	d.defaults = true
	defer func() { d.defaults = false }()
	for i, name := range declared.Names() {
		o, _ := declared.values[i].(*Object)
		p := e.template.declared(o)
		path := "parameters." + name
		kind := strings.ToLower(p.Text("type"))
		if types[kind] == "" {
			return nil, at(invalidf("The template parameter '%s' has the type '%s', which is not valid. Expected one of 'string, securestring, int, bool, object, secureObject, array'.", name, p.Text("type")), path+".type")
		}
		v, err := e.parameterValue(name, p, o, given.Get(name))
		if err != nil {
			return nil, at(err, path)
		}
		e.parameters.Set(name, v)
		one := NewObject("type", types[kind])
		if secure(kind) {
			e.secrets = textsIn(v, e.secrets)
		} else {
			one.Set("value", v)
		}
		shown.Set(name, one)
	}
	return shown, nil
}

func (e *environment) parameterValue(name string, p, place *Object, given any) (any, error) {
	g, isObject := given.(*Object)
	if given != nil && !isObject {
		return nil, invalidf("The value of the template parameter '%s' must be an object with a 'value', found '%s'.", name, typeName(given))
	}
	if _, ok := g.Lookup("reference"); ok {
		return nil, unsupportedf("A parameter whose value is a secret of a key vault ('reference')")
	}
	v, ok := g.Lookup("value")
	nullable, _ := p.Get("nullable").(bool)
	switch fallback, has := p.Lookup("defaultValue"); {
	case ok && (v != nil || !has):
	case has:
		var err error
		if v, err = e.value(fallback, "parameters."+name+".defaultValue"); err != nil {
			return nil, err
		}
	case nullable:
		return nil, nil
	case e.deployment.Assume:
		return Unknown{fmt.Sprintf("[parameters('%s')]", name)}, nil
	default:
		return nil, invalidf("The value for the template parameter '%s' at line '%d' and column '%d' is not provided. Please see https://aka.ms/arm-create-parameter-file for usage details.", name, place.line, place.column)
	}
	if v == nil && nullable {
		return nil, nil
	}
	if n := len(p.List("allowedValues")); n > 0 {
		if err := e.budget.take(n * size(v, e.budget.left) / 8); err != nil { // it is compared with each
			return nil, err
		}
	}
	return v, checkValue(name, p, place, v)
}

// expected are the types of JSON that a parameter takes, as the text names them.
var expected = map[string]string{"string": "String, Uri", "securestring": "String, Uri", "int": "Integer", "bool": "Boolean", "object": "Object", "secureobject": "Object", "array": "Array"}

func checkValue(name string, p, place *Object, v any) error {
	if _, unknown := v.(Unknown); unknown {
		return nil
	}
	kind := strings.ToLower(p.Text("type"))
	if !strings.Contains(expected[kind], typeName(v)) {
		return invalidf("Template parameter JToken type is not valid. Expected '%s'. Actual '%s'. Please see https://aka.ms/arm-create-parameter-file for usage details.", expected[kind], typeName(v))
	}
	if allowed := p.List("allowedValues"); allowed != nil && !isAllowed(allowed, v) {
		var texts []string
		for _, a := range allowed {
			text, _ := compactJSON(a)
			texts = append(texts, strings.Trim(text, `"`))
		}
		text, _ := compactJSON(v)
		return invalidf("The provided value for the template parameter '%s' at line '%d' and column '%d' is not valid. The value '%s' is not part of the allowed value(s): '%s'.", name, place.line, place.column, strings.Trim(text, `"`), strings.Join(texts, ","))
	}
	n, what := measured(v)
	for _, bound := range []struct {
		field string
		wrong func(n, bound int64) bool
	}{
		{"min" + what, func(n, bound int64) bool { return n < bound }},
		{"max" + what, func(n, bound int64) bool { return n > bound }},
	} {
		if b, ok := p.Get(bound.field).(int64); ok && what != "" && bound.wrong(n, b) {
			return invalidf("The provided value for the template parameter '%s' is not valid. Expected %s '%d', found '%d'. Please see https://aka.ms/arm-syntax-parameters for usage details.", name, bound.field, b, n) // text inferred
		}
	}
	return nil
}

// measured is what minValue or minLength is compared with.
func measured(v any) (n int64, what string) {
	switch v := v.(type) {
	case int64:
		return v, "Value"
	case string:
		return int64(len([]rune(v))), "Length"
	case []any:
		return int64(len(v)), "Length"
	}
	return 0, ""
}

// isAllowed also takes an array whose elements are all allowed.
// Source: azure-docs, azure-resource-manager/templates/parameters.md, "Allowed values".
func isAllowed(allowed []any, v any) bool {
	in := func(v any) bool { return slices.ContainsFunc(allowed, func(a any) bool { return equal(a, v) }) }
	list, ok := v.([]any)
	return in(v) || ok && !slices.ContainsFunc(list, func(v any) bool { return !in(v) })
}

// Types are those of the resources in a template and in the templates in it, each once.
func (p *Plan) Types() []string {
	seen := map[string]bool{}
	for _, r := range p.Resources {
		seen[r.Type] = true
	}
	return slices.Sorted(maps.Keys(seen))
}
