package storage

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/roles"
)

// Settings are the section storageAccounts of wiemu.yaml.
type Settings []Account

// Account is a storage account of a tenant.
type Account struct {
	// Name is the first label of the account's hosts NAME.blob.core.windows.net, NAME.queue.core.windows.net and so on: 3 to 24 lower-case letters and digits.
	Name string `yaml:"name" json:"name"`
	// Tenant is the id or a domain of the tenant whose tokens open the account. Default: the first tenant.
	Tenant string `yaml:"tenant,omitempty" json:"tenant,omitempty"`
	// Containers are the containers that are there from the start, each with its blobs: names and texts.
	Containers map[string]map[string]string `yaml:"containers,omitempty" json:"containers,omitempty"`
	// Queues are the queues that are there from the start.
	Queues []string `yaml:"queues,omitempty" json:"queues,omitempty"`
	// Access says which roles identities have. Default: every identity of the tenant may use all blobs, queues and tables; an empty list lets nobody in.
	Access AccessList `yaml:"access,omitempty" json:"access,omitzero" yamlfile:"notnull"`
	// ResourceID is that of an account which was made at run time. If empty, it is in the resource group wiemu.
	ResourceID string `yaml:"-" json:"-"`
}

// AccessList is who has which roles for an account. An empty list is something else than
// none, also when it is written.
type AccessList []Access

// IsZero implements yaml.IsZeroer.
func (l AccessList) IsZero() bool { return l == nil }

// Access gives an identity roles for an account.
type Access struct {
	_ roles.NotEmulated

	// Identity is the name or client id of an application or managed identity, or the name of a workload of this file whose client id none of them has; a component of a radixconfig.yaml is named by its client id. "*" stands for every identity of the tenant.
	Identity string `yaml:"identity" json:"identity"`
	// Roles are Azure roles by name, such as Storage Blob Data Reader, or by id.
	Roles []string `yaml:"roles" json:"roles"`
	// Container is the container that the roles are for. Default: the account.
	Container string `yaml:"container,omitempty" json:"container,omitempty"`
	// Queue is the queue that the roles are for. Default: the account.
	Queue string `yaml:"queue,omitempty" json:"queue,omitempty"`
	// Table is the table that the roles are for. Default: the account.
	Table string `yaml:"table,omitempty" json:"table,omitempty"`
}

// Names are those of the accounts, sorted.
func (a *Settings) Names() []string {
	return resource.NamesOf(a, func(account Account) string { return account.Name })
}

// Unrestricted implements resource.Unrestricted.
func (a *Settings) Unrestricted() []string {
	return resource.OpenOf(*a, func(account Account) (string, bool) { return "storage account " + account.Name, account.Access == nil })
}

// nameRule is what names of accounts are made of.
const nameRule = "3 to 24 lower-case letters and digits"

