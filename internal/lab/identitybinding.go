package lab

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/identitybinding"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/keyring"
)

// bindingHost is the host of the issuers behind identity bindings. AKS's is
// ib.oic.prod-aks.azure.com.
const bindingHost = "ib." + config.IssuerDomain

// openBindings makes the identity-binding proxy, without a listener.
func (l *Lab) openBindings(keys *keyring.Pool, login *router) {
	l.bindings = identitybinding.New(identitybinding.Config{
		Clusters: l.issuers, Directory: l.directory, Cloud: l.cloud, Clock: l.clock, Journal: l.journal, Login: login, Host: bindingHost,
		Keys: func(ctx context.Context) (*keyring.Ring, error) {
			ring, err := l.persist.ring(ctx, l.clock, keys, keyring.Options{Name: "identity bindings", Identify: issuer.KeyID, Journal: l.journal})
			if err == nil {
				l.later.Lock()
				l.later.rings = append(l.later.rings, ring)
				l.later.Unlock()
			}
			return ring, err
		},
	})
}

// Bindings answers as AKS's identity-binding proxy, over TLS.
func (l *Lab) Bindings() http.Handler { return l.bindings }

// BindIdentity makes the service account in its cluster and lets it use the
// managed identity of its client id by an identity binding, as the cluster's
// owners would have done. A client id that no tenant knows becomes a
// user-assigned managed identity. An identity whose bindings wiemu.yaml lists
// keeps exactly those.
func (l *Lab) BindIdentity(ctx context.Context, a Account) error {
	from, tenant, err := l.cluster(a)
	if err != nil {
		return err
	}
	from.PutServiceAccount(a.Namespace, a.ServiceAccount, azwi.Annotations(a.ClientID))
	if a.ClientID == "" || slices.ContainsFunc(l.config.IdentityBindings, func(b config.IdentityBinding) bool { return strings.EqualFold(b.Identity, a.ClientID) }) {
		return nil
	}
	if l.directory.Removed(tenant, a.ClientID) {
		return nil
	}
	if _, exists := l.directory.Principal(tenant, a.ClientID); !exists {
		if err := l.makeIdentity(tenant, a, directory.ManagedIdentity, nil); err != nil {
			return err
		}
	}
	return l.bindings.Bind(ctx, identitybinding.Binding{
		Cluster: from.Name(), Namespace: a.Namespace, ServiceAccount: a.ServiceAccount, Tenant: tenant, ClientID: a.ClientID,
	})
}

// bindConfigured makes the bindings of wiemu.yaml: those listed, and those of the
// workloads that use one.
func (l *Lab) bindConfigured(ctx context.Context, _ Options) error {
	for _, w := range l.config.Workloads {
		if w.IdentityBinding == "" {
			continue
		}
		if err := l.BindIdentity(ctx, Account{Namespace: w.Namespace, ServiceAccount: w.ServiceAccount, ClientID: w.ClientID, Tenant: w.Tenant, Issuer: w.Issuer}); err != nil {
			return err
		}
	}
	for _, b := range l.config.IdentityBindings {
		from, err := l.Issuer(b.Issuer)
		if err != nil {
			return err
		}
		for _, account := range b.ServiceAccounts {
			namespace, name, _ := strings.Cut(account, "/")
			from.PutServiceAccount(namespace, name, nil)
			if err := l.bindings.Bind(ctx, identitybinding.Binding{Cluster: from.Name(), Namespace: namespace, ServiceAccount: name, Tenant: b.Tenant, ClientID: b.Identity}); err != nil {
				return err
			}
		}
	}
	return nil
}
