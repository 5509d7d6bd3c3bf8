// Package inventory takes what exists in a lab, or in an export of a real tenant, over into a
// wiemu.yaml: who there is, what is trusted, and who has which roles. It makes nothing in a lab;
// who wants what it writes loads the file.
//
// Secrets are never taken along. In their place is a text that begins with [NotExported].
package inventory

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
	"github.com/wiemu/wiemu/internal/resource/postgres"
	"github.com/wiemu/wiemu/internal/resource/redis"
	"github.com/wiemu/wiemu/internal/resource/sql"
	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/roles"
)

// NotExported begins the text that stands in place of a secret.
const NotExported = "not exported: "

// Path is where the control API answers with a [State].
const Path = "/v1/directory/state"

// State is what exists in a lab, without secrets.
type State struct {
	Config      string             `json:"config"`                // the completed wiemu.yaml with which the lab was started
	Tenants     []directory.Tenant `json:"tenants"`               // as they are now
	Assignments []roles.Assignment `json:"assignments,omitempty"` // of roles, as they are now
	Definitions []roles.Definition `json:"definitions,omitempty"` // of custom roles
	Open        []string           `json:"open,omitempty"`        // resource ids in lower case of what everybody may use

	Vaults   []Vault           `json:"vaults,omitempty"`
	Accounts []storage.Account `json:"accounts,omitempty"` // their containers without blobs
	SQL      []sql.Server      `json:"sql,omitempty"`
	Postgres []postgres.Server `json:"postgres,omitempty"`
	Redis    []Cache           `json:"redis,omitempty"`

	Moved map[string]string `json:"moved,omitempty"` // by the resource id of what is elsewhere than wiemu.yaml has it: where it has it

	Left []string `json:"left,omitempty"` // what was taken out, in sentences without a full stop
}

// Vault is a vault with the names of its secrets.
type Vault struct {
	Name     string            `json:"name"`
	Tenant   string            `json:"tenant"` // id
	ID       string            `json:"id"`     // resource id
	Policies bool              `json:"policies,omitempty"`
	Access   []keyvault.Access `json:"access,omitempty"`
	Secrets  map[string]string `json:"secrets,omitempty"` // each with what is in the place of its value
}

// Cache is a cache with who is assigned which policy.
type Cache struct {
	redis.Cache
	ID   string `json:"id"`
	Open bool   `json:"open,omitempty"` // every identity of its tenant is a Data Owner
}

// Of returns the state of a lab.
func Of(l *lab.Lab) (State, error) {
	s := State{Tenants: l.Directory().Snapshot(), Assignments: l.Roles().Assignments(nil), Open: l.Roles().Opened(), Moved: map[string]string{}}
	for _, t := range s.Tenants {
		for _, p := range t.Principals {
			for n := range p.Secrets {
				p.Secrets[n].Value = fmt.Sprintf("%ssecret %d of %s", NotExported, n+1, p.DisplayName)
			}
		}
	}
	builtin := roles.Builtin()
	for _, d := range l.Roles().Definitions() {
		if !slices.ContainsFunc(builtin, func(b roles.Definition) bool { return b.ID == d.ID }) {
			s.Definitions = append(s.Definitions, d)
		}
	}
	text, err := s.withoutSecrets(l.Config()).YAML()
	if err != nil {
		return State{}, err
	}
	s.Config = string(text)
	s.addVaults(l)
	s.addServers(l)
	return s, s.addAccounts(l)
}

func (s *State) left(format string, args ...any) {
	s.Left = append(s.Left, fmt.Sprintf(format, args...))
}

// moves notes the place that wiemu.yaml gives a resource.
func (s *State) moves(l *lab.Lab, tenant, id, kind, name string) {
	if there := l.Roles().ResourceID(tenant, kind, name); !roles.Within(there, id) {
		s.Moved[id] = there
	}
}

// withoutSecrets leaves principals out, which are among the tenants, PostgreSQL servers and caches,
// which the state has in full, and what is of the machine or goes wrong on purpose.
func (s *State) withoutSecrets(c config.Config) config.Config {
	c.APIVersion, c.Kind = config.APIVersion, config.Kind
	c.Listen, c.Faults, c.Chaos = config.Listen{}, nil, 0
	c.Applications, c.Identities = nil, nil
	c.Vaults = slices.Clone(c.Vaults)
	for n := range c.Vaults {
		c.Vaults[n] = s.publicVault(c.Vaults[n])
	}
	c.Resources = maps.Clone(c.Resources)
	for name, settings := range c.Resources {
		switch of := settings.(type) {
		case *sql.Settings:
			servers := slices.Clone(*of)
			for n := range servers {
				servers[n].Engine.URL = s.withoutPassword("SQL server "+servers[n].Name, servers[n].Engine.URL)
			}
			c.Resources[name] = &servers
		case *storage.Settings, *storage.Options: // they have no secrets
		case *postgres.Settings, *redis.Settings: // see addServers
			delete(c.Resources, name)
		default:
			s.left("%s: the whole section, because wiemu does not know which of its fields are secret", name)
			delete(c.Resources, name)
		}
	}
	return c
}