// ValidAccount reports whether an account can have a name.
func ValidAccount(name string) bool {
	return len(name) >= 3 && len(name) <= 24 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// itemRule is what names of containers and queues are made of. Source: REST reference,
// "Naming and referencing containers, blobs, and metadata", "Naming queues and metadata".
const itemRule = "3 to 63 lower-case letters, digits and single hyphens, beginning and ending with a letter or digit"

// ValidQueue reports whether a queue can have a name.
func ValidQueue(name string) bool {
	return len(name) >= 3 && len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" &&
		!strings.Contains(name, "--") && name[0] != '-' && name[len(name)-1] != '-'
}

// ValidContainer reports whether a container can have a name.
func ValidContainer(name string) bool {
	return name == rootContainer || name == "$web" || ValidQueue(name)
}

// tableRule is what names of tables are made of. Source: REST reference, "Understanding the
// Table service data model".
const tableRule = "3 to 63 letters and digits, beginning with a letter"

var tableName = lazyregexp.New(`^[A-Za-z][A-Za-z0-9]{2,62}$`)

// Complete implements resource.Settings.
func (a *Settings) Complete(f resource.File) {
	seen := map[string]string{}
	for n := range *a {
		(*a)[n].complete(f, fmt.Sprintf("[%d]", n), seen)
	}
}

func (a *Account) complete(f resource.File, at string, seen map[string]string) {
	if !ValidAccount(a.Name) {
		f.Problem(at+".name", nameRule, a.Name, "it is the first label of NAME.blob.core.windows.net")
	} else if other, taken := seen[a.Name]; taken {
		f.Problem(at+".name", "a name of its own", a.Name+", which "+other+" has too", "")
	}
	seen[a.Name] = "storageAccounts" + at
	f.Tenant(at+".tenant", &a.Tenant)
	for _, name := range slices.Sorted(maps.Keys(a.Containers)) {
		if !ValidContainer(name) {
			f.Problem(at+".containers."+name, itemRule, name, "")
		}
		for blob := range a.Containers[name] {
			if blob == "" || len(blob) > maxBlobName {
				f.Problem(at+".containers."+name, fmt.Sprintf("names of blobs of 1 to %d bytes", maxBlobName), fmt.Sprintf("one of %d", len(blob)), "")
			}
		}
	}
	for i, name := range a.Queues {
		if !ValidQueue(name) {
			f.Problem(fmt.Sprintf("%s.queues[%d]", at, i), itemRule, name, "")
		}
		if slices.Contains(a.Queues[:i], name) {
			f.Problem(fmt.Sprintf("%s.queues[%d]", at, i), "a name of its own", name+" again", "remove one of the two")
		}
	}
	for i := range a.Access {
		a.Access[i].complete(f, fmt.Sprintf("%s.access[%d]", at, i), a.Tenant)
	}
}

const maxBlobName = 1024

func (a *Access) complete(f resource.File, at, tenant string) {
	f.Identity(at+".identity", tenant, &a.Identity)
	roles.Access{Identity: a.Identity, Roles: a.Roles}.Check(f.CustomRoles(), func(field, expected, found, fix string) { f.Problem(at+field, expected, found, fix) })
	for n, role := range a.Roles {
		if d, ok := roles.Named(role, f.CustomRoles()...); ok && !d.IsAbout("Microsoft.Storage") {
			f.Problem(fmt.Sprintf("%s.roles[%d]", at, n), "a role that permits something in a storage account, such as Storage Blob Data Reader", d.Name, "")
		}
	}
	for _, item := range []struct {
		kind, name, rule string
		valid            func(string) bool
	}{{"container", a.Container, itemRule, ValidContainer}, {"queue", a.Queue, itemRule, ValidQueue}, {"table", a.Table, tableRule, tableName().MatchString}} {
		if item.name != "" && !item.valid(item.name) {
			f.Problem(at+"."+item.kind, item.rule, item.name, "")
		}
	}
	if named := slices.DeleteFunc([]string{a.Container, a.Queue, a.Table}, func(name string) bool { return name == "" }); len(named) > 1 {
		f.Problem(at, "one of container, queue and table", strings.Join(named, " and "), "write an entry for each")
	}
}

// target is what the roles of an entry are for.
func (a Access) target(account string) Target {
	switch {
	case a.Container != "":
		return Target{Account: account, Service: Blob, Container: a.Container}
	case a.Queue != "":
		return Target{Account: account, Service: Queue, Container: a.Queue}
	case a.Table != "":
		return Target{Account: account, Service: Table, Container: a.Table}
	}
	return Target{Account: account}
}

// The backends.
const (
	Memory  = "memory"
	Azurite = "azurite"
)

// Options are the section storage of wiemu.yaml.
type Options struct {
	// Backend is what stores the content of the accounts: memory, which has blobs and queues and lives on the lab clock, or azurite, which is to be installed, has tables and page blobs besides and lives on the machine's clock. Default: memory.
	Backend string `yaml:"backend,omitempty" json:"backend,omitempty" jsonschema:"enum=memory,enum=azurite"`
	// Command is the program that is started as Azurite, with arguments, such as [node, azurite.js]. Default: [azurite].
	Command []string `yaml:"command,omitempty" json:"command,omitempty"`
}

// Engines implements resource.Engines.
func (o *Options) Engines() []resource.Engine {
	if o.Backend != Azurite {
		return nil
	}
	return []resource.Engine{{Field: ".backend", Program: "Azurite"}}
}

// Complete implements resource.Settings.
func (o *Options) Complete(f resource.File) {
	switch o.Backend {
	case "":
		o.Backend = Memory
	case Memory, Azurite:
	default:
		f.Problem(".backend", Memory+" or "+Azurite, o.Backend, "")
	}
	switch {
	case o.Backend == Azurite && len(o.Command) == 0:
		o.Command = []string{"azurite"}
	case o.Backend == Memory && len(o.Command) > 0:
		f.Problem(".command", "nothing, as the backend is memory", strings.Join(o.Command, " "), "write backend: azurite, or remove command")
	case len(o.Command) > 0 && o.Command[0] == "":
		f.Problem(".command[0]", "a program", "nothing", "")
	}
}
