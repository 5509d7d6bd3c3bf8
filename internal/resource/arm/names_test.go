package arm_test

import (
	"testing"

	"github.com/wiemu/wiemu/internal/lab"
)

// Each provider says in its own members whether a name can be had.
func TestCheckedNames(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.withIdentity()
	w.do("PUT "+sqlServers+"/ledger"+v2023sql, `{"location": "westeurope", "properties": {"administratorLogin": "sa"}}`)
	for _, row := range []struct{ namespace, version, asked, want string }{
		{"Microsoft.Sql", v2023sql, `{"name": "free", "type": "Microsoft.Sql/servers"}`, `{"name":"free","available":true}`},
		{"Microsoft.Sql", v2023sql, `{"name": "ledger"}`, `{"name":"ledger","available":false,"reason":"AlreadyExists","message":"Specified server name is already used"}`},
		{"Microsoft.Sql", v2023sql, `{"name": "-a"}`, `{"name":"-a","available":false,"reason":"Invalid","message":"Invalid server name: '-a'."}`},
		{"Microsoft.DBforPostgreSQL", v2024pg, `{"name": "free", "type": "Microsoft.DBforPostgreSQL/flexibleServers"}`, `{"name":"free","type":"Microsoft.DBforPostgreSQL/flexibleServers","nameAvailable":true}`},
		{"Microsoft.DBforPostgreSQL", v2024pg, `{"name": "A"}`, `{"name":"A","nameAvailable":false,"reason":"Invalid","message":"The server name 'A' is invalid."}`},
		{"Microsoft.KeyVault", v2023kv, `{"name": "free-1"}`, `{"nameAvailable":true}`},
		{"Microsoft.KeyVault", v2023kv, `{"name": "1"}`, `{"nameAvailable":false,"reason":"AccountNameInvalid","message":"The vault name '1' is invalid."}`},
		{"Microsoft.Storage", v2023st, `{"name": "free1"}`, `{"nameAvailable":true}`},
	} {
		if got := w.do("POST "+inTenant+"/providers/"+row.namespace+"/checkNameAvailability"+row.version, row.asked); got.body != row.want {
			t.Errorf("%s %s: %s, want %s", row.namespace, row.asked, got.body, row.want)
		}
	}
}
