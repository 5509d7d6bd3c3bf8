package roles_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/tenants"
)

const (
	tenant       = "11111111-1111-4111-8111-111111111111"
	web          = "aaaaaaaa-0000-4000-8000-000000000001" // client id
	webObject    = "bbbbbbbb-0000-4000-8000-000000000001"
	other        = "aaaaaaaa-0000-4000-8000-000000000002"
	subscription = "22222222-2222-4222-8222-222222222222"

	blobs      = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/"
	containers = "Microsoft.Storage/storageAccounts/blobServices/containers/"
	account    = "/subscriptions/" + subscription + "/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/orders"
	inbox      = account + "/blobServices/default/containers/inbox"
	vault      = "/subscriptions/" + subscription + "/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/orders"
)

type lab struct {
	*roles.Set
	clock   *clock.Lab
	journal *journals.Journal
	faults  *faults.Set
}

func newLab(t testing.TB, delay time.Duration) lab {
	t.Helper()
	clk := clock.Stopped(time.Date(2031, 3, 4, 5, 6, 7, 0, time.UTC))
	j, err := journals.New(clk, journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	people, err := tenants.New(directory.Tenant{ID: tenant, Principals: []directory.Principal{{Kind: directory.ManagedIdentity, ClientID: web, ObjectID: webObject, DisplayName: "web"}}})
	if err != nil {
		t.Fatal(err)
	}
	injected := faults.New(clk, j, 1)
	return lab{roles.New(roles.Config{Clock: clk, Journal: j, Faults: injected, Directory: people, Delay: delay}), clk, j, injected}
}

func (l lab) start(t testing.TB) {
	t.Helper()
	if err := l.Start(nil, nil); err != nil {
		t.Fatal(err)
	}
}

func (l lab) assign(t testing.TB, role, scope string) roles.Assignment {
	t.Helper()
	a, err := l.Assign(roles.Assignment{Tenant: tenant, ClientID: web, Role: role, Scope: scope})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (l lab) ask(t testing.TB, scope string, needs ...[]roles.Action) roles.Decision {
	t.Helper()
	return l.Allowed(t.Context(), roles.Request{Tenant: tenant, ObjectID: webObject, ClientID: web, Scope: scope, Needs: needs, About: faults.Subject{Client: web}})
}

func (l lab) advance(t testing.TB, by time.Duration) {
	t.Helper()
	if err := l.clock.Advance(t.Context(), by); err != nil {
		t.Fatal(err)
	}
}

func all(actions ...roles.Action) []roles.Action { return actions }

func TestWhatRolesPermit(t *testing.T) {
	read, write, tag := roles.Data(blobs+"read"), roles.Data(blobs+"write"), roles.Data(blobs+"tags/write")
	for _, row := range []struct {
		name, role, on string
		scope          string
		needs          [][]roles.Action
		allowed        bool
		text           string // of the presented roles, or of why not
	}{
		{"a reader reads", "Storage Blob Data Reader", account, inbox, [][]roles.Action{{read}}, true, "Storage Blob Data Reader on Microsoft.Storage/storageAccounts/orders"},
		{"and writes nothing", "Storage Blob Data Reader", account, inbox, [][]roles.Action{{write}}, false, "the data action " + blobs + "write"},
		{"by the role's id, in capitals", "BA92F5B4-2D11-453D-A403-E96B0029C9FE", account, inbox, [][]roles.Action{{write}}, true, ""},
		{"a role of the subscription counts below it", "Storage Blob Data Reader", "/subscriptions/" + subscription, inbox, [][]roles.Action{{read}}, true, "on subscription " + subscription},
		{"as does one of the resource group, whatever its case", "Storage Blob Data Reader", "/subscriptions/" + strings.ToUpper(subscription) + "/resourcegroups/SHOP", inbox, [][]roles.Action{{read}}, true, "on resource group SHOP of " + strings.ToUpper(subscription)},
		{"and one of everything", "Storage Blob Data Reader", "/", inbox, [][]roles.Action{{read}}, true, ""},
		{"one of the container does not count for the account", "Storage Blob Data Reader", inbox, account, [][]roles.Action{{roles.Control(containers + "read")}}, false, "which is not above that"},
		{"nor for another container that begins alike", "Storage Blob Data Reader", inbox, inbox + "2", [][]roles.Action{{read}}, false, "It has Storage Blob Data Reader on Microsoft.Storage/storageAccounts/orders/blobServices/default/containers/inbox"},
		{"Contributor opens no data", "Contributor", account, inbox, [][]roles.Action{{read}}, false, "not even Owner and Contributor"},
		{"Owner opens no data", "Owner", "/subscriptions/" + subscription, inbox, [][]roles.Action{{read}}, false, "It has Owner, which is for managing the resource"},
		{"Owner of the vault, too", "Owner", vault, vault, [][]roles.Action{{roles.Data("Microsoft.KeyVault/vaults/secrets/getSecret/action")}}, false, "not even Owner"},
		{"but Reader lists containers", "Reader", account, account, [][]roles.Action{{roles.Control(containers + "read")}}, true, ""},
		{"an action is no data action", "Storage Blob Data Reader", account, inbox, [][]roles.Action{{roles.Control(blobs + "read")}}, false, ""},
		{"Contributor assigns no roles: notActions", "Contributor", account, account, [][]roles.Action{{roles.Control("Microsoft.Authorization/roleAssignments/write")}}, false, ""},
		{"Owner does", "Owner", account, account, [][]roles.Action{{roles.Control("microsoft.authorization/ROLEASSIGNMENTS/write")}}, true, ""},
		{"all of a list are needed", "Storage Blob Data Contributor", account, inbox, [][]roles.Action{{write, tag}}, false, "blobs/write and the data action " + blobs + "tags/write"},
		{"one list is enough", "Storage Blob Data Contributor", account, inbox, [][]roles.Action{{tag}, {write}}, true, ""},
		{"a wildcard covers what is below", "Storage Blob Data Owner", account, inbox, [][]roles.Action{{write, tag}}, true, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLab(t, 0)
			l.assign(t, row.role, row.on)
			l.start(t)
			d := l.ask(t, row.scope, row.needs...)
			text := d.Presented()
			if !d.Allowed {
				text = d.Meaning()
			}
			if d.Allowed != row.allowed || !strings.Contains(text, row.text) {
				t.Errorf("allowed: %v; %s", d.Allowed, text)
			}
		})
	}
}

func TestTheLeastRoleIsAdvised(t *testing.T) {
	l := newLab(t, 0)
	l.start(t)
	const secrets, keys, certificates = "Microsoft.KeyVault/vaults/secrets/", "Microsoft.KeyVault/vaults/keys/", "Microsoft.KeyVault/vaults/certificates/"
	const messages = "Microsoft.Storage/storageAccounts/queueServices/queues/messages/"
	for action, role := range map[roles.Action]string{
		roles.Data(blobs + "read"):                      "Storage Blob Data Reader",
		roles.Data(blobs + "write"):                     "Storage Blob Data Contributor",
		roles.Data(blobs + "tags/write"):                "Storage Blob Data Owner",
		roles.Data(messages + "read"):                   "Storage Queue Data Reader",
		roles.Data(messages + "add/action"):             "Storage Queue Data Message Sender",
		roles.Data(messages + "process/action"):         "Storage Queue Data Message Processor",
		roles.Data(secrets + "getSecret/action"):        "Key Vault Secrets User",
		roles.Data(secrets + "readMetadata/action"):     "Key Vault Reader",
		roles.Data(secrets + "setSecret/action"):        "Key Vault Secrets Officer",
		roles.Data(keys + "unwrap/action"):              "Key Vault Crypto Service Encryption User",
		roles.Data(keys + "sign/action"):                "Key Vault Crypto User",
		roles.Data(keys + "create/action"):              "Key Vault Crypto Officer",
		roles.Data(certificates + "read"):               "Key Vault Reader",
		roles.Data(certificates + "import/action"):      "Key Vault Certificates Officer",
		roles.Control(containers + "read"):              "Storage Blob Data Reader",
		roles.Data("Microsoft.Nothing/nowhere/action"):  "",
		roles.Control("Microsoft.KeyVault/vaults/read"): "Reader",
	} {
		d := l.ask(t, vault, all(action))
		if d.Allowed || d.Role() != role {
			t.Errorf("%s: expected %q, found %q", action.Name, role, d.Role())
		}
		remedy := d.Remedy("the vault", func(role string) string { return "LINE with " + role })
		if role != "" && !strings.Contains(remedy, "LINE with "+role) || role == "" && !strings.Contains(remedy, "No role known here") {
			t.Errorf("%s: %s", action.Name, remedy)
		}
	}
}

// Who assigns a role to a client id by the API gives it to nobody: Azure takes object ids.
func TestAClientIDIsNoPrincipalID(t *testing.T) {
	l := newLab(t, 0)
	l.start(t)
	read := all(roles.Data(blobs + "read"))
	if _, err := l.Assign(roles.Assignment{Tenant: tenant, PrincipalID: web, Role: "Storage Blob Data Reader", Scope: account}); err != nil {
		t.Fatal(err)
	}
	if d := l.ask(t, inbox, read); d.Allowed || !strings.Contains(d.Meaning(), "names the object id") {
		t.Errorf("%v: %s", d.Allowed, d.Meaning())
	}
	if _, err := l.Assign(roles.Assignment{Tenant: tenant, PrincipalID: webObject, Role: "Storage Blob Data Reader", Scope: account}); err != nil {
		t.Fatal(err)
	}
	if d := l.ask(t, inbox, read); !d.Allowed {
		t.Error(d.Meaning())
	}
	events := l.journal.Events()
	if e := events[len(events)-1]; e.Summary != "web has the role Storage Blob Data Reader on Microsoft.Storage/storageAccounts/orders" || e.ClientID != web {
		t.Errorf("%+v", e)
	}
}

func TestChangesAreSeenAfterTheDelay(t *testing.T) {
	l := newLab(t, 5*time.Minute)
	read := all(roles.Data(blobs + "read"))
	l.assign(t, "Storage Blob Data Reader", inbox)
	l.start(t)
	if d := l.ask(t, inbox, read); !d.Allowed {
		t.Errorf("what is configured is not there from the start: %s", d.Meaning())
	}
	a := l.assign(t, "Storage Blob Data Reader", account)
	outbox := account + "/blobServices/default/containers/outbox"
	step := func(by time.Duration, allowed bool, text string) {
		t.Helper()
		l.advance(t, by)
		if d := l.ask(t, outbox, read); d.Allowed != allowed || !allowed && !strings.Contains(d.Meaning(), text) {
			t.Errorf("%s: allowed %v: %s", l.clock.Now(), d.Allowed, d.Meaning())
		}
	}
	step(0, false, "is seen from 2031-03-04T05:11:07Z on")
	step(5*time.Minute-time.Second, false, "not seen yet")
	step(time.Second, true, "")
	if _, ok, err := l.Remove(a.ID); !ok || err != nil {
		t.Fatal(ok, err)
	}
	step(5*time.Minute-time.Second, true, "")
	step(time.Second, false, "It has Storage Blob Data Reader on Microsoft.Storage/storageAccounts/orders/blobServices/default/containers/inbox")
	if _, ok, err := l.Remove(a.ID); ok || err != nil {
		t.Errorf("removed twice: %v, %v", ok, err)
	}
}

func TestAssignmentDelayed(t *testing.T) {
	l := newLab(t, 0)
	read := all(roles.Data(blobs + "read"))
	l.assign(t, "Storage Blob Data Reader", account)
	l.start(t)
	f, err := fault.Parse("assignment-delayed,delay=10m,for.client=" + web)
	if err == nil {
		_, err = l.faults.Inject(f)
	}
	if err != nil {
		t.Fatal(err)
	}
	if d := l.ask(t, inbox, read); d.Allowed || !strings.Contains(d.Meaning(), "is seen from 2031-03-04T05:16:07Z on") {
		t.Errorf("%v: %s", d.Allowed, d.Meaning())
	}
	l.advance(t, 10*time.Minute)
	if d := l.ask(t, inbox, read); !d.Allowed {
		t.Error(d.Meaning())
	}
	if active := l.faults.Active(); active[0].Hits != 1 {
		t.Errorf("%+v", active)
	}
}

func TestWhatIsOpenSaysSoOnce(t *testing.T) {
	l := newLab(t, 0)
	read := all(roles.Data(blobs + "read"))
	l.Open(tenant, account, "account orders is open")
	l.start(t)
	for n, note := range []string{"account orders is open", ""} {
		if d := l.ask(t, inbox, read); !d.Allowed || d.Note != note || d.Presented() != "open to everybody" {
			t.Errorf("%d: %v %q %s", n, d.Allowed, d.Note, d.Presented())
		}
	}
	if d := l.Allowed(t.Context(), roles.Request{Tenant: other, ClientID: web, Scope: inbox, Needs: [][]roles.Action{read}}); d.Allowed {
		t.Error("it is open to another tenant")
	}
	// A role above does not restrict it: a bootstrap administrator would close everything.
	a := l.assign(t, "Owner", "/subscriptions/"+subscription)
	if d := l.ask(t, inbox, read); !d.Allowed {
		t.Error("a role of the subscription restricts the account")
	}
	a = l.assign(t, "Storage Blob Data Reader", inbox)
	if d := l.ask(t, inbox, all(roles.Data(blobs+"write"))); d.Allowed {
		t.Error("a role on a container does not restrict the account")
	}
	if _, _, err := l.Remove(a.ID); err != nil {
		t.Fatal(err)
	}
	if d := l.ask(t, inbox, read); d.Allowed {
		t.Error("who takes the last role away opens the account")
	}
	if l.Open(tenant, strings.ToUpper(account), "account orders is open"); l.ask(t, inbox, read).Allowed {
		t.Error("whoever changes the account opens it again")
	}
}

func TestWhatWasClosedStaysClosedAfterARestart(t *testing.T) {
	read := all(roles.Data(blobs + "read"))
	var kept roles.State
	run := func(state *roles.State) lab {
		l := newLab(t, 0)
		l.Open(tenant, account, "account orders is open")
		if err := l.Start(state, func(c roles.Change) error { kept.Apply(c); return nil }); err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := run(nil)
	if !first.ask(t, inbox, read).Allowed {
		t.Fatal("the account is not open")
	}
	if _, _, err := first.Remove(first.assign(t, "Storage Blob Data Reader", inbox).ID); err != nil {
		t.Fatal(err)
	}
	if first.ask(t, inbox, read).Allowed || run(&kept).ask(t, inbox, read).Allowed {
		t.Error("the account is open again")
	}
}

func TestCustomRoles(t *testing.T) {
	l := newLab(t, 0)
	l.start(t)
	custom := roles.Definition{ID: "33333333-3333-4333-8333-333333333333", Name: "Blob Lister", Permissions: []roles.Permission{{
		Actions: []string{containers + "*"}, NotActions: []string{containers + "delete"},
		DataActions: []string{"microsoft.storage/*/READ"}, NotDataActions: []string{blobs + "tags/*"},
	}}}
	if err := l.Define(custom); err != nil {
		t.Fatal(err)
	}
	a := l.assign(t, "blob lister", account)
	for action, allowed := range map[roles.Action]bool{
		roles.Data(blobs + "read"):           true,
		roles.Data(blobs + "tags/read"):      false,
		roles.Control(containers + "write"):  true,
		roles.Control(containers + "delete"): false,
	} {
		if d := l.ask(t, inbox, all(action)); d.Allowed != allowed {
			t.Errorf("%s: %v", action.Name, d.Allowed)
		}
	}
	// What one role excludes another may permit.
	l.assign(t, "Storage Blob Data Owner", inbox)
	if d := l.ask(t, inbox, all(roles.Data(blobs+"tags/read"))); !d.Allowed {
		t.Error(d.Meaning())
	}
	if err := l.Undefine(custom.ID); err == nil || !strings.Contains(err.Error(), "assigned on "+account) {
		t.Error(err)
	}
	if _, _, err := l.Remove(a.ID); err != nil {
		t.Fatal(err)
	}
	if err := l.Undefine(custom.ID); err != nil {
		t.Error(err)
	}
	if _, known := l.Definition("Blob Lister"); known {
		t.Error("it is still there")
	}
}

func TestRunTimeChangesSurvive(t *testing.T) {
	read := all(roles.Data(blobs + "read"))
	var kept roles.State
	keep := func(c roles.Change) error { kept.Apply(c); return nil }
	configure := func() lab {
		l := newLab(t, 0)
		if err := l.Configure(account, []roles.Assignment{{Tenant: tenant, ClientID: web, Role: "Storage Blob Data Reader", Scope: account, Source: "storageAccounts[0].access[0]"}}); err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := configure()
	if err := first.Start(nil, keep); err != nil {
		t.Fatal(err)
	}
	if d := first.ask(t, inbox, read); !strings.HasSuffix(d.Presented(), "storageAccounts[0].access[0] of wiemu.yaml") {
		t.Error(d.Presented())
	}
	if _, _, err := first.Remove(first.Assignments(nil)[0].ID); err != nil {
		t.Fatal(err)
	}
	first.assign(t, "Storage Blob Data Contributor", inbox)

	second := configure()
	if err := second.Start(&kept, keep); err != nil {
		t.Fatal(err)
	}
	if found := second.Assignments(nil); len(found) != 1 || found[0].Scope != inbox {
		t.Errorf("%+v", found)
	}
	if d := second.ask(t, account+"/blobServices/default/containers/outbox", read); d.Allowed {
		t.Error("an assignment that was taken away is back")
	}
	if d := second.ask(t, inbox, read); !d.Allowed {
		t.Error(d.Meaning())
	}
	failing := errors.New("the disk is full")
	third := configure()
	if err := third.Start(&kept, func(roles.Change) error { return failing }); err != nil {
		t.Fatal(err)
	}
	if _, err := third.Assign(roles.Assignment{Tenant: tenant, ClientID: web, Role: "Owner", Scope: "/"}); !errors.Is(err, failing) {
		t.Error(err)
	}
	if found := third.Assignments(nil); len(found) != 1 {
		t.Errorf("what could not be kept is there: %+v", found)
	}
}

// What wiemu.yaml assigns stays removed after a restart, also if it was assigned and removed again
// at run time.
func TestWhatIsRemovedTwiceStaysRemoved(t *testing.T) {
	var kept *roles.State
	started := func() lab {
		l := newLab(t, 0)
		if err := l.Configure(account, []roles.Assignment{{Tenant: tenant, ClientID: web, Role: "Reader", Scope: account, Source: "storageAccounts[0].access[0]"}}); err != nil {
			t.Fatal(err)
		}
		if err := l.Start(kept, func(c roles.Change) error { kept.Apply(c); return nil }); err != nil {
			t.Fatal(err)
		}
		return l
	}
	remove := func(l lab) {
		if _, ok, err := l.Remove(l.Assignments(nil)[0].ID); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	for _, restart := range []bool{false, true} {
		kept = &roles.State{}
		l := started()
		remove(l)
		l.assign(t, "Reader", account)
		if restart {
			l = started()
		}
		remove(l)
		if found := started().Assignments(nil); len(found) != 0 {
			t.Errorf("with a restart between (%t): %+v", restart, found)
		}
	}
}

func TestAResourceReplacesItsOwnAssignments(t *testing.T) {
	l := newLab(t, 0)
	a := func(client string, source string) roles.Assignment {
		return roles.Assignment{Tenant: tenant, ClientID: client, Role: "Storage Blob Data Reader", Scope: account, Source: source}
	}
	if _, err := l.Assign(roles.Assignment{Tenant: tenant, ClientID: other, Role: "Reader", Scope: account, Source: "roles.assignments[0]"}); err != nil {
		t.Fatal(err)
	}
	for _, step := range [][]roles.Assignment{{a(web, "access[0]"), a(other, "access[1]")}, {a(other, "access[0]")}, nil} {
		if err := l.Configure(account, step); err != nil {
			t.Fatal(err)
		}
		l.start(t)
		var found []string
		for _, one := range l.Assignments(func(a roles.Assignment) bool { return !strings.HasPrefix(a.Source, "roles") }) {
			found = append(found, one.ClientID)
		}
		if len(found) != len(step) || len(found) > 0 && !slices.Contains(found, other) {
			t.Errorf("%v: %v", step, found)
		}
	}
	if found := l.Assignments(nil); len(found) != 1 {
		t.Errorf("the assignment of another section is gone: %+v", found)
	}
}

func TestAssignmentsThatAreRefused(t *testing.T) {
	l := newLab(t, 0)
	l.start(t)
	for text, a := range map[string]roles.Assignment{
		`did you mean Storage Blob Data Reader?`:      {Tenant: tenant, ClientID: web, Role: "Storage Blob Data Raeder", Scope: account},
		"expected an object id or a client id":        {Tenant: tenant, Role: "Reader", Scope: account},
		`scope: expected a resource id such as`:       {Tenant: tenant, ClientID: web, Role: "Reader", Scope: "orders"},
		`found "` + webObject + `" and "` + web + `"`: {Tenant: tenant, ClientID: web, PrincipalID: webObject, Role: "Reader", Scope: account},
	} {
		if _, err := l.Assign(a); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("expected %q, found %v", text, err)
		}
	}
	first := l.assign(t, "Reader", account)
	if again, err := l.Assign(roles.Assignment{Tenant: tenant, ClientID: web, Role: "Reader", Scope: account + "/"}); !errors.Is(err, roles.ErrExists) || again.ID != first.ID {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestBuiltinRoles(t *testing.T) {
	ids, names := map[string]bool{}, map[string]bool{}
	for _, d := range roles.Builtin() {
		if uuid.Validate(d.ID) != nil || d.ID != strings.ToLower(d.ID) || ids[d.ID] || names[d.Name] || d.Description == "" || len(d.Permissions) != 1 {
			t.Errorf("%+v", d)
		}
		ids[d.ID], names[d.Name] = true, true
	}
}

func TestThePageListsTheBuiltinRoles(t *testing.T) {
	page, err := os.ReadFile("../../docs/resources/roles.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range roles.Builtin() {
		if row := "| " + d.Name + " | `" + d.ID + "` | "; !strings.Contains(string(page), row) {
			t.Errorf("docs/resources/roles.md does not have %s", row)
		}
	}
}

func TestAMisspeltRole(t *testing.T) {
	for name, fix := range map[string]string{
		"Storage Blob Data Raeder": "did you mean Storage Blob Data Reader?",
		"key vault secret user":    "did you mean Key Vault Secrets User?",
		"Blob Reader":              "Storage Blob Data Reader",
		"root":                     "Owner",
	} {
		expected, got := roles.CheckName(name)
		if expected == "" || !strings.Contains(got, fix) {
			t.Errorf("%s: %q, %q", name, expected, got)
		}
	}
	for _, name := range []string{"storage blob data reader", "4633458B-17DE-408A-B874-0445C86B69E6"} {
		if expected, fix := roles.CheckName(name); expected != "" || fix != "" {
			t.Errorf("%s: %q, %q", name, expected, fix)
		}
	}
	var found []string
	roles.Access{Identity: "web", Roles: []string{"Reader", "Writer"}}.Check(nil, func(field, _, found1, _ string) { found = append(found, field+" "+found1) })
	roles.Access{Identity: "web"}.Check(nil, func(field, _, found1, _ string) { found = append(found, field+" "+found1) })
	if !slices.Equal(found, []string{".roles[1] Writer", ".roles none"}) {
		t.Error(found)
	}
}

func TestRolesChangeWhileTheyAreAsked(t *testing.T) {
	l := newLab(t, time.Minute)
	l.Open(tenant, vault, "open")
	l.start(t)
	var wait sync.WaitGroup
	for n := range 4 {
		scope := fmt.Sprintf("%s/blobServices/default/containers/c%d", account, n)
		wait.Go(func() {
			for range 50 {
				a, err := l.Assign(roles.Assignment{Tenant: tenant, ClientID: web, Role: "Storage Blob Data Reader", Scope: scope})
				if err != nil {
					t.Error(err)
				}
				if _, ok, err := l.Remove(a.ID); !ok || err != nil {
					t.Error(ok, err)
				}
			}
		})
		wait.Go(func() {
			for range 200 {
				l.ask(t, scope, all(roles.Data(blobs+"read")))
				l.Assignments(nil)
			}
		})
	}
	wait.Wait()
	l.advance(t, time.Minute)
	if left := l.Assignments(nil); len(left) > 0 {
		t.Errorf("%+v", left)
	}
	if d := l.ask(t, account+"/blobServices/default/containers/c0", all(roles.Data(blobs+"read"))); d.Allowed {
		t.Error("a role that was taken away is seen")
	}
}

func BenchmarkAllowed(b *testing.B) {
	l := newLab(b, 0)
	for n := range 1000 {
		if _, err := l.Assign(roles.Assignment{Tenant: tenant, ClientID: fmt.Sprintf("%s%04d", web[:32], n), Role: "Storage Blob Data Contributor", Scope: account}); err != nil {
			b.Fatal(err)
		}
	}
	l.start(b)
	write := all(roles.Data(blobs + "write"))
	for b.Loop() {
		if !l.ask(b, inbox, write).Allowed {
			b.Fatal("refused")
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("microsoft.storage/*/READ", "Microsoft.Storage/storageAccounts/read")
	f.Add("*", "")
	f.Add("a*b*c", "aXbXbc")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		d := roles.Definition{Permissions: []roles.Permission{{Actions: []string{pattern}}}}
		got := d.Permits(roles.Control(name))
		if expected := like(ascii(pattern), ascii(name)); got != expected {
			t.Errorf("%q, %q: %v", pattern, name, got)
		}
	})
}

func ascii(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// like is the plain way to say it.
func like(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	rest, ok := strings.CutPrefix(name, parts[0])
	for _, part := range parts[1 : len(parts)-1] {
		var found bool
		_, rest, found = strings.Cut(rest, part)
		ok = ok && found
	}
	return ok && strings.HasSuffix(rest, parts[len(parts)-1])
}
