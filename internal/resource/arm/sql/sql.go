// Package sql is the resource provider Microsoft.Sql: logical servers with databases, the Microsoft
// Entra administrator and Entra-only authentication. A server that is made here answers at
// NAME.database.windows.net at once; users of its databases are made by its administrator, in SQL.
// SQL logins do not open it, as none of wiemu's servers; firewall rules are taken and let everybody
// pass. Users of databases are not kept over a restart.
//
// Source of requests and answers: azure-cli, src/azure-cli/azure/cli/command_modules/sql/tests/
// latest/recordings (test_aad_admin.yaml of 2021-07), unless another one stands beside it.
package sql

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	servers "github.com/wiemu/wiemu/internal/resource/sql"
)

const namespace = "Microsoft.Sql"

// versions of the types. Source: azure-rest-api-specs, specification/sql/resource-manager.
var versions = strings.Fields("2014-04-01 2015-05-01-preview 2017-10-01-preview 2018-06-01-preview 2019-06-01-preview 2020-02-02-preview 2020-08-01-preview 2020-11-01-preview 2021-02-01-preview 2021-05-01-preview 2021-08-01-preview 2021-11-01 2021-11-01-preview 2022-02-01-preview 2022-05-01-preview 2022-08-01-preview 2022-11-01-preview 2023-02-01-preview 2023-05-01-preview 2023-08-01 2023-08-01-preview 2024-05-01-preview 2024-11-01-preview")

type service struct {
	*rest.Manager
	server, database *rest.Kind
	admin, only      single
}

// New returns the provider.
func New(m *rest.Manager) rest.Provider {
	s := &service{Manager: m}
	later := func(name, upsert, drop string) rest.Async {
		return rest.Async{
			Made: http.StatusAccepted, Changed: http.StatusAccepted, Deleted: http.StatusAccepted, Status: name + "AzureAsyncOperation", Result: name + "OperationResults",
			Body: func(c *rest.Call, verb string) any {
				operation := upsert
				if verb == "Drop" {
					operation = drop
				}
				return struct {
					Operation string `json:"operation"`
					Started   string `json:"startTime"`
				}{operation, rest.Time(c.Kit.Clock.Now())}
			},
		}
	}
	s.server = &rest.Kind{
		Type: namespace + "/servers", Title: "SQL server", Versions: versions, Async: later("server", "UpsertLogicalServer", "DropLogicalServer"),
		Make: s.makeServer, Open: s.openServer, Close: func(i rest.Item) error { s.served().Remove(i.Name); return nil }, Configured: s.configured,
	}
	s.database = &rest.Kind{
		Type: namespace + "/servers/databases", Title: "SQL database", Versions: versions, Parent: s.server, Async: later("database", "UpsertDatabase", "DropDatabase"),
		Make: s.makeDatabase, Configured: s.configuredDatabases,
		Open:  func(i rest.Item) error { return s.served().Database(i.Top(), i.Name) },
		Close: func(i rest.Item) error { s.served().RemoveDatabase(i.Top(), i.Name); return nil },
	}
	rules := s.server.FirewallRules("startIpAddress", "endIpAddress", "InvalidFirewallRule", "The firewall rule has invalid addresses.")
	s.admin = single{s.server.Child("administrators", "administrator of SQL server"), "ActiveDirectory", "administrators of SQL server", shownAdmin}
	s.admin.Async = later("serverAdministrator", "CreateActiveDirectoryAdministrator", "DropActiveDirectoryAdministrator")
	s.only = single{s.server.Child("azureADOnlyAuthentications", "Entra-only authentication of SQL server"), "Default", "Entra-only authentication of SQL server", shownOnly}
	s.only.Async = later("serverAzureADOnlyAuthentication", "UpsertAzureADOnlyAuthentication", "DropAzureADOnlyAuthentication")
	p := m.NewProvider(namespace, s.server, s.database, rules)
	p.Add(http.MethodPost, "/subscriptions/{subscription}/providers/microsoft.sql/checknameavailability", "check the name of a SQL server", "checkNameAvailability/action", versions, s.checkName)
	s.provide(&p, s.admin, rest.On(rest.PropertiesOf[*administrators], s.putAdmin), s.deleteAdmin)
	s.provide(&p, s.only, s.putOnly, s.deleteOnly)
	return p
}

// served are the servers of the lab.
func (s *service) served() *servers.Servers { return s.Kit.Service(servers.Name).(*servers.Servers) }

