package emulator

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
)

// makeIdentity makes the identity of a client id that no tenant knows, under the
// name of its workload. Where two workloads have one name, the second identity has
// the namespace before it.
func (e *Emulator) makeIdentity(tenant string, w Workload, kind directory.Kind, trusts []directory.FederatedCredential) error {
	name := e.nameFor(tenant, w)
	p := directory.Principal{
		Kind: kind, ClientID: w.ClientID, ObjectID: config.StableID("service principal", w.ClientID),
		DisplayName: name, FederatedCredentials: trusts,
	}
	if kind == directory.ManagedIdentity {
		p.ResourceID = config.ManagedIdentityResourceID(tenant, name)
	} else {
		p.ApplicationObjectID = config.StableID("application", w.ClientID)
	}
	if err := e.directory.Put(tenant, p); err != nil {
		return err
	}
	e.known.mu.Lock()
	defer e.known.mu.Unlock()
	e.known.made = append(e.known.made, control.MadeIdentity{Name: name, ClientID: w.ClientID, Kind: string(kind), TokenLifetime: int(p.Lifetime() / time.Second)})
	return nil
}

// newKind is what a client id becomes that nothing describes.
func (e *Emulator) newKind() directory.Kind {
	if e.config.NewIdentities == config.NewApplication {
		return directory.Application
	}
	return directory.ManagedIdentity
}

// nameFor is a name that no identity of the tenant has yet.
func (e *Emulator) nameFor(tenant string, w Workload) string {
	e.known.mu.Lock()
	defer e.known.mu.Unlock()
	if e.known.taken == nil {
		e.known.taken = map[string]bool{}
		for pr := range e.config.Principals() {
			e.known.taken[pr.Tenant+" "+pr.Name] = true
		}
	}
	if e.accountNames {
		return cmp.Or(w.Application, w.ServiceAccount)
	}
	own := cmp.Or(w.Identity, w.ServiceAccount)
	name := own
	for n := 1; e.known.taken[tenant+" "+name]; n++ {
		name = w.Namespace + "-" + own
		if n > 1 {
			name += "-" + strconv.Itoa(n)
		}
	}
	e.known.taken[tenant+" "+name] = true
	return name
}

// displayName is the name of an identity; its client id if the tenant knows none.
func (e *Emulator) displayName(tenant, clientID string) string {
	return cmp.Or(e.knownName(tenant, clientID), clientID)
}

// knownName is the name of an identity; "" if the tenant knows none.
func (e *Emulator) knownName(tenant, clientID string) string {
	if p, ok := e.directory.Principal(tenant, clientID); ok {
		return p.DisplayName
	}
	return ""
}

// Made are the identities that were made because a workload uses their client id,
// in that order.
func (e *Emulator) Made() []control.MadeIdentity {
	e.known.mu.Lock()
	defer e.known.mu.Unlock()
	return slices.Clone(e.known.made)
}
