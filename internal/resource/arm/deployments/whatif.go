package deployments

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	"github.com/wiemu/wiemu/internal/resource/arm/template"
)

// whatIf says what a deployment would change, where the Location of its answer leads.
// Source: azure-rest-api-specs, WhatIfOperationResult and its examples; azure-docs,
// azure-resource-manager/templates/deploy-what-if.md, for what each type of change means.
func (s *service) whatIf(c *rest.Call, r *request) (rest.Reply, *resource.Failure) {
	r.chain.compared = true
	w := &comparison{live: s.live(c, r.chain), ids: map[string]bool{}, short: strings.EqualFold(r.resultFormat, "ResourceIdOnly")}
	if failed := w.plan(r.plan); failed != nil {
		return rest.Reply{}, failed
	}
	w.others(r)
	slices.SortStableFunc(w.changes, func(a, b any) int {
		return strings.Compare(a.(*template.Object).Text("resourceId"), b.(*template.Object).Text("resourceId"))
	})
	made := template.NewObject("status", succeeded, "properties", template.NewObject("correlationId", w.chain.correlation, "changes", w.changes))
	return c.Accepted(rest.WhatIf, kind+"/whatIf/action", r.scope, made), nil
}

// comparison is what a template would make, beside what there is.
type comparison struct {
	live
	ids     map[string]bool // in lower case, of what the template has
	changes []any
	short   bool // the answer has ids alone
	seen    int  // resources, with those of the templates in the template
}

func (w *comparison) add(id, change string, members ...any) {
	one := template.NewObject("resourceId", id, "changeType", change)
	for i := 0; i < len(members) && !w.short; i += 2 {
		one.Set(members[i].(string), members[i+1])
	}
	w.changes = append(w.changes, one)
}

// plan compares the resources of a template, and of the templates in it.
func (w *comparison) plan(p *template.Plan) *resource.Failure {
	for _, r := range p.Resources {
		if r.Skipped || r.Existing {
			continue
		}
		if w.seen++; w.seen > maxDeployed {
			return notEmulated(r.Path, fmt.Sprintf("A deployment makes %d resources at most, with all that are in its template.", maxDeployed), "Compare the templates in it each for itself.")
		}
		if r.Unsettled {
			w.add(r.ID, "Unsupported", "unsupportedReason", r.Unanalyzable())
			continue
		}
		w.ids[strings.ToLower(r.ID)] = true
		body, err := p.Definition(r, w.live, true)
		if err != nil {
			return refused(err)
		}
		if strings.EqualFold(typeOf(r.ID), kind) {
			if failed := w.inner(r, body); failed != nil {
				return failed
			}
			continue
		}
		if err := w.one(r, body); err != nil {
			return refused(err)
		}
	}
	return nil
}

// inner compares a deployment in the template.
func (w *comparison) inner(r *template.Resource, body *template.Object) *resource.Failure {
	properties := body.Object("properties")
	root := properties.Object("template")
	if root == nil {
		return notEmulated(r.Path+".properties", "A deployment without a template of its own is not emulated.", "")
	}
	t, err := template.New(root)
	if err != nil {
		return refused(err)
	}
	scope := r.ID[:strings.LastIndex(httppath.Lower(r.ID), "/providers/microsoft.resources/")]
	d := w.deployment(scope, r.Name, properties.Object("parameters"))
	if d.Group == nil && strings.Contains(strings.ToLower(scope), "/resourcegroups/") {
		w.add(r.ID, "Ignore") // the group is made by this very template
		return nil
	}
	p, err := t.Expand(d)
	if err != nil {
		return refused(err)
	}
	if failed := w.known(p); failed != nil {
		return failed
	}
	return w.plan(p)
}

// deployment is where a deployment in the template is.
func (w *comparison) deployment(scope, name string, parameters *template.Object) template.Deployment {
	segments := strings.Split(scope, "/")
	of, _, _ := w.Subscription(strings.ToLower(segments[2]))
	d := template.Deployment{
		Scope: scope, Parameters: parameters, Self: template.NewObject("name", name), Now: w.Kit.Clock.Now(), NewGUID: func() string { return "[newGuid()]" }, Environment: environment(w.Kit.Cloud()), Assume: true, Budget: w.chain.budget,
		Tenant:       template.NewObject("tenantId", w.call.Caller.Tenant),
		Subscription: template.NewObject("id", "/subscriptions/"+of.ID, "subscriptionId", of.ID, "tenantId", w.call.Caller.Tenant, "displayName", of.Name),
	}
	if len(segments) > 4 {
		if g, ok := w.Groups.Find(scope); ok {
			d.Group = template.NewObject("id", g.ID, "name", g.Name, "location", g.Location, "tags", template.FromGo(g.Tags))
		} else if w.ids[strings.ToLower(scope)] {
			d.Group = template.NewObject("id", scope, "name", segments[4])
		}
	}
	return d
}

