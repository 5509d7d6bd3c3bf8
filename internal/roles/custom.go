package roles

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/tenants"
)

// Custom is a custom role as wiemu.yaml has it; see config.RoleDefinition.
type Custom struct {
	Name, ID, Description                                              string
	Actions, NotActions, DataActions, NotDataActions, AssignableScopes []string
}

// Definition is the role. Without an id it has one that is made from its name.
func (c Custom) Definition() Definition {
	return Definition{
		ID: strings.ToLower(cmp.Or(c.ID, tenants.StableID("role definition", strings.ToLower(c.Name)))), Name: c.Name, Description: c.Description, AssignableScopes: c.AssignableScopes,
		Permissions: []Permission{{Actions: c.Actions, NotActions: c.NotActions, DataActions: c.DataActions, NotDataActions: c.NotDataActions}},
	}
}

// actionRule is what actions are made of. Source: azure-docs,
// role-based-access-control/role-definitions.md, "Operations format" and "Wildcard".
const actionRule = "*, or PROVIDER/TYPE/OPERATION such as Microsoft.Storage/storageAccounts/read"

var actionFormat = lazyregexp.New(`^(\*|[A-Za-z0-9.*]+(/[A-Za-z0-9.*_$-]+)+)$`)

// Check reports what is wrong with a custom role of wiemu.yaml, whose fields are those of the
// JSON that az role definition create reads; taken are those that there are besides.
func (d *Definition) Check(taken []Definition, problem func(field, expected, found, fix string)) {
	if strings.TrimSpace(d.Name) == "" {
		problem(".name", "the name of the role", "none", "")
	}
	if uuid.Validate(d.ID) != nil {
		problem(".id", "a GUID", d.ID, "remove it: one is made from the name")
	}
	for _, other := range taken {
		switch {
		case strings.EqualFold(other.Name, d.Name):
			problem(".name", "a name of its own", d.Name+", which another role has", "")
		case other.ID == d.ID:
			problem(".id", "an id of its own", d.ID+", which "+other.Name+" has", "")
		}
	}
	d.checkActions(problem)
	for n, scope := range d.AssignableScopes {
		// azure-docs, role-based-access-control/custom-roles.md, "Custom role properties": not /, and no wildcards.
		if scope == "/" || !ValidScope(scope) || strings.Contains(scope, "*") {
			problem(fmt.Sprintf(".assignableScopes[%d]", n), "the id of a subscription, a resource group or a resource", scope, "to assign the role everywhere, leave assignableScopes out")
		}
	}
}

func (d *Definition) checkActions(problem func(field, expected, found, fix string)) {
	for _, p := range d.Permissions {
		if len(p.Actions)+len(p.DataActions) == 0 {
			problem(".actions", "actions or dataActions", "neither", "")
		}
		for _, list := range []struct {
			field string
			given []string
			data  bool
		}{{".actions", p.Actions, false}, {".notActions", p.NotActions, false}, {".dataActions", p.DataActions, true}, {".notDataActions", p.NotDataActions, true}} {
			for n, action := range list.given {
				at := fmt.Sprintf("%s[%d]", list.field, n)
				switch {
				case !actionFormat().MatchString(action):
					problem(at, actionRule, action, "")
				case isOfOtherKind(action, list.data) && list.data:
					problem(at, "an action on the data in a resource", action, "it is one of the management of resources: write it under actions")
				case isOfOtherKind(action, list.data):
					problem(at, "an action of the management of resources", action, "it is one on data, and opens nothing here: write it under dataActions")
				}
			}
		}
	}
}

// isOfOtherKind reports whether built-in roles have an action in the other list alone: among
// their actions, if data, else among their data actions.
func isOfOtherKind(action string, data bool) bool {
	if strings.Contains(action, "*") {
		return false
	}
	same, other := false, false
	for _, d := range builtin() {
		for _, p := range d.Permissions {
			control, onData := slices.Concat(p.Actions, p.NotActions), slices.Concat(p.DataActions, p.NotDataActions)
			if data {
				control, onData = onData, control
			}
			equal := func(o string) bool { return strings.EqualFold(o, action) }
			same, other = same || slices.ContainsFunc(control, equal), other || slices.ContainsFunc(onData, equal)
		}
	}
	return other && !same
}

// NotEmulated is a blank field of the entries of wiemu.yaml about roles, which have no
// fields for what Azure has and wiemu does not.
type NotEmulated struct{}

// WhyNot implements yamlfile.Refuser.
func (NotEmulated) WhyNot(field string) string {
	switch strings.ToLower(field) {
	case "condition", "conditions", "conditionversion":
		return "conditions (ABAC) are not emulated: assign the role on a narrower scope, such as a container, instead"
	case "group", "groups", "groupid":
		return "groups are not emulated: write an entry for each identity of the group"
	case "denyassignments":
		return "deny assignments are not emulated"
	}
	return ""
}

// assignable refuses a scope on which a custom role cannot be assigned.
func (d *Definition) assignable(scope string) error {
	if len(d.AssignableScopes) == 0 || slices.ContainsFunc(d.AssignableScopes, func(above string) bool { return Within(scope, above) }) {
		return nil
	}
	return fmt.Errorf("assignment of %s: %w: expected one of the role's assignableScopes (%s) or below, found %q", d.Name, ErrNotAssignable, strings.Join(d.AssignableScopes, ", "), scope)
}
