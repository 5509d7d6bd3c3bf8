// Package identitybinding answers as the proxy that AKS runs for identity bindings.
// Workloads send their token requests to it instead of to Entra ID, with
// service-account tokens that Entra ID would not accept; it replaces the token with one
// from an issuer of the managed identity's own and forwards the request. It grants
// nothing itself: Entra ID checks the new assertion as it does any other.
//
// Source: azure-aks-docs, identity-bindings.md and identity-bindings-concepts.md;
// azidentity v1.15.0, internal/customtokenproxy/transport.go. What AKS answers
// to a request that it refuses, and the subject of the tokens that it makes, are
// not documented.
package identitybinding

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/tenants"
)

const (
	// Audience is the audience of the service-account tokens that the proxy accepts.
	// Source: azidentity's TROUBLESHOOTING.md.
	Audience = "api://AKSIdentityBinding"
	// CredentialName is the federated credential that AKS makes for the identity,
	// one for all clusters.
	CredentialName = "aks-identity-binding"
	// sniDomain is that of the name by which a cluster's proxy is asked for.
	sniDomain = ".ests.aks"
)

// SNIDomain is the domain of the names by which clients ask for a cluster's
// proxy: ".ests.aks".
func SNIDomain() string { return sniDomain }

// Config configures a proxy. All fields but Journal are required.
type Config struct {
	Clusters  []*issuer.Issuer
	Directory *tenants.Directory
	Cloud     cloud.Cloud
	Clock     clock.Clock
	Journal   *journals.Journal
	Login     http.RoundTripper // reaches the login host
	// Keys makes the key ring of the identities' issuers. It is called once, by the first
	// Bind.
	Keys func(context.Context) (*keyring.Ring, error)
	// Host is that of the identities' issuers; AKS's is ib.oic.prod-aks.azure.com.
	Host string
}

// Binding lets a service account of a cluster use a managed identity: in AKS the
// identity binding of cluster and identity, and a ClusterRoleBinding that gives
// the account the verb use-managed-identity.
type Binding struct {
	Cluster                   string // the issuer's name
	Namespace, ServiceAccount string
	Tenant, ClientID          string // of the managed identity
}

// Proxy is the proxy of all clusters. It is safe for concurrent use.
type Proxy struct {
	config   Config
	clusters map[string]*issuer.Issuer // by SNI name

	mu       sync.Mutex
	keys     *keyring.Ring
	bindings []Binding
	issuers  map[string]*issuer.Issuer // of the identities, by URL: they only publish
}

// New makes a proxy without bindings.
func New(c Config) *Proxy {
	p := &Proxy{config: c, clusters: map[string]*issuer.Issuer{}, issuers: map[string]*issuer.Issuer{}}
	for _, i := range c.Clusters {
		p.clusters[SNIName(i.URL())] = i
	}
	return p
}

// SNIName returns the TLS server name that selects the proxy of a cluster. AKS's are
// made of a hash of the cluster's id, 53 characters long.
func SNIName(issuerURL string) string {
	sum := sha256.Sum256([]byte("identity-binding" + issuerURL))
	return "a" + strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])) + sniDomain
}

// IssuerURL returns the issuer of the tokens that the proxy makes for an identity, the
// same in every cluster.
func (p *Proxy) IssuerURL(tenant, clientID string) string {
	return "https://" + p.config.Host + "/" + tenant + "/" + strings.ToLower(clientID)
}

// Bind makes a binding and, as AKS does, the federated credential that lets the
// identity trust the proxy. It is idempotent. The identity has to be a managed one.
func (p *Proxy) Bind(ctx context.Context, b Binding) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.ClientID = strings.ToLower(b.ClientID)
	if slices.Contains(p.bindings, b) {
		return nil
	}
	identity, ok := p.config.Directory.Principal(b.Tenant, b.ClientID)
	if !ok || identity.Kind != directory.ManagedIdentity {
		return fmt.Errorf("bind %s/%s to %s: expected a managed identity of tenant %s; identity bindings are not for app registrations", b.Namespace, b.ServiceAccount, b.ClientID, b.Tenant)
	}
	if p.keys == nil {
		ring, err := p.config.Keys(ctx)
		if err != nil {
			return err
		}
		p.keys = ring
	}
	url := p.IssuerURL(b.Tenant, b.ClientID)
	if p.issuers[url] == nil {
		publishes, err := issuer.New(url, p.keys, p.config.Clock, issuer.Options{Name: CredentialName})
		if err != nil {
			return err
		}
		if err := p.federate(b, url); err != nil {
			return err
		}
		p.issuers[url] = publishes
	}
	p.bindings = append(p.bindings, b)
	p.config.Journal.Record(journal.Event{
		Kind: journal.Directory, Outcome: journal.OK, Workload: b.Namespace + "/" + b.ServiceAccount, Tenant: b.Tenant, ClientID: b.ClientID, Identity: identity.DisplayName,
		Issuer: url, Summary: fmt.Sprintf("%s/%s of cluster %s may use managed identity %s by an identity binding", b.Namespace, b.ServiceAccount, b.Cluster, identity.DisplayName),
	})
	return nil
}

func (p *Proxy) federate(b Binding, url string) error {
	return p.config.Directory.Update(b.Tenant, b.ClientID, func(identity *directory.Principal) error {
		if !slices.ContainsFunc(identity.FederatedCredentials, func(f directory.FederatedCredential) bool { return f.Issuer == url }) {
			identity.FederatedCredentials = append(identity.FederatedCredentials, directory.FederatedCredential{
				Name: CredentialName, Issuer: url, Subject: b.ClientID, Audience: p.config.Cloud.TokenExchange,
			})
		}
		return nil
	})
}

// Publishes reports whether Discovery answers at a path.
func (p *Proxy) Publishes(path string) bool { return p.publisher(path) != nil }

// Discovery answers for the identities' issuers: documents and keys.
func (p *Proxy) Discovery() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if i := p.publisher(httppath.Original(r)); i != nil {
			i.Discovery().ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	})
}

func (p *Proxy) publisher(path string) *issuer.Issuer {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, i := range p.issuers {
		if i.Publishes(path) {
			return i
		}
	}
	return nil
}

// bound reports whether a service account may use an identity, and which others it may
// use.
func (p *Proxy) bound(wanted Binding) (ok bool, others []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.bindings {
		if b == wanted {
			return true, nil
		}
		if b.Cluster == wanted.Cluster && b.Namespace == wanted.Namespace && b.ServiceAccount == wanted.ServiceAccount {
			others = append(others, b.ClientID)
		}
	}
	return false, others
}
