package lab

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/postgres"
	"github.com/wiemu/wiemu/internal/resource/sql"
	"github.com/wiemu/wiemu/internal/resource/table"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/tenants"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Scope returns where roles are assigned: on a resource by its name, such as orders, or its
// host, on a part of it such as orders/containers/inbox, or on what has a resource id. An id
// of a subscription or a resource that the lab does not have is refused, because nothing is
// asked for there.
func (l *Lab) Scope(text string) (resource.Scope, error) {
	if strings.HasPrefix(text, "/") {
		return l.scopeByID("/" + strings.Trim(text, "/")) // as package roles has it
	}
	name, part, _ := strings.Cut(text, "/")
	var hosts, known []string
	var found resource.ScopedService
	of := ""
	for d, made := range l.scoped {
		known = append(known, made.Names()...)
		for _, suffix := range d.Hosts(l.cloud) {
			first, isHost := strings.CutSuffix(strings.ToLower(name), suffix)
			if i := slices.IndexFunc(made.Names(), func(n string) bool { return strings.EqualFold(n, cmp.Or(first, name)) }); i >= 0 && (isHost || !strings.Contains(name, ".")) {
				if found != made {
					hosts = append(hosts, made.Names()[i]+suffix)
				}
				found, of = made, made.Names()[i]
			}
		}
	}
	switch len(hosts) {
	case 1:
		return found.Scope(of, part)
	case 0:
		if instead := l.statements(name); instead != "" {
			return resource.Scope{}, fmt.Errorf("scope %q: %s", text, instead)
		}
		known = append(known, l.Redis().Names()...) // which have policies in place of roles
		slices.Sort(known)
		known = slices.Compact(known)
		return resource.Scope{}, fmt.Errorf("scope %q: expected the name of a resource (%s), NAME/KIND/PART such as NAME/containers/inbox, or a resource id%s", text, cmp.Or(strings.Join(known, ", "), "there is none"), yamlfile.DidYouMeanAside(name, known))
	}
	return resource.Scope{}, fmt.Errorf("scope %q: expected the name of one resource, found that of several; write which: %s", text, strings.Join(hosts, " or "))
}

// statements says how identities are let into a database server, by its name or host, on which there
// are no Azure roles for what is in it; "" if there is none.
func (l *Lab) statements(name string) string {
	for _, of := range []struct{ resource, instead string }{
		{sql.Name, "Azure roles open nothing in the databases of a SQL server. Its Entra administrator makes a user there: CREATE USER [NAME] FROM EXTERNAL PROVIDER; ALTER ROLE db_datareader ADD MEMBER [NAME]. " +
			"In wiemu.yaml: users: [{identity: NAME, roles: [db_datareader]}] of a database of sqlServers"},
		{postgres.Name, "Azure roles open nothing in a PostgreSQL server. Its Entra administrator makes a role in the database postgres: SELECT * FROM pgaadauth_create_principal('NAME', false, false), and GRANTs to it. " +
			"In wiemu.yaml: access: [{identity: NAME}] of the server in postgresServers"},
	} {
		d, made := l.description(of.resource), l.resources[of.resource].(resource.Instances)
		for _, suffix := range d.Hosts(l.cloud) {
			if slices.Contains(made.Names(), strings.TrimSuffix(strings.ToLower(name), suffix)) {
				return of.instead
			}
		}
	}
	return ""
}

func (l *Lab) description(name string) resource.Description {
	all := table.Resources()
	return all[slices.IndexFunc(all, func(d resource.Description) bool { return d.Name == name })]
}

// scoped yields the resources that roles are assigned on.
func (l *Lab) scoped(yield func(resource.Description, resource.ScopedService) bool) {
	for _, d := range table.Resources() {
		if made, ok := l.resources[d.Name].(resource.ScopedService); ok && !yield(d, made) {
			return
		}
	}
}

func (l *Lab) scopeByID(id string) (resource.Scope, error) {
	if !roles.ValidScope(id) {
		return resource.Scope{}, fmt.Errorf("scope %q: expected a resource id such as /subscriptions/ID/resourceGroups/NAME, or the name of a resource", id)
	}
	var known []string
	kind := false // whether it is the id of a kind of resource that the lab has
	for _, made := range l.scoped {
		for _, name := range made.Names() {
			at, err := made.Scope(name, "")
			if err == nil && roles.Within(id, at.ID) {
				at.ID += id[len(at.ID):]
				return at, nil
			}
			known = append(known, at.ID)
			kind = kind || strings.Contains(strings.ToLower(id), "/providers/"+strings.ToLower(path.Dir(roles.Short(at.ID)))+"/")
		}
	}
	if kind {
		return resource.Scope{}, fmt.Errorf("scope %q: expected the id of a resource that there is: %s", id, strings.Join(known, ", "))
	}
	all := l.subscriptions()
	subscription, _, _ := strings.Cut(strings.TrimPrefix(strings.ToLower(id), "/subscriptions/"), "/")
	if roles.Within(id, "/subscriptions") && subscription != "" && !slices.Contains(all, subscription) {
		return resource.Scope{}, fmt.Errorf("scope %q: expected the id of a subscription that there is (%s), found %s%s", id, strings.Join(all, ", "), subscription, yamlfile.DidYouMeanAside(subscription, all))
	}
	return resource.Scope{ID: id}, nil
}

// subscriptions are the ids of those that there are, by configuration or because something is in them.
func (l *Lab) subscriptions() (all []string) {
	for _, s := range l.config.Subscriptions {
		all = append(all, strings.ToLower(s.ID))
	}
	for _, t := range l.directory.Tenants() {
		all = append(all, tenants.SubscriptionID(t.ID))
		for _, p := range l.directory.Principals(t.ID) {
			if rest, ok := strings.CutPrefix(strings.ToLower(p.ResourceID), "/subscriptions/"); ok {
				id, _, _ := strings.Cut(rest, "/")
				all = append(all, id)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
