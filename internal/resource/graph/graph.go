// Package graph answers as Microsoft Graph does for what a service principal usually
// reads: the organization, service principals, applications and their federated
// credentials, from the directory, for callers with the application permissions that
// Graph's reference names. It changes nothing and has no users: requests for anything
// else are answered with 501 and a code that names wiemu, after the caller's permissions
// have been checked.
package graph

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/resource"
)

// Name is that of the resource in the table.
const Name = "graph"

// Description is Microsoft Graph in the table of resources.
func Description() resource.Description {
	return resource.Description{
		Name: Name, Title: "Microsoft Graph", AppID: "00000003-0000-0000-c000-000000000000",
		Audiences: func(c cloud.Cloud) []string { return []string{"https://" + c.Graph, "https://" + c.Graph + "/"} },
		Hosts:     func(c cloud.Cloud) []string { return []string{c.Graph} },
		New:       func(k resource.Kit, _ any) (resource.Service, error) { return New(k), nil },
	}
}

// Service serves the directory. It is safe for concurrent use.
type Service struct{ kit resource.Kit }

// New makes a service over the kit's directory. Changes of the directory show at once.
func New(k resource.Kit) *Service { return &Service{k} }

// Handler serves Graph's host, v1.0 and beta alike.
func (s *Service) Handler() http.Handler {
	var routes []resource.Route
	for _, to := range readable() {
		routes = append(routes, resource.Route{Path: `/{version:v1\.0|beta}` + to.path + `{slash:/?}`, Begin: s.begin(to)})
	}
	return s.kit.Handler(routes, s.begin(route{serve: (*call).unknown}))
}

type route struct {
	path  string // in lower case, below the version; an id in parentheses is a key in OData's form
	verb  string // for people; "": the method and the path
	roles []string
	serve func(*call) (entity, *resource.Failure)
}

// The application permissions that Graph's reference names, the least first.
// Source: microsoft-graph-docs-contrib, api-reference/v1.0/includes/permissions,
// application-list, serviceprincipal-list, application-list-federatedidentitycredentials
// and organization-get (organization-list has Directory.Read.All alone there, an older
// page); that permission to write the directory includes reading it is inferred.
func readers() (applications, credentials, organization []string) {
	applications = []string{"Application.Read.All", "Application.ReadWrite.OwnedBy", "Application.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}
	credentials = []string{"Application.Read.All", "Application.ReadWrite.OwnedBy", "Application.ReadWrite.All"}
	organization = []string{"Organization.Read.All", "Directory.Read.All", "Organization.ReadWrite.All", "Directory.ReadWrite.All"}
	return applications, credentials, organization
}

// readable lists what is served, with the application permissions for it.
func readable() []route {
	applications, credentials, organization := readers()
	return []route{
		{"/organization", "list organization", organization, (*call).organizations},
		{"/organization/{id}", "get organization", organization, (*call).organization},
		{"/me", "get me", nil, (*call).me},
		{"/me/{rest:.*}", "get me", nil, (*call).me},

		{"/serviceprincipals", "list service principals", applications, (*call).servicePrincipals},
		{"/serviceprincipals({key})", "get service principal", applications, (*call).servicePrincipal},
		{"/serviceprincipals/{id}", "get service principal", applications, (*call).servicePrincipal},

		{"/applications", "list applications", applications, (*call).applications},
		{"/applications({key})", "get application", applications, (*call).application},
		{"/applications/{id}", "get application", applications, (*call).application},
		{"/applications({key})/federatedidentitycredentials", "list federated credentials", credentials, (*call).federatedCredentials},
		{"/applications/{id}/federatedidentitycredentials", "list federated credentials", credentials, (*call).federatedCredentials},
		{"/applications({key})/federatedidentitycredentials/{credential}", "get federated credential", credentials, (*call).federatedCredential},
		{"/applications/{id}/federatedidentitycredentials/{credential}", "get federated credential", credentials, (*call).federatedCredential},
		{"/applications({key})/federatedidentitycredentials({credentialkey})", "get federated credential", credentials, (*call).federatedCredential},
		{"/applications/{id}/federatedidentitycredentials({credentialkey})", "get federated credential", credentials, (*call).federatedCredential},
	}
}

type call struct {
	*resource.Call
	kit   resource.Kit
	route route
}

func (s *Service) begin(to route) func(*resource.Call) resource.Request {
	return func(c *resource.Call) resource.Request { return &call{c, s.kit, to} }
}

func (c *call) Demand() (*resource.Want, *resource.Failure) { return c.kit.Want(""), nil }

func (c *call) Allow(refused *resource.Refusal) *resource.Failure {
	if refused != nil {
		return c.unauthorized(refused)
	}
	roles := c.route.roles
	if !reading(c.Request) { // none that reads alone will do
		roles = slices.DeleteFunc(slices.Clone(roles), func(role string) bool { return !strings.Contains(role, "ReadWrite") })
	}
	if len(roles) == 0 {
		return nil
	}
	if failed := c.demand(roles); failed != nil {
		return failed
	}
	if !reading(c.Request) {
		return c.notEmulated()
	}
	return nil
}

func (c *call) Serve() (resource.Answer, *resource.Failure) {
	found, failed := c.route.serve(c)
	return resource.Answer{Body: found}, failed
}

func (c *call) Describe(e *journal.Event) (action string) {
	action = c.route.verb
	if !reading(c.Request) || action == "" {
		action = c.Request.Method + " " + httppath.Original(c.Request)
	}
	e.Detail["action"] = action
	return action
}

func reading(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// emulated reports whether a caller with the permission gets an answer of Graph's.
func (c *call) emulated() bool { return reading(c.Request) && len(c.route.roles) > 0 }

// demand checks that the caller's token has one of the roles, or if there are none, any
// application permission.
func (c *call) demand(roles []string) *resource.Failure {
	expected, held := strings.Join(roles, " or "), slices.ContainsFunc(c.Caller.Roles, func(role string) bool { return slices.Contains(roles, role) })
	if len(roles) == 0 {
		expected, held = "an application permission", len(c.Caller.Roles) > 0
	}
	if !c.Check("permission", expected, cmp.Or(strings.Join(c.Caller.Roles, ", "), "none"), held) {
		return c.denied(roles)
	}
	return nil
}

// Write implements resource.Request, with the headers that Graph sends.
func (c *call) Write(w http.ResponseWriter, answer resource.Answer, failed *resource.Failure) {
	id := uuid.NewString()
	client := cmp.Or(c.Request.Header.Get("client-request-id"), id)
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	h.Set("Strict-Transport-Security", "max-age=31536000")
	h.Set("Request-Id", id)
	h.Set("Client-Request-Id", client)
	h.Set("X-Ms-Ags-Diagnostic", `{"ServerInfo":{"DataCenter":"North Europe","Slice":"E","Ring":"5","ScaleUnit":"001","RoleInstance":"DB1PEPF000509F1"}}`)
	contentType, body := "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8", answer.Body
	if failed != nil {
		contentType = "application/json"
		body = entity{{"error", entity{
			{"code", failed.Code},
			{"message", failed.Message},
			{"innerError", entity{
				{"date", c.kit.Clock.Now().Format("2006-01-02T15:04:05")},
				{"request-id", id},
				{"client-request-id", client},
			}},
		}}}
	} else {
		h.Set("OData-Version", "4.0")
	}
	h.Set("Content-Type", contentType)
	w.WriteHeader(answer.Status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // the client has gone
}
