package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wiemu/wiemu/internal/resource"
)

// Settings are the section postgresServers of wiemu.yaml.
type Settings []Server

// Server is a server of a tenant.
type Server struct {
	// Name is the first label of the server's host NAME.postgres.database.azure.com: 3 to 63 lower-case letters, digits and hyphens.
	Name string `yaml:"name" json:"name"`
	// Tenant is the id or a domain of the tenant whose tokens open the server. Default: the first tenant.
	Tenant string `yaml:"tenant,omitempty" json:"tenant,omitempty"`
	// Databases are the databases that are there from the start besides postgres. Administrators own them.
	Databases []string `yaml:"databases,omitempty" json:"databases,omitempty"`
	// Access says which identities log in as which roles. Default: every identity of the tenant is an administrator, as a role with the identity's name; an empty list lets nobody in.
	Access AccessList `yaml:"access,omitempty" json:"access,omitzero" yamlfile:"notnull"`
	// URL is the address of a PostgreSQL that runs already, with a superuser and its password, such as postgres://postgres:secret@127.0.0.1:5432/postgres. Default: initdb and postgres of this machine are started, and end with the lab.
	URL string `yaml:"url,omitempty" json:"url,omitempty"`
}

// AccessList is who logs in as which role. An empty list is something else than none, also
// when it is written.
type AccessList []Access

// IsZero implements yaml.IsZeroer.
func (l AccessList) IsZero() bool { return l == nil }

// Access binds a role to an identity.
type Access struct {
	// Identity is the name or client id of an application or managed identity, or the name of a workload of this file whose client id none of them has; a component of a radixconfig.yaml is named by its client id. "*" stands for every identity of the tenant.
	Identity string `yaml:"identity" json:"identity"`
	// Role is the PostgreSQL role that the identity logs in as, to the letter. Default: the name of the identity, as in Azure.
	Role string `yaml:"role,omitempty" json:"role,omitempty"`
	// Administrator says that the identity is a Microsoft Entra administrator of the server: it creates roles and databases, and owns those of databases. Default: false.
	Administrator bool `yaml:"administrator,omitempty" json:"administrator,omitempty"`
	// MemberOf are PostgreSQL roles whose rights the role has, such as pg_read_all_data and pg_write_all_data.
	MemberOf []string `yaml:"memberOf,omitempty" json:"memberOf,omitempty"`
}

// Names are those of the servers, sorted.
func (s *Settings) Names() []string {
	return resource.NamesOf(s, func(one Server) string { return one.Name })
}

// Unrestricted implements resource.Unrestricted.
func (s *Settings) Unrestricted() []string {
	return resource.OpenOf(*s, func(one Server) (string, bool) { return "PostgreSQL server " + one.Name, one.Access == nil })
}

// Engines implements resource.Engines.
func (s *Settings) Engines() []resource.Engine {
	var all []resource.Engine
	for n, one := range *s {
		e := resource.Engine{Field: fmt.Sprintf("[%d].url", n), Program: "PostgreSQL"}
		if cfg, err := parseConfig(one.URL); one.URL != "" && err == nil { // Complete refuses others
			e.Host, e.URL = cfg.Host, resource.WithoutPassword(one.URL)
		}
		all = append(all, e)
	}
	return all
}

// nameRule is what names of servers are made of. Source: azure-docs, resource-name-rules.md,
// Microsoft.DBforPostgreSQL.
const nameRule = "3 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit"

// ValidName reports whether a server can have a name.
func ValidName(name string) bool {
	return len(name) >= 3 && len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && name[0] != '-' && name[len(name)-1] != '-'
}

// identifierRule is what names of databases and roles are. PostgreSQL cuts longer ones off.
const identifierRule = "1 to 63 bytes"

func validIdentifier(name string) bool {
	return name != "" && len(name) <= 63 && !strings.ContainsRune(name, 0)
}

// administrators is the role that administrators of servers are members of, in Azure, too.
const administrators = "azure_pg_admin"

// Complete implements resource.Settings.
func (s *Settings) Complete(f resource.File) {
	seen := map[string]string{}
	for n := range *s {
		(*s)[n].complete(f, fmt.Sprintf("[%d]", n), seen)
	}
}

func (s *Server) complete(f resource.File, at string, seen map[string]string) {
	if !ValidName(s.Name) {
		f.Problem(at+".name", nameRule, s.Name, "it is the first label of NAME.postgres.database.azure.com")
	} else if other, taken := seen[s.Name]; taken {
		f.Problem(at+".name", "a name of its own", s.Name+", which "+other+" has too", "")
	}
	seen[s.Name] = "postgresServers" + at
	f.Tenant(at+".tenant", &s.Tenant)
	for n, name := range s.Databases {
		field := fmt.Sprintf("%s.databases[%d]", at, n)
		switch {
		case !validIdentifier(name) || name == "template0" || name == "template1":
			f.Problem(field, "the name of a database, "+identifierRule, name, "")
		case slices.Contains(s.Databases[:n], name):
			f.Problem(field, "a name of its own", name+" again", "remove one of the two")
		}
	}
	for n := range s.Access {
		s.Access[n].complete(f, fmt.Sprintf("%s.access[%d]", at, n), s.Tenant)
	}
	if s.URL != "" {
		if problem := urlProblem(s.URL); problem != "" {
			f.Problem(at+".url", "the address of a PostgreSQL with a user, such as postgres://postgres:secret@127.0.0.1:5432/postgres", problem, "")
		}
	}
}

func (a *Access) complete(f resource.File, at, tenant string) {
	f.Identity(at+".identity", tenant, &a.Identity)
	if a.Role != "" && (!validIdentifier(a.Role) || reserved(a.Role)) {
		f.Problem(at+".role", "the name of a role, "+identifierRule+", which does not begin with pg_", a.Role, "")
	}
	for n, role := range a.MemberOf {
		if !validIdentifier(role) {
			f.Problem(fmt.Sprintf("%s.memberOf[%d]", at, n), "the name of a role, such as pg_read_all_data", role, "")
		}
	}
}

// reserved reports whether no identity can have a role of that name.
func reserved(role string) bool {
	return strings.HasPrefix(role, "pg_") || role == administrators || role == "public" || role == "none"
}

// urlProblem says what is wrong with the URL of a server, without its password; "" if
// nothing is.
func urlProblem(text string) string {
	u, err := url.Parse(text)
	shown := resource.WithoutPassword(text)
	switch {
	case err != nil:
		return "what is no URL" // the error would repeat the password
	case u.Scheme != "postgres" && u.Scheme != "postgresql":
		return "a URL that begins with " + u.Scheme + ":"
	case u.User.Username() == "":
		return shown + ", which names no user"
	case u.Host == "" && u.Query().Get("host") == "":
		return shown + ", which names no host"
	}
	if _, err := parseConfig(text); err != nil {
		return shown + ", which cannot be read: " + err.Error()
	}
	return ""
}

// parseConfig reads the URL of a server. Its errors do not repeat a password.
func parseConfig(text string) (*pgconn.Config, error) {
	cfg, err := pgconn.ParseConfig(text)
	if failed := (*pgconn.ParseConfigError)(nil); errors.As(err, &failed) {
		failed.ConnString = resource.WithoutPassword(text) // pgconn does not know of those in the query
	}
	return cfg, err
}
