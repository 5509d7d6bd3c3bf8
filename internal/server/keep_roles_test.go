package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/server"
)

// Roles that were assigned at run time, and those that were taken away, stay so, and revoked
// sessions are revoked: access tokens live longer than a restart takes.
func TestRolesAndRevocationsOutliveTheProcess(t *testing.T) {
	c := smallLab()
	c.Vaults = []config.Vault{{Name: "orders", Access: []config.Access{{Identity: keptApp, Roles: []string{"Key Vault Secrets User"}}}}}
	c.Roles = config.Roles{Assignments: []config.RoleAssignment{{Identity: keptWork, Roles: []string{"Reader"}}}}
	l := &lasting{dir: t.TempDir()}
	l.start(t, c)
	tenant, err := l.Tenant("")
	if err != nil {
		t.Fatal(err)
	}
	vault := l.Roles().ResourceID(tenant, "Microsoft.KeyVault/vaults", "orders")
	sources := func() (all []string) {
		for _, a := range l.Roles().Assignments(nil) {
			d, _ := l.Roles().Definition(a.Role)
			all = append(all, d.Name+" of "+a.ClientID+a.PrincipalID+" "+a.Source)
		}
		return all
	}
	for _, want := range []string{"Key Vault Secrets User of " + keptApp + " vaults[0].access[0]", "Reader of " + keptWork + " roles.assignments[0]"} {
		if !strings.Contains(strings.Join(sources(), "|"), want) {
			t.Errorf("%q: no %s", sources(), want)
		}
	}
	for _, a := range l.Roles().Assignments(nil) {
		if a.ClientID == keptApp {
			if _, _, err := l.Roles().Remove(a.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	made, err := l.Roles().Assign(roles.Assignment{Tenant: tenant, ClientID: keptWork, Role: "Key Vault Secrets Officer", Scope: vault})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Roles().Describe(made.ID, "for the shop"); err != nil {
		t.Fatal(err)
	}
	revoked := time.Now()
	if err := l.Directory().Revoke(tenant, keptApp, revoked, true); err != nil {
		t.Fatal(err)
	}

	l.restart(t, c)
	if got := sources(); len(got) != 2 || !strings.Contains(strings.Join(got, "|"), "Key Vault Secrets Officer of "+keptWork) {
		t.Errorf("%q", got)
	}
	if again := l.Roles().Assignments(func(a roles.Assignment) bool { return a.ID == made.ID }); len(again) != 1 || !again[0].Made.Equal(made.Made) || again[0].Description != "for the shop" {
		t.Errorf("%+v, want %+v", again, made)
	}
	if p := l.principal(t, keptApp); !p.TokensValidFrom.Equal(revoked) || !p.EverywhereValidFrom.Equal(revoked) {
		t.Errorf("%+v", p)
	}
	if l.log.Len() > 0 {
		t.Errorf("an operator is told: %s", l.log.String())
	}

	// A file that cannot be used is an error that names it.
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(l.dir, "roles.json")
	kept, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(strings.Replace(string(kept), made.Role, "nothing", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Start(t.Context(), l.options(t, c)); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), `role "nothing": expected the name or id of a role`) {
		t.Error(err)
	}
}
