package emulator

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/issuer"
	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/emulator/tokenproxy"
	"github.com/wiemu/wiemu/emulator/trust"
)

// bindingHost is the host of the issuers behind identity bindings. AKS's is
// ib.oic.prod-aks.azure.com.
const bindingHost = "ib." + config.IssuerDomain

// TokenProxy is what a workload is told of its cluster's identity-binding proxy.
type TokenProxy struct {
	URL     string // AZURE_KUBERNETES_TOKEN_PROXY
	SNIName string // AZURE_KUBERNETES_SNI_NAME
	CA      []byte // PEM, what AZURE_KUBERNETES_CA_FILE and _DATA hold: the cluster's own CA
}

// openBindings makes the identity-binding proxy, without its door.
func (e *Emulator) openBindings(keys *keyring.Pool, login *route) {
	e.bindings = tokenproxy.New(tokenproxy.Config{
		Clusters: e.issuers, Directory: e.directory, Cloud: e.cloud, Clock: e.clock, Journal: e.journal, Login: login, Host: bindingHost,
		Keys: func(ctx context.Context) (*keyring.Ring, error) {
			ring, err := e.keep.ring(ctx, e.clock, keys, keyring.Options{Name: "identity bindings", Identify: issuer.KeyID, Journal: e.journal})
			if err == nil {
				e.extraDoors.Lock()
				e.extraDoors.rings = append(e.extraDoors.rings, ring)
				e.extraDoors.Unlock()
			}
			return ring, err
		},
	})
}

// TokenProxy returns where the identity-binding proxy of an issuer's cluster is;
// "" is the first issuer's. Its door is opened when it is asked for first.
func (e *Emulator) TokenProxy(issuerName string) (TokenProxy, error) {
	if e.inMemory {
		return TokenProxy{}, fmt.Errorf("open the identity-binding proxy: %w", errInMemory)
	}
	from, err := e.Issuer(issuerName)
	if err != nil {
		return TokenProxy{}, err
	}
	e.extraDoors.Lock()
	defer e.extraDoors.Unlock()
	if e.extraDoors.tokenProxy == nil {
		ca, err := trust.Open(e.kept("cluster-ca"), e.clock, trust.Options{Names: []string{tokenproxy.SNIDomain()}})
		if err != nil {
			return TokenProxy{}, fmt.Errorf("make the CA of the identity-binding proxy: %w", err)
		}
		tlsConfig := &tls.Config{GetCertificate: ca.GetCertificate, MinVersion: tls.VersionTLS12}
		d, err := e.openDoor("identity-binding proxy", "", e.behind(BindingsDoor, e.bindings), tlsConfig)
		if err != nil {
			return TokenProxy{}, err
		}
		e.extraDoors.open = append(e.extraDoors.open, d)
		e.extraDoors.tokenProxy, e.extraDoors.clusterCA = d, ca
	}
	return TokenProxy{
		URL: "https://" + e.extraDoors.tokenProxy.address(), SNIName: tokenproxy.SNIName(from.URL()), CA: e.extraDoors.clusterCA.RootPEM(),
	}, nil
}

// BindIdentity makes the service account in its cluster and lets it use the
// managed identity of its client id by an identity binding, as the cluster's
// owners would have done. A client id that no tenant knows becomes a
// user-assigned managed identity. An identity whose bindings wiemu.yaml lists
// keeps exactly those.
func (e *Emulator) BindIdentity(ctx context.Context, w Workload) error {
	if err := config.CheckNames(w.Namespace, w.ServiceAccount); err != nil {
		return err
	}
	from, err := e.Issuer(w.Issuer)
	if err != nil {
		return err
	}
	tenant, err := e.Tenant(w.Tenant)
	if err != nil {
		return err
	}
	from.PutServiceAccount(w.Namespace, w.ServiceAccount, map[string]string{"azure.workload.identity/client-id": w.ClientID})
	if w.ClientID == "" || slices.ContainsFunc(e.config.IdentityBindings, func(b config.IdentityBinding) bool { return strings.EqualFold(b.Identity, w.ClientID) }) {
		return nil
	}
	if e.directory.Removed(tenant, w.ClientID) {
		return nil
	}
	if _, exists := e.directory.Principal(tenant, w.ClientID); !exists {
		if err := e.makeIdentity(tenant, w, directory.ManagedIdentity, nil); err != nil {
			return err
		}
	}
	return e.bindings.Bind(ctx, tokenproxy.Binding{
		Cluster: from.Name(), Namespace: w.Namespace, ServiceAccount: w.ServiceAccount, Tenant: tenant, ClientID: w.ClientID,
	})
}

// bindConfigured makes the bindings of wiemu.yaml: those listed, and those of the
// workloads that use one.
func (e *Emulator) bindConfigured(ctx context.Context, _ Options) error {
	for _, w := range e.config.Workloads {
		if w.IdentityBinding == "" {
			continue
		}
		if err := e.BindIdentity(ctx, Workload{Namespace: w.Namespace, ServiceAccount: w.ServiceAccount, ClientID: w.ClientID, Tenant: w.Tenant, Issuer: w.Issuer}); err != nil {
			return err
		}
	}
	for _, b := range e.config.IdentityBindings {
		from, err := e.Issuer(b.Issuer)
		if err != nil {
			return err
		}
		for _, account := range b.ServiceAccounts {
			namespace, name, _ := strings.Cut(account, "/")
			from.PutServiceAccount(namespace, name, nil)
			if err := e.bindings.Bind(ctx, tokenproxy.Binding{Cluster: from.Name(), Namespace: namespace, ServiceAccount: name, Tenant: b.Tenant, ClientID: b.Identity}); err != nil {
				return err
			}
		}
	}
	return nil
}
