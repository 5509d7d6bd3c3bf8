package arm_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/wiemu/wiemu/internal/keyring/keyringtest"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/roles"
)

const (
	definitions = "/providers/Microsoft.Authorization/roleDefinitions/"
	everyday    = "cccccccc-0000-4000-8000-000000000001" // a custom role
	inTenant    = "/subscriptions/" + subscription
)

func (w *world) assign(tenant, clientID, role, scope string) {
	w.t.Helper()
	if _, err := w.Roles().Assign(roles.Assignment{Tenant: tenant, ClientID: clientID, Role: role, Scope: scope}); err != nil {
		w.t.Fatal(err)
	}
}

// custom is the body of a role with an action that is assignable on scopes.
func custom(name, action string, scopes ...string) string {
	return fmt.Sprintf(`{"properties": {"roleName": %q, "permissions": [{"actions": [%q]}], "assignableScopes": ["%s"]}}`, name, action, strings.Join(scopes, `","`))
}

// Who has Owner on a group, or on everything of another tenant, gets no further than that.
func TestNobodyGetsFurther(t *testing.T) {
	w := newWorld(t, lab.Options{})
	_, principalID := w.withIdentity()
	w.do("PUT "+inTenant+"/resourceGroups/other"+groups2022, `{"location": "westeurope"}`)
	w.do("PUT "+inTenant+definitions+everyday+v2022, custom("everyday", "*/read", inTenant))
	w.assign(tenantID, nobody, "Owner", group)
	w.assign(tenantID, nobody, "everyday", inTenant)
	w.assign(otherTenant, stranger, "Owner", "/")
	const name = "44444444-4444-4444-8444-444444444444"
	other := inTenant + "/resourceGroups/other"
	owner := `{"properties": {"roleDefinitionId": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "principalId": "` + principalID + `"}}`
	for _, row := range []struct {
		who, request, body string
		status             int
	}{
		{"nobody", "PUT " + group + assignments + name + v2022, owner, 201}, // it is Owner there
		{"nobody", "PUT " + inTenant + assignments + nobody + v2022, owner, 403},
		{"nobody", "PUT " + assignments + nobody + v2022, owner, 403},
		{"nobody", "PUT " + other + assignments + nobody + v2022, owner, 403},
		{"nobody", "PUT " + group + "/.." + "/other" + assignments + nobody + v2022, owner, 403},
		{"nobody", "PUT " + group + "/%2e%2e/other" + assignments + nobody + v2022, owner, 403},
		{"nobody", "PUT " + group + "%2F..%2Fother" + assignments + nobody + v2022, owner, 403},
		{"nobody", "PUT " + strings.ReplaceAll(other, "/", "//") + assignments + nobody + v2022, owner, 403},
		{"nobody", "PUT " + strings.ToUpper(other) + assignments + nobody + v2022, owner, 403},
		{"nobody", "PUT " + group + "x" + assignments + nobody + v2022, owner, 403},
		{"nobody", "PUT " + group + assignments + name + other + assignments + nobody + v2022, owner, 201}, // below the group, and of no use
		{"nobody", "DELETE " + other + groups2022, "", 403},
		// A custom role is what it is on all its assignable scopes.
		{"nobody", "PUT " + group + definitions + everyday + v2022, custom("everyday", "*", group), 403},
		{"nobody", "PUT " + group + definitions + everyday + v2022, custom("everyday", "*", inTenant), 403},
		{"nobody", "DELETE " + group + definitions + everyday + v2022, "", 403},
		{"nobody", "PUT " + group + definitions + name + v2022, custom("mine", "*", group, inTenant), 403},
		{"nobody", "PUT " + group + definitions + name + v2022, custom("mine", "*", group), 201},
		{"nobody", "PUT " + group + definitions + "%7Bcccccccc-0000-4000-8000-000000000002%7D" + v2022, custom("braces", "*", group), 400},
		{"stranger", "PUT " + definitions + everyday + v2022, custom("everyday", "*", inTenant), 403},
		{"stranger", "PUT " + definitions + name + v2022, custom("theirs", "*", inTenant), 403},
		{"stranger", "GET " + definitions + everyday + v2022, "", 404},
		{"stranger", "DELETE " + definitions + everyday + v2022, "", 204},
		{"stranger", "PUT " + inTenant + assignments + nobody + v2022, owner, 401},
		{"stranger", "PUT //SUBSCRIPTIONS/" + subscription + assignments + nobody + v2022, owner, 401},
		{"stranger", "PUT " + assignments + nobody + v2022, `{"properties": {"roleDefinitionId": "` + everyday + `", "principalId": "` + nobody + `", "principalType": "ServicePrincipal"}}`, 400},
		{"stranger", "DELETE " + group + assignments + name + v2022, "", 401},
	} {
		ids := map[string][2]string{"nobody": {nobody, tenantID}, "stranger": {stranger, otherTenant}}
		if got := w.ask(w.as(row.who, ids[row.who][0], ids[row.who][1]), row.request, row.body); got.status != row.status {
			t.Errorf("%s: %s: %d %s, want %d", row.who, row.request, got.status, got.body, row.status)
		}
	}
	if d, ok := w.Roles().Definition(everyday); !ok || d.Permissions[0].Actions[0] != "*/read" {
		t.Errorf("the custom role is %+v now", d)
	}
	listed := w.ask(w.as("stranger", stranger, otherTenant), "GET "+strings.TrimSuffix(definitions, "/")+v2022+"&$filter=type%20eq%20'CustomRole'", "")
	if listed.body != `{"value":[]}` {
		t.Errorf("another tenant lists %s", listed.body)
	}
}

