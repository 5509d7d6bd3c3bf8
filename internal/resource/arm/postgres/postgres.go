// Package postgres is the resource provider Microsoft.DBforPostgreSQL: flexible servers with
// databases and Microsoft Entra administrators. A server that is made here answers at
// NAME.postgres.database.azure.com at once, with a PostgreSQL of this machine behind it, which has
// to be installed; what is in its databases is not kept over a restart. Its administrators log in
// with tokens of Entra ID, the SQL login does not; firewall rules are taken and let everybody pass.
//
// Source of requests and answers: azure-rest-api-specs, specification/postgresql/resource-manager/
// Microsoft.DBforPostgreSQL/stable/2024-08-01/examples (ServerCreateWithMicrosoftEntraEnabled.json,
// AdministratorAdd.json, DatabaseCreate.json), unless another one stands beside it.
package postgres

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	servers "github.com/wiemu/wiemu/internal/resource/postgres"
)

const namespace = "Microsoft.DBforPostgreSQL"

// versions of the types. Source: azure-rest-api-specs, and azure-cli's recordings for
// 2026-01-01-preview.
var versions = strings.Fields("2020-02-14-preview 2021-06-01 2021-06-01-preview 2022-01-20-preview 2022-03-08-preview 2022-12-01 2023-03-01-preview 2023-06-01-preview 2023-12-01-preview 2024-03-01-preview 2024-08-01 2024-11-01-preview 2025-01-01-preview 2025-06-01-preview 2025-08-01 2026-01-01-preview 2026-04-01-preview")

type service struct {
	*rest.Manager
	server, admin *rest.Kind
}

// New returns the provider.
func New(m *rest.Manager) rest.Provider {
	s := &service{Manager: m}
	later := rest.Async{Made: http.StatusAccepted, Changed: http.StatusAccepted, Deleted: http.StatusAccepted, Status: "azureAsyncOperation", Result: "operationResults"}
	s.server = &rest.Kind{
		Type: namespace + "/flexibleServers", Title: "PostgreSQL server", Versions: versions, Async: later,
		Make: s.makeServer, Open: s.openServer, Close: func(i rest.Item) error { return s.served().Remove(i.Name) }, Configured: s.configured,
	}
	database := s.server.Child("databases", "PostgreSQL database")
	database.Async, database.Make = later, makeDatabase
	database.Open = func(i rest.Item) error { return s.served().Database(context.Background(), i.Top(), i.Name) }
	database.Close = func(i rest.Item) error { return s.served().RemoveDatabase(context.Background(), i.Top(), i.Name) }
	s.admin = s.server.Child("administrators", "administrator of PostgreSQL server")
	s.admin.Async, s.admin.Make, s.admin.Open, s.admin.Close = later, s.makeAdmin, s.admit, s.admit
	rules := s.server.FirewallRules("startIpAddress", "endIpAddress", "InvalidParameterValue", "Invalid value given for parameter startIpAddress. Specify a valid parameter value.")
	rules.Async = later
	p := m.NewProvider(namespace, s.server, database, s.admin, rules)
	p.Add(http.MethodPost, "/subscriptions/{subscription}/providers/microsoft.dbforpostgresql/checknameavailability", "check the name of a PostgreSQL server", "checkNameAvailability/action", versions, s.checkName)
	return p
}

// served are the servers of the lab.
func (s *service) served() *servers.Servers { return s.Kit.Service(servers.Name).(*servers.Servers) }

// authentication is the property authConfig of a server: how one logs in to it.
type authentication struct {
	Entra    string `json:"activeDirectoryAuth,omitempty"`
	Password string `json:"passwordAuth,omitempty"`
	TenantID string `json:"tenantId,omitempty"`
}

// makeServer checks what a server is asked to be.
// Source of ServerNameAlreadyExists: Azure/azure-service-operator#2428, whose text it has, of MySQL;
// the codes and the other text are inferred.
func (s *service) makeServer(_ *rest.Call, i, was *rest.Item, p rest.Properties) *resource.Failure {
	if was == nil {
		switch {
		case !servers.ValidName(i.Name):
			return rest.BadRequest("InvalidServerName", fmt.Sprintf("The server name '%s' is invalid. It must have 3 to 63 lower-case letters, digits and hyphens, and begin and end with a letter or digit.", i.Name), "A PostgreSQL server has a name that Azure does not take.")
		case s.served().Has(i.Name):
			return resource.Fail(http.StatusConflict, "ServerNameAlreadyExists", "Specified server name is already used.", "Another PostgreSQL server has this name.", "Take another name.")
		}
	}
	var auth authentication
	if _, err := p.Read("authConfig", &auth); err != nil {
		return rest.BadRequest("InvalidParameterValue", "Invalid value given for parameter authConfig. Specify a valid parameter value.", err.Error())
	}
	auth.Entra = cmp.Or(auth.Entra, "Disabled")
	auth.Password = cmp.Or(auth.Password, "Enabled")
	if auth.TenantID == "" && auth.Entra == "Enabled" {
		auth.TenantID = i.Tenant
	}
	p.Set("authConfig", auth)
	p.Drop("administratorLoginPassword", "createMode")
	p.Default("version", "16")
	p.Set("state", "Ready")
	p.Set("fullyQualifiedDomainName", i.Name+servers.Domain(s.Kit.Cloud()))
	p.Default("network", map[string]string{"publicNetworkAccess": "Enabled"})
	p.Default("highAvailability", map[string]string{"mode": "Disabled", "state": "NotEnabled"})
	p.Default("replicationRole", "Primary")
	i.Kind = ""
	return nil
}

