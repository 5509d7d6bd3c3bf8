// Package graph answers as Microsoft Graph does for what a service principal
// meets first: the organization, service principals, applications and their
// federated credentials, read from the directory, for those who hold the application
// permissions that Graph's reference names. It changes nothing, and it knows no users:
// what it does not have is answered with 501 and a code that names wiemu, once the
// caller's permissions have been looked at.
package graph

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/gateway/httppath"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/resource"
)

// appID is Graph's client id, which tokens may name as their audience.
const appID = "00000003-0000-0000-c000-000000000000"

// Service serves the directory. It is safe for concurrent use.
type Service struct {
	directory *directory.Directory
	validator *resource.Validator
	clock     clock.Clock
	journal   *journal.Journal
	router    *mux.Router
}

// New makes a service over a directory. Changes of the directory show at once.
func New(dir *directory.Directory, v *resource.Validator, clk clock.Clock, j *journal.Journal) *Service {
	s := &Service{directory: dir, validator: v, clock: clk, journal: j}
	s.router = s.routes()
	return s
}

// host is where Graph is reached.
func (s *Service) host() string { return s.validator.Cloud().Graph }

// Handler serves Graph's host, v1.0 and beta alike.
func (s *Service) Handler() http.Handler { return httppath.Fold(s.router) }

// route is one thing that can be read.
type route struct {
	path  string // in lower case, below the version; an id in parentheses is a key in OData's form
	verb  string // for people; "": the method and the path
	roles []string
	serve func(*call) (reply, *failure)
}

// The application permissions that Graph's reference names, the least first.
// Source: microsoft-graph-docs-contrib, api-reference/v1.0/includes/permissions,
// application-list, serviceprincipal-list, application-list-federatedidentitycredentials
// and organization-get (organization-list has Directory.Read.All alone there, an older
// page); that who may write the directory may read it is inferred.
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

func (s *Service) routes() *mux.Router {
	router := mux.NewRouter().SkipClean(true)
	for _, r := range readable() {
		path := `/{version:v1\.0|beta}` + r.path + `{slash:/?}`
		router.Path(path).HandlerFunc(func(w http.ResponseWriter, req *http.Request) { s.handle(w, req, r) })
	}
	unknown := route{serve: (*call).unknown}
	router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { s.handle(w, req, unknown) })
	return router
}

// call is one request on its way through the checks.
type call struct {
	*Service
	r      *http.Request
	route  route
	vars   map[string]string // of the path, in lower case
	caller resource.Caller
	checks []journal.Check
}

// handle makes the checks in order, serves the request and writes down both.
func (s *Service) handle(w http.ResponseWriter, r *http.Request, to route) {
	if !reading(r) || to.verb == "" {
		to.verb = r.Method + " " + httppath.Original(r)
	}
	c := &call{Service: s, r: r, route: to, vars: mux.Vars(r)}
	var refused *resource.Refusal
	c.caller, c.checks, refused = s.validator.Validate(r.Context(), resource.Bearer(r), resource.Want{
		Audiences: []string{"https://" + s.host(), "https://" + s.host() + "/", appID},
		Known:     func(tenant string) bool { _, ok := s.directory.Tenant(tenant); return ok },
	})
	found, failed := c.answer(refused)
	event := resource.Access(r, c.caller, c.checks)
	if upset := interrupted(r.Context()); upset != nil {
		found, failed, refused = nil, upset, nil
	}
	if refused != nil {
		resource.Refuse(&event, refused)
		s.challenge(w)
	}
	s.tell(r.Context(), event, to, failed)
	s.write(w, r, found, failed)
}

func (c *call) answer(refused *resource.Refusal) (reply, *failure) {
	if refused != nil {
		return nil, unauthorized(refused)
	}
	roles := c.route.roles
	if !reading(c.r) { // none that reads alone will do
		roles = slices.DeleteFunc(slices.Clone(roles), func(role string) bool { return !strings.Contains(role, "ReadWrite") })
	}
	if len(roles) > 0 {
		if failed := c.demand(roles); failed != nil {
			return nil, failed
		}
		if !reading(c.r) {
			return nil, c.notEmulated()
		}
	}
	return c.route.serve(c)
}

func reading(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// emulated reports whether a caller with the permission gets an answer of Graph's.
func (c *call) emulated() bool { return reading(c.r) && len(c.route.roles) > 0 }

// demand holds a caller to the application permissions that its token carries: one of
// the roles, or if they are not known, any.
func (c *call) demand(roles []string) *failure {
	made := journal.Check{Name: "permission", Expected: strings.Join(roles, " or "), Presented: cmp.Or(strings.Join(c.caller.Roles, ", "), "none"), Outcome: journal.Passed}
	held := slices.ContainsFunc(c.caller.Roles, func(role string) bool { return slices.Contains(roles, role) })
	if len(roles) == 0 {
		made.Expected, held = "an application permission", len(c.caller.Roles) > 0
	}
	if !held {
		made.Outcome = journal.Failed
	}
	c.checks = append(c.checks, made)
	if !held {
		return c.denied(roles)
	}
	return nil
}
