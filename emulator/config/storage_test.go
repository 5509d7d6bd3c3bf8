package config_test

import (
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/resource/storage"
)

// Mistakes in the sections of storage accounts are told with their place.
func TestStorageSections(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"storageAccounts: [{name: orders, containers: {inbox: {a//B: text}}, queues: [jobs]}]", ""},
		{"storageAccounts: [{name: Orders}]", "storageAccounts[0].name: expected 3 to 24 lower-case letters and digits, found Orders"},
		{"storageAccounts: [{name: or}]", "storageAccounts[0].name: expected 3 to 24"},
		{"storageAccounts: [{name: orders-secondary}]", "storageAccounts[0].name: expected 3 to 24"},
		{"storageAccounts: [{name: orders}, {name: orders}]", "storageAccounts[1].name: expected a name of its own, found orders, which storageAccounts[0] has too"},
		{"storageAccounts: [{name: orders, tenant: nowhere}]", "storageAccounts[0].tenant: expected a tenant of this file"},
		{"storageAccounts: [{name: orders, containers: {In: {}}}]", "storageAccounts[0].containers.In: expected 3 to 63 lower-case letters, digits and single hyphens"},
		{"storageAccounts: [{name: orders, containers: {inbox: {'': x}}}]", "storageAccounts[0].containers.inbox: expected names of blobs of 1 to 1024 bytes"},
		{"storageAccounts: [{name: orders, queues: [a--b]}]", "storageAccounts[0].queues[0]: expected 3 to 63"},
		{"storageAccounts: [{name: orders, access: [{identity: '*', roles: [Storage Blob Data Raeder]}]}]", "storageAccounts[0].access[0].roles[0]: expected the name or id of a built-in role, found Storage Blob Data Raeder; did you mean Storage Blob Data Reader?"},
		{"storageAccounts: [{name: orders, access: [{identity: nobody, roles: [Reader]}]}]", "storageAccounts[0].access[0].identity: expected"},
		{"storageAccounts: [{name: orders, access: [{identity: '*', roles: []}]}]", "storageAccounts[0].access[0].roles: expected the names of Azure roles"},
		{"storageAccounts: [{name: orders, access: [{identity: '*', roles: [Reader], container: inbox, queue: jobs}]}]", "storageAccounts[0].access[0]: expected one of container, queue and table, found inbox and jobs"},
		{"storageAccounts: [{name: orders, keys: [x]}]", "storageAccounts[0].keys: expected one of access, containers, name, queues, tenant, found an unknown field"},
		{"storageAccounts: [{name: orders, access: }]", "storageAccounts[0].access: expected a list, found nothing; write [] for an empty one, or remove the field"},
		{"storageAccounts: [{name: orders, queues: [jobs, jobs]}]", "storageAccounts[0].queues[1]: expected a name of its own, found jobs again"},
		{"storageAccounts: [{name: orders, access: [{identity: '*', roles: [Reader, Key Vault Secrets User]}]}]", "storageAccounts[0].access[0].roles[1]: expected a role that permits something in a storage account, such as Storage Blob Data Reader, found Key Vault Secrets User"},
		{"storageAccounts: [{name: orders, access: [{identity: '*', roles: [Reader, Owner, Contributor, Storage Queue Data Reader]}]}]", ""},
		{"storageAccounts: [{name: orders, access: [{identity: '*', roles: [Reader], container: In Box}]}]", "storageAccounts[0].access[0].container: expected 3 to 63 lower-case letters"},
		{"storageAccounts: [{name: orders, access: [{identity: '*', roles: [Reader], container: $web}, {identity: '*', roles: [Reader], table: Orders9}]}]", ""},
		{"storageAccounts: [{name: orders, access: [{identity: '*', roles: [Reader], queue: J}]}]", "storageAccounts[0].access[0].queue: expected 3 to 63"},
		{"storageAccounts: [{name: orders, access: [{identity: '*', roles: [Reader], table: 9x-}]}]", "storageAccounts[0].access[0].table: expected 3 to 63 letters and digits, beginning with a letter, found 9x-"},
		{"storageAcounts: [{name: orders}]", "storageAcounts: expected one of allowHosts, apiVersion, "},
		{"storageAcounts: [{name: orders}]", ", postgresServers, redis, roles, sqlServers, storage, storageAccounts, subscriptions, tenants, vaults, webhook, workloads, found an unknown field; did you mean storageAccounts?"},
		{"storage: {backend: azurite}", ""},
		{"storage: {backend: disk}", "storage.backend: expected memory or azurite, found disk"},
		{"storage: {command: [azurite]}", "storage.command: expected nothing, as the backend is memory, found azurite; write backend: azurite, or remove command"},
	} {
		c, err := config.Parse("wiemu.yaml", []byte(row.text))
		if err == nil {
			_, err = c.Complete("wiemu.yaml")
		}
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: expected %s, found %v", row.text, row.want, err)
		}
	}
}

// An empty access lets nobody in; without one everybody is.
func TestAnEmptyAccessStaysEmpty(t *testing.T) {
	for text, none := range map[string]bool{
		"storageAccounts: [{name: orders}]":             true,
		"storageAccounts: [{name: orders, access: []}]": false,
	} {
		c, err := config.Parse("wiemu.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		completed, err := c.Complete("wiemu.yaml")
		if err != nil {
			t.Fatal(err)
		}
		accounts := *completed.Resources["storageAccounts"].(*storage.Settings)
		if (accounts[0].Access == nil) != none {
			t.Errorf("%s: found %#v", text, accounts[0].Access)
		}
	}
}
