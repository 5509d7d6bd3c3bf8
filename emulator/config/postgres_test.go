package config_test

import (
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
)

// Mistakes in the section of PostgreSQL servers are told with their place, and without passwords.
func TestPostgresServers(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"postgresServers: [{name: orders, databases: [orders, ü], access: [{identity: '*'}, {identity: '*', role: Orders API, memberOf: [pg_read_all_data]}]}]", ""},
		{"postgresServers: [{name: orders, url: 'postgres://me:secret@127.0.0.1:5432/postgres?sslmode=disable'}]", ""},
		{"postgresServers: [{name: orders, url: 'postgres://me@/postgres?host=/run/postgresql'}]", ""},
		{"postgresServers: [{name: Orders}]", "postgresServers[0].name: expected 3 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit, found Orders"},
		{"postgresServers: [{name: orders-}]", "postgresServers[0].name: expected 3 to 63"},
		{"postgresServers: [{name: orders}, {name: orders}]", "postgresServers[1].name: expected a name of its own, found orders, which postgresServers[0] has too"},
		{"postgresServers: [{name: orders, tenant: nowhere}]", "postgresServers[0].tenant: expected a tenant of this file"},
		{"postgresServers: [{name: orders, databases: [a, a]}]", "postgresServers[0].databases[1]: expected a name of its own, found a again"},
		{"postgresServers: [{name: orders, databases: [template1]}]", "postgresServers[0].databases[0]: expected the name of a database"},
		{"postgresServers: [{name: orders, databases: ['']}]", "postgresServers[0].databases[0]: expected the name of a database, 1 to 63 bytes"},
		{"postgresServers: [{name: orders, access: [{identity: nobody}]}]", "postgresServers[0].access[0].identity: expected"},
		{"postgresServers: [{name: orders, access: [{identity: '*', role: pg_monitor}]}]", "postgresServers[0].access[0].role: expected the name of a role, 1 to 63 bytes, which does not begin with pg_, found pg_monitor"},
		{"postgresServers: [{name: orders, access: [{identity: '*', memberOf: ['']}]}]", "postgresServers[0].access[0].memberOf[0]: expected the name of a role, such as pg_read_all_data"},
		{"postgresServers: [{name: orders, access: }]", "postgresServers[0].access: expected a list, found nothing; write [] for an empty one, or remove the field"},
		{"postgresServers: [{name: orders, url: 'mysql://me:secret@127.0.0.1'}]", "postgresServers[0].url: expected the address of a PostgreSQL with a user, such as postgres://postgres:secret@127.0.0.1:5432/postgres, found a URL that begins with mysql:"},
		{"postgresServers: [{name: orders, url: 'postgres://127.0.0.1/postgres'}]", "found postgres://127.0.0.1/postgres, which names no user"},
		{"postgresServers: [{name: orders, url: 'postgres://me:geheim@/postgres'}]", "found postgres://me:xxxxx@/postgres, which names no host"},
		{"postgresServers: [{name: orders, url: 'postgres://me:geheim@127.0.0.1:x/postgres'}]", "found what is no URL"},
		{"postgresServers: [{name: orders, url: 'postgres://me:geheim@127.0.0.1/postgres?sslmode=perhaps'}]", "found postgres://me:xxxxx@127.0.0.1/postgres?…, which cannot be read: cannot parse `postgres://me:xxxxx@127.0.0.1/postgres?…`: failed to configure TLS (sslmode is invalid)"},
		{"postgresServers: [{name: orders, url: 'postgres://me@127.0.0.1/postgres?password=geheim&sslmode=perhaps'}]", "found postgres://me@127.0.0.1/postgres?…, which cannot be read"},
		{"postgresServers: [{name: orders, url: 'postgres://127.0.0.1/postgres?user=me&password=geheim'}]", "found postgres://127.0.0.1/postgres?…, which names no user"},
		{"postgresServers: [{name: orders, url: 'postgres:/me:geheim@127.0.0.1/postgres'}]", "found what is no URL with a host, which names no user"},
		{"postgresServer: [{name: orders}]", "found an unknown field; did you mean postgresServers?"},
	} {
		c, err := config.Parse("wiemu.yaml", []byte(row.text))
		if err == nil {
			_, err = c.Complete("wiemu.yaml")
		}
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: expected %s, found %v", row.text, row.want, err)
		}
		if err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: the password is told: %v", row.text, err)
		}
	}
}
