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
		About: k.about(c),
	})
	c.Check("role", d.Expected(), d.Presented(), d.Allowed)
	c.Note(d.Note)
	return d
}

// about is what faults know of a call.
func (k Kit) about(c *Call) faults.Subject {
	return faults.Subject{Component: k.Resource.Name, Host: c.Host, Client: c.Caller.ClientID}
}

// Hit reports whether a fault of a kind hits a call, as [faults.Set.HitCall] does.
func (k Kit) Hit(ctx context.Context, c *Call, kind string, accept func(faults.Hit) bool) (faults.Hit, bool) {
	return k.Faults.HitCall(ctx, kind, k.about(c), accept)
}

// Note has a sentence without a full stop told of the call if it ends well; "" is none.
func (c *Call) Note(text string) {
	if text != "" {
		c.note = text
	}
}
