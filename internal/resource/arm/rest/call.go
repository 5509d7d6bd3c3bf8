// Package rest is what the resource providers of Azure Resource Manager share: the way of a
// request through api-version, token, subscription and role, the words in which Resource
// Manager refuses, bodies, pages, resource groups, and the kinds of resources that a manager keeps
// and another resource of the lab serves. What a kind has is its provider's, in a package of its own.
package rest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/roles"
)

// Operation is one thing that Resource Manager can be asked for.
type Operation struct {
	Methods []string
	Path    string // a pattern in lower case: see resource.Route
	Verb    string // for people, such as "get resource group"
	// Action is what a role has to have for it on the path's scope, such as
	// Microsoft.Resources/subscriptions/resourceGroups/read. If empty, none is needed.
	Action string
	// Versions are the api-versions of the resource type, oldest first. If nil, each is taken.
	Versions []string
	Public   bool // no token is asked for
	Alone    bool // nothing else is written meanwhile
	Composed bool // it writes by requests of its own alone: see Call.Send
	Serve    func(*Call) (Reply, *resource.Failure)
}

// Reply is an answer that is no refusal.
type Reply struct {
	Status int // if 0, it is 200
	Body   any // if nil, there is none
	Header map[string]string
}

// On serves what find finds, such as the resource that the path names, or refuses as find does.
func On[T any](find func(*Call) (T, *resource.Failure), serve func(*Call, T) (Reply, *resource.Failure)) func(*Call) (Reply, *resource.Failure) {
	return func(c *Call) (Reply, *resource.Failure) {
		found, failed := find(c)
		if failed != nil {
			return Reply{}, failed
		}
		return serve(c, found)
	}
}

// Provider is a resource provider.
type Provider struct {
	Namespace  string         // such as Microsoft.ManagedIdentity
	Types      []ResourceType // for those who ask what there is
	Operations []Operation
	// Resources are those of the provider that are in a scope. If nil, it has none that are
	// in a resource group.
	Resources func(tenant, scope string) []Resource
	// Delete deletes those of them that are in a resource group.
	Delete func(tenant, group string) error
	// Locked is the id of one in a resource group that wiemu.yaml makes, which nobody may delete; ""
	// if there is none. If nil, there never is.
	Locked func(tenant, group string) (id string)
	// Open has what was made in an earlier run be served again. If nil, there is nothing to do.
	Open func() error
}

// ResourceType is a type of resources of a provider.
type ResourceType struct {
	Name     string   // without the namespace, such as userAssignedIdentities
	Versions []string // api-versions, oldest first
	Global   bool     // its resources are in no region
}

// Resource is what lists of all resources of a group say of one.
type Resource struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Type     string            `json:"type"`
	Location string            `json:"location"`
	Tags     map[string]string `json:"tags,omitempty"`
}

// Call is one request.
type Call struct {
	*resource.Call
	*Manager
	operation Operation

	gateway bool // Resource Manager itself refuses, rather than a provider
}

// Begin makes the calls of an operation.
func (m *Manager) Begin(to Operation) func(*resource.Call) resource.Request {
	return func(c *resource.Call) resource.Request { return &Call{Call: c, Manager: m, operation: to} }
}

// Demand implements resource.Access.
func (c *Call) Demand() (*resource.Want, *resource.Failure) {
	if c.operation.Public {
		return nil, nil
	}
	return c.Kit.Want(""), nil
}

// Allow implements resource.Access. The order is Resource Manager's: the version of the API is
// looked at before the token, and the role before what there is, so that who has no role does
// not learn whether a resource exists.
func (c *Call) Allow(refused *resource.Refusal) *resource.Failure {
	c.gateway = true
	if failed := c.apiVersion(); failed != nil {
		return failed
	}
	if refused != nil {
		return c.unauthorized(refused)
	}
	if c.operation.Public {
		return nil
	}
	if failed := c.subscription(); failed != nil {
		return failed
	}
	if failed := c.supported(); failed != nil {
		return failed
	}
	if c.operation.Action != "" {
		if failed := c.Authorize(c.operation.Action, c.scope()); failed != nil {
			return failed
		}
	}
	c.gateway = false
	return nil
}

