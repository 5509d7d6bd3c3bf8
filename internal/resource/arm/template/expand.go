package template

import (
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Plan is a template with its parameters: the resources that it deploys.
type Plan struct {
	Parameters *Object     // as an answer shows them: {name: {type, value}}, without those that are secure
	Resources  []*Resource // each after those that it depends on

	secrets []string // texts in the values of secure parameters

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
	e := &environment{template: t, deployment: &d, budget: &budget{maxWork, d.Budget}, variables: map[string]any{}, namers: map[string]symbol{}, byID: map[string]*Resource{}, empty: map[string]bool{}}
	if err := e.budget.take(size(t.root, e.budget.left)); err != nil { // a module's is kept until all of the deployment is made
		return nil, err
	}
	shown, err := e.setParameters()
	if err != nil {
		return nil, err
	}
	p := &Plan{Parameters: shown, secrets: e.secrets, env: e}
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
	if n == 0 && text != "" {
		e.empty[strings.ToLower(text)] = true
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
	if other := e.byID[strings.ToLower(r.ID)]; other == nil || other.Existing || other.Skipped {
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
	r.Existing = r.existing()
	if r.Skipped, err = e.skipped(o, path); err != nil {
		return err
	}
	// Of those that are defined twice, one alone may be deployed.
	// Source: Azure/bicep#15909 (2025), which has bicep build take what Azure does.
	if other, ok := e.byID[strings.ToLower(r.ID)]; ok && other.made() && r.made() {
		return invalidf("The resource '%s' at line '%d' and column '%d' is defined multiple times in a template. Please see https://aka.ms/arm-syntax-resources for usage details.", strings.TrimPrefix(r.Type+"/"+r.Name, "/"), r.line, r.column)
	}
	return nil
}

// skipped reports whether the condition of a resource is false.
func (e *environment) skipped(o *Object, path string) (bool, error) {
	condition, ok := o.Lookup("condition")
	if !ok {
		return false, nil
	}
	v, err := e.value(condition, path+".condition")
	if err != nil {
		return false, err
	}
	if _, unknown := v.(Unknown); unknown {
		return false, nil
	}
	deployed, err := toBool(v)
	if err != nil {
		return false, at(failf("The condition must be a boolean, found '%s'", typeName(v)), path+".condition")
	}
	return deployed == false, nil
}

// made reports whether a resource with this very id is deployed.
func (r *Resource) made() bool { return !r.Existing && !r.Skipped && !r.Unsettled }

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
