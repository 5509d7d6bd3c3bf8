package graph_test

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/tenants"
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

// What msgraph-sdk-go compresses is read; a coding that is not undone, broken text and what grows beyond
// the limit are refused, as is text that is not compressed at all.
func TestCompressedBodies(t *testing.T) {
	compressed := func(text string) string {
		var b strings.Builder
		z := gzip.NewWriter(&b)
		_, err := io.WriteString(z, text)
		if err := errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	const web = `{"displayName": "web"}`
	for _, row := range []struct {
		name, coding, body string
		status             int
		event              string // has this text
	}{
		{"compressed", "gzip", compressed(web), 201, ""},
		{"compressed, in capitals", "GZIP", compressed(web), 201, ""},
		{"not compressed, and says so", "identity", web, 201, ""},
		{"not compressed", "gzip", web, 400, "Content-Encoding is gzip: gzip: invalid header"},
		{"breaks off", "gzip", compressed(web)[:20], 400, "unexpected EOF"},
		{"another coding", "br", web, 400, `Content-Encoding is \"br\", and only gzip is undone`},
		{"grows beyond the limit", "gzip", compressed(web + strings.Repeat(" ", 1<<20)), 400, "longer than 1048576 bytes"},
	} {
		l := newLab(t, tenant())
		r := httptest.NewRequest("POST", "https://graph.microsoft.com/v1.0/applications", strings.NewReader(row.body))
		r.Header.Set("Authorization", "Bearer "+l.administrator(t))
		r.Header.Set("Content-Encoding", row.coding)
		w := httptest.NewRecorder()
		l.handler.ServeHTTP(w, r)
		if w.Code != row.status || !strings.Contains(fmt.Sprintf("%+v", l.last()), strings.ReplaceAll(row.event, `\`, "")) {
			t.Errorf("%s: %d %s, event %+v", row.name, w.Code, w.Body, l.last())
		}
		if row.status == 400 && !strings.Contains(w.Body.String(), "Unable to read JSON request payload.") {
			t.Errorf("%s: %s", row.name, w.Body)
		}
	}
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

// A service principal that is made again is as new: what the one before was set to is gone with it.
func TestAServicePrincipalMadeAgain(t *testing.T) {
	w := newWorld(t, lab.Options{})
	_, clientID, objectID := w.application("web")
	w.do("PATCH /v1.0/servicePrincipals/"+objectID, `{"accountEnabled": false, "appRoleAssignmentRequired": true, "tags": ["old"]}`)
	w.do("DELETE /v1.0/servicePrincipals/"+objectID, "")
	again := w.do("POST /v1.0/servicePrincipals", `{"appId": "`+clientID+`"}`)
	if !strings.Contains(again.text, `"accountEnabled":true`) || !strings.Contains(again.text, `"appRoleAssignmentRequired":false`) || strings.Contains(again.text, "old") {
		t.Error(again.text)
	}
	w.opens("made again", w.workload(clientID), graphScope, "")
}

// What of an application the token service goes by is shown as the token service sees it, and
// changed by writing it.
func TestEffectiveProperties(t *testing.T) {
	w := newWorld(t, lab.Options{})
	id, clientID, _ := w.application("web")
	at := "/v1.0/applications/" + id
	password := w.do("POST "+at+"/addPassword", "{}").value("secretText")
	for _, row := range []struct{ write, shown, refusal string }{
		{"true", "true", "AADSTS700025"}, {"false", "false", ""}, {"true", "true", "AADSTS700025"}, {"null", "null", ""},
	} {
		w.do("PATCH "+at, `{"isFallbackPublicClient": `+row.write+`}`)
		if got := w.do("GET "+at, ""); !strings.Contains(got.text, `"isFallbackPublicClient":`+row.shown+`,`) {
			t.Errorf("%s: %s", row.write, got.text)
		}
		w.opens("isFallbackPublicClient "+row.write, w.secret(clientID, password), graphScope, row.refusal)
	}
	if got := w.ask(terraformID, "PATCH "+at, `{"isFallbackPublicClient": "yes"}`); got.status != 400 {
		t.Errorf("%d %s", got.status, got.text)
	}

	set := func(change func(*directory.Principal)) {
		t.Helper()
		if err := w.Directory().Update(tokentest.Tenant, clientID, func(p *directory.Principal) error { change(p); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	version := func(what, want string) {
		t.Helper()
		if got := w.do("GET "+at+"?$select=api", ""); !strings.Contains(got.text, `"requestedAccessTokenVersion":`+want) || !strings.Contains(got.text, `"knownClientApplications":[]`) {
			t.Errorf("%s: want %s, got %s", what, want, got.text)
		}
	}
	set(func(p *directory.Principal) { p.AccessTokenVersion, p.PublicClient = 2, true })
	version("as wiemu.yaml has it", "2")
	if got := w.do("GET "+at, ""); !strings.Contains(got.text, `"isFallbackPublicClient":true`) {
		t.Errorf("a public client of wiemu.yaml: %s", got.text)
	}
	w.do("PATCH "+at, `{"api": {"acceptMappedClaims": true}}`)
	version("when something else of api was written", "2")
	w.do("PATCH "+at, `{"api": {"requestedAccessTokenVersion": 1}}`)
	version("as it was written", "1")
	set(func(p *directory.Principal) { p.AccessTokenVersion = 0 })
	version("taken back", "null")
	w.do("PATCH "+at, `{"api": null}`)
	set(func(p *directory.Principal) { p.AccessTokenVersion = 2 })
	version("when api is null", "2")
}

// An application that could not be deleted is not among the deleted ones, and deleting it later
// keeps what it is then.
func TestADeletionThatFails(t *testing.T) {
	l := newLab(t, tenant())
	l.directory.Keep(func(c tenants.Change) error {
		if c.New == nil {
			return errors.New("the disk is full")
		}
		return nil
	})
	const deletedItems = "/v1.0/directory/deletedItems"
	token := l.administrator(t)
	if got := l.ask(token, "DELETE", "/v1.0/applications/"+ordersApplication); got.Code != 500 {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	if got := l.ask(token, "GET", deletedItems+"/application"); !strings.HasSuffix(got.Body.String(), `"value":[]}`+"\n") {
		t.Errorf("%s", got.Body)
	}
	if got := l.post(t, deletedItems+"/"+ordersApplication+"/restore", "{}"); got.Code != 404 {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	l.directory.Keep(nil)
	if err := l.directory.Update(tokentest.Tenant, ordersID, func(p *directory.Principal) error { p.DisplayName = "later"; return nil }); err != nil {
		t.Fatal(err)
	}
	if got := l.ask(token, "DELETE", "/v1.0/applications/"+ordersApplication); got.Code != 204 {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	if got := l.ask(token, "GET", deletedItems+"/application?$select=displayName"); !strings.Contains(got.Body.String(), `"value":[{"displayName":"later"}]`) {
		t.Errorf("%s", got.Body)
	}
	if got := l.post(t, deletedItems+"/"+ordersApplication+"/restore", "{}"); got.Code != 200 || !strings.Contains(got.Body.String(), `"displayName":"later"`) {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

// An answer in a batch that breaks off is a text.
func TestABrokenAnswerInABatch(t *testing.T) {
	w := newWorld(t, lab.Options{})
	id, _, _ := w.application("web")
	trusts := "/applications/" + id + "/federatedIdentityCredentials"
	w.do("POST /beta"+trusts, `{"name": "github", "issuer": "https://token.actions.githubusercontent.com", "audiences": ["api://AzureADTokenExchange"], "claimsMatchingExpression": {"value": "claims['sub'] matches 'repo:contoso/*'", "languageVersion": 1}}`)
	got := w.do("POST /v1.0/$batch", `{"requests": [{"id": "1", "method": "GET", "url": "`+trusts+`"}]}`)
	if text := got.value("responses", 0, "body"); !strings.HasPrefix(text, `{"@odata.context":"https://`) || json.Valid([]byte(text)) {
		t.Error(got.text)
	}
}

// A service principal has 1,500 app role assignments at most.
func TestTooManyAppRoles(t *testing.T) {
	const bigID, bigObject, role = "aaaaaaaa-0000-4000-8000-000000000021", "bbbbbbbb-0000-4000-8000-000000000021", "10000000-0000-4000-8000-000000000001"
	in := tenant()
	roles := []directory.AppRole{{ID: role, Value: "a", DisplayName: "a", AllowedMemberTypes: []string{"Application"}, Enabled: true}, {ID: strings.Replace(role, "1", "2", 1), Value: "b", DisplayName: "b", AllowedMemberTypes: []string{"Application"}, Enabled: true}}
	big := directory.Principal{Kind: directory.Application, ClientID: bigID, ObjectID: bigObject, DisplayName: "big", Graph: &directory.GraphObject{AppRoles: roles}}
	for n := range 1499 {
		big.Graph.Assigned = append(big.Graph.Assigned, directory.AppRoleAssignment{ID: fmt.Sprint(n), RoleID: fmt.Sprint(n), ResourceID: ordersObject, ResourceAppID: ordersID})
	}
	in.Principals = append(in.Principals, big)
	l := newLab(t, in)
	token := l.token(t, "AppRoleAssignment.ReadWrite.All", "Directory.Read.All")
	for n, want := range []int{201, 403} {
		r := httptest.NewRequest("POST", "https://graph.microsoft.com/v1.0/servicePrincipals/"+bigObject+"/appRoleAssignments", strings.NewReader(`{"principalId": "`+bigObject+`", "resourceId": "`+bigObject+`", "appRoleId": "`+roles[n].ID+`"}`))
		r.Header.Set("Authorization", "Bearer "+token)
		got := httptest.NewRecorder()
		l.handler.ServeHTTP(got, r)
		if got.Code != want || want == 403 && !strings.Contains(got.Body.String(), "Directory_ResourceSizeExceeded") {
			t.Errorf("assignment %d: %d %s", 1500+n, got.Code, got.Body)
		}
	}
}

// The references of owners are those of the owners that there are, in pages.
func TestOwnerReferences(t *testing.T) {
	w := newWorld(t, lab.Options{})
	id, _, _ := w.application("web")
	at := "/v1.0/applications/" + id + "/owners/$ref"
	var owners []string
	for _, name := range []string{"first", "second", "third"} {
		_, _, objectID := w.application(name)
		owners = append(owners, objectID)
		w.do("POST "+at, `{"@odata.id": "https://graph.microsoft.com/v1.0/directoryObjects/`+objectID+`/"}`)
	}
	w.do("DELETE /v1.0/servicePrincipals/"+owners[1], "")
	found := ""
	for next, pages := at+"?$top=1", 0; next != "" && pages < 5; pages++ {
		got := w.do("GET "+next, "")
		_, of, _ := strings.Cut(got.value("value", 0, "@odata.id"), "/directoryObjects/")
		found += strings.TrimSuffix(of, "/Microsoft.DirectoryServices.ServicePrincipal") + " "
		next = strings.TrimPrefix(got.value("@odata.nextLink"), "https://graph.microsoft.com")
	}
	if found != owners[0]+" "+owners[2]+" " {
		t.Errorf("owners %s, found %s", owners, found)
	}
	if got := w.ask(terraformID, "GET "+at+"?$filter=displayName eq 'x'", ""); got.status != 400 {
		t.Errorf("%d %s", got.status, got.text)
	}
}

// Each key of an application has an id of its own, and ends after it begins.
func TestKeyIDs(t *testing.T) {
	w := newWorld(t, lab.Options{})
	id, _, _ := w.application("web")
	at := "/v1.0/applications/" + id
	first, firstKey := newCertificate(t, "first")
	second, _ := newCertificate(t, "second")
	const keyID = "20000000-0000-4000-8000-000000000001"
	key := func(der []byte, more string) string {
		return `{"type": "AsymmetricX509Cert", "usage": "Verify", "key": "` + encodeKey(der) + `"` + more + `}`
	}
	refused := func(what, text, request, body string) {
		t.Helper()
		if got := w.ask(terraformID, request, body); got.status != 400 || !strings.Contains(got.text, text) {
			t.Errorf("%s: %d %s", what, got.status, got.text)
		}
	}
	const existing, badEnd = "Update to existing credential with KeyId '" + keyID + "' is not allowed.", "Key credential end date is invalid."
	refused("two keys of one id", existing, "PATCH "+at, `{"keyCredentials": [`+key(first.Raw, `, "keyId": "`+keyID+`"`)+`,`+key(second.Raw, `, "keyId": "`+keyID+`"`)+`]}`)
	refused("an end before the start", badEnd, "PATCH "+at, `{"keyCredentials": [`+key(first.Raw, `, "startDateTime": "2031-06-02T00:00:00Z", "endDateTime": "2031-06-01T00:00:00Z"`)+`]}`)
	refused("a start after the certificate's end", badEnd, "PATCH "+at, `{"keyCredentials": [`+key(first.Raw, `, "startDateTime": "2041-06-02T00:00:00Z"`)+`]}`)

	w.do("PATCH "+at, `{"keyCredentials": [`+key(first.Raw, "")+`]}`)
	now := tokentest.Start()
	signed := proof(t, firstKey, jwt.Claims{Audience: jwt.Audience{"00000002-0000-0000-c000-000000000000"}, Issuer: id, NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(10 * time.Minute))})
	add := func(der []byte) string {
		return `{"keyCredential": ` + key(der, `, "keyId": "`+keyID+`"`) + `, "passwordCredential": null, "proof": "` + signed + `"}`
	}
	w.do("POST "+at+"/addKey", add(second.Raw))
	refused("an id that is taken", existing, "POST "+at+"/addKey", add(first.Raw))
	refused("an end before the start, of an added one", badEnd, "POST "+at+"/addKey", `{"keyCredential": `+key(second.Raw, `, "startDateTime": "2041-06-02T00:00:00Z"`)+`, "proof": "`+signed+`"}`)
	if got := w.do("GET "+at, ""); strings.Count(got.text, keyID) != 1 {
		t.Error(got.text)
	}
}

// An answer that is lost makes a second application of the same name, of who does not look first.
func TestAWriteWhoseAnswerIsLost(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.do("GET /v1.0/applications", "") // for the token
	lose := func(method, path, body string) {
		t.Helper()
		w.inject("write-lost-reply,when.count=1")
		r, err := http.NewRequestWithContext(t.Context(), method, "https://graph.microsoft.com/v1.0"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+w.tokens[terraformID])
		r.Header.Set("Content-Type", "application/json")
		answer, err := w.Transport().RoundTrip(r)
		if err == nil {
			defer func() { _ = answer.Body.Close() }()
			t.Fatalf("%s %s is answered with %d", method, path, answer.StatusCode)
		}
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s %s: %v; want ECONNRESET", method, path, err)
		}
	}
	lose("POST", "/applications", `{"displayName": "twice"}`)
	w.do("POST /v1.0/applications", `{"displayName": "twice"}`, "Content-Type: application/json")
	if got := w.do("GET /v1.0/applications?$filter=displayName eq 'twice'", ""); strings.Count(got.text, `"displayName":"twice"`) != 2 {
		t.Errorf("%s", got.text)
	}
	id, _, _ := w.application("shop")
	const credential = `{"name": "main", "issuer": "https://issuer.example/", "subject": "web", "audiences": ["api://AzureADTokenExchange"]}`
	lose("POST", "/applications/"+id+"/federatedIdentityCredentials", credential)
	if got := w.ask(terraformID, "POST /v1.0/applications/"+id+"/federatedIdentityCredentials", credential, "Content-Type: application/json"); got.status != http.StatusConflict {
		t.Errorf("the credential again: %d %s", got.status, got.text)
	}
	if got := w.ask(terraformID, "PATCH /v1.0/applications/"+id+"/federatedIdentityCredentials(name='main')", credential, "Content-Type: application/json", "Prefer: create-if-missing"); got.status >= 300 {
		t.Errorf("the credential by its name: %d %s", got.status, got.text)
	}
	lose("DELETE", "/applications/"+id, "")
	if got := w.ask(terraformID, "DELETE /v1.0/applications/"+id, ""); got.status != http.StatusNotFound {
		t.Errorf("DELETE again: %d %s", got.status, got.text)
	}
}
