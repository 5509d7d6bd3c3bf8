package arm_test

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/lab"
)

const (
	deployed   = group + "/providers/Microsoft.Resources/deployments/main"
	v2022dep   = "?api-version=2022-09-01"
	growing    = "ȺȺȺȺȺȺȺȺȺȺȺȺȺȺȺȺȺȺȺȺȺȺȺȺ" // each is longer in lower case
	identity22 = `{"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "web", "location": "westeurope"`
)

// deployment is the body of a request.
func deployment(mode, resources, outputs string) string {
	return `{"properties": {"mode": "` + mode + `", "template": {` + templateHead + `, "resources": ` + resources + `, "outputs": ` + outputs + `}}}`
}

// Some letters are longer in lower case. An id with them is taken apart where it is.
func TestIDsWithLettersThatGrow(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	w.do("PUT "+deployed+v2022dep, deployment("Incremental", `{"web": `+identity22+`, "tags": {"x": "[reference('/`+growing+`/providers/a/b', '2020-01-01').x]"}}}`, `{}`))
	if got := w.do("GET "+deployed+v2022dep, ""); got.member(t, "properties", "provisioningState") != "Failed" || !strings.Contains(got.body, "A reference to '/"+growing+"/providers/a/b' is not emulated") {
		t.Errorf("%d %s", got.status, got.body)
	}

	for n, name := range []string{growing, "İx"} {
		at := inTenant + "/resourceGroups/" + url.PathEscape(name)
		w.do("PUT "+at+groups2022, `{"location": "westeurope"}`)
		w.do("PUT "+at+"/providers/Microsoft.Resources/deployments/main"+v2022dep, deployment("Incremental", `{"web": `+identity22+`}}`, `{}`))
		if got := w.ask(w.terraform(), "GET "+at+"/"+identities+"/web"+v2024, ""); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if got := w.ask(w.terraform(), "GET "+at+"/providers/Microsoft.Authorization/roleAssignments"+v2022, ""); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		role := at + assignments + strings.Replace(nobody, "0003", "000"+strconv.Itoa(5+n), 1) + v2022
		w.do("PUT "+role, `{"properties": {"roleDefinitionId": "`+reader+`", "principalType": "ServicePrincipal", "principalId": "`+w.object(operator)+`"}}`)
		if got := w.do("GET "+role, ""); got.member(t, "properties", "scope") != inTenant+"/resourceGroups/"+name {
			t.Errorf("%s: %s", name, got.body)
		}
	}
}

// A deployment in the mode Complete empties a group of all that it can have. What-if says so before.
func TestCompleteWithEverything(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.furnish()
	before := w.do("GET "+group+"/resources"+groups2022, "")
	if !strings.Contains(before.body, "/servers/ledger/databases/master") {
		t.Fatalf("%s", before.body)
	}
	const empty = "{}"
	foretold := w.finished(w.do("POST "+deployed+"/whatIf"+v2022dep, deployment("Complete", empty, `{}`)))
	if strings.Contains(foretold.body, "databases/master") || strings.Count(foretold.body, `"changeType":"Delete"`) != strings.Count(before.body, `"id":`)-1 {
		t.Errorf("%s\nwhere there is %s", foretold.body, before.body)
	}
	w.do("PUT "+deployed+v2022dep, deployment("Complete", empty, `{}`))
	if got := w.do("GET "+deployed+v2022dep, ""); got.member(t, "properties", "provisioningState") != "Succeeded" {
		t.Errorf("%s", got.body)
	}
	if got := w.do("GET "+group+"/resources"+groups2022, ""); strings.Contains(got.body, `"id"`) {
		t.Errorf("there still is %s", got.body)
	}
}

