package graph

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/tenants"
)

func (c *call) organizations() (resource.Answer, *resource.Failure) {
	return c.list(organizationKind, "organization", func(query) objects {
		t, _ := c.kit.Directory.Tenant(c.Caller.Tenant)
		return entities([]entity{organizationEntity(t)})
	})
}

func (c *call) organization() (resource.Answer, *resource.Failure) {
	id := c.Vars["id"]
	t, ok := c.kit.Directory.Tenant(c.Caller.Tenant)
	if !ok || id != t.ID {
		return resource.Answer{}, notFound(id)
	}
	return c.one(organizationKind, "organization", organizationEntity(t))
}

// me is for users. The emulator's tokens are all an application's own.
func (c *call) me() (resource.Answer, *resource.Failure) { return resource.Answer{}, notDelegated() }

func (c *call) servicePrincipals() (resource.Answer, *resource.Failure) {
	return c.list(servicePrincipalKind, "servicePrincipals", c.allServicePrincipals)
}

func (c *call) countServicePrincipals() (resource.Answer, *resource.Failure) {
	return c.number(servicePrincipalKind, c.allServicePrincipals)
}

func (c *call) servicePrincipal(p *directory.Principal) (resource.Answer, *resource.Failure) {
	return c.one(servicePrincipalKind, "servicePrincipals", servicePrincipalEntity(c.Caller.Tenant, p))
}

func (c *call) applications() (resource.Answer, *resource.Failure) {
	return c.list(applicationKind, "applications", c.allApplications)
}

func (c *call) countApplications() (resource.Answer, *resource.Failure) {
	return c.number(applicationKind, c.allApplications)
}

func (c *call) application(p *directory.Principal) (resource.Answer, *resource.Failure) {
	e := c.applicationEntity(p)
	if strings.Contains(c.Request.URL.Query().Get("$select"), "keyCredentials") { // then, and then alone, with the keys
		e.set("keyCredentials", keyCredentials(p, false, true))
	}
	return c.one(applicationKind, "applications", e)
}

func (c *call) applicationEntity(p *directory.Principal) entity {
	e := applicationEntity(c.domain(), p)
	if c.beta() {
		e = append(e, property{requirePostResponse.name, memberValue(graphOf(p).Application, requirePostResponse)})
	}
	return e
}

// domain is the tenant's initial one, which registrations have as their publisher's.
func (c *call) domain() string {
	t, _ := c.kit.Directory.Tenant(c.Caller.Tenant)
	if len(t.Domains) == 0 {
		return ""
	}
	return t.Domains[0]
}

// principal is the service principal that the path names.
func (c *call) principal() (*directory.Principal, *resource.Failure) {
	p, name, failed := c.named(c.kit.Directory.PrincipalByObjectID)
	switch {
	case failed != nil:
		return nil, failed
	case p == nil && name == c.graphPrincipal().ObjectID || p == nil && name == c.kit.Resource.AppID:
		return c.graphPrincipal(), nil
	case p == nil || p.NoServicePrincipal || c.hidden(servicePrincipalSince(p)):
		return nil, notFound(name)
	}
	return p, nil
}

// registered is the app registration that the path names.
func (c *call) registered() (*directory.Principal, *resource.Failure) {
	p, name, failed := c.named(c.kit.Directory.ApplicationByObjectID)
	if failed != nil {
		return nil, failed
	}
	if p == nil || p.Kind != directory.Application || c.hidden(p.CreatedAt) {
		return nil, notFound(name)
	}
	return p, nil
}

// named finds whom the path names by object id, or by appId or uniqueName as an alternate key;
// nil if there is nobody. name is what it was looked for by.
func (c *call) named(byObjectID func(tenant, id string) (*directory.Principal, bool)) (p *directory.Principal, name string, failed *resource.Failure) {
	key, keyed := c.key("at", 1)
	if keyed {
		switch property, value, ok := alternateKey(key); {
		case !ok:
			return nil, "", unknownSegment(httppath.Segment(c.Request, 1))
		case property == "appid":
			p, _ = c.kit.Directory.Principal(c.Caller.Tenant, value)
			return p, value, nil
		case property == "uniquename" && c.ofApplication():
			p, _ = c.kit.Directory.ApplicationByUniqueName(c.Caller.Tenant, value)
			return p, value, nil
		case property == "":
			key = value
		default:
			return nil, "", unknownSegment(httppath.Segment(c.Request, 1))
		}
	}
	if uuid.Validate(key) != nil {
		return nil, "", invalidID(key)
	}
	p, _ = byObjectID(c.Caller.Tenant, key)
	return p, strings.ToLower(key), nil
}

// ofApplication reports whether the path begins with an application, and not with a service
// principal.
func (c *call) ofApplication() bool {
	return strings.HasPrefix(strings.ToLower(httppath.Segment(c.Request, 1)), "applications")
}

