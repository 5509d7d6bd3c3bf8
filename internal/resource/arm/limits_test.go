package arm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/roles"
)

// What there may be no more of is refused with Azure's words. What is there is still changed.
func TestLimits(t *testing.T) {
	w := newWorld(t, lab.Options{})
	_, principal := w.withIdentity()
	admin := w.terraform() // with one token for all requests
	make980 := func() {
		have := strings.Count(w.do("GET "+inTenant+"/resourceGroups"+groups2022, "").body, `"provisioningState"`)
		for n := range 980 - have {
			w.ask(admin, fmt.Sprintf("PUT %s/resourceGroups/group%d%s", inTenant, n, groups2022), `{"location": "westeurope"}`)
		}
	}
	assign4000 := func() {
		have := len(w.Roles().Assignments(func(a roles.Assignment) bool { return roles.Within(a.Scope, inTenant) }))
		for n := range 4000 - have {
			if _, err := w.Roles().Assign(roles.Assignment{ID: uuid.NewString(), Tenant: tenantID, PrincipalID: uuid.NewString(), Role: reader, Scope: fmt.Sprintf("%s/resourceGroups/group%d", inTenant, n)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	define5000 := func() {
		for n := range 5000 - (len(w.Roles().Definitions()) - len(roles.Builtin())) {
			id := uuid.NewString()
			if err := w.Roles().Define(roles.Definition{ID: id, Name: fmt.Sprint("role ", n), AssignableScopes: []string{inTenant}, Permissions: []roles.Permission{{Actions: []string{"Microsoft.Resources/subscriptions/resourceGroups/read"}}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	role := inTenant + "/providers/Microsoft.Authorization/roleDefinitions/"
	const definition = `{"properties": {"roleName": "ROLE", "type": "CustomRole", "assignableScopes": ["` + inTenant + `"], "permissions": [{"actions": ["Microsoft.Resources/subscriptions/resourceGroups/read"]}]}}`
	assigned := `{"properties": {"roleDefinitionId": "` + contributor + `", "principalType": "ServicePrincipal", "principalId": "` + principal + `"}}`
	for _, row := range []struct {
		fill       func()
		fits, more string // requests
		fit, body  string
		status     int
		code, text string
	}{
		{make980, "PUT " + group + groups2022, "PUT " + inTenant + "/resourceGroups/more" + groups2022, `{"location": "westeurope"}`, `{"location": "westeurope"}`,
			409, "ResourceGroupQuotaExceeded", "Creating the resource group 'more' would exceed the quota of '980'. The current resource group count is '980', please delete some groups before creating a new one."},
		{assign4000, "PUT " + group + assignments + stranger + v2022, "PUT " + group + assignments + nobody + v2022, assigned, strings.Replace(assigned, contributor, "b86a8fe4-44ce-4948-aee5-eccb2c155cd7", 1),
			400, "RoleAssignmentLimitExceeded", "No more role assignments can be created."},
		{define5000, "PUT " + role + stranger + v2022, "PUT " + role + nobody + v2022, strings.Replace(definition, "ROLE", "first", 1), strings.Replace(definition, "ROLE", "more", 1),
			400, "RoleDefinitionLimitExceeded", "Role definition limit exceeded. No more role definitions can be created."},
	} {
		w.do(row.fits, row.fit)
		row.fill()
		w.do(row.fits, row.fit) // it is there, and is no more
		if got := w.ask(w.terraform(), row.more, row.body); got.status != row.status || got.Code != row.code || got.Message != row.text {
			t.Errorf("%s: %d %s", row.more, got.status, got.body)
		}
	}
}
