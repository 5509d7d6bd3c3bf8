package sql

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/sql/answers"
)

// Settings are the section sqlServers of wiemu.yaml.
type Settings []Server

// Server is a logical server of a tenant.
type Server struct {
	// Name is the first label of the server's host NAME.database.windows.net: 1 to 63 lower-case letters, digits and hyphens.
	Name string `yaml:"name" json:"name"`
	// Tenant is the id or a domain of the tenant whose tokens open the server. Default: the first tenant.
	Tenant string `yaml:"tenant,omitempty" json:"tenant,omitempty"`
	// Administrator is the Microsoft Entra administrator, dbo of every database: the name or client id of an application or managed identity, or the name of a workload of this file. Default: none.
	Administrator string `yaml:"administrator,omitempty" json:"administrator,omitempty"`
	// Redirect says that the server sends clients to NAME.worker.database.windows.net, port 11000, as the connection policy Redirect does, which is the default for clients inside Azure. Default: false.
	Redirect bool `yaml:"redirect,omitempty" json:"redirect,omitempty"`
	// Databases are the server's databases, besides master.
	Databases []Database `yaml:"databases,omitempty" json:"databases,omitempty"`
	// Engine is what executes SQL. Default: an engine without tables, which answers who is logged in, statements about users and roles, and constants.
	Engine Engine `yaml:"engine,omitempty" json:"engine,omitzero"`
}

// Database is a database of a server.
type Database struct {
	// Name is the database's, up to 128 characters. master is there without being named.
	Name string `yaml:"name" json:"name"`
	// Users are the contained users that are there from the start.
	Users []User `yaml:"users,omitempty" json:"users,omitempty"`
}

// User is a contained user of a database, as CREATE USER … FROM EXTERNAL PROVIDER makes one.
type User struct {
	// Identity is the name or client id of an application or managed identity, or the name of a workload of this file whose client id none of them has; a component of a radixconfig.yaml is named by its client id.
	Identity string `yaml:"identity" json:"identity"`
	// Name is what the user is called in the database. Default: the identity's display name.
	Name string `yaml:"name,omitempty" json:"name,omitempty"`
	// Roles are fixed database roles, such as db_datareader.
	Roles []string `yaml:"roles,omitempty" json:"roles,omitempty"`
	// SID is what the user's SID is made of: clientId, by which Azure SQL recognises applications and managed identities, or objectId, as scripts do that get it wrong; such a user cannot log in. Default: clientId.
	SID string `yaml:"sid,omitempty" json:"sid,omitempty" jsonschema:"enum=clientId,enum=objectId"`
}

// The values of User.SID.
const (
	byClientID = "clientId"
	byObjectID = "objectId"
)

// Engine is a SQL Server behind a logical server.
type Engine struct {
	// URL is its address and a SQL login that may create logins and users, such as sqlserver://sa:PASSWORD@localhost:14330; with ?trustServerCertificate=true its certificate is not verified, else it is with the roots of the system or of SSL_CERT_FILE.
	URL string `yaml:"url,omitempty" json:"url,omitempty"`
}

// IsZero implements yaml.IsZeroer.
func (e Engine) IsZero() bool { return e == Engine{} }

// Names are those of the servers, sorted.
func (s *Settings) Names() []string {
	return resource.NamesOf(s, func(server Server) string { return server.Name })
}

// Engines implements resource.Engines.
func (s *Settings) Engines() []resource.Engine {
	var all []resource.Engine
	for n, server := range *s {
		if u, err := url.Parse(server.Engine.URL); server.Engine.URL != "" && err == nil { // Complete refuses others
			all = append(all, resource.Engine{Field: fmt.Sprintf("[%d].engine.url", n), URL: resource.WithoutPassword(server.Engine.URL), Host: u.Hostname(), Program: "SQL Server"})
		}
	}
	return all
}

// serverRule is what names of servers are made of. Source: learn.microsoft.com,
// azure/azure-resource-manager/management/resource-name-rules, Microsoft.Sql.
const serverRule = "1 to 63 lower-case letters, digits and hyphens, neither beginning nor ending with a hyphen"

