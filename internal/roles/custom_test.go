package roles_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/roles"
)

func TestWhatIsWrongWithACustomRole(t *testing.T) {
	const id, get = "33333333-3333-4333-8333-333333333333", "Microsoft.KeyVault/vaults/secrets/getSecret/action"
	for name, row := range map[string]struct {
		role roles.Definition
		want string
	}{
		"nothing":              {roles.Definition{ID: id, Name: "Lister", Permissions: []roles.Permission{{DataActions: []string{get, "*", "microsoft.keyvault/*/read"}}}, AssignableScopes: []string{"/subscriptions/" + id}}, ""},
		"no name":              {roles.Definition{ID: id, Permissions: []roles.Permission{{Actions: []string{"*"}}}}, ".name none"},
		"a built-in name":      {roles.Definition{ID: id, Name: "owner", Permissions: []roles.Permission{{Actions: []string{"*"}}}}, ".name owner, which another role has"},
		"a built-in id":        {roles.Definition{ID: "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", Name: "Lister", Permissions: []roles.Permission{{Actions: []string{"*"}}}}, ".id 8e3af657-a8ff-443c-a75c-2fe8c4bcb635, which Owner has"},
		"no actions":           {roles.Definition{ID: id, Name: "Lister", Permissions: []roles.Permission{{NotActions: []string{"*"}}}}, ".actions neither"},
		"no action":            {roles.Definition{ID: id, Name: "Lister", Permissions: []roles.Permission{{Actions: []string{"read everything"}}}}, ".actions[0] read everything"},
		"data as an action":    {roles.Definition{ID: id, Name: "Lister", Permissions: []roles.Permission{{Actions: []string{"*", get}}}}, ".actions[1] " + get},
		"an action as data":    {roles.Definition{ID: id, Name: "Lister", Permissions: []roles.Permission{{DataActions: []string{"Microsoft.Storage/storageAccounts/blobServices/containers/read"}}}}, ".dataActions[0] Microsoft.Storage/storageAccounts/blobServices/containers/read"},
		"everywhere, as Azure": {roles.Definition{ID: id, Name: "Lister", Permissions: []roles.Permission{{Actions: []string{"*"}}}, AssignableScopes: []string{"/"}}, ".assignableScopes[0] /"},
	} {
		var found []string
		row.role.Check(roles.Builtin(), func(field, _, wrong, _ string) { found = append(found, field+" "+wrong) })
		want := slices.DeleteFunc([]string{row.want}, func(w string) bool { return w == "" })
		if !slices.Equal(found, want) {
			t.Errorf("%s: %q, want %q", name, found, want)
		}
	}
}

func TestACustomRoleIsAssignedWithinItsScopes(t *testing.T) {
	l := newLab(t, 0)
	if err := l.Define(roles.Definition{ID: "33333333-3333-4333-8333-333333333333", Name: "Blob Lister", Permissions: []roles.Permission{{Actions: []string{"*"}}}, AssignableScopes: []string{account}}); err != nil {
		t.Fatal(err)
	}
	l.assign(t, "Blob Lister", inbox)
	_, err := l.Assign(roles.Assignment{Tenant: tenant, ClientID: web, Role: "blob lister", Scope: "/subscriptions/" + subscription})
	if err == nil || !strings.Contains(err.Error(), "expected one of the role's assignableScopes ("+account+") or below") {
		t.Error(err)
	}
}

func TestARoleThatIsNotDefinedAnyMoreIsForgotten(t *testing.T) {
	l := newLab(t, 0)
	gone := roles.State{Assignments: []roles.Assignment{{Tenant: tenant, ClientID: web, Role: "33333333-3333-4333-8333-333333333333", Scope: inbox}}}
	if err := l.Start(&gone, nil); err != nil || len(l.Assignments(nil)) != 0 {
		t.Error(err, l.Assignments(nil))
	}
}

// Custom roles of an earlier run stay what they are when another of them changes or goes.
func TestRestoredRolesAreTheirOwn(t *testing.T) {
	custom := func(n, action string) roles.Definition {
		return roles.Definition{ID: strings.ReplaceAll("n3333333-3333-4333-8333-333333333333", "n", n), Name: "role " + n, Permissions: []roles.Permission{{Actions: []string{action}}}}
	}
	one, two, three := custom("1", "a/read"), custom("2", "b/read"), custom("3", "c/read")
	l := newLab(t, 0)
	if err := l.Start(&roles.State{Definitions: []roles.Definition{one, two, three}}, func(roles.Change) error { return nil }); err != nil {
		t.Fatal(err)
	}
	one.Permissions[0].Actions[0] = "*"
	if err := errors.Join(l.Define(one), l.Undefine(two.ID)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []roles.Definition{one, three} {
		if got, ok := l.Definition(want.ID); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
