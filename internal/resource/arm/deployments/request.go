package deployments

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	"github.com/wiemu/wiemu/internal/resource/arm/template"
	"github.com/wiemu/wiemu/internal/roles"
)

// request is what a client wants to be deployed.
type request struct {
	scope, name, location string
	complete              bool
	evaluated             bool // the template is one that a template of the outer scope has evaluated
	template              *template.Template
	parameters            *template.Object
	plan                  *template.Plan
	chain                 *chain
	resultFormat          string // of what-if
}

// read takes a request as far as its plan: what is wrong with it is refused before anything is made.
func (s *service) read(c *rest.Call) (*request, *resource.Failure) {
	scope, failed := scopeOf(c)
	if failed != nil {
		return nil, failed
	}
	r := &request{scope: scope, name: c.Name("deployment"), chain: chainOf(c)}
	if failed := checkName(r.name); failed != nil {
		return nil, failed
	}
	body, failed := content(c)
	if failed != nil {
		return nil, failed
	}
	if failed := s.settings(c, r, body); failed != nil {
		return nil, failed
	}
	if r.plan, failed = s.plan(c, r); failed != nil {
		return nil, failed
	}
	if failed := s.known(r.plan); failed != nil {
		return nil, failed
	}
	return r, permitted(c, r.plan)
}

// content is the body of a request, which may be more than encoding/json takes.
func content(c *rest.Call) (*template.Object, *resource.Failure) {
	data, failed := c.Content()
	if failed != nil {
		return nil, failed
	}
	body, err := template.ParseObject(data)
	if err != nil {
		return nil, rest.BadRequest("InvalidRequestContent", fmt.Sprintf("The request content was invalid and could not be deserialized: '%v'.", err), "The body of the request is not the JSON that the operation takes.")
	}
	return body, nil
}

// settings are the members of the request beside the template's expressions.
// Source of the texts about the location: many logs; that of the mode is inferred.
func (s *service) settings(c *rest.Call, r *request, body *template.Object) *resource.Failure {
	properties := body.Object("properties")
	r.location = body.Text("location")
	ofSubscription := c.Vars["group"] == ""
	switch {
	case properties == nil:
		return rest.BadRequest("InvalidDeployment", "The 'properties' of the deployment are required.", "The body has no properties.") // text inferred
	case ofSubscription && r.location == "":
		return rest.BadRequest("InvalidDeployment", fmt.Sprintf("The 'location' property must be specified for '%s'. Please see https://aka.ms/deploy-to-subscription for usage details.", r.name), "A deployment to a subscription is kept in a region.")
	case ofSubscription:
		var failed *resource.Failure
		if r.location, failed = rest.Location(r.location, kind); failed != nil {
			return failed
		}
	case r.location != "":
		return rest.BadRequest("InvalidDeployment", fmt.Sprintf("The 'location' property is not allowed for '%s'. Please see https://aka.ms/deploy-to-subscription for usage details.", r.name), "A deployment to a resource group is in the region of the group.")
	}
	switch mode := properties.Text("mode"); {
	case strings.EqualFold(mode, "Incremental"):
	case strings.EqualFold(mode, "Complete") && !ofSubscription:
		r.complete = true
	default:
		return rest.BadRequest("InvalidDeployment", fmt.Sprintf("The deployment mode '%s' is not valid for '%s'. Expected 'Incremental', or 'Complete' for a resource group.", mode, r.name), "The mode of the deployment is not valid.")
	}
	if old := s.lookup(c); old != nil && ofSubscription && old.Location != r.location {
		return resource.Fail(http.StatusConflict, "InvalidDeploymentLocation", fmt.Sprintf("Invalid deployment location '%s'. The deployment '%s' already exists in location '%s'.", r.location, r.name, old.Location), "A deployment stays in its region.", "Take another name.")
	}
	if by, ok := rest.Chain(c.Request.Context()).(*sibling); ok {
		r.evaluated = by.evaluated || !template.InnerScope(properties)
	}
	r.resultFormat = properties.Object("whatIfSettings").Text("resultFormat")
	return r.source(properties)
}

