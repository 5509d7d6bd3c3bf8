package directory

import (
	"cmp"
	"fmt"
	"reflect"
)

// Change is what becomes of one principal.
type Change struct {
	Tenant   string // id
	ClientID string
	Old, New *Principal // nil: there is none
}

// Keep lets keep know of every change from now on, before it is made. A change
// that it returns an error for is not made. It must not ask the directory.
func (d *Directory) Keep(keep func(Change) error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	d.keep = keep
}

// Secrets lets tell know the client secrets that there are, and from now on each that
// comes, before it can be used.
func (d *Directory) Secrets(tell func(application, value string)) {
	d.changing.Lock()
	defer d.changing.Unlock()
	d.secrets = tell
	for _, t := range d.tenants {
		for _, e := range t.order {
			d.tellSecrets(e.principal)
		}
	}
}

// tellSecrets tells those of a principal; d.changing is held.
func (d *Directory) tellSecrets(p *Principal) {
	if d.secrets == nil {
		return
	}
	for _, s := range p.Secrets {
		d.secrets(cmp.Or(p.DisplayName, p.ClientID), s.Value)
	}
}

// removal names somebody who was taken out of a tenant.
type removal struct{ tenant, clientID string }

// Removed reports whether somebody with this client id was taken out of the tenant
// and not put there again. What is made for a workload by itself is not made again
// against the will of whoever removed it.
func (d *Directory) Removed(tenantID, clientID string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, ok := d.byName[canonical(tenantID)]
	return ok && d.removed[removal{t.info.ID, canonical(clientID)}]
}

// Put adds a principal to a tenant (id or domain) or replaces the one with the
// same client id. Nothing changes when it returns an error.
func (d *Directory) Put(tenantID string, p Principal) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	t, err := d.tenantToChange(tenantID)
	if err != nil {
		return err
	}
	return d.put(t, p.clone(), false)
}

// Update lets change modify a copy of a principal and puts the copy in its place.
// Nothing changes when it or change returns an error. Change may read the
// directory but not change it otherwise; the client id must stay.
func (d *Directory) Update(tenantID, clientID string, change func(*Principal) error) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	t, err := d.tenantToChange(tenantID)
	if err != nil {
		return err
	}
	e, err := d.entryToChange(t, clientID)
	if err != nil {
		return err
	}
	changed := e.principal.clone()
	if err := change(&changed); err != nil {
		return fmt.Errorf("directory: change application %s: %w", e.principal.ClientID, err)
	}
	if canonical(changed.ClientID) != e.principal.ClientID {
		return &Error{Reason: ErrInvalid, Tenant: t.info.ID, Principal: e.principal.ClientID, Field: "clientId", Expected: "the same as before", Found: quoted(changed.ClientID)}
	}
	return d.put(t, changed.clone(), false) // cloned: change may have kept a reference
}

// Remove takes a principal out of a tenant.
func (d *Directory) Remove(tenantID, clientID string) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	t, err := d.tenantToChange(tenantID)
	if err != nil {
		return err
	}
	e, err := d.entryToChange(t, clientID)
	if err != nil {
		return err
	}
	return d.remove(t, canonical(clientID), e)
}

// Clear takes a principal out of a tenant as Remove does, if there is one, and
// otherwise remembers that there was.
func (d *Directory) Clear(tenantID, clientID string) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	t, err := d.tenantToChange(tenantID)
	if err != nil {
		return err
	}
	return d.remove(t, canonical(clientID), t.byClient[canonical(clientID)])
}

// remove takes an entry out, nil if there is none; d.changing is held.
func (d *Directory) remove(t *tenant, clientID string, e *entry) error {
	if e != nil {
		if err := d.kept(Change{Tenant: t.info.ID, ClientID: clientID, Old: e.principal}); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removed[removal{t.info.ID, clientID}] = true
	if e != nil {
		t.remove(e)
		d.countIssuers(e.principal, -1)
	}
	return nil
}

// kept returns nil when a change is on record, or is none; d.changing is held.
func (d *Directory) kept(c Change) error {
	if d.keep == nil || reflect.DeepEqual(c.Old, c.New) {
		return nil
	}
	if err := d.keep(c); err != nil {
		return fmt.Errorf("directory: keep what becomes of %s: %w", c.ClientID, err)
	}
	return nil
}

// put checks p and makes it the one with its client id. An add refuses to
// replace. The caller holds d.changing or is the only one who knows d.
func (d *Directory) put(t *tenant, p Principal, add bool) error {
	p.complete(t.info.ID)
	if err := p.check(t.info.ID); err != nil {
		return err
	}
	old := t.byClient[p.ClientID]
	if old != nil && add {
		return &Error{Reason: ErrDuplicate, Tenant: t.info.ID, Principal: p.ClientID, Field: "clientId", Expected: "a client id of its own", Found: "the one that " + quoted(old.principal.DisplayName) + " has"}
	}
	if err := t.conflict(&p, old); err != nil {
		return err
	}
	d.tellSecrets(&p)
	c := Change{Tenant: t.info.ID, ClientID: p.ClientID, New: &p}
	if old != nil {
		c.Old = old.principal
	}
	if err := d.kept(c); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if old != nil {
		d.countIssuers(old.principal, -1)
	}
	delete(d.removed, removal{t.info.ID, p.ClientID})
	t.put(&p, old)
	t.byClient[p.ClientID].date(d.clock)
	d.countIssuers(&p, +1)
	return nil
}

// countIssuers keeps the index of issuers; d.mu is held.
func (d *Directory) countIssuers(p *Principal, by int) {
	for _, c := range p.FederatedCredentials {
		if d.issuers[c.Issuer] += by; d.issuers[c.Issuer] <= 0 {
			delete(d.issuers, c.Issuer)
		}
	}
}

// tenantToChange and entryToChange read the indexes without d.mu: only a holder
// of d.changing writes them.
func (d *Directory) tenantToChange(name string) (*tenant, error) {
	if t, ok := d.byName[canonical(name)]; ok {
		return t, nil
	}
	return nil, &Error{Reason: ErrNotFound, Field: "tenant", Expected: "the id or a domain of a tenant", Found: quoted(name)}
}

func (d *Directory) entryToChange(t *tenant, clientID string) (*entry, error) {
	if e := t.byClient[canonical(clientID)]; e != nil {
		return e, nil
	}
	return nil, &Error{Reason: ErrNotFound, Tenant: t.info.ID, Field: "clientId", Expected: "the client id of an application or managed identity of the tenant", Found: quoted(clientID)}
}
