package tenants

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/directory"
)

// Change is a change of one principal.
type Change struct {
	Tenant   string // id
	ClientID string
	Old, New *directory.Principal // nil if there is none
}

// Keep calls keep with every change from now on, before it is made. If keep returns an
// error, the change is not made. Keep must not call the directory.
func (d *Directory) Keep(keep func(Change) error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	d.keep = keep
}

// Secrets calls tell with every client secret, and from now on with each new one before it
// can be used.
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

// tellSecrets calls d.secrets with those of a principal; d.changing is held.
func (d *Directory) tellSecrets(p *directory.Principal) {
	if d.secrets == nil {
		return
	}
	for _, s := range p.Secrets {
		d.secrets(cmp.Or(p.DisplayName, p.ClientID), s.Value)
	}
}

type removal struct{ tenant, clientID string }

// Removed reports whether a principal with this client id was removed from the tenant and
// not put again. The identity of a workload, which is created automatically, is not created
// again after it was removed.
func (d *Directory) Removed(tenantID, clientID string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, ok := d.byName[canonical(tenantID)]
	return ok && d.removed[removal{t.info.ID, canonical(clientID)}]
}

// NewClientID returns a client id for a principal that is about to be made at run time. It is
// derived from parts, which say what is made, so that labs in which the same is done have the
// same ids; but it is never one that a principal of the tenant has or had. What is deleted and
// made again has another id than before, as in Entra ID.
func (d *Directory) NewClientID(tenantID string, parts ...string) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, ok := d.byName[canonical(tenantID)]
	for n := 0; ; n++ {
		id := StableID(append([]string{"client id", canonical(tenantID), strconv.Itoa(n)}, parts...)...)
		if !ok || t.byClient[id] == nil && !d.removed[removal{t.info.ID, id}] {
			return id
		}
	}
}

// Put adds a principal to a tenant (id or domain) or replaces the one with the
// same client id. If it returns an error, nothing changes.
func (d *Directory) Put(tenantID string, p directory.Principal) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	t, err := d.tenantToChange(tenantID)
	if err != nil {
		return err
	}
	return d.put(t, clone(p), false)
}

// Update replaces a principal by a copy that change has modified. If it or change returns
// an error, nothing changes. Change may read the directory but not change it otherwise, and
// must not change the client id.
func (d *Directory) Update(tenantID, clientID string, change func(*directory.Principal) error) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	t, e, err := d.entryToChange(tenantID, clientID)
	if err != nil {
		return err
	}
	changed := clone(*e.principal)
	if err := change(&changed); err != nil {
		return fmt.Errorf("directory: change application %s: %w", e.principal.ClientID, err)
	}
	if canonical(changed.ClientID) != e.principal.ClientID {
		return &Error{Reason: ErrInvalid, Tenant: t.info.ID, Principal: e.principal.ClientID, Field: "clientId", Expected: "the same as before", Found: quoted(changed.ClientID)}
	}
	return d.put(t, clone(changed), false) // cloned: change may have kept a reference
}

// Remove removes a principal from a tenant.
func (d *Directory) Remove(tenantID, clientID string) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	t, e, err := d.entryToChange(tenantID, clientID)
	if err != nil {
		return err
	}
	return d.remove(t, canonical(clientID), e)
}

// Clear removes a principal as Remove does. If there is none, it counts as removed from now
// on; see [Directory.Removed].
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
		if err := d.stored(Change{Tenant: t.info.ID, ClientID: clientID, Old: e.principal}); err != nil {
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

// stored returns nil when a change is on record, or is none; d.changing is held.
func (d *Directory) stored(c Change) error {
	if d.keep == nil || reflect.DeepEqual(c.Old, c.New) {
		return nil
	}
	if err := d.keep(c); err != nil {
		return fmt.Errorf("directory: store what becomes of %s: %w", c.ClientID, err)
	}
	return nil
}

// put checks p and makes it the one with its client id. An add refuses to
// replace. The caller holds d.changing or has the only reference to d.
func (d *Directory) put(t *tenant, p directory.Principal, add bool) error {
	complete(&p, t.info.ID)
	if err := check(&p, t.info.ID); err != nil {
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
	if err := d.stored(c); err != nil {
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
func (d *Directory) countIssuers(p *directory.Principal, by int) {
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

func (d *Directory) entryToChange(tenantID, clientID string) (*tenant, *entry, error) {
	t, err := d.tenantToChange(tenantID)
	if err != nil {
		return nil, nil, err
	}
	if e := t.byClient[canonical(clientID)]; e != nil {
		return t, e, nil
	}
	return nil, nil, &Error{Reason: ErrNotFound, Tenant: t.info.ID, Field: "clientId", Expected: "the client id of an application or managed identity of the tenant", Found: quoted(clientID)}
}

type change struct {
	at          time.Time // zero: always
	credentials []directory.FederatedCredential
}

const maxChanges = 32

// Date sets the clock by which changes of federated credentials are dated, for
// [Directory.FederatedCredentialsAsOf]. Those that the directory has already count as if they
// had always been there, as do all changes without a clock.
func (d *Directory) Date(clk clock.Clock) {
	d.changing.Lock()
	defer d.changing.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clock = clk
}

// date records the current credentials if they have changed. Without a clock they count as
// if they had always been there.
func (e *entry) date(clk clock.Clock) {
	now := e.principal.FederatedCredentials
	if clk == nil {
		e.changes = []change{{credentials: now}}
		return
	}
	if n := len(e.changes); n > 0 && slices.Equal(e.changes[n-1].credentials, now) {
		return
	}
	if len(e.changes) >= maxChanges {
		e.changes = slices.Delete(e.changes, 0, 1)
	}
	e.changes = append(e.changes, change{clk.Now(), now})
}

// FederatedCredentialsAsOf returns the federated credentials that a principal had at a time,
// as a server sees them that later changes have not reached yet. The caller must not change
// them.
func (d *Directory) FederatedCredentialsAsOf(tenantID, clientID string, at time.Time) []directory.FederatedCredential {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if e := d.entry(tenantID, clientID); e != nil {
		for _, c := range slices.Backward(e.changes) {
			if !c.at.After(at) {
				return c.credentials
			}
		}
	}
	return nil
}

// FederatedCredentialsChanged returns when the federated credentials of a principal changed last;
// zero if they are as they have always been.
func (d *Directory) FederatedCredentialsChanged(tenantID, clientID string) time.Time {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if e := d.entry(tenantID, clientID); e != nil && len(e.changes) > 0 {
		return e.changes[len(e.changes)-1].at
	}
	return time.Time{}
}