// source reads template and parameters.
func (r *request) source(properties *template.Object) *resource.Failure {
	for _, name := range []string{"templateLink", "parametersLink", "onErrorDeployment"} {
		if properties.Get(name) != nil {
			return notEmulated("properties."+name, "A deployment with '"+name+"' is not emulated.", "Send the template itself: az does so with --template-file.")
		}
	}
	root := properties.Object("template")
	if root == nil {
		return rest.BadRequest("InvalidTemplate", "Deployment template validation failed: 'Template is required.'.", "The body has no properties.template.") // text inferred
	}
	var err error
	if r.template, err = template.New(root); err != nil {
		return refused(err)
	}
	if given := properties.Get("parameters"); given != nil {
		if r.parameters = properties.Object("parameters"); r.parameters == nil {
			return rest.BadRequest("InvalidTemplate", "Deployment template validation failed: 'The parameters must be an object.'.", "properties.parameters is no object.") // text inferred
		}
	}
	return nil
}

// notEmulated refuses what Azure takes, by its place.
func notEmulated(place, message, remedy string) *resource.Failure {
	return resource.Fail(http.StatusBadRequest, "NotEmulated", place+": "+message, "This text is wiemu's own: Azure takes it, and it is not emulated ("+place+").", remedy)
}

// refused is a template's error as an answer.
func refused(err error) *resource.Failure {
	var what *template.Error
	if !errors.As(err, &what) {
		return rest.BadRequest("InvalidTemplate", err.Error(), "The template is not valid.")
	}
	if what.Unsupported {
		return notEmulated(what.Path, what.Message, "")
	}
	meaning := "The template is not valid."
	if what.Path != "" {
		meaning = "The template is not valid at " + what.Path + "."
	}
	return rest.BadRequest(what.Code, what.Message, meaning)
}

// plan evaluates the template where it is deployed.
func (s *service) plan(c *rest.Call, r *request) (*template.Plan, *resource.Failure) {
	subscription := c.Vars["subscription"]
	of, _, _ := s.Subscription(subscription)
	in := c.Kit.Cloud()
	mode := "Incremental"
	if r.complete {
		mode = "Complete"
	}
	self := template.NewObject("name", r.name)
	if r.location != "" {
		self.Set("location", r.location)
	}
	root := r.template.Root()
	self.Set("properties", template.NewObject(
		"template", template.NewObject("$schema", root.Text("$schema"), "contentVersion", root.Text("contentVersion")), "templateHash", hash(root), "parameters", r.parameters, "mode", mode, "provisioningState", "Accepted"))
	d := template.Deployment{
		Scope: r.scope, Parameters: r.parameters, Self: self, Now: c.Kit.Clock.Now(), NewGUID: uuid.NewString, Budget: r.chain.budget,
		Environment:  environment(in),
		Tenant:       template.NewObject("countryCode", "NO", "displayName", c.Caller.Tenant, "id", "/tenants/"+c.Caller.Tenant, "tenantId", c.Caller.Tenant),
		Subscription: template.NewObject("id", "/subscriptions/"+subscription, "subscriptionId", subscription, "tenantId", c.Caller.Tenant, "displayName", of.Name),
	}
	if c.Vars["group"] != "" {
		g, failed := c.Group()
		if failed != nil {
			return nil, failed
		}
		d.Group = template.NewObject("id", g.ID, "name", g.Name, "type", "Microsoft.Resources/resourceGroups", "location", g.Location, "tags", template.FromGo(g.Tags), "properties", template.NewObject("provisioningState", "Succeeded"))
		if g.Tags == nil {
			d.Group.Set("tags", template.NewObject())
		}
	}
	plan, err := r.template.Expand(d)
	if err != nil {
		return nil, refused(err)
	}
	r.chain.secrets.Add(plan.Secrets())
	return plan, nil
}