// administrators are the property of a server that has its Entra administrator.
type administrators struct {
	Type          string `json:"administratorType"`
	PrincipalType string `json:"principalType,omitempty"`
	Login         string `json:"login"`
	SID           string `json:"sid"`
	TenantID      string `json:"tenantId"`
	Only          bool   `json:"azureADOnlyAuthentication"`
}

// makeServer checks what a server is asked to be.
// Source: NameAlreadyExists: Azure-Samples/ansible-playbooks#25 (as the result of the operation;
// here at once). The other texts are inferred.
func (s *service) makeServer(_ *rest.Call, i, was *rest.Item, p rest.Properties) *resource.Failure {
	if was == nil {
		switch {
		case !servers.ValidServer(i.Name):
			return rest.BadRequest("InvalidServerName", fmt.Sprintf("Invalid server name: '%s'. It can be made up of lowercase letters 'a'-'z', the numbers 0-9 and the hyphen. The hyphen may not lead or trail in the name.", i.Name), "A SQL server has a name that Azure does not take.")
		case s.served().Has(i.Name):
			return resource.Fail(http.StatusConflict, "NameAlreadyExists", fmt.Sprintf("The name '%s' already exists. Choose a different name.", i.Name), "Another SQL server has this name.", "Take another name.")
		}
	} else {
		p.DefaultFrom(was.ReadProperties(), "administrators")
	}
	admin, there, failed := readAdministrators(p, i.Tenant)
	if failed != nil {
		return failed
	}
	if there {
		p.Set("administrators", admin)
	} else {
		p.Drop("administrators")
		if was == nil && p.Text("administratorLogin") == "" {
			return rest.BadRequest("InvalidParameterValue", "Invalid value given for parameter AdministratorLogin. Specify a valid parameter value.", "A SQL server has a SQL login, or an Entra administrator with azureADOnlyAuthentication.")
		}
	}
	if was != nil {
		if login := was.ReadProperties().Text("administratorLogin"); login != "" {
			p.Default("administratorLogin", login)
		}
	}
	p.Drop("administratorLoginPassword")
	p.Set("version", "12.0")
	p.Set("state", "Ready")
	p.Set("fullyQualifiedDomainName", i.Name+"."+s.Kit.Cloud().SQL)
	p.Default("privateEndpointConnections", []any{})
	p.Default("publicNetworkAccess", "Enabled")
	p.Default("restrictOutboundNetworkAccess", "Disabled")
	i.Kind, i.SKU = "v12.0", nil
	return nil
}

// readAdministrators reads the Entra administrator of a server, if it has one.
func readAdministrators(p rest.Properties, tenant string) (a administrators, ok bool, failed *resource.Failure) {
	if _, err := p.Read("administrators", &a); err != nil {
		return a, false, rest.BadRequest("InvalidParameterValue", "Invalid value given for parameter Administrators. Specify a valid parameter value.", err.Error())
	}
	if a.SID == "" && a.Login == "" {
		return a, false, nil
	}
	return a, true, a.check(tenant)
}

// check completes an administrator. That of an application or a managed identity has the client
// id for its SID; with the object id nobody is the administrator.
// Source: MicrosoftDocs/sql-docs#2323, of users; MicrosoftDocs/azure-docs#117690, where a managed
// identity that was made administrator cannot log in. The text is inferred.
func (a *administrators) check(tenant string) *resource.Failure {
	a.TenantID = cmp.Or(a.TenantID, tenant)
	for _, id := range []struct{ name, value string }{{"Sid", a.SID}, {"TenantId", a.TenantID}} {
		if !rest.IsGUID(id.value) {
			return rest.BadRequest("InvalidParameterValue", fmt.Sprintf("Invalid value given for parameter %s. Specify a valid parameter value.", id.name), fmt.Sprintf("expected a GUID, found %q.", id.value))
		}
	}
	if a.Login == "" {
		return rest.BadRequest("InvalidParameterValue", "Invalid value given for parameter Login. Specify a valid parameter value.", "The administrator has a name.")
	}
	a.Type = "ActiveDirectory"
	return nil
}

func (s *service) openServer(i rest.Item) error {
	if s.served().FromConfiguration(i.Name) {
		return fmt.Errorf("%w: expected one that no other SQL server has, found that of one of wiemu.yaml", resource.ErrNameTaken)
	}
	if !s.served().Has(i.Name) {
		if err := s.served().Put(servers.Server{Name: i.Name, Tenant: i.Tenant}); err != nil {
			return err
		}
	}
	admin, ok, failed := readAdministrators(i.ReadProperties(), i.Tenant)
	switch {
	case failed != nil:
		return fmt.Errorf("properties.administrators: %s", failed.Meaning)
	case !ok || !strings.EqualFold(admin.TenantID, i.Tenant):
		return s.served().Administer(i.Name, "")
	}
	return s.served().Administer(i.Name, strings.ToLower(admin.SID))
}

