package graph

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/tenants"
)

// may refuses who may write only what it owns if it does not own p.
func (c *call) may(p *directory.Principal) *resource.Failure {
	if !c.ownOnly() {
		return nil
	}
	g := graphOf(p)
	owns := slices.Contains(g.Owners, c.Caller.ObjectID) || !c.ofApplication() && slices.Contains(g.ServicePrincipalOwners, c.Caller.ObjectID)
	owners := cmp.Or(strings.Join(slices.Concat(g.Owners, g.ServicePrincipalOwners), ", "), "nobody")
	if c.Check("owner", c.Caller.ObjectID, owners, owns) {
		return nil
	}
	failed := c.denied([]string{readWriteAll})
	failed.Meaning = "Application.ReadWrite.OwnedBy permits to write what the caller owns, and it does not own " + p.DisplayName + "."
	failed.Remedy = "Make the caller's service principal an owner of it, or: " + failed.Remedy
	return failed
}

// ownOnly reports whether of what the operation needs the caller has Application.ReadWrite.OwnedBy
// alone.
func (c *call) ownOnly() bool {
	needs := c.to.needs
	if needs.own && c.itself() || !slices.Contains(needs.roles, ownedBy) || !c.holds(ownedBy) {
		return false
	}
	return !c.holds(slices.DeleteFunc(slices.Clone(needs.roles), func(role string) bool { return role == ownedBy })...)
}

// itself reports whether the path names the caller.
func (c *call) itself() bool {
	p, _, failed := c.subject()
	return failed == nil && p != nil && p.ClientID == c.Caller.ClientID
}

// subject is whom the path names, as application or service principal.
func (c *call) subject() (*directory.Principal, string, *resource.Failure) {
	if c.ofApplication() {
		return c.named(c.kit.Directory.ApplicationByObjectID)
	}
	return c.named(c.kit.Directory.PrincipalByObjectID)
}

// target is the application or service principal that the path names, to be written.
func (c *call) target() (*directory.Principal, *resource.Failure) {
	p, failed := c.readTarget()
	if failed != nil {
		return nil, failed
	}
	if p.ClientID == c.kit.Resource.AppID {
		return nil, c.denied(nil)
	}
	return p, c.may(p)
}

// asked reads the members that the body of an action has, and returns what the path names, to be
// written.
func (c *call) asked(members ...any) (*directory.Principal, *resource.Failure) {
	if _, failed := c.taken(members...); failed != nil {
		return nil, failed
	}
	return c.target()
}

// update changes a principal; change may refuse. It returns what it is then.
func (c *call) update(p *directory.Principal, change func(*directory.Principal) *resource.Failure) (*directory.Principal, *resource.Failure) {
	return c.write(p, func(p *directory.Principal) *resource.Failure {
		before := entries(p)
		failed := change(p)
		if failed == nil && entries(p) > before {
			failed = tooLarge(p)
		}
		return failed
	}, c.refused)
}

// changed answers a request with an update, of which the journal is told.
func (c *call) changed(p *directory.Principal, change func(*directory.Principal) *resource.Failure, format string, args ...any) (resource.Answer, *resource.Failure) {
	changed, failed := c.update(p, change)
	if failed != nil {
		return resource.Answer{}, failed
	}
	c.record(changed, format, args...)
	return noContent(), nil
}

// write changes a principal, unless change refuses. refused words what the directory does not take.
func (c *call) write(p *directory.Principal, change func(*directory.Principal) *resource.Failure, refused func(error, *directory.Principal) *resource.Failure) (*directory.Principal, *resource.Failure) {
	var failed *resource.Failure
	err := c.kit.Directory.Update(c.Caller.Tenant, p.ClientID, func(p *directory.Principal) error {
		p.Graph = cmp.Or(p.Graph, &directory.GraphObject{})
		if failed = change(p); failed != nil {
			return errRefused
		}
		return nil
	})
	if failed != nil {
		return nil, failed
	}
	if err != nil {
		return nil, refused(err, p)
	}
	changed, ok := c.kit.Directory.Principal(c.Caller.Tenant, p.ClientID)
	if !ok {
		return nil, notFound(p.ClientID)
	}
	return changed, nil
}

