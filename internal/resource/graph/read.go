package graph

import (
	"iter"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/resource"
)

func (c *call) organizations() (entity, *resource.Failure) {
	return c.list(organizationKind, "organization", func(query) iter.Seq[entity] {
		return func(yield func(entity) bool) {
			if t, ok := c.kit.Directory.Tenant(c.Caller.Tenant); ok {
				yield(organizationEntity(t))
			}
		}
	})
}

func (c *call) organization() (entity, *resource.Failure) {
	id := c.Vars["id"]
	t, ok := c.kit.Directory.Tenant(c.Caller.Tenant)
	if !ok || id != t.ID {
		return nil, notFound(id)
	}
	return c.one(organizationKind, "organization", organizationEntity(t))
}

// me is for users. The emulator's tokens are all an application's own.
func (c *call) me() (entity, *resource.Failure) { return nil, notDelegated() }

func (c *call) servicePrincipals() (entity, *resource.Failure) {
	return c.list(servicePrincipalKind, "servicePrincipals", c.principals(func(p *directory.Principal) (entity, bool) {
		return servicePrincipalEntity(c.Caller.Tenant, p), true
	}, c.kit.Directory.PrincipalByObjectID))
}

func (c *call) servicePrincipal() (entity, *resource.Failure) {
	p, failed := c.principal(c.kit.Directory.PrincipalByObjectID)
	if failed != nil {
		return nil, failed
	}
	return c.one(servicePrincipalKind, "servicePrincipals", servicePrincipalEntity(c.Caller.Tenant, p))
}

func (c *call) applications() (entity, *resource.Failure) {
	return c.list(applicationKind, "applications", c.principals(func(p *directory.Principal) (entity, bool) {
		return applicationEntity(p), p.Kind == directory.Application
	}, c.kit.Directory.ApplicationByObjectID))
}

func (c *call) application() (entity, *resource.Failure) {
	p, failed := c.registered()
	if failed != nil {
		return nil, failed
	}
	return c.one(applicationKind, "applications", applicationEntity(p))
}

func (c *call) federatedCredentials() (entity, *resource.Failure) {
	p, failed := c.registered()
	if failed != nil {
		return nil, failed
	}
	return c.list(federatedKind, federatedContext(p), func(query) iter.Seq[entity] {
		return func(yield func(entity) bool) {
			for _, f := range p.FederatedCredentials {
				if !yield(federatedEntity(f)) {
					return
				}
			}
		}
	})
}

// federatedCredential finds one by id or name.
func (c *call) federatedCredential() (entity, *resource.Failure) {
	p, failed := c.registered()
	if failed != nil {
		return nil, failed
	}
	wanted := c.Vars["credential"]
	if key, given := c.Vars["credentialkey"]; given {
		var ok bool
		if wanted, ok = keyed(key, "name"); !ok {
			return nil, unknownSegment(httppath.Segment(c.Request, 3))
		}
	}
	for _, f := range p.FederatedCredentials {
		if f.ID == wanted || strings.EqualFold(f.Name, wanted) {
			return c.one(federatedKind, federatedContext(p), federatedEntity(f))
		}
	}
	return nil, notFound(wanted)
}

func federatedContext(p *directory.Principal) string {
	return "applications('" + p.ApplicationObjectID + "')/federatedIdentityCredentials"
}

func (c *call) registered() (*directory.Principal, *resource.Failure) {
	p, failed := c.principal(c.kit.Directory.ApplicationByObjectID)
	if failed == nil && p.Kind != directory.Application {
		return nil, notFound(p.ClientID)
	}
	return p, failed
}

// principal is whom the path names: by object id, or by appId as an alternate key.
func (c *call) principal(byObjectID func(tenant, id string) (*directory.Principal, bool)) (*directory.Principal, *resource.Failure) {
	id := c.Vars["id"]
	if key, given := c.Vars["key"]; given {
		if appID, ok := keyed(key, "appid"); ok {
			if p, found := c.kit.Directory.Principal(c.Caller.Tenant, appID); found {
				return p, nil
			}
			return nil, notFound(appID)
		}
		var ok bool
		if id, ok = strings.CutPrefix(key, "'"); ok {
			id, ok = strings.CutSuffix(id, "'")
		}
		if !ok {
			return nil, unknownSegment(httppath.Segment(c.Request, 1))
		}
	}
	if uuid.Validate(id) != nil {
		return nil, invalidID(id)
	}
	if p, found := byObjectID(c.Caller.Tenant, id); found {
		return p, nil
	}
	return nil, notFound(id)
}

// keyed reads name='value', the form of an alternate key.
func keyed(key, name string) (value string, ok bool) {
	value, ok = strings.CutPrefix(key, name+"='")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(value, "'")
}

// principals goes through the tenant's principals. A filter by appId or id is
// answered from the directory's indexes, whatever their number.
func (c *call) principals(describe func(*directory.Principal) (entity, bool), byObjectID func(tenant, id string) (*directory.Principal, bool)) func(query) iter.Seq[entity] {
	return func(q query) iter.Seq[entity] {
		var all []*directory.Principal
		if appID, ok := q.by("appId"); ok {
			if p, found := c.kit.Directory.Principal(c.Caller.Tenant, appID); found {
				all = append(all, p)
			}
		} else if id, ok := q.by("id"); ok {
			if p, found := byObjectID(c.Caller.Tenant, id); found {
				all = append(all, p)
			}
		} else {
			all = c.kit.Directory.Principals(c.Caller.Tenant)
		}
		return func(yield func(entity) bool) {
			for _, p := range all {
				if e, ok := describe(p); ok && !yield(e) {
					return
				}
			}
		}
	}
}

// list answers with a page of the objects that pass the filter.
func (c *call) list(kind collection, context string, objects func(query) iter.Seq[entity]) (entity, *resource.Failure) {
	q, failed := kind.read(c.Request.URL.Query())
	if failed != nil {
		return nil, failed
	}
	page, last, more := []entity{}, "", false
	waiting := q.after != ""
	for e := range objects(q) {
		id, _ := e.get("id")
		if waiting {
			waiting = id.value != q.after
			continue
		}
		if !q.matches(e, kind.exact) {
			continue
		}
		if len(page) == q.top {
			more = true
			break
		}
		page, last = append(page, q.shape(e)), id.value.(string)
	}
	answer := entity{c.context(context, q, "")}
	if more {
		answer = append(answer, property{"@odata.nextLink", c.nextLink(last)})
	}
	return append(answer, property{"value", page}), nil
}

func (c *call) one(kind collection, context string, e entity) (entity, *resource.Failure) {
	q, failed := kind.read(c.Request.URL.Query())
	if failed != nil {
		return nil, failed
	}
	return append(entity{c.context(context, q, "/$entity")}, q.shape(e)...), nil
}

// unknown answers for what is not served: of what Graph has, that it is not emulated
// here, if the caller would get as far as that; of anything else, as Graph does, which
// names the segment that it does not know.
func (c *call) unknown() (entity, *resource.Failure) {
	segments := strings.Split(strings.Trim(httppath.Original(c.Request), "/"), "/")
	version := segments[0]
	if !strings.EqualFold(version, "v1.0") && !strings.EqualFold(version, "beta") {
		return nil, invalidVersion(version)
	}
	if len(segments) == 1 {
		return nil, unknownSegment("")
	}
	first, _, _ := strings.Cut(strings.ToLower(segments[1]), "(")
	roles, there := segmentRoles()[first]
	if !there {
		return nil, unknownSegment(segments[1])
	}
	if failed := c.demand(roles); failed != nil {
		return nil, failed
	}
	return nil, c.notEmulated()
}
