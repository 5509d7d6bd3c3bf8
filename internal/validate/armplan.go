package validate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/resource/arm/template"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// assumedScope is where a template is taken to be deployed, whose subscription and group are known
// only then.
const (
	assumedScope = "/subscriptions/00000000-0000-0000-0000-000000000000"
	assumedGroup = "RESOURCE-GROUP"
)

// whatIf reads what az deployment … what-if --no-pretty-print prints, or what Resource Manager
// answers.
func (p *Plan) whatIf(file string, o *template.Object) error {
	changes := o.List("changes")
	if changes == nil {
		changes = o.Object("properties").List("changes")
	}
	if status := o.Text("status"); status != "" && status != "Succeeded" {
		return yamlfile.Problems{{File: file, Field: "status", Expected: "Succeeded", Found: status, Fix: "see what az says is wrong, and run what-if again"}}
	}
	for n, v := range changes {
		change, _ := v.(*template.Object)
		id, how := change.Text("resourceId"), change.Text("changeType")
		body := change.Object("after")
		deleted := how == "Delete"
		if body == nil {
			body = change.Object("before")
		}
		if body == nil && isTrust(id) {
			return yamlfile.Problems{{File: file, Field: fmt.Sprintf("changes[%d].after", n), Expected: "the resource as it would be", Found: "nothing", Fix: "run what-if with --result-format FullResourcePayloads"}}
		}
		if how == "Modify" && change.Object("before") != nil { // what is asked for lacks what Azure adds
			body = merge(change.Object("before"), body)
		}
		p.armResource(id, id, body, deleted, nil)
	}
	return nil
}

func isTrust(id string) bool {
	id = strings.ToLower(id)
	return strings.Contains(id, identityPath) || strings.Contains(id, "/providers/microsoft.authorization/roleassignments/")
}

// merge is a resource with what would become of it.
func merge(before, after *template.Object) *template.Object {
	made := template.NewObject()
	for _, o := range []*template.Object{before, after} {
		for _, name := range o.Names() {
			was, isObject := made.Get(name).(*template.Object)
			if now := o.Object(name); isObject && now != nil {
				made.Set(name, merge(was, now))
				continue
			}
			made.Set(name, o.Get(name))
		}
	}
	return made
}

// template reads an ARM template, as it would be deployed to a resource group or a subscription.
func (p *Plan) template(file string, o *template.Object, parameters string) error {
	t, err := template.New(o)
	if err != nil {
		return templateProblem(file, "", err)
	}
	var given *template.Object
	if parameters != "" {
		data, err := readFile(parameters)
		if err != nil {
			return fmt.Errorf("read the parameters: %w", err)
		}
		if given, err = template.ParseObject(data); err != nil {
			return yamlfile.Problems{{File: parameters, Expected: "the JSON of a parameters file", Found: err.Error()}}
		}
		if inner := given.Object("parameters"); inner != nil {
			given = inner
		}
	}
	scope := assumedScope + "/resourceGroups/" + assumedGroup
	if strings.Contains(strings.ToLower(o.Text("$schema")), "subscriptiondeploymenttemplate") {
		scope = assumedScope
	}
	first := len(p.credentials)
	if _, err := p.expand(nested{file: file, scope: scope, at: &moment{}, budget: template.NewBudget()}, t, given); err != nil {
		return err
	}
	p.concurrent(p.credentials[first:])
	return nil
}

// templateProblem is what is wrong with the template of a file, or with one in it; path is where
// that one is.
func templateProblem(file, path string, err error) error {
	field, found := path, err.Error()
	if what, ok := err.(*template.Error); ok { //nolint:errorlint // package template returns it as it is
		field, found = within(path, what.Path), what.Message
	}
	return yamlfile.Problems{{File: file, Field: field, Expected: "a template that is valid", Found: found}}
}

// within is the place of what is at path in the template that is at outer.
func within(outer, path string) string { return strings.Trim(outer+"."+path, ".") }

// moment is when a resource is deployed, or when all of a nested deployment has been.
type moment struct{ after []*moment }

// before returns what has come to its end when the moment comes.
func (m *moment) before() map[*moment]bool {
	passed, next := map[*moment]bool{}, slices.Clone(m.after)
	for len(next) > 0 {
		last := next[len(next)-1]
		next = next[:len(next)-1]
		if !passed[last] {
			passed[last] = true
			next = append(next, last.after...)
		}
	}
	return passed
}

// nested is where in a file a template is, and where and when it is deployed.
type nested struct {
	file, path, scope string
	at                *moment
	budget            *template.Budget // of all templates of the file
}

