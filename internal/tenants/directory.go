// Package tenants holds the tenants of a lab: it checks, indexes and changes their
// principals. The types are in emulator/directory; internal/entra decides which
// requests get a token.
//
// A directory is a value: what [Directory.Snapshot] returns can be written as JSON and given
// to [New] again. Every look-up is by index and costs the same in a directory of one as of a
// hundred thousand.
package tenants

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/directory"
)

// Directory holds tenants. It is safe for concurrent use. What it returns does not change
// when the directory does.
type Directory struct {
	changing sync.Mutex // one change at a time; taken before mu

	clock clock.Clock        // if nil, changes are not dated
	keep  func(Change) error // if nil, changes are not stored

	secrets func(application, value string) // may be nil

	mu      sync.RWMutex
	tenants []*tenant          // in the order they were given
	byName  map[string]*tenant // by id and by domain
	issuers map[string]int     // how many federated credentials name each issuer
	removed map[removal]bool   // principals that were removed and not put again
}

// New returns a directory of the given tenants. Empty ids are derived from the tenant and
// client id; GUIDs and domains are put into lower case. Its error joins one [*Error] for
// everything that is wrong.
func New(all ...directory.Tenant) (*Directory, error) {
	d := &Directory{byName: map[string]*tenant{}, issuers: map[string]int{}, removed: map[removal]bool{}}
	var found []error
	for _, t := range all {
		found = append(found, d.add(t))
	}
	if err := errors.Join(found...); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Directory) add(given directory.Tenant) error {
	given.ID = canonical(given.ID)
	given.Domains = slices.Clone(given.Domains)
	for i := range given.Domains {
		given.Domains[i] = canonical(given.Domains[i])
	}
	if err := checkTenant(given); err != nil {
		return err
	}
	t := newTenant(given)
	for _, name := range append([]string{t.info.ID}, t.info.Domains...) {
		if owner, taken := d.byName[name]; taken {
			field := "domains"
			if name == t.info.ID {
				field = "id"
			}
			return &Error{Reason: ErrDuplicate, Tenant: t.info.ID, Field: field, Expected: "a name that no other tenant has", Found: name + ", which tenant " + owner.info.ID + " has"}
		}
		d.byName[name] = t
	}
	d.tenants = append(d.tenants, t)
	var found []error
	for i := range given.Principals {
		found = append(found, d.put(t, clone(given.Principals[i]), true))
	}
	return errors.Join(found...)
}

// Tenant returns the tenant with this id or domain, case ignored, without its
// principals.
func (d *Directory) Tenant(idOrDomain string) (directory.Tenant, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, ok := d.byName[canonical(idOrDomain)]
	if !ok {
		return directory.Tenant{}, false
	}
	return t.info, true
}

// Tenants returns the tenants in their order, without their principals.
func (d *Directory) Tenants() []directory.Tenant {
	d.mu.RLock()
	defer d.mu.RUnlock()
	tenants := make([]directory.Tenant, len(d.tenants))
	for i, t := range d.tenants {
		tenants[i] = t.info
	}
	return tenants
}

// Principal returns the principal with this client id in a tenant (id or domain).
func (d *Directory) Principal(tenantID, clientID string) (*directory.Principal, bool) {
	return d.find(tenantID, func(t *tenant) *entry { return t.byClient[canonical(clientID)] })
}

// PrincipalElsewhere returns the first tenant that has a principal with the client id, to
// explain a request to the wrong tenant.
func (d *Directory) PrincipalElsewhere(clientID string) (tenantID string, p *directory.Principal, ok bool) {
	clientID = canonical(clientID)
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, t := range d.tenants {
		if e := t.byClient[clientID]; e != nil {
			return t.info.ID, e.principal, true
		}
	}
	return "", nil, false
}

// PrincipalByObjectID returns the service principal with this object id.
func (d *Directory) PrincipalByObjectID(tenantID, objectID string) (*directory.Principal, bool) {
	return d.find(tenantID, func(t *tenant) *entry { return t.byObject[canonical(objectID)] })
}

// ManagedIdentity returns the managed identity of a tenant with an Azure resource id, whatever
// the case of its letters.
func (d *Directory) ManagedIdentity(tenantID, resourceID string) (*directory.Principal, bool) {
	return d.find(tenantID, func(t *tenant) *entry { return t.byResource[canonical(resourceID)] })
}

// ApplicationByObjectID returns the app registration with this object id, which is not that
// of its service principal.
func (d *Directory) ApplicationByObjectID(tenantID, objectID string) (*directory.Principal, bool) {
	return d.find(tenantID, func(t *tenant) *entry { return t.byApplication[canonical(objectID)] })
}

// ApplicationByUniqueName returns the app registration with this unique name, ignoring case.
func (d *Directory) ApplicationByUniqueName(tenantID, name string) (*directory.Principal, bool) {
	return d.find(tenantID, func(t *tenant) *entry { return t.byUniqueName[canonical(name)] })
}

// ResourceByURI returns the principal with an identifier URI, ignoring case, or else with a
// client id.
func (d *Directory) ResourceByURI(tenantID, uri string) (*directory.Principal, bool) {
	return d.find(tenantID, func(t *tenant) *entry {
		if e := t.byURI[canonical(uri)]; e != nil {
			return e
		}
		return t.byClient[canonical(uri)]
	})
}

func (d *Directory) find(tenantID string, look func(*tenant) *entry) (*directory.Principal, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if t, ok := d.byName[canonical(tenantID)]; ok {
		if e := look(t); e != nil {
			return e.principal, true
		}
	}
	return nil, false
}

// entry is that of a principal, nil if there is none; d.mu is held.
func (d *Directory) entry(tenantID, clientID string) *entry {
	if t, ok := d.byName[canonical(tenantID)]; ok {
		return t.byClient[canonical(clientID)]
	}
	return nil
}

// Principals returns all principals of a tenant, in the order in which they were put.
func (d *Directory) Principals(tenantID string) []*directory.Principal {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, ok := d.byName[canonical(tenantID)]
	if !ok {
		return nil
	}
	return t.principals()
}

// Issuers returns the issuers that federated credentials name, exactly as they do, sorted.
func (d *Directory) Issuers() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Sorted(maps.Keys(d.issuers))
}

// Snapshot returns a copy of all tenants with their principals.
func (d *Directory) Snapshot() []directory.Tenant {
	d.mu.RLock()
	defer d.mu.RUnlock()
	tenants := make([]directory.Tenant, len(d.tenants))
	for i, t := range d.tenants {
		tenants[i] = t.info
		tenants[i].Domains = slices.Clone(t.info.Domains)
		for _, e := range t.order {
			tenants[i].Principals = append(tenants[i].Principals, clone(*e.principal))
		}
	}
	return tenants
}
