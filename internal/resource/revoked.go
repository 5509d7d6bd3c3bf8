package resource

import (
	"context"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
)

// revoked makes one more check of a token that is good, if there was a revocation after it
// had been given out. One whose access is not evaluated continuously is good until it
// expires.
func (k Kit) revoked(c *Call) *Refusal {
	if k.Directory == nil {
		return nil
	}
	p, everywhere := k.Directory.Revocation(c.Caller.Tenant, c.Caller.ClientID, c.Caller.UTI, c.Caller.IssuedAt)
	if p == nil {
		return nil
	}
	since := p.TokensValidFrom
	if everywhere && !c.Caller.Evaluated {
		since = p.EverywhereValidFrom
	}
	made := journal.Check{Name: "not revoked", Expected: "given out after " + stamp(since), Presented: "given out before", Outcome: journal.Failed}
	if !everywhere && !c.Caller.Evaluated {
		made.Outcome, made.Note = journal.Passed, "the token is not evaluated continuously (no xms_cc), so that it is good until it expires"
		c.Checks = append(c.Checks, made)
		return nil
	}
	c.Checks = append(c.Checks, made)
	return &Refusal{Reason: Revoked, Check: made.Name, Expected: made.Expected, Presented: made.Presented, Since: since}
}

// revoke revokes the caller's sessions if a fault says so.
func (k Kit) revoke(ctx context.Context, c *Call) {
	if !k.Faults.Any() || k.Directory == nil {
		return
	}
	known := func(faults.Hit) bool {
		_, known := k.Directory.Principal(c.Caller.Tenant, c.Caller.ClientID)
		return known
	}
	if _, hit := k.Hit(ctx, c, faultkind.SessionsRevoked, known); hit {
		_ = k.Directory.Revoke(c.Caller.Tenant, c.Caller.ClientID, k.Clock.Now(), true) // known
	}
}
