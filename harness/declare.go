package harness

import (
	"cmp"
	"context"
	"net/http"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/resource/keyvault"
)

const declarePath = "/v1/workloads/declare"

// DeclareAttached declares what is about to be applied to the cluster whose pods
// the running lab answers, as Declare does: with the cluster's issuer where none
// is named, and with the key vaults that the workloads name and nobody has
// configured, see [Files.Configuration]. Whoever is not declared is refused from
// then on by the identities that were made.
func DeclareAttached(ctx context.Context, c *control.Client, all []Declared) error {
	return c.Do(ctx, http.MethodPost, declarePath, all, &[]Declared{})
}

func (l *Lab) declareAll(r *http.Request) (any, error) {
	var all []Declared
	if err := control.Decode(r, &all); err != nil {
		return nil, err
	}
	for i := range all {
		all[i].Identity.Issuer = cmp.Or(all[i].Identity.Issuer, l.emulator.Webhook().Issuer)
	}
	if err := l.Declare(all); err != nil {
		return nil, err
	}
	return all, l.addVaults(all)
}

// addVaults adds the vaults that workloads take for granted.
func (l *Lab) addVaults(all []Declared) error {
	tenant, err := l.emulator.Tenant("")
	if err != nil {
		return err
	}
	for _, d := range all {
		for _, named := range d.Workload.KeyVaults {
			if _, configured := l.emulator.Vaults().Vault(named.Name); configured || !keyvault.ValidVaultName(named.Name) {
				continue
			}
			secrets := map[string]string{}
			for _, item := range named.Items {
				addPlaceholder(secrets, item)
			}
			if err := l.emulator.Vaults().Put(keyvault.Vault{
				Name: named.Name, Tenant: tenant, Secrets: secrets,
				Access: []keyvault.Access{{ObjectID: "*", Permissions: keyvault.Permissions()}},
			}); err != nil {
				return err
			}
		}
	}
	return nil
}
