package template

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// notInBodies are the members of a resource in a template that say how it is deployed.
var notInBodies = []string{"type", "name", "apiVersion", "dependsOn", "copy", "condition", "scope", "comments", "resources", "existing", "metadata", "subscriptionId", "resourceGroup", "asserts"}

// body evaluates what a resource is to be.
func (p *Plan) body(r *Resource) (*Object, error) {
	source := r.source.without(notInBodies...)
	if strings.EqualFold(r.Type, deploymentType) {
		return p.nested(r, source)
	}
	v, err := p.env.value(source, r.Path)
	o, _ := v.(*Object)
	return o, err
}

// nested evaluates a deployment in a template. Unless its scope is outer, which is the default of
// those that people write, its template is evaluated when it is deployed.
// Source: azure-docs, azure-resource-manager/templates/linked-templates.md, "Expression evaluation scope in nested templates".
func (p *Plan) nested(r *Resource, source *Object) (*Object, error) {
	properties := source.Object("properties")
	if !InnerScope(properties) {
		v, err := p.env.value(source, r.Path)
		o, _ := v.(*Object)
		return o, err
	}
	v, err := p.env.value(properties.without("template"), r.Path+".properties")
	if err != nil {
		return nil, err
	}
	inner, _ := v.(*Object)
	inner.Set("template", properties.Get("template"))
	outer, err := p.env.value(source.without("properties"), r.Path)
	if err != nil {
		return nil, err
	}
	made, _ := outer.(*Object)
	made.Set("properties", inner)
	return made, nil
}

// InnerScope reports whether the template in a deployment with these properties is evaluated by itself
// alone, rather than by the template that the deployment is in.
func InnerScope(properties *Object) bool {
	return strings.EqualFold(properties.Object("expressionEvaluationOptions").Text("scope"), "inner")
}

// Unanalyzable says of a resource whose name is not known why what-if cannot compare it.
// Source: Azure/bicep and Azure/arm-template-whatif, many issues.
func (r *Resource) Unanalyzable() string {
	return fmt.Sprintf("Changes to the resource declared at 'properties.template.%s' on line %d and column %d cannot be analyzed because its resource ID or API version cannot be calculated until the deployment is under way. Please see https://aka.ms/WhatIfUnidentifiableResource for more details.", r.Path, r.line, r.column)
}

// Definition is the body of the request that makes a resource, with what live says of those that
// it refers to. What live does not have is unknown if unknown is allowed, else refused.
func (p *Plan) Definition(r *Resource, live Live, allowUnknown bool) (*Object, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.env
	e.loops, e.live = r.loops, e.answers(live, allowUnknown)
	defer func() { e.loops, e.live = nil, nil }()
	body, err := p.body(r)
	var what *Error
	if errors.As(err, &what) && !what.Unsupported && what.Code == "InvalidTemplate" {
		// Source: F5Networks/f5-azure-arm-templates#238 (2022)
		made := *what
		made.Message = fmt.Sprintf("Unable to process template language expressions for resource '%s' at line '%d' and column '%d'. '%s'", r.ID, r.line, r.column, what.Message)
		return nil, &made
	}
	return body, err
}

// askWork is what asking for a resource costs of the budget.
const askWork = 1 << 10

// answers makes of what exists what the functions return.
func (e *environment) answers(live Live, allowUnknown bool) func(reference) (any, error) {
	return func(r reference) (any, error) {
		if err := e.budget.take(askWork); err != nil {
			return nil, err
		}
		if !strings.EqualFold(r.function, "reference") {
			if allowUnknown {
				return Unknown{}, nil
			}
			return live.List(r.id, r.function, r.apiVersion, r.body)
		}
		o, err := live.Get(r.id, r.apiVersion)
		switch {
		case err != nil:
			return nil, err
		case o == nil && allowUnknown:
			return Unknown{}, nil
		case o == nil:
			return nil, notFound(r.id)
		case r.full:
			return full(o, r), nil
		}
		if properties := o.Object("properties"); properties != nil {
			return properties, nil
		}
		return NewObject(), nil
	}
}