// A resource is asked for once, however often an expression refers to it.
func TestReferencesAreAskedOnce(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.withIdentity()
	const outputs = `{"o": {"type": "array", "value": "[map(range(0, 50), lambda('x', reference(resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', 'WEB'), '2023-01-31').clientId))]"}, "p": {"type": "string", "value": "[reference(resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', 'web'), '2023-01-31', 'Full').location]"}}`
	w.do("PUT "+deployed+v2022dep, deployment("Incremental", `{}`, outputs))
	if got := w.do("GET "+deployed+v2022dep, ""); got.member(t, "properties", "outputs", "p", "value") != "westeurope" {
		t.Fatalf("%s", got.body)
	}
	asked := 0
	for _, e := range w.Journal().Events() {
		if e.Method == http.MethodGet && strings.HasSuffix(strings.ToLower(e.Path), "/userassignedidentities/web") {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// What does not exist is no refusal where what-if compares. A deployment that refers to it fails.
func TestReferencesToNothing(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	body := deployment("Incremental", `{"web": `+identity22+`, "tags": {"x": "[reference(resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', 'none'), '2023-01-31').clientId]"}}}`, `{}`)
	for _, row := range []struct {
		request string
		refused bool
	}{{"POST " + deployed + "/whatIf" + v2022dep, false}, {"PUT " + deployed + v2022dep, true}} {
		from := len(w.Journal().Events())
		w.do(row.request, body)
		var found []journal.Event
		for _, e := range w.Journal().Events()[from:] {
			if e.Method == http.MethodGet && strings.HasSuffix(e.Path, "/none") {
				found = append(found, e)
			}
		}
		if len(found) != 1 || found[0].Status != http.StatusNotFound || (found[0].Outcome == journal.Denied) != row.refused {
			t.Errorf("%s: %+v", row.request, found)
		}
	}
}

// A deployment to a subscription is in a region that there is, by either of its names.
func TestLocationsOfDeployments(t *testing.T) {
	w := newWorld(t, lab.Options{})
	const at = "PUT /subscriptions/" + subscription + "/providers/Microsoft.Resources/deployments/main" + v2022dep
	for _, row := range []struct {
		location, code string
	}{{"West Europe", ""}, {"westeurope", ""}, {"northeurope", "InvalidDeploymentLocation"}, {"Mars", "LocationNotAvailableForResourceType"}} {
		got := w.ask(w.terraform(), at, `{"location": "`+row.location+`", `+strings.TrimPrefix(deployment("Incremental", `{}`, `{}`), "{"))
		if got.Code != row.code || row.code == "" && got.member(t, "location") != "westeurope" {
			t.Errorf("%s: %d %s", row.location, got.status, got.body)
		}
	}
}

// A deployment in the template to another scope is refused by its place.
func TestDeploymentsToTheTenant(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	body := deployment("Incremental", `{"m": {"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "m", "scope": "/", "location": "westeurope", "properties": {"mode": "Incremental", "template": {`+templateHead+`, "resources": {}}}}}`, `{}`)
	for _, request := range []string{"PUT " + deployed, "POST " + deployed + "/validate", "POST " + deployed + "/whatIf"} {
		if got := w.ask(w.terraform(), request+v2022dep, body); got.status != http.StatusBadRequest || got.Code != "NotEmulated" || !strings.Contains(got.body, "resources.m.scope: ") {
			t.Errorf("%s: %d %s", request, got.status, got.body)
		}
	}
}

// A template and its parameters are 4 MB long at most.
func TestLongDeployments(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	body := deployment("Incremental", `{}`, `{}`)
	for _, row := range []struct {
		length int
		status int
		code   string
	}{{4 << 20, http.StatusOK, ""}, {4<<20 + 1, http.StatusRequestEntityTooLarge, "RequestContentTooLarge"}} {
		if got := w.ask(w.terraform(), "POST "+deployed+"/validate"+v2022dep, body+strings.Repeat(" ", row.length-len(body))); got.status != row.status || got.Code != row.code {
			t.Errorf("%d bytes: %d %s", row.length, got.status, got.body)
		}
	}
}

// A body that does not say its length may be shorter than others, and the journal says so.
func TestBodiesWithoutContentLength(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	token, err := w.terraform().GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://management.azure.com/.default"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		length, status int
		says           bool
	}{{1 << 10, http.StatusOK, false}, {2 << 20, http.StatusRequestEntityTooLarge, true}} {
		body := `{"location": "westeurope"}`
		body += strings.Repeat(" ", row.length-len(body))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://management.azure.com"+group+groups2022, io.MultiReader(strings.NewReader(body))) // whose length net/http does not know
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token.Token)
		r.Header.Set("Content-Type", "application/json")
		got, err := w.Transport().RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = got.Body.Close()
		all := w.Journal().Events()
		last := all[len(all)-1]
		if got.StatusCode != row.status || strings.Contains(last.Meaning, "1 MB of one without Content-Length") != row.says {
			t.Errorf("%d bytes: %s, and the journal says %q", row.length, got.Status, last.Meaning)
		}
	}
}
