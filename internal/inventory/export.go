package inventory

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/resource/graph"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
	"github.com/wiemu/wiemu/internal/resource/postgres"
	"github.com/wiemu/wiemu/internal/resource/redis"
	"github.com/wiemu/wiemu/internal/resource/sql"
	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Written is a wiemu.yaml with what belongs to it.
type Written struct {
	YAML  string            `json:"yaml"`            // the file; it loads
	Files map[string]string `json:"files,omitempty"` // certificates that it names, by name
	Left  []string          `json:"left,omitempty"`  // what it does not have, in sentences without a full stop; the file begins with them
}

// Export writes a wiemu.yaml with what the state has. A lab that loads it answers as the one of the
// state does, but for secrets, and for what Left names. origin is the first line of the file.
func Export(s State, origin string) (Written, error) {
	node, err := yamlfile.ParseUpTo(yamlfile.MaxConfiguration, "the lab's configuration", []byte(s.Config))
	if err != nil {
		return Written{}, err
	}
	e := &exporter{state: s, files: map[string]string{}, left: slices.Clone(s.Left)}
	if err := yamlfile.DecodeNode("the lab's configuration", node, &e.config).Err(); err != nil {
		return Written{}, err
	}
	e.addTenants()
	e.addVaults()
	e.addResources()
	e.addRoles()
	return written(e.config, e.files, e.left, origin)
}

// written makes the file, which says at its beginning what it does not have.
func written(c config.Config, files map[string]string, left []string, origin string) (Written, error) {
	text, err := c.YAML()
	if err != nil {
		return Written{}, err
	}
	var head strings.Builder
	fmt.Fprintf(&head, "# %s\n", origin)
	for _, one := range left {
		fmt.Fprintf(&head, "# Left out: %s.\n", strings.Join(strings.Fields(one), " "))
	}
	made := Written{YAML: head.String() + string(text), Files: files, Left: left}
	if _, err := config.Parse("wiemu.yaml", []byte(made.YAML)); err != nil {
		return Written{}, fmt.Errorf("write a wiemu.yaml: what came of it does not load: %w", err)
	}
	return made, nil
}

type exporter struct {
	state   State
	config  config.Config
	files   map[string]string
	left    []string
	clients map[objectID]string // client ids
}

// objectID is an object id in lower case, and its tenant, which may be empty.
type objectID struct{ tenant, id string }

func (e *exporter) leave(format string, args ...any) {
	e.left = append(e.left, fmt.Sprintf(format, args...))
}

func (e *exporter) addTenants() {
	known := map[string]bool{}
	e.config.Tenants, e.clients = nil, map[objectID]string{}
	for _, t := range e.state.Tenants {
		e.config.Tenants = append(e.config.Tenants, config.Tenant{ID: t.ID, Name: t.DisplayName, Domains: t.Domains})
		names := map[string]bool{}
		for _, p := range t.Principals {
			known[p.ClientID] = true
			e.index(t, p)
			p.DisplayName = e.unique(names, p)
			made := e.principal(t, p)
			if p.Kind == directory.ManagedIdentity {
				e.config.Identities = append(e.config.Identities, config.Identity{Principal: made, ResourceID: p.ResourceID})
			} else {
				e.config.Applications = append(e.config.Applications, e.application(made, p))
			}
		}
	}
	for _, w := range e.config.Workloads {
		if !known[strings.ToLower(w.ClientID)] {
			e.leave("that nobody has the client id %s any more: the lab that loads this makes an identity for workload %s", w.ClientID, w.Name)
		}
	}
}

func (e *exporter) index(t directory.Tenant, p directory.Principal) {
	for _, tenant := range []string{t.ID, ""} {
		key := objectID{tenant, strings.ToLower(p.ObjectID)}
		e.clients[key] = cmp.Or(e.clients[key], p.ClientID)
	}
}

// unique is the name of a principal in a wiemu.yaml, where no two of a tenant have the same.
func (e *exporter) unique(names map[string]bool, p directory.Principal) string {
	name := p.DisplayName
	if names[name] && name != "" {
		e.leave("client id %s: its name %s, which another has, too; it is told apart by its client id", p.ClientID, name)
	}
	for names[name] && name != "" {
		name += " (" + p.ClientID + ")"
	}
	names[name] = true
	return name
}

