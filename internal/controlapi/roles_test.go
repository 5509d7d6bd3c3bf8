package controlapi_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/resource/postgres"
	"github.com/wiemu/wiemu/internal/resource/redis"
	"github.com/wiemu/wiemu/internal/resource/sql"
	"github.com/wiemu/wiemu/internal/roles"
)

// openRoles returns a client of a lab with an application and a vault, where changes of
// roles take five minutes.
func openRoles(t *testing.T) (*control.Client, *lab.Lab) {
	t.Helper()
	l := newLab(t, config.Config{
		Tenants:      []config.Tenant{{ID: tenant}, {ID: "0e0d3a3c-8a4d-4a5e-9a1b-4f1c8a3b2d10", Domains: []string{"fabrikam.example"}}},
		Applications: []config.Application{{Principal: config.Principal{ClientID: clientID, Name: "shop"}}},
		Vaults:       []config.Vault{{Name: "Kv-One", Access: []config.Access{{Identity: "shop", Roles: []string{"Key Vault Reader"}}}}},
		Roles:        config.Roles{Delay: 5 * time.Minute},
	})
	return controlapi.InMemory("secret", controlapi.New(l, controlapi.Endpoints{}, "secret")), l
}

func TestRolesAreChangedAndSeenLater(t *testing.T) {
	c, l := openRoles(t)
	allowed := func() bool {
		p, _ := l.Directory().Principal(tenant, clientID)
		at, err := l.Scope("kv-one")
		if err != nil {
			t.Fatal(err)
		}
		return l.Roles().Decide(roles.Request{
			Tenant: tenant, ObjectID: p.ObjectID, ClientID: p.ClientID, Scope: at.ID,
			Needs: [][]roles.Action{{roles.Data("Microsoft.KeyVault/vaults/secrets/getSecret/action")}},
		}).Allowed
	}
	advance := func() {
		if err := l.Clock().Advance(t.Context(), 5*time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	p, _ := l.Directory().Principal(tenant, clientID)
	change := control.RoleChange{Identity: strings.ToUpper(p.ObjectID), Role: "Key Vault Secrets User", Scope: "KV-ONE"}
	made, err := c.AssignRole(t.Context(), change)
	if err != nil || made.Identity != "shop" || made.Source != "" || made.SeenFrom.IsZero() || made.SeenFrom.Sub(l.Clock().Now()) != 5*time.Minute {
		t.Fatalf("%+v, %v", made, err)
	}
	if allowed() {
		t.Error("it is seen at once")
	}
	events := l.Journal().Events()
	if last := events[len(events)-1]; last.Kind != journal.Directory || last.Summary != made.Summary || last.ClientID != clientID {
		t.Errorf("the journal has %+v", last)
	}
	advance()
	if !allowed() {
		t.Error("it is not seen after the delay")
	}
	listed, err := c.Roles(t.Context(), "shop", made.Scope+"/secrets/password")
	if err != nil || len(listed.Assignments) != 2 || len(listed.Open) != 0 {
		t.Errorf("%+v, %v", listed, err)
	}
	change.Identity = "shop"
	removed, err := c.RemoveRole(t.Context(), change)
	if err != nil || !removed.Removed || removed.ID != made.ID || !allowed() {
		t.Errorf("%+v, %v", removed, err)
	}
	advance()
	if listed, err = c.Roles(t.Context(), "", ""); err != nil || len(listed.Assignments) != 1 || listed.Assignments[0].Source != "vaults[0].access[0]" || allowed() {
		t.Errorf("%+v, %v", listed, err)
	}
}

// Slashes around a resource id change nothing.
func TestScopesWithMoreSlashes(t *testing.T) {
	c, l := openRoles(t)
	vault, err := l.Scope("kv-one")
	if err != nil {
		t.Fatal(err)
	}
	subscription := strings.Join(strings.Split(vault.ID, "/")[:3], "/")
	for _, id := range []string{vault.ID, subscription} {
		for _, scope := range []string{id, id + "/", "/" + id} {
			change := control.RoleChange{Identity: "shop", Role: "Reader", Scope: scope}
			made, err := c.AssignRole(t.Context(), change)
			if err != nil || !strings.EqualFold(made.Scope, id) {
				t.Errorf("%s: %+v, %v", scope, made, err)
			}
			change.Scope = id + "/"
			if _, err := c.RemoveRole(t.Context(), change); err != nil {
				t.Errorf("%s: %v", scope, err)
			}
		}
	}
}

func TestRolesStayAsTheyAre(t *testing.T) {
	for _, row := range []struct {
		change control.RoleChange
		want   string
		status int
	}{
		{control.RoleChange{Identity: "shap", Role: "Reader", Scope: "kv-one"}, "did you mean shop?", http.StatusNotFound},
		{control.RoleChange{Identity: "", Role: "Reader", Scope: "kv-one"}, "", http.StatusNotFound},
		{control.RoleChange{Identity: "shop", Role: "", Scope: "kv-one"}, "expected the name or id of a built-in role", http.StatusNotFound},
		{control.RoleChange{Identity: "shop", Role: "Raeder", Scope: "kv-one"}, "did you mean Reader?", http.StatusNotFound},
		{control.RoleChange{Identity: "shop", Role: "Reader", Scope: "kv-oen"}, "did you mean kv-one?", http.StatusNotFound},
		{control.RoleChange{Identity: "shop", Role: "Reader", Scope: ""}, "expected the name of a resource", http.StatusNotFound},
		{control.RoleChange{Identity: "shop", Role: "Reader", Scope: "kv-one/blobs/a"}, "expected secrets/NAME, keys/NAME, certificates/NAME behind it", http.StatusNotFound},
		{control.RoleChange{Identity: "shop", Role: "Reader", Scope: "/vaults/kv-one"}, "expected a resource id", http.StatusNotFound},
		{control.RoleChange{Identity: "*", Tenant: "fabrikam.example", Role: "Reader", Scope: "kv-one"}, "expected one of the tenant " + tenant, http.StatusBadRequest},
		{control.RoleChange{Identity: "*", Tenant: "nowhere", Role: "Reader", Scope: "kv-one"}, `tenant "nowhere"`, http.StatusNotFound},
		{control.RoleChange{Identity: "shop", Role: "Key Vault Reader", Scope: "kv-one"}, "already, by vaults[0].access[0] of wiemu.yaml", http.StatusConflict},
	} {
		c, l := openRoles(t)
		_, err := c.AssignRole(t.Context(), row.change)
		var refused *control.StatusError
		if !errors.As(err, &refused) || refused.Status != row.status || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%+v: %v, want %q", row.change, err, row.want)
		}
		if len(l.Journal().Events()) > 0 {
			t.Errorf("%+v: it was written down", row.change)
		}
	}
	c, _ := openRoles(t)
	if _, err := c.RemoveRole(t.Context(), control.RoleChange{Identity: "*", Role: "Reader", Scope: "kv-one"}); err == nil || !strings.Contains(err.Error(), "every identity does not have the role Reader on Microsoft.KeyVault/vaults/Kv-One; it has none") {
		t.Error(err)
	}
}

// Caches have data access policies in place of roles, and what else has the name of one keeps its
// roles. In a database server it is done by statements.
func TestPoliciesOfCaches(t *testing.T) {
	l := newLab(t, config.Config{
		Tenants:      []config.Tenant{{ID: tenant}},
		Applications: []config.Application{{Principal: config.Principal{ClientID: clientID, Name: "shop"}}},
		Vaults:       []config.Vault{{Name: "orders"}},
		Resources: map[string]any{
			"redis": &redis.Settings{
				{Name: "orders", Policies: map[string]string{"app": "+@read ~app:*"}, Access: redis.PolicyAssignments{{Identity: "shop", Policy: "Data Reader"}}},
				{Name: "open", Region: "norwayeast"},
			},
			"sqlServers":      &sql.Settings{{Name: "shop-sql"}},
			"postgresServers": &postgres.Settings{{Name: "shop-pg"}},
		},
	})
	c := controlapi.InMemory("secret", controlapi.New(l, controlapi.Endpoints{}, "secret"))
	for _, row := range []struct {
		change control.RoleChange
		remove bool
		want   string // summary or error
	}{
		{control.RoleChange{Identity: "shop", Role: "app", Scope: "orders"}, false, "shop has the data access policy app on Microsoft.Cache/redis/orders"},
		{control.RoleChange{Identity: "shop", Role: "app", Scope: "orders.redis.cache.windows.net"}, false, "shop has the data access policy app on Microsoft.Cache/redis/orders already"},
		{control.RoleChange{Identity: "shop", Role: "Data Reader", Scope: "orders"}, false, "already, by redis[0].access[0] of wiemu.yaml"},
		{control.RoleChange{Identity: "shop", Role: "Reader", Scope: "orders"}, false, "shop has the role Reader on Microsoft.KeyVault/vaults/orders"},
		{control.RoleChange{Identity: "shop", Role: "Reader", Scope: "orders.redis.cache.windows.net"}, false, "expected a data access policy of the cache orders: Data Contributor, Data Owner, Data Reader, default, app"},
		{control.RoleChange{Identity: "shop", Role: "Data Owner", Scope: "orders"}, true, "shop does not have the data access policy Data Owner on Microsoft.Cache/redis/orders; it has Data Reader, app"},
		{control.RoleChange{Identity: "shop", Role: "Data Reader", Scope: "orders"}, true, "shop does not have the data access policy Data Reader on Microsoft.Cache/redis/orders any more"},
		{control.RoleChange{Identity: "shop", Role: "Data Reader", Scope: "open.norwayeast"}, true, "it has none, but the cache is open to everybody"},
		{control.RoleChange{Identity: "*", Role: "data reader", Scope: "open.norwayeast.redis.azure.net"}, false, "every identity has the data access policy Data Reader on Microsoft.Cache/redisEnterprise/open/databases/default; until now it was open to everybody"},
		{control.RoleChange{Identity: "shap", Role: "Data Reader", Scope: "open.norwayeast"}, false, "did you mean shop?"},
		{control.RoleChange{Identity: "shop", Role: "Reader", Scope: "shop-sql"}, false, "CREATE USER [NAME] FROM EXTERNAL PROVIDER"},
		{control.RoleChange{Identity: "shop", Role: "Reader", Scope: "shop-pg.postgres.database.azure.com"}, false, "pgaadauth_create_principal('NAME', false, false)"},
	} {
		do := c.AssignRole
		if row.remove {
			do = c.RemoveRole
		}
		made, err := do(t.Context(), row.change)
		if got := made.Summary; err != nil && !strings.Contains(err.Error(), row.want) || err == nil && !strings.HasPrefix(got, row.want) {
			t.Errorf("%+v: %q, %v, want %q", row.change, got, err, row.want)
		}
	}
	for scope, want := range map[string]string{
		"":                               "Reader app Data Reader",
		"orders":                         "Reader app",
		"orders.redis.cache.windows.net": "app",
		"open.norwayeast":                "Data Reader",
	} {
		listed, err := c.Roles(t.Context(), "", scope)
		var names []string
		for _, a := range listed.Assignments {
			names = append(names, a.Role)
		}
		if got := strings.Join(names, " "); err != nil || got != want && (scope != "" || len(names) != 3) {
			t.Errorf("%q: %s, %v, want %s", scope, got, err, want)
		}
	}
	if listed, err := c.Roles(t.Context(), "shop", "orders"); err != nil || len(listed.Assignments) != 2 {
		t.Errorf("%+v, %v", listed, err)
	}
}