// key is what follows a collection in the path, as the client spelt it: the segment behind it, or
// what is in the parentheses of its own segment, the one at this place.
func (c *call) key(variable string, at int) (key string, inParentheses bool) {
	if strings.HasPrefix(c.Vars[variable], "(") {
		_, key, _ = strings.Cut(httppath.Segment(c.Request, at), "(")
		return strings.TrimSuffix(key, ")"), true
	}
	return httppath.Segment(c.Request, at+1), false
}

// behind is the place of the segment behind the object that the path begins with.
func (c *call) behind() int {
	if strings.HasPrefix(c.Vars["at"], "(") {
		return 2
	}
	return 3
}

// alternateKey reads name='value', or 'value' alone, without a name. A quote within is doubled.
func alternateKey(key string) (property, value string, ok bool) {
	property, value, ok = strings.Cut(key, "=")
	if !ok {
		property, value = "", key
	}
	value, ok = strings.CutPrefix(value, "'")
	if !ok {
		return "", "", false
	}
	value, ok = strings.CutSuffix(value, "'")
	if strings.Count(value, "'")%2 != 0 {
		return "", "", false
	}
	return strings.ToLower(property), strings.ReplaceAll(value, "''", "'"), ok
}

// hidden reports whether an object is so new that Graph does not find it yet: a fault.
func (c *call) hidden(since time.Time) bool {
	if since.IsZero() || !c.kit.Faults.Any() {
		return false
	}
	age := c.kit.Clock.Now().Sub(since)
	if c.late {
		return age < c.lag
	}
	h, hit := c.kit.Hit(c.Context(), c.Call, faultkind.ObjectNotReplicated, func(h faults.Hit) bool { return age < h.Duration("delay") })
	if hit { // one request is one hit, however many objects it does not find
		c.late, c.lag = true, h.Duration("delay")
	}
	return hit
}

// allApplications are the tenant's app registrations. A filter by appId or id is answered from the
// directory's indexes, whatever their number.
func (c *call) allApplications(q query) objects {
	all := c.principals(q, c.kit.Directory.ApplicationByObjectID)
	return objects{
		number: len(all),
		id:     func(i int) string { return all[i].ClientID },
		quick:  quick(all, func(p *directory.Principal) string { return p.ApplicationObjectID }),
		entity: func(i int) entity {
			if p := all[i]; p.Kind == directory.Application && !c.hidden(p.CreatedAt) {
				return c.applicationEntity(p)
			}
			return nil
		},
	}
}

func (c *call) allServicePrincipals(q query) objects {
	all := c.principals(q, c.kit.Directory.PrincipalByObjectID)
	if _, taken := c.kit.Directory.Principal(c.Caller.Tenant, c.kit.Resource.AppID); !taken {
		own := c.graphPrincipal()
		asked := true // as principals narrows the list
		if appID, ok := q.by("appId"); ok {
			asked = strings.EqualFold(appID, own.ClientID)
		} else if id, ok := q.by("id"); ok {
			asked = strings.EqualFold(id, own.ObjectID)
		}
		if asked {
			all = append(all, own)
		}
	}
	return objects{
		number: len(all),
		id:     func(i int) string { return all[i].ClientID },
		quick:  quick(all, func(p *directory.Principal) string { return p.ObjectID }),
		entity: func(i int) entity {
			if p := all[i]; !p.NoServicePrincipal && !c.hidden(servicePrincipalSince(p)) {
				return servicePrincipalEntity(c.Caller.Tenant, p)
			}
			return nil
		},
	}
}

// quick has the properties of principals by which clients look for them.
func quick(all []*directory.Principal, id func(*directory.Principal) string) func(int, string) (any, bool) {
	return func(i int, name string) (any, bool) {
		p := all[i]
		switch name {
		case "id":
			return id(p), true
		case "appId":
			return p.ClientID, true
		case "displayName":
			return p.DisplayName, true
		case "identifierUris":
			return p.IdentifierURIs, true
		case "servicePrincipalNames":
			return append([]string{p.ClientID}, p.IdentifierURIs...), true
		case "uniqueName":
			return textOrNull(graphOf(p).UniqueName), true
		}
		return nil, false
	}
}

func (c *call) principals(q query, byObjectID func(tenant, id string) (*directory.Principal, bool)) []*directory.Principal {
	p, found := (*directory.Principal)(nil), false
	if appID, ok := q.by("appId"); ok {
		p, found = c.kit.Directory.Principal(c.Caller.Tenant, appID)
	} else if id, ok := q.by("id"); ok {
		p, found = byObjectID(c.Caller.Tenant, id)
	} else {
		return c.kit.Directory.Principals(c.Caller.Tenant)
	}
	if !found {
		return nil
	}
	return []*directory.Principal{p}
}