// Serve implements resource.Request.
func (c *Call) Serve() (resource.Answer, *resource.Failure) {
	switch {
	case c.operation.Composed:
	case c.operation.Alone:
		c.writes.Lock()
		defer c.writes.Unlock()
	case c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead:
		c.writes.RLock()
		defer c.writes.RUnlock()
	}
	reply, failed := c.operation.Serve(c)
	if failed != nil && failed.Status == http.StatusNotFound && c.Request.Method == http.MethodGet && compares(c.Request.Context()) {
		c.Note("A template was compared with what there is, and this does not exist yet.")
		reply, failed = Reply{Status: failed.Status, Body: problem{problemBody{failed.Code, failed.Message}}}, nil // nobody is refused anything
	}
	return resource.Answer{Status: reply.Status, Body: reply}, failed
}

// Comparison is a chain of requests that may be one of what-if, which looks for what there is.
type Comparison interface{ Compares() bool }

func compares(ctx context.Context) bool {
	of, ok := Chain(ctx).(Comparison)
	return ok && of.Compares()
}

// Describe implements resource.Access.
func (c *Call) Describe(e *journal.Event) (action string) {
	e.Detail["action"] = c.operation.Verb
	return c.operation.Verb
}

// Path is the request's path as the client spelt it.
func (c *Call) Path() string { return strings.TrimRight(httppath.Original(c.Request), "/") }

// scope is what the operation needs a role on: the resource that the path names, or, for a list
// or an action, what that is of.
func (c *Call) scope() string {
	path := c.Path()
	if strings.HasSuffix(c.operation.Path, "}") {
		return path
	}
	return cmp.Or(path[:strings.LastIndexByte(path, '/')], "/")
}

// Name is what stands for a variable in the operation's path, as the client spelt it. It
// cannot be told for paths with a variable that matches several segments.
func (c *Call) Name(variable string) string {
	for i, segment := range strings.Split(c.operation.Path, "/") {
		if name, _, _ := strings.Cut(strings.Trim(segment, "{}"), ":"); name == variable && strings.HasPrefix(segment, "{") {
			return httppath.Segment(c.Request, i-1)
		}
	}
	return c.Vars[variable]
}

