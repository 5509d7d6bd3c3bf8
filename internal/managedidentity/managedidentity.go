// Package managedidentity answers as the endpoints from which programs on Azure get the
// tokens of managed identities: a virtual machine's metadata service (IMDS), App
// Service's endpoint, and the proxy sidecar of azure-workload-identity, which answers in
// place of IMDS with a pod's federated token. It selects the identity and caches its
// tokens; which identities exist and what a token contains is up to package entra.
package managedidentity

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/entra"
	"github.com/wiemu/wiemu/internal/entra/aadsts"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/tenants"
)

// Kind is how a machine hands out tokens.
type Kind string

// The kinds of machine.
const (
	IMDS       Kind = "imds"        // a virtual machine: http://169.254.169.254/metadata/identity/oauth2/token
	AppService Kind = "app-service" // IDENTITY_ENDPOINT and IDENTITY_HEADER
	Sidecar    Kind = "sidecar"     // azure-workload-identity's proxy in a pod
)

// Kinds are the kinds of machine by name.
func Kinds() []string { return []string{string(IMDS), string(AppService), string(Sidecar)} }

// Config configures a service. Journal may be nil.
type Config struct {
	Entra     *entra.Service
	Directory *tenants.Directory
	Clock     clock.Clock
	Journal   *journals.Journal
	Faults    *faults.Set       // if nil, there are none
	Login     http.RoundTripper // by which sidecars reach the login host

	// Unavailable are the statuses with which every machine answers its first token
	// requests, one each, before it works: 404 and 410 as IMDS does while it is being
	// updated, 429 when it throttles, 500.
	Unavailable []int
}

// Machine is what an application runs on: the identities assigned to it and how
// it hands out their tokens.
type Machine struct {
	Kind       Kind
	Name       string   // of the workload, for the journal and the resource's name
	Tenant     string   // its id
	Identities []string // client ids of the managed identities assigned to it
	ResourceID string   // Azure's. If empty, it is made from Subscription and Name

	Subscription string // GUID

	Header    string // App Service: what IDENTITY_HEADER holds
	ClientID  string // sidecar: AZURE_CLIENT_ID of its pod
	TokenFile string // sidecar: AZURE_FEDERATED_TOKEN_FILE of its pod
}

// Service holds the machines of a lab. It is safe for concurrent use.
type Service struct {
	config Config

	mu       sync.Mutex
	machines []*machine
}

// New makes a service without machines.
func New(c Config) *Service { return &Service{config: c} }

// Add makes a machine and returns its handler, for the paths of IMDS and of App Service
// alike. The identities have to be managed identities of the tenant: Azure assigns no
// app registration to a machine.
func (s *Service) Add(m Machine) (http.Handler, error) {
	for _, id := range m.Identities {
		p, ok := s.config.Directory.Principal(m.Tenant, id)
		switch {
		case !ok:
			return nil, fmt.Errorf("managed identity %q: tenant %s has none with this client id; list it under identities in wiemu.yaml", id, m.Tenant)
		case p.Kind != directory.ManagedIdentity:
			return nil, fmt.Errorf("managed identity %q: it is the app registration %s, and Azure assigns only managed identities to what runs there; list it under identities instead of applications in wiemu.yaml, or use workload identity", id, p.DisplayName)
		}
	}
	m.ResourceID = cmp.Or(m.ResourceID, fmt.Sprintf("/subscriptions/%s/resourcegroups/wiemu/providers/%s/%s", m.Subscription, m.Kind.provider(), resourceName(m.Name)))
	made := &machine{Machine: m, service: s, cache: map[cacheKey]entra.Token{}, unavailable: slices.Clone(s.config.Unavailable)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.machines = append(s.machines, made)
	return s.notFromBrowsers(s.config.Faults.Answers(faultComponent, made)), nil
}

func (k Kind) provider() string {
	if k == AppService {
		return "Microsoft.Web/sites"
	}
	return "Microsoft.Compute/virtualMachines"
}

func resourceName(workload string) string {
	return strings.Trim(strings.NewReplacer("/", "-", ".", "-").Replace(workload), "-")
}

// Shared answers for 169.254.169.254:80 where several machines share the address, as
// behind one proxy: as the machine to which the selected identity is assigned, or if
// none is selected as one machine that has the identities of all.
func (s *Service) Shared() http.Handler {
	return s.notFromBrowsers(s.config.Faults.Answers(faultComponent, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		all := slices.DeleteFunc(slices.Clone(s.machines), func(m *machine) bool { return m.Kind == AppService })
		s.mu.Unlock()
		for _, m := range all {
			if len(all) == 1 || m.isMeant(selectorOf(r)) {
				m.ServeHTTP(w, r)
				return
			}
		}
		s.merged(all).ServeHTTP(w, r)
	})))
}