// maxEntries is how many entries the lists of an application and its service principal have together.
// Source: MicrosoftDocs/entra-docs, docs/includes/entra-service-limits-include.md, of an application's
// manifest. Which lists count is inferred. It is there so that a small request cannot make a large object.
const maxEntries = 1200

func entries(p *directory.Principal) int {
	g := graphOf(p)
	return len(p.Secrets) + len(p.Certificates) + len(p.IdentifierURIs) + len(p.FederatedCredentials) + len(g.AppRoles) + len(g.Owners) + len(g.ServicePrincipalOwners)
}

// tooLarge refuses an application with more entries than it may have.
func tooLarge(p *directory.Principal) *resource.Failure {
	if n := entries(p); n > maxEntries {
		return tooMany(n, "credentials, app roles, URIs and owners", maxEntries)
	}
	return nil
}

func tooMany(n int, what string, limit int) *resource.Failure {
	return sizeExceeded(fmt.Sprintf("The application would have %d %s; it has %d at most.", n, what, limit), "Remove those that are not needed.")
}

// sizeExceeded refuses an object that would be too large. Source of the text: see untrusted.
func sizeExceeded(meaning, remedy string) *resource.Failure {
	return resource.Fail(http.StatusForbidden, "Directory_ResourceSizeExceeded", "The size of the object has exceeded its limit. Please reduce the number of values and retry your request.", meaning, remedy)
}

var errRefused = errors.New("refused")

// refused words what the directory does not take.
// Source of the text about identifierUris: Azure/pcs-cli#146, from Graph's predecessor, and many
// since. Others are inferred.
func (c *call) refused(err error, p *directory.Principal) *resource.Failure {
	var what *tenants.Error
	if !errors.As(err, &what) {
		return resource.Fail(http.StatusInternalServerError, "Service_InternalServerError", "Encountered an internal server error.", "The directory could not be stored: "+err.Error(), "Look after the state directory of the server.")
	}
	meaning := fmt.Sprintf("%s: expected %s, found %s.", what.Field, what.Expected, what.Found)
	field := strings.TrimRight(what.Field[strings.LastIndexByte(what.Field, '.')+1:], "[]0123456789")
	switch {
	case errors.Is(what, tenants.ErrNotFound): // deleted meanwhile
		return notFound(p.ApplicationObjectID)
	case errors.Is(what, tenants.ErrDuplicate):
		return badRequest(fmt.Sprintf("Another object with the same value for property %s already exists.", field), meaning, "Choose another value, or delete the other object first.")
	}
	return badRequest(fmt.Sprintf("Invalid value specified for property '%s' of resource 'Application'.", field), meaning, "")
}

// next is an id for an object that is made of a principal: never one that another has had.
func next(p *directory.Principal, what string) string {
	p.Graph.Made++
	return tenants.StableID(what, p.ClientID, strconv.Itoa(p.Graph.Made))
}

// record tells the journal what became of a principal.
func (c *call) record(p *directory.Principal, format string, args ...any) {
	c.recordEvent(p, journal.Event{Summary: fmt.Sprintf(format, args...)})
}

func (c *call) recordEvent(p *directory.Principal, e journal.Event) {
	e.Kind, e.Outcome, e.Tenant, e.ClientID, e.ObjectID, e.Identity = journal.Directory, journal.OK, c.Caller.Tenant, p.ClientID, p.ObjectID, p.DisplayName
	e.Summary = fmt.Sprintf("%s (%s) %s", p.DisplayName, p.ClientID, e.Summary)
	c.kit.Journal.Record(e)
}

// created answers with a new object.
// Source of Location: the recordings of azure-cli, see objects.go.
func (c *call) created(context, location string, e entity) resource.Answer {
	return resource.Answer{Status: http.StatusCreated, Body: sent{
		append(entity{c.context(context, query{}, "/$entity")}, e...), fmt.Sprintf("https://%s/v2/%s/%s", c.kit.Cloud().Graph, c.Caller.Tenant, location),
	}}
}

// upserting reports whether what is not there is to be made by PATCH.
// Source: microsoft-graph-docs-contrib, api-reference/v1.0/api/application-upsert.md.
func (c *call) upserting() bool {
	return strings.EqualFold(c.Request.Header.Get("Prefer"), "create-if-missing")
}