// Query is a parameter of the query, whose names ignore case.
func (c *Call) Query(name string) string {
	for key, values := range c.Request.URL.Query() {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// Authorize refuses a caller whose roles do not have an action on a scope. A role on everything
// is one on everything of the caller's tenant.
func (c *Call) Authorize(action, scope string) *resource.Failure {
	if c.Foreign(scope) {
		return c.authorizationFailed(action, scope, "The scope is in a subscription of another tenant.", "Name a scope of the tenant that gave out the token.")
	}
	d := c.Kit.Authorize(c.Request.Context(), c.Call, scope, []roles.Action{roles.Control(action)})
	if d.Allowed {
		return nil
	}
	return c.authorizationFailed(action, scope, d.Meaning(), d.Remedy(roles.Short(groupOf(scope))+" or on less of it", func(role string) string {
		return fmt.Sprintf("roles.assignments: {identity: %s, roles: [%s], scope: %s}.", cmp.Or(c.Caller.Name, c.Caller.ClientID), role, groupOf(scope))
	}))
}

// May reports whether the caller's roles have an action on a scope. It makes no check for the
// journal: it decides what a list shows.
func (c *Call) May(action, scope string) bool {
	return c.Kit.Roles.Decide(roles.Request{
		Tenant: c.Caller.Tenant, ObjectID: c.Caller.ObjectID, ClientID: c.Caller.ClientID, Scope: scope, Needs: [][]roles.Action{{roles.Control(action)}},
	}).Allowed
}

// apiVersion refuses requests without one.
func (c *Call) apiVersion() *resource.Failure {
	version := c.Query("api-version")
	switch {
	case version == "":
		return resource.Fail(http.StatusBadRequest, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.",
			"Resource Manager answers by versions of its API.", "Add ?api-version=2022-12-01 to the request.")
	case !datedVersion().MatchString(version):
		return invalidVersion(version)
	}
	return nil
}

var datedVersion = lazyregexp.New(`(?i)^\d{4}-\d\d-\d\d(-preview|-beta|-alpha|-privatepreview)?$`)

// supported refuses a version that the resource type does not have.
// Source: Azure/azure-cli#5360 (404 InvalidResourceType; the names of the type and of the
// versions that there are came later, and are in many logs).
func (c *Call) supported() *resource.Failure {
	version, have := c.Query("api-version"), c.operation.Versions
	if have == nil || slices.Contains(have, strings.ToLower(version)) {
		return nil
	}
	newest := slices.Clone(have)
	slices.Reverse(newest)
	namespace, kind := typeOf(c.operation.Path)
	return resource.Fail(http.StatusNotFound, "InvalidResourceType",
		fmt.Sprintf("The resource type '%s' could not be found in the namespace '%s' for api version '%s'. The supported api-versions are '%s'.", kind, namespace, version, strings.Join(newest, ",")),
		"The resource type is not in this version of the API.", "Ask with ?api-version="+newest[0]+".")
}

// typeOf are the namespace and the type of the resources that a path is about.
func typeOf(path string) (namespace, kind string) {
	i := strings.LastIndex(path, "/providers/")
	if i < 0 {
		return "Microsoft.Resources", "resourceGroups"
	}
	segments := strings.Split(path[i+len("/providers/"):], "/")
	var names []string
	for n := 1; n < len(segments); n += 2 {
		names = append(names, segments[n])
	}
	return segments[0], strings.Join(names, "/")
}

// Write implements resource.Request, with the headers that Resource Manager sends.
// Source: response headers of management.azure.com in hashicorp/terraform-provider-azurerm#20867,
// and of the remaining requests in azure-cli's recordings (test_custom_role_definition_scenario.yaml, 2025-01).
func (c *Call) Write(w http.ResponseWriter, answer resource.Answer, failed *resource.Failure) {
	r := c.Request
	h := w.Header()
	c.identify(h)
	h.Set("Cache-Control", "no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "-1")
	h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	h.Set("X-Content-Type-Options", "nosniff")
	reply, _ := answer.Body.(Reply)
	body := reply.Body
	if failed != nil {
		body = problem{problemBody{failed.Code, failed.Message}}
		if c.gateway {
			h.Set("X-Ms-Failure-Cause", "gateway")
		}
		if failed.Status == http.StatusTooManyRequests { // that none remain is inferred
			h.Set("X-Ms-Ratelimit-Remaining-Subscription-"+remaining[r.Method].what, "0")
		}
	} else {
		if client := r.Header.Get("x-ms-client-request-id"); client != "" && strings.EqualFold(r.Header.Get("x-ms-return-client-request-id"), "true") {
			h.Set("X-Ms-Client-Request-Id", client)
		}
		h.Set("X-Ms-Ratelimit-Remaining-Subscription-"+remaining[r.Method].what, remaining[r.Method].n)
		for name, value := range reply.Header {
			h.Set(name, value)
		}
	}
	if body == nil {
		h.Set("Content-Length", "0")
		if answer.Status == http.StatusNoContent {
			h.Del("Content-Length")
		}
		w.WriteHeader(answer.Status)
		return
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(answer.Status)
	if r.Method == http.MethodHead {
		return
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // the client has gone
}

// remaining are how many requests a caller has left in the hour: the figures of azure-cli's
// recordings, which do not count down here.
var remaining = map[string]struct{ what, n string }{
	http.MethodGet: {"Reads", "11999"}, http.MethodHead: {"Reads", "11999"},
	http.MethodPut: {"Writes", "1199"}, http.MethodPost: {"Writes", "1199"}, http.MethodPatch: {"Writes", "1199"},
	http.MethodDelete: {"Deletes", "14999"},
}

// identify sets the headers that name the request.
func (c *Call) identify(h http.Header) {
	id := uuid.NewString()
	correlation := id
	if given, err := uuid.Parse(c.Request.Header.Get("x-ms-correlation-request-id")); err == nil {
		correlation = given.String()
	}
	h.Set("X-Ms-Correlation-Request-Id", correlation)
	h.Set("X-Ms-Request-Id", id)
	h.Set("X-Ms-Routing-Request-Id", fmt.Sprintf("NORTHEUROPE:%s:%s", c.Kit.Clock.Now().UTC().Format("20060102T150405Z"), id))
}

type problem struct {
	Error problemBody `json:"error"`
}

type problemBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Time is a point in time as Resource Manager writes it.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }
