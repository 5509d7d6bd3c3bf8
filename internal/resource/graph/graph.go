// Package graph answers as Microsoft Graph does for the organization and for applications and
// service principals with their credentials, owners and app roles: it reads and changes the
// directory, for callers with the application permissions that Graph's reference names. It has no
// users and groups: requests for anything else are answered with 501 and a code that names wiemu,
// after the caller's permissions have been checked.
package graph

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

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
type Service struct {
	kit resource.Kit

	making  sync.Mutex // one object at a time is looked for and made
	deleted deleted

	requests func() http.Handler // what answers one request, made when it is asked for first
}

// New makes a service over the kit's directory. Changes of the directory show at once.
func New(k resource.Kit) *Service {
	s := &Service{kit: k}
	s.requests = sync.OnceValue(s.handler)
	return s
}

// Handler serves Graph's host, v1.0 and beta alike.
func (s *Service) Handler() http.Handler { return s.requests() }

func (s *Service) handler() http.Handler {
	byPath := s.byPath()
	// A fixed segment before one that is an id, and the longest first.
	paths := slices.SortedFunc(maps.Keys(byPath), func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(a, "{"), strings.Count(b, "{")), cmp.Compare(a+"{", b+"{"))
	})
	var routes []resource.Route
	for _, path := range paths {
		routes = append(routes, resource.Route{Path: `/{version:v1\.0|beta}` + path + `{slash:/?}`, Begin: s.begin(byPath[path])})
	}
	return s.kit.Handler(routes, s.begin(nil))
}

func (s *Service) byPath() map[string]map[string]operation {
	paths := map[string]map[string]operation{}
	for _, o := range operations() {
		if paths[o.path] == nil {
			paths[o.path] = map[string]operation{}
		}
		paths[o.path][o.method] = o
	}
	return paths
}

// operation is one thing that clients ask for.
type operation struct {
	method string
	path   string // in lower case, below the version; see keyed
	verb   string // for people; "": the method and the path
	needs  grants
	serve  handler
}

type handler func(*call) (resource.Answer, *resource.Failure)

// alone has one object at a time be looked for and made.
func alone(serve handler) handler {
	return func(c *call) (resource.Answer, *resource.Failure) {
		c.making.Lock()
		defer c.making.Unlock()
		return serve(c)
	}
}

// on serves what find finds, such as the application that the path names, or refuses as find does.
func on[T any](find func(*call) (T, *resource.Failure), serve func(*call, T) (resource.Answer, *resource.Failure)) handler {
	return func(c *call) (resource.Answer, *resource.Failure) {
		found, failed := find(c)
		if failed != nil {
			return resource.Answer{}, failed
		}
		return serve(c, found)
	}
}

// grants are the application permissions of which a caller has to have one.
type grants struct {
	roles []string // the least first; nil: any
	also  []string // of these one, too; nil: none
	own   bool     // an application may do it to itself without any
}

type call struct {
	*resource.Call
	*Service
	to    operation
	known bool // to is one of the operations

	late bool          // a fault lets new objects not be found
	lag  time.Duration // how new
}

func (s *Service) begin(methods map[string]operation) func(*resource.Call) resource.Request {
	return func(c *resource.Call) resource.Request {
		method := c.Request.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		to, known := methods[method]
		if !known {
			to = operation{serve: (*call).unknown}
		}
		return &call{Call: c, Service: s, to: to, known: known}
	}
}

// MaxBody implements resource.BodyService.
func (s *Service) MaxBody(r *http.Request) int64 {
	switch r.Method {
	case http.MethodPut, http.MethodPost, http.MethodPatch:
		return maxBody
	}
	return 0
}

// Unreadable implements resource.BodyService.
func (s *Service) Unreadable() http.Handler {
	return httppath.Fold(s.kit.Serve(func(c *resource.Call) resource.Request {
		return &call{Call: c, Service: s, to: operation{serve: func(*call) (resource.Answer, *resource.Failure) {
			return resource.Answer{}, unreadable("it is too long, or breaks off")
		}}}
	}))
}

func (c *call) Demand() (*resource.Want, *resource.Failure) { return c.kit.Want(""), nil }

func (c *call) Allow(refused *resource.Refusal) *resource.Failure {
	if refused != nil {
		return c.unauthorized(refused)
	}
	if c.to.needs.own && c.itself() {
		c.Check("permission", "none, for an application's own keys", cmp.Or(strings.Join(c.Caller.Roles, ", "), "none"), true)
		return nil
	}
	if len(c.to.needs.roles) == 0 {
		return nil
	}
	if failed := c.demand(c.to.needs.roles); failed != nil {
		return failed
	}
	if len(c.to.needs.also) > 0 {
		return c.demand(c.to.needs.also)
	}
	return nil
}

func (c *call) Serve() (resource.Answer, *resource.Failure) { return c.to.serve(c) }

func (c *call) Describe(e *journal.Event) (action string) {
	action = cmp.Or(c.to.verb, c.Request.Method+" "+httppath.Original(c.Request))
	e.Detail["action"] = action
	return action
}

func reading(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// holds reports whether the caller's token has one of the roles.
func (c *call) holds(roles ...string) bool {
	return slices.ContainsFunc(c.Caller.Roles, func(role string) bool { return slices.Contains(roles, role) })
}

// demand checks that the caller's token has one of the roles, or if there are none, any
// application permission.
func (c *call) demand(roles []string) *resource.Failure {
	expected, held := strings.Join(roles, " or "), c.holds(roles...)
	if len(roles) == 0 {
		expected, held = "an application permission", len(c.Caller.Roles) > 0
	}
	if !c.Check("permission", expected, cmp.Or(strings.Join(c.Caller.Roles, ", "), "none"), held) {
		return c.denied(roles)
	}
	return nil
}

// sent is an answer with the address of what was made.
type sent struct {
	body     entity
	location string
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
	body := answer.Body
	if more, ok := body.(sent); ok {
		h.Set("Location", more.location)
		body = more.body
	}
	contentType := "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
	number, plain := body.(int)
	if plain {
		contentType = "text/plain"
	}
	begun, breaks := body.(broken)
	if failed == nil {
		h.Set("OData-Version", "4.0")
	} else {
		contentType, body = "application/json", c.failure(failed, id, client)
		if failed.Status == http.StatusTooManyRequests {
			c.throttled(h)
		}
	}
	if body == nil {
		w.WriteHeader(answer.Status)
		return
	}
	h.Set("Content-Type", contentType)
	w.WriteHeader(answer.Status)
	switch {
	case plain:
		_, _ = w.Write(appendJSON(nil, number)) // the client has gone
		return
	case breaks:
		body = c.failure(resource.Fail(http.StatusInternalServerError, "InternalServerError", "The property 'subject[Nullable=False]' of type 'Edm.String' has a null value, which is not allowed.", "", ""), id, client)
		_, _ = w.Write([]byte(begun))
	}
	_, _ = w.Write(append(appendJSON(make([]byte, 0, size(body)), body), '\n')) // the client has gone
}

// size is about how many bytes a body has as JSON.
func size(body any) int {
	const object = 1 << 11
	if e, ok := body.(entity); ok && len(e) > 0 {
		page, _ := e[len(e)-1].value.([]entity)
		return object * (1 + len(page))
	}
	return object
}

// failure is the body of a refusal.
func (c *call) failure(failed *resource.Failure, id, client string) entity {
	return entity{{"error", entity{
		{"code", failed.Code},
		{"message", failed.Message},
		{"innerError", entity{
			{"date", c.kit.Clock.Now().Format("2006-01-02T15:04:05")},
			{"request-id", id},
			{"client-request-id", client},
		}},
	}}}
}
