package resource

import (
	"context"

	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/roles"
)

// Authorize reports whether the caller's Azure roles permit what it wants to do on a scope:
// all actions of one of the lists. It makes the check "role". A refusal is worded by the
// resource, with the decision's Meaning and Remedy for the journal.
func (k Kit) Authorize(ctx context.Context, c *Call, scope string, needs ...[]roles.Action) roles.Decision {
	d := k.Roles.Allowed(ctx, roles.Request{
		Tenant: c.Caller.Tenant, ObjectID: c.Caller.ObjectID, ClientID: c.Caller.ClientID, Scope: scope, Needs: needs,
		About: faults.Subject{Component: k.Resource.Name, Host: c.Host, Client: c.Caller.ClientID},
	})
	c.Check("role", d.Expected(), d.Presented(), d.Allowed)
	c.Note(d.Note)
	return d
}

// Note has a sentence without a full stop told of the call if it ends well; "" is none.
func (c *Call) Note(text string) {
	if text != "" {
		c.note = text
	}
}
