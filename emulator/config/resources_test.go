package config

import (
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// accounts is the section of a resource that only this test has.
type accounts []struct {
	Name   string `yaml:"name"`
	Tenant string `yaml:"tenant,omitempty"`
	Owner  string `yaml:"owner,omitempty"`
}

func (a *accounts) Complete(f resource.File) {
	for i := range *a {
		account := &(*a)[i]
		f.Tenant("[0].tenant", &account.Tenant)
		f.Identity("[0].owner", account.Tenant, &account.Owner)
		if account.Name == "" {
			f.Problem("[0].name", "a name", "nothing", "name it")
		}
	}
}

// A resource brings its section of wiemu.yaml with it.
func TestSectionOfAResource(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"accounts: [{name: orders, owner: web}]", ""},
		{"", ""},
		{"accounts: [{owner: web}]", "accounts[0].name: expected a name, found nothing; name it"},
		{"accounts: [{name: orders, owner: webb}]", "did you mean web?"},
		{"accounts: [{name: orders, tenant: nowhere, owner: web}]", "accounts[0].tenant: expected a tenant of this file"},
		{"accounts: [{name: orders, ownr: web}]", "f.yaml:1:27: accounts[0].ownr: expected one of name, owner, tenant, found an unknown field; did you mean owner?"},
		{"acounts: []", "acounts: expected no fields, found an unknown field"},
	} {
		c := Config{Identities: []Identity{{Principal: Principal{Name: "web", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49"}}}}
		var read struct {
			Resources testSections `yaml:",inline"`
		}
		err := yamlfile.Decode("f.yaml", []byte(row.text), &read)
		c.Tenants, c.Identities[0].Tenant = []Tenant{{ID: DefaultTenant}}, DefaultTenant
		if err == nil {
			c.Resources = resourceSections(read.Resources)
			p := problems{file: "f.yaml"}
			c.completeResources(&p, testTable())
			err = p.all.Err()
		}
		switch {
		case row.want == "" && err != nil, row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
			t.Errorf("%s: %v", row.text, err)
		case err == nil && row.text != "":
			if a := *c.Resources["accounts"].(*accounts); a[0].Owner != "b96d264b-7053-4465-a4a7-32be5b0fec49" || a[0].Tenant != DefaultTenant {
				t.Errorf("%s: %+v", row.text, a)
			}
			if a := *read.Resources["accounts"].(*accounts); a[0].Owner != "web" {
				t.Errorf("completing changes what was read: %+v", a)
			}
		}
	}
}

func testTable() []resource.Section {
	return []resource.Section{{Name: "accounts", New: func() resource.Settings { return &accounts{} }}}
}

// testSections reads the sections of the test's table.
type testSections resourceSections

func (k *testSections) YAMLFields() []string { return nil }

func (k *testSections) UnmarshalYAMLField(name string, v yamlfile.Value) bool {
	return (*resourceSections)(k).unmarshal(testTable(), name, v)
}
