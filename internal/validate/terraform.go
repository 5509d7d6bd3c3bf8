package validate

import (
	"cmp"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/resource/arm/template"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// terraform reads what terraform show -json prints of a plan.
// Source: https://developer.hashicorp.com/terraform/internals/json-format; the attributes are those
// of the providers azurerm 3 and 4 and azuread 2 and 3.
func (p *Plan) terraform(file string, o *template.Object) error {
	t := terraformPlan{o.Object("configuration").Object("root_module"), o.List("resource_changes"), p, new(int)}
	if o.Get("resource_changes") == nil {
		return yamlfile.Problems{{File: file, Field: "resource_changes", Expected: "the changes of a plan", Found: "a state", Fix: "terraform plan -out PLAN, then terraform show -json PLAN"}}
	}
	for _, v := range t.changes {
		change, _ := v.(*template.Object)
		if change.Text("mode") == "managed" {
			t.add(change)
		}
	}
	return nil
}

type terraformPlan struct {
	configuration *template.Object
	changes       []any
	plan          *Plan
	followed      *int // references so far
}

// maxFollowed bounds how many references are followed: those of a plan that Terraform made are few.
const maxFollowed = 100_000

// add takes one resource as it would be. One that is replaced is deleted, too: what is known only
// after apply, such as a client id, is not that of before. One that is forgotten stays as it is.
func (t terraformPlan) add(change *template.Object) {
	o := change.Object("change")
	actions, before := o.List("actions"), o.Object("before")
	if slices.Contains(actions, any("delete")) {
		t.addValues(change, before, true)
	}
	if slices.Contains(actions, any("forget")) {
		t.addValues(change, before, false)
	}
	t.addValues(change, o.Object("after"), false)
}

func (t terraformPlan) addValues(change, values *template.Object, deleted bool) {
	if values == nil {
		return
	}
	address := change.Text("address")
	switch change.Text("type") {
	case "azurerm_user_assigned_identity":
		t.plan.identities = append(t.plan.identities, &plannedIdentity{key: strings.ToLower(address), place: address, deleted: deleted, holder: Holder{
			Name: values.Text("name"), ClientID: strings.ToLower(values.Text("client_id")), ResourceID: values.Text("id"), Tenant: strings.ToLower(values.Text("tenant_id")), ObjectIDs: given(values.Text("principal_id")), kind: "managed identity",
		}})
	case "azuread_application", "azuread_application_registration":
		id := cmp.Or(values.Text("client_id"), values.Text("application_id"))
		t.plan.identities = append(t.plan.identities, &plannedIdentity{key: strings.ToLower(address), place: address, deleted: deleted, holder: Holder{
			Name: values.Text("display_name"), ClientID: strings.ToLower(id), ObjectIDs: given(values.Text("object_id")),
		}})
	case "azurerm_federated_identity_credential":
		t.credential(change, values, deleted, "audience", "parent_id", "user_assigned_identity_id")
	case "azuread_application_federated_identity_credential":
		t.credential(change, values, deleted, "audiences", "application_id", "application_object_id")
	case "azurerm_role_assignment":
		if deleted {
			return
		}
		a := &plannedAssignment{place: address, principal: values.Text("principal_id")}
		if a.principal == "" {
			a.byClientID = slices.ContainsFunc(t.references(address, "principal_id"), func(r string) bool {
				return strings.HasSuffix(r, ".client_id") || strings.HasSuffix(r, ".application_id")
			})
		}
		t.plan.assignments = append(t.plan.assignments, a)
	}
}

func given(id string) []string {
	if id == "" {
		return nil
	}
	return []string{strings.ToLower(id)}
}

func (t terraformPlan) credential(change, values *template.Object, deleted bool, audience string, owners ...string) {
	name := cmp.Or(values.Text("name"), values.Text("display_name"))
	c := &plannedCredential{place: change.Text("address"), deleted: deleted, made: directory.FederatedCredential{Name: name, Issuer: values.Text("issuer"), Subject: values.Text("subject")}}
	if list := values.List(audience); len(list) > 0 {
		c.made.Audience, _ = list[0].(string)
	}
	for _, field := range [][2]string{{"issuer", c.made.Issuer}, {"subject", c.made.Subject}, {"audience", c.made.Audience}} {
		if field[1] == "" && !deleted {
			c.unknown = append(c.unknown, field[0])
		}
	}
	for _, owner := range owners {
		if c.owner = t.owner(change.Text("address"), owner, values.Text(owner)); c.owner != "" {
			break
		}
	}
	t.plan.credentials = append(t.plan.credentials, c)
}

// owner is the key of the identity of a federated credential: by the id that it has, or, if that is
// known only after apply, by what the configuration refers to.
func (t terraformPlan) owner(address, attribute, id string) string {
	if id != "" {
		if i := t.byID(id); i != "" {
			return i
		}
		return strings.ToLower(id)
	}
	for _, r := range t.references(address, attribute) {
		if a := t.instance(address, r); a != "" {
			return a
		}
	}
	return ""
}

// byID is the address of the identity that has an id: that of a resource, or /applications/ID.
func (t terraformPlan) byID(id string) string {
	for _, v := range t.changes {
		change, _ := v.(*template.Object)
		for _, when := range []string{"after", "before"} {
			values := change.Object("change").Object(when)
			switch change.Text("type") {
			case "azurerm_user_assigned_identity", "azuread_application", "azuread_application_registration":
				for _, own := range []string{values.Text("id"), values.Text("object_id")} {
					if own != "" && (strings.EqualFold(own, id) || strings.EqualFold("/applications/"+own, id)) {
						return strings.ToLower(change.Text("address"))
					}
				}
			}
		}
	}
	return ""
}

// split returns an address in parts: the modules, with their keys, the resource without and the key.
func split(address string) (modules []string, resource, key string) {
	var parts []string
	from, depth, quoted := 0, 0, false
	for i := 0; i <= len(address); i++ {
		if i == len(address) || address[i] == '.' && depth == 0 && !quoted {
			parts = append(parts, address[from:i])
			from = i + 1
			continue
		}
		switch c := address[i]; {
		case c == '"' && (i == 0 || address[i-1] != '\\'):
			quoted = !quoted
		case c == '[' && !quoted:
			depth++
		case c == ']' && !quoted:
			depth--
		}
	}
	for len(parts) >= 2 && parts[0] == "module" {
		modules, parts = append(modules, parts[1]), parts[2:]
	}
	resource, key, _ = strings.Cut(strings.Join(parts, "."), "[")
	if key != "" {
		key = "[" + key
	}
	return modules, resource, key
}

// module is the configuration of a module, by the calls that lead there.
func (t terraformPlan) module(calls []string) *template.Object {
	at := t.configuration
	for _, call := range calls {
		name, _, _ := strings.Cut(call, "[")
		at = at.Object("module_calls").Object(name).Object("module")
	}
	return at
}

// references are what an attribute of a resource refers to, as addresses with the attribute, each
// with the modules before it: var.x is followed to who calls the module, and module.x.y into it.
func (t terraformPlan) references(address, attribute string) []string {
	modules, resource, _ := split(address)
	for _, v := range t.module(modules).List("resources") {
		if o, _ := v.(*template.Object); o.Text("address") == resource {
			return t.follow(modules, o.Object("expressions").Object(attribute), 0)
		}
	}
	return nil
}

func (t terraformPlan) follow(modules []string, expression *template.Object, depth int) (found []string) {
	if depth > 20 {
		return nil
	}
	for _, v := range expression.List("references") {
		if *t.followed++; *t.followed > maxFollowed {
			return found
		}
		text, _ := v.(string)
		parts := strings.Split(text, ".")
		switch {
		case parts[0] == "var" && len(modules) > 0 && len(parts) > 1:
			outer, call := modules[:len(modules)-1], modules[len(modules)-1]
			name, _, _ := strings.Cut(call, "[")
			variable, _, _ := strings.Cut(parts[1], "[")
			found = append(found, t.follow(outer, t.module(outer).Object("module_calls").Object(name).Object("expressions").Object(variable), depth+1)...)
		case parts[0] == "module" && len(parts) > 2:
			inner := append(slices.Clone(modules), parts[1])
			output, _, _ := strings.Cut(parts[2], "[")
			found = append(found, t.follow(inner, t.module(inner).Object("outputs").Object(output).Object("expression"), depth+1)...)
		default:
			prefix := ""
			for _, m := range modules {
				prefix += "module." + m + "."
			}
			found = append(found, prefix+text)
		}
	}
	return found
}

// instance is the key of the identity that a reference means: the only one there is of it, or
// that with the same key in brackets.
func (t terraformPlan) instance(of, reference string) string {
	_, _, key := split(of)
	var all []string
	for _, i := range t.plan.identityAddresses(t.changes) {
		modules, resource, itsKey := split(i)
		bare := ""
		for _, m := range modules {
			bare += "module." + m + "."
		}
		bare += resource
		if reference == i || strings.HasPrefix(reference, i+".") {
			return strings.ToLower(i)
		}
		if reference != bare && !strings.HasPrefix(reference, bare+".") && !strings.HasPrefix(reference, bare+"[") {
			continue
		}
		if itsKey == key && key != "" {
			return strings.ToLower(i)
		}
		all = append(all, strings.ToLower(i))
	}
	if len(all) == 1 {
		return all[0]
	}
	return ""
}

// identityAddresses are those of all identities in a plan.
func (p *Plan) identityAddresses(changes []any) (all []string) {
	for _, v := range changes {
		change, _ := v.(*template.Object)
		switch change.Text("type") {
		case "azurerm_user_assigned_identity", "azuread_application", "azuread_application_registration":
			if change.Text("mode") == "managed" {
				all = append(all, change.Text("address"))
			}
		}
	}
	return all
}