// configured are the servers of wiemu.yaml in a tenant.
func (s *service) configured(tenant string) (all []rest.Item) {
	made := s.Names(s.server)
	for _, name := range s.served().Names() {
		of, ok := s.served().Configured(name)
		if !ok || of.Tenant != tenant || made[name] {
			continue
		}
		p := rest.Properties{}
		if of.Administrator != "" {
			login := of.Administrator
			if principal, ok := s.Kit.Directory.Principal(tenant, of.Administrator); ok {
				login = principal.DisplayName
			}
			p.Set("administrators", administrators{"ActiveDirectory", "Application", login, of.Administrator, tenant, true})
		}
		p.Set("version", "12.0")
		p.Set("state", "Ready")
		p.Set("fullyQualifiedDomainName", name+"."+s.Kit.Cloud().SQL)
		i := s.OfConfiguration(s.server, tenant, s.Kit.Roles.ResourceID(tenant, s.server.Type, name), name, p)
		i.Kind = "v12.0"
		all = append(all, i)
	}
	return all
}

// configuredDatabases are master of each server, and the databases of wiemu.yaml.
func (s *service) configuredDatabases(tenant string) (all []rest.Item) {
	servers := s.configured(tenant)
	servers = append(servers, s.Items(s.server.Type, func(i *rest.Item) bool { return i.Tenant == tenant })...)
	for _, server := range servers {
		of, _ := s.served().Configured(server.Name)
		for _, name := range of.Databases {
			if name != "master" && !server.Made.IsZero() {
				continue
			}
			i := rest.Item{ID: server.ID + "/databases/" + name, Tenant: tenant, Type: s.database.Type, Name: name, Location: server.Location, Tags: map[string]string{}}
			p := rest.Properties{}
			completeDatabase(&i, p)
			i.SetProperties(p)
			all = append(all, i)
		}
	}
	return all
}

func (s *service) makeDatabase(_ *rest.Call, i, was *rest.Item, p rest.Properties) *resource.Failure {
	if was == nil && (!servers.ValidDatabase(i.Name) || strings.Contains(i.Name, "%")) { // text inferred
		return rest.BadRequest("InvalidDatabaseName", fmt.Sprintf("Invalid database name '%s'.", i.Name), "A SQL database has a name that Azure does not take.")
	}
	p.Drop("administratorLoginPassword", "storageKey")
	completeDatabase(i, p)
	return nil
}

// completeDatabase fills in what clients wait for.
// Source: azure-rest-api-specs, Databases.json of 2023-08-01, DatabaseProperties.
func completeDatabase(i *rest.Item, p rest.Properties) {
	p.Default("collation", "SQL_Latin1_General_CP1_CI_AS")
	p.Default("maxSizeBytes", int64(2)<<30)
	p.Set("status", "Online")
	if !i.Made.IsZero() {
		p.Set("creationDate", rest.Time(i.Made))
	}
	p.Default("catalogCollation", "SQL_Latin1_General_CP1_CI_AS")
	p.Default("zoneRedundant", false)
	if i.SKU == nil {
		i.SKU = []byte(`{"name":"GP_Gen5","tier":"GeneralPurpose","family":"Gen5","capacity":2}`)
	}
	i.Kind = "v12.0,user,vcore"
	if i.Name == "master" {
		i.Kind = "v12.0,system"
	}
}

// checkName says whether a server can have a name.
// Source: azure-rest-api-specs, Servers.json, CheckNameAvailabilityResponse; the texts are inferred.
func (s *service) checkName(c *rest.Call) (rest.Reply, *resource.Failure) {
	name, _, found, failed := c.CheckName(func(name string) (reason, message string) {
		switch {
		case !servers.ValidServer(name):
			return "Invalid", fmt.Sprintf("Invalid server name: '%s'.", name)
		case s.served().Has(name):
			return "AlreadyExists", "Specified server name is already used"
		}
		return "", ""
	})
	return rest.Reply{Body: struct {
		Name      string `json:"name"`
		Available bool   `json:"available"`
		Reason    string `json:"reason,omitempty"`
		Message   string `json:"message,omitempty"`
	}{name, found.Available, found.Reason, found.Message}}, failed
}