// withoutPassword is the URL of what is behind a resource; "" if a password cannot be told in it.
func (s *State) withoutPassword(of, text string) string {
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		s.left("%s: its url, which is none with a host and may have a password", of)
		return ""
	}
	if _, has := u.User.Password(); has || u.RawQuery != "" {
		s.left("%s: the password and the parameters of its url: write them again", of)
		u.RawQuery = ""
		if name := u.User.Username(); name != "" {
			u.User = url.User(name)
		} else {
			u.User = nil
		}
	}
	return u.String()
}

// publicVault has names in place of secrets. Keys and certificates of files are ones that the lab
// makes, as nobody else has the private key.
func (s *State) publicVault(v config.Vault) config.Vault {
	v.Secrets = placeholders(v.Name, slices.Sorted(maps.Keys(v.Secrets)))
	v.Keys, v.Certificates = maps.Clone(v.Keys), maps.Clone(v.Certificates)
	for _, name := range slices.Sorted(maps.Keys(v.Keys)) {
		if k := v.Keys[name]; k.File != "" {
			s.left("vault %s: key %s, which is from a file: the lab that loads this makes another", v.Name, name)
			k.File = ""
			v.Keys[name] = k
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Certificates)) {
		if cert := v.Certificates[name]; cert.File != "" {
			s.left("vault %s: certificate %s, which is from a file: the lab that loads this makes another", v.Name, name)
			cert.File, cert.Password = "", ""
			v.Certificates[name] = cert
		}
	}
	return v
}

func placeholders(vault string, secrets []string) map[string]string {
	if len(secrets) == 0 {
		return nil
	}
	all := map[string]string{}
	for _, name := range secrets {
		all[name] = fmt.Sprintf("%ssecret %s of vault %s", NotExported, name, vault)
	}
	return all
}

func (s *State) addVaults(l *lab.Lab) {
	configured := map[string]config.Vault{}
	for _, v := range l.Config().Vaults {
		configured[strings.ToLower(v.Name)] = v
	}
	for _, v := range l.Vaults().Vaults() {
		held, ok := l.Vaults().Vault(v.Name)
		if !ok { // it is gone by now
			continue
		}
		s.madeInVault(v.Name, configured[strings.ToLower(v.Name)], held)
		s.moves(l, v.Tenant, v.ID, "Microsoft.KeyVault/vaults", v.Name)
		s.Vaults = append(s.Vaults, Vault{Name: v.Name, Tenant: v.Tenant, ID: v.ID, Policies: v.Policies, Access: v.Access, Secrets: placeholders(v.Name, slices.Sorted(maps.Keys(held.Secrets)))})
	}
}

// madeInVault says which keys and certificates clients have made: their private keys are secrets.
func (s *State) madeInVault(name string, configured config.Vault, held keyvault.Vault) {
	for _, key := range slices.Sorted(maps.Keys(held.Keys)) {
		_, ofKey := configured.Keys[key]
		if _, ofCertificate := held.Certificates[key]; !ofKey && !ofCertificate {
			s.left("vault %s: key %s, which was made at run time", name, key)
		}
	}
	for _, cert := range slices.Sorted(maps.Keys(held.Certificates)) {
		if _, known := configured.Certificates[cert]; !known {
			s.left("vault %s: certificate %s, which was made at run time", name, cert)
		}
	}
}

func (s *State) addAccounts(l *lab.Lab) error {
	for _, name := range l.Storage().Names() {
		tenant, id, ok := l.Storage().Account(name)
		if !ok {
			continue
		}
		a := storage.Account{Name: name, Tenant: tenant}
		containers, err := l.Storage().List(name, storage.Blob)
		if err == nil {
			a.Queues, err = l.Storage().List(name, storage.Queue)
		}
		if err != nil {
			return err
		}
		for _, c := range containers {
			if a.Containers == nil {
				a.Containers = map[string]map[string]string{}
			}
			a.Containers[c] = map[string]string{}
		}
		s.moves(l, tenant, id, "Microsoft.Storage/storageAccounts", name)
		s.Accounts = append(s.Accounts, a)
	}
	return nil
}

func (s *State) addServers(l *lab.Lab) {
	for _, name := range l.SQL().Names() {
		if found, ok := l.SQL().Configured(name); ok {
			server := sql.Server{Name: found.Name, Tenant: found.Tenant, Administrator: found.Administrator}
			for _, database := range found.Databases {
				server.Databases = append(server.Databases, sql.Database{Name: database})
			}
			s.SQL = append(s.SQL, server)
		}
	}
	for _, name := range l.Postgres().Names() {
		if found, ok := l.Postgres().Server(name); ok {
			found.URL = s.withoutPassword("PostgreSQL server "+name, found.URL)
			s.Postgres = append(s.Postgres, found)
		}
	}
	for _, name := range l.Redis().Names() {
		found, ok := l.Redis().Cache(name)
		if !ok {
			continue
		}
		found.URL = s.withoutPassword("cache "+name, found.URL)
		assigned, open := l.Redis().Assignments(name)
		found.Access = redis.PolicyAssignments{}
		for _, a := range assigned {
			found.Access = append(found.Access, redis.PolicyAssignment{Identity: a.ClientID, Policy: a.Policy})
		}
		if open {
			found.Access = nil
		}
		_, id := l.Redis().Scope(name)
		s.Redis = append(s.Redis, Cache{Cache: found, ID: id, Open: open})
	}
}
