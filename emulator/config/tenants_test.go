package config_test

import (
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
)

// A multi-tenant application has a service principal in each of its tenants, and
// the same credentials.
func TestOtherTenants(t *testing.T) {
	c, err := config.Parse("wiemu.yaml", []byte(`
tenants: [{id: 11111111-1111-4111-8111-111111111111}, {id: 22222222-1111-4111-8111-111111111111, domains: [fabrikam.example]}]
applications:
  - name: app
    clientId: 33333333-1111-4111-8111-111111111111
    otherTenants: [fabrikam.example]
    federatedCredentials: [{name: web, subject: "system:serviceaccount:ns:web-sa"}]
`))
	if err != nil {
		t.Fatal(err)
	}
	if c, err = c.Complete("wiemu.yaml"); err != nil {
		t.Fatal(err)
	}
	d, err := directoryOf(c)
	if err != nil {
		t.Fatal(err)
	}
	own, _ := d.Principal("11111111-1111-4111-8111-111111111111", "33333333-1111-4111-8111-111111111111")
	other, ok := d.Principal("22222222-1111-4111-8111-111111111111", "33333333-1111-4111-8111-111111111111")
	if !ok || other.ObjectID == own.ObjectID || len(other.FederatedCredentials) != 1 {
		t.Errorf("%+v", other)
	}
	_, err = config.Config{
		Tenants:      []config.Tenant{{ID: "11111111-1111-4111-8111-111111111111"}},
		Applications: []config.Application{{Principal: config.Principal{Name: "app", ClientID: "33333333-1111-4111-8111-111111111111"}, OtherTenants: []string{"11111111-1111-4111-8111-111111111111"}}},
		Limits:       config.Limits{Requests: -1},
	}.Complete("wiemu.yaml")
	for _, want := range []string{"applications[0].otherTenants[0]", "limits.requests"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected %s, found %v", want, err)
		}
	}
}