// graphPrincipal is Microsoft Graph's own service principal, which every tenant has: with it
// clients look up the ids of application permissions.
func (c *call) graphPrincipal() *directory.Principal {
	app := c.kit.Resource.AppID
	p := &directory.Principal{Kind: directory.Application, ClientID: app, ObjectID: tenants.StableID("service principal", c.Caller.Tenant, app), DisplayName: "Microsoft Graph", Graph: &directory.GraphObject{}}
	for _, one := range permissions {
		p.Graph.AppRoles = append(p.Graph.AppRoles, directory.AppRole{ID: one.id, Value: one.name, DisplayName: one.name, Description: one.name, AllowedMemberTypes: []string{"Application"}, Enabled: true})
	}
	return p
}

// directoryObject answers for an application or a service principal, by object id.
func (c *call) directoryObject() (resource.Answer, *resource.Failure) {
	id := c.Vars["id"]
	if uuid.Validate(id) != nil {
		return resource.Answer{}, invalidID(id)
	}
	found := c.object(id)
	if found == nil {
		return resource.Answer{}, notFound(id)
	}
	return resource.Answer{Body: append(entity{c.context("directoryObjects", query{}, "/$entity")}, found...)}, nil
}

// object is the application or service principal with an object id, with its type; nil if there
// is none.
func (c *call) object(id string) entity {
	if p, ok := c.kit.Directory.PrincipalByObjectID(c.Caller.Tenant, id); ok && !p.NoServicePrincipal && !c.hidden(servicePrincipalSince(p)) {
		return append(entity{{"@odata.type", "#microsoft.graph.servicePrincipal"}}, servicePrincipalEntity(c.Caller.Tenant, p)...)
	}
	if p, ok := c.kit.Directory.ApplicationByObjectID(c.Caller.Tenant, id); ok && !c.hidden(p.CreatedAt) {
		return append(entity{{"@odata.type", "#microsoft.graph.application"}}, c.applicationEntity(p)...)
	}
	return nil
}

// kindOf is the last part of an object's type, in lower case: application or serviceprincipal.
func kindOf(e entity) string {
	p, _ := e.get("@odata.type")
	text, _ := p.value.(string)
	return shortKind(text)
}

// shortKind is the last part of the name of a type, such as #microsoft.graph.application, in lower case.
func shortKind(name string) string {
	return strings.ToLower(name[strings.LastIndexByte(name, '.')+1:])
}

// maxIDs is how many ids getByIds takes.
// Source: microsoft-graph-docs-contrib, api-reference/v1.0/api/directoryobject-getbyids.md.
const maxIDs = 1000

// directoryObjects answers getByIds: with the objects of these types, of any if there are none. The
// case of types does not count (source: as above). An id that is there twice is answered once: no
// source was found for what Graph does then.
func (c *call) directoryObjects() (resource.Answer, *resource.Failure) {
	var ids []guid
	var types []string
	if _, failed := c.taken("ids", &ids, "types", &types); failed != nil {
		return resource.Answer{}, failed
	}
	if len(ids) > maxIDs {
		return resource.Answer{}, badRequest("Too many ids.", "getByIds takes at most 1000 ids.", "") // text inferred
	}
	wanted := func(e entity) bool {
		return len(types) == 0 || slices.ContainsFunc(types, func(name string) bool {
			return shortKind(name) == "directoryobject" || shortKind(name) == kindOf(e)
		})
	}
	found, before := []entity{}, map[guid]bool{}
	for _, id := range ids {
		if before[id] {
			continue
		}
		before[id] = true
		if e := c.object(string(id)); e != nil && wanted(e) {
			found = append(found, e)
		}
	}
	return resource.Answer{Body: entity{c.context("directoryObjects", query{}, ""), {"value", found}}}, nil
}

// unknown answers for what is not served: of what Graph has, that it is not emulated
// here, if the caller would get as far as that; of anything else, as Graph does, which
// names the segment that it does not know.
func (c *call) unknown() (resource.Answer, *resource.Failure) {
	segments := strings.Split(strings.Trim(httppath.Original(c.Request), "/"), "/")
	version := segments[0]
	if !strings.EqualFold(version, "v1.0") && !strings.EqualFold(version, "beta") {
		return resource.Answer{}, invalidVersion(version)
	}
	if len(segments) == 1 {
		return resource.Answer{}, unknownSegment("")
	}
	first, _, _ := strings.Cut(strings.ToLower(segments[1]), "(")
	if first == "me" {
		return c.me()
	}
	roles, there := segmentRoles()[first]
	if !there {
		return resource.Answer{}, unknownSegment(segments[1])
	}
	if !reading(c.Request) { // none that reads alone will do
		roles = slices.DeleteFunc(slices.Clone(roles), func(role string) bool { return !strings.Contains(role, "ReadWrite") })
	}
	if failed := c.demand(roles); failed != nil {
		return resource.Answer{}, failed
	}
	return resource.Answer{}, notEmulated(c.Request.Method + " " + httppath.Original(c.Request))
}

// noContent is the answer of what changes something and shows nothing.
func noContent() resource.Answer { return resource.Answer{Status: http.StatusNoContent} }
