// Package managedidentity is how Azure's hosts give what runs on them the tokens
// of managed identities: a virtual machine's metadata service (IMDS), App
// Service's endpoint, and the proxy sidecar of azure-workload-identity, which
// answers in the place of IMDS with a pod's federated token. It selects the
// identity and caches; who exists and what a token says is decided by entra.
package managedidentity

import (
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
	"github.com/wiemu/wiemu/emulator/entra"
	"github.com/wiemu/wiemu/emulator/entra/aadsts"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
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

// Config is what the service works with. Journal may be nil.
type Config struct {
	Entra     *entra.Service
	Directory *directory.Directory
	Clock     clock.Clock
	Journal   *journal.Journal
	Faults    *fault.Set        // nil: nothing goes wrong on purpose
	Login     http.RoundTripper // by which sidecars reach the login host

	// Unavailable are the statuses that every machine's first token requests are
	// answered with, one each, before it works: 404 and 410 as IMDS does while it
	// is being updated, 429 when it throttles, 500.
	Unavailable []int
}

// Machine is what an application runs on: the identities assigned to it and how
// it hands out their tokens.
type Machine struct {
	Kind       Kind
	Name       string   // of the workload, for the journal and the resource's name
	Tenant     string   // its id
	Identities []string // client ids of the managed identities assigned to it
	ResourceID string   // Azure's; "": made from Subscription and Name

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

// Add makes a machine and returns what answers for it, paths of IMDS and of App
// Service alike. The identities have to be managed identities of the tenant: an
// app registration cannot be assigned to anything.
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
	if m.ResourceID == "" {
		m.ResourceID = fmt.Sprintf("/subscriptions/%s/resourcegroups/wiemu/providers/%s/%s", m.Subscription, m.Kind.provider(), resourceName(m.Name))
	}
	made := &machine{Machine: m, service: s, cache: map[cacheKey]entra.Token{}, unavailable: slices.Clone(s.config.Unavailable)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.machines = append(s.machines, made)
	return s.notFromBrowsers(s.config.Faults.Answers(faultPart, made)), nil
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

// Shared answers what 169.254.169.254:80 answers where several machines have the
// address in common, as behind one proxy: for the machine to which the selected
// identity is assigned, and where none is selected for all of them together.
func (s *Service) Shared() http.Handler {
	return s.notFromBrowsers(s.config.Faults.Answers(faultPart, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		all := slices.DeleteFunc(slices.Clone(s.machines), func(m *machine) bool { return m.Kind == AppService })
		s.mu.Unlock()
		for _, m := range all {
			if len(all) == 1 || m.isMeant(selectorOf(r)) {
				m.ServeHTTP(w, r)
				return
			}
		}
		s.together(all).ServeHTTP(w, r)
	})))
}

// isMeant reports whether a request that names an identity is for this machine.
func (m *machine) isMeant(sel selector) bool {
	if m.Kind == Sidecar {
		return sel.clientID != "" && strings.EqualFold(sel.clientID, m.ClientID)
	}
	found, _ := sel.find(m.assigned())
	return !sel.empty() && len(found) > 0
}

// together is one machine with everything that is assigned to several.
func (s *Service) together(all []*machine) *machine {
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

// machine is a Machine at work.
type machine struct {
	Machine
	service *Service

	mu          sync.Mutex
	cache       map[cacheKey]entra.Token
	unavailable []int // answers to come before it works
}

type cacheKey struct{ clientID, resource string }

// ServeHTTP implements http.Handler.
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

// assigned are the machine's identities as they are now.
func (m *machine) assigned() []*directory.Principal {
	var all []*directory.Principal
	for _, id := range m.Identities {
		if p, ok := m.service.config.Directory.Principal(m.Tenant, id); ok {
			all = append(all, p)
		}
	}
	return all
}

// renewBefore is when a cached token is replaced: clients treat tokens with less
// to live as expired (MSAL).
const renewBefore = 5 * time.Minute

// issued is a token with what a refusal of it says.
type issued struct {
	token              entra.Token
	refusal            *aadsts.Error
	trace, correlation uuid.UUID // of the refusal
	fromCache          bool
	clientID, identity string
}

// token returns the identity's token for a resource: the same until it is near
// its end, as Azure's hosts cache them.
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

// maxCached bounds what a client can make a machine remember.
const maxCached = 1000

// faultPart is what the selectors of faults call all of them.
const faultPart = "imds"

// nextUnavailable is the status that this request fails with; 0: it does not.
func (m *machine) nextUnavailable(r *http.Request) int {
	if status, _, refused := fault.Refusal(r.Context()); refused {
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