// notFound is in the words of many logs.
func notFound(id string) error {
	segments := strings.Split(strings.Trim(id, "/"), "/")
	at := slices.IndexFunc(segments, func(s string) bool { return strings.EqualFold(s, "providers") })
	for i := at + 1; at >= 0 && i < len(segments); i++ {
		if strings.EqualFold(segments[i], "providers") {
			at = i
		}
	}
	group := ""
	if len(segments) > 3 && strings.EqualFold(segments[2], "resourceGroups") {
		group = segments[3]
	}
	return &Error{Code: "ResourceNotFound", Message: fmt.Sprintf("The Resource '%s' under resource group '%s' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix", strings.Join(segments[at+1:], "/"), group)}
}

// full is what reference says with 'Full'.
// Source: azure-docs, azure-resource-manager/templates/template-functions-resource.md, "reference".
func full(o *Object, r reference) *Object {
	made := o.without("id", "name", "type")
	made.Set("apiVersion", r.apiVersion)
	segments := strings.Split(strings.Trim(r.id, "/"), "/")
	if len(segments) > 1 {
		made.Set("subscriptionId", segments[1])
	}
	if len(segments) > 3 && strings.EqualFold(segments[2], "resourceGroups") {
		made.Set("resourceGroupName", segments[3])
	}
	if i := strings.Index(r.id, "/providers/"); i >= 0 {
		made.Set("resourceId", r.id[i+len("/providers/"):])
	}
	return made
}

// Outputs are those of the template once it is deployed: {name: {type, value}}. Those that are
// secure have no value.
func (p *Plan) Outputs(live Live) (*Object, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.env
	e.live = e.answers(live, false)
	defer func() { e.live = nil }()
	made := NewObject()
	declared := e.template.root.Object("outputs")
	for i, name := range declared.Names() {
		o, _ := declared.values[i].(*Object)
		path := "outputs." + name
		one, err := e.output(name, e.template.declared(o), path)
		if err != nil {
			return nil, outputFailed(name, err)
		}
		if one != nil {
			made.Set(name, one)
		}
	}
	return made, nil
}

// outputFailed is in the words of many logs, such as Azure/bicep#3750; without the inner errors.
func outputFailed(name string, err error) error {
	made := Error{Code: "DeploymentOutputEvaluationFailed", Path: "outputs." + name}
	inner := err.Error()
	var what *Error
	if errors.As(err, &what) {
		made.Path, made.Unsupported, inner = what.Path, what.Unsupported, what.Message
	}
	made.Message = fmt.Sprintf("Unable to evaluate template outputs: '%s'. Please see error details and deployment operations. Please see https://aka.ms/arm-common-errors for usage details. %s", name, inner)
	return &made
}

func (e *environment) output(name string, o *Object, path string) (*Object, error) {
	if condition, ok := o.Lookup("condition"); ok {
		v, err := e.value(condition, path+".condition")
		if err != nil {
			return nil, err
		}
		if deployed, err := toBool(v); err != nil || deployed == false {
			return nil, err
		}
	}
	kind := strings.ToLower(o.Text("type"))
	var v any
	var err error
	if l, ok := o.Get("copy").(*Object); ok {
		made := NewObject()
		l = l.without("name")
		l.Set("name", name)
		err = e.copies(made, l, path+".copy")
		v = made.Get(name)
	} else {
		v, err = e.value(o.Get("value"), path+".value")
	}
	if err != nil {
		return nil, err
	}
	nullable, _ := o.Get("nullable").(bool)
	if !strings.Contains(expected[kind], typeName(v)) && !hasUnknown(v) && (v != nil || !nullable) {
		// Seen in many logs.
		return nil, at(failf("The template output '%s' is not valid: Template output JToken type is not valid. Expected '%s'. Actual '%s'. Please see https://aka.ms/arm-syntax-outputs for usage details.", name, expected[kind], typeName(v)), path)
	}
	one := NewObject("type", types[kind])
	if !secure(kind) {
		one.Set("value", v)
	}
	return one, nil
}
