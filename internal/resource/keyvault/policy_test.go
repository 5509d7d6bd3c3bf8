package keyvault_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
)

func TestPutChangesWhatIsConfigured(t *testing.T) {
	l := newLab(t, everything())
	token := l.token(t)
	before := text(t, l.ask(t, token, "GET /secrets/mysecret?api-version=7.6", ""))
	access := []keyvault.Access{{ClientID: "*", Permissions: []string{"*"}}}
	if err := l.service.Put(keyvault.Vault{Name: "mykeyvault", Tenant: tokentest.Tenant, Access: access, Secrets: map[string]string{"mysecret": "hello"}}); err != nil {
		t.Fatal(err)
	}
	if after := text(t, l.ask(t, token, "GET /secrets/mysecret?api-version=7.6", "")); after != before {
		t.Errorf("the same value made a new version:\n%s\n%s", before, after)
	}
	if err := l.service.Put(keyvault.Vault{Name: "mykeyvault", Tenant: tokentest.Tenant, Access: access, Secrets: map[string]string{"mysecret": "bye"}}); err != nil {
		t.Fatal(err)
	}
	if after := text(t, l.ask(t, token, "GET /secrets/mysecret?api-version=7.6", "")); !strings.Contains(after, `"value":"bye"`) {
		t.Error(after)
	}
}

func TestUpdateChangesWhatThereIs(t *testing.T) {
	l := newLab(t, everything())
	token := l.token(t)
	for name, body := range map[string]string{"off": `{"value":"x","attributes":{"enabled":false}}`, "on": `{"value":"y"}`} {
		if answer := l.ask(t, token, "PUT /secrets/"+name+"?api-version=7.6", body); answer.StatusCode != 200 {
			t.Fatal(answer.Status)
		}
	}
	err := l.service.Update("MyKeyVault", func(v *keyvault.Vault) error {
		if _, shown := v.Secrets["off"]; shown || v.Secrets["on"] != "y" {
			t.Errorf("secrets %v: expected those that are enabled", v.Secrets)
		}
		delete(v.Secrets, "on")
		v.Secrets["mysecret"] = "changed"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		request string
		want    int
	}{
		{"GET /secrets/on", 404},
		{"GET /deletedsecrets/on", 200},
		{"GET /secrets/off", 403},
		{"GET /secrets/mysecret", 200},
		{"GET /secrets/mysecret/versions", 200},
		{"GET /deletedsecrets/mysecret", 404},
		{"POST /deletedsecrets/on/recover", 200},
		{"GET /secrets/on", 200},
	} {
		if answer := l.ask(t, token, c.request+"?api-version=7.6", ""); answer.StatusCode != c.want {
			t.Errorf("%s: %s, want %d", c.request, answer.Status, c.want)
		}
	}
	if v, ok := l.service.Vault("MYKEYVAULT"); !ok || v.Name != "mykeyvault" || v.Secrets["mysecret"] != "changed" {
		t.Errorf("%+v", v)
	}
	for want, change := range map[string]func(*keyvault.Vault) error{
		"no":             func(*keyvault.Vault) error { return errors.New("no") },
		"name: expected": func(v *keyvault.Vault) error { v.Name = "other"; return nil },
		"tenant":         func(v *keyvault.Vault) error { v.Tenant = "x"; v.Secrets["mysecret"] = "lost"; return nil },
	} {
		if err := l.service.Update("mykeyvault", change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := l.service.Update("nowhere", func(*keyvault.Vault) error { return nil }); err == nil || !strings.Contains(err.Error(), `"nowhere"`) {
		t.Error(err)
	}
	if v, _ := l.service.Vault("mykeyvault"); v.Secrets["mysecret"] != "changed" {
		t.Errorf("an update that failed changed %v", v.Secrets)
	}
	if _, ok := l.service.Vault("nowhere"); ok {
		t.Error("there is a vault nowhere")
	}
}

func TestVaultsThatAreRefused(t *testing.T) {
	good := keyvault.Vault{Name: "good", Tenant: tokentest.Tenant}
	for _, row := range []struct {
		name   string
		change func(*keyvault.Vault)
		text   string
	}{
		{"a name with a dot", func(v *keyvault.Vault) { v.Name = "a.b.c" }, "3 to 24 letters"},
		{"a name beginning with a digit", func(v *keyvault.Vault) { v.Name = "1abc" }, "letter"},
		{"a name of 25", func(v *keyvault.Vault) { v.Name = strings.Repeat("a", 25) }, "24"},
		{"no tenant", func(v *keyvault.Vault) { v.Tenant = "" }, "tenant"},
		{"a tenant's domain", func(v *keyvault.Vault) { v.Tenant = "contoso.example" }, "GUID"},
		{"access for nobody", func(v *keyvault.Vault) { v.Access = []keyvault.Access{{}} }, "access[0]"},
		{"an unknown permission", func(v *keyvault.Vault) {
			v.Access = []keyvault.Access{{ClientID: "*", Permissions: []string{"read"}}}
		}, `found "read"`},
		{"a bad secret name", func(v *keyvault.Vault) { v.Secrets = map[string]string{"a_b": "x"} }, "a_b"},
		{"a secret that is too long", func(v *keyvault.Vault) { v.Secrets = map[string]string{"a": strings.Repeat("x", 26<<10)} }, "25600"},
	} {
		l := newLab(t)
		v := good
		row.change(&v)
		if err := l.service.Put(v); err == nil || !strings.Contains(err.Error(), row.text) {
			t.Errorf("%s: expected %q, found %v", row.name, row.text, err)
		}
	}
	if _, err := keyvault.New(resource.Kit{Clock: clock.Stopped(tokentest.Start())}, []keyvault.Vault{good, {Name: "GOOD", Tenant: tokentest.Tenant}}); err == nil {
		t.Error("two vaults of one name are accepted")
	}
}
