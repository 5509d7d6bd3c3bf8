package keyvault_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
	"github.com/wiemu/wiemu/internal/roles"
)

// with makes the vault of the lab one with the given access.
func (l *lab) with(t *testing.T, access ...keyvault.Access) {
	t.Helper()
	for i := range access {
		if access[i].ClientID == "" && access[i].ObjectID == "" {
			access[i].ClientID = tokentest.ClientID
		}
	}
	err := l.service.Put(keyvault.Vault{Name: "mykeyvault", Tenant: tokentest.Tenant, Access: access, Secrets: map[string]string{"mysecret": "hello"}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRolesOpenAVault(t *testing.T) {
	const get, set, list, create, sign = "GET /secrets/mysecret", "PUT /secrets/mysecret", "GET /secrets", "POST /keys/k/create", "POST /keys/k/sign"
	for _, row := range []struct {
		role    string
		allowed []string
	}{
		{"Key Vault Secrets User", []string{get, list}},
		{"key vault secrets officer", []string{get, set, list}},
		{"4633458b-17de-408a-b874-0445c86b69e6", []string{get, list}},
		{"Key Vault Reader", []string{list}},
		{"Key Vault Crypto User", []string{sign}},
		{"Key Vault Crypto Officer", []string{create, sign}},
		{"Key Vault Administrator", []string{get, set, list, create, sign}},
		{"Contributor", nil},
		{"Owner", nil},
		{"Key Vault Contributor", nil},
	} {
		t.Run(row.role, func(t *testing.T) {
			l := newLab(t)
			l.with(t, keyvault.Access{Roles: []string{row.role}})
			for _, request := range []string{get, set, list, create, sign} {
				answer := l.ask(t, l.token(t), request+"?api-version=7.6", `{"value":"x","kty":"EC"}`)
				allowed := answer.StatusCode != 403
				if expected := strings.Contains(strings.Join(row.allowed, "|")+"|", request+"|"); allowed != expected {
					t.Errorf("%s: %s", request, text(t, answer))
				}
				if e := l.last(); !allowed && (e.Error != "ForbiddenByRbac" || e.Checks[len(e.Checks)-1].Name != "role") {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}

func TestARefusalNamesTheRoleAndTheLine(t *testing.T) {
	for _, row := range []struct {
		name, request   string
		access          []keyvault.Access
		message         string
		meaning, remedy string
	}{
		{
			"no role", "GET /secrets/mysecret", nil,
			"DecisionReason: 'DeniedWithNoValidRBAC'",
			"its identity has no role with the data action Microsoft.KeyVault/vaults/secrets/getSecret/action on Microsoft.KeyVault/vaults/mykeyvault/secrets/mysecret.",
			"Assign the role Key Vault Secrets User on vault mykeyvault (/subscriptions/",
		},
		{
			"the line", "GET /secrets/mysecret", nil,
			"Resource: '/subscriptions/",
			"no role",
			"In wiemu.yaml, add to access of vault mykeyvault: - {identity: " + tokentest.ClientID + ", roles: [Key Vault Secrets User]}",
		},
		{
			"the trap", "GET /secrets/mysecret", []keyvault.Access{{Roles: []string{"Contributor"}}},
			"resourcegroups/wiemu/providers/microsoft.keyvault/vaults/mykeyvault/secrets/mysecret'",
			"It has Contributor, which is for managing the resource: a role without data actions opens none of the data, not even Owner and Contributor.",
			"roles: [Key Vault Secrets User]",
		},
		{
			"by policy", "PUT /secrets/mysecret", []keyvault.Access{{Permissions: []string{"Get", "list"}}},
			"The user, group or application 'appid=" + tokentest.ClientID + ";oid=" + tokentest.ObjectID + ";iss=https://sts.windows.net/" + tokentest.Tenant + "/' does not have secrets set permission on key vault 'mykeyvault;location=northeurope'. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125287",
			"no access policy of vault mykeyvault gives its identity the permission set for secrets",
			"add to access of vault mykeyvault: - {identity: " + tokentest.ClientID + ", permissions: [set]}",
		},
		{
			"by policy, a key", "POST /keys/k/wrapkey", []keyvault.Access{{Keys: []string{"get", "unwrapKey"}}},
			"does not have keys wrapKey permission on key vault",
			"the permission wrapKey for keys",
			"add to accessPolicies of vault mykeyvault: - {identity: " + tokentest.ClientID + ", keys: [wrapKey]}",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLab(t)
			l.with(t, row.access...)
			answer := l.ask(t, l.token(t), row.request+"?api-version=7.6", `{"value":"x"}`)
			e := l.last()
			if answer.StatusCode != 403 || !strings.Contains(e.Message, row.message) || !strings.Contains(e.Meaning, row.meaning) || !strings.Contains(e.Remedy, row.remedy) {
				t.Errorf("%d\n%s\n%s\n%s", answer.StatusCode, e.Message, e.Meaning, e.Remedy)
			}
		})
	}
}

// A role on a vault with access policies lets nobody in; Azure does not look at it.
func TestRolesDoNotCountBesidePolicies(t *testing.T) {
	l := newLab(t, "list")
	set, id := l.roles, l.roles.ResourceID(tokentest.Tenant, "Microsoft.KeyVault/vaults", "mykeyvault")
	if _, err := set.Assign(roles.Assignment{Tenant: tokentest.Tenant, PrincipalID: tokentest.ObjectID, Role: "Key Vault Secrets User", Scope: id}); err != nil {
		t.Fatal(err)
	}
	answer := l.ask(t, l.token(t), "GET /secrets/mysecret?api-version=7.6", "")
	if e := l.last(); answer.StatusCode != 403 || !strings.Contains(e.Meaning, "It has the role Key Vault Secrets User on Microsoft.KeyVault/vaults/mykeyvault, but the vault is in the permission model of access policies") {
		t.Errorf("%d %s", answer.StatusCode, e.Meaning)
	}
}

func TestAVaultThatNothingRestrictsSaysSoOnce(t *testing.T) {
	l := newLab(t)
	l.with(t, keyvault.Access{ClientID: "*", Permissions: []string{"*"}})
	for n := range 3 {
		answer := l.ask(t, l.token(t), "GET /secrets/mysecret?api-version=7.6", "")
		note := l.last().Detail[journal.DetailNote]
		if told := strings.HasPrefix(note, "vault mykeyvault has no access: in wiemu.yaml"); answer.StatusCode != 200 || told != (n == 0) {
			t.Errorf("%d: %d %q", n, answer.StatusCode, note)
		}
	}
	// The first role that is assigned on it closes it to all others.
	id := l.roles.ResourceID(tokentest.Tenant, "Microsoft.KeyVault/vaults", "mykeyvault")
	if _, err := l.roles.Assign(roles.Assignment{Tenant: tokentest.Tenant, PrincipalID: "cccccccc-0000-4000-8000-000000000009", Role: "Key Vault Secrets User", Scope: id}); err != nil {
		t.Fatal(err)
	}
	if answer := l.ask(t, l.token(t), "GET /secrets/mysecret?api-version=7.6", ""); answer.StatusCode != 403 {
		t.Errorf("%d", answer.StatusCode)
	}
	// Another secret does not open it again.
	if err := l.service.Update("mykeyvault", func(v *keyvault.Vault) error { v.Secrets["other"] = "x"; return nil }); err != nil {
		t.Fatal(err)
	}
	if answer := l.ask(t, l.token(t), "GET /secrets/mysecret?api-version=7.6", ""); answer.StatusCode != 403 {
		t.Errorf("%d", answer.StatusCode)
	}
}

func TestAccessThatIsRefused(t *testing.T) {
	for expected, access := range map[string][]keyvault.Access{
		"a vault has one permission model":                       {{ClientID: "*", Permissions: []string{"get"}}, {ClientID: "*", Roles: []string{"Key Vault Reader"}}},
		"did you mean Key Vault Secrets User?":                   {{ClientID: "*", Roles: []string{"Key Vault Secret User"}}},
		`keys: expected *, get, list, update, create, import`:    {{ClientID: "*", Keys: []string{"set"}}},
		`certificates: expected *, get, list, update`:            {{ClientID: "*", Certificates: []string{"sign"}}},
		`permissions: expected *, get, list, set, delete, recov`: {{ClientID: "*", Permissions: []string{"sign"}}},
	} {
		l := newLab(t)
		err := l.service.Put(keyvault.Vault{Name: "other", Tenant: tokentest.Tenant, Access: access})
		if err == nil || !strings.Contains(err.Error(), expected) {
			t.Errorf("expected %q, found %v", expected, err)
		}
		if _, there := l.service.Vault("other"); there {
			t.Errorf("%v: it is there", errors.Unwrap(err))
		}
	}
}
