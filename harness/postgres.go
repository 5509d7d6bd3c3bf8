package harness

import (
	"github.com/wiemu/wiemu/internal/resource/postgres"
)

// Postgres returns the server of Azure Database for PostgreSQL of that name. If it does not
// exist, it is created in the first tenant with a database of the same name, and every identity
// is its administrator until [Postgres.User]; a PostgreSQL of this machine is started behind it
// when it is first needed, and ends with the test.
func (l *Lab) Postgres(name string) *Postgres {
	l.t.Helper()
	p := &Postgres{Host: name + postgres.Domain(l.session.Emulator().Cloud()), lab: l, name: name}
	if servers := p.servers(); !servers.Has(name) {
		l.create(func(tenant string) error {
			return servers.Put(postgres.Server{Name: name, Tenant: tenant, Databases: []string{name}})
		})
	}
	return p
}

// Postgres is a PostgreSQL server as its owner sees it, who needs no token.
type Postgres struct {
	Host string // by which clients reach it on port 5432
	lab  *Lab
	name string
}

func (p *Postgres) servers() *postgres.Servers { return p.lab.session.Emulator().Postgres() }

// User lets a workload's identity log in as the role that it returns, which is called as the
// identity is, and makes that a member of other roles, such as pg_read_all_data, or azure_pg_admin
// for an administrator. After the first call, only identities that User has added log in.
func (p *Postgres) User(workload *Pod, memberOf ...string) (role string) {
	p.lab.t.Helper()
	role, err := p.servers().Grant(p.name, workload.ClientID, memberOf...)
	must(p.lab.t, err)
	return role
}

// Query runs SQL in a database, and returns the rows of its last statement as texts.
func (p *Postgres) Query(database, sql string) [][]string {
	p.lab.t.Helper()
	rows, err := p.servers().Query(p.lab.t.Context(), p.name, database, sql)
	if err != nil {
		p.lab.t.Fatalf("PostgreSQL server %s, database %s: %v", p.name, database, err)
	}
	return rows
}