// one compares a resource with what there is.
func (w *comparison) one(r *template.Resource, body *template.Object) error {
	after := template.NewObject("apiVersion", r.APIVersion, "id", r.ID)
	for _, name := range body.Names() {
		after.Set(name, body.Get(name))
	}
	after.Set("name", r.Name[strings.LastIndexByte(r.Name, '/')+1:])
	after.Set("type", typeOf(r.ID))
	before, err := w.Get(r.ID, r.APIVersion)
	if err != nil {
		return err
	}
	if before == nil {
		w.add(r.ID, "Create", "after", after)
		return nil
	}
	before = before.With("apiVersion", r.APIVersion)
	var delta []any
	for _, name := range body.Names() {
		delta = append(delta, compare(name, before.Get(name), body.Get(name), name == "location")...)
	}
	if was := before.Object("tags"); body.Get("tags") == nil && was.Len() > 0 {
		delta = append(delta, change("tags", "Delete", was, nil))
	}
	if len(delta) == 0 {
		w.add(r.ID, "NoChange", "before", before, "after", before)
		return nil
	}
	w.add(r.ID, "Modify", "before", before, "after", after, "delta", delta)
	return nil
}

func change(path, how string, before, after any) *template.Object {
	made := template.NewObject("path", path, "propertyChangeType", how)
	if before != nil {
		made.Set("before", before)
	}
	if after != nil {
		made.Set("after", after)
	}
	made.Set("children", nil)
	return made
}

// compare is how a property would change. What the template does not have stays, since providers
// answer with more than they were asked for; the exception are tags, which are replaced.
func compare(path string, before, after any, isLocation bool) []any {
	switch wanted := after.(type) {
	case nil:
		return nil
	case template.Unknown: // what it will be is not known, so that it cannot be said to change
		if before != nil {
			return nil
		}
	case *template.Object:
		old, ok := before.(*template.Object)
		if !ok && before != nil {
			return []any{change(path, "Modify", before, after)}
		}
		var all []any
		for _, name := range wanted.Names() {
			all = append(all, compare(path+"."+name, old.Get(name), wanted.Get(name), false)...)
		}
		for _, name := range old.Names() {
			if _, wants := wanted.Lookup(name); path == "tags" && !wants {
				all = append(all, change(path+"."+name, "Delete", old.Get(name), nil))
			}
		}
		return all
	case []any:
		if old, ok := before.([]any); ok {
			return compareArrays(path, old, wanted)
		}
	case string:
		if old, ok := before.(string); ok && (wanted == old || same(wanted, old, isLocation)) {
			return nil
		}
	}
	switch {
	case before == nil:
		return []any{change(path, "Create", nil, after)}
	case template.Equal(before, after):
		return nil
	}
	return []any{change(path, "Modify", before, after)}
}

// same compares what ignores case: ids, and regions by either name.
func same(a, b string, isLocation bool) bool {
	if isLocation {
		return strings.EqualFold(strings.ReplaceAll(a, " ", ""), strings.ReplaceAll(b, " ", ""))
	}
	return strings.HasPrefix(a, "/subscriptions/") && strings.EqualFold(a, b)
}

func compareArrays(path string, before, after []any) []any {
	if template.Equal(before, after) {
		return nil
	}
	var children []any
	for i := range max(len(before), len(after)) {
		at := fmt.Sprint(i)
		switch {
		case i >= len(before):
			children = append(children, change(at, "Create", nil, after[i]))
		case i >= len(after):
			children = append(children, change(at, "Delete", before[i], nil))
		default:
			children = append(children, compare(at, before[i], after[i], false)...)
		}
	}
	if len(children) == 0 {
		return nil
	}
	made := change(path, "Array", nil, nil)
	made.Set("children", children)
	return []any{made}
}

// others are what is in the resource group and not in the template: it is left as it is, or deleted
// in the mode Complete.
func (w *comparison) others(r *request) {
	if !strings.Contains(strings.ToLower(r.scope), "/resourcegroups/") {
		return
	}
	how := "Ignore"
	if r.complete {
		how = "Delete"
	}
	for _, o := range w.inScope(w.call.Caller.Tenant, r.scope) {
		if w.ids[strings.ToLower(o.ID)] || r.complete && unremovable(o) || !w.call.May(o.Type+"/read", o.ID) {
			continue
		}
		var before any
		if sent := w.call.Send(http.MethodGet, o.ID+"?api-version="+w.version(o.ID), nil, w.chain); sent.Status == http.StatusOK {
			before, _ = template.ParseJSON(sent.Body) // what is no JSON is not shown
		}
		w.add(o.ID, how, "before", before)
	}
}
