package lab

import (
	"cmp"
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/resource/table"
)

// introduced are the workloads that somebody has named, for whoever asks by name,
// and the identities that were made for them. The zero value is empty.
type introduced struct {
	mu      sync.Mutex
	names   map[string][]string // by namespace/service account, apart from its own
	clients map[string][]string // by client id that they use

	made  []control.MadeIdentity
	taken map[string]bool // names of identities, after the tenant's id and a space
}

// Introduce says by which name people know a workload: a component of a
// radixconfig.yaml, or a workload of a wiemu.yaml; "" is its service account's.
func (l *Lab) Introduce(namespace, serviceAccount, clientID, name string) {
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	if l.known.names == nil {
		l.known.names, l.known.clients = map[string][]string{}, map[string][]string{}
	}
	account := namespace + "/" + serviceAccount
	names := l.known.names[account]
	if name != "" && name != serviceAccount && !slices.Contains(names, name) {
		names = append(names, name)
	}
	l.known.names[account] = names
	if clientID != "" {
		id := strings.ToLower(clientID)
		if as := cmp.Or(name, serviceAccount); !slices.Contains(l.known.clients[id], as) {
			l.known.clients[id] = append(l.known.clients[id], as)
		}
	}
}

// WorkloadNames are the names by which people know the workload of a service
// account: of its components, then its own.
func (l *Lab) WorkloadNames(account string) []string {
	_, own, _ := strings.Cut(account, "/")
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	return append(slices.Clone(l.known.names[account]), own)
}

// faultNames is what the selectors of faults can name. In a cluster, the API server
// alone knows which workloads there are, and client ids come with them.
func (l *Lab) faultNames(inCluster bool) faults.Names {
	names := faults.Names{
		Client:     faults.Naming{Aliases: l.ClientNames, Has: l.hasClient, Known: l.KnownClients},
		Issuer:     faults.Naming{Has: l.hasIssuer, Known: l.knownIssuers},
		Resource:   faults.Naming{Aliases: l.resourceNames, Has: l.hasResource, Known: l.knownResources},
		Workload:   faults.Naming{Aliases: l.WorkloadNames, Has: l.hasWorkload, Known: l.knownWorkloads},
		Components: Answering(),
	}
	if inCluster {
		names.Client.Has, names.Workload.Has = nil, nil
	}
	return names
}

// openNames lets faults name what there is; those injected before are checked by
// whoever knows that everything is there.
func (l *Lab) openNames(_ context.Context, opts Options) error {
	l.faults.SetNames(l.faultNames(opts.InCluster))
	return nil
}

// ClientNames are the names of an identity, its own first, and of the workloads that use it.
func (l *Lab) ClientNames(id string) []string {
	l.known.mu.Lock()
	names := slices.Clone(l.known.clients[strings.ToLower(id)])
	l.known.mu.Unlock()
	if _, p, ok := l.directory.PrincipalElsewhere(id); ok && !slices.Contains(names, p.DisplayName) {
		names = slices.Insert(names, 0, p.DisplayName)
	}
	return names
}

func (l *Lab) principals() (all []*directory.Principal) {
	for _, t := range l.directory.Tenants() {
		all = append(all, l.directory.Principals(t.ID)...)
	}
	return all
}

func (l *Lab) hasClient(value string) bool {
	if _, _, ok := l.directory.PrincipalElsewhere(value); ok {
		return true
	}
	return containsFold(l.KnownClients(), value)
}

// KnownClients are the names, then the client ids.
func (l *Lab) KnownClients() (known []string) {
	l.known.mu.Lock()
	ids := slices.Collect(maps.Keys(l.known.clients))
	l.known.mu.Unlock()
	for _, p := range l.principals() {
		ids = append(ids, strings.ToLower(p.ClientID))
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for _, id := range ids {
		known = append(known, l.ClientNames(id)...)
	}
	slices.Sort(known)
	return append(slices.Compact(known), ids...)
}

func (l *Lab) hasIssuer(value string) bool {
	return slices.ContainsFunc(l.knownIssuers(), func(known string) bool {
		return strings.EqualFold(strings.TrimSuffix(known, "/"), strings.TrimSuffix(value, "/"))
	})
}

// knownIssuers are those of the configuration, by name and URL, and those that
// somebody trusts.
func (l *Lab) knownIssuers() (known []string) {
	known = append(known, entraRing)
	for _, i := range l.config.Issuers {
		known = append(known, i.Name)
	}
	for _, i := range l.config.Issuers {
		known = append(known, i.URL)
	}
	return append(known, l.directory.Issuers()...)
}

// Answering are the parts of a lab that answer applications, as faults call them.
func Answering() []string {
	return slices.Concat([]string{faults.Entra}, table.Names(), []string{"imds"})
}

// resourceNames are the names of what a host or an identifier stands for: an instance of
// a resource, such as a vault, or an application.
func (l *Lab) resourceNames(id string) (names []string) {
	if host, _, err := net.SplitHostPort(id); err == nil {
		id = host
	}
	if d, name := table.Instance(l.cloud, strings.TrimPrefix(strings.ToLower(id), "https://")); d != nil {
		names = append(names, name)
	}
	for _, t := range l.directory.Tenants() {
		if p, ok := l.directory.ResourceByURI(t.ID, strings.TrimSuffix(id, "/")); ok {
			names = append(names, p.DisplayName)
		}
	}
	return names
}

func (l *Lab) hasResource(value string) bool {
	if containsFold(l.knownResources(), value) {
		return true
	}
	for _, t := range l.directory.Tenants() {
		if _, ok := l.entra.Resource(t.ID, value); ok {
			return true
		}
	}
	if d, _ := table.Instance(l.cloud, value); d != nil {
		return false // it is known if it exists
	}
	return l.mux.Has(value)
}

func (l *Lab) knownResources() []string {
	known := Answering()
	for _, name := range table.Names() {
		known = append(known, instances(l.resources[name])...)
	}
	for _, p := range l.principals() {
		if p.Kind == directory.Application {
			known = append(known, p.DisplayName)
			known = append(known, p.IdentifierURIs...)
		}
	}
	return append(known, l.Hosts()...)
}

func (l *Lab) hasWorkload(value string) bool {
	return containsFold(l.knownWorkloads(), value)
}

// knownWorkloads are the names of workloads, then all service accounts.
func (l *Lab) knownWorkloads() []string {
	l.known.mu.Lock()
	accounts := slices.Collect(maps.Keys(l.known.names))
	l.known.mu.Unlock()
	for _, i := range l.issuers {
		for _, a := range i.ServiceAccounts() {
			accounts = append(accounts, a.Namespace+"/"+a.Name)
		}
	}
	var names []string
	for _, account := range accounts {
		names = append(names, l.WorkloadNames(account)...)
	}
	slices.Sort(names)
	slices.Sort(accounts)
	return append(slices.Compact(names), slices.Compact(accounts)...)
}

func containsFold(known []string, value string) bool {
	return slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, value) })
}
