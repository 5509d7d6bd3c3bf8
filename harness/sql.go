package harness

import (
	"strings"

	"github.com/wiemu/wiemu/internal/resource/sql"
)

// SQL returns the database of an Azure SQL server that both have that name, such as orders of
// orders.database.windows.net. If they do not exist, they are created in the first tenant; nobody
// is a user of it until [SQL.User].
func (l *Lab) SQL(name string) *SQL {
	l.t.Helper()
	servers := l.session.Emulator().SQL()
	if !servers.Has(name) {
		l.create(func(tenant string) error { return servers.Put(sql.Server{Name: name, Tenant: tenant}) })
	}
	must(l.t, servers.Database(name, name))
	return &SQL{Host: strings.ToLower(name) + "." + l.session.Emulator().Cloud().SQL, lab: l, name: name}
}

// SQL is a database as the server's administrator sees it.
type SQL struct {
	Host string // of the server, by which clients reach it on port 1433
	lab  *Lab
	name string
}

// User makes a workload's identity a contained user of the database, as CREATE USER … FROM
// EXTERNAL PROVIDER does, and a member of fixed database roles, such as db_datareader.
func (s *SQL) User(workload *Pod, roles ...string) {
	s.lab.t.Helper()
	must(s.lab.t, s.lab.session.Emulator().SQL().User(s.name, s.name, sql.User{Identity: workload.ClientID, Roles: roles}))
}
