package sql

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
)

// single is a type of which a server has one resource, which is one of the server's properties.
type single struct {
	*rest.Kind
	name  string                                              // of the resource
	all   string                                              // of lists, for people
	shown func(server rest.Item) (properties any, there bool) // as a resource of its own
}

// view is such a resource as clients see it.
type view = rest.Shown[any]

// shownAdmin is the administrator of a server.
func shownAdmin(server rest.Item) (any, bool) {
	a, ok, _ := readAdministrators(server.ReadProperties(), server.Tenant) // makeServer has read it
	a.PrincipalType = ""                                                   // which this type does not have
	return a, ok
}

// shownOnly says whether nobody else than users of Entra ID logs in.
func shownOnly(server rest.Item) (any, bool) {
	a, _, _ := readAdministrators(server.ReadProperties(), server.Tenant) // makeServer has read it
	return map[string]bool{"azureADOnlyAuthentication": a.Only}, true
}

// provide gives the provider the operations of such a type.
func (s *service) provide(p *rest.Provider, of single, put, remove func(*rest.Call) (rest.Reply, *resource.Failure)) {
	segment := strings.TrimPrefix(of.Type, s.server.Type+"/")
	list := "/subscriptions/{subscription}/resourcegroups/{group}/providers/microsoft.sql/servers/{name0}/" + strings.ToLower(segment)
	one := list + "/{name1}"
	action := "servers/" + segment + "/"
	p.Add(http.MethodGet, list, "list "+of.all, action+"read", versions, func(c *rest.Call) (rest.Reply, *resource.Failure) { return s.list(c, of) })
	p.Add(http.MethodGet, one, "get "+of.Title, action+"read", versions, func(c *rest.Call) (rest.Reply, *resource.Failure) { return s.get(c, of) })
	p.Add(http.MethodPut, one, "set "+of.Title, action+"write", versions, put)
	p.Add(http.MethodDelete, one, "remove "+of.Title, action+"delete", versions, remove)
	p.Operations = append(p.Operations, s.Polls(of.Kind)...)
	p.Types = append(p.Types, rest.ResourceType{Name: "servers/" + segment, Versions: versions, Global: true})
}

func (s *service) view(of single, server rest.Item) (view, bool) {
	properties, ok := of.shown(server)
	return view{ID: server.ID + strings.TrimPrefix(of.Type, s.server.Type) + "/" + of.name, Name: of.name, Type: of.Type, Properties: properties}, ok
}

func (s *service) list(c *rest.Call, of single) (rest.Reply, *resource.Failure) {
	server, failed := c.At(s.server, "read")
	if failed != nil {
		return rest.Reply{}, failed
	}
	all := rest.List[view]{Value: []view{}}
	if shown, ok := s.view(of, server); ok {
		all.Value = append(all.Value, shown)
	}
	return rest.Reply{Body: all}, nil
}

func (s *service) get(c *rest.Call, of single) (rest.Reply, *resource.Failure) {
	server, failed := c.At(s.server, "read")
	if failed == nil {
		failed = named(c, of)
	}
	if failed != nil {
		return rest.Reply{}, failed
	}
	shown, ok := s.view(of, server)
	if !ok {
		return rest.Reply{}, rest.NotFound(of.Type, server.Name+"/"+of.name, server.Group())
	}
	return rest.Reply{Body: shown}, nil
}

// named refuses names that the only resource of a type does not have. The text is inferred.
func named(c *rest.Call, of single) *resource.Failure {
	if strings.EqualFold(c.Name("name1"), of.name) {
		return nil
	}
	return rest.BadRequest("InvalidResourceName", fmt.Sprintf("The resource name '%s' is invalid. It must be '%s'.", c.Name("name1"), of.name), "There is one of these, which is called "+of.name+".")
}

// later answers a change of a server's property as that of a resource of its own.
func (s *service) later(c *rest.Call, of single, server rest.Item, verb string, failed *resource.Failure) (rest.Reply, *resource.Failure) {
	if failed != nil {
		return rest.Reply{}, failed
	}
	shown, _ := s.view(of, server)
	return c.Later(of.Kind, rest.Item{ID: shown.ID, Tenant: server.Tenant, Type: of.Type, Name: of.name, Location: server.Location}, http.StatusAccepted, verb), nil
}

func (s *service) putAdmin(c *rest.Call, asked *administrators) (rest.Reply, *resource.Failure) {
	if failed := named(c, s.admin); failed != nil {
		return rest.Reply{}, failed
	}
	if asked == nil {
		return rest.Reply{}, rest.BadRequest("InvalidParameterValue", "Invalid value given for parameter Properties. Specify a valid parameter value.", "The body has no properties.")
	}
	server, failed := c.Change(s.server, func(p rest.Properties) *resource.Failure {
		had, _, failed := readAdministrators(p, c.Caller.Tenant)
		if failed == nil {
			failed = asked.check(c.Caller.Tenant)
		}
		asked.Only = had.Only
		p.Set("administrators", *asked)
		return failed
	})
	return s.later(c, s.admin, server, "Upsert", failed)
}

func (s *service) deleteAdmin(c *rest.Call) (rest.Reply, *resource.Failure) {
	if failed := named(c, s.admin); failed != nil {
		return rest.Reply{}, failed
	}
	none := false
	server, failed := c.Change(s.server, func(p rest.Properties) *resource.Failure {
		had, ok, _ := readAdministrators(p, c.Caller.Tenant) // makeServer has read it
		if none = !ok; none {
			return nil
		}
		if had.Only { // inferred of learn.microsoft.com, azure-sql/database/authentication-azure-ad-only-authentication
			return rest.BadRequest("AadOnlyAuthenticationEnabled", "The Microsoft Entra administrator cannot be removed while Microsoft Entra-only authentication is enabled.", "Without it nobody could log in.")
		}
		p.Set("administrators", nil)
		return nil
	})
	if none && failed == nil {
		return rest.Reply{Status: http.StatusNoContent}, nil
	}
	return s.later(c, s.admin, server, "Drop", failed)
}

func (s *service) putOnly(c *rest.Call) (rest.Reply, *resource.Failure) {
	var asked struct {
		Properties struct {
			Only bool `json:"azureADOnlyAuthentication"`
		} `json:"properties"`
	}
	if failed := c.Read(&asked); failed != nil {
		return rest.Reply{}, failed
	}
	return s.setOnly(c, asked.Properties.Only, "Upsert")
}

func (s *service) deleteOnly(c *rest.Call) (rest.Reply, *resource.Failure) {
	return s.setOnly(c, false, "Drop")
}

func (s *service) setOnly(c *rest.Call, only bool, verb string) (rest.Reply, *resource.Failure) {
	if failed := named(c, s.only); failed != nil {
		return rest.Reply{}, failed
	}
	server, failed := c.Change(s.server, func(p rest.Properties) *resource.Failure {
		had, ok, _ := readAdministrators(p, c.Caller.Tenant) // makeServer has read it
		if !ok && only {                                     // inferred of the same page
			return rest.BadRequest("AadAdminNotConfigured", "Microsoft Entra administrator is not configured, you must first configure a Microsoft Entra administrator before enabling Microsoft Entra-only authentication.", "Nobody could log in.")
		}
		if ok {
			had.Only = only
			p.Set("administrators", had)
		}
		return nil
	})
	return s.later(c, s.only, server, verb, failed)
}
