package session

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
	"github.com/wiemu/wiemu/internal/workload"
)

const declarePath = "/v1/workloads/declare"

// Declare does what [Session.Declare] does, in a running lab: it declares the workloads that
// are about to be applied to a cluster. They get the cluster's issuer unless they name one,
// and the key vaults that they name are added unless they are configured, see
// [Files.Configuration]. From then on the identities that were created refuse workloads that
// were not declared.
func Declare(ctx context.Context, c *control.Client, all []workload.Spec) error {
	return c.Do(ctx, http.MethodPost, declarePath, all, &[]workload.Spec{})
}

func (l *Session) declareAll(r *http.Request) (any, error) {
	var all []workload.Spec
	if err := controlapi.Decode(r, &all); err != nil {
		return nil, err
	}
	return all, l.declareHere(all)
}

// declareHere declares workloads with the issuer of the cluster, unless they name one, and the
// vaults that they name.
func (l *Session) declareHere(all []workload.Spec) error {
	for i := range all {
		all[i].Issuer = cmp.Or(all[i].Issuer, l.emulator.Config().Webhook.Issuer)
	}
	if err := l.Declare(all); err != nil {
		return err
	}
	return l.addVaults(all)
}

// addVaults adds the vaults that workloads name, and to those that it, or the start of the lab, has
// added for workloads what they name since.
func (l *Session) addVaults(all []workload.Spec) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range all {
		for _, named := range d.KeyVaults {
			if err := l.addVault(named); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *Session) addVault(named workload.KeyVault) error {
	name := strings.ToLower(named.Name)
	_, exists := l.emulator.Vaults().Vault(name)
	if exists && !l.vaults[name] || !keyvault.ValidVaultName(named.Name) {
		return nil
	}
	tenant, err := l.emulator.Tenant("")
	if err != nil {
		return err
	}
	vault := keyvault.Vault{
		Name: named.Name, Tenant: tenant, Secrets: map[string]string{}, Keys: map[string]keyvault.Key{}, Certificates: map[string]keyvault.Certificate{},
		Access: []keyvault.Access{{ObjectID: "*", Permissions: keyvault.Permissions()}},
	}
	for _, item := range named.Items {
		addPlaceholder(vault.Secrets, vault.Keys, vault.Certificates, named.Items, item)
	}
	for name := range vault.Certificates {
		vault.Certificates[name] = keyvault.Certificate{Subject: "CN=" + name}
	}
	if exists {
		return l.emulator.Vaults().AddMissing(vault)
	}
	l.vaults[name] = true
	return l.emulator.Vaults().Put(vault)
}

// ofWorkloads reports whether a vault of a lab's configuration was added for the workloads of its
// files; see [Files.Configuration].
func ofWorkloads(v config.Vault) bool {
	for name, value := range v.Secrets {
		if value != placeholder(name) {
			return false
		}
	}
	return len(v.Secrets) > 0 && v.Access == nil
}