var serverName = lazyregexp.New(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ValidServer reports whether a server can have a name.
func ValidServer(name string) bool { return serverName().MatchString(name) }

// databaseRule is what names of databases are made of, from the same source.
const databaseRule = `1 to 128 characters without <>*%&:\/? and control characters, not ending with a period or a space`

// ValidDatabase reports whether a database can have a name.
func ValidDatabase(name string) bool {
	return name != "" && len([]rune(name)) <= 128 && !strings.ContainsAny(name, `<>*%&:\/?`) && !strings.HasSuffix(name, ".") && !strings.HasSuffix(name, " ") &&
		!strings.ContainsFunc(name, func(r rune) bool { return r < ' ' })
}

// Complete implements resource.Settings.
func (s *Settings) Complete(f resource.File) {
	seen := map[string]int{}
	for n := range *s {
		server, at := &(*s)[n], fmt.Sprintf("[%d]", n)
		if !ValidServer(server.Name) {
			f.Problem(at+".name", serverRule, server.Name, "it is the first label of NAME.database.windows.net")
		} else if other, taken := seen[server.Name]; taken {
			f.Problem(at+".name", "a name of its own", fmt.Sprintf("%s, which sqlServers[%d] has too", server.Name, other), "")
		}
		seen[server.Name] = n
		server.complete(f, at)
	}
}

func (s *Server) complete(f resource.File, at string) {
	f.Tenant(at+".tenant", &s.Tenant)
	if s.Administrator != "" {
		f.Identity(at+".administrator", s.Tenant, &s.Administrator)
		if s.Administrator == "*" {
			f.Problem(at+".administrator", "one identity", "*", "")
		}
	}
	seen := map[string]bool{}
	for n := range s.Databases {
		d, at := &s.Databases[n], fmt.Sprintf("%s.databases[%d]", at, n)
		if !ValidDatabase(d.Name) {
			f.Problem(at+".name", databaseRule, d.Name, "")
		} else if key := strings.ToLower(d.Name); seen[key] {
			f.Problem(at+".name", "a name of its own", d.Name+" again", "remove one of the two")
		} else {
			seen[key] = true
		}
		names := map[string]bool{}
		for n := range d.Users {
			d.Users[n].complete(f, fmt.Sprintf("%s.users[%d]", at, n), s.Tenant, names)
		}
	}
	if s.Engine.URL != "" {
		if _, err := newEngine(s.Engine); err != nil {
			f.Problem(at+".engine.url", "sqlserver://USER:PASSWORD@HOST:PORT", resource.WithoutPassword(s.Engine.URL), err.Error())
		}
	}
}

func (u *User) complete(f resource.File, at, tenant string, seen map[string]bool) {
	given := u.Identity
	f.Identity(at+".identity", tenant, &u.Identity)
	if u.Identity == "*" {
		f.Problem(at+".identity", "one identity", "*", "write an entry for each")
	}
	key := cmp.Or(strings.ToLower(u.Name), "\x00"+strings.ToLower(u.Identity))
	if seen[key] {
		f.Problem(at, "a user of its own", "another one for "+given, "remove one of the two, or give it a name")
	}
	seen[key] = true
	if len([]rune(u.Name)) > 128 || strings.EqualFold(u.Name, answers.DBO) {
		f.Problem(at+".name", "up to 128 characters, and not dbo", u.Name, "")
	}
	for n, role := range u.Roles {
		if !slices.Contains(answers.FixedRoles(), role) {
			f.Problem(fmt.Sprintf("%s.roles[%d]", at, n), "one of "+strings.Join(answers.FixedRoles(), ", "), role, "")
		}
	}
	switch u.SID {
	case "":
		u.SID = byClientID
	case byClientID, byObjectID:
	default:
		f.Problem(at+".sid", byClientID+" or "+byObjectID, u.SID, "")
	}
}