func (e *exporter) principal(t directory.Tenant, p directory.Principal) config.Principal {
	made := config.Principal{
		Name: p.DisplayName, ClientID: p.ClientID, ObjectID: p.ObjectID, Tenant: t.ID,
		Disabled: p.Disabled, TokenLifetime: p.TokenLifetime, Roles: e.permissions(t, p),
	}
	credentials := make([]config.FederatedCredential, 0, len(p.FederatedCredentials))
	for _, f := range p.FederatedCredentials {
		one := config.FederatedCredential{Name: f.Name, Issuer: f.Issuer, Subject: f.Subject, Audience: f.Audience}
		if f.ClaimsMatching != "" {
			one.ClaimsMatchingExpression = &config.ClaimsMatchingExpression{Value: f.ClaimsMatching, LanguageVersion: 1}
		}
		if f.Description != "" {
			e.leave("%s: the description of federated credential %s", p.DisplayName, f.Name)
		}
		credentials = append(credentials, one)
	}
	made.FederatedCredentials = &credentials
	if len(p.Tags) > 0 || p.Location != "" {
		e.leave("%s: its location and tags in Resource Manager", p.DisplayName)
	}
	if !p.TokensValidFrom.IsZero() {
		e.leave("%s: that its tokens from before %s are revoked", p.DisplayName, p.TokensValidFrom.Format("2006-01-02T15:04:05Z07:00"))
	}
	return made
}

// permissions are the roles claim of a principal's tokens. wiemu.yaml does not say for which
// resource one is.
func (e *exporter) permissions(t directory.Tenant, p directory.Principal) []string {
	all := slices.Clone(p.AppRoles)
	if p.Graph == nil {
		return all
	}
	for _, a := range p.Graph.Assigned {
		value := graph.Permission(a.RoleID)
		for _, of := range t.Principals {
			if of.ClientID != a.ResourceAppID || of.Graph == nil {
				continue
			}
			for _, r := range of.Graph.AppRoles {
				if r.ID == a.RoleID && r.Enabled {
					value = r.Value
				}
			}
			e.leave("%s: that its app role %q is one of %s alone", p.DisplayName, value, of.DisplayName)
		}
		if value != "" && !slices.Contains(all, value) {
			all = append(all, value)
		}
	}
	if g := p.Graph; len(g.AppRoles)+len(g.Owners)+len(g.ServicePrincipalOwners)+len(g.Application)+len(g.ServicePrincipal) > 0 || g.UniqueName != "" {
		e.leave("%s: its owners, app roles and other properties of Microsoft Graph", p.DisplayName)
	}
	return all
}

func (e *exporter) application(made config.Principal, p directory.Principal) config.Application {
	a := config.Application{
		Principal: made, NoServicePrincipal: p.NoServicePrincipal, IdentifierURIs: p.IdentifierURIs, AccessTokenVersion: p.AccessTokenVersion,
		AppRoleAssignmentRequired: p.AssignmentRequired, PublicClient: p.PublicClient,
	}
	for n, s := range p.Secrets {
		a.Secrets = append(a.Secrets, config.Secret{Value: s.Value, Expires: s.End})
		if !s.Start.IsZero() {
			e.leave("%s: that secret %d is not valid before %s", p.DisplayName, n+1, s.Start.UTC().Format(time.RFC3339))
		}
	}
	if len(p.Secrets) > 0 {
		e.leave("%s: its client secrets; write their values in place of %q", p.DisplayName, strings.TrimSpace(NotExported)+" …")
	}
	for _, c := range p.Certificates {
		file := "certificates/" + c.ID + ".pem"
		e.files[file] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER}))
		a.Certificates = append(a.Certificates, config.Certificate{File: file})
		if parsed, err := x509.ParseCertificate(c.DER); err == nil && (differs(c.Start, parsed.NotBefore) || differs(c.End, parsed.NotAfter)) {
			e.leave("%s: that certificate %s is valid from %s to %s; here it is as long as it says itself", p.DisplayName, c.ID, c.Start.UTC().Format(time.RFC3339), c.End.UTC().Format(time.RFC3339))
		}
	}
	return a
}

// differs reports whether a time is given, and is not the one of the certificate, to the second.
func differs(given, ofCertificate time.Time) bool {
	return !given.IsZero() && given.Unix() != ofCertificate.Unix()
}

