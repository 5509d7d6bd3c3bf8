package lab

import (
	"context"
	"fmt"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
	"github.com/wiemu/wiemu/internal/resource/postgres"
	"github.com/wiemu/wiemu/internal/resource/redis"
	"github.com/wiemu/wiemu/internal/resource/sql"
	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/tenants"
)

// Config is the configuration, completed.
func (l *Lab) Config() config.Config { return l.config }

// ConfigFile is where the configuration was read from; "" if from no file.
func (l *Lab) ConfigFile() string { return l.configFile }

// Clock is the lab clock.
func (l *Lab) Clock() *clock.Lab { return l.clock }

// Journal is the record of what happens in the lab.
func (l *Lab) Journal() *journals.Journal { return l.journal }

// Faults are what goes wrong on purpose.
func (l *Lab) Faults() *faults.Set { return l.faults }

// Cloud is the Azure cloud that is emulated.
func (l *Lab) Cloud() cloud.Cloud { return l.cloud }

// Directory holds the tenants; changes to it take effect at the next request.
func (l *Lab) Directory() *tenants.Directory { return l.directory }

// Vaults are the key vaults; changes to them take effect at the next request.
func (l *Lab) Vaults() *keyvault.Service {
	return l.resources[keyvault.Name].(*keyvault.Service)
}

// Storage are the storage accounts; changes to them take effect at the next request.
func (l *Lab) Storage() *storage.Accounts {
	return l.resources[storage.Name].(*storage.Accounts)
}

// SQL are the servers of Azure SQL; changes to them take effect at the next login.
func (l *Lab) SQL() *sql.Servers { return l.resources[sql.Name].(*sql.Servers) }

// Redis are the caches; changes to them take effect at the next login.
func (l *Lab) Redis() *redis.Caches {
	return l.resources[redis.Name].(*redis.Caches)
}

// Postgres are the PostgreSQL servers; changes to them take effect at the next login.
func (l *Lab) Postgres() *postgres.Servers {
	return l.resources[postgres.Name].(*postgres.Servers)
}

// Roles are who may do what to resources; changes to them take effect at the next request,
// or after the delay of the configuration.
func (l *Lab) Roles() *roles.Set { return l.roles }

// Issuers returns the hosted issuers in the order of the configuration.
func (l *Lab) Issuers() []*issuer.Issuer { return l.issuers }

// KeyRing returns the signing keys of an issuer by its name, or of Entra ID by
// the name "entra"; "" is the first issuer's.
func (l *Lab) KeyRing(name string) (*keyring.Ring, error) {
	if name == "" {
		name = l.issuers[0].Name()
	}
	if ring, ok := l.rings[name]; ok {
		return ring, nil
	}
	return nil, fmt.Errorf("key ring %q: expected the name of a hosted issuer, or entra", name)
}

// KeyRings returns the signing keys of each hosted issuer by its name, and of Entra ID
// by the name "entra".
func (l *Lab) KeyRings() map[string]*keyring.Ring { return l.rings }

// Examine runs the checks that Entra ID would make of an assertion, all of them,
// and issues nothing.
func (l *Lab) Examine(ctx context.Context, tenant, clientID, assertion string) journal.Event {
	return l.entra.Examine(ctx, tenant, clientID, assertion)
}
