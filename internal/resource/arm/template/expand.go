package template

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Plan is a template with its parameters: the resources that it deploys.
type Plan struct {
	Parameters *Object     // as an answer shows them: {name: {type, value}}, without those that are secure
	Resources  []*Resource // each after those that it depends on

	mu  sync.Mutex // env is used by one evaluation at a time
	env *environment
}

// Resource is one resource of a template, or one copy of it.
type Resource struct {
	ID, Type, Name, APIVersion string
	Path                       string // in the template, such as resources[0]
	Existing                   bool   // it is referred to, not deployed
	Skipped                    bool   // its condition is false
	Unsettled                  bool   // its name is not known before something else is deployed
	DependsOn                  []*Resource

	line, column int
	source       *Object
	loops        []loop
	copyName     string
	after        []*Resource // copies of batches before
}

// Expand evaluates what is known before anything is deployed, and refuses what is wrong with it.
func (t *Template) Expand(d Deployment) (*Plan, error) {
	e := &environment{template: t, deployment: &d, budget: &budget{maxWork, d.Budget}, variables: map[string]any{}, namers: map[string]symbol{}, byID: map[string]*Resource{}}
	shown, err := e.setParameters()
	if err != nil {
		return nil, err
	}
	p := &Plan{Parameters: shown, env: e}
	if err := p.collect(); err != nil {
		return nil, err
	}
	if err := p.connect(); err != nil {
		return nil, err
	}
	return p, p.order()
}