func (m *machine) isMeant(sel selector) bool {
	if m.Kind == Sidecar {
		return sel.clientID != "" && strings.EqualFold(sel.clientID, m.ClientID)
	}
	found, _ := sel.find(m.assigned())
	return !sel.empty() && len(found) > 0
}

func (s *Service) merged(all []*machine) *machine {
	m := &machine{Machine: Machine{Kind: IMDS, Name: "wiemu"}, service: s, cache: map[cacheKey]entra.Token{}}
	for _, other := range all {
		m.Tenant = other.Tenant
		for _, id := range append(slices.Clone(other.Identities), other.ClientID) {
			if id != "" && !slices.Contains(m.Identities, id) {
				m.Identities = append(m.Identities, id)
			}
		}
	}
	return m
}

type machine struct {
	Machine
	service *Service

	mu          sync.Mutex
	cache       map[cacheKey]entra.Token
	unavailable []int // what is left of Config.Unavailable
}

type cacheKey struct{ clientID, resource string }

func (m *machine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", m.now().UTC().Format(http.TimeFormat))
	switch m.Kind {
	case AppService:
		m.serveAppService(w, r)
	case Sidecar:
		m.serveSidecar(w, r)
	default:
		m.serveIMDS(w, r)
	}
}

func (m *machine) now() time.Time { return m.service.config.Clock.Now() }

func (m *machine) assigned() []*directory.Principal {
	var all []*directory.Principal
	for _, id := range m.Identities {
		if p, ok := m.service.config.Directory.Principal(m.Tenant, id); ok {
			all = append(all, p)
		}
	}
	return all
}

// renewBefore is how long before its end a cached token is replaced: clients treat
// tokens that expire sooner as expired (MSAL).
const renewBefore = 5 * time.Minute

// issued is the outcome of asking Entra ID for a token, or of the cache.
type issued struct {
	token              entra.Token
	refusal            *aadsts.Error
	trace, correlation uuid.UUID // of the refusal
	fromCache          bool
	clientID, identity string
}

// token returns the identity's token for a resource, from the cache until shortly before
// it expires, as Azure's hosts do.
// Source: entra-docs, managed-identities-azure-resources/how-to-use-vm-token.md, "Token caching".
func (m *machine) token(ctx context.Context, p *directory.Principal, resource, service string) issued {
	m.mu.Lock()
	defer m.mu.Unlock() // one request at a time for a machine: the second finds the first's token
	result := issued{clientID: p.ClientID, identity: p.DisplayName}
	key := cacheKey{p.ClientID, resource}
	if t, ok := m.cache[key]; ok && m.now().Add(renewBefore).Before(t.ExpiresAt) {
		result.token, result.fromCache = t, true
		return result
	}
	result.trace, result.correlation = uuid.New(), uuid.New()
	result.trace[15] = 0 // as Entra ID's request ids end
	result.token, result.refusal = m.service.config.Entra.ExchangeForHost(ctx, entra.Request{
		Tenant: m.Tenant, ClientID: p.ClientID, Resource: resource, TraceID: result.trace, CorrelationID: result.correlation,
	}, entra.Host{Service: service, Workload: m.Name, ResourceID: m.ResourceID})
	if result.refusal == nil {
		if len(m.cache) >= maxCached {
			clear(m.cache)
		}
		m.cache[key] = result.token
	}
	return result
}

// maxCached is how many tokens a machine caches at most, whatever clients ask for.
const maxCached = 1000

const faultComponent = "imds"

// nextUnavailable returns the status with which this request fails, 0 if it does not.
func (m *machine) nextUnavailable(r *http.Request) int {
	if status, _, refused := faults.Refusal(r.Context()); refused {
		return status
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.unavailable) == 0 {
		return 0
	}
	status := m.unavailable[0]
	m.unavailable = m.unavailable[1:]
	return status
}
