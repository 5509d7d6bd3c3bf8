package tenants

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/directory"
)

// tenant is one tenant with the indexes of its principals. What writes it holds
// the directory's mu.
type tenant struct {
	info  directory.Tenant // Principals is nil
	order []*entry

	byClient      map[string]*entry
	byObject      map[string]*entry // service principals
	byApplication map[string]*entry // app registrations
	byURI         map[string]*entry // identifier URIs in lower case
	byResource    map[string]*entry // managed identities, by resource id in lower case
	byUniqueName  map[string]*entry // app registrations, by unique name in lower case
}

// entry keeps a principal's place in the order while its value is replaced.
type entry struct {
	principal *directory.Principal
	changes   []change // of its federated credentials, oldest first

	since time.Time            // the last revocation that fresh knows of
	fresh map[string]time.Time // when tokens of the second after a revocation were given out, by uti
}

func newTenant(given directory.Tenant) *tenant {
	n := len(given.Principals)
	t := &tenant{
		info:          given,
		order:         make([]*entry, 0, n),
		byClient:      make(map[string]*entry, n),
		byObject:      make(map[string]*entry, n),
		byApplication: make(map[string]*entry, n),
		byURI:         map[string]*entry{},
		byResource:    map[string]*entry{},
		byUniqueName:  map[string]*entry{},
	}
	t.info.Principals = nil
	if t.info.DisplayName == "" {
		t.info.DisplayName = given.ID
		if len(given.Domains) > 0 {
			t.info.DisplayName = given.Domains[0]
		}
	}
	return t
}

func (t *tenant) principals() []*directory.Principal {
	all := make([]*directory.Principal, len(t.order))
	for i, e := range t.order {
		all[i] = e.principal
	}
	return all
}

// put makes p the value of its entry: the old one's, or a new one at the end.
func (t *tenant) put(p *directory.Principal, e *entry) {
	if e == nil {
		e = &entry{}
		t.order = append(t.order, e)
	} else {
		t.unindex(e.principal)
	}
	e.principal = p
	t.byClient[p.ClientID] = e
	t.byObject[p.ObjectID] = e
	if p.ApplicationObjectID != "" {
		t.byApplication[p.ApplicationObjectID] = e
	}
	for _, uri := range p.IdentifierURIs {
		t.byURI[canonical(uri)] = e
	}
	if p.ResourceID != "" {
		t.byResource[canonical(p.ResourceID)] = e
	}
	if p.Graph != nil && p.Graph.UniqueName != "" {
		t.byUniqueName[canonical(p.Graph.UniqueName)] = e
	}
}

func (t *tenant) remove(e *entry) {
	t.unindex(e.principal)
	if i := slices.Index(t.order, e); i >= 0 {
		t.order = slices.Delete(t.order, i, i+1)
	}
}

func (t *tenant) unindex(p *directory.Principal) {
	delete(t.byClient, p.ClientID)
	delete(t.byObject, p.ObjectID)
	delete(t.byApplication, p.ApplicationObjectID)
	for _, uri := range p.IdentifierURIs {
		delete(t.byURI, canonical(uri))
	}
	if p.Graph != nil {
		delete(t.byUniqueName, canonical(p.Graph.UniqueName))
	}
	if id := canonical(p.ResourceID); t.byResource[id] != nil && t.byResource[id].principal == p { // a configuration may give one id to several
		delete(t.byResource, id)
	}
}

// conflict reports what of p another principal than own has already.
func (t *tenant) conflict(p *directory.Principal, own *entry) error {
	found := &problems{tenant: t.info.ID, principal: p.ClientID}
	taken := func(e *entry, field, value string) {
		if e != nil && e != own {
			found.add(ErrDuplicate, at(field), "one that no other application of the tenant has", value+", which "+e.principal.ClientID+" has")
		}
	}
	taken(t.byObject[p.ObjectID], "objectId", p.ObjectID)
	if p.ApplicationObjectID != "" {
		taken(t.byApplication[p.ApplicationObjectID], "applicationObjectId", p.ApplicationObjectID)
	}
	for _, uri := range p.IdentifierURIs {
		taken(t.byURI[canonical(uri)], "identifierUris", uri)
	}
	if p.Graph != nil && p.Graph.UniqueName != "" {
		taken(t.byUniqueName[canonical(p.Graph.UniqueName)], "uniqueName", p.Graph.UniqueName)
	}
	return found.err()
}

func clone(p directory.Principal) directory.Principal {
	p.IdentifierURIs = slices.Clone(p.IdentifierURIs)
	p.AppRoles = slices.Clone(p.AppRoles)
	p.Tags = maps.Clone(p.Tags)
	p.FederatedCredentials = slices.Clone(p.FederatedCredentials)
	p.Secrets = slices.Clone(p.Secrets)
	p.Certificates = slices.Clone(p.Certificates)
	for i, c := range p.Certificates {
		p.Certificates[i].DER = slices.Clone(c.DER)
	}
	if p.Graph != nil {
		g := *p.Graph
		g.AppRoles, g.Owners = slices.Clone(g.AppRoles), slices.Clone(g.Owners)
		g.ServicePrincipalOwners, g.Assigned = slices.Clone(g.ServicePrincipalOwners), slices.Clone(g.Assigned)
		g.Application, g.ServicePrincipal = maps.Clone(g.Application), maps.Clone(g.ServicePrincipal)
		p.Graph = &g
	}
	return p
}

var stableNames = uuid.MustParse("5b1d9a52-0f3c-4b0e-9d43-7b6c5f7f1d6e")

// StableID derives a GUID from parts that say what it identifies: the same parts give the
// same id in every lab.
func StableID(parts ...string) string {
	return uuid.NewSHA1(stableNames, []byte(strings.Join(parts, "\x00"))).String()
}

// ManagedIdentityResourceID returns the Azure resource id of a managed identity whose
// configuration has none.
func ManagedIdentityResourceID(tenant, name string) string {
	return fmt.Sprintf("/subscriptions/%s/resourcegroups/wiemu/providers/Microsoft.ManagedIdentity/userAssignedIdentities/%s",
		SubscriptionID(tenant), name)
}

// SubscriptionID returns the id of the subscription with the resources of a tenant whose
// configuration has none.
func SubscriptionID(tenant string) string { return StableID("subscription", tenant) }