// environment is what the function of this name says of the cloud.
// Source: azure-docs, azure-resource-manager/templates/template-functions-deployment.md, "environment".
func environment(in cloud.Cloud) *template.Object {
	management := "https://" + in.Management[0] + "/"
	return template.NewObject(
		"name", in.Name, "gallery", "https://gallery.azure.com/", "graph", "https://"+in.AADGraph+"/", "portal", "https://portal.azure.com", "graphAudience", "https://"+in.AADGraph+"/",
		"activeDirectoryDataLake", "https://datalake.azure.net/", "batch", "https://batch.core.windows.net/", "media", "https://rest.media.azure.net",
		"sqlManagement", "https://"+in.Management[1]+":8443/", "vmImageAliasDoc", "https://raw.githubusercontent.com/Azure/azure-rest-api-specs/master/arm-compute/quickstart-templates/aliases.json", "resourceManager", management,
		"authentication", template.NewObject("loginEndpoint", in.Authority(), "audiences", []any{"https://" + in.Management[1] + "/", management}, "tenant", "common", "identityProvider", "AAD"),
		"suffixes", template.NewObject("acrLoginServer", ".azurecr.io", "azureDatalakeAnalyticsCatalogAndJob", "azuredatalakeanalytics.net", "azureDatalakeStoreFileSystem", "azuredatalakestore.net",
			"azureFrontDoorEndpointSuffix", "azurefd.net", "keyvaultDns", "."+in.Vault, "sqlServerHostname", "."+in.SQL, "storage", in.Storage))
}

// hash is the templateHash of an answer: a number that is the same for the same template. That of
// Azure is made in a way that is not documented.
func hash(root *template.Object) string {
	data, _ := root.MarshalJSON() // what was read can be written
	sum := sha256.Sum256(data)
	return strconv.FormatUint(binary.BigEndian.Uint64(sum[:]), 10)
}

// known refuses a template with resources of a type that is not emulated, before any is made.
func (s *service) known(plan *template.Plan) *resource.Failure {
	for _, r := range plan.Resources {
		if r.Skipped || r.Existing || s.version(r.ID) != "" || r.Unsettled {
			continue
		}
		return notEmulated(r.Path, fmt.Sprintf("The resource type '%s' is not emulated.", typeOf(r.ID)), "Give it a condition that is false here, or deploy it in a template of its own.")
	}
	return nil
}

// typeOf is the type of the resource that an id names.
func typeOf(id string) string {
	at := strings.LastIndex(httppath.Lower(id), "/providers/")
	if at < 0 {
		if len(strings.Split(id, "/")) == 5 {
			return "Microsoft.Resources/resourceGroups"
		}
		return "Microsoft.Resources/subscriptions"
	}
	segments := strings.Split(id[at+len("/providers/"):], "/")
	made := segments[0]
	for i := 1; i < len(segments); i += 2 {
		made += "/" + segments[i]
	}
	return made
}

// groupVersion is the api-version for resource groups in requests that name none.
const groupVersion = "2022-09-01"

// version is the newest api-version of the type of a resource; "" if the type is not emulated.
func (s *service) version(id string) string {
	name := typeOf(id)
	if strings.EqualFold(name, "Microsoft.Resources/resourceGroups") {
		return groupVersion
	}
	for _, p := range s.providers() {
		for _, t := range p.Types {
			if strings.EqualFold(p.Namespace+"/"+t.Name, name) && len(t.Versions) > 0 {
				return t.Versions[len(t.Versions)-1]
			}
		}
	}
	return ""
}

// actionOf is what is needed to make a resource.
func actionOf(id string) string {
	if name := typeOf(id); !strings.EqualFold(name, "Microsoft.Resources/resourceGroups") {
		return name + "/write"
	}
	return "Microsoft.Resources/subscriptions/resourceGroups/write"
}

// permitted refuses a template with a resource that the caller may not make.
// Source: Azure-Samples/azure-search-openai-demo#1483 and many others; the status is inferred.
func permitted(c *rest.Call, plan *template.Plan) *resource.Failure {
	for _, r := range plan.Resources {
		action := actionOf(r.ID)
		if r.Skipped || r.Existing || c.May(action, r.ID) {
			continue
		}
		d := c.Kit.Authorize(c.Request.Context(), c.Call, r.ID, []roles.Action{roles.Control(action)})
		return resource.Fail(http.StatusForbidden, "InvalidTemplateDeployment", fmt.Sprintf("The template deployment failed with error: 'Authorization failed for template resource '%s' of type '%s'. The client '%s' with object id '%[3]s' does not have permission to perform action '%s' at scope '%s'.'.",
			r.Name, r.Type, c.Caller.ObjectID, action, r.ID), d.Meaning()+" It is "+r.Path+" of the template.", "Assign a role with "+action+" to who deploys.")
	}
	return nil
}