// Bodies that nobody meant are refused, and change nothing.
func TestBodies(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.withIdentity()
	deep := strings.Repeat(`{"properties":`, 20_000)
	for name, row := range map[string]struct {
		request, body string
		status        int
	}{
		"deep":                  {"PUT " + identities + "/new" + v2024, deep, 400},
		"huge":                  {"PUT " + identities + "/new" + v2024, `{"location":"` + strings.Repeat("x", 2<<20) + `"}`, 400},
		"too long":              {"PUT " + identities + "/new" + v2024, `{"location":"` + strings.Repeat("x", 4<<20) + `"}`, 413},
		"a list":                {"PUT " + identities + "/new" + v2024, `[]`, 400},
		"a number":              {"PUT " + identities + "/new" + v2024, `{"location": 1}`, 400},
		"two bodies":            {"PUT " + identities + "/new" + v2024, `{"location": "westeurope"}{}`, 400},
		"NUL in a name":         {"PUT " + identities + "/a%00b" + v2024, `{"location": "westeurope"}`, 400},
		"a slash in a name":     {"PUT " + identities + "/web%2Ffederated" + v2024, `{"location": "westeurope"}`, 400},
		"a slash in a group":    {"PUT " + inTenant + "/resourceGroups/a%2Fb" + groups2022, `{"location": "westeurope"}`, 400},
		"dots as a group":       {"PUT " + inTenant + "/resourceGroups/a." + groups2022, `{"location": "westeurope"}`, 400},
		"tags of numbers":       {"PUT " + identities + "/new" + v2024, `{"location": "westeurope", "tags": {"a": 1}}`, 400},
		"audiences as text":     {"PUT " + identities + "/web/federatedIdentityCredentials/one" + v2024, `{"properties": {"issuer": "https://a.example", "subject": "s", "audiences": "a"}}`, 400},
		"an empty audience":     {"PUT " + identities + "/web/federatedIdentityCredentials/one" + v2024, `{"properties": {"issuer": "https://a.example", "subject": "s", "audiences": [""]}}`, 400},
		"NUL in an issuer":      {"PUT " + identities + "/web/federatedIdentityCredentials/one" + v2024, `{"properties": {"issuer": "https://a.example/\u0000", "subject": "s", "audiences": ["a"]}}`, 400},
		"a made-up page":        {"GET " + identities + v2024 + "&$skiptoken=Z", "", 400},
		"a page before":         {"GET " + identities + v2024 + "&$skiptoken=LTE", "", 400},                        // -1
		"a page far behind":     {"GET " + identities + v2024 + "&$skiptoken=OTIyMzM3MjAzNjg1NDc3NTgwNw", "", 200}, // 1<<63 - 1
		"a page of nothing":     {"GET " + identities + v2024 + "&$top=0", "", 400},
		"a principal in braces": {"PUT " + group + assignments + nobody + v2022, `{"properties": {"roleDefinitionId": "` + reader + `", "principalType": "ServicePrincipal", "principalId": "{` + nobody + `}"}}`, 400},
	} {
		if got := w.ask(w.terraform(), row.request, row.body); got.status != row.status {
			t.Errorf("%s: %d %.300s, want %d", name, got.status, got.body, row.status)
		}
	}
	if got := w.do("GET "+identities+v2024, ""); strings.Count(got.body, `"clientId"`) != 1 {
		t.Errorf("there are other identities: %s", got.body)
	}
}