// assigned reports whether an entry of access still gives somebody a role.
func (e *exporter) assigned(source, role string) bool {
	wanted, _ := roles.Named(role, e.state.Definitions...)
	return slices.ContainsFunc(e.state.Assignments, func(a roles.Assignment) bool { return a.Source == source && a.Role == wanted.ID })
}

// remaining are the roles of an entry of access that it still gives.
func (e *exporter) remaining(source string, given []string) []string {
	return slices.DeleteFunc(slices.Clone(given), func(role string) bool { return !e.assigned(source, role) })
}

func (e *exporter) isOpen(id string) bool { return slices.Contains(e.state.Open, strings.ToLower(id)) }

func (e *exporter) addVaults() {
	configured := map[string]config.Vault{}
	for _, v := range e.config.Vaults {
		configured[strings.ToLower(v.Name)] = v
	}
	e.config.Vaults = []config.Vault{}
	for _, v := range e.state.Vaults {
		made := configured[strings.ToLower(v.Name)] // its keys and certificates
		made.Name, made.Tenant, made.Secrets = v.Name, v.Tenant, v.Secrets
		made.Access, made.AccessPolicies = e.vaultAccess(v)
		if len(v.Secrets) > 0 {
			e.leave("vault %s: the values of its secrets; write them in place of %q", v.Name, strings.TrimSpace(NotExported)+" …")
		}
		e.config.Vaults = append(e.config.Vaults, made)
	}
}

func (e *exporter) vaultAccess(v Vault) (access []config.Access, policies []config.AccessPolicy) {
	isPolicy := func(a keyvault.Access) bool { return len(a.Permissions)+len(a.Keys)+len(a.Certificates) > 0 }
	if e.isOpen(v.ID) {
		return nil, nil
	}
	access = []config.Access{}
	if v.Policies {
		policies = []config.AccessPolicy{}
	}
	for _, a := range v.Access {
		identity := cmp.Or(a.ClientID, e.clientID(v.Tenant, a.ObjectID))
		switch remaining := e.remaining(a.Source, a.Roles); {
		case identity == "":
			e.leave("vault %s: access of the object id %s, which nobody has", v.Name, a.ObjectID)
		case v.Policies && isPolicy(a) && slices.Contains(a.Permissions, "*"):
			access = append(access, config.Access{Identity: identity, Permissions: a.Permissions})
		case v.Policies && isPolicy(a):
			policies = append(policies, config.AccessPolicy{Identity: identity, Secrets: a.Permissions, Keys: a.Keys, Certificates: a.Certificates})
		case len(remaining) > 0:
			access = append(access, config.Access{Identity: identity, Roles: e.names(remaining)})
		}
	}
	if v.Policies && len(access) == 0 {
		access = nil
	}
	return access, policies
}

// clientID is that of an object id; "" if nobody has it.
func (e *exporter) clientID(tenant, id string) string {
	if found := e.clients[objectID{tenant, strings.ToLower(id)}]; found != "" {
		return found
	}
	if id == roles.Everyone {
		return roles.Everyone
	}
	return ""
}

// names are the names of roles.
func (e *exporter) names(given []string) []string {
	all := make([]string, len(given))
	for n, role := range given {
		d, _ := roles.Named(role, e.state.Definitions...)
		all[n] = d.Name
	}
	return all
}

func (e *exporter) addResources() {
	if e.config.Resources == nil {
		e.config.Resources = map[string]any{}
	}
	e.addAccounts()
	e.addSQL()
	servers := postgres.Settings(e.state.Postgres)
	e.set("postgresServers", &servers, len(servers))
	var caches redis.Settings
	for _, c := range e.state.Redis {
		caches = append(caches, c.Cache)
	}
	e.set("redis", &caches, len(caches))
}

func (e *exporter) set(section string, settings any, count int) {
	if delete(e.config.Resources, section); count > 0 {
		e.config.Resources[section] = settings
	}
}

