package emulator

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
	"github.com/wiemu/wiemu/emulator/fault"
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
func (e *Emulator) Introduce(namespace, serviceAccount, clientID, name string) {
	e.known.mu.Lock()
	defer e.known.mu.Unlock()
	if e.known.names == nil {
		e.known.names, e.known.clients = map[string][]string{}, map[string][]string{}
	}
	account := namespace + "/" + serviceAccount
	names := e.known.names[account]
	if name != "" && name != serviceAccount && !slices.Contains(names, name) {
		names = append(names, name)
	}
	e.known.names[account] = names
	if clientID != "" {
		id := strings.ToLower(clientID)
		if as := cmp.Or(name, serviceAccount); !slices.Contains(e.known.clients[id], as) {
			e.known.clients[id] = append(e.known.clients[id], as)
		}
	}
}

// WorkloadNames are the names by which people know the workload of a service
// account: of its components, then its own.
func (e *Emulator) WorkloadNames(account string) []string {
	_, own, _ := strings.Cut(account, "/")
	e.known.mu.Lock()
	defer e.known.mu.Unlock()
	return append(slices.Clone(e.known.names[account]), own)
}

// faultNames is what the selectors of faults can name. In a cluster, the API server
// alone knows which workloads there are, and client ids come with them.
func (e *Emulator) faultNames(inCluster bool) fault.Names {
	names := fault.Names{
		Client:   fault.Naming{Aliases: e.clientNames, Has: e.hasClient, Known: e.knownClients},
		Issuer:   fault.Naming{Has: e.hasIssuer, Known: e.knownIssuers},
		Resource: fault.Naming{Aliases: e.resourceNames, Has: e.hasResource, Known: e.knownResources},
		Workload: fault.Naming{Aliases: e.WorkloadNames, Has: e.hasWorkload, Known: e.knownWorkloads},
	}
	if inCluster {
		names.Client.Has, names.Workload.Has = nil, nil
	}
	return names
}

// openNames lets faults name what there is; those injected before are checked by
// whoever knows that everything is there.
func (e *Emulator) openNames(_ context.Context, opts Options) error {
	e.faults.Name(e.faultNames(opts.InCluster))
	return nil
}

// clientNames are the names of an identity, its own first, and of the workloads that use it.
func (e *Emulator) clientNames(id string) []string {
	e.known.mu.Lock()
	names := slices.Clone(e.known.clients[strings.ToLower(id)])
	e.known.mu.Unlock()
	if _, p, ok := e.directory.PrincipalElsewhere(id); ok && !slices.Contains(names, p.DisplayName) {
		names = slices.Insert(names, 0, p.DisplayName)
	}
	return names
}

// principals are all of every tenant.
func (e *Emulator) principals() (all []*directory.Principal) {
	for _, t := range e.directory.Tenants() {
		all = append(all, e.directory.Principals(t.ID)...)
	}
	return all
}

func (e *Emulator) hasClient(value string) bool {
	if _, _, ok := e.directory.PrincipalElsewhere(value); ok {
		return true
	}
	return slices.ContainsFunc(e.knownClients(), func(known string) bool { return strings.EqualFold(known, value) })
}

// knownClients are the names, then the client ids.
func (e *Emulator) knownClients() (known []string) {
	e.known.mu.Lock()
	ids := slices.Collect(maps.Keys(e.known.clients))
	e.known.mu.Unlock()
	for _, p := range e.principals() {
		ids = append(ids, strings.ToLower(p.ClientID))
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for _, id := range ids {
		known = append(known, e.clientNames(id)...)
	}
	slices.Sort(known)
	return append(slices.Compact(known), ids...)
}

func (e *Emulator) hasIssuer(value string) bool {
	return slices.ContainsFunc(e.knownIssuers(), func(known string) bool {
		return strings.EqualFold(strings.TrimSuffix(known, "/"), strings.TrimSuffix(value, "/"))
	})
}

// knownIssuers are those of the configuration, by name and URL, and those that
// somebody trusts.
func (e *Emulator) knownIssuers() (known []string) {
	known = append(known, entraRing)
	for _, i := range e.config.Issuers {
		known = append(known, i.Name)
	}
	for _, i := range e.config.Issuers {
		known = append(known, i.URL)
	}
	return append(known, e.directory.Issuers()...)
}

// Answering are the parts of a lab that answer applications, as faults call them.
func Answering() []string { return []string{fault.PartEntra, "keyvault", "graph", "arm", "imds"} }

// resourceNames are the names of what a host or an identifier stands for: a vault,
// or an application.
func (e *Emulator) resourceNames(id string) (names []string) {
	if host, _, err := net.SplitHostPort(id); err == nil {
		id = host
	}
	if vault, ok := strings.CutSuffix(strings.TrimPrefix(strings.ToLower(id), "https://"), "."+e.cloud.Vault); ok {
		names = append(names, vault)
	}
	for _, t := range e.directory.Tenants() {
		if p, ok := e.directory.ResourceByURI(t.ID, strings.TrimSuffix(id, "/")); ok {
			names = append(names, p.DisplayName)
		}
	}
	return names
}

func (e *Emulator) hasResource(value string) bool {
	if slices.ContainsFunc(e.knownResources(), func(known string) bool { return strings.EqualFold(known, value) }) {
		return true
	}
	for _, t := range e.directory.Tenants() {
		if _, ok := e.entra.Resource(t.ID, value); ok {
			return true
		}
	}
	if _, isVault := strings.CutSuffix(strings.ToLower(value), "."+e.cloud.Vault); isVault {
		return false // it is known if it exists
	}
	return e.gateway.Emulates(value)
}

func (e *Emulator) knownResources() []string {
	known := slices.Concat(Answering(), e.vaults.Names())
	for _, p := range e.principals() {
		if p.Kind == directory.Application {
			known = append(known, p.DisplayName)
			known = append(known, p.IdentifierURIs...)
		}
	}
	return append(known, e.Hosts()...)
}

func (e *Emulator) hasWorkload(value string) bool {
	return slices.ContainsFunc(e.knownWorkloads(), func(known string) bool { return strings.EqualFold(known, value) })
}

// knownWorkloads are the names of workloads, then all service accounts.
func (e *Emulator) knownWorkloads() []string {
	e.known.mu.Lock()
	accounts := slices.Collect(maps.Keys(e.known.names))
	e.known.mu.Unlock()
	for _, i := range e.issuers {
		for _, a := range i.ServiceAccounts() {
			accounts = append(accounts, a.Namespace+"/"+a.Name)
		}
	}
	var names []string
	for _, account := range accounts {
		names = append(names, e.WorkloadNames(account)...)
	}
	slices.Sort(names)
	slices.Sort(accounts)
	return append(slices.Compact(names), slices.Compact(accounts)...)
}
