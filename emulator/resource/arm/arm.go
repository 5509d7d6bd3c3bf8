// Package arm answers as Azure Resource Manager does for what a command-line
// tool asks when it logs in: the subscriptions and tenants that its identity
// sees, and the cloud's addresses. It manages no resources.
package arm

import (
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

// audiences are what tokens for Resource Manager may be for, in the order in
// which it names them itself.
// Source: InvalidAuthenticationTokenAudience in many logs.
func (s *Service) audiences() []string {
	hosts := s.validator.Cloud().Management
	var all []string
	for _, host := range []string{hosts[1], hosts[0]} {
		all = append(all, "https://"+host+"/", "https://"+host)
	}
	return all
}

// appID is Resource Manager's client id, which tokens may name as their audience.
const appID = "797f4846-ba00-4fd7-ba43-dac1f8f63013"

// Subscription is one that every identity of its tenant sees.
type Subscription struct {
	ID     string // GUID in lower case
	Name   string
	Tenant string // GUID in lower case
}

// Service serves subscriptions. It is safe for concurrent use.
type Service struct {
	subscriptions []Subscription
	directory     *directory.Directory
	validator     *resource.Validator
	clock         clock.Clock
	journal       *journal.Journal
	router        *mux.Router
}

// New makes a service.
func New(subscriptions []Subscription, dir *directory.Directory, v *resource.Validator, clk clock.Clock, j *journal.Journal) *Service {
	s := &Service{subscriptions: slices.Clone(subscriptions), directory: dir, validator: v, clock: clk, journal: j}
	s.router = s.routes()
	return s
}

// Handler serves both hosts.
func (s *Service) Handler() http.Handler { return httppath.Fold(s.router) }

// route is one thing that can be read.
type route struct {
	path   string // in lower case
	verb   string // for people
	public bool   // no token is asked for
	serve  func(*call) (any, *failure)
}

func readable() []route {
	return []route{
		{"/subscriptions", "list subscriptions", false, (*call).list},
		{"/subscriptions/{subscription}", "get subscription", false, (*call).get},
		{"/tenants", "list tenants", false, (*call).tenants},
		{"/metadata/endpoints", "get the cloud's endpoints", true, (*call).endpoints},
	}
}

func (s *Service) routes() *mux.Router {
	r := mux.NewRouter().SkipClean(true)
	for _, to := range readable() {
		r.Methods(http.MethodGet, http.MethodHead).Path(to.path).HandlerFunc(func(w http.ResponseWriter, req *http.Request) { s.handle(w, req, to) })
	}
	unknown := route{verb: "something else", serve: (*call).unknown}
	r.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { s.handle(w, req, unknown) })
	r.MethodNotAllowedHandler = r.NotFoundHandler
	return r
}

// call is one request on its way through the checks.
type call struct {
	*Service
	r      *http.Request
	vars   map[string]string // of the path, in lower case
	caller resource.Caller
	checks []journal.Check
}

func (s *Service) handle(w http.ResponseWriter, r *http.Request, to route) {
	c := &call{Service: s, r: r, vars: mux.Vars(r)}
	var refused *resource.Refusal
	if !to.public {
		c.caller, c.checks, refused = s.validator.Validate(r.Context(), resource.Bearer(r), resource.Want{
			Audiences: append(s.audiences(), appID),
			Known:     func(tenant string) bool { _, ok := s.directory.Tenant(tenant); return ok },
		})
	}
	found, failed := c.answer(to, refused)
	event := resource.Access(r, c.caller, c.checks)
	if upset := interrupted(r.Context()); upset != nil {
		found, failed, refused = nil, upset, nil
	}
	if refused != nil {
		resource.Refuse(&event, refused)
	}
	s.tell(r.Context(), event, to, failed)
	s.write(w, r, found, failed)
}

// answer makes the checks in Resource Manager's order: the version of its API is
// the first thing that it looks at.
func (c *call) answer(to route, refused *resource.Refusal) (any, *failure) {
	if failed := c.apiVersion(); failed != nil {
		return nil, failed
	}
	if refused != nil {
		return nil, c.unauthorized(refused)
	}
	return to.serve(c)
}

func (c *call) apiVersion() *failure {
	version := c.r.URL.Query().Get("api-version")
	switch {
	case version == "":
		return missingVersion()
	case !isVersion(version):
		return invalidVersion(version)
	}
	return nil
}

// isVersion reports whether a version looks like one: a date and maybe -preview.
func isVersion(v string) bool {
	date := strings.TrimSuffix(v, "-preview")
	if len(date) != len("2022-12-01") {
		return false
	}
	for i, r := range date {
		if dash := i == 4 || i == 7; dash && r != '-' || !dash && (r < '0' || r > '9') {
			return false
		}
	}
	return true
}