func (e *exporter) addAccounts() {
	configured := map[string]storage.Account{}
	if given, ok := e.config.Resources["storageAccounts"].(*storage.Settings); ok {
		for n, a := range *given {
			access := storage.AccessList{}
			for k, one := range a.Access {
				if one.Roles = e.remaining(fmt.Sprintf("storageAccounts[%d].access[%d]", n, k), one.Roles); len(one.Roles) > 0 {
					one.Roles = e.names(one.Roles)
					access = append(access, one)
				}
			}
			a.Access = access
			configured[a.Name] = a
		}
	}
	var all storage.Settings
	for _, a := range e.state.Accounts {
		a.Access = storage.AccessList{}
		if was, ok := configured[a.Name]; ok {
			a.Access = was.Access
			for name := range a.Containers {
				if blobs := was.Containers[name]; blobs != nil {
					a.Containers[name] = blobs
				}
			}
		}
		if e.openAccount(a.Name) {
			a.Access = nil
		}
		all = append(all, a)
	}
	e.set("storageAccounts", &all, len(all))
}

func (e *exporter) openAccount(name string) bool {
	return slices.ContainsFunc(e.state.Open, func(id string) bool {
		return strings.HasSuffix(id, "/providers/microsoft.storage/storageaccounts/"+strings.ToLower(name))
	})
}

func (e *exporter) addSQL() {
	configured := map[string]sql.Server{}
	if given, ok := e.config.Resources["sqlServers"].(*sql.Settings); ok {
		for _, s := range *given {
			configured[strings.ToLower(s.Name)] = s
		}
	}
	var all sql.Settings
	for _, now := range e.state.SQL {
		s := configured[strings.ToLower(now.Name)]
		users := map[string][]sql.User{}
		for _, d := range s.Databases {
			users[strings.ToLower(d.Name)] = d.Users
		}
		s.Name, s.Tenant, s.Administrator, s.Databases = now.Name, now.Tenant, now.Administrator, nil
		for _, d := range now.Databases {
			if !strings.EqualFold(d.Name, "master") {
				s.Databases = append(s.Databases, sql.Database{Name: d.Name, Users: users[strings.ToLower(d.Name)]})
			}
		}
		all = append(all, s)
	}
	e.set("sqlServers", &all, len(all))
}

// addRoles adds what the access of no resource assigns.
func (e *exporter) addRoles() {
	e.config.Roles.Definitions, e.config.Roles.Assignments = nil, nil
	for _, d := range e.state.Definitions {
		made := config.RoleDefinition{Name: d.Name, ID: d.ID, Description: d.Description, AssignableScopes: d.AssignableScopes}
		for n, p := range d.Permissions {
			if n > 0 {
				e.leave("role %s: permissions[%d]; wiemu.yaml has one list of each kind", d.Name, n)
				continue
			}
			made.Actions, made.NotActions, made.DataActions, made.NotDataActions = p.Actions, p.NotActions, p.DataActions, p.NotDataActions
		}
		e.config.Roles.Definitions = append(e.config.Roles.Definitions, made)
	}
	for _, a := range e.state.Assignments {
		if strings.HasPrefix(a.Source, "vaults[") || strings.HasPrefix(a.Source, "storageAccounts[") {
			continue // see access there
		}
		identity := cmp.Or(a.ClientID, e.clientID(a.Tenant, a.PrincipalID))
		role, known := roles.Named(a.Role, e.state.Definitions...)
		if identity == "" || !known {
			e.leave("the assignment of %s to the object id %s on %s: nobody has that id, or there is no such role", a.Role, a.PrincipalID, a.Scope)
			continue
		}
		e.assign(config.RoleAssignment{Identity: identity, Tenant: a.Tenant, Roles: []string{role.Name}}, a.Scope)
	}
	// In the state they are by their names, which az and many programs draw: two runs of the same code are to be the same file.
	slices.SortStableFunc(e.config.Roles.Assignments, func(a, b config.RoleAssignment) int {
		return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Identity, b.Identity), slices.Compare(a.Roles, b.Roles))
	})
}

// assign adds an assignment where wiemu.yaml has what it is on: vaults, accounts and the like are
// in the resource group wiemu there.
func (e *exporter) assign(a config.RoleAssignment, scope string) {
	a.Scope = scope
	for _, id := range slices.Sorted(maps.Keys(e.state.Moved)) {
		there := e.state.Moved[id]
		switch {
		case roles.Within(scope, id):
			a.Scope = there + scope[len(id):]
		case roles.Within(id, scope) && !roles.Within(there, scope):
			also := a
			also.Scope = there
			e.config.Roles.Assignments = append(e.config.Roles.Assignments, also)
		}
	}
	e.config.Roles.Assignments = append(e.config.Roles.Assignments, a)
}