func (s *service) openServer(i rest.Item) error {
	if s.served().FromConfiguration(i.Name) {
		return fmt.Errorf("%w: expected one that no other PostgreSQL server has, found that of one of wiemu.yaml", resource.ErrNameTaken)
	}
	if s.served().Has(i.Name) {
		return s.admit(i)
	}
	return s.served().Put(servers.Server{Name: i.Name, Tenant: i.Tenant, Access: servers.AccessList{}})
}

// admit lets those log in to a server, or to that which an item belongs to, who are its
// administrators now, as roles that are called as they were named. With Entra authentication
// disabled nobody does.
func (s *service) admit(i rest.Item) error {
	of := "/" + strings.Join(strings.Split(i.ID, "/")[1:9], "/")
	server, ok := s.Item(of)
	if !ok {
		return nil
	}
	var auth authentication
	if _, err := server.ReadProperties().Read("authConfig", &auth); err != nil {
		return err
	}
	access := servers.AccessList{}
	for _, admin := range s.Below(server, s.admin.Type) {
		p := admin.ReadProperties()
		principal, ok := s.Kit.Directory.PrincipalByObjectID(server.Tenant, p.Text("objectId"))
		if ok && strings.EqualFold(auth.Entra, "Enabled") && strings.EqualFold(p.Text("tenantId"), server.Tenant) {
			access = append(access, servers.Access{Identity: principal.ClientID, Role: p.Text("principalName"), Administrator: true})
		}
	}
	return s.served().Admit(context.Background(), server.Name, access)
}

// configured are the servers of wiemu.yaml in a tenant.
func (s *service) configured(tenant string) (all []rest.Item) {
	made := s.Names(s.server)
	for _, name := range s.served().Names() {
		of, ok := s.served().Server(name)
		if !ok || !strings.EqualFold(of.Tenant, tenant) || made[name] {
			continue
		}
		p := rest.Properties{}
		p.Set("authConfig", authentication{Entra: "Enabled", Password: "Disabled", TenantID: tenant})
		p.Set("state", "Ready")
		p.Set("fullyQualifiedDomainName", name+servers.Domain(s.Kit.Cloud()))
		all = append(all, s.OfConfiguration(s.server, tenant, s.Kit.Roles.ResourceID(tenant, s.server.Type, name), name, p))
	}
	return all
}

func makeDatabase(_ *rest.Call, i, was *rest.Item, p rest.Properties) *resource.Failure {
	if was == nil && (!servers.ValidDatabase(i.Name) || strings.ContainsAny(i.Name, "%/")) { // text inferred
		return rest.BadRequest("InvalidDatabaseName", fmt.Sprintf("The database name '%s' is invalid.", i.Name), "A PostgreSQL database has a name that cannot be made.")
	}
	p.Default("charset", "UTF8")
	p.Default("collation", "en_US.utf8")
	return nil
}

// makeAdmin checks an administrator, whose name in the path is its object id.
// The texts are inferred.
func (s *service) makeAdmin(c *rest.Call, i, _ *rest.Item, p rest.Properties) *resource.Failure {
	switch {
	case !rest.IsGUID(i.Name):
		return rest.BadRequest("InvalidParameterValue", "Invalid value given for parameter objectId. Specify a valid parameter value.", "An administrator is named by its object id, which is a GUID.")
	case p.Text("principalName") == "":
		return rest.BadRequest("InvalidParameterValue", "Invalid value given for parameter principalName. Specify a valid parameter value.", "An administrator has a name, which is that of its role.")
	case !slices.Contains([]string{"User", "Group", "ServicePrincipal"}, p.Text("principalType")):
		return rest.BadRequest("InvalidParameterValue", "Invalid value given for parameter principalType. Specify a valid parameter value.", "The type of an administrator is User, Group or ServicePrincipal.")
	}
	var auth authentication
	server, failed := c.At(s.server, "write")
	if failed != nil {
		return failed
	}
	if server.Made.IsZero() { // who may log in is in wiemu.yaml
		return rest.Locked(server.ID, "write")
	}
	_, _ = server.ReadProperties().Read("authConfig", &auth) // makeServer has read it
	if !strings.EqualFold(auth.Entra, "Enabled") {
		return rest.BadRequest("AadAuthOperationCannotBePerformedWhenServerIsNotAadEnabled", "Microsoft Entra operations cannot be performed when Microsoft Entra authentication is not enabled on the server.", "authConfig.activeDirectoryAuth of the server is Disabled.")
	}
	p.Default("tenantId", i.Tenant)
	p.Set("objectId", strings.ToLower(i.Name))
	return nil
}

// checkName says whether a server can have a name.
// Source: azure-rest-api-specs, NameAvailability of its common types; the text is inferred.
func (s *service) checkName(c *rest.Call) (rest.Reply, *resource.Failure) {
	name, kind, found, failed := c.CheckName(func(name string) (reason, message string) {
		switch {
		case !servers.ValidName(name):
			return "Invalid", fmt.Sprintf("The server name '%s' is invalid.", name)
		case s.served().Has(name):
			return "AlreadyExists", "Specified server name is already used."
		}
		return "", ""
	})
	return rest.Reply{Body: struct {
		Name string `json:"name"`
		Type string `json:"type,omitempty"`
		rest.Named
	}{name, kind, found}}, failed
}
