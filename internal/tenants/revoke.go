package tenants

import (
	"maps"
	"time"

	"github.com/wiemu/wiemu/emulator/directory"
)

// BackDated is by how much iat and nbf of access tokens lie before the time at which they
// are given out.
// Source: tokens decoded from recordings: exp - iat is expires_in + 301 s.
const BackDated = 5 * time.Minute

// Revoke revokes the access tokens that were given out to a principal until now: for
// resources that evaluate access continuously, or for all. What was revoked before stays so.
func (d *Directory) Revoke(tenantID, clientID string, now time.Time, everywhere bool) error {
	return d.Update(tenantID, clientID, func(p *directory.Principal) error {
		p.TokensValidFrom = now
		if everywhere {
			p.EverywhereValidFrom = now
		}
		return nil
	})
}

// Issued says that a principal was given an access token. Of one that was given out just
// after a revocation the time alone does not tell, since it is in whole seconds.
func (d *Directory) Issued(tenantID string, p *directory.Principal, uti string, now time.Time) {
	if p.TokensValidFrom.IsZero() || now.Sub(p.TokensValidFrom) > time.Second {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.entry(tenantID, p.ClientID); e != nil && e.principal.TokensValidFrom.Equal(p.TokensValidFrom) {
		if !e.since.Equal(p.TokensValidFrom) {
			e.since = p.TokensValidFrom
			maps.DeleteFunc(e.fresh, func(_ string, given time.Time) bool { // what is not of the second after the other revocation
				after := given.Sub(p.EverywhereValidFrom)
				return after < 0 || after > time.Second
			})
		}
		if e.fresh == nil {
			e.fresh = map[string]time.Time{}
		}
		e.fresh[uti] = now
	}
}

// Revocation returns the principal whose tokens were revoked after one with this iat was
// given out; nil if this one was not. everywhere reports whether that was for all resources
// once: a later revocation for some takes none back.
func (d *Directory) Revocation(tenantID, clientID, uti string, issuedAt time.Time) (p *directory.Principal, everywhere bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	e := d.entry(tenantID, clientID)
	if e == nil {
		return nil, false
	}
	given, known := e.fresh[uti]
	before := func(revoked time.Time) bool {
		if known {
			return given.Before(revoked)
		}
		return !revoked.IsZero() && !issuedAt.Add(BackDated).After(revoked)
	}
	if !before(e.principal.TokensValidFrom) {
		return nil, false
	}
	return e.principal, before(e.principal.EverywhereValidFrom)
}
