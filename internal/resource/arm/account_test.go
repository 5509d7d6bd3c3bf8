package arm_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/wiemu/wiemu/internal/lab"
)

const (
	accounts    = "providers/Microsoft.Storage/storageAccounts"
	v2023st     = "?api-version=2023-05-01"
	contributor = "ba92f5b4-2d11-453d-a403-e96b0029c9fe" // Storage Blob Data Contributor
	accountBody = `{"location": "westeurope", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}, "properties": {"minimumTlsVersion": "TLS1_2"}}`
)

// finished polls what an answer says until it is done, and returns the last answer.
func (w *world) finished(a answer) answer {
	w.t.Helper()
	at := a.header.Get("Azure-AsyncOperation")
	if at == "" {
		at = a.header.Get("Location")
	}
	if at == "" {
		w.t.Fatalf("it says nowhere how far it is: %d %v %s", a.status, a.header, a.body)
	}
	done := w.do("GET "+strings.TrimPrefix(at, "https://management.azure.com"), "")
	if a.header.Get("Azure-AsyncOperation") != "" && done.member(w.t, "status") != "Succeeded" {
		w.t.Fatalf("%d %s", done.status, done.body)
	}
	return done
}

// blob sends a request for a blob or a container, as somebody.
func (w *world) blob(who azcore.TokenCredential, method, path, body string) answer {
	w.t.Helper()
	return w.request(who, "https://storage.azure.com/.default", method, "https://"+path, body)
}

// An account is there at once, for who was given access, and gone with what it held.
func TestAnAccountFromTheFirstToTheLast(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.withIdentity()
	one := accounts + "/ledger"
	made := w.ask(w.terraform(), "PUT "+one+v2023st, accountBody)
	if made.status != 202 || made.body != "" || made.header.Get("Azure-AsyncOperation") != "" {
		t.Fatalf("%d %v %s", made.status, made.header, made.body)
	}
	done := w.finished(made)
	if done.member(t, "properties", "primaryEndpoints", "blob") != "https://ledger.blob.core.windows.net/" || done.member(t, "properties", "minimumTlsVersion") != "TLS1_2" || done.member(t, "id") != group+"/"+one || done.member(t, "sku", "tier") != "Standard" {
		t.Errorf("%s", done.body)
	}
	const inbox = "/blobServices/default/containers/inbox"
	if got := w.do("PUT "+one+inbox+v2023st, `{}`); got.status != 201 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.do("PUT "+one+inbox+v2023st, `{}`); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	w.do("PUT "+one+"/queueServices/default/queues/work"+v2023st, `{"properties": {}}`)
	const blob = "ledger.blob.core.windows.net/inbox/one"
	if got := w.blob(w.terraform(), "PUT", blob, "hello"); got.status != 403 {
		t.Errorf("who made it has its content without a role: %d %s", got.status, got.body)
	}
	grant := `{"properties": {"roleDefinitionId": "` + contributor + `", "principalType": "ServicePrincipal", "principalId": "` + w.object(terraform) + `"}}`
	w.do("PUT "+one+inbox+assignments+nobody+v2022, grant)
	if got := w.blob(w.terraform(), "PUT", blob, "hello"); got.status != 201 {
		t.Fatalf("with the role: %d %s", got.status, got.body)
	}
	if got := w.do("GET "+one+"/blobServices/default/containers"+v2023st, ""); strings.Count(got.body, `"name":"inbox"`) != 1 {
		t.Errorf("%s", got.body)
	}
	if got := w.do("GET "+one+"/queueServices/default/queues/work"+v2023st, ""); got.member(t, "name") != "work" {
		t.Errorf("%s", got.body)
	}
	if got := w.do("POST "+one+"/listKeys"+v2023st, ""); strings.Count(got.body, `"permissions":"FULL"`) != 2 {
		t.Errorf("%s", got.body)
	}
	if got := w.do("PATCH "+one+v2023st, `{"properties": {"allowBlobPublicAccess": true}, "tags": {"a": "b"}}`); got.status != 200 || got.member(t, "tags", "a") != "b" || got.member(t, "properties", "minimumTlsVersion") != "TLS1_2" || !strings.Contains(got.body, `"allowBlobPublicAccess":true`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.do("PUT "+one+v2023st, accountBody); got.status != 200 || !strings.Contains(got.body, `"allowBlobPublicAccess":true`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.do("DELETE "+one+"/queueServices/default/queues/work"+v2023st, ""); got.status != 204 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.ask(w.terraform(), "GET "+one+"/queueServices/default/queues/work"+v2023st, ""); got.status != 404 || got.Code != "QueueNotFound" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.do("DELETE "+one+v2023st, ""); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	gone := w.blob(w.terraform(), "GET", blob, "")
	if never := w.blob(w.terraform(), "GET", "never.blob.core.windows.net/inbox/one", ""); gone.status != never.status || gone.status == http.StatusOK {
		t.Errorf("deleted: %d, one that there never was: %d", gone.status, never.status)
	}
	w.finished(w.do("PUT "+one+v2023st, accountBody))
	if got := w.do("GET "+one+"/blobServices/default/containers"+v2023st, ""); got.body != `{"value":[]}` {
		t.Errorf("made again, it has what it held before: %s", got.body)
	}
}

// A container that the account refused to make, since it is still deleting one of this name, is not
// there after a restart either.
func TestARefusedContainerIsNotKept(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, lab.Options{StateDir: dir, Keep: true})
	w.withIdentity()
	one := accounts + "/ledger"
	w.do("PUT "+one+v2023st, accountBody)
	for _, name := range []string{"inbox", "kept"} {
		w.do("PUT "+one+"/blobServices/default/containers/"+name+v2023st, `{}`)
	}
	w.do("DELETE "+one+"/blobServices/default/containers/inbox"+v2023st, "")
	if got := w.ask(w.terraform(), "PUT "+one+"/blobServices/default/containers/inbox"+v2023st, `{}`); got.status != 409 || got.Code != "ContainerBeingDeleted" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, lab.Options{StateDir: dir, Keep: true})
	if got := w.do("GET "+one+"/blobServices/default/containers"+v2023st, ""); strings.Contains(got.body, `"name":"inbox"`) || !strings.Contains(got.body, `"name":"kept"`) {
		t.Errorf("%s", got.body)
	}
}