// chain is what a deployment and those in its template share.
type chain struct {
	correlation string
	budget      *template.Budget
	compared    bool         // nothing is made: what-if asks what there is
	resources   atomic.Int64 // made so far
	secrets     template.Secrets
}

// Compares implements rest.Comparison.
func (c *chain) Compares() bool { return c.compared }

// maxDeployed is how many resources a deployment makes with all that are in its template. Azure
// bounds each deployment alone.
const maxDeployed = 5000

// sibling is the chain of one of several resources that are made at the same time.
type sibling struct {
	*chain
	evaluated bool // of the request that it came of
	pause     func()
}

// Pause implements rest.Sibling.
func (s *sibling) Pause() { s.pause() }

func chainOf(c *rest.Call) *chain {
	switch of := rest.Chain(c.Request.Context()).(type) {
	case *chain:
		return of
	case *sibling:
		return of.chain
	}
	made := &chain{correlation: uuid.NewString(), budget: template.NewBudget()}
	if given, err := uuid.Parse(c.Request.Header.Get("x-ms-correlation-request-id")); err == nil {
		made.correlation = given.String()
	}
	return made
}

// live answers what a template refers to, in the name of the caller. It asks for a resource once:
// it is for one evaluation, during which nothing changes.
type live struct {
	*service
	call     *rest.Call
	chain    *chain
	answered map[[2]string]*template.Object // what was answered, by id in lower case and api-version
}

func (s *service) live(c *rest.Call, of *chain) live {
	return live{s, c, of, map[[2]string]*template.Object{}}
}

// Get implements template.Live.
func (l live) Get(id, apiVersion string) (*template.Object, error) {
	if apiVersion == "" {
		apiVersion = l.version(id)
	}
	key := [2]string{strings.ToLower(id), apiVersion}
	if o, ok := l.answered[key]; ok {
		return o, nil
	}
	o, err := l.get(id, apiVersion)
	if err == nil {
		l.answered[key] = o
	}
	return o, err
}

func (l live) get(id, apiVersion string) (*template.Object, error) {
	if l.version(id) == "" {
		return nil, &template.Error{Code: "NotEmulated", Message: fmt.Sprintf("A reference to '%s' is not emulated: there is no such resource type.", id), Unsupported: true}
	}
	sent := l.call.Send(http.MethodGet, id+"?api-version="+apiVersion, nil, l.chain)
	switch {
	case sent.Status == http.StatusNotFound:
		return nil, nil
	case sent.Status != http.StatusOK:
		problem := errorIn(sent)
		return nil, &template.Error{Code: problem.Text("code"), Message: problem.Text("message")}
	}
	return template.ParseObject(sent.Body)
}

// List implements template.Live.
func (l live) List(id, function, apiVersion string, body any) (any, error) {
	var data []byte
	if o, ok := body.(*template.Object); ok {
		data, _ = o.MarshalJSON() // what was read can be written
	}
	if apiVersion == "" {
		apiVersion = l.version(id)
	}
	sent := l.call.Send(http.MethodPost, id+"/"+function+"?api-version="+apiVersion, data, l.chain)
	if sent.Status == http.StatusOK {
		return template.ParseJSON(sent.Body)
	}
	problem := errorIn(sent)
	code, message := problem.Text("code"), problem.Text("message")
	if strings.HasSuffix(message, "is not emulated.") {
		return nil, &template.Error{Code: "NotEmulated", Message: fmt.Sprintf("The template function '%s' of '%s' is not emulated.", function, id), Unsupported: true}
	}
	return nil, &template.Error{Code: code, Message: message}
}

// errorIn is the error in an answer.
func errorIn(sent rest.Sent) *template.Object {
	o, _ := template.ParseObject(sent.Body) // what is no JSON has no error
	if problem := o.Object("error"); problem != nil {
		return problem
	}
	return problemOf(strconv.Itoa(sent.Status), http.StatusText(sent.Status))
}

// inScope are the resources that there are in a resource group, in all providers.
func (s *service) inScope(tenant, scope string) (all []rest.Resource) {
	for _, p := range s.providers() {
		if p.Resources != nil {
			all = append(all, p.Resources(tenant, scope)...)
		}
	}
	slices.SortStableFunc(all, func(a, b rest.Resource) int { return strings.Count(b.ID, "/") - strings.Count(a.ID, "/") }) // children first
	return all
}
