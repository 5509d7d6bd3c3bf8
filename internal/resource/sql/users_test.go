package sql_test

import (
	"testing"

	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/resource/sql"
)

// The identity of a component of a radixconfig.yaml comes into the directory after the server.
func TestAUserOfAnIdentityThatComesLater(t *testing.T) {
	const later, itsObject = "aaaaaaaa-0000-4000-8000-000000000009", "bbbbbbbb-0000-4000-8000-000000000009"
	l := newLab(t, sql.Server{Name: "orders", Tenant: tokentest.Tenant, Databases: []sql.Database{{Name: "sales", Users: []sql.User{{Identity: later, Roles: []string{"db_owner"}}}}}})
	var user string
	must(t, l.open(l.tokenOf(later, itsObject), "sales").QueryRow("SELECT USER_NAME()").Scan(&user))
	if user != later {
		t.Error(user)
	}
}

// Two of them, whose SIDs nobody knows yet, are two users; one that is named again is the same.
func TestUsersOfIdentitiesThatComeLater(t *testing.T) {
	const first, second = "aaaaaaaa-0000-4000-8000-000000000008", "aaaaaaaa-0000-4000-8000-000000000009"
	l := newLab(t, orders())
	for _, identity := range []string{first, second, first} {
		must(t, l.servers.User("orders", "stock", sql.User{Identity: identity, SID: "objectId"}))
	}
	admins := l.open(l.tokenOf(admin, adminOID), "stock")
	for _, user := range []string{first, second} {
		_, err := admins.Exec("DROP USER [" + user + "]")
		must(t, err)
	}
}

func TestMistakesOfServers(t *testing.T) {
	l := newLab(t, orders())
	for want, err := range map[string]error{
		`SQL server "Orders": name: expected 1 to 63 lower-case letters, digits and hyphens, neither beginning nor ending with a hyphen`:                l.servers.Put(sql.Server{Name: "Orders", Tenant: tokentest.Tenant}),
		`SQL server new: tenant: expected the id of a tenant, found "nowhere"`:                                                                          l.servers.Put(sql.Server{Name: "new", Tenant: "nowhere"}),
		`SQL server "archive": expected one of ["orders"]`:                                                                                              l.servers.Database("archive", "sales"),
		`SQL server orders: database "a/b": expected 1 to 128 characters without <>*%&:\/? and control characters, not ending with a period or a space`: l.servers.Database("orders", "a/b"),
		`SQL server orders: database "none": expected one of ["master" "sales" "stock"]`:                                                                l.servers.User("orders", "none", sql.User{Identity: other}),
		`SQL server orders: database stock: user "": identity: expected the client id of an application or managed identity, found "web"`:               l.servers.User("orders", "stock", sql.User{Identity: "web"}),
		`SQL server new: engine.url: expected the user and the password of a SQL login that may create logins and users, such as sa, found none`:        l.servers.Put(sql.Server{Name: "new", Tenant: tokentest.Tenant, Engine: sql.Engine{URL: "sqlserver://localhost"}}),
		`SQL server new: engine.url: expected sqlserver://USER:PASSWORD@HOST:PORT, found postgres://sa:xxxxx@localhost`:                                 l.servers.Put(sql.Server{Name: "new", Tenant: tokentest.Tenant, Engine: sql.Engine{URL: "postgres://sa:secret@localhost"}}),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("expected %s, got %v", want, err)
		}
	}
}