// deployment is what the functions of the template say about where it is deployed, which is in a
// subscription: package template refuses others.
func (n nested) deployment(parameters *template.Object) template.Deployment {
	segments := strings.Split(n.scope, "/")
	d := template.Deployment{
		Scope: n.scope, Parameters: parameters, Now: time.Unix(0, 0), NewGUID: uuid.NewString, Assume: true, Budget: n.budget,
		Environment: template.NewObject("name", "AzureCloud"), Tenant: template.NewObject("tenantId", "TENANT-ID"), Self: template.NewObject("name", "deployment", "location", "westeurope"),
		Subscription: template.NewObject("id", "/subscriptions/"+segments[2], "subscriptionId", segments[2], "tenantId", "TENANT-ID", "displayName", "SUBSCRIPTION"),
	}
	if len(segments) > 4 {
		d.Group = template.NewObject("id", n.scope, "name", segments[4], "location", "westeurope", "tags", template.NewObject())
	}
	return d
}

// expand adds the resources of a template, and of those in it. It returns the moments after which
// each has been deployed: what depends on a nested deployment comes after all that is in it.
func (p *Plan) expand(n nested, t *template.Template, parameters *template.Object) ([]*moment, error) {
	plan, err := t.Expand(n.deployment(parameters))
	if err != nil {
		return nil, templateProblem(n.file, n.path, err)
	}
	ends := map[*template.Resource]*moment{}
	for _, r := range plan.Resources { // each after those that it depends on
		at := &moment{after: []*moment{n.at}}
		for _, o := range r.DependsOn {
			at.after = append(at.after, ends[o])
		}
		ends[r] = at
		if r.Skipped || r.Existing {
			continue
		}
		body, err := plan.Definition(r, none{}, true)
		if err != nil {
			return nil, templateProblem(n.file, n.path, err)
		}
		path := within(n.path, r.Path)
		if strings.EqualFold(r.Type, "Microsoft.Resources/deployments") {
			inner, err := p.expandNested(nested{n.file, path, r.ID[:len(r.ID)-len("/providers/"+r.Type+"/"+r.Name)], at, n.budget}, body)
			if err != nil {
				return nil, err
			}
			ends[r] = &moment{after: append(inner, at)}
			continue
		}
		p.armResource(r.ID, n.file+": "+path, body, false, at)
	}
	return slices.Collect(maps.Values(ends)), nil
}

// expandNested adds the resources of a deployment in a template.
func (p *Plan) expandNested(n nested, body *template.Object) ([]*moment, error) {
	root := body.Object("properties").Object("template")
	if root == nil {
		return nil, templateProblem(n.file, n.path, &template.Error{Message: "A deployment without a template of its own cannot be read."})
	}
	t, err := template.New(root)
	if err != nil {
		return nil, templateProblem(n.file, n.path, err)
	}
	return p.expand(n, t, body.Object("properties").Object("parameters"))
}

// none is where nothing exists.
type none struct{}

// Get implements template.Live.
func (none) Get(string, string) (*template.Object, error) { return nil, nil }

// List implements template.Live.
func (none) List(string, string, string, any) (any, error) { return nil, nil }

// armResource adds a resource of Resource Manager, if it is about identities. at is when it is
// deployed; nil if that is not known.
func (p *Plan) armResource(id, place string, body *template.Object, deleted bool, at *moment) {
	properties := body.Object("properties")
	lower := strings.ToLower(id)
	name := id[strings.LastIndexByte(id, '/')+1:]
	owner := strings.ToLower(resource(id))
	switch {
	case strings.Contains(lower, "/providers/microsoft.authorization/roleassignments/"):
		a := &plannedAssignment{place: place, principal: properties.Text("principalId")}
		if u, ok := properties.Get("principalId").(template.Unknown); ok {
			a.byClientID = strings.Contains(strings.ToLower(u.Expression), ".clientid")
		}
		if !deleted {
			p.assignments = append(p.assignments, a)
		}
	case owner == "":
	case strings.Contains(lower, "/federatedidentitycredentials/"):
		c := &plannedCredential{place: place, owner: owner, deleted: deleted, at: at, made: directory.FederatedCredential{Name: name, Issuer: properties.Text("issuer"), Subject: properties.Text("subject")}}
		if list := properties.List("audiences"); len(list) > 0 {
			c.made.Audience, _ = list[0].(string)
		}
		for _, field := range [][2]string{{"issuer", c.made.Issuer}, {"subject", c.made.Subject}, {"audience", c.made.Audience}} {
			if (field[1] == "" || strings.HasPrefix(field[1], "[")) && !deleted {
				c.unknown = append(c.unknown, field[0])
			}
		}
		p.credentials = append(p.credentials, c)
	default:
		p.identities = append(p.identities, &plannedIdentity{key: owner, place: place, deleted: deleted, holder: Holder{
			Name: name, ResourceID: id, ClientID: strings.ToLower(properties.Text("clientId")), Tenant: strings.ToLower(properties.Text("tenantId")), ObjectIDs: given(properties.Text("principalId")), kind: "managed identity",
		}})
	}
}