// What an account cannot be is refused in Azure's words.
func TestRefusedAccounts(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.withIdentity()
	w.do("PUT "+inTenant+"/resourceGroups/other"+groups2022, `{"location": "westeurope"}`)
	w.do("PUT "+accounts+"/ledger"+v2023st, accountBody)
	for _, row := range []struct {
		request, body string
		status        int
		code, says    string
	}{
		{"PUT " + accounts + "/Ledger1" + v2023st, accountBody, 400, "AccountNameInvalid", "Ledger1 is not a valid storage account name."},
		{"PUT " + accounts + "/a%2Fb" + v2023st, accountBody, 400, "AccountNameInvalid", ""},
		{"PUT " + inTenant + "/resourceGroups/other/" + accounts + "/ledger" + v2023st, accountBody, 409, "StorageAccountAlreadyTaken", "The storage account named ledger is already taken."},
		{"PUT " + accounts + "/other1" + v2023st, `{"location": "westeurope"}`, 400, "InvalidRequestPropertyValue", "sku.name"},
		{"PUT " + accounts + "/other1" + v2023st, strings.Replace(accountBody, "StorageV2", "Cloud", 1), 400, "InvalidRequestPropertyValue", "kind"},
		{"PUT " + accounts + "/other1" + v2023st, strings.Replace(accountBody, "westeurope", "", 1), 400, "LocationRequired", ""},
		{"PUT " + accounts + "/ledger" + v2023st, strings.Replace(accountBody, "westeurope", "westus", 1), 409, "InvalidResourceLocation", ""},
		{"PUT " + accounts + "/ledger/blobServices/default/containers/In" + v2023st, "{}", 400, "InvalidResourceName", ""},
		{"PUT " + accounts + "/ledger/blobServices/default/containers/a%2F..%2Fb" + v2023st, "{}", 400, "InvalidResourceName", ""},
		{"PUT " + accounts + "/none1/blobServices/default/containers/inbox" + v2023st, "{}", 404, "ResourceNotFound", ""},
		{"GET " + accounts + "/ledger/blobServices/default/containers/inbox" + v2023st, "", 404, "ContainerNotFound", "The specified container does not exist."},
		{"GET " + accounts + "/none1" + v2023st, "", 404, "ResourceNotFound", "'Microsoft.Storage/storageAccounts/none1' under resource group 'shop'"},
		{"GET " + inTenant + "/providers/Microsoft.Storage/locations/westeurope/asyncoperations/" + nobody + v2023st, "", 404, "OperationNotFound", ""},
	} {
		if got := w.ask(w.terraform(), row.request, row.body); got.status != row.status || got.Code != row.code || !strings.Contains(got.Message, row.says) {
			t.Errorf("%s %s: %d %s, want %d %s with %q", row.request, row.body, got.status, got.body, row.status, row.code, row.says)
		}
	}
	for name, want := range map[string]string{"ledger": `{"nameAvailable":false,"reason":"AlreadyExists","message":"The storage account named ledger is already taken."}`, "A": `"reason":"AccountNameInvalid"`, "free1": `{"nameAvailable":true}`} {
		if got := w.do("POST "+inTenant+"/providers/Microsoft.Storage/checkNameAvailability"+v2023st, `{"name": "`+name+`"}`); !strings.Contains(got.body, want) {
			t.Errorf("%s: %s", name, got.body)
		}
	}
}