// collect makes the resources of the template.
func (p *Plan) collect() error {
	switch all := p.env.template.root.Get("resources").(type) {
	case []any:
		for i, v := range all {
			if err := p.add(v, fmt.Sprintf("resources[%d]", i), "", nil); err != nil {
				return err
			}
		}
	case *Object:
		for i, name := range all.names {
			if err := p.add(all.values[i], "resources."+name, name, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// add makes a resource, or each copy of it, and its child resources.
func (p *Plan) add(v any, path, symbolic string, parent *Resource) error {
	o, ok := v.(*Object)
	if !ok {
		return at(invalidf("Expected a resource at '%s', found '%s'.", path, typeName(v)), path)
	}
	copies, isLoop := o.Get("copy").(*Object)
	if !isLoop {
		r, err := p.make(o, path, parent, nil, "")
		if err == nil && symbolic != "" {
			p.env.namers[strings.ToLower(symbolic)] = symbol{of: []*Resource{r}}
		}
		return err
	}
	e := p.env
	name, err := e.value(copies.Get("name"), path+".copy.name")
	if err != nil {
		return err
	}
	text, _ := name.(string)
	n, unknown, err := e.count(copies.Get("count"), path+".copy.count")
	if err != nil {
		return p.invalid(o, path, err)
	}
	if unknown != nil {
		n = 1
	}
	batch, err := e.batch(copies, path, n)
	if err != nil {
		return p.invalid(o, path, err)
	}
	made := symbol{loop: true}
	for i := range n {
		r, err := p.make(o, path, parent, []loop{{text, int64(i), unknown != nil}}, text)
		if err != nil {
			return err
		}
		if i >= batch {
			r.after = made.of[(i/batch-1)*batch : i/batch*batch]
		}
		made.of = append(made.of, r)
	}
	if symbolic != "" {
		e.namers[strings.ToLower(symbolic)] = made
	}
	return nil
}

// batch is how many copies are deployed at a time: all of them, unless the loop is serial.
func (e *environment) batch(copies *Object, path string, all int) (int, error) {
	if !strings.EqualFold(copies.Text("mode"), "serial") {
		return max(all, 1), nil
	}
	v, err := e.value(copies.Get("batchSize"), path+".copy.batchSize")
	if err != nil {
		return 0, err
	}
	if _, unknown := v.(Unknown); unknown || v == nil {
		return 1, nil
	}
	n, ok := v.(int64)
	if !ok || n < 1 || n > maxCopies {
		return 0, at(failf("The batch size must be an integer between '1' and '%d'", maxCopies), path+".copy.batchSize") // text inferred
	}
	return int(n), nil
}

// invalid is what is wrong with a resource, in the words of many logs.
func (p *Plan) invalid(o *Object, path string, err error) error {
	var what *Error
	if !errors.As(err, &what) {
		return err
	}
	made := *what
	if made.Path == "" {
		made.Path = path
	}
	if what.Unsupported || strings.HasPrefix(what.Message, "Deployment template validation failed") {
		return &made
	}
	name := o.Text("name")
	made.Message = fmt.Sprintf("Deployment template validation failed: 'The template resource '%s' at line '%d' and column '%d' is not valid: %s.'.", name, o.line, o.column, strings.TrimSuffix(what.Message, "."))
	return &made
}

// make makes one resource.
func (p *Plan) make(o *Object, path string, parent *Resource, loops []loop, copyName string) (*Resource, error) {
	e := p.env
	e.loops = loops
	defer func() { e.loops = nil }()
	if len(p.Resources) >= maxResources {
		return nil, limit("resources", maxResources, len(p.Resources)+1)
	}
	r := &Resource{Path: path, line: o.line, column: o.column, source: o, loops: loops, copyName: copyName}
	r.Unsettled = len(loops) > 0 && loops[0].unknown
	for _, field := range []struct {
		name string
		into *string
	}{{"type", &r.Type}, {"name", &r.Name}, {"apiVersion", &r.APIVersion}} {
		v, err := e.value(o.Get(field.name), path+"."+field.name)
		if err != nil {
			return nil, p.invalid(o, path, err)
		}
		text, ok := v.(string)
		if u, unknown := v.(Unknown); unknown && e.deployment.Assume {
			text, ok, r.Unsettled = u.Expression, true, true
		}
		if !ok || text == "" {
			return nil, p.invalid(o, path+"."+field.name, failf("The %s property is required and must be a string, found '%s'", field.name, typeName(v)))
		}
		*field.into = text
	}
	if err := p.place(r, o, path, parent); err != nil {
		return nil, p.invalid(o, path, err)
	}
	p.Resources = append(p.Resources, r)
	e.resources = append(e.resources, r)
	if other := e.byID[strings.ToLower(r.ID)]; other == nil || other.Existing {
		e.byID[strings.ToLower(r.ID)] = r
	}
	for i, child := range o.List("resources") {
		if err := p.add(child, fmt.Sprintf("%s.resources[%d]", path, i), "", r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// place finds the id of a resource, and whether it is deployed.
func (p *Plan) place(r *Resource, o *Object, path string, parent *Resource) error {
	e := p.env
	if parent != nil && !strings.HasPrefix(strings.ToLower(r.Type), strings.ToLower(parent.Type)+"/") {
		r.Type, r.Name = parent.Type+"/"+r.Type, parent.Name+"/"+r.Name
	}
	scope, unknown, err := e.scopeOf(r.Type, o, path)
	if err != nil {
		return err
	}
	r.Unsettled = r.Unsettled || unknown
	id, err := idOf(scope, r.Type, []string{r.Name})
	if r.Unsettled {
		id, err = scope+"/providers/"+r.Type+"/"+r.Name, nil
	}
	if err != nil {
		// Seen in many logs.
		return invalidf("The template resource '%s' for type '%s' at line '%d' and column '%d' has incorrect segment lengths. A nested resource type must have identical number of segments as its resource name. A root resource type must have segment length one greater than its resource name. Please see https://aka.ms/arm-syntax-resources for usage details.", r.Name, r.Type, r.line, r.column)
	}
	r.ID, _ = id.(string)
	if other, ok := e.byID[strings.ToLower(r.ID)]; ok && !other.Existing && !r.existing() && !r.Unsettled && !other.Unsettled {
		return invalidf("The resource '%s' at line '%d' and column '%d' is defined multiple times in a template. Please see https://aka.ms/arm-syntax-resources for usage details.", strings.TrimPrefix(r.Type+"/"+r.Name, "/"), r.line, r.column)
	}
	r.Existing = r.existing()
	condition, ok := o.Lookup("condition")
	if !ok {
		return nil
	}
	v, err := e.value(condition, path+".condition")
	if err != nil {
		return err
	}
	if _, unknown := v.(Unknown); unknown {
		return nil
	}
	deployed, err := toBool(v)
	if err != nil {
		return at(failf("The condition must be a boolean, found '%s'", typeName(v)), path+".condition")
	}
	r.Skipped = deployed == false
	return nil
}

func (r *Resource) existing() bool {
	is, _ := r.source.Get("existing").(bool)
	return is
}

// scopeOf is the scope that a resource is in, and whether that is unknown.
func (e *environment) scopeOf(kind string, o *Object, path string) (scope string, unknown bool, err error) {
	d := e.deployment
	scope = d.Scope
	texts := map[string]string{}
	for _, field := range []string{"scope", "subscriptionId", "resourceGroup"} {
		v, ok := o.Lookup(field)
		if !ok || v == nil {
			continue
		}
		v, err := e.value(v, path+"."+field)
		if err != nil {
			return "", false, err
		}
		text, isText := v.(string)
		if u, isUnknown := v.(Unknown); isUnknown && d.Assume {
			text, isText, unknown = u.Expression, true, true
		}
		if !isText {
			return "", false, at(failf("The %s must be a string, found '%s'", field, typeName(v)), path+"."+field)
		}
		texts[field] = text
	}
	if id, ok := texts["subscriptionId"]; ok {
		scope = "/subscriptions/" + id
		if _, ok := texts["resourceGroup"]; !ok && d.Group != nil && !strings.EqualFold(kind, deploymentType) {
			scope += "/resourceGroups/" + d.Group.Text("name")
		}
	}
	if group, ok := texts["resourceGroup"]; ok {
		segments := strings.SplitN(scope, "/", 4)
		scope = strings.Join(segments[:min(3, len(segments))], "/") + "/resourceGroups/" + group
	}
	given, ok := texts["scope"]
	switch {
	case !ok:
	case strings.HasPrefix(given, "/"):
		scope = strings.TrimSuffix(given, "/")
	case strings.HasPrefix(strings.ToLower(given), "microsoft.management/managementgroups"):
		return "", false, at(unsupportedf("A deployment to a management group"), path+".scope")
	default:
		scope += "/providers/" + given
	}
	if segments := strings.Split(scope, "/"); strings.EqualFold(kind, deploymentType) && !unknown && (len(segments) < 3 || segments[0] != "" || !strings.EqualFold(segments[1], "subscriptions")) {
		return "", false, at(unsupportedf("A deployment to another scope than a subscription or a resource group"), path+".scope")
	}
	return scope, unknown, nil
}

// connect finds what each resource depends on: what it says, and what it refers to.
func (p *Plan) connect() error {
	for _, r := range p.Resources {
		e := p.env
		e.loops = r.loops
		found, err := p.declared(r)
		if err == nil && !r.Existing && !r.Skipped {
			e.live = func(to reference) (any, error) {
				if to.symbol != nil && !slices.Contains(found, to.symbol) {
					found = append(found, to.symbol)
				}
				return Unknown{}, nil
			}
			_, err = p.body(r)
		}
		e.loops, e.live = nil, nil
		if err != nil {
			return p.invalid(r.source, r.Path, err)
		}
		r.DependsOn = found
	}
	return nil
}

// declared are those of dependsOn: symbolic names, names of loops, ids, and names of resources.
func (p *Plan) declared(r *Resource) (found []*Resource, err error) {
	found = slices.Clone(r.after)
	seen := map[*Resource]bool{}
	for _, o := range found {
		seen[o] = true
	}
	for i, v := range r.source.List("dependsOn") {
		path := fmt.Sprintf("%s.dependsOn[%d]", r.Path, i)
		v, err := p.env.value(v, path)
		if err != nil {
			return nil, err
		}
		text, ok := v.(string)
		u, unknown := v.(Unknown)
		if unknown && p.env.deployment.Assume {
			text, ok = u.Expression, true
		}
		if !ok {
			return nil, at(failf("A dependency must be a string, found '%s'", typeName(v)), path)
		}
		named := p.env.named(text)
		if err := p.env.budget.take(8 * len(named)); err != nil {
			return nil, at(err, path)
		}
		if named == nil && unknown {
			continue // it may be any of them
		}
		if named == nil {
			// Azure/azure-quickstart-templates and many others; F5Networks/f5-azure-arm-templates#230.
			return nil, at(invalidf("The resource '%s' is not defined in the template. Please see https://aka.ms/arm-syntax for usage details.", text), path)
		}
		for _, o := range named {
			if !seen[o] {
				seen[o] = true
				found = append(found, o)
			}
		}
	}
	return found, nil
}

// named are the resources that a text means: a symbolic name, the name of a loop, an id, or a name
// with or without the type.
func (e *environment) named(text string) []*Resource {
	key := strings.ToLower(text)
	if s, ok := e.namers[key]; ok {
		return s.of
	}
	if r := e.meant(text); r != nil {
		return []*Resource{r}
	}
	if r, ok := e.byID[key]; ok {
		return []*Resource{r}
	}
	if e.byName == nil {
		e.index()
	}
	return e.byName[key]
}

// index notes the resources by the names that they have in the template.
func (e *environment) index() {
	e.byName = map[string][]*Resource{}
	scope := strings.ToLower(e.deployment.Scope) + "/providers/"
	for _, r := range e.resources {
		names := []string{strings.ToLower(r.copyName), strings.ToLower(r.Name), strings.ToLower(r.Type + "/" + r.Name), strings.TrimPrefix(strings.ToLower(r.ID), scope)}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if name != "" {
				e.byName[name] = append(e.byName[name], r)
			}
		}
	}
}

// order sorts the resources, each after those that it depends on, and otherwise as the template
// has them.
func (p *Plan) order() error {
	const visiting, done = 1, 2
	state := map[*Resource]int{}
	var sorted []*Resource
	var visit func(r *Resource) error
	visit = func(r *Resource) error {
		switch state[r] {
		case done:
			return nil
		case visiting:
			// Source: microsoft/startstopv2-deployments#14, akshata29/entaoai#15 and polymind-inc/acmebot#1089,
			// which have the newer link.
			err := invalidf("Circular dependency detected on resource: '%s'. Please see https://aka.ms/arm-syntax-resources for usage details.", r.ID)
			err.Path = r.Path
			return err
		}
		state[r] = visiting
		for _, o := range r.DependsOn {
			if err := visit(o); err != nil {
				return err
			}
		}
		state[r] = done
		sorted = append(sorted, r)
		return nil
	}
	for _, r := range p.Resources {
		if err := visit(r); err != nil {
			return err
		}
	}
	p.Resources = sorted
	return nil
}

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
	if !strings.EqualFold(properties.Object("expressionEvaluationOptions").Text("scope"), "inner") {
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
