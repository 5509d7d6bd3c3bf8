package graph_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
)

// A time that JSON cannot hold is refused: a directory that has it can be neither stored nor shown.
func TestTimesAfterTheYear9999(t *testing.T) {
	w := newWorld(t, lab.Options{Keep: true, StateDir: t.TempDir()})
	id, _, _ := w.application("web")
	at := "/v1.0/applications/" + id
	own, _ := newCertificate(t, "own")
	for _, row := range []struct{ name, request, body string }{
		{"two years after a start", "POST " + at + "/addPassword", `{"passwordCredential": {"startDateTime": "9999-06-01T00:00:00Z"}}`},
		{"an end in another zone", "POST " + at + "/addPassword", `{"passwordCredential": {"endDateTime": "9999-12-31T23:59:59-01:00"}}`},
		{"a start before the first year", "POST " + at + "/addPassword", `{"passwordCredential": {"startDateTime": "0000-06-01T00:00:00Z"}}`},
		{"the first password", "POST /v1.0/applications", `{"displayName": "x", "passwordCredentials": [{"startDateTime": "9998-01-01T00:00:00Z"}]}`},
		{"a key's start", "PATCH " + at, `{"keyCredentials": [{"type": "AsymmetricX509Cert", "usage": "Verify", "key": "` + encodeKey(own.Raw) + `", "startDateTime": "9999-12-31T23:59:59-01:00"}]}`},
	} {
		if got := w.ask(terraformID, row.request, row.body); got.status != 400 || got.value("error", "code") != "Request_BadRequest" {
			t.Errorf("%s: %d %s", row.name, got.status, got.text)
		}
	}
	last := w.do("POST "+at+"/addPassword", `{"passwordCredential": {"startDateTime": "9997-12-31T00:00:00Z"}}`)
	if last.value("endDateTime") != "9999-12-31T00:00:00Z" {
		t.Error(last.text)
	}
	w.do("PATCH "+at, `{"notes": "stored"}`)
	if _, err := json.Marshal(w.Directory().Snapshot()); err != nil {
		t.Error(err)
	}
}

// Microsoft Graph's own service principal is in every tenant, however many others there are.
func TestGraphIsInEveryTenant(t *testing.T) {
	const graphID = "00000003-0000-0000-c000-000000000000"
	in := tenant()
	for n := range 3 {
		l := newLab(t, directory.Tenant{ID: in.ID, Domains: in.Domains, Principals: in.Principals[:n%len(in.Principals)+n/2]})
		token := l.administrator(t)
		own := l.ask(token, "GET", "/v1.0/servicePrincipals(appId='"+graphID+"')?$select=id").Body.String()
		_, id, _ := strings.Cut(own, `"id":"`)
		id, _, _ = strings.Cut(id, `"`)
		for _, filter := range []string{"", "$filter=displayName eq 'Microsoft Graph'&", "$filter=appId eq '" + graphID + "'&", "$filter=id eq '" + strings.ToUpper(id) + "'&"} {
			got := l.ask(token, "GET", "/v1.0/servicePrincipals?"+filter+"$select=appId").Body.String()
			if strings.Count(got, graphID) != 1 {
				t.Errorf("with %s: %s", filter, got)
			}
		}
		if got := l.ask(token, "GET", "/v1.0/servicePrincipals?$filter=id eq '"+tokentest.ObjectID+"'&$select=appId").Body.String(); strings.Contains(got, graphID) {
			t.Error(got)
		}
	}
}

// post sends a body as the administrator.
func (l *bench) post(tb testing.TB, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "https://graph.microsoft.com"+target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+l.administrator(tb))
	w := httptest.NewRecorder()
	l.handler.ServeHTTP(w, r)
	return w
}

// getByIds answers each object once, and of the types that are asked for.
func TestObjectsByIDs(t *testing.T) {
	l := newLab(t, tenant())
	for _, row := range []struct {
		name, types string
		want        int // how many of the application's three ids are answered
	}{
		{"without types", ``, 2},
		{"of any type", `, "types": ["directoryObject"]`, 2},
		{"applications", `, "types": ["Application"]`, 1},
		{"service principals", `, "types": ["microsoft.graph.servicePrincipal"]`, 1},
		{"both", `, "types": ["application", "servicePrincipal"]`, 2},
		{"users", `, "types": ["user"]`, 0},
	} {
		ids := strings.TrimSuffix(strings.Repeat(`"`+ordersObject+`","`+ordersApplication+`","`+strings.ToUpper(ordersObject)+`",`, 50), ",")
		got := l.post(t, "/v1.0/directoryObjects/getByIds", `{"ids": [`+ids+`]`+row.types+`}`)
		if n := strings.Count(got.Body.String(), `"@odata.type"`); got.Code != 200 || n != row.want {
			t.Errorf("%s: %d, %d objects, want %d", row.name, got.Code, n, row.want)
		}
	}
}

// The requests of a batch have their own paths, however the batch's was spelt, and their own faults.
func TestRequestsOfABatchAreTheirOwn(t *testing.T) {
	w := newWorld(t, lab.Options{})
	id, _, _ := w.application("web")
	for _, at := range []string{"/v1.0/$batch", "/v1.0/%24batch", "/V1.0/$batch", "//v1.0/$Batch"} {
		got := w.do("POST "+at, `{"requests": [{"id": "1", "method": "GET", "url": "/applications/`+id+`"}, {"id": "2", "method": "GET", "url": "/Applications/`+id+`"}]}`)
		if strings.Count(got.text, `"status":200`) != 2 {
			t.Errorf("%s: %s", at, got.text)
		}
	}
	w.inject("object-not-replicated,delay=2m")
	before := len(w.Journal().Events())
	w.do("POST /v1.0/$batch", `{"requests": [{"id": "1", "method": "GET", "url": "/organization"}, {"id": "2", "method": "GET", "url": "/applications/`+id+`"}, {"id": "3", "method": "GET", "url": "/organization"}]}`)
	hit := ""
	for _, e := range w.Journal().Events()[before:] {
		if e.Kind == journal.Access && e.Detail[journal.DetailFault] != "" {
			hit += e.Path + " "
		}
	}
	if hit != fmt.Sprintf("/v1.0/applications/%s ", id) {
		t.Errorf("the fault is told of %q", hit)
	}
}

// An application without a unique name has null.
func TestApplicationsWithoutAUniqueName(t *testing.T) {
	l := newLab(t, tenant())
	for filter, want := range map[string]bool{"eq null": true, "ne null": false} {
		r := httptest.NewRequest("GET", "https://graph.microsoft.com/v1.0/applications?$count=true&$filter=uniqueName%20"+strings.ReplaceAll(filter, " ", "%20"), nil)
		r.Header.Set("Authorization", "Bearer "+l.administrator(t))
		r.Header.Set("ConsistencyLevel", "eventual")
		got := httptest.NewRecorder()
		l.handler.ServeHTTP(got, r)
		if got.Code != 200 || strings.Contains(got.Body.String(), ordersID) != want {
			t.Errorf("uniqueName %s: %d %s", filter, got.Code, got.Body)
		}
	}
}

func encodeKey(der []byte) string { return base64.StdEncoding.EncodeToString(der) }