// What becomes of one identity at the same time ends as if it came one after the other.
func TestWritersAtOnce(t *testing.T) {
	w := newWorld(t, lab.Options{})
	who := w.terraform()
	w.withIdentity()
	at := inTenant + "/resourceGroups/fleeting"
	var all sync.WaitGroup
	try := func(allowed string, requests ...[2]string) {
		all.Go(func() {
			for n := range 30 * len(requests) {
				r := requests[n%len(requests)]
				if got := w.ask(who, r[0], r[1]); !strings.Contains(allowed, fmt.Sprint(got.status)) {
					t.Errorf("%s: %d %s", r[0], got.status, got.body)
				}
			}
		})
	}
	try("200 201 204", [2]string{"PUT " + identities + "/web" + v2024, `{"location": "westeurope"}`}, [2]string{"DELETE " + identities + "/web" + v2024, ""})
	try("200 404", [2]string{"PATCH " + identities + "/web" + v2024, `{"tags": {"a": "b"}}`})
	try("200 201 404 409", [2]string{"PUT " + identities + "/web/federatedIdentityCredentials/one" + v2024, trust("https://issuer.example/", "s")})
	try("200 204 404 409", [2]string{"DELETE " + identities + "/web/federatedIdentityCredentials/one" + v2024, ""})
	try("201 202", [2]string{"PUT " + at + groups2022, `{"location": "westeurope"}`}, [2]string{"DELETE " + at + groups2022, ""})
	try("200 201 404", [2]string{"PUT " + at + "/" + identities + "/lost" + v2024, `{"location": "westeurope"}`})
	try("200 404", [2]string{"GET " + at + "/" + identities + v2024, ""})
	all.Wait()
	if p, ok := w.Directory().ManagedIdentity(tenantID, at+"/"+identities+"/lost"); ok {
		t.Errorf("%s is there, its resource group is not", p.ResourceID)
	}
}

// A group that is being deleted takes with it what is made meanwhile.
func TestNothingOutlivesItsGroup(t *testing.T) {
	w := newWorld(t, lab.Options{StateDir: t.TempDir(), Keep: true}) // writing files takes a while
	who := w.terraform()
	for n := range 40 {
		at := fmt.Sprintf("%s/resourceGroups/group%d", inTenant, n)
		w.do("PUT "+at+groups2022, `{"location": "westeurope"}`)
		var both sync.WaitGroup
		both.Go(func() { w.ask(who, "PUT "+at+"/"+identities+"/lost"+v2024, `{"location": "westeurope"}`) })
		both.Go(func() { w.ask(who, "DELETE "+at+groups2022, "") })
		both.Wait()
		if _, ok := w.Directory().ManagedIdentity(tenantID, at+"/"+identities+"/lost"); ok {
			t.Fatalf("in round %d the identity outlived its group", n)
		}
	}
}

