package session

import (
	"cmp"
	"context"
	"net/http"

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

// addVaults adds the vaults that workloads name.
func (l *Session) addVaults(all []workload.Spec) error {
	tenant, err := l.emulator.Tenant("")
	if err != nil {
		return err
	}
	for _, d := range all {
		for _, named := range d.KeyVaults {
			if _, configured := l.emulator.Vaults().Vault(named.Name); configured || !keyvault.ValidVaultName(named.Name) {
				continue
			}
			secrets, keys, certificates := map[string]string{}, map[string]keyvault.Key{}, map[string]keyvault.Certificate{}
			for _, item := range named.Items {
				addPlaceholder(secrets, keys, certificates, named.Items, item)
			}
			for name := range certificates {
				certificates[name] = keyvault.Certificate{Subject: "CN=" + name}
			}
			if err := l.emulator.Vaults().Put(keyvault.Vault{
				Name: named.Name, Tenant: tenant, Secrets: secrets, Keys: keys, Certificates: certificates,
				Access: []keyvault.Access{{ObjectID: "*", Permissions: keyvault.Permissions()}},
			}); err != nil {
				return err
			}
		}
	}
	return nil
}
