// Package directory answers who exists: tenants, app registrations and managed
// identities with their service principals, and the credentials and federated
// trusts they have. It does not decide who gets a token; see entra.
//
// A directory is a value: [Directory.Snapshot] can be written as JSON and given
// to [New] again. It knows no network, and time only to remember when its
// federated credentials changed; see [Directory.Date]. Every look-up is by index and
// costs the same in a directory of one as of a hundred thousand.
package directory

import (
	"errors"
	"slices"
	"sync"

	"github.com/wiemu/wiemu/emulator/clock"
)

// Directory holds tenants. It is safe for concurrent use; what it returns stays
// as it is when the directory changes.
type Directory struct {
	changing sync.Mutex // one change at a time; taken before mu

	clock clock.Clock        // nil: changes have no time
	keep  func(Change) error // nil: changes are not kept

	secrets func(application, value string) // nil: nobody is told

	mu      sync.RWMutex
	tenants []*tenant          // in the order they were given
	byName  map[string]*tenant // by id and by domain
	issuers map[string]int     // how many federated credentials name each issuer
	removed map[removal]bool   // who was taken away and is not there again
}

// New makes a directory of the given tenants. Ids that were left out are derived
// from the tenant and client id, GUIDs and domains are put into lower case. Its
// error joins one [*Error] for everything that is wrong.
func New(tenants ...Tenant) (*Directory, error) {
	d := &Directory{byName: map[string]*tenant{}, issuers: map[string]int{}, removed: map[removal]bool{}}
	var found []error
	for _, t := range tenants {
		found = append(found, d.add(t))
	}
	if err := errors.Join(found...); err != nil {
		return nil, err
	}
	return d, nil
}

// add checks and indexes a tenant with all its principals.
func (d *Directory) add(given Tenant) error {
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
		found = append(found, d.put(t, given.Principals[i].clone(), true))
	}
	return errors.Join(found...)
}

// Tenant returns the tenant with this id or domain, case ignored, without its
// principals.
func (d *Directory) Tenant(idOrDomain string) (Tenant, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, ok := d.byName[canonical(idOrDomain)]
	if !ok {
		return Tenant{}, false
	}
	return t.info, true
}

// Tenants returns the tenants in their order, without their principals.
func (d *Directory) Tenants() []Tenant {
	d.mu.RLock()
	defer d.mu.RUnlock()
	tenants := make([]Tenant, len(d.tenants))
	for i, t := range d.tenants {
		tenants[i] = t.info
	}
	return tenants
}

// Principal returns who has this client id in the tenant (id or domain).
func (d *Directory) Principal(tenantID, clientID string) (*Principal, bool) {
	return d.find(tenantID, func(t *tenant) *entry { return t.byClient[canonical(clientID)] })
}

// PrincipalElsewhere returns the first tenant that knows the client id: what to
// say when somebody asks the wrong one.
func (d *Directory) PrincipalElsewhere(clientID string) (tenantID string, p *Principal, ok bool) {
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
func (d *Directory) PrincipalByObjectID(tenantID, objectID string) (*Principal, bool) {
	return d.find(tenantID, func(t *tenant) *entry { return t.byObject[canonical(objectID)] })
}

// ApplicationByObjectID returns the app registration with this object id, which
// is another one than its service principal's.
func (d *Directory) ApplicationByObjectID(tenantID, objectID string) (*Principal, bool) {
	return d.find(tenantID, func(t *tenant) *entry { return t.byApplication[canonical(objectID)] })
}

// ResourceByURI returns who is named by an identifier URI, case ignored, or by a
// client id.
func (d *Directory) ResourceByURI(tenantID, uri string) (*Principal, bool) {
	return d.find(tenantID, func(t *tenant) *entry {
		if e := t.byURI[canonical(uri)]; e != nil {
			return e
		}
		return t.byClient[canonical(uri)]
	})
}

func (d *Directory) find(tenantID string, look func(*tenant) *entry) (*Principal, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, ok := d.byName[canonical(tenantID)]
	if !ok {
		return nil, false
	}
	e := look(t)
	if e == nil {
		return nil, false
	}
	return e.principal, true
}

// Principals returns everybody in the tenant, in the order they were put.
func (d *Directory) Principals(tenantID string) []*Principal {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, ok := d.byName[canonical(tenantID)]
	if !ok {
		return nil
	}
	return t.principals()
}

// HasIssuer reports whether a federated credential of any tenant names exactly
// this issuer. Only such an issuer's metadata may ever be fetched.
func (d *Directory) HasIssuer(issuer string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.issuers[issuer] > 0
}

// Issuers returns the issuers that federated credentials name, sorted.
func (d *Directory) Issuers() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	issuers := make([]string, 0, len(d.issuers))
	for issuer := range d.issuers {
		issuers = append(issuers, issuer)
	}
	slices.Sort(issuers)
	return issuers
}

// Snapshot returns everything, as a value that shares nothing with the directory.
func (d *Directory) Snapshot() []Tenant {
	d.mu.RLock()
	defer d.mu.RUnlock()
	tenants := make([]Tenant, len(d.tenants))
	for i, t := range d.tenants {
		tenants[i] = t.info
		tenants[i].Domains = slices.Clone(t.info.Domains)
		for _, e := range t.order {
			tenants[i].Principals = append(tenants[i].Principals, e.principal.clone())
		}
	}
	return tenants
}