// A role whose assignable scopes have become narrower keeps its assignments, also over a restart.
func TestNarrowedRole(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, lab.Options{StateDir: dir, Keep: true})
	w.withIdentity()
	w.do("PUT "+inTenant+definitions+everyday+v2022, custom("everyday", "*/read", inTenant))
	w.assign(tenantID, nobody, "everyday", inTenant)
	w.do("PUT "+inTenant+definitions+everyday+v2022, custom("everyday", "*/read", group))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, lab.Options{StateDir: dir, Keep: true})
	if got := w.ask(w.as("nobody", nobody, tenantID), "GET "+identities+"/web"+v2024, ""); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// What cannot be kept is not made, and the answer says so.
func TestUnkept(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, lab.Options{StateDir: dir, Keep: true})
	_, principalID := w.withIdentity()
	for _, file := range []string{"arm.log", "directory.log", "roles.log", "arm.json", "directory.json", "roles.json"} {
		if err := os.RemoveAll(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, file, "in-the-way"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range [][2]string{
		{"PUT " + inTenant + "/resourceGroups/more" + groups2022, `{"location": "westeurope"}`},
		{"PUT " + identities + "/more" + v2024, `{"location": "westeurope"}`},
		{"PUT " + identities + "/web/federatedIdentityCredentials/one" + v2024, trust("https://issuer.example/", "s")},
		{"PUT " + group + assignments + nobody + v2022, `{"properties": {"roleDefinitionId": "` + reader + `", "principalId": "` + principalID + `"}}`},
		{"PUT " + inTenant + definitions + everyday + v2022, custom("everyday", "*/read", inTenant)},
		{"DELETE " + identities + "/web" + v2024, ""},
		{"DELETE " + groups2022, ""},
	} {
		if got := w.ask(w.terraform(), row[0], row[1]); got.status != http.StatusInternalServerError || got.Code != "InternalServerError" {
			t.Errorf("%s: %d %s", row[0], got.status, got.body)
		}
	}
	if got := w.do("GET "+identities+v2024, ""); strings.Count(got.body, `"clientId"`) != 1 {
		t.Errorf("%s", got.body)
	}
}

// A state file that is damaged is named, with the place, and stays as it is.
func TestDamagedState(t *testing.T) {
	for name, row := range map[string]struct{ file, from, to, want string }{
		"cut short":             {"arm.json", "}", "", "arm.json"},
		"a group of no name":    {"arm.json", "/resourceGroups/shop", "/resourceGroups", "groups[0].id"},
		"a group elsewhere":     {"arm.json", "/resourceGroups/shop", "/providers/shop", "groups[0].id"},
		"a group of two names":  {"arm.json", `"name": "shop"`, `"name": "office"`, "groups[0].name"},
		"an identity cut short": {"directory.json", "}", "", "directory.json"},
		"an id that is none":    {"directory.json", `"objectId": "`, `"objectId": "x`, "objectId"},
		"another client id":     {"directory.json", `"clientId": "`, `"clientId": "x`, "directory.json"},
		"a role cut short":      {"roles.json", "}", "", "roles.json"},
		"a role of no id":       {"roles.json", `"id": "` + everyday, `"id": "`, "definitions[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := newWorld(t, lab.Options{StateDir: dir, Keep: true})
			w.withIdentity()
			w.do("PUT "+inTenant+definitions+everyday+v2022, custom("everyday", "*/read", inTenant))
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, row.file)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text := string(data)
			if row.to == "" {
				text = text[:len(text)*2/3]
			} else if text = strings.Replace(text, row.from, row.to, 1); text == string(data) {
				t.Fatalf("%s has no %s:\n%s", row.file, row.from, data)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := lab.New(t.Context(), configuration(), lab.Options{Keys: keyringtest.Keys(t), StateDir: dir, Keep: true})
			if err == nil {
				_ = l.Close()
			}
			if err == nil || !strings.Contains(err.Error(), row.file) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want one that names %s and %s", err, row.file, row.want)
			}
			if left, err := os.ReadFile(path); err != nil || string(left) != text {
				t.Errorf("%s was changed: %v", row.file, err)
			}
		})
	}
}
